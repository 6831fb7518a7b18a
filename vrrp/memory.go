package vrrp

import (
	"net/netip"
	"time"
)

// Memory is what the process that follows must know of a Router to go on as if
// it were this one: plain, and the same on both sides of a restart. Instants are
// on the loop's clock, which both share (CLOCK_BOOTTIME of one boot).
type Memory struct {
	State    State
	Term     uint64
	Priority uint8
	Source   netip.Addr
	Reason   Reason
	// Since is the last transition, Started when it left Initialize, Sent the last advertisement.
	Since, Started, Sent time.Duration
	// Interval is Active_Adver_Interval, Following that it was learned.
	Interval  time.Duration
	Following bool
	Heard     Heard
	Form      ChecksumForm
	// Next is when the next advertisement is due, or Never.
	Next time.Duration
	// Down and Hold are when Active_Down_Timer and the preempt delay fire, or Never.
	Down, Hold time.Duration
	Resigned   netip.Addr
	Aside      bool
	Counters   Counters
}

// Remember returns what a successor needs. It is false for a router that cannot
// be taken over: one that is leaving, or asks, or listens after a stall.
func (r *Router) Remember() (Memory, bool) {
	if r.stopped || r.yielding || r.timers[timerListen] != Never || r.timers[timerLink] != Never || r.state == Initialize {
		return Memory{}, false
	}
	if r.recalled != nil {
		return *r.recalled, true // it has not gone on yet
	}
	return Memory{State: r.state, Term: r.term, Priority: r.priority, Source: r.source, Reason: r.reason, Since: r.since, Started: r.started, Sent: r.sent,
		Interval: r.activeInterval, Following: r.following, Heard: r.heard, Form: r.learned,
		Next: r.timers[timerAdver], Down: r.timers[timerActiveDown], Hold: r.timers[timerHold], Resigned: r.resigned, Aside: r.aside, Counters: r.counters}, true
}

// Memorable reports whether a successor can go on from here: true in Initialize, where
// there is nothing to go on with, and false for a moment only.
func (r *Router) Memorable() bool {
	_, ok := r.Remember()
	return ok || r.state == Initialize
}

// Recall puts a new Router where the one before has been, before its first Step.
// With the first good LinkState it goes on: an Active advertises at once, and a
// Backup gives the Active that it could not hear meanwhile one interval and skew;
// one that has heard nobody listens anew: the first advert of an Active that is slower
// than itself may have come while nobody ran, and the second is as far off as its own wait.
// A first LinkState with a fault is one that came to the router before.
//
// It reports false, and changes nothing, where that would not be safe: when an
// Active has been silent for so long that it must have been replaced.
func (r *Router) Recall(now time.Duration, m *Memory) bool {
	silence := now - m.Sent
	switch {
	case r.state != Initialize || r.term != 0:
		return false
	case m.State == Active && (silence < 0 || silence >= 3*r.spec.Interval):
		return false
	case m.State == Initialize, m.Priority == 0, (m.Priority == PriorityOwner) != (r.spec.Priority == PriorityOwner):
		return false
	}
	r.state, r.term, r.priority, r.source, r.reason = m.State, m.Term, m.Priority, m.Source, m.Reason
	r.since, r.started, r.sent = m.Since, m.Started, m.Sent
	r.activeInterval, r.following, r.heard, r.learned = m.Interval, m.Following, m.Heard, m.Form
	r.resigned, r.aside, r.counters = m.Resigned, m.Aside, m.Counters
	if m.State == Active {
		r.promoted, r.before = m.Reason.Cause, m.Heard.Src
	}
	r.recalled = m
	return true
}

// resumeFrom goes on where the process before was, now that the link is known.
func (r *Router) resumeFrom(now time.Duration, fx []Effect) []Effect {
	m := r.recalled
	r.recalled = nil
	if r.state == Active && r.yielding {
		// It is to leave already, and nobody could be told before: the addresses stay for that.
		r.arm(timerYield, now+r.yieldWait())
		fx = r.send(now, PriorityStop, fx)
		return append(fx, Effect{Kind: Hold, Term: r.term})
	}
	if r.state == Active {
		r.activeInterval = r.spec.Interval
		r.arm(timerAdver, onGrid(now+r.spec.Interval))
		fx = r.send(now, r.priority, fx)
		return append(fx, Effect{Kind: Hold, Term: r.term}, Effect{Kind: Announce, Term: r.term})
	}
	down := m.Down
	if down == Never || !r.heard.Src.IsValid() { // it had won, and waited for its group; or it has heard nobody yet
		down = now + r.downInterval()
	}
	r.arm(timerActiveDown, max(down, now+r.activeInterval+r.skewTime()))
	if m.Hold != Never {
		r.arm(timerHold, max(m.Hold, now+r.activeInterval+r.skewTime()))
	}
	return fx
}
