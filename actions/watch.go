package actions

import (
	"fmt"
	"slices"
	"time"
)

// Looking: at what is up, whether it still is; at what is down, whether this
// host could bring it up.

// watch gives out the looks that are due.
func (l *Ladder) watch(now time.Duration, fx []LadderEffect) []LadderEffect {
	keep := l.keep()
	for i := range l.steps {
		r := &l.steps[i]
		if r.job != 0 || !r.looked || now < r.due || r.stuck {
			continue
		}
		switch {
		case r.state == Up && r.spec.Monitor.Interval > 0:
			fx = l.give(now, i, Look, r.spec.Monitor.Timeout, fx)
			r.monitor = true
			fx[len(fx)-1].Job.Monitor = true
		case r.state != Down || l.want() > 0 && l.managed || l.leaving:
			// On its way, or about to be: the start asks by itself.
		case !l.managed, i >= keep: // a step that goes is not asked; that would delay its going
		case !r.prepared && !l.Bottom():
			// What still comes down may be what it needs.
		case !r.prepared:
			fx = l.give(now, i, Prepare, r.spec.StartTimeout, fx)
		case l.spec.Qualify > 0 && r.qualified.asked && r.spec.Monitor.Interval > 0 && now-r.lastAt >= r.spec.Monitor.Interval:
			// A look like the first one, not a monitor: it is not expected to be there.
			fx = l.give(now, i, Look, r.spec.Monitor.Timeout, fx)
			r.monitor = true
		case l.spec.Qualify > 0 || !r.qualified.asked || r.qualified.again:
			fx = l.give(now, i, Qualify, r.spec.Monitor.Timeout, fx)
		}
	}
	return fx
}

func (l *Ladder) onPrepared(now time.Duration, r *rung, d *Done, fx []LadderEffect) []LadderEffect {
	r.due = now
	switch {
	case d.Canceled:
		r.due = now + preparePause
	case d.OK:
		r.prepared = true
	case d.Hopeless:
		r.prepared = true // asked again when a Qualify says no
		fx = l.judgeFitness(r, d, fx)
	default:
		r.due = now + preparePause
		fx = l.judgeFitness(r, d, fx)
	}
	return fx
}

func (l *Ladder) onQualified(now time.Duration, r *rung, d *Done, fx []LadderEffect) []LadderEffect {
	if d.Canceled {
		if r.due = now; !r.canceled {
			r.due = now + preparePause // the hands did not want to
		}
		return fx
	}
	switch {
	case l.spec.Qualify > 0:
		r.due = now + l.spec.Qualify
	case d.OK || d.Hopeless:
		r.due = Never
	default:
		r.due = now + preparePause // who is asked once only is not out for ever
	}
	if !d.OK {
		r.prepared = false // what it needs may have gone (drbd: down)
	}
	return l.judgeFitness(r, d, fx)
}

// judgeFitness notes whether this host could bring a step up.
func (l *Ladder) judgeFitness(r *rung, d *Done, fx []LadderEffect) []LadderEffect {
	was := r.qualified
	r.qualified = qualification{asked: true, ok: d.OK, again: !d.OK && !d.Hopeless, why: d.Detail}
	r.detail = d.Detail
	i := l.index(r)
	switch {
	case !d.OK && (!was.asked || was.ok):
		fx = append(fx, LadderEffect{Kind: Note, Step: i, How: Warn, Text: fmt.Sprintf("%s could not be brought up here: %s", r.spec.Name, d.Detail)})
	case d.OK && was.asked && !was.ok:
		fx = append(fx, LadderEffect{Kind: Note, Step: i, Text: fmt.Sprintf("%s could be brought up here again", r.spec.Name)})
	}
	return fx
}

// monitored: a look at a step that was up.
func (l *Ladder) monitored(now time.Duration, r *rung, d *Done, fx []LadderEffect) []LadderEffect {
	if d.Canceled && !r.canceled {
		r.due = now + r.spec.Monitor.Interval // the hands did not want to
	}
	if !d.Canceled && r.state == Down {
		return l.strayed(now, r, d, fx)
	}
	if d.Canceled || r.state != Up {
		return fx
	}
	i := l.index(r)
	r.lastAt = now
	r.due = now + r.spec.Monitor.Interval
	r.counters.Monitors++
	switch {
	case !d.OK, d.State == Unknown:
		// Could not be found out: that says nothing about the service.
		if d.Detail != "" && d.Detail != r.detail {
			fx = append(fx, LadderEffect{Kind: Note, Step: i, How: Warn, Text: fmt.Sprintf("%s cannot be looked at: %s", r.spec.Name, d.Detail)})
		}
		r.detail = d.Detail
		return fx
	case d.State == Up:
		if d.Degraded && !r.degraded {
			fx = append(fx, LadderEffect{Kind: Note, Step: i, How: Warn, Text: fmt.Sprintf("%s is degraded: %s", r.spec.Name, d.Detail)})
		}
		r.failures, r.degraded, r.detail = 0, d.Degraded, d.Detail
		return fx
	}
	r.failures++
	r.counters.MonitorFailures++
	r.detail = d.Detail
	if r.failures < max(1, r.spec.Monitor.Failures) {
		return append(fx, LadderEffect{Kind: Note, Step: i, How: Warn,
			Text: fmt.Sprintf("%s: monitor failed, %d of %d: %s", r.spec.Name, r.failures, r.spec.Monitor.Failures, d.Detail)})
	}
	return l.broke(now, r, d, fx)
}

