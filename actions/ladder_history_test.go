package actions_test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

var (
	histories = flag.Int("histories", 0, "how many random histories of a ladder to live (default 100000; 3000 with the race detector or -short)")
	seed      = flag.Uint64("seed", 0, "live this one history and print its transcript")
	firstSeed = flag.Uint64("first-seed", 1, "seed of the first history; the others follow")
)

// Whatever happens, the laws of a ladder hold at every step; and when the world
// becomes kind, it reaches its aim.
//
//	go test ./actions -run LadderHistories -histories 2000000 -first-seed 1000000
//	go test ./actions -run LadderHistories -seed 4711 -v
func TestLadderHistories(t *testing.T) {
	if *seed != 0 {
		transcript, err := live(*seed, true)
		t.Log(transcript)
		if err != nil {
			t.Fatalf("seed %d: %v", *seed, err)
		}
		return
	}
	count := *histories
	if count == 0 {
		if count = 100_000; underRace || testing.Short() {
			count = 3000
		}
	}
	t.Logf("seeds %d to %d", *firstSeed, *firstSeed+uint64(count)-1)
	const workers = 2
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < count && !t.Failed(); i += workers {
				s := *firstSeed + uint64(i)
				if _, err := live(s, false); err != nil {
					transcript, _ := live(s, true)
					lines := strings.Split(transcript, "\n")
					t.Errorf("seed %d: %v\n%s\nagain: go test ./actions -run LadderHistories -seed %d -v", s, err,
						strings.Join(append(lines[:1], lines[max(1, len(lines)-60):]...), "\n"), s)
				}
			}
		})
	}
	wg.Wait()
}

// live turns a panic into a failure with a seed.
func live(seed uint64, transcript bool) (text string, err error) {
	var log *strings.Builder
	if transcript {
		log = &strings.Builder{}
	}
	w := newWorld(dice{rand.New(rand.NewPCG(seed, 6))}, log)
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
		if log != nil {
			text = log.String()
		}
	}()
	return "", w.live(10 + w.n(60))
}

// FuzzLadder lives histories that a fuzzer has thought of.
func FuzzLadder(f *testing.F) {
	f.Add([]byte{})
	for i := range uint64(20) {
		b := make([]byte, 300)
		r := rand.New(rand.NewPCG(i, 1))
		for k := range b {
			b[k] = byte(r.Uint32())
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, decisions []byte) {
		b := &bytes{left: decisions}
		var log strings.Builder
		w := newWorld(b, &log)
		err := w.step(actions.LadderTimeout{})
		for err == nil && len(b.left) > 0 {
			err = w.something()
		}
		if err == nil {
			err = w.becomeKind()
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, log.String())
		}
	})
}

// live is a history: some events, then a world that is kind.
func (w *world) live(events int) error {
	err := w.step(actions.LadderTimeout{})
	for i := 0; i < events && err == nil; i++ {
		err = w.something()
	}
	if err != nil {
		return err
	}
	return w.becomeKind()
}

// something happens: mostly jobs end and time passes.
func (w *world) something() error {
	w.now += time.Duration(w.n(3)) * time.Duration(w.n(900)) * time.Millisecond
	switch x := w.n(20); {
	case x < 10 && len(w.flight) > 0:
		return w.answer(w.n(len(w.flight)))
	case x < 14:
		if at := w.l.Deadline(); at != actions.Never && w.n(4) > 0 {
			w.now = max(w.now, at)
		}
		return w.step(actions.LadderTimeout{})
	case x < 17:
		return w.aim(w.n(3) > 0)
	case x == 17:
		w.die()
		return nil
	default:
		return w.order()
	}
}

// aim gives an order up or down. A host that is to go up in the place of
// another may find it with the data, unless we never let go of it.
func (w *world) aim(up bool) error {
	peer := actions.Peer(w.n(3))
	if up && !w.up {
		w.peerHas = peer != actions.PeerNone && !w.holds() && w.n(2) == 0
	}
	if up && w.peerHas && peer == actions.PeerNone {
		peer = actions.PeerSilent // nobody says that it has nothing
	}
	w.up = up
	return w.step(actions.Aim{Up: up, Peer: peer, Word: time.Duration(w.n(3)) * time.Second})
}

