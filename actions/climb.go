package actions

import (
	"fmt"
	"time"
)

// The way up and the way down: one step at a time.

// advance gives out what can be done now.
func (l *Ladder) advance(now time.Duration, fx []LadderEffect) []LadderEffect {
	l.adopt()
	l.dropClaim()
	l.settle(now) // before moving: what a hold-off has kept down may go up when it ends
	if l.managed {
		fx = l.interrupt(fx)
	}
	fx, looking := l.lookFirst(now, fx)
	if !looking && l.managed {
		fx = l.move(now, fx)
	}
	return l.watch(now, fx)
}

// lookFirst asks what is up, of steps of which nothing is known. While an
// answer is missing nothing else is done.
func (l *Ladder) lookFirst(now time.Duration, fx []LadderEffect) ([]LadderEffect, bool) {
	looking := false
	for i := range l.steps {
		r := &l.steps[i]
		if r.looked {
			continue
		}
		looking = true
		if r.job == 0 && now >= r.lookAt {
			fx = l.give(now, i, Look, r.spec.Monitor.Timeout, fx)
		}
	}
	return fx, looking
}

// move takes the next step of the way to the wanted height. Jobs that change
// something are given out one at a time.
func (l *Ladder) move(now time.Duration, fx []LadderEffect) []LadderEffect {
	want := l.want()
	busy := false
	top, low := -1, len(l.steps)
	for i := range l.steps {
		r := &l.steps[i]
		if r.job != 0 && r.verb != Qualify && !r.monitor {
			busy = true
		}
		if r.job != 0 && r.verb == Prepare && want > 0 && !r.canceled { // it would hold up the climb
			r.canceled = true
			fx = append(fx, LadderEffect{Kind: CancelJob, Step: i, Name: r.spec.Name, Job: Job{Group: l.id, Job: r.job}})
		}
		if r.state != Down {
			top = i
		}
		if r.state != Up && low == len(l.steps) {
			low = i
		}
	}
	switch {
	case busy:
	case top >= 0 && (top >= want || top > low || l.steps[top].state != Up):
		fx = l.down(now, top, fx)
	case low < want:
		fx = l.climb(now, low, fx)
	}
	return fx
}

// interrupt ends a Start that is not wanted any more, or has lost what it
// stands on. An Up may be interrupted, a Down may not.
func (l *Ladder) interrupt(fx []LadderEffect) []LadderEffect {
	want, height := l.want(), l.Height()
	for i := range l.steps {
		if r := &l.steps[i]; r.job != 0 && r.verb == Start && (i >= want || i > height) {
			fx, _ = l.free(i, fx)
		}
	}
	return fx
}

// climb brings up step i, if exclusive data may be touched.
func (l *Ladder) climb(now time.Duration, i int, fx []LadderEffect) []LadderEffect {
	r := &l.steps[i]
	if i >= l.spec.Exclusive() {
		var granted bool
		if fx, granted = l.claimed(now, fx); !granted {
			return fx
		}
	}
	if now < r.notBefore {
		return fx
	}
	fx, free := l.free(i, fx)
	if !free {
		return fx
	}
	r.counters.Starts++
	return l.give(now, i, Start, r.spec.StartTimeout, fx)
}

// down brings down step i: stop, stop again, force, and after each the fact.
func (l *Ladder) down(now time.Duration, i int, fx []LadderEffect) []LadderEffect {
	r := &l.steps[i]
	if now < r.notBefore && (r.stuck || r.stopping > 0) { // else it is the pause before the next Start
		return fx
	}
	fx, free := l.free(i, fx)
	if !free {
		return fx
	}
	switch {
	case r.stuck:
		r.checking = true
		return l.lastResort(r, l.give(now, i, Look, r.spec.Monitor.Timeout, fx))
	case r.stopping >= stopTries:
		r.forced = true
		return l.give(now, i, ForceStop, r.spec.StopTimeout, fx)
	default:
		if r.stopping == 0 {
			r.descends = now
		}
		r.counters.Stops++
		return l.give(now, i, Stop, r.spec.StopTimeout, fx)
	}
}

// free cancels what is under way at a step, and reports whether nothing was.
func (l *Ladder) free(i int, fx []LadderEffect) ([]LadderEffect, bool) {
	r := &l.steps[i]
	if r.job == 0 {
		return fx, true
	}
	if !r.canceled {
		r.canceled = true
		fx = append(fx, LadderEffect{Kind: CancelJob, Step: i, Job: Job{Group: l.id, Job: r.job}})
	}
	return fx, false
}

