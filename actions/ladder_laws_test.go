package actions_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// laws is what holds in every history of a ladder, whatever happens to it. It
// knows events and effects, and what the ladder shows of itself.
type laws struct {
	spec    actions.LadderSpec // in force
	next    *actions.LadderSpec
	up      bool
	limit   int
	leaving bool
	managed bool

	last    uint64
	flight  []inFlight
	unclean map[string]bool // an Up failed, its Down has not run
	reboots int             // since the last clear, or since nothing was stuck
	claim   evidence
	claimed bool
	doubted bool // maintenance since the aim went up
	renewed bool // the claim begins anew, for that
}

type inFlight struct {
	job      actions.Job
	canceled bool
}

// evidence is what lets a host take exclusive data in mode fence.
type evidence struct {
	none, released, fenced, confirmed bool
}

func newLaws(spec actions.LadderSpec) *laws {
	return &laws{spec: spec, limit: len(spec.Steps), managed: true, unclean: map[string]bool{}}
}

func (w *laws) leave() { w.leaving = true }

func moving(v actions.Verb) bool {
	return v == actions.Start || v == actions.Stop || v == actions.ForceStop
}

// judge compares one step of the ladder with the laws.
func (w *laws) judge(now time.Duration, ev actions.LadderEvent, fx []actions.LadderEffect, l *actions.Ladder) error {
	v := l.View(now)
	w.renewed = false
	if err := w.hear(ev, l, &v); err != nil {
		return err
	}
	for i := range fx {
		var err error
		switch e := &fx[i]; e.Kind {
		case actions.DoJob:
			err = w.given(e, &v)
		case actions.CancelJob:
			err = w.canceled(e, &v)
		default:
			err = must(e.Text != "" && (e.Name != "") == (e.Step >= 0), "a text without words, or of no step")
		}
		if err != nil {
			return fmt.Errorf("effect %d: %w", i, err)
		}
	}
	for _, check := range []func(time.Duration, *actions.Ladder, *actions.LadderView) error{w.wanted, w.claims, w.held, w.shown, w.rests} {
		if err := check(now, l, &v); err != nil {
			return err
		}
	}
	return nil
}

func must(ok bool, what string) error {
	if ok {
		return nil
	}
	return fmt.Errorf("law: %s", what)
}

// hear keeps what an event says.
func (w *laws) hear(ev actions.LadderEvent, l *actions.Ladder, v *actions.LadderView) error {
	switch e := ev.(type) {
	case actions.Aim:
		if e.Up && !w.up {
			w.claim = evidence{}
			w.renewed, w.doubted = w.doubted, !w.managed
		}
		if e.Up && e.Peer == actions.PeerNone {
			w.claim.none = true
		}
		w.up = e.Up
	case actions.PeerReleased:
		w.claim.released = w.up
	case actions.Confirm:
		w.claim.confirmed = w.up
	case actions.ClearFailures:
		w.reboots = 0
	case actions.LimitHeight:
		w.limit = e.Height
	case actions.Manage:
		w.doubted = w.doubted || e.On != w.managed
		w.managed = e.On
	case actions.ConfigureLadder:
		w.next = &e.Spec
	case actions.Done:
		w.answered(&e, v)
	}
	if w.next != nil && !v.Reconfiguring {
		if w.limit >= len(w.spec.Steps) {
			w.limit = len(w.next.Steps)
		}
		w.spec, w.next = *w.next, nil
	}
	if _, ok := ev.(actions.ConfigureLadder); ok && !l.Spec().Equal(&w.spec) {
		return errors.New("law: another specification")
	}
	return must(v.Managed == w.managed, "managed otherwise")
}

func (w *laws) answered(d *actions.Done, v *actions.LadderView) {
	for i := range w.flight {
		job := &w.flight[i].job
		if job.Job != d.Job {
			continue
		}
		switch {
		case job.Verb == actions.Start:
			w.unclean[job.Name] = !d.OK && d.State != actions.Down
		case job.Verb == actions.Fence && d.OK:
			w.claim.fenced = true
		case job.Verb == actions.Look && !job.Monitor && (d.OK && d.State != actions.Neither || d.Hopeless):
			w.unclean[job.Name] = false // the fact, after maintenance; or it is not there at all
		}
		w.flight = slices.Delete(w.flight, i, i+1)
		return
	}
}

