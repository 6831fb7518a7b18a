package actions_test

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// chance is where a history takes its decisions from: a seed, or a fuzzer's bytes.
type chance interface {
	n(n int) int // 0 … n-1
}

type dice struct{ *rand.Rand }

func (d dice) n(n int) int { return d.IntN(n) }

// bytes are decisions of a fuzzer. When they are used up, everything is 0.
type bytes struct{ left []byte }

func (b *bytes) n(n int) int {
	if len(b.left) == 0 {
		return 0
	}
	x := int(b.left[0])
	b.left = b.left[1:]
	return x % n
}

// thing is what a step moves, in truth.
type thing struct{ state actions.State }

// world is a host with a ladder, its services as they really are, and a peer.
type world struct {
	chance
	l      actions.Ladder
	laws   *laws
	spec   actions.LadderSpec // the latest
	now    time.Duration
	things map[string]*thing
	flight []flying
	given  int // jobs that move something

	up, managed, kind bool
	peerHas           bool         // the other host has exclusive data
	byHand            bool         // somebody may have moved it there by hand, in maintenance
	refused           *actions.Job // just now, by hands that did not want to
	fx                []actions.LadderEffect
	log               *strings.Builder // nil: not wanted
}

type flying struct {
	job      actions.Job
	canceled bool
}

func newWorld(c chance, log *strings.Builder) *world {
	w := &world{chance: c, now: epoch, things: map[string]*thing{}, managed: true, log: log}
	w.spec = w.newSpec()
	for i := range w.spec.Steps {
		w.thing(w.spec.Steps[i].Name, w.spec.Steps[i].Agent).state = []actions.State{actions.Down, actions.Up, actions.Neither}[w.n(3)]
	}
	w.l, w.laws = actions.NewLadder(1, "web1", w.spec), newLaws(w.spec)
	w.logf("begins with %+v", w.spec)
	return w
}

func (w *world) logf(format string, args ...any) {
	if w.log != nil {
		fmt.Fprintf(w.log, "%8.3f "+format+"\n", append([]any{w.now.Seconds()}, args...)...)
	}
}

var names = []string{"x.a", "x.b", "x.c", "x.d", "x.e"}

// newSpec draws a group of up to four steps.
func (w *world) newSpec() actions.LadderSpec {
	s := actions.LadderSpec{Name: "g", HoldOff: time.Duration(1+w.n(40)) * time.Second, HoldOffMax: 5 * time.Minute, Qualify: time.Duration(w.n(2)) * time.Minute,
		OnStuck: actions.OnStuck(w.n(2))}
	for i := range w.n(5) {
		s.Steps = append(s.Steps, w.newStep(names[i]))
	}
	w.secure(&s)
	return s
}

// secure chooses a mode of safety that configuration would let pass.
func (w *world) secure(s *actions.LadderSpec) {
	s.Safety = actions.SafetySpec{}
	if s.Exclusive() < len(s.Steps) {
		s.Safety = actions.SafetySpec{Mode: actions.SafetyNone + actions.SafetyMode(w.n(2)), ReleaseTimeout: 20 * time.Second,
			Fence: []actions.FenceSpec{{Name: "bmc", Timeout: 30 * time.Second}}}
	}
}

func (w *world) newStep(name string) actions.StepSpec {
	s := actions.StepSpec{Name: name, StartTimeout: time.Minute, StopTimeout: 30 * time.Second, Retries: w.n(3),
		Monitor:  actions.MonitorSpec{Interval: time.Duration(w.n(3)) * 5 * time.Second, Timeout: 20 * time.Second, Failures: 1 + w.n(2)},
		Restarts: w.n(3), Window: time.Minute, OnFailure: actions.OnFailure(w.n(3))}
	s.Agent = agents[w.n(len(agents))]
	return s
}

// agents: two init scripts, a command without status, two devices.
var agents = []actions.Agent{actions.LSB{Script: "one"}, actions.LSB{Script: "two"}, actions.Command{User: "blind"},
	actions.Filesystem{Device: "one", Shared: true}, actions.Filesystem{Device: "two", Shared: true}}

func which(a actions.Agent) byte {
	switch a := a.(type) {
	case actions.LSB:
		return a.Script[1]
	case actions.Command:
		return 'b'
	case actions.Filesystem:
		return a.Device[0]
	}
	return '?'
}

func blind(a actions.Agent) bool { return which(a) == 'b' }