// holds reports whether this host has exclusive data, is about to, or has not
// said that it let go.
func (w *world) holds() bool {
	spec, v := w.l.Spec(), w.l.View(w.now)
	for i := range spec.Steps {
		a := spec.Steps[i].Agent
		if a.Exclusive() && (w.thing(spec.Steps[i].Name, a).state != actions.Down || v.Steps[i].State != actions.Down && !w.byHand) {
			return true
		}
	}
	for _, f := range w.flight {
		if f.job.Verb == actions.Start && f.job.Agent.Exclusive() {
			return true
		}
	}
	return false
}

// die: a service ends by itself.
func (w *world) die() {
	spec := w.l.Spec()
	if len(spec.Steps) == 0 {
		return
	}
	s := &spec.Steps[w.n(len(spec.Steps))]
	if t := w.thing(s.Name, s.Agent); t.state == actions.Up && !blind(s.Agent) {
		t.state = []actions.State{actions.Down, actions.Neither}[w.n(2)]
		w.logf("%s dies: %v", s.Name, t.state)
	}
}

// order is something that people or the other host say.
func (w *world) order() error {
	switch n := len(w.l.Spec().Steps); w.n(9) {
	case 0:
		return w.step(actions.ClearFailures{})
	case 1:
		return w.step(actions.LimitHeight{Height: w.n(n + 2)})
	case 2:
		return w.step(actions.RestartStep{Step: w.n(n+2) - 1})
	case 3, 4:
		return w.manage()
	case 5:
		w.reconfigure()
		return w.step(actions.ConfigureLadder{Spec: w.spec})
	case 6:
		w.peerLetGo()
		return w.step(actions.Confirm{By: "anna"})
	case 7:
		w.peerLetGo()
		return w.step(actions.PeerReleased{})
	default:
		if len(w.flight) == 0 {
			return nil
		}
		return w.step(actions.Progress{Group: 1, Job: w.flight[w.n(len(w.flight))].job.Job, Text: "waiting"})
	}
}

// peerLetGo: the other host has nothing, and takes nothing before we have let go.
func (w *world) peerLetGo() {
	if w.up {
		w.peerHas, w.byHand = false, w.byHand && !w.managed
	}
}

// manage switches the hands on or off. While they are off, people do things by hand.
func (w *world) manage() error {
	if w.managed = !w.managed; w.managed {
		if spec := w.l.Spec(); len(spec.Steps) > 0 {
			s := &spec.Steps[w.n(len(spec.Steps))]
			if !blind(s.Agent) && !w.moves() {
				state := []actions.State{actions.Down, actions.Up, actions.Neither}[w.n(3)]
				if !s.Agent.Exclusive() || state == actions.Down { // two people do not mount it on two hosts
					w.thing(s.Name, s.Agent).state = state
					w.byHand = w.byHand || s.Agent.Exclusive()
					w.logf("by hand: %s is %v", s.Name, state)
				}
			}
		}
	}
	return w.step(actions.Manage{On: w.managed})
}

func (w *world) moves() bool {
	for _, f := range w.flight {
		if moving(f.job.Verb) {
			return true
		}
	}
	return false
}

// reconfigure changes the file.
func (w *world) reconfigure() {
	old := w.spec
	w.spec.Steps = append([]actions.StepSpec{}, old.Steps...)
	n := len(w.spec.Steps)
	switch x := w.n(6); {
	case x == 0:
		w.spec = w.newSpec()
	case x == 1 && n > 0: // one step less
		i := w.n(n)
		w.spec.Steps = append(w.spec.Steps[:i:i], w.spec.Steps[i+1:]...)
	case x == 2 && n < len(names): // one more, on top
		if name := w.unused(); name != "" {
			w.spec.Steps = append(w.spec.Steps, w.newStep(name))
		}
	case x == 3 && n > 0: // another agent
		w.spec.Steps[w.n(n)].Agent = agents[w.n(len(agents))]
	case x == 4 && n > 0: // another pace
		s := &w.spec.Steps[w.n(n)]
		s.Monitor.Interval, s.Monitor.Failures, s.Retries = time.Duration(w.n(3))*4*time.Second, 1+w.n(3), w.n(3)
	default:
		w.spec.Qualify, w.spec.HoldOff = time.Duration(w.n(3))*30*time.Second, time.Duration(1+w.n(20))*time.Second
	}
	w.secure(&w.spec)
}

func (w *world) unused() string {
	for _, name := range names {
		used := false
		for i := range w.spec.Steps {
			used = used || w.spec.Steps[i].Name == name
		}
		if !used {
			return name
		}
	}
	return ""
}
