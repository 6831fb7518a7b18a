package vrrp

import (
	"net/netip"
	"time"
)

// Active and the ways out of it: section 6.4.3.

// enterActive advertises first and takes the addresses after: the old Active
// must have let go before the neighbours are told.
func (r *Router) enterActive(now time.Duration, why Reason, fx []Effect) []Effect {
	fx = r.send(now, r.priority, fx)
	fx = r.become(now, Active, why, fx)
	r.counters.ActiveTransitions++
	r.promoted, r.before = why.Cause, r.heard.Src
	r.disarm(timerActiveDown, timerHold)
	r.resigned, r.grant, r.ready, r.aside = netip.Addr{}, 0, false, false
	r.activeInterval = r.spec.Interval // ours now: what our peers wait for
	r.arm(timerAdver, onGrid(now+r.spec.Interval))
	return append(fx, Effect{Kind: Hold, Term: r.term}, Effect{Kind: Announce, Term: r.term})
}

func (r *Router) activeReceived(now time.Duration, e *Received, fx []Effect) []Effect {
	a := &e.Advert
	if r.yielding {
		return r.yieldReceived(now, e, fx)
	}
	if r.timers[timerListen] != Never {
		return r.listenReceived(now, e, fx)
	}
	switch {
	case a.Priority == PriorityStop:
		return r.answer(now, &r.consoled, consoleGap, fx)
	case a.Priority > r.priority:
		return r.stepDown(now, e, CauseHigherPriority, fx)
	case a.Priority == r.priority && e.Src.Compare(r.source) > 0:
		// netip compares as unsigned integers in network byte order, as 6.4.3 asks.
		return r.stepDown(now, e, CauseHigherAddress, fx)
	}
	r.counters.LowerDiscarded++
	if !r.fresh(now) { // the farewell of whom we have just replaced is no news
		fx = append(fx, r.tell(NoticeLowerActive, e))
	}
	if r.spec.AnswerLower {
		fx = r.answer(now, &r.answered, min(answerGap, r.spec.Interval/2), fx)
	}
	return r.repeat(now, fx)
}

// onItsOwn reports whether a yield for this cause was the router's own doing: then
// the cause stays what it is, whether somebody took over or not.
func (c Cause) onItsOwn() bool {
	switch c {
	case CauseSyncGroup, CauseCheck, CauseDegraded, CauseService, CauseStandby, CauseMoved:
		return true
	default:
		return false
	}
}

// fresh reports whether we have been Active for less than one interval: what is
// left of the Active before may still be heard.
func (r *Router) fresh(now time.Duration) bool { return now-r.since < r.spec.Interval }

// repeat announces the addresses once more, at a bounded rate: somebody may
// have told the neighbours otherwise. What the bound holds back comes when it is
// over, or the last word would be theirs: two Actives that hear each other again
// announce against each other, before one of them leaves.
func (r *Router) repeat(now time.Duration, fx []Effect) []Effect {
	if now-r.repeated < repeatGap {
		r.arm(timerRepeat, r.repeated+repeatGap)
		return fx
	}
	r.disarm(timerRepeat)
	r.repeated = now
	return append(fx, Effect{Kind: Announce, Term: r.term, Repeat: true})
}

// onChallenged: an ARP packet or a Neighbor Advertisement claims an address of
// ours. Whoever it is, the neighbours hear us again.
func (r *Router) onChallenged(now time.Duration, e Challenged, fx []Effect) []Effect {
	if r.state != Active || r.yielding || r.timers[timerListen] != Never {
		return fx
	}
	if !r.fresh(now) {
		fx = append(fx, Effect{Kind: Tell, Notice: Notice{Kind: NoticeClaimed, Peer: e.Address, MAC: e.MAC}})
	}
	return r.repeat(now, fx)
}

// onMoved: an advert teaches the switches, an announcement the neighbours.
func (r *Router) onMoved(now time.Duration, fx []Effect) []Effect {
	if r.state != Active || r.yielding || r.timers[timerListen] != Never {
		return fx
	}
	fx = r.answer(now, &r.answered, min(answerGap, r.spec.Interval/2), fx)
	r.disarm(timerRepeat)
	r.repeated = now
	return append(fx, Effect{Kind: Announce, Term: r.term, Repeat: true})
}

