package checks

import (
	"fmt"
	"time"
)

// Never is the deadline of what waits for nothing.
const Never = time.Duration(1<<63 - 1)

// Event is something that happened to a Check. The set is closed.
type Event interface{ event() }

// Timeout says that time has passed. A spurious one is harmless.
type Timeout struct{}

// Ended is the result of a run. One with another number than the run that is
// awaited is ignored; Step returns no effect for it.
type Ended struct {
	Run    uint64
	Result Result
}

// Hint says that something has changed that the check looks at: it runs at
// once, or again when the present run has ended.
type Hint struct{}

// Configure replaces the specification. The verdict stays until results of
// the new one say otherwise: a reload must not move an address.
type Configure struct{ Spec Spec }

func (Timeout) event()   {}
func (Ended) event()     {}
func (Hint) event()      {}
func (Configure) event() {}

// EffectKind is what should happen.
type EffectKind uint8

// The effects.
const (
	// Start the run with the number Effect.Run.
	Start EffectKind = iota
	// Changed: the verdict, what it counts as, or the value is another one.
	Changed
)

// Effect is one thing to do.
type Effect struct {
	Kind     EffectKind
	Run      uint64
	From, To Verdict
}

// Counters are the statistics of a check.
type Counters struct {
	// Runs counts results, Failed and NotRun those of them that were so.
	Runs, Failed, NotRun uint64
	// Late counts the times a run was due while one still ran: it is left out.
	Late uint64
	// Changes counts changes of the verdict.
	Changes uint64
}

// Check is one check at work. The zero Check is not usable; see New. Used from
// one goroutine.
type Check struct {
	spec    Spec
	verdict Verdict
	known   Verdict // what was known last
	ended   bool    // a run has ended, or Initial said what is known

	run     uint64 // number of the last run
	running bool
	again   bool // a hint came while running
	due     time.Duration

	passed, failed, notRun int // in a row
	since                  time.Duration
	last                   Result
	value                  int // of the last run that passed
	lastAt                 time.Duration
	counters               Counters
}

// New returns a check whose first run is due within the splay.
func New(spec Spec, now time.Duration) Check {
	return Check{spec: spec, verdict: spec.Initial, known: spec.Initial, ended: spec.Initial != Unknown, since: now, due: now + offset(&spec)}
}

// offset spreads first runs by name (FNV-1a), the same on every start.
func offset(s *Spec) time.Duration {
	if s.Splay <= 0 {
		return 0
	}
	h := uint64(14695981039346656037)
	for i := range len(s.Name) {
		h = (h ^ uint64(s.Name[i])) * 1099511628211
	}
	return time.Duration(h % uint64(s.Splay))
}

// Deadline returns the instant at which the check wants a Timeout.
func (c *Check) Deadline() time.Duration { return c.due }

// Step lets the check react to one event and appends what should be done to fx.
// now never goes backwards.
func (c *Check) Step(now time.Duration, ev Event, fx []Effect) []Effect {
	switch e := ev.(type) {
	case Timeout:
		return c.timeout(now, fx)
	case Ended:
		return c.onEnded(now, e, fx)
	case Hint:
		if c.running {
			c.again = true
			return fx
		}
		return c.start(fx)
	case Configure:
		return c.configure(now, e.Spec, fx)
	}
	return fx
}

func (c *Check) timeout(now time.Duration, fx []Effect) []Effect {
	if now < c.due {
		return fx
	}
	// On the grid of the last deadline, not of now. Slots that have passed are
	// not made up for: a host that slept does not run everything at once.
	c.due += c.spec.Interval
	if behind := now - c.due; behind >= 0 {
		c.due += (behind/c.spec.Interval + 1) * c.spec.Interval
	}
	if c.running {
		c.counters.Late++
		return fx
	}
	return c.start(fx)
}

func (c *Check) start(fx []Effect) []Effect {
	c.run++
	c.running, c.again = true, false
	return append(fx, Effect{Kind: Start, Run: c.run})
}

func (c *Check) onEnded(now time.Duration, e Ended, fx []Effect) []Effect {
	if !c.running || e.Run != c.run {
		return fx
	}
	c.running = false
	before, stand, value := c.verdict, c.Stand(), c.value
	c.last, c.lastAt, c.ended = e.Result, now, true
	c.counters.Runs++
	switch e.Result.Outcome {
	case Passed:
		c.passed, c.failed, c.notRun = c.passed+1, 0, 0
		c.value = e.Result.Value
		c.judge(Healthy, c.passed >= c.spec.Rise)
	case Failed:
		c.counters.Failed++
		c.passed, c.failed, c.notRun = 0, c.failed+1, 0
		c.judge(Failing, c.failed >= c.spec.Fall)
	default:
		// The streaks stand: a run that could not be made is no result.
		c.counters.NotRun++
		if c.notRun++; c.notRun >= c.spec.Fall || c.known == Unknown {
			c.verdict = Unknown
		}
	}
	if c.verdict != before {
		c.counters.Changes++
		c.since = now
	}
	if c.verdict != before || c.Stand() != stand || c.value != value {
		fx = append(fx, Effect{Kind: Changed, From: before, To: c.verdict})
	}
	if c.again {
		fx = c.start(fx)
	}
	return fx
}

