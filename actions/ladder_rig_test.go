package actions_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// start of the clock of all tests, so that nothing works by the accident of a small one.
const epoch = 90 * time.Second

// step is one step of a test's group: an init script, or exclusive data.
func step(name string, change ...func(*actions.StepSpec)) actions.StepSpec {
	s := actions.StepSpec{Name: "lsb." + name, Agent: actions.LSB{Script: "/etc/init.d/" + name}, StartTimeout: 60 * time.Second, StopTimeout: 30 * time.Second,
		Window: 10 * time.Minute, Monitor: actions.MonitorSpec{Timeout: 20 * time.Second, Failures: 1}}
	for _, f := range change {
		f(&s)
	}
	return s
}

func exclusive(s *actions.StepSpec) {
	s.Agent = actions.Filesystem{Device: "/dev/" + s.Name, Target: "/mnt", Shared: true}
}
func without(s *actions.StepSpec) { s.Agent = actions.Command{Start: []string{"/bin/" + s.Name}} } // a status
func retries(n int) func(*actions.StepSpec) {
	return func(s *actions.StepSpec) { s.Retries = n }
}
func monitored(restarts, failures int) func(*actions.StepSpec) {
	return func(s *actions.StepSpec) {
		s.Restarts, s.Monitor.Failures, s.Monitor.Interval = restarts, failures, 10*time.Second
	}
}
func onFailure(f actions.OnFailure) func(*actions.StepSpec) {
	return func(s *actions.StepSpec) { s.OnFailure = f }
}

func group(steps ...actions.StepSpec) actions.LadderSpec {
	return actions.LadderSpec{Name: "site", Steps: steps, HoldOff: 30 * time.Second, HoldOffMax: 10 * time.Minute}
}

func fenced(g actions.LadderSpec) actions.LadderSpec {
	g.Safety = actions.SafetySpec{Mode: actions.SafetyFence, ReleaseTimeout: 20 * time.Second, Fence: []actions.FenceSpec{{Name: "bmc", Timeout: 30 * time.Second}}}
	return g
}

func unsafe(g actions.LadderSpec) actions.LadderSpec {
	g.Safety = actions.SafetySpec{Mode: actions.SafetyNone, ReleaseTimeout: 20 * time.Second}
	return g
}

// rig is one ladder in virtual time. Whatever the test is about, every step is
// judged by the laws of ladder_laws_test.go.
type rig struct {
	t      testing.TB
	l      actions.Ladder
	laws   *laws
	now    time.Duration
	flight map[int]actions.Job // by step
	others map[string]actions.LadderSpec
	said   []actions.LadderEffect // of the last event
}

func newRig(t testing.TB, spec actions.LadderSpec) *rig {
	return &rig{t: t, l: actions.NewLadder(1, "web1", spec), laws: newLaws(spec), now: epoch, flight: map[int]actions.Job{}, others: map[string]actions.LadderSpec{}}
}

// rested returns a ladder that has found everything down and has been told
// that all of it could be brought up.
func rested(t testing.TB, spec actions.LadderSpec) *rig {
	g := newRig(t, spec)
	g.settle("begin", actions.Down)
	return g
}

// raised returns a ladder that has brought everything up.
func raised(t testing.TB, spec actions.LadderSpec) *rig {
	g := rested(t, spec)
	g.settle("aim up", actions.Up)
	g.play("is ready idle")
	return g
}

// settle has everything succeed until nothing is under way.
func (g *rig) settle(event string, found actions.State) {
	g.event(event)
	for range 100 {
		if len(g.flight) == 0 {
			return
		}
		for i := -1; i < 10; i++ {
			if job, ok := g.flight[i]; ok {
				d := actions.Done{OK: true, State: good(job.Verb)}
				if job.Verb == actions.Look {
					d.State = found
				}
				g.answer(i, d)
				break
			}
		}
	}
	g.t.Fatal("never settles")
}

