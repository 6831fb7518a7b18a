package netns

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// flagged is the pair with a check that a file decides: healthy while it is absent.
// The two hosts share a file system, so each has a file of its own.
func flagged(s *scene, dependency string, lines ...string) (text, flag string) {
	flag = s.Dir("ill-")
	return config(`check "file" "flag" {
  path     = "`+flag+`${node.name}"
  absent   = true
  interval = "100ms"
  rise     = 1
  fall     = 1
}
`, web(append([]string{"depends_on {\n    check = check.file.flag\n    " + dependency + "\n  }"}, lines...)...)), flag
}

func flaggedPair(t *testing.T, dependency string, lines ...string) (*scene, string) {
	t.Helper()
	s := newScene(t, "")
	text, flag := flagged(s, dependency, lines...)
	s.must(s.r1.Configure(text))
	s.must(s.r2.Configure(text))
	s.start(s.r1, s.r2)
	s.active("r1")
	return s, flag
}

func (s *scene) ill(flag, node string) {
	s.t.Helper()
	s.must(os.WriteFile(flag+node, nil, 0o600))
}

func (s *scene) well(flag, node string) {
	s.t.Helper()
	s.must(os.Remove(flag + node))
}

// lossless fails if the client missed an answer that no stall of the machine explains.
func (s *scene) lossless(from time.Duration) lab.Report {
	s.t.Helper()
	r := s.probe.Since(from)
	s.t.Log(r)
	if r.Lost > 0 && s.Stall(from) < 10*time.Millisecond {
		s.t.Errorf("%d of %d lost", r.Lost, r.Sent)
	}
	return r
}

// A check that fails moves the address within one Skew_Time of the verdict, and the
// client does not notice: neither there nor on the way back.
func TestIllHealthLosesNothing(t *testing.T) {
	t.Parallel()
	for _, preempt := range []string{"", "preempt = false"} {
		t.Run(preempt, func(t *testing.T) {
			s, flag := flaggedPair(t, "", preempt)
			s.rest(2 * interval)
			from := lab.Now()
			s.ill(flag, "r1")
			s.active("r2")
			s.gone("r1")
			verdict := s.zeroAt(from, "r1")
			s.rest(interval)
			r := s.lossless(from)
			if took := from + r.Takeover - verdict; r.By != "r2" || took > skew+s.slack(from) {
				t.Errorf("%q took over %s after the verdict, Skew_Time is %s", r.By, took, skew)
			} else {
				t.Logf("took over %s after the verdict; Skew_Time is %s, three intervals and it %s", took, skew, down)
			}
			if st := s.router("r1"); st.State != "backup" || st.EffectivePriority != 29 || st.Cause != "degraded" {
				t.Errorf("r1 is %s with %d: %s", st.State, st.EffectivePriority, st.Reason)
			}
			back := lab.Now()
			s.well(flag, "r1")
			if preempt == "" {
				s.active("r1")
				s.gone("r2")
				s.rest(interval)
				s.lossless(back)
			}
			s.ill(flag, "r2") // with preempt = false too: not to preempt is about healthy Actives
			if preempt != "" {
				s.active("r1")
				s.gone("r2")
				s.rest(interval)
				s.lossless(back)
			}
		})
	}
}

// Both ill: the better one goes on after it has asked, and nothing moves.
func TestBothIll(t *testing.T) {
	t.Parallel()
	s, flag := flaggedPair(t, "")
	s.ill(flag, "r2")
	s.until("r2 to be degraded", func() bool { return s.router("r2").EffectivePriority == 20 })
	from := lab.Now()
	s.ill(flag, "r1")
	s.until("r1 to be degraded and to go on", func() bool { st := s.router("r1"); return st.EffectivePriority == 29 && !st.Yielding })
	s.rest(2 * down)
	if r := s.lossless(from); r.Changes > 0 {
		t.Errorf("the address moved %d times", r.Changes)
	}
	s.only("r1")
	if n := s.zeros(from, "r1"); n != 1 {
		t.Errorf("%d adverts with priority 0", n)
	}
}

// effect = "fault": out of the election, without a lost packet, and back.
func TestFaultOfACheck(t *testing.T) {
	t.Parallel()
	s, flag := flaggedPair(t, `effect = "fault"`)
	s.rest(2 * interval)
	from := lab.Now()
	s.ill(flag, "r1")
	s.active("r2")
	s.gone("r1")
	s.lossless(from)
	s.state("r1", "initialize")
	if st := s.router("r1"); st.Fault != "check-failed" || !strings.Contains(st.FaultDetail, "file.flag: 1 of 1 failed, last: exists") {
		t.Errorf("fault %q: %q", st.Fault, st.FaultDetail)
	}
	s.ill(flag, "r2") // then nobody serves
	s.gone("r2")
	s.well(flag, "r1")
	s.active("r1")
	out, _, _, err := s.r1.Verb(s.ctx, "status", "web", "--control", s.r1.Socket())
	s.must(err)
	if !strings.Contains(out, "depends on") || !strings.Contains(out, "file.flag: does not exist; would keep this host out") {
		t.Errorf("status:\n%s", out)
	}
}

// zeroAt is when a host sent its first priority 0 since an instant.
func (s *scene) zeroAt(from time.Duration, host string) time.Duration {
	s.t.Helper()
	for _, f := range s.sniffer.Adverts(from, host) {
		if f.Advert.Priority == 0 {
			return f.At
		}
	}
	s.t.Fatalf("%s said no goodbye", host)
	return 0
}

// A check of another interface follows the kernel's news, not its interval.
func TestLinkDependency(t *testing.T) {
	t.Parallel()
	s := newSceneOn(t, config(web("depends_on {\n    link = \"eth1\"\n  }")), 2)
	s.start(s.r1, s.r2)
	s.active("r1")
	s.rest(2 * interval)
	from := lab.Now()
	_, err := s.Host("r1").Run(s.ctx, "ip", "link", "set", "eth1", "down")
	s.must(err)
	s.active("r2")
	r := s.lossless(from)
	if r.Takeover > skew+s.slack(from) {
		t.Errorf("took over after %s, Skew_Time is %s", r.Takeover, skew)
	}
}