// onDemote: the group is Backup, so we are. Nobody may have noticed on our
// link, hence the goodbye.
func (r *Router) onDemote(now time.Duration, e Demote, fx []Effect) []Effect {
	if r.state != Active || r.stopped {
		return fx
	}
	if !r.yielding && !e.Quiet { // else it has been said
		fx = r.send(now, PriorityStop, fx)
	}
	if r.yielding && r.fault.Peaceful() { // it was on its way out, and goes on
		return r.leave(now, r.leaving, fx)
	}
	r.activeInterval, r.following = r.spec.Interval, false
	return r.enterBackup(now, now, Reason{Cause: CauseSyncGroup, Detail: e.Detail}, fx)
}

func (r *Router) stepDown(now time.Duration, e *Received, cause Cause, fx []Effect) []Effect {
	r.remember(e)
	if r.spec.Farewell {
		fx = r.send(now, r.priority, fx)
	}
	r.activeInterval, r.following = e.Advert.Interval, true
	return r.enterBackup(now, e.At, r.evidence(now, Reason{Cause: cause}), fx)
}

// answer advertises at once, at most once per gap since the last, and restarts
// Adver_Timer. Losing adverts and resignations are limited apart: the first of
// each must be answered whatever came before (6.4.3).
func (r *Router) answer(now time.Duration, last *time.Duration, gap time.Duration, fx []Effect) []Effect {
	if now-*last < gap {
		return fx
	}
	*last = now
	r.arm(timerAdver, onGrid(now+r.spec.Interval))
	return r.send(now, r.priority, fx)
}

func (r *Router) activeTimeout(now time.Duration, fx []Effect) []Effect {
	if r.due(timerLinger, now) {
		why := r.leaving
		if !why.Cause.onItsOwn() {
			why.Cause = CauseYielded
		}
		if why = r.evidence(now, why); !r.stopped && r.fault == FaultNone {
			// The reason has gone, but so has the role: the successor is our Active.
			r.activeInterval, r.following = r.heard.Interval, true
			r.aside = why.Cause == CauseMoved
			return r.enterBackup(now, now, why, fx)
		}
		return r.leave(now, why, fx)
	}
	if r.due(timerYield, now) {
		if r.asking {
			return r.keep(now, fx)
		}
		why := r.leaving
		if why.Timer = r.yieldWait(); !why.Cause.onItsOwn() {
			why.Cause = CauseNobodyTookOver
		}
		return r.leave(now, why, fx)
	}
	if r.due(timerListen, now) {
		r.disarm(timerListen, timerRepeat)
		r.arm(timerAdver, onGrid(now+r.spec.Interval))
		fx = r.send(now, r.priority, fx)
		return append(fx, Effect{Kind: Tell, Notice: Notice{Kind: NoticeResumed}},
			Effect{Kind: Announce, Term: r.term})
	}
	if r.due(timerAdver, now) {
		// On the grid of the last deadline, not of now: a late wake-up does not
		// shift the schedule. Slots that have passed are not made up for.
		next := r.timers[timerAdver] + r.spec.Interval
		if behind := now - next; behind >= 0 {
			next += (behind/r.spec.Interval + 1) * r.spec.Interval
		}
		r.arm(timerAdver, next)
		fx = r.send(now, r.priority, fx)
	}
	if r.due(timerRepeat, now) {
		r.disarm(timerRepeat)
		if r.timers[timerListen] == Never {
			fx = r.repeat(now, fx)
		}
	}
	return fx
}

func (r *Router) onShutdown(now time.Duration, e Shutdown, fx []Effect) []Effect {
	r.stopped = true
	r.disarm(timerSettle)
	why := Reason{Cause: e.Cause, Detail: e.Detail}
	switch {
	case r.state == Initialize:
		return fx
	case r.state == Backup:
		return r.leave(now, why, fx)
	case r.yielding && !r.asking && e.Yield:
		r.leaving = why
		return fx
	case e.Yield:
		return r.yield(now, why, fx)
	}
	if !r.yielding && !e.Quiet {
		fx = r.send(now, PriorityStop, fx)
	}
	return r.leave(now, why, fx)
}

