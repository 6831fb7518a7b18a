package checks_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/checks"
)

const s = time.Second

func spec(change ...func(*checks.Spec)) checks.Spec {
	sp := checks.Spec{Name: "tcp.db", Interval: s, Timeout: s, Rise: 2, Fall: 3, Probe: checks.TCP{Address: "127.0.0.1:5432"}}
	for _, f := range change {
		f(&sp)
	}
	return sp
}

// rig is one check in virtual time.
type rig struct {
	t   testing.TB
	c   checks.Check
	now time.Duration
	run uint64
}

func newRig(t testing.TB, sp checks.Spec) *rig {
	return &rig{t: t, c: checks.New(sp, 100*s), now: 100 * s}
}

func (g *rig) step(ev checks.Event) string {
	g.t.Helper()
	var out []string
	for _, fx := range g.c.Step(g.now, ev, nil) {
		switch fx.Kind {
		case checks.Start:
			g.run = fx.Run
			out = append(out, "start")
		case checks.Changed:
			out = append(out, fmt.Sprintf("%s>%s", fx.From, fx.To))
		}
	}
	return strings.Join(out, "; ")
}

// tick lets time pass to the deadline and fires it.
func (g *rig) tick() string {
	g.t.Helper()
	g.now = max(g.now, g.c.Deadline())
	return g.step(checks.Timeout{})
}

// give makes one run with an outcome and returns what came of it.
func (g *rig) give(o checks.Outcome) string {
	g.t.Helper()
	if got := g.tick(); got != "start" {
		g.t.Fatalf("at its deadline: %q", got)
	}
	g.now += 10 * time.Millisecond
	return g.step(checks.Ended{Run: g.run, Result: checks.Result{Outcome: o, Detail: o.String()}})
}

func (g *rig) want(got, want string) {
	g.t.Helper()
	if got != want {
		g.t.Fatalf("got %q, want %q", got, want)
	}
}

// all gives outcomes written as letters (p, f, n) and returns the verdicts after each.
func (g *rig) all(outcomes string) string {
	g.t.Helper()
	var out strings.Builder
	for _, o := range outcomes {
		g.give(map[rune]checks.Outcome{'p': checks.Passed, 'f': checks.Failed, 'n': checks.NotRun}[o])
		out.WriteByte("uhf"[g.c.Verdict()])
	}
	return out.String()
}

// The first result decides alone; after it rise and fall do. What could not be
// run touches no streak, and makes the verdict unknown only when it has come
// as often as failures would have to.
func TestVerdicts(t *testing.T) {
	for _, c := range []struct{ outcomes, verdicts string }{
		{"p", "h"}, {"f", "f"}, {"n", "u"},
		{"pfff", "hhhf"}, {"pffpfff", "hhhhhhf"}, {"fppfpp", "ffhhhh"}, {"fpfpp", "ffffh"},
		{"pnn", "hhh"}, {"pnnn", "hhhu"}, {"pnnnp", "hhhuh"}, {"pnnnf", "hhhuh"}, {"pnnnfff", "hhhuhhf"},
		{"pfnfnf", "hhhhhf"}, // not-runs between failures do not forgive them
		{"fnnnp", "fffuf"}, {"fnnnpp", "fffufh"}, {"nnp", "uuh"}, {"nf", "uf"},
	} {
		g := newRig(t, spec())
		if got := g.all(c.outcomes); got != c.verdicts {
			t.Errorf("%s: %s, want %s", c.outcomes, got, c.verdicts)
		}
	}
}

func TestInitialVerdict(t *testing.T) {
	g := newRig(t, spec(func(sp *checks.Spec) { sp.Initial = checks.Healthy }))
	g.want(g.all("fff"), "hhf")
	g = newRig(t, spec(func(sp *checks.Spec) { sp.Initial = checks.Failing }))
	g.want(g.all("pp"), "fh")
	if got := newRig(t, spec()).c.Stand(); got != checks.Pending {
		t.Errorf("before the first result: %s", got)
	}
}