// strayed: a look at a step that is Down, on a host that does not serve. What is up
// there has been started by somebody else, maybe for a reason: it is told, and left alone.
func (l *Ladder) strayed(now time.Duration, r *rung, d *Done, fx []LadderEffect) []LadderEffect {
	r.lastAt, r.due = now, now // the next one is a Qualify
	was := r.stray
	switch {
	case !d.OK, d.State == Unknown:
		return fx // could not be found out
	case d.State != Up:
		r.stray = ""
	default:
		r.stray = d.Detail
		if r.stray == "" {
			r.stray = Up.String()
		}
	}
	switch i := l.index(r); {
	case was == "" && r.stray != "":
		fx = append(fx, LadderEffect{Kind: Note, Step: i, How: Warn,
			Text: withDetail(r.spec.Name+" is up although this host does not serve: somebody else has started it, and it is left alone", d.Detail)})
	case was != "" && r.stray == "":
		fx = append(fx, LadderEffect{Kind: Note, Step: i, Text: r.spec.Name + ", which somebody else had started, is down again"})
	}
	return fx
}

// broke: a step that was up is not. It is repaired in place, or another host serves.
func (l *Ladder) broke(now time.Duration, r *rung, d *Done, fx []LadderEffect) []LadderEffect {
	i := l.index(r)
	why := withDetail(fmt.Sprintf("is %s and should be up", d.State), d.Detail)
	switch {
	case !l.managed:
		if r.failures == max(1, r.spec.Monitor.Failures) {
			fx = append(fx, LadderEffect{Kind: Note, Step: i, How: Warn, Text: r.spec.Name + " " + why + "; not touched during maintenance"})
		}
		return fx
	case i >= l.want():
		r.set(now, Neither) // it comes down anyway
		return append(fx, LadderEffect{Kind: StepMoved, Step: i, To: Neither, How: Warn, Text: withDetail(fmt.Sprintf("is %s, on the way down", d.State), d.Detail)})
	case r.spec.OnFailure == OnFailureIgnore:
		if r.failures == max(1, r.spec.Monitor.Failures) {
			fx = append(fx, LadderEffect{Kind: Note, Step: i, How: Warn, Text: r.spec.Name + " " + why + "; ignored, as configured"})
		}
		r.degraded = true
		return fx
	case r.spec.OnFailure == OnFailureFailover:
		r.set(now, Neither)
		return l.fail(now, r, why, fx)
	}
	r.restarts = slices.DeleteFunc(r.restarts, func(at time.Duration) bool { return now-at >= r.spec.Window })
	r.set(now, Neither)
	if len(r.restarts) >= r.spec.Restarts {
		if r.spec.Restarts > 0 {
			why += fmt.Sprintf(" (restarted %d times within %s already)", len(r.restarts), r.spec.Window)
		}
		return l.fail(now, r, why, fx)
	}
	r.restarts = append(r.restarts, now)
	r.counters.Restarts++
	r.failures = 0
	return append(fx, LadderEffect{Kind: StepMoved, Step: i, To: Neither, How: Warn,
		Text: fmt.Sprintf("%s; restart %d of %d within %s", why, len(r.restarts), r.spec.Restarts, r.spec.Window)})
}

// settle keeps the group's own clocks: hold-offs, and how long it has been up.
func (l *Ladder) settle(now time.Duration) {
	if l.Ready() {
		if l.readyAt == Never {
			l.readyAt = now
		}
	} else {
		l.readyAt = Never
	}
	if l.readyAt != Never && now-l.readyAt >= calm {
		l.heldOff = 0
	}
	if l.unfit == nil {
		return
	}
	if l.unfit.Until == Never && l.Bottom() {
		l.unfit.Until = now + l.holdOff()
		l.heldOff++
	}
	if now >= l.unfit.Until {
		l.unfit = nil
		for i := range l.steps {
			l.steps[i].tries, l.steps[i].restarts = 0, nil
		}
	}
}

// holdOff is how long the next one is.
func (l *Ladder) holdOff() time.Duration {
	d := l.spec.HoldOff
	for i := 0; i < l.heldOff && d < l.spec.HoldOffMax; i++ {
		d *= 2
	}
	return min(d, l.spec.HoldOffMax)
}

// Deadline returns the instant at which the ladder wants a LadderTimeout, or
// Never. What was due at the last Step has been given out, or waits for a job
// to end and not for time.
func (l *Ladder) Deadline() time.Duration {
	next := Never
	future := func(at time.Duration) {
		if at > l.now {
			next = min(next, at)
		}
	}
	future(l.claim.at)
	if l.unfit != nil {
		future(l.unfit.Until)
	}
	if l.readyAt != Never && l.heldOff > 0 {
		future(l.readyAt + calm)
	}
	for i := range l.steps {
		if r := &l.steps[i]; r.job == 0 {
			future(r.notBefore)
			future(r.lookAt)
			future(r.due)
		}
	}
	return next
}