// give gives out a job.
func (l *Ladder) give(now time.Duration, i int, v Verb, timeout time.Duration, fx []LadderEffect) []LadderEffect {
	r := &l.steps[i]
	l.lastJob++
	r.job, r.verb, r.monitor, r.canceled, r.began, r.progress = l.lastJob, v, false, false, now, ""
	if v.moves() {
		r.set(now, Neither) // until it is answered
	}
	return append(fx, LadderEffect{Kind: DoJob, Step: i, Job: Job{Group: l.id, Job: l.lastJob, Step: i, Verb: v, Agent: r.spec.Agent,
		Name: l.spec.Name + "/" + r.spec.Name, Node: l.node, Timeout: timeout, Interval: r.spec.Monitor.Interval}})
}

// onDone takes in what a job has come to. An answer to no job is ignored.
func (l *Ladder) onDone(now time.Duration, d *Done, fx []LadderEffect) []LadderEffect {
	if d.Job != 0 && d.Job == l.claim.job {
		return l.fenced(now, d, fx)
	}
	if d.Job != 0 && d.Job == l.reboot {
		if l.reboot = 0; d.OK {
			return fx
		}
		return append(fx, LadderEffect{Kind: Note, Step: -1, How: Alarm, Text: withDetail("this host could not be rebooted", d.Detail)})
	}
	r := l.holder(d.Job)
	if r == nil {
		return fx
	}
	r.job, r.progress = 0, ""
	if !d.Canceled {
		r.output = d.Output
	}
	switch {
	case r.verb == Start:
		return l.started(now, r, d, fx)
	case r.verb == Stop, r.verb == ForceStop:
		return l.stopped(now, r, d, fx)
	case r.verb == Prepare:
		return l.onPrepared(now, r, d, fx)
	case r.verb == Qualify:
		return l.onQualified(now, r, d, fx)
	case r.checking, r.stuck:
		return l.checked(now, r, d, fx)
	case !r.looked:
		return l.firstLook(now, r, d, fx)
	default:
		return l.monitored(now, r, d, fx)
	}
}

// firstLook: what is up already, at the start and after maintenance. What
// cannot be told must come down before anything else, but for what is not there
// at all, and for what was up before.
func (l *Ladder) firstLook(now time.Duration, r *rung, d *Done, fx []LadderEffect) []LadderEffect {
	if d.Canceled {
		if r.lookAt = now; !r.canceled {
			r.lookAt = now + retryPause // the hands did not want to
		}
		return fx
	}
	r.found(d)
	was := r.state
	r.looked, r.lastAt, r.detail, r.degraded = true, now, d.Detail, d.Degraded
	r.stopping, r.forced, r.failures, r.notBefore = 0, false, 0, 0
	switch {
	case d.OK && d.State == Unknown:
		// It is as the last start or stop has left it.
	case d.OK:
		r.set(now, d.State)
	case d.Hopeless && !r.seen:
		r.set(now, Down)
		r.qualified = qualification{asked: true, why: d.Detail}
	case was != Up:
		r.set(now, Unknown)
	}
	r.tend(now)
	switch {
	case r.state == was:
	case r.state == Up:
		fx = append(fx, LadderEffect{Kind: StepMoved, Step: l.index(r), To: Up, Text: "is up already"})
	case was == Up:
		fx = append(fx, LadderEffect{Kind: StepMoved, Step: l.index(r), To: r.state, How: Warn,
			Text: withDetail(fmt.Sprintf("is %s after maintenance", r.state), d.Detail)})
	}
	return fx
}

// tend sets when the step is looked at next.
func (r *rung) tend(now time.Duration) {
	switch {
	case r.state == Up && r.spec.Monitor.Interval > 0:
		r.due = now + r.spec.Monitor.Interval
	case r.state == Down:
		r.due = now
	default:
		r.due = Never
	}
}

func (l *Ladder) started(now time.Duration, r *rung, d *Done, fx []LadderEffect) []LadderEffect {
	i := l.index(r)
	r.seen = d.OK || !d.Hopeless && d.State != Down
	if d.OK {
		r.set(now, Up)
		r.tries, r.failures, r.detail, r.degraded, r.lastAt = 0, 0, d.Detail, d.Degraded, now
		r.qualified = qualification{asked: true, ok: true}
		r.tend(now)
		return append(fx, LadderEffect{Kind: StepMoved, Step: i, To: Up, Took: d.Took, Text: withDetail("is up", d.Detail)})
	}
	r.set(now, Neither)
	if d.State == Down {
		r.set(now, Down) // nothing has happened, and the agent knows
		r.tend(now)
	}
	r.detail = d.Detail
	if d.Canceled && !r.canceled {
		r.notBefore = now + retryPause // the hands did not want to
	}
	if d.Canceled || r.canceled || i >= l.want() {
		return append(fx, LadderEffect{Kind: StepMoved, Step: i, To: r.state, Took: d.Took, Text: "start interrupted"})
	}
	r.tries++
	r.counters.StartFailures++
	r.notBefore = now + retryPause
	fx = append(fx, LadderEffect{Kind: StepMoved, Step: i, To: r.state, Took: d.Took, How: Warn, Text: withDetail("did not start", d.Detail)})
	if d.Hopeless || r.tries > r.spec.Retries {
		r.notBefore = 0
		r.qualified = qualification{asked: true, ok: !d.Hopeless, why: d.Detail}
		return l.fail(now, r, "did not start: "+d.Detail, fx)
	}
	return fx
}

