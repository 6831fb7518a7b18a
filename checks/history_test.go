package checks_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/backbeat-ha/backbeat/checks"
)

// model is what the outcomes so far allow, told from them alone: it knows nothing
// of how Check keeps its streaks.
type model struct {
	spec    checks.Spec
	results []checks.Outcome // of the present question, in order
	known   checks.Verdict
	notRun  int // in a row, the last ones
}

// streak is how many of the last results that are any were o.
func (m *model) streak(o checks.Outcome) (n int) {
	for i := len(m.results) - 1; i >= 0; i-- {
		switch m.results[i] {
		case o:
			n++
		case checks.NotRun:
		default:
			return n
		}
	}
	return n
}

// result takes one in and says what the verdict must be after the present one.
func (m *model) result(o checks.Outcome, present checks.Verdict) checks.Verdict {
	m.results = append(m.results, o)
	if o == checks.NotRun {
		if m.notRun++; m.notRun >= m.spec.Fall || m.known == checks.Unknown {
			return checks.Unknown
		}
		return present
	}
	m.notRun = 0
	v, need := checks.Healthy, m.spec.Rise
	if o == checks.Failed {
		v, need = checks.Failing, m.spec.Fall
	}
	if m.known == checks.Unknown || m.streak(o) >= need {
		m.known = v
	}
	return m.known
}

// machine drives a Check by events as they may come, and holds it to the rules.
type machine struct {
	check   checks.Check
	model   model
	now     time.Duration
	running uint64
	stale   []uint64
	starts  uint64
	verdict checks.Verdict
}

func drawSpec(t *rapid.T) checks.Spec {
	return checks.Spec{
		Name:     "file.n",
		Interval: time.Duration(rapid.IntRange(1, 50).Draw(t, "interval")) * 100 * time.Millisecond,
		Timeout:  100 * time.Millisecond,
		Splay:    time.Duration(rapid.IntRange(0, 10).Draw(t, "splay")) * 100 * time.Millisecond,
		Rise:     rapid.IntRange(1, 5).Draw(t, "rise"),
		Fall:     rapid.IntRange(1, 5).Draw(t, "fall"),
		Initial:  checks.Verdict(rapid.IntRange(0, 2).Draw(t, "initial")),
		Unknown:  checks.Policy(rapid.IntRange(0, 2).Draw(t, "unknown")),
		Probe:    checks.File{Path: fmt.Sprintf("/run/%d", rapid.IntRange(0, 2).Draw(t, "path")), Integer: true},
	}
}

// step takes an event, with what must be true of every one.
func (m *machine) step(t *rapid.T, ev checks.Event) {
	stand, value, late := m.check.Stand(), m.check.Value(), m.check.View().Counters.Late
	told := false
	for _, fx := range m.check.Step(m.now, ev, nil) {
		switch fx.Kind {
		case checks.Start:
			if m.running != 0 {
				t.Fatalf("run %d was started while %d runs", fx.Run, m.running)
			}
			m.running = fx.Run
			m.starts++
		case checks.Changed:
			if told = true; fx.From != m.verdict || fx.To != m.check.Verdict() {
				t.Fatalf("told %s to %s, and it was %s and is %s", fx.From, fx.To, m.verdict, m.check.Verdict())
			}
		}
	}
	changed := m.check.Verdict() != m.verdict || m.check.Stand() != stand || *m.check.Value() != *value
	if changed && !told {
		t.Fatalf("%s became %s, %s %s, and nobody was told", m.verdict, m.check.Verdict(), stand, m.check.Stand())
	}
	if _, ended := ev.(checks.Ended); !ended && m.check.Verdict() != m.verdict {
		t.Fatalf("%T made the verdict %s", ev, m.check.Verdict())
	}
	if got := m.check.View().Counters.Late; got > late+1 {
		t.Fatalf("one deadline counted as %d late runs", got-late)
	}
	m.verdict = m.check.Verdict()
}

