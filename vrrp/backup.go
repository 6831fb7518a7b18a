package vrrp

import (
	"net/netip"
	"time"
)

// Initialize and Backup: sections 6.4.1 and 6.4.2.

// onLink moves between Initialize and the rest as the host allows.
func (r *Router) onLink(now time.Duration, e LinkState, fx []Effect) []Effect {
	if e.Fault == FaultNone {
		return r.linkUsable(now, e, fx)
	}
	if r.state == Initialize && e.Fault.Peaceful() && e.Source.IsValid() {
		r.source = e.Source // for LetGo, which whoever takes no part can say
	}
	waits := e.Fault == FaultInterfaceDown && r.spec.LinkDownDelay > 0
	if e.Fault == FaultPending && r.recalled != nil {
		return fx // not known yet
	}
	if r.recalled != nil && waits {
		fx = r.resumeFrom(now, fx) // as if it had been lost a moment later
	}
	r.recalled = nil
	switch {
	case r.state == Initialize:
		r.disarm(timerSettle)
	case waits:
		r.lost = e
		if r.timers[timerLink] == Never {
			r.loseLink(now)
		}
		return fx
	case e.Fault.Peaceful() && r.state == Active:
		// Our own link works (again): nothing need be lost.
		r.disarm(timerLink)
		r.fault, r.detail = e.Fault, e.Detail
		return r.yield(now, Reason{Cause: e.Fault.cause(), Detail: e.Detail}, fx)
	default:
		// The link is gone, so nothing can be said on it: no priority 0.
		r.disarm(timerLink)
		r.fault, r.detail = e.Fault, e.Detail
		return r.leave(now, Reason{Cause: e.Fault.cause(), Detail: e.Detail}, fx)
	}
	if e.Fault == FaultPending && r.fault.Peaceful() {
		r.over = r.fault // it is over, but what follows is not known yet
	}
	r.fault, r.detail = e.Fault, e.Detail
	return fx
}

// loseLink begins the wait for a lost link. Whoever was ready is not: a group
// must not be promoted onto a link that may be dead.
func (r *Router) loseLink(now time.Duration) {
	r.arm(timerLink, now+r.spec.LinkDownDelay)
	if r.ready {
		r.ready = false
		r.arm(timerActiveDown, r.timers[timerLink]+1)
	}
}

func (r *Router) linkUsable(now time.Duration, e LinkState, fx []Effect) []Effect {
	if r.fault != FaultNone && r.fault != FaultPending {
		r.over = r.fault
	}
	r.fault, r.detail, r.source = FaultNone, "", e.Source
	flapped := r.timers[timerLink] != Never
	r.disarm(timerLink)
	switch {
	case r.recalled != nil:
		return r.resumeFrom(now, fx)
	case r.state == Initialize && r.stopped:
	case r.state == Initialize && r.spec.Settle > 0:
		if r.timers[timerSettle] == Never {
			r.arm(timerSettle, now+r.spec.Settle)
		}
	case r.state == Initialize:
		return r.startup(now, fx)
	case r.yielding && !r.stopped && !r.asking:
		return r.resume(now, fx)
	case flapped && r.state == Backup:
		// Back within the delay. What was sent meanwhile was lost, so a Backup
		// grants one more interval, and an Active speaks at once.
		r.postpone(now + r.activeInterval + r.skewTime())
	case flapped:
		return r.onMoved(now, fx)
	}
	return fx
}

func (r *Router) startup(now time.Duration, fx []Effect) []Effect {
	r.started, r.aside = now, false
	r.disarm(timerSettle)
	r.heard, r.resigned, r.grant, r.following = Heard{}, netip.Addr{}, 0, false
	r.activeInterval = r.spec.Interval
	if r.priority == PriorityOwner && !r.spec.Grouped {
		return r.enterActive(now, Reason{Cause: CauseOwnerStartup}, fx)
	}
	cause := CauseStartup
	if r.term > 0 {
		cause = CauseInterfaceUp
	}
	if r.over.Peaceful() {
		cause = r.over.after()
	}
	r.over = FaultNone
	fx = r.enterBackup(now, now, Reason{Cause: cause, Timer: r.downInterval()}, fx)
	if r.priority == PriorityOwner {
		return r.win(now, Reason{Cause: CauseOwnerStartup}, fx)
	}
	return fx
}

// postpone lets a Backup decide nothing before the instant at.
func (r *Router) postpone(at time.Duration) {
	for _, t := range [...]timer{timerActiveDown, timerHold} {
		if r.timers[t] != Never {
			r.arm(t, max(r.timers[t], at))
		}
	}
}