// stopped: the exit code is one thing, the fact another. The fact decides.
func (l *Ladder) stopped(now time.Duration, r *rung, d *Done, fx []LadderEffect) []LadderEffect {
	r.stopWhy = ""
	if !d.OK {
		r.counters.StopFailures++
		r.stopWhy = d.Detail
		if r.stopWhy == "" {
			r.stopWhy = "failed without a word"
		}
	}
	r.detail = d.Detail
	r.checking = true
	return l.give(now, l.index(r), Look, r.spec.Monitor.Timeout, fx)
}

// checked: what the way down of one step has come to.
func (l *Ladder) checked(now time.Duration, r *rung, d *Done, fx []LadderEffect) []LadderEffect {
	i := l.index(r)
	r.found(d)
	r.checking, r.looked, r.lastAt = false, true, now
	down := d.OK && (d.State == Down || d.State == Unknown && r.stopWhy == "" && !r.stuck) || d.Hopeless && !r.seen
	switch {
	case down:
		text, how := "is down", Quiet
		switch {
		case r.stopWhy == "" && !r.stuck:
			text = withDetail(text, r.detail) // of the stop, which may have ended processes
		case r.stopWhy != "":
			text, how = fmt.Sprintf("is down, although its stop failed: %s", r.stopWhy), Warn
		}
		r.set(now, Down)
		r.stopping, r.forced, r.stuck, r.seen, r.stopWhy, r.degraded, r.detail = 0, false, false, false, "", false, d.Detail
		l.freed()
		r.tend(now)
		return append(fx, LadderEffect{Kind: StepMoved, Step: i, To: Down, Took: now - r.descends, How: how, Text: text})
	case r.stuck && d.OK && d.State == Up && i < l.want():
		r.set(now, Up) // wanted again, and never down
		r.stopping, r.forced, r.stuck, r.notBefore = 0, false, false, 0
		l.freed()
		r.tend(now)
		return append(fx, LadderEffect{Kind: StepMoved, Step: i, To: Up, Text: "could not be stopped, and is wanted again"})
	case r.stuck:
		r.notBefore = now + stuckPause
		return fx
	case r.forced:
		return l.jam(now, r, d, fx)
	}
	r.set(now, Neither)
	r.stopping++
	if r.stopping < stopTries {
		r.notBefore = now + retryPause
	}
	return append(fx, LadderEffect{Kind: StepMoved, Step: i, To: Neither, How: Warn, Text: withDetail("did not stop", r.whyNotDown(d))})
}

// jam: nothing has helped. Nothing below is touched; the host waits for help, or reboots.
func (l *Ladder) jam(now time.Duration, r *rung, d *Done, fx []LadderEffect) []LadderEffect {
	i := l.index(r)
	r.set(now, Neither)
	r.stuck, r.notBefore = true, now+stuckPause
	r.detail = r.whyNotDown(d)
	fx = append(fx, LadderEffect{Kind: Note, Step: i, How: Alarm,
		Text: fmt.Sprintf("%s is stuck: it cannot be brought down, and nothing below it is touched: %s", r.spec.Name, r.detail)})
	return l.lastResort(r, fx)
}

// lastResort reboots the host for a stuck step, once, if that is configured. What
// was never up is no reason: it might reboot at each boot.
func (l *Ladder) lastResort(r *rung, fx []LadderEffect) []LadderEffect {
	if l.spec.OnStuck != StuckReboot || l.rebooted || !r.seen || !l.managed {
		return fx
	}
	l.lastJob++
	l.rebooted, l.reboot = true, l.lastJob
	return append(fx, LadderEffect{Kind: DoJob, Step: -1, Job: Job{Group: l.id, Job: l.lastJob, Step: -1, Verb: Reboot,
		Name: l.spec.Name, Node: l.node, Timeout: 10 * time.Second}})
}

// freed: when nothing is stuck any more, the next that is may reboot the host again.
func (l *Ladder) freed() {
	if _, _, still := l.Stuck(); !still {
		l.rebooted = false
	}
}

// whyNotDown joins what the stop said with what was found after it.
func (r *rung) whyNotDown(d *Done) string {
	switch {
	case r.stopWhy == "":
		return d.Detail
	case d.Detail == "" || d.Detail == r.stopWhy:
		return r.stopWhy
	default:
		return r.stopWhy + "; " + d.Detail
	}
}

func withDetail(text, detail string) string {
	if detail == "" {
		return text
	}
	return text + ": " + detail
}