// judge takes a result in: it decides alone where nothing was known, confirms
// what was known last, and turns it over when it has come often enough in a row.
func (c *Check) judge(v Verdict, enough bool) {
	if c.known == Unknown || c.known == v || enough {
		c.verdict, c.known = v, v
	} else {
		c.verdict = c.known // it can be run again, and that much is known
	}
}

func (c *Check) configure(now time.Duration, s Spec, fx []Effect) []Effect {
	old := c.spec
	c.spec = s
	if old.Interval != s.Interval {
		c.due = min(c.due, now+s.Interval)
	}
	same := old
	same.Interval, same.Timeout, same.Rise, same.Fall, same.Splay, same.Initial, same.Unknown = s.Interval, s.Timeout, s.Rise, s.Fall, s.Splay, s.Initial, s.Unknown
	if old.Unknown != s.Unknown {
		fx = append(fx, Effect{Kind: Changed, From: c.verdict, To: c.verdict})
	}
	if !same.Equal(&s) {
		// Something else is looked at now: what runs is of no use any more.
		c.passed, c.failed, c.notRun, c.running, c.again = 0, 0, 0, false, false
		fx = c.start(fx)
	}
	return fx
}

// Stand returns what the check counts as now.
func (c *Check) Stand() Stand {
	switch {
	case c.verdict == Healthy:
		return Good
	case c.verdict == Failing:
		return Bad
	case !c.ended:
		return Pending
	case c.spec.Unknown == UnknownIgnore:
		return Ignored
	case c.spec.Unknown == UnknownHold && c.known == Healthy:
		return Good
	default:
		return Bad
	}
}

// Verdict returns what is known.
func (c *Check) Verdict() Verdict { return c.verdict }

// Value returns the number that an integer File check has read last, nil for all
// others. A run that could not be made leaves it as it is.
func (c *Check) Value() *int {
	if f, ok := c.spec.Probe.(File); ok && f.Integer {
		v := c.value
		return &v
	}
	return nil
}

// Spec returns the specification in force.
func (c *Check) Spec() *Spec { return &c.spec }

// View is a copy of everything a Check knows.
type View struct {
	Verdict Verdict
	Stand   Stand
	// Running: a run is under way. Ended: one has ended since the start.
	Running, Ended bool
	// Passed, Failed and NotRun are the results in a row.
	Passed, Failed, NotRun int
	// Since is when the verdict changed, LastAt when the last run ended.
	Since, LastAt time.Duration
	Last          Result
	Counters      Counters
}

// View returns the copy.
func (c *Check) View() View {
	return View{Verdict: c.verdict, Stand: c.Stand(), Running: c.running, Ended: c.lastAt != 0 || c.counters.Runs > 0, Passed: c.passed, Failed: c.failed,
		NotRun: c.notRun, Since: c.since, LastAt: c.lastAt, Last: c.last, Counters: c.counters}
}

// Why is the verdict as a phrase: "3 of 3 failed, last: connection refused".
func (c *Check) Why() string {
	last := ""
	if c.last.Detail != "" {
		last = ", last: " + c.last.Detail
	}
	switch {
	case c.counters.Runs == 0 && c.spec.Initial != Unknown:
		return "not run yet; taken for " + c.spec.Initial.String()
	case c.counters.Runs == 0:
		return "not run yet"
	case c.notRun > 0:
		held := ""
		if c.known != Unknown && c.spec.Unknown == UnknownHold {
			held = ", was " + c.known.String()
		}
		return fmt.Sprintf("could not be run%s%s", last, held)
	case c.verdict == Failing && c.failed >= c.spec.Fall:
		return fmt.Sprintf("%d of %d failed%s", c.spec.Fall, c.spec.Fall, last)
	case c.verdict == Failing && c.failed > 0: // the first result of all decides alone
		return "failed" + last
	case c.verdict == Failing:
		return fmt.Sprintf("%d of %d passed again%s", c.passed, c.spec.Rise, last)
	case c.failed > 0:
		return fmt.Sprintf("%d of %d failed%s", c.failed, c.spec.Fall, last)
	case c.last.Detail != "":
		return c.last.Detail
	default:
		return "passed"
	}
}