// What an unknown verdict counts as is a policy; it is never healthy by itself.
func TestUnknownPolicy(t *testing.T) {
	for _, c := range []struct {
		policy   checks.Policy
		outcomes string
		want     checks.Stand
	}{
		{checks.UnknownHold, "n", checks.Bad}, {checks.UnknownHold, "pnnn", checks.Good}, {checks.UnknownHold, "fnnn", checks.Bad},
		{checks.UnknownFailing, "pnnn", checks.Bad}, {checks.UnknownFailing, "pn", checks.Good},
		{checks.UnknownIgnore, "n", checks.Ignored}, {checks.UnknownIgnore, "fnnn", checks.Ignored},
	} {
		g := newRig(t, spec(func(sp *checks.Spec) { sp.Unknown = c.policy }))
		if g.all(c.outcomes); g.c.Stand() != c.want {
			t.Errorf("%s after %s: %s, want %s", c.policy, c.outcomes, g.c.Stand(), c.want)
		}
	}
}

// A run that is still under way when the next is due is counted, not doubled.
func TestLateRun(t *testing.T) {
	g := newRig(t, spec())
	g.want(g.tick(), "start")
	first := g.run
	g.want(g.tick(), "")
	g.want(g.tick(), "")
	if late := g.c.View().Counters.Late; late != 2 {
		t.Errorf("%d late runs, want 2", late)
	}
	g.want(g.step(checks.Ended{Run: first}), "unknown>healthy")
	g.want(g.step(checks.Ended{Run: first}), "") // once is enough
	g.want(g.tick(), "start")
}

// A host that slept makes up for nothing, and stays on its grid.
func TestNoCatchingUp(t *testing.T) {
	g := newRig(t, spec())
	g.give(checks.Passed)
	due := g.c.Deadline()
	g.now = due + 10*s + 300*time.Millisecond
	g.want(g.step(checks.Timeout{}), "start")
	if got := g.c.Deadline(); got != due+11*s {
		t.Errorf("next %v, want %v", got, due+11*s)
	}
}

func TestHint(t *testing.T) {
	g := newRig(t, spec())
	g.want(g.step(checks.Hint{}), "start")
	g.want(g.step(checks.Hint{}), "")
	g.want(g.step(checks.Ended{Run: g.run}), "unknown>healthy; start")
}

// A reload keeps the verdict; another question is asked at once, and the
// answer to the old one does not count.
func TestConfigure(t *testing.T) {
	g := newRig(t, spec())
	g.all("fff")
	g.want(g.tick(), "start")
	old := g.run
	g.want(g.step(checks.Configure{Spec: spec(func(sp *checks.Spec) { sp.Interval = 5 * s; sp.Fall = 1 })}), "")
	g.want(g.step(checks.Configure{Spec: spec(func(sp *checks.Spec) { sp.Probe = checks.TCP{Address: "127.0.0.1:1"} })}), "start")
	g.want(g.step(checks.Ended{Run: old}), "")
	if g.c.Verdict() != checks.Failing {
		t.Error("the reload changed the verdict")
	}
	g.want(g.step(checks.Ended{Run: g.run}), "")
	g.want(g.give(checks.Passed), "failing>healthy")
	g.want(g.step(checks.Configure{Spec: spec(func(sp *checks.Spec) {
		sp.Unknown, sp.Probe = checks.UnknownIgnore, checks.TCP{Address: "127.0.0.1:1"}
	})}), "healthy>healthy")
}

func TestSplaySpreads(t *testing.T) {
	seen := map[time.Duration]bool{}
	for i := range 1000 {
		c := checks.New(spec(func(sp *checks.Spec) { sp.Name, sp.Splay = fmt.Sprintf("tcp.%d", i), s }), 0)
		if d := c.Deadline(); d < 0 || d >= s {
			t.Fatalf("first run after %v", d)
		}
		seen[c.Deadline()/(10*time.Millisecond)] = true
	}
	if len(seen) < 95 {
		t.Errorf("1000 checks begin in %d of 100 slots", len(seen))
	}
}