// given judges a job that was given out.
func (w *laws) given(e *actions.LadderEffect, v *actions.LadderView) error {
	j := &e.Job
	if j.Job <= w.last || j.Group != 1 || j.Step != e.Step || j.Timeout <= 0 || j.Node != "web1" {
		return fmt.Errorf("law: a job that is badly made: %+v", j)
	}
	w.last = j.Job
	for _, f := range w.flight {
		switch {
		case f.job.Step == j.Step && f.job.Verb != actions.Reboot && j.Verb != actions.Reboot:
			return fmt.Errorf("law: %v besides %v at step %d", j.Verb, f.job.Verb, j.Step)
		case moving(j.Verb) && (moving(f.job.Verb) || f.job.Verb == actions.Prepare), j.Verb == actions.Prepare && moving(f.job.Verb):
			return fmt.Errorf("law: %v at step %d besides %v at step %d", j.Verb, j.Step, f.job.Verb, f.job.Step)
		}
	}
	w.flight = append(w.flight, inFlight{job: *j})
	if j.Verb != actions.Look && j.Verb != actions.Qualify && !w.managed {
		return fmt.Errorf("law: %v while not managed", j.Verb)
	}
	if j.Step < 0 {
		if j.Verb == actions.Reboot {
			w.reboots++
			return must(w.reboots == 1 && w.spec.OnStuck == actions.StuckReboot, "reboots twice, or unasked")
		}
		return must(j.Verb == actions.Fence && w.spec.Safety.Mode == actions.SafetyFence && !v.Claimed && w.up, "a fence that is not needed")
	}
	return w.placed(j, v)
}

// placed: what moves a step comes in the order of the steps.
func (w *laws) placed(j *actions.Job, v *actions.LadderView) error {
	if moving(j.Verb) || j.Verb == actions.Prepare {
		for i := j.Step + 1; i < len(v.Steps); i++ {
			if v.Steps[i].State != actions.Down {
				return fmt.Errorf("law: %v of step %d while step %d is %v", j.Verb, j.Step, i, v.Steps[i].State)
			}
		}
	}
	switch j.Verb {
	case actions.Start:
		for i := range j.Step {
			if v.Steps[i].State != actions.Up {
				return fmt.Errorf("law: start of step %d while step %d is %v", j.Step, i, v.Steps[i].State)
			}
		}
		for name, is := range w.unclean {
			if is {
				return fmt.Errorf("law: start of %s before the stop of %s, whose start failed", j.Name, name)
			}
		}
		if j.Step >= w.spec.Exclusive() && !v.Claimed {
			return fmt.Errorf("law: start of %s without a claim", j.Name)
		}
		return must(!v.Steps[j.Step].Stuck, "start of a stuck step")
	case actions.Stop, actions.ForceStop:
		delete(w.unclean, j.Name)
	case actions.Look:
		return must(!j.Monitor || v.Steps[j.Step].State == actions.Up, "monitor of a step that is not up")
	}
	return nil
}

// canceled: only what may be interrupted is, and once.
func (w *laws) canceled(e *actions.LadderEffect, v *actions.LadderView) error {
	job := e.Job.Job
	for i := range w.flight {
		f := &w.flight[i]
		if f.job.Job != job {
			continue
		}
		if f.canceled {
			return fmt.Errorf("law: %v canceled twice", f.job.Verb)
		}
		f.canceled = true
		ok := f.job.Verb == actions.Start || f.job.Verb == actions.Look && f.job.Monitor || f.job.Verb == actions.Qualify || f.job.Verb == actions.Fence || f.job.Verb == actions.Prepare && w.up
		if f.job.Verb == actions.Look && e.Step >= 0 && v.Steps[e.Step].Monitor && v.Steps[e.Step].State == actions.Down {
			ok = true // whether somebody else has brought up what is down for us
		}
		return must(ok, "a "+f.job.Verb.String()+" was canceled")
	}
	return fmt.Errorf("law: job %d is not under way and was canceled", job)
}

// want is how many steps should be up, as the laws see it.
func (w *laws) want(v *actions.LadderView) int {
	if !w.up || w.leaving || v.Unfit != nil {
		return 0
	}
	n := min(w.limit, len(w.spec.Steps))
	for i := 0; w.next != nil && i < n; i++ {
		if i >= len(w.next.Steps) || !same(&w.spec.Steps[i], &w.next.Steps[i]) {
			return i
		}
	}
	return n
}

