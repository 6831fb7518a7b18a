package interop

import (
	"fmt"
	"os"
	"testing"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// Our check fails while keepalived is Backup: it takes over after its Skew_Time,
// as for a goodbye, and the client does not notice. keepalived's own check
// moves the address after three intervals (test/bench has it beside ours).
func TestIllHealthTowardsKeepalived(t *testing.T) {
	t.Parallel()
	for _, f := range families {
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, f, high, low)
			flag := s.daemon.RuntimeDir() + "-ill"
			s.must(s.daemon.Configure(checkedConfig(f, high, flag)))
			s.must(s.ka.start())
			s.answers(s.ka)
			s.must(s.bb.start())
			s.answers(s.bb)
			s.atRest(s.bb, "")
			from := lab.Now()
			s.must(os.WriteFile(flag, nil, 0o600))
			s.answers(s.ka)
			verdict := from
			for _, a := range s.sniffer.Adverts(from, "bb") {
				if a.Advert.Priority == 0 {
					verdict = a.At
					break
				}
			}
			s.atRest(s.ka, "")
			r := s.probe.Since(from)
			t.Logf("%s; %s after the verdict, Skew_Time is %s", r, from+r.Takeover-verdict, skew(low))
			stall := s.lab.Stall(from)
			if verdict == from || from+r.Takeover-verdict > skew(low)+s.slack(from) {
				t.Errorf("took over %s after the verdict", from+r.Takeover-verdict)
			}
			// A handful belongs to keepalived: it advertises, and then adds its addresses.
			if r.Lost > 5 && stall < 10e6 {
				t.Errorf("%d of %d lost", r.Lost, r.Sent)
			}
		})
	}
}

// checkedConfig is backbeatConfig with a check that a file decides.
func checkedConfig(f family, priority int, flag string) string {
	return fmt.Sprintf("check \"file\" \"flag\" {\n  path     = %q\n  absent   = true\n  interval = \"100ms\"\n  fall     = 1\n  rise     = 1\n}\n", flag) +
		backbeatConfig(f, priority)[:len(backbeatConfig(f, priority))-2] + "  depends_on { check = check.file.flag }\n}\n"
}
