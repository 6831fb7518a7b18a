package netns

import (
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// A daemon that is killed or stopped holds no address one second beyond
// Active_Down_Interval, and one that wakes up does not take them back.
func TestDeadDaemonHoldsNoAddress(t *testing.T) {
	const oneSecond = 3*time.Second + 156*time.Second/256
	for name, lines := range map[string][]string{
		"plain":       {`interval = "1s"`},
		"virtual MAC": {`interval = "1s"`, `virtual_mac = true`},
	} {
		for how, end := range map[string]func(*lab.Backbeat){"killed": (*lab.Backbeat).Kill, "stopped": (*lab.Backbeat).Freeze} {
			t.Run(name+", "+how, func(t *testing.T) {
				t.Parallel()
				s := newPair(t, config(web(lines...)))
				s.rest(2 * time.Second) // renewed more than once
				from := lab.Now()
				end(s.r1)
				s.gone("r1")
				took := lab.Now() - from
				t.Logf("gone after %s; Active_Down_Interval of the peer is %s", took, oneSecond)
				if took > oneSecond+time.Second+s.slack(from) {
					t.Errorf("held its addresses for %s", took)
				}
				s.active("r2")
				if how == "stopped" {
					woken := lab.Now()
					s.r1.Thaw()
					s.active("r1") // preempts, after it has listened
					if r := s.probe.Since(woken); r.Lost > 5 && s.Stall(woken) < 10*time.Millisecond {
						t.Errorf("after it woke up: %v", r)
					}
				}
			})
		}
	}
}

// With address_lifetime = "off" they stay, as they always did.
func TestLifetimeOff(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(web(`address_lifetime = "off"`)))
	s.r1.Kill()
	s.rest(4 * time.Second)
	if !s.Host("r1").Has(vip4) {
		t.Error("the address went by itself")
	}
}

// What a crash left is taken off by `backbeat release`, which says goodbye for the
// dead: the other takes over after its Skew_Time.
func TestReleaseAfterACrash(t *testing.T) {
	t.Parallel()
	for name, lines := range map[string][]string{
		"plain":       {`interval = "2s"`},
		"virtual MAC": {`interval = "2s"`, `virtual_mac = true`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newPair(t, config(web(lines...)))
			s.turnedDown(s.r1.Verb(s.ctx, "release", "--runtime-dir", s.r1.RuntimeDir(), "-c", s.r1.ConfigFile())) // refused beside a running daemon
			s.r1.Kill()
			from := lab.Now()
			out, errs, code, err := s.r1.Verb(s.ctx, "release", "--runtime-dir", s.r1.RuntimeDir(), "-c", s.r1.ConfigFile())
			s.must(err)
			if code != 0 || !strings.Contains(out, "removed ") || !strings.Contains(out, "said goodbye for web") {
				t.Fatalf("exit status %d: %s%s", code, out, errs)
			}
			if s.Host("r1").Has(vip4) {
				t.Error("the address is still there")
			}
			s.active("r2")
			const skew2 = 2 * time.Second * 156 / 256
			if took := lab.Now() - from; took > skew2+time.Second+s.slack(from) {
				t.Errorf("r2 took over after %s, its Skew_Time is %s", took, skew2)
			}
		})
	}
}

// turnedDown wants a verb to be refused.
func (s *scene) turnedDown(out, errs string, code int, err error) {
	s.t.Helper()
	s.must(err)
	if code == 0 {
		s.t.Errorf("not refused: %s%s", out, errs)
	}
}