// win ends an election in our favour: Active, or ready where a Group decides.
func (r *Router) win(now time.Duration, why Reason, fx []Effect) []Effect {
	if !r.spec.Grouped {
		return r.enterActive(now, why, fx)
	}
	r.ready, r.won = true, why
	r.disarm(timerActiveDown, timerHold)
	return append(fx, Effect{Kind: Ready, Reason: why})
}

// onPeerLeft: the Active's priority 0 on another member's link counts here too.
// At worst it is Active on ours still, answers our advert, and we step down.
func (r *Router) onPeerLeft(now time.Duration, e PeerLeft) {
	if r.state != Backup || r.ready || r.timers[timerActiveDown] <= now+r.skewTime() {
		return
	}
	r.resigned = e.Peer
	r.disarm(timerHold)
	r.arm(timerActiveDown, max(now+r.skewTime(), r.grant))
}

// enterBackup starts Active_Down_Timer from the instant from: the arrival of
// the advertisement that made us Backup, or now.
func (r *Router) enterBackup(now, from time.Duration, why Reason, fx []Effect) []Effect {
	wasActive := r.state == Active
	fx = r.become(now, Backup, why, fx)
	r.yielding, r.asking, r.ready = false, false, false
	r.disarm(timerAdver, timerListen, timerHold, timerYield, timerLinger, timerRepeat)
	r.arm(timerActiveDown, from+r.downInterval())
	if wasActive {
		fx = append(fx, Effect{Kind: Release, Term: r.term})
	}
	return fx
}

func (r *Router) backupReceived(now time.Duration, e *Received, fx []Effect) []Effect {
	a := &e.Advert
	switch {
	case a.Priority == PriorityStop && (r.ready || r.bystander(e)):
	case a.Priority == PriorityStop:
		// Unconditionally, even when that is later than the remaining time: the
		// literal reading, and what keepalived and FRR do.
		r.resigned = e.Src
		r.disarm(timerHold)
		r.arm(timerActiveDown, max(e.At+r.skewTime(), r.grant))
	case a.Priority >= r.priority || !r.preempts() && !r.healthier(a.Priority):
		r.disarm(timerHold)
		r.follow(e)
	case r.spec.PreemptDelay > 0 && !(r.ready && r.won.Cause == CausePreemptHold):
		// A worse Active that may stay until the delay is over: it counts as
		// heard, so that only its silence or the delay ends it. A member whose
		// delay is over does not begin it anew: the others' may end later.
		if r.timers[timerHold] == Never {
			r.arm(timerHold, now+r.spec.PreemptDelay)
		}
		r.follow(e)
	default:
		r.counters.LowerDiscarded++
		if r.remember(e); r.resigned != e.Src {
			r.resigned = netip.Addr{} // this one is Active now
		}
	}
	return fx
}

// bystander reports whether an advert is not from the Active, whom we hear: if it is
// priority 0, somebody else says that nothing is held there (LetGo), or has lost.
func (r *Router) bystander(e *Received) bool {
	return r.heard.Src.IsValid() && r.heard.Src != e.Src && e.At-r.heard.At <= r.heard.Interval+r.skewTime()
}

// GaveUp reports whether a priority 0 is that of the Active, and not of somebody else: on
// a link that is cut a host in standby may be all that is heard.
func (r *Router) GaveUp(e *Received) bool { return r.heard.Src == e.Src }

// healthier reports whether not to preempt would mean to leave an Active that says it is
// degraded alone: that is not what the setting is for.
func (r *Router) healthier(active uint8) bool {
	return (r.spec.YieldsToHealth || r.aside && r.spec.Preempt) && active <= DegradedMax && r.priority > DegradedMax
}

// follow accepts the Active: its interval is learned and both Skew_Time and
// Active_Down_Interval come from it (RFC 9568; RFC 5798 kept the old skew).
func (r *Router) follow(e *Received) {
	r.remember(e)
	r.resigned, r.ready = netip.Addr{}, false
	r.activeInterval, r.following = e.Advert.Interval, true
	r.arm(timerActiveDown, max(e.At+r.downInterval(), r.grant))
}

func (r *Router) backupTimeout(now time.Duration, fx []Effect) []Effect {
	if back := r.timers[timerLink]; back != Never {
		// The silence is the link's, and who is Active now cannot be heard.
		if min(r.timers[timerActiveDown], r.timers[timerHold]) <= now {
			r.postpone(back + 1)
		}
		return fx
	}
	if r.due(timerHold, now) {
		r.disarm(timerHold)
		// Our priority may have fallen meanwhile: then it is not the worse one any more.
		if (r.preempts() || r.healthier(r.heard.Priority)) && r.heard.Priority < r.priority {
			return r.win(now, r.evidence(now, Reason{Cause: CausePreemptHold, Timer: r.spec.PreemptDelay}), fx)
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
	return r.win(now, why, fx)
}