// thing is what one agent of a step holds. Another agent of the same step is
// another thing: it must be down before the new one comes up.
func (w *world) thing(name string, a actions.Agent) *thing {
	key := name[strings.LastIndexByte(name, '.')-1:] + string(which(a)) + string(byte('0'+btoi(a.Exclusive())))
	t := w.things[key]
	if t == nil {
		t = &thing{state: actions.Down}
		w.things[key] = t
	}
	return t
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// step gives the ladder one event, and takes the effects.
func (w *world) step(ev actions.LadderEvent) error {
	if w.log != nil {
		w.logf("%T %+v", ev, ev)
	}
	w.fx = w.l.Step(w.now, ev, w.fx[:0])
	if w.log != nil {
		w.logf("    %s   deadline %v claimed %v", render(w.fx), (w.l.Deadline() - w.now).Truncate(time.Millisecond), w.l.View(0).Claimed)
	}
	if err := w.laws.judge(w.now, ev, w.fx, &w.l); err != nil {
		return err
	}
	for i := range w.fx {
		e := &w.fx[i]
		switch e.Kind {
		case actions.DoJob:
			if err := w.take(&e.Job); err != nil {
				return err
			}
		case actions.CancelJob:
			for k := range w.flight {
				if w.flight[k].job.Job == e.Job.Job {
					w.flight[k].canceled = true
				}
			}
		}
	}
	return w.idempotent()
}

// idempotent: an event has all its consequences at once. Time that has not
// passed changes nothing, nor does an answer to no job.
func (w *world) idempotent() error {
	if w.n(4) > 0 {
		return nil
	}
	var ev actions.LadderEvent = actions.LadderTimeout{}
	if w.n(2) == 0 {
		ev = actions.Done{Group: 1, Job: 1 << 40, OK: true, State: actions.Up}
	}
	if fx := w.l.Step(w.now, ev, nil); len(fx) > 0 {
		return fmt.Errorf("law: a second look at the same instant: %s", render(fx))
	}
	return nil
}

// take accepts a job, if it may be done as things are in truth.
func (w *world) take(j *actions.Job) error {
	w.flight = append(w.flight, flying{job: *j})
	if r := w.refused; r != nil && r.Step == j.Step && r.Verb == j.Verb && r.Name == j.Name && reflect.DeepEqual(r.Agent, j.Agent) { // else a reload has put another one in its place
		return fmt.Errorf("law: a %v that was refused is given out again at once", j.Verb)
	}
	if !moving(j.Verb) {
		return nil
	}
	w.given++
	spec := w.l.Spec()
	for i := j.Step + 1; i < len(spec.Steps); i++ {
		if s := w.thing(spec.Steps[i].Name, spec.Steps[i].Agent).state; s != actions.Down {
			return fmt.Errorf("truth: %v of step %d while step %d is %v", j.Verb, j.Step, i, s)
		}
	}
	if j.Verb == actions.Start && j.Agent.Exclusive() {
		w.byHand = false
		w.peerHas = w.peerHas && spec.Safety.Mode == actions.SafetyFence // else it is accepted
	}
	if j.Verb == actions.Start && j.Agent.Exclusive() && w.peerHas && spec.Safety.Mode == actions.SafetyFence {
		return fmt.Errorf("truth: two hosts have the data of step %d", j.Step)
	}
	return nil
}

// answer ends one job that is under way, well or badly.
func (w *world) answer(k int) error {
	f := w.flight[k]
	w.flight = slices.Delete(w.flight, k, k+1)
	d := actions.Done{Detail: "so"}
	if !w.kind && !f.canceled && w.n(40) == 0 {
		w.refused = &f.job
		err := w.step(actions.Done{Group: 1, Job: f.job.Job, Canceled: true})
		w.refused = nil
		return err
	}
	switch {
	case f.job.Verb == actions.Fence:
		w.fence(&d, f.canceled)
	case f.job.Verb == actions.Reboot:
		d.OK = false
	default:
		w.work(&f.job, f.canceled, w.thing(f.job.Name, f.job.Agent), &d)
	}
	d.Group, d.Job = 1, f.job.Job
	return w.step(d)
}

func (w *world) fence(d *actions.Done, canceled bool) {
	switch {
	case canceled && w.n(2) == 0:
		d.Canceled = true
	case w.kind || w.n(2) == 0:
		d.OK, w.peerHas = true, false
		w.peerLetGo()
	}
}

func (w *world) work(j *actions.Job, canceled bool, t *thing, d *actions.Done) {
	lucky := w.kind || w.n(3) > 0
	if canceled && w.n(4) > 0 {
		d.Canceled = true
		if j.Verb == actions.Start {
			t.state = []actions.State{actions.Neither, actions.Up, actions.Down}[w.n(3)]
			if t.state == actions.Down && !blind(j.Agent) {
				d.State = []actions.State{actions.Down, actions.Unknown}[w.n(2)]
			}
		}
		return
	}
	switch j.Verb {
	case actions.Look:
		w.look(j, lucky, t, d)
	case actions.Start:
		w.start(j, lucky, t, d)
	case actions.Stop, actions.ForceStop:
		w.stop(j, lucky, t, d)
	default:
		d.OK, d.Hopeless, d.State = lucky, !lucky && w.n(4) == 0, actions.Down
	}
}

// look: a look that can be made says the truth.
func (w *world) look(j *actions.Job, lucky bool, t *thing, d *actions.Done) {
	switch {
	case blind(j.Agent):
		d.OK = true
	case lucky:
		w.byHand = w.byHand && !j.Agent.Exclusive() // it is known now
		d.OK, d.State, d.Degraded = true, t.state, t.state == actions.Up && w.n(8) == 0
	default:
		d.Hopeless = t.state == actions.Down && w.n(2) == 0
	}
}

func (w *world) start(j *actions.Job, lucky bool, t *thing, d *actions.Done) {
	if lucky {
		d.OK, d.State, t.state = true, actions.Up, actions.Up
		return
	}
	switch d.Hopeless = w.n(5) == 0; w.n(4) {
	case 0:
		t.state = actions.Up // it is up, and the exit code says no
	case 1:
		t.state, d.State = actions.Neither, actions.Neither
	case 2:
		t.state = actions.Neither
	default:
		if t.state == actions.Down {
			d.State = actions.Down
		}
	}
	if !blind(j.Agent) && w.n(6) == 0 && t.state == actions.Neither {
		d.OK, d.Hopeless, d.State = true, false, actions.Up // a lie the other way; a monitor finds out
	}
}

func (w *world) stop(j *actions.Job, lucky bool, t *thing, d *actions.Done) {
	switch {
	case lucky:
		d.OK, t.state = true, actions.Down
	case blind(j.Agent) || w.n(3) == 0: // the exit code is the truth
	case w.n(2) == 0:
		d.OK = true // and it is not down
	default:
		t.state = actions.Down // and the exit code says no
	}
}