// Whatever comes: one run at a time, a deadline in the future, verdicts that
// the last results justify, and every change of what it counts as is told.
func TestRandomCheckHistories(t *testing.T) {
	seed := rand.Uint64()
	rng := rand.New(rand.NewPCG(seed, 1))
	for range 2000 {
		sp := spec(func(sp *checks.Spec) {
			sp.Rise, sp.Fall = 1+rng.IntN(4), 1+rng.IntN(4)
			sp.Initial, sp.Unknown = checks.Verdict(rng.IntN(3)), checks.Policy(rng.IntN(3))
		})
		c := checks.New(sp, 0)
		var now time.Duration
		running := uint64(0)
		var recent []checks.Outcome
		for range 200 {
			before, stand := c.Verdict(), c.Stand()
			var ev checks.Event
			switch rng.IntN(4) {
			case 0:
				ev = checks.Hint{}
			case 1:
				o := checks.Outcome(rng.IntN(3))
				run := running
				if run == 0 || rng.IntN(5) == 0 {
					run = 1 << 40 // nobody asked
				} else {
					recent = append(recent, o)
					running = 0
				}
				ev = checks.Ended{Run: run, Result: checks.Result{Outcome: o}}
			default:
				now = max(now, c.Deadline()-time.Duration(rng.IntN(2)))
				ev = checks.Timeout{}
			}
			told := false
			for _, fx := range c.Step(now, ev, nil) {
				if told = told || fx.Kind == checks.Changed; fx.Kind == checks.Start {
					if running != 0 {
						t.Fatalf("seed %d: two runs at a time", seed)
					}
					running = fx.Run
				}
			}
			if _, ok := ev.(checks.Timeout); ok && c.Deadline() <= now {
				t.Fatalf("seed %d: deadline %v at %v", seed, c.Deadline(), now)
			}
			if (c.Stand() != stand || c.Verdict() != before) && !told {
				t.Fatalf("seed %d: %s became %s and nobody was told", seed, stand, c.Stand())
			}
			if before == checks.Healthy && c.Verdict() == checks.Failing && !tail(recent, checks.Failed, sp.Fall) {
				t.Fatalf("seed %d: condemned by %v, fall %d", seed, recent, sp.Fall)
			}
			if before == checks.Failing && c.Verdict() == checks.Healthy && !tail(recent, checks.Passed, sp.Rise) {
				t.Fatalf("seed %d: healed by %v, rise %d", seed, recent, sp.Rise)
			}
			if len(recent) > 0 && c.Stand() == checks.Pending {
				t.Fatalf("seed %d: pending after a result", seed)
			}
		}
	}
}

// tail reports whether the last n results that are any were all o.
func tail(list []checks.Outcome, o checks.Outcome, n int) bool {
	for i := len(list) - 1; i >= 0 && n > 0; i-- {
		switch list[i] {
		case o:
			n--
		case checks.NotRun:
		default:
			return false
		}
	}
	return n <= 0
}

// A number that could not be read once, because its file was just being
// written, is still what it was: as long as the verdict stands, so does the value.
func TestValueStandsWhileItCannotBeRead(t *testing.T) {
	g := newRig(t, spec(func(sp *checks.Spec) { sp.Probe = checks.File{Path: "/run/n", Integer: true} }))
	read := func(o checks.Outcome, n int) string {
		g.tick()
		return g.step(checks.Ended{Run: g.run, Result: checks.Result{Outcome: o, Value: n}})
	}
	g.want(read(checks.Passed, 7), "unknown>healthy")
	g.want(read(checks.NotRun, 0), "")
	if v := g.c.Value(); v == nil || *v != 7 {
		t.Errorf("value %v after a run that could not be made", v)
	}
	g.want(read(checks.Passed, 8), "healthy>healthy")
	if v := g.c.Value(); v == nil || *v != 8 {
		t.Errorf("value %v", v)
	}
}
