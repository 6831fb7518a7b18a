package vrrp

import "time"

// What an operator's hand and a service group ask of the election.

func (r *Router) onStepAside(now time.Duration, e StepAside, fx []Effect) []Effect {
	if r.state != Active || r.stopped || r.yielding && !r.asking {
		return fx
	}
	r.leaving = Reason{Cause: CauseMoved, Detail: e.Detail}
	if !r.yielding {
		r.yielding, r.asking, r.asked = true, true, now
		r.disarm(timerAdver, timerListen, timerRepeat)
		fx = r.send(now, PriorityStop, fx)
		fx = append(fx, Effect{Kind: Tell, Notice: Notice{Kind: NoticeYielding, Interval: r.yieldWait()}})
	}
	if r.timers[timerLinger] == Never {
		r.arm(timerYield, now+r.yieldWait())
	}
	return fx
}

func (r *Router) onTakeOver(now time.Duration, e TakeOver, fx []Effect) []Effect {
	if r.state != Backup || r.ready || r.timers[timerLink] != Never {
		return fx
	}
	r.aside = false
	return r.win(now, r.evidence(now, Reason{Cause: CauseMoved, Detail: e.Detail}), fx)
}

// onLetGo may be sent from Initialize as well: whoever left on request, or for a
// fault in peace, still has a link.
func (r *Router) onLetGo(now time.Duration, fx []Effect) []Effect {
	if !r.CanLetGo() {
		return fx
	}
	return r.send(now, PriorityStop, fx)
}

// CanLetGo reports whether LetGo would be heard: the router is not Active, and has a link.
func (r *Router) CanLetGo() bool {
	return r.state != Active && r.source.IsValid() && (r.fault == FaultNone || r.fault.Peaceful())
}