func good(v actions.Verb) actions.State {
	switch v {
	case actions.Start:
		return actions.Up
	case actions.Look:
		return actions.Unknown
	default:
		return actions.Down
	}
}

// play carries out a script: a line "event => effects", or "is words". An
// event without effects has "-". Notes and texts are not part of it.
func (g *rig) play(script string) {
	g.t.Helper()
	for line := range strings.Lines(script) {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		if words, ok := strings.CutPrefix(line, "is "); ok {
			g.is(line, strings.Fields(words))
			continue
		}
		event, want, _ := strings.Cut(line, "=>")
		g.event(strings.TrimSpace(event))
		if got := render(g.said); got != strings.TrimSpace(want) {
			g.t.Fatalf("%s\n got %s\n%+v", line, got, g.l.View(g.now))
		}
	}
}

func (g *rig) event(text string) {
	g.t.Helper()
	w := strings.Fields(text)
	arg := strings.Join(w[1:], " ")
	switch w[0] {
	case "begin", "again":
		g.step(actions.LadderTimeout{})
	case "aim":
		peer := map[string]actions.Peer{"up silent": actions.PeerSilent, "up releasing": actions.PeerReleasing}
		a := actions.Aim{Up: w[1] == "up", Peer: actions.PeerNone}
		if p, ok := peer[arg]; ok {
			a.Peer = p
		}
		g.step(a)
	case "released":
		g.step(actions.PeerReleased{})
	case "confirm":
		g.step(actions.Confirm{By: "anna"})
	case "clear":
		g.step(actions.ClearFailures{})
	case "limit":
		n, _ := strconv.Atoi(arg)
		g.step(actions.LimitHeight{Height: n})
	case "restart":
		g.step(actions.RestartStep{Step: g.index(arg)})
	case "manage":
		g.step(actions.Manage{On: arg == "on"})
	case "configure":
		g.step(actions.ConfigureLadder{Spec: g.others[arg]})
	case "leave":
		g.l.Leave()
		g.laws.leave()
		g.step(actions.LadderTimeout{})
	case "stale":
		g.step(actions.Done{Group: 1, Job: 9999, OK: true, State: actions.Up})
	case "wait":
		if g.now = g.l.Deadline(); g.now == actions.Never {
			g.t.Fatal("there is nothing to wait for")
		}
		g.step(actions.LadderTimeout{})
	case "progress":
		g.step(actions.Progress{Group: 1, Job: g.flight[g.index(w[1])].Job, Text: strings.Join(w[2:], " ")})
	default:
		if w[0][0] == '+' {
			d, err := time.ParseDuration(w[0][1:])
			if err != nil {
				g.t.Fatal(err)
			}
			g.now += d
			g.step(actions.LadderTimeout{})
			return
		}
		g.answer(g.index(w[0]), g.outcome(w))
	}
}

// index is where the step with a letter is; -1 for jobs of the group.
func (g *rig) index(name string) int {
	if name == "fence" || name == "reboot" {
		return -1
	}
	i := g.l.Find(name)
	if i < 0 {
		g.t.Fatalf("no step %q", name)
	}
	return i
}

// outcome reads "a fail up", "a ok", "a down".
func (g *rig) outcome(w []string) actions.Done {
	state := map[string]actions.State{"up": actions.Up, "down": actions.Down, "neither": actions.Neither, "unknown": actions.Unknown}
	d := actions.Done{}
	if len(w) > 2 {
		d.State = state[w[2]]
	}
	switch w[1] {
	case "ok":
		d.OK = true
		if len(w) == 2 {
			d.State = good(g.flight[g.index(w[0])].Verb)
		}
	case "fail":
		d.Detail = "broken"
	case "hopeless":
		d.Hopeless, d.Detail = true, "not installed"
	case "canceled":
		d.Canceled, d.Detail = true, "no longer wanted"
	case "degraded":
		d.OK, d.State, d.Degraded, d.Detail = true, actions.Up, true, "limping"
	default:
		s, ok := state[w[1]]
		if !ok {
			g.t.Fatalf("what is %q?", strings.Join(w, " "))
		}
		d.OK, d.State = true, s
	}
	return d
}

