package netns

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// A daemon that is replaced by the installed program (SIGUSR2; a restart by systemd
// goes the same way) loses no probe at 1 ms spacing and changes no state on any host.
func TestReplacedWithoutAnybodyNoticing(t *testing.T) {
	for name, lines := range map[string][]string{
		"1 s":                 {`interval = "1s"`},
		"100 ms":              {`interval = "100ms"`},
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
func (s *scene) replaced(b *lab.Backbeat) {
	s.t.Helper()
	transitions := s.transitions()
	from := lab.Now()
	pid := b.Process().PID()
	b.Process().Signal(syscall.SIGUSR2)
	s.until("the next process to take over", func() bool { return strings.Contains(b.Log(), "as in the process before") })
	s.rest(4 * interval)
	r := s.lossless(from)
	if r.Changes > 0 {
		s.t.Errorf("the address moved %d times", r.Changes)
	}
	if got := b.Process().PID(); got != pid {
		s.t.Errorf("process %d became %d", pid, got)
	}
	if n := s.zeros(from, "r1") + s.zeros(from, "r2"); n > 0 {
		s.t.Errorf("%d goodbyes", n)
	}
	if now := s.transitions(); now != transitions {
		s.t.Errorf("transitions\n%s\nbefore\n%s", now, transitions)
	}
	s.only("r1")
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
	s.replaced(s.r1)
	if now, err := os.Stat(filepath.Join(dir, "r1")); err != nil || !now.ModTime().Equal(made.ModTime()) {
		t.Errorf("the step was moved: %v", err)
	}
	s.must(os.Remove(filepath.Join(dir, "r1"))) // and it is repaired by the next process
	s.until("the step to be up again", func() bool { return up("r1") })
	s.must(s.r1.Stop(s.ctx))
	s.until("the other to serve", func() bool { return up("r2") && !up("r1") })
}
