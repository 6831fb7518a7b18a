package vrrp

import (
	"slices"
	"time"
)

// What the RFC does not define: our own stalls and changes from outside.

// onStall handles our own absence. An Active whose last advertisement is older
// than Active_Down_Interval must expect to have been replaced: it listens for
// one interval before it speaks again. A Backup that was late by an interval
// or more does not trust the silence: the adverts may be stuck in a network
// card that slept as we did, so it waits one more interval and skew.
//
// The design grants a Backup one skew after a stall of Active_Down_Interval. At
// priority 254 a skew is 8 ms at T = 1 s, in which no Active could be heard,
// and a stall of 2.9 intervals is as blinding as one of 3.1; see ARCHITECTURE.md.
func (r *Router) onStall(now time.Duration, e Stall, fx []Effect) []Effect {
	switch {
	case r.state == Backup && e.Late >= r.activeInterval:
		r.grant = now + r.activeInterval + r.skewTime()
		if r.ready {
			r.ready = false
			r.arm(timerActiveDown, r.grant)
		}
		r.postpone(r.grant)
	case r.state == Active && !r.yielding && now-r.sent >= r.downInterval() &&
		(r.timers[timerListen] == Never || e.Late >= r.spec.Interval): // a hiccup does not prolong listening
		r.stalled = now - r.sent
		r.disarm(timerAdver)
		r.arm(timerListen, now+r.spec.Interval)
	default:
		return fx
	}
	r.counters.Stalls++
	return append(fx, Effect{Kind: Tell, Notice: Notice{Kind: NoticeStalled, Interval: e.Late}})
}

// listenReceived: whoever is heard after our stall took over in it. It is left
// to Backup's rules, preemption included, whether that should change again.
func (r *Router) listenReceived(now time.Duration, e *Received, fx []Effect) []Effect {
	if e.Advert.Priority == PriorityStop {
		return fx
	}
	r.remember(e)
	r.activeInterval, r.following = e.Advert.Interval, true
	why := r.evidence(now, Reason{Cause: CauseReplacedInStall})
	why.Silence = r.stalled
	// It may not know that we answered for the addresses all the time. A better
	// one than it must not say so: it would step down for us, who listen.
	if r.spec.Farewell && (e.Advert.Priority > r.priority || e.Advert.Priority == r.priority && e.Src.Compare(r.source) > 0) {
		fx = r.send(now, r.priority, fx)
	}
	// From now, not from the arrival: it may have waited as long as we did, and
	// the new Active deserves the whole interval.
	return r.enterBackup(now, now, why, fx)
}

func (r *Router) onPriority(now time.Duration, e SetPriority, fx []Effect) []Effect {
	if r.spec.Priority == PriorityOwner {
		return fx
	}
	return r.setPriority(now, min(max(e.Priority, 1), 254), e.Ask, e.Detail, fx)
}

// setPriority takes over a new effective priority: an Active says so at once, or
// asks whether anybody is better, and a Backup's running timer moves by the
// difference of the skews.
func (r *Router) setPriority(now time.Duration, p uint8, ask bool, detail string, fx []Effect) []Effect {
	if p == r.priority {
		return fx
	}
	before, fell := r.skewTime(), p < r.priority
	r.priority = p
	switch r.state {
	case Backup:
		switch {
		case r.ready:
			r.reconsider(now)
		case r.recalled != nil:
			// Its timer runs from the moment at which the link is known.
		default:
			r.arm(timerActiveDown, max(r.timers[timerActiveDown]+r.skewTime()-before, now))
		}
	case Active:
		switch {
		case r.recalled != nil:
			// The first advert says it, as soon as the link is known.
		case r.asking && r.leaving.Cause == CauseMoved && !fell:
			// It is on its way out, whatever it would be worth.
		case r.asking && !fell:
			return r.resume(now, fx) // the question has answered itself
		case ask && fell && (!r.yielding || r.asking) && r.timers[timerListen] == Never:
			return r.ask(now, Reason{Cause: CauseDegraded, Detail: detail}, fx)
		case !r.yielding && r.timers[timerListen] == Never:
			r.arm(timerAdver, onGrid(now+r.spec.Interval))
			fx = r.send(now, p, fx)
		}
	}
	return fx
}

// reconsider takes back a win that rested on our rank, where that has fallen
// before the Group decided. A win by silence stands.
func (r *Router) reconsider(now time.Duration) {
	switch r.won.Cause {
	case CausePreempted, CausePreemptHold:
		r.ready = r.ready && r.preempts() && r.won.PeerPriority < r.priority
	case CauseOwnerStartup:
		r.ready = r.ready && r.priority == PriorityOwner
	}
	if !r.ready && r.timers[timerActiveDown] == Never {
		r.arm(timerActiveDown, now+r.downInterval())
	}
}

// onConfigure applies a reload. What did not change has no effect at all.
func (r *Router) onConfigure(now time.Duration, e Configure, fx []Effect) []Effect {
	old := r.spec
	r.spec = e.Spec
	if old.Interval != e.Spec.Interval {
		switch r.state {
		case Initialize:
			r.activeInterval = e.Spec.Interval
		case Backup:
			if !r.following || r.spec.V() == Version2 { // nothing learned: ours is the guess
				r.guess(now, e.Spec.Interval)
			}
		case Active:
			r.activeInterval = e.Spec.Interval
			if r.timers[timerAdver] != Never {
				r.arm(timerAdver, min(r.timers[timerAdver], onGrid(now+e.Spec.Interval)))
			}
		}
	}
	if old.PreemptDelay != e.Spec.PreemptDelay || !r.preempts() {
		r.disarm(timerHold)
	}
	switch {
	case e.Priority != 0:
		fx = r.setPriority(now, e.Priority, e.Ask, e.Detail, fx)
	case old.Priority != e.Spec.Priority:
		fx = r.setPriority(now, e.Spec.Priority, e.Ask, e.Detail, fx)
	}
	// A wait that runs may end earlier than it was meant to, not later.
	if r.timers[timerSettle] != Never {
		r.arm(timerSettle, min(r.timers[timerSettle], now+r.spec.Settle))
	}
	if r.timers[timerLink] != Never {
		r.arm(timerLink, min(r.timers[timerLink], now+r.spec.LinkDownDelay))
	}
	if r.ready {
		r.reconsider(now) // preemption may have been turned off
	}
	if r.ready && !r.spec.Grouped {
		return r.enterActive(now, r.won, fx) // nobody is left to decide
	}
	if r.state == Active && !slices.Equal(old.Addresses, e.Spec.Addresses) && !r.yielding {
		fx = append(fx, Effect{Kind: Hold, Term: r.term}, Effect{Kind: Announce, Term: r.term})
	}
	return fx
}

// guess moves a Backup's timer by what another interval changes of it. A
// resignation's Skew_Time, and a grant, run on as they are.
func (r *Router) guess(now, interval time.Duration) {
	before := r.downInterval()
	r.activeInterval = interval
	if !r.ready && !r.resigned.IsValid() && r.recalled == nil {
		r.arm(timerActiveDown, max(now, r.grant, r.timers[timerActiveDown]+r.downInterval()-before))
	}
}
