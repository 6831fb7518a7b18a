package netns

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// standIns are the stand-ins that daemons of a lab's hosts have left, on the whole machine.
func standIns() (pids []string) {
	all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range all {
		if text, err := os.ReadFile(path); err == nil && strings.HasPrefix(string(text), "backbeat\x00stand-in") {
			pids = append(pids, filepath.Base(filepath.Dir(path)))
		}
	}
	return pids
}

// A stop that comes right after SIGUSR2, at whatever moment of the handover, is carried out:
// as an orderly stop, or, where it hits the new program before that can listen, as a
// crash. In neither case does a stand-in speak for who has gone.
func TestStopRightAfterUSR2(t *testing.T) {
	for _, after := range []time.Duration{0, 10, 20, 30, 45, 60, 90} {
		after *= time.Millisecond
		t.Run(fmt.Sprint(after), func(t *testing.T) {
			s := newPair(t, config(web(`interval = "10ms"`)))
			from := lab.Now()
			s.r1.Process().Signal(syscall.SIGUSR2)
			s.rest(after)
			s.r1.Process().Signal(syscall.SIGTERM)
			s.until("r1 to have ended", func() bool {
				select {
				case <-s.r1.Process().Done():
					return true
				default:
					return false
				}
			})
			ended := lab.Now()
			s.active("r2")
			r := s.probe.Since(from)
			t.Logf("exit status %d; %v; r2 was found Active %s after the end", s.r1.Process().ExitCode(), r, lab.Now()-ended)
			if took, limit := lab.Now()-ended, time.Second+s.slack(from); took > limit {
				t.Errorf("taken over after %s, limit %s", took, limit)
			}
			if code := s.r1.Process().ExitCode(); code != 0 && code != -1 {
				t.Errorf("exit status %d", code)
			}
			s.until("the stand-in to have ended", func() bool { return len(standIns()) == 0 })
			s.gone("r1")
		})
	}
}

// A stop does not wait for a handover that waits for a step.
func TestStopDuringAHandoverThatWaits(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web(), `service_group "site" {
  follows = virtual_router.web
  step "exec" "slow" {
    start  = ["/usr/bin/sleep", "7"]
    stop   = ["/usr/bin/true"]
    status = ["/usr/bin/false"]
    user   = "root"
  }
}
`))
	s.r1.Process().Signal(syscall.SIGUSR2)
	s.logged(s.r1, "SIGUSR2: the installed program takes over")
	s.rest(interval)
	asked := lab.Now()
	s.r1.Leave()
	s.logged(s.r1, "stopping: SIGTERM")
	if took, limit := lab.Now()-asked, time.Second+s.slack(asked); took > limit {
		t.Errorf("heard after %s, limit %s", took, limit)
	}
	s.must(s.r1.Wait(s.ctx))
}