// yield says goodbye and keeps the addresses until a successor is heard.
func (r *Router) yield(now time.Duration, why Reason, fx []Effect) []Effect {
	if r.yielding && !r.asking {
		return fx
	}
	r.leaving = why
	if r.asking { // no question any more
		r.asking = false
		if r.timers[timerLinger] == Never {
			r.arm(timerYield, now+r.yieldWait())
		}
		return fx
	}
	if r.recalled == nil { // else as soon as the link is known (resumeFrom)
		fx = r.send(now, PriorityStop, fx)
	}
	r.yielding = true
	r.disarm(timerAdver, timerListen, timerRepeat)
	r.arm(timerYield, now+r.yieldWait())
	return append(fx, Effect{Kind: Tell, Notice: Notice{Kind: NoticeYielding, Interval: r.yieldWait()}})
}

// ask is a yield that is a question: is anybody better? VRRP's Backups are silent,
// so nobody knows who would be. To priority 0 they answer after their
// Skew_Time, which is the shorter the better they are. Whoever is better than
// we are now speaks before half a step less than the Skew_Time of our own priority;
// whoever is worse, or as good, hears us before it would.
func (r *Router) ask(now time.Duration, why Reason, fx []Effect) []Effect {
	r.leaving = why
	if !r.yielding {
		r.yielding, r.asking, r.asked = true, true, now
		r.disarm(timerAdver, timerListen, timerRepeat)
		fx = r.send(now, PriorityStop, fx)
		fx = append(fx, Effect{Kind: Tell, Notice: Notice{Kind: NoticeAsking, Interval: r.skewTime()}})
	}
	if r.asking && r.timers[timerLinger] == Never {
		r.arm(timerYield, r.asked+r.skewTime()-r.skewStep()/2)
	}
	return fx
}

// keep is the answer that nobody is better.
func (r *Router) keep(now time.Duration, fx []Effect) []Effect {
	fx = r.resume(now, fx)
	return append(fx, Effect{Kind: Tell, Notice: Notice{Kind: NoticeKept, Peer: r.source, PeerPriority: r.priority}})
}

// resume takes a yield back: the reason for it has gone, and no successor has
// been heard; or it has, and will be heard again.
func (r *Router) resume(now time.Duration, fx []Effect) []Effect {
	if r.timers[timerLinger] != Never {
		return fx
	}
	r.yielding, r.asking = false, false
	r.disarm(timerYield)
	r.arm(timerAdver, onGrid(now+r.spec.Interval))
	return r.send(now, r.priority, fx)
}

func (r *Router) yieldWait() time.Duration { return min(r.spec.Interval+yieldSlack, yieldMax) }

// yieldReceived waits for the successor. Another router that gives up is none.
func (r *Router) yieldReceived(now time.Duration, e *Received, fx []Effect) []Effect {
	if e.Advert.Priority == PriorityStop {
		return fx
	}
	if r.asking && r.leaving.Cause != CauseMoved && r.timers[timerLinger] == Never && e.Advert.Priority < r.priority {
		return r.resume(now, fx) // late or early: a worse one is no answer
	}
	r.remember(e)
	if r.timers[timerLinger] == Never {
		r.disarm(timerYield)
		r.arm(timerLinger, now+linger)
	}
	return fx
}

// leave goes to Initialize from anywhere.
func (r *Router) leave(now time.Duration, why Reason, fx []Effect) []Effect {
	wasActive := r.state == Active
	fx = r.become(now, Initialize, why, fx)
	r.yielding, r.asking, r.ready = false, false, false
	if r.timers[timerLink] != Never { // not waited for any longer
		r.fault, r.detail = r.lost.Fault, r.lost.Detail
	}
	for t := range r.timers {
		r.timers[t] = Never
	}
	if wasActive {
		fx = append(fx, Effect{Kind: Release, Term: r.term})
	}
	return fx
}