func same(a, b *actions.StepSpec) bool {
	x, y := actions.StepSpec{Name: a.Name, Agent: a.Agent}, actions.StepSpec{Name: b.Name, Agent: b.Agent}
	return x.Equal(&y)
}

// wanted: a Start under way is wanted and has what it stands on, or is canceled.
func (w *laws) wanted(_ time.Duration, _ *actions.Ladder, v *actions.LadderView) error {
	for _, f := range w.flight {
		if f.job.Verb == actions.Start && !f.canceled && w.managed && (f.job.Step >= w.want(v) || f.job.Step > v.Height) {
			return fmt.Errorf("law: the start of step %d is not wanted, and goes on", f.job.Step)
		}
	}
	return nil
}

// claims: exclusive data is taken for a reason.
func (w *laws) claims(_ time.Duration, _ *actions.Ladder, v *actions.LadderView) error {
	was := w.claimed
	w.claimed = v.Claimed
	if v.Claimed && !was {
		e := w.claim
		return must(w.spec.Safety.Mode != actions.SafetyFence || e.none || e.released || e.fenced || e.confirmed, "exclusive data is taken without a reason")
	}
	if was && !v.Claimed && !w.renewed {
		for i := w.spec.Exclusive(); i < len(v.Steps); i++ {
			if s := v.Steps[i].State; w.spec.Steps[i].Agent.Exclusive() && s != actions.Down && s != actions.Unknown { // unknown: new
				return fmt.Errorf("law: the claim was given up while step %d is %v", i, v.Steps[i].State)
			}
		}
	}
	return nil
}

// held: hold-offs are bounded and expire.
func (w *laws) held(now time.Duration, _ *actions.Ladder, v *actions.LadderView) error {
	stuck := false
	for i := range v.Steps {
		stuck = stuck || v.Steps[i].Stuck
	}
	if !stuck {
		w.reboots = 0
	}
	if v.Unfit == nil {
		return nil
	}
	if until := v.Unfit.Until; until != actions.Never && (until <= now || until > now+w.spec.HoldOffMax) || until == actions.Never && v.Bottom {
		return fmt.Errorf("law: a hold-off until %v at %v", until, now)
	}
	return nil
}

// shown: the view is not in contradiction with itself or with what is under way.
func (w *laws) shown(_ time.Duration, l *actions.Ladder, v *actions.LadderView) error {
	for _, f := range w.flight {
		if moving(f.job.Verb) && (v.Ready && f.job.Step < v.Limit || v.Bottom) {
			return fmt.Errorf("law: ready or at the bottom during a %v", f.job.Verb)
		}
		if f.job.Verb != actions.Reboot && l.Idle() {
			return fmt.Errorf("law: idle during a %v", f.job.Verb)
		}
		if f.job.Step >= 0 && !v.Steps[f.job.Step].Working {
			return fmt.Errorf("law: a %v that the ladder does not know of", f.job.Verb)
		}
	}
	if v.Ready {
		return must(v.Aim && v.Unfit == nil && v.Height >= min(v.Limit, len(v.Steps)), "ready without being up")
	}
	return nil
}

// rests: whoever waits for nothing is where it should be; the deadline lies ahead.
func (w *laws) rests(now time.Duration, l *actions.Ladder, v *actions.LadderView) error {
	at := l.Deadline()
	if at <= now {
		return fmt.Errorf("law: the deadline is %v at %v", at, now)
	}
	for _, f := range w.flight {
		if f.job.Verb != actions.Reboot {
			return nil
		}
	}
	if at != actions.Never || !w.managed {
		return nil
	}
	n := w.want(v)
	if v.Height < n || v.Reconfiguring {
		return fmt.Errorf("law: waits for nothing at height %d, wanted %d, reconfiguring %v", v.Height, n, v.Reconfiguring)
	}
	for i := n; i < len(v.Steps); i++ {
		if v.Steps[i].State != actions.Down {
			return fmt.Errorf("law: waits for nothing while step %d is %v", i, v.Steps[i].State)
		}
	}
	return must(v.Known || v.Leaving, "waits for nothing and does not know everything")
}