func (g *rig) answer(step int, d actions.Done) {
	g.t.Helper()
	job, ok := g.flight[step]
	if !ok {
		g.t.Fatalf("no job at step %d", step)
	}
	d.Group, d.Job = 1, job.Job
	delete(g.flight, step)
	g.step(d)
}

func (g *rig) step(ev actions.LadderEvent) {
	g.t.Helper()
	g.said = g.l.Step(g.now, ev, nil)
	if err := g.laws.judge(g.now, ev, g.said, &g.l); err != nil {
		g.t.Fatalf("%T%+v: %v\neffects: %s\n%+v", ev, ev, err, render(g.said), g.l.View(g.now))
	}
	for _, e := range g.said {
		if e.Kind == actions.DoJob {
			g.flight[e.Step] = e.Job
		}
	}
}

// is checks words on what the ladder shows.
func (g *rig) is(line string, words []string) {
	g.t.Helper()
	v := g.l.View(g.now)
	_, _, stuck := g.l.Stuck()
	_, _, unqualified := g.l.Unqualified()
	flags := map[string]bool{"ready": v.Ready, "bottom": v.Bottom, "known": v.Known, "idle": g.l.Idle(), "stuck": stuck, "unfit": v.Unfit != nil,
		"claimed": v.Claimed, "managed": v.Managed, "reconfiguring": v.Reconfiguring, "unqualified": unqualified}
	for _, w := range words {
		name, value, compared := strings.Cut(w, "=")
		bare, not := strings.CutPrefix(name, "!")
		if on, ok := flags[bare]; ok && !compared {
			if on == not {
				g.t.Errorf("%s: not %s\n%+v", line, w, v)
			}
			continue
		}
		got := ""
		switch {
		case name == "height":
			got = strconv.Itoa(v.Height)
		case name == "holds":
			got = strconv.Itoa(v.Holds)
		case name == "next" && g.l.Deadline() == actions.Never:
			got = "never"
		case name == "next":
			got = (g.l.Deadline() - g.now).String()
		default:
			s := v.Steps[g.index(name)]
			if got = s.State.String(); s.Degraded {
				got = "degraded"
			}
		}
		if got != value {
			g.t.Errorf("%s: %s is %s\n%+v", line, name, got, v)
		}
	}
}

// told fails unless one text of the last event has the words.
func (g *rig) told(how actions.Importance, words string) {
	g.t.Helper()
	if !slices.ContainsFunc(g.said, func(e actions.LadderEffect) bool {
		return e.Kind != actions.DoJob && e.How == how && strings.Contains(e.Text, words)
	}) {
		g.t.Errorf("nothing of importance %d says %q: %+v", how, words, g.said)
	}
}

// render writes effects as scripts do.
func render(fx []actions.LadderEffect) string {
	out := []string{}
	for _, e := range fx {
		name := "group"
		if e.Step >= 0 {
			_, name, _ = strings.Cut(e.Name, ".")
		}
		switch {
		case e.Kind == actions.DoJob && e.Step < 0:
			out = append(out, e.Job.Verb.String())
		case e.Kind == actions.DoJob && e.Job.Monitor:
			out = append(out, "monitor "+name)
		case e.Kind == actions.DoJob:
			out = append(out, e.Job.Verb.String()+" "+name)
		case e.Kind == actions.CancelJob:
			out = append(out, "cancel "+name)
		case e.Kind == actions.StepMoved:
			out = append(out, fmt.Sprintf("%s:%s", name, e.To))
		case e.How == actions.Warn:
			out = append(out, "warn")
		case e.How == actions.Alarm:
			out = append(out, "alarm")
		}
	}
	if len(out) == 0 {
		return "-"
	}
	return strings.Join(out, ", ")
}
