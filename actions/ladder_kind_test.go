package actions_test

import (
	"errors"
	"fmt"

	"github.com/backbeat-ha/backbeat/actions"
)

// becomeKind: from now on all jobs succeed, orders do not change, and people
// have helped what was stuck. The ladder must reach its aim, with few jobs,
// and then rest.
func (w *world) becomeKind() error {
	w.kind = true
	leaves := w.n(10) == 0
	if leaves {
		w.l.Leave()
		w.laws.leave()
	}
	w.managed = true
	if err := first(w.step(actions.Manage{On: true}), w.aim(w.n(3) > 0), w.step(actions.LimitHeight{Height: 1 << 20})); err != nil {
		return err
	}
	before, helped := w.given, 0
	for range 1500 {
		if w.arrived(leaves) {
			return w.stays(leaves)
		}
		if w.given-before > 40+20*helped {
			return errors.New("kind: too many jobs without reaching the aim")
		}
		if i := w.stuck(); i >= 0 && w.n(2) == 0 {
			helped++
			if err := w.help(i); err != nil {
				return err
			}
		}
		if len(w.flight) == 0 && w.l.Deadline() == actions.Never {
			return fmt.Errorf("kind: waits for nothing: %+v", w.l.View(w.now))
		}
		if err := w.onward(); err != nil {
			return err
		}
	}
	return fmt.Errorf("kind: does not reach its aim: %+v", w.l.View(w.now))
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// onward ends the oldest job, or goes to the deadline.
func (w *world) onward() error {
	if len(w.flight) > 0 {
		w.now += 1e6
		return w.answer(0)
	}
	w.now = w.l.Deadline()
	return w.step(actions.LadderTimeout{})
}

func (w *world) stuck() int {
	v := w.l.View(w.now)
	for i := range v.Steps {
		if v.Steps[i].Stuck {
			return i
		}
	}
	return -1
}

// help: somebody brings a stuck step down, or says that it may be tried again.
func (w *world) help(i int) error {
	s := &w.l.Spec().Steps[i]
	if blind(s.Agent) || w.n(2) == 0 {
		return w.step(actions.ClearFailures{})
	}
	w.thing(s.Name, s.Agent).state = actions.Down
	return nil
}

// arrived reports whether all is as it was ordered, and nothing moves.
func (w *world) arrived(leaves bool) bool {
	if w.moves() || !w.l.Bottom() && !w.l.Ready() {
		return false
	}
	v := w.l.View(w.now)
	if w.up && !leaves {
		return !v.Reconfiguring && v.Ready && v.Height == len(v.Steps)
	}
	return !v.Reconfiguring && v.Bottom && (v.Known || leaves)
}

// stays: the rest is monitors and questions. What lies have hidden so far is
// found out by monitors and repaired; then what the ladder believes is true.
func (w *world) stays(leaves bool) error {
	if !w.l.Spec().Equal(&w.spec) {
		return errors.New("kind: the latest specification was not taken over")
	}
	calm, before := 0, w.given
	for range 1500 {
		if len(w.flight) == 0 && w.l.Deadline() == actions.Never || calm > 12*(1+len(w.spec.Steps)) {
			return w.truth()
		}
		given := w.given
		if err := w.onward(); err != nil {
			return err
		}
		if calm++; w.given != given || !w.arrived(leaves) {
			calm = 0
		}
		if w.given-before > 60 {
			return fmt.Errorf("kind: does not rest: %+v", w.l.View(w.now))
		}
	}
	return fmt.Errorf("kind: never rests: %+v", w.l.View(w.now))
}

func (w *world) truth() error {
	want := actions.Down
	if w.l.Ready() {
		want = actions.Up
	}
	spec := w.l.Spec()
	for i := range spec.Steps {
		s := &spec.Steps[i]
		if got := w.thing(s.Name, s.Agent).state; got != want && (want == actions.Down || s.Monitor.Interval > 0 && s.OnFailure != actions.OnFailureIgnore) {
			return fmt.Errorf("truth: step %d is %v in the end, not %v", i, got, want)
		}
	}
	return nil
}
