package vrrp

import (
	"net/netip"
	"time"
)

// Initialize and Backup: sections 6.4.1 and 6.4.2.

// onLink moves between Initialize and the rest as the host allows.
func (r *Router) onLink(now time.Duration, e LinkState, fx []Effect) []Effect {
	r.fault, r.detail = e.Fault, e.Detail
	if e.Fault == FaultNone {
		r.source = e.Source
		if r.state == Initialize && !r.stopped {
			fx = r.startup(now, fx)
		}
		return fx
	}
	if r.state == Initialize {
		return fx
	}
	// The link is gone, so nothing can be said on it: no priority 0.
	return r.leave(now, Reason{Cause: e.Fault.cause(), Detail: e.Detail}, fx)
}

func (r *Router) startup(now time.Duration, fx []Effect) []Effect {
	r.started = now
	r.heard, r.resigned, r.grant, r.following = Heard{}, netip.Addr{}, 0, false
	r.activeInterval = r.spec.Interval
	if r.priority == PriorityOwner {
		return r.enterActive(now, Reason{Cause: CauseOwnerStartup}, fx)
	}
	cause := CauseStartup
	if r.term > 0 {
		cause = CauseInterfaceUp
	}
	return r.enterBackup(now, now, Reason{Cause: cause, Timer: r.downInterval()}, fx)
}

// enterBackup starts Active_Down_Timer from the instant from: the arrival of
// the advertisement that made us Backup, or now.
func (r *Router) enterBackup(now, from time.Duration, why Reason, fx []Effect) []Effect {
	wasActive := r.state == Active
	fx = r.become(now, Backup, why, fx)
	r.disarm(timerAdver, timerListen, timerHold)
	r.arm(timerActiveDown, from+r.downInterval())
	if wasActive {
		fx = append(fx, Effect{Kind: Release, Term: r.term})
	}
	return fx
}

func (r *Router) backupReceived(now time.Duration, e *Received, fx []Effect) []Effect {
	a := &e.Advert
	switch {
	case a.Priority == PriorityStop:
		// Unconditionally, even when that is later than the remaining time: the
		// literal reading, and what keepalived and FRR do.
		r.resigned = e.Src
		r.disarm(timerHold)
		r.arm(timerActiveDown, max(e.At+r.skewTime(), r.grant))
	case a.Priority >= r.priority || !r.preempts():
		r.disarm(timerHold)
		r.follow(e)
	case r.spec.PreemptDelay > 0:
		// A worse Active that may stay until the delay is over: it counts as
		// heard, so that only its silence or the delay ends it.
		if r.timers[timerHold] == Never {
			r.arm(timerHold, now+r.spec.PreemptDelay)
		}
		r.follow(e)
	default:
		r.counters.LowerDiscarded++
		r.remember(e)
	}
	return fx
}

// follow accepts the Active: its interval is learned and both Skew_Time and
// Active_Down_Interval come from it (RFC 9568; RFC 5798 kept the old skew).
func (r *Router) follow(e *Received) {
	r.remember(e)
	r.resigned = netip.Addr{}
	r.activeInterval, r.following = e.Advert.Interval, true
	r.arm(timerActiveDown, max(e.At+r.downInterval(), r.grant))
}

func (r *Router) backupTimeout(now time.Duration, fx []Effect) []Effect {
	if r.due(timerHold, now) {
		r.disarm(timerHold)
		// Our priority may have fallen meanwhile: then it is not the worse one any more.
		if r.preempts() && r.heard.Priority < r.priority {
			return r.enterActive(now, r.evidence(now, Reason{Cause: CausePreemptHold, Timer: r.spec.PreemptDelay}), fx)
		}
	}
	if !r.due(timerActiveDown, now) {
		return fx
	}
	why := r.evidence(now, Reason{Cause: CauseNoResponse, Timer: r.downInterval()})
	switch {
	case r.resigned.IsValid():
		why.Cause, why.Peer, why.PeerPriority, why.Timer = CauseResigned, r.resigned, PriorityStop, r.skewTime()
	case r.heard.Src.IsValid() && r.heard.Priority < r.priority && why.Silence <= r.heard.Interval+r.skewTime():
		why.Cause = CausePreempted
	}
	return r.enterActive(now, why, fx)
}
