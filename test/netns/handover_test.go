package netns

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// A daemon that is replaced by the installed program (SIGUSR2; a restart by systemd
// goes the same way) loses no probe at 1 ms spacing and changes no state on any host.
func TestReplacedWithoutAnybodyNoticing(t *testing.T) {
	for name, lines := range map[string][]string{
		"1 s":                 {`interval = "1s"`},
		"100 ms":              {`interval = "100ms"`},
		"10 ms":               {`interval = "10ms"`},
		"100 ms, virtual MAC": {`interval = "100ms"`, `virtual_mac = true`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newPair(t, config(web(lines...)))
			s.rest(2 * interval)
			for _, b := range []*lab.Backbeat{s.r1, s.r2, s.r1} {
				s.replaced(b)
			}
		})
	}
}

// replaced lets a daemon be replaced and judges what the client and the others saw.
// A machine that stands still for longer than a process needs to start is not
// the daemon's doing: then it is tried again, and one try must be good.
func (s *scene) replaced(b *lab.Backbeat) {
	s.t.Helper()
	const tries = 5
	for try := 1; ; try++ {
		from := lab.Now()
		problems := s.replace(b, from)
		stall := s.Stall(from)
		switch {
		case len(problems) == 0:
			return
		case stall < hiccup || try == tries:
			s.t.Fatalf("try %d, with the machine's worst stall %s: %s", try, stall, strings.Join(problems, "; "))
		}
		s.t.Logf("try %d: the machine stalled for %s, so it is tried again: %s", try, stall, strings.Join(problems, "; "))
		s.rest(down)
		s.active("r1")
		s.rest(2 * interval)
	}
}

// hiccup is how long these machines stand still now and then; more can be to blame for
// what a client or a Backup at 10 ms sees.
const hiccup = 10 * time.Millisecond

func (s *scene) replace(b *lab.Backbeat, from time.Duration) (problems []string) {
	s.t.Helper()
	say := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	transitions, before := s.transitions(), strings.Count(b.Log(), "as in the process before")
	pid := b.Process().PID()
	b.Process().Signal(syscall.SIGUSR2)
	s.until("the next process to have started", func() bool {
		return strings.Count(b.Log(), "as in the process before") > before || strings.Contains(b.Log(), "too long to go on")
	})
	s.rest(4 * interval)
	r := s.probe.Since(from)
	s.t.Log(r)
	if r.Lost > 0 {
		say("%d of %d lost", r.Lost, r.Sent)
	}
	if r.Changes > 0 {
		say("the address moved %d times", r.Changes)
	}
	if got := b.Process().PID(); got != pid {
		say("process %d became %d", pid, got)
	}
	if n := s.zeros(from, "r1"); n > 0 { // a Backup with a service group says that it holds nothing
		say("%d goodbyes", n)
	}
	if now := s.transitions(); now != transitions {
		say("transitions\n%s\nbefore\n%s", now, transitions)
	}
	for _, a := range []netip.Addr{vip4, vip6} {
		if got := s.Holders(a); !slices.Equal(got, []string{"r1"}) {
			say("%s is held by %v", a, got)
		}
	}
	return problems
}

// transitions is what both hosts remember.
func (s *scene) transitions() string {
	s.t.Helper()
	var b strings.Builder
	for name, d := range map[string]*lab.Backbeat{"r1": s.r1, "r2": s.r2} {
		list, err := d.History(s.ctx)
		s.must(err)
		for _, x := range list {
			fmt.Fprintf(&b, "%s %d %s -> %s %s\n", name, x.Seq, x.From, x.To, x.Cause)
		}
	}
	lines := strings.Split(b.String(), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// What a process left that is not as it should be is refused by name, and the
// start is like one after a crash: clean, and without the address.
func TestHandoffRefusedByName(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web()))
	s.must(s.r2.Stop(s.ctx))
	s.r1.Kill()
	s.must(os.WriteFile(filepath.Join(s.r1.RuntimeDir(), "handoff.json"), []byte(`{"schema":1,"boot":"of another"}`), 0o600))
	s.start(s.r1)
	if log := s.r1.Log(); !strings.Contains(log, "handoff refused: it is of another boot") || !strings.Contains(log, "removed 10.77.0.100/24") {
		t.Errorf("log:\n%s", log)
	}
	s.active("r1")
}

// Where the next process could not go on, the one that is there stays: with a broken
// configuration, and without a place to leave its state at.
func TestNotReplacedByWhatCannotGoOn(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web()))
	transitions, pid := s.transitions(), s.r1.Process().PID()
	refused := func(words string) {
		t.Helper()
		s.r1.Process().Signal(syscall.SIGUSR2)
		s.until("the refusal", func() bool { return strings.Contains(s.r1.Log(), "cannot be replaced: "+words) })
	}
	s.must(s.r1.Configure("nonsense"))
	refused(s.r1.ConfigFile() + " has 1 error")
	s.must(s.r1.Configure(config(web())))
	s.must(os.Rename(s.r1.RuntimeDir(), s.r1.RuntimeDir()+".away"))
	s.must(os.WriteFile(s.r1.RuntimeDir(), nil, 0o600))
	refused("no state can be left to the next process")
	s.must(os.Remove(s.r1.RuntimeDir()))
	s.must(os.Rename(s.r1.RuntimeDir()+".away", s.r1.RuntimeDir()))
	s.rest(2 * down)
	if now := s.transitions(); now != transitions || s.r1.Process().PID() != pid {
		t.Errorf("transitions\n%s\nbefore\n%s", now, transitions)
	}
	s.only("r1")
	s.replaced(s.r1)
}

// A service group's steps stay up through it, and are watched by the next process.
func TestReplacedWithServices(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newPair(t, config(web(), `service_group "site" {
  follows = virtual_router.web
  step "exec" "flag" {
    start  = ["/usr/bin/mkdir", "`+dir+`/${node.name}"]
    stop   = ["/usr/bin/rmdir", "`+dir+`/${node.name}"]
    status = ["/usr/bin/test", "-d", "`+dir+`/${node.name}"]
    user   = "root"
    monitor { interval = "1s" }
  }
}
`))
	up := func(node string) bool { _, err := os.Stat(filepath.Join(dir, node)); return err == nil }
	s.until("the step to be up", func() bool { return up("r1") })
	made, err := os.Stat(filepath.Join(dir, "r1"))
	s.must(err)
	before := s.transitions()
	s.replaced(s.r1)
	// Where the machine stood still so long that the address moved, so did the step.
	if now, err := os.Stat(filepath.Join(dir, "r1")); s.transitions() == before && (err != nil || !now.ModTime().Equal(made.ModTime())) {
		t.Errorf("the step was moved: %v", err)
	}
	s.until("the step to be up", func() bool { return up("r1") })
	s.must(os.Remove(filepath.Join(dir, "r1"))) // and it is repaired by the next process
	s.until("the step to be up again", func() bool { return up("r1") })
	s.must(s.r1.Stop(s.ctx))
	s.until("the other to serve", func() bool { return up("r2") && !up("r1") })
}