// TestHistories: whatever comes, in whatever order.
func TestHistories(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := drawSpec(t)
		m := &machine{check: checks.New(spec, time.Hour), now: time.Hour, verdict: spec.Initial,
			model: model{spec: spec, known: spec.Initial}}
		if d := m.check.Deadline(); d < m.now || d > m.now+spec.Splay {
			t.Fatalf("first run after %v, splay %v", d-m.now, spec.Splay)
		}
		t.Repeat(map[string]func(*rapid.T){
			"time passes": func(t *rapid.T) {
				m.now += time.Duration(rapid.IntRange(0, 3000).Draw(t, "ms")) * time.Millisecond
			},
			"deadline": func(t *rapid.T) {
				if d := m.check.Deadline(); rapid.Bool().Draw(t, "punctual") {
					m.now = max(m.now, d)
				}
				was, busy, starts := m.check.Deadline(), m.running != 0, m.starts
				late := m.check.View().Counters.Late
				m.step(t, checks.Timeout{})
				switch d := m.check.Deadline(); {
				case m.now < was && (d != was || m.starts != starts):
					t.Fatalf("a spurious timeout did something")
				case m.now < was:
				case d <= m.now:
					t.Fatalf("at %v the next deadline is %v", m.now, d)
				case d > m.now+m.model.spec.Interval:
					t.Fatalf("a slot was left out: %v at %v", d, m.now)
				case (d-was)%m.model.spec.Interval != 0:
					t.Fatalf("%v is off the grid of %v", d, was)
				case busy && (m.starts != starts || m.check.View().Counters.Late != late+1):
					t.Fatalf("a late run was not counted, or doubled")
				case !busy && m.starts != starts+1:
					t.Fatalf("due, and not started")
				}
			},
			"result": func(t *rapid.T) {
				if m.running == 0 {
					t.Skip("nothing runs")
				}
				o := checks.Outcome(rapid.IntRange(0, 2).Draw(t, "outcome"))
				run, before, known := m.running, m.check.Verdict(), m.model.known
				m.running = 0
				m.stale = append(m.stale, run)
				m.step(t, checks.Ended{Run: run, Result: checks.Result{Outcome: o, Value: rapid.IntRange(-3, 3).Draw(t, "value")}})
				want := m.model.result(o, before)
				if m.check.Verdict() != want {
					t.Fatalf("%s after %v (known %s, rise %d, fall %d), want %s", m.check.Verdict(), m.model.results, known, spec.Rise, spec.Fall, want)
				}
				if o == checks.NotRun && m.check.Verdict() == checks.Failing && before != checks.Failing {
					t.Fatal("what could not be run failed")
				}
				if m.check.Stand() == checks.Pending {
					t.Fatal("pending after a result")
				}
				if m.check.Verdict() == checks.Unknown && m.check.Stand() == checks.Good && (known != checks.Healthy || m.model.spec.Unknown != checks.UnknownHold) {
					t.Fatal("what is not known counts as good")
				}
			},
			"stale result": func(t *rapid.T) {
				run := uint64(1 << 40)
				if len(m.stale) > 0 && rapid.Bool().Draw(t, "old") {
					run = rapid.SampledFrom(m.stale).Draw(t, "run")
				}
				before := m.check.View()
				m.step(t, checks.Ended{Run: run, Result: checks.Result{Outcome: checks.Failed, Value: 99}})
				if m.check.View() != before {
					t.Fatal("a result that nobody waits for changed something")
				}
			},
			"hint": func(t *rapid.T) {
				busy, due := m.running != 0, m.check.Deadline()
				m.step(t, checks.Hint{})
				if m.check.Deadline() != due || !busy && m.running == 0 {
					t.Fatal("a hint moves no deadline, and starts a run if none is under way")
				}
			},
			"reload": func(t *rapid.T) {
				next := drawSpec(t)
				next.Splay, next.Initial = m.model.spec.Splay, m.model.spec.Initial
				was := m.check.Deadline()
				other := next.Probe != m.model.spec.Probe
				if other { // another question: what runs is of no use, and a new run is started
					m.stale = append(m.stale, m.running)
					m.running = 0
					m.model.results, m.model.notRun = nil, 0
				}
				m.model.spec = next
				m.step(t, checks.Configure{Spec: next})
				if d := m.check.Deadline(); d > max(was, m.now+next.Interval) || d < min(was, m.now+next.Interval) {
					t.Fatalf("a reload moved the deadline from %v to %v", was, d)
				}
				if other && m.running == 0 {
					t.Fatal("another question was not asked")
				}
			},
		})
	})
}

// TestHintWhileRunning: a hint that comes while a run is under way makes another
// one when that ends, once, however many hints there were.
func TestHintWhileRunning(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := checks.New(drawSpec(t), 0)
		first := c.Step(0, checks.Hint{}, nil)
		for range rapid.IntRange(1, 5).Draw(t, "hints") {
			if fx := c.Step(0, checks.Hint{}, nil); len(fx) > 0 {
				t.Fatalf("a hint while running: %v", fx)
			}
		}
		starts := 0
		run := first[0].Run
		for range 3 {
			for _, fx := range c.Step(0, checks.Ended{Run: run}, nil) {
				if fx.Kind == checks.Start {
					starts++
					run = fx.Run
				}
			}
		}
		if starts != 1 {
			t.Fatalf("%d further runs", starts)
		}
	})
}
