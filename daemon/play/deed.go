package play

import (
	"time"

	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// What the kinds of faults do when they begin and when they end.

func (s *stage) fail(f *Fault) {
	s.tell(f.host, "loses power")
	s.frozen[f.host] = false
	s.hosts[f.host].PowerOff()
}

func (s *stage) powerOn(f *Fault) {
	s.hosts[f.host].PowerOn()
	s.boot(f.host, "has power again, backbeat starts")
}

func (s *stage) kill(f *Fault) {
	s.tell(f.host, "backbeat is killed")
	s.frozen[f.host] = false
	s.hosts[f.host].Crash()
}

func (s *stage) stop(f *Fault) {
	s.tell(f.host, "backbeat is asked to stop")
	s.hosts[f.host].Stop(true)
}

func (s *stage) startAgain(f *Fault) { s.boot(f.host, "backbeat starts again") }

func (s *stage) start(f *Fault) {
	if s.hosts[f.host].Off() {
		s.powerOn(f)
		return
	}
	s.boot(f.host, "backbeat starts")
}

// lasting is how long a fault is under way.
func (f *Fault) lasting() time.Duration {
	if f.To == 0 {
		return forever
	}
	return f.To - f.From
}

func (s *stage) freeze(f *Fault) {
	s.tell(f.host, "backbeat is frozen, the kernel goes on")
	s.frozen[f.host] = true
	s.hosts[f.host].Stall(f.lasting())
}

func (s *stage) pause(f *Fault) {
	s.tell(f.host, "the whole machine stands still")
	s.frozen[f.host] = true
	s.hosts[f.host].Pause(f.lasting())
}

func (s *stage) thaw(f *Fault) {
	s.tell(f.host, "runs again")
	s.frozen[f.host] = false
}

// at is the link that a fault's interface is on.
func (s *stage) at(f *Fault) int { return s.hosts[f.host].Named(f.nic).Link }

func (s *stage) linkDown(f *Fault) {
	s.tell(f.host, "%s loses its carrier", f.nic)
	s.hosts[f.host].LinkDown(s.at(f))
}

func (s *stage) linkUp(f *Fault) {
	s.tell(f.host, "%s has its carrier again", f.nic)
	s.hosts[f.host].LinkUp(s.at(f))
}

func (s *stage) remove(f *Fault) {
	s.tell(f.host, "%s is removed", f.nic)
	s.hosts[f.host].Vanish(s.at(f))
}

func (s *stage) appear(f *Fault) {
	s.tell(f.host, "%s is there again", f.nic)
	s.hosts[f.host].Appear(s.at(f))
}

// wires calls do for every direction of every link that a cut is about.
func (s *stage) wires(f *Fault, do func(link, from, to int)) {
	for other := range s.hosts {
		if other == f.host || f.other >= 0 && other != f.other {
			continue
		}
		for link, n := range s.hosts[f.host].NICs() {
			if n.Name == "" || f.nic != "" && n.Name != f.nic {
				continue
			}
			do(link, f.host, other)
			if !f.oneWay {
				do(link, other, f.host)
			}
		}
	}
}

// hearing says who hears whom, again or not at all.
func (s *stage) hearing(f *Fault, again bool) string {
	who, verb, whom := s.hosts[f.host].Name+" and the others", "do not hear", "each other"
	switch {
	case f.oneWay:
		who, verb, whom = s.hosts[f.other].Name, "does not hear", s.hosts[f.host].Name
	case f.other >= 0:
		who = s.hosts[f.host].Name + " and " + s.hosts[f.other].Name
	}
	switch {
	case again && f.oneWay:
		verb, whom = "hears", whom+" again"
	case again:
		verb, whom = "hear", whom+" again"
	}
	if f.nic != "" {
		whom += " on " + f.nic
	}
	return who + " " + verb + " " + whom
}

func (s *stage) cut(f *Fault) {
	s.tell(-1, "%s", s.hearing(f, false))
	s.wires(f, func(link, from, to int) { s.Cut(link, s.hosts[from], s.hosts[to]) })
}

func (s *stage) mend(f *Fault) {
	s.tell(-1, "%s", s.hearing(f, true))
	s.wires(f, func(link, from, to int) { s.Mend(link, s.hosts[from], s.hosts[to]) })
}

func (s *stage) lose(f *Fault) {
	s.tell(-1, "loses %g%% of all packets", f.percent)
	s.SetLoss(f.percent / 100)
}

func (s *stage) loseNothing(*Fault) {
	s.tell(-1, "loses no packets any more")
	s.SetLoss(0)
}

func (s *stage) slow(f *Fault) {
	s.tell(-1, "packets take %s", vrrp.Span(f.delay))
	s.SetDelay(f.delay, f.delay)
}

func (s *stage) fast(*Fault) {
	s.tell(-1, "packets are as fast as before")
	s.SetDelay(minDelay, maxDelay)
}

func (s *stage) find(f *Fault) {
	what := map[checks.Outcome]string{checks.Passed: "passes", checks.Failed: "fails", checks.NotRun: "cannot be run"}[f.result.Outcome]
	if f.result.Value != 0 {
		s.tell(f.host, "%s finds %d from now on", f.check, f.result.Value)
	} else {
		s.tell(f.host, "%s %s from now on", f.check, what)
	}
	s.found[f.host][f.check] = f.result
}

func (s *stage) findAgain(f *Fault) {
	s.tell(f.host, "%s is as before", f.check)
	delete(s.found[f.host], f.check)
}
