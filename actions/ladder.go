package actions

import (
	"fmt"
	"time"
)

// Never is the deadline of what waits for nothing.
const Never = time.Duration(1<<63 - 1)

const (
	// stopTries is how often a step is stopped before force is used.
	stopTries = 2
	// retryPause is the pause before a failed stop is tried again.
	retryPause = time.Second
	// stuckPause is how often a stuck step is looked at: somebody may have helped it.
	stuckPause = 5 * time.Second
	// preparePause is the pause before a failed Prepare is tried again.
	preparePause = 10 * time.Second
	// calm is how long a group must have been up for its hold-offs to be forgotten.
	calm = 10 * time.Minute
)

// Peer is what is known of the host that was Active before us, when a group is to go up.
type Peer uint8

// The states of a peer.
const (
	// PeerSilent: nothing was heard of it; it may be dead, or cut off and at work.
	PeerSilent Peer = iota
	// PeerReleasing: it is alive and lets go; it will say so (PeerReleased).
	PeerReleasing
	// PeerNone: this host was Active all the time, or nobody is asked (adoption).
	PeerNone
)

// LadderEvent is something that happened to a Ladder. The set is closed.
type LadderEvent interface{ ladderEvent() }

// Aim says where the group should be. It is a level: the latest counts.
type Aim struct {
	Up bool
	// Peer is who may still have exclusive data, if Up.
	Peer Peer
	// Word is how long a silent peer is waited for before it is fenced, or taken for
	// dead: one that lives and holds nothing says so as soon as it hears us.
	Word time.Duration
}

// PeerReleased says that the host that was Active before us has let go.
type PeerReleased struct{}

// Confirm is a human's word that the peer is off (`backbeat fence --confirm`).
type Confirm struct{ By string }

// ClearFailures forgets failures: hold-offs end, what is stuck is tried again.
type ClearFailures struct{}

// LimitHeight keeps the steps from Height on down; len(Steps) and more lifts that.
type LimitHeight struct{ Height int }

// RestartStep brings one step, and what stands on it, down and up again.
type RestartStep struct{ Step int }

// Manage switches the hands on and off: while off, steps are only looked at.
type Manage struct{ On bool }

// ConfigureLadder replaces the specification. Steps that differ come down by the old one first.
type ConfigureLadder struct{ Spec LadderSpec }

// LadderTimeout says that time has passed. A spurious one is harmless.
type LadderTimeout struct{}

func (Aim) ladderEvent()             {}
func (PeerReleased) ladderEvent()    {}
func (Confirm) ladderEvent()         {}
func (ClearFailures) ladderEvent()   {}
func (LimitHeight) ladderEvent()     {}
func (RestartStep) ladderEvent()     {}
func (Manage) ladderEvent()          {}
func (ConfigureLadder) ladderEvent() {}
func (LadderTimeout) ladderEvent()   {}
func (Done) ladderEvent()            {}
func (Progress) ladderEvent()        {}

// LadderEffectKind is what should happen.
type LadderEffectKind uint8

// The effects.
const (
	// DoJob gives out Effect.Job.
	DoJob LadderEffectKind = iota
	// CancelJob ends the job with the number Effect.Job.Job early.
	CancelJob
	// StepMoved: a step is Up or Down now, or has failed; Text says it in words.
	StepMoved
	// Note is something worth telling.
	Note
)

// Importance is how loud a Note or StepMoved is.
type Importance uint8

// The importances.
const (
	Quiet Importance = iota
	Warn
	Alarm
)

// LadderEffect is one thing to do. It is plain data.
type LadderEffect struct {
	Kind LadderEffectKind
	Job  Job
	// Step is the index of the step concerned when the event came, -1 for the
	// group. Name is its name: after a change of the configuration the index may
	// be another step's, or none's.
	Step int
	Name string
	// To is the step's state after a StepMoved, Took the time the job took.
	To   State
	Took time.Duration
	Text string
	How  Importance
}

// Unfit is why a host cannot serve a group.
type Unfit struct {
	// Step is the name of the step that failed, Why says how.
	Step, Why string
	// Since is when it failed; Until when the hold-off ends, Never while the ladder still descends.
	Since, Until time.Duration
}

// rung is one step at work.
type rung struct {
	spec  StepSpec
	state State
	since time.Duration

	// The job in flight, 0 if none.
	job      uint64
	verb     Verb
	monitor  bool
	canceled bool
	began    time.Duration
	descends time.Duration // since when it is on its way down

	stopping  uint8 // how many Stops of this way down have failed
	forced    bool
	checking  bool // a Look decides what a Stop has come to
	stopWhy   string
	stuck     bool
	tries     int // failed Starts in a row
	failures  int // failed monitors in a row
	restarts  []time.Duration
	looked    bool          // the first Look has been answered
	lookAt    time.Duration // not before it is made again
	seen      bool          // something of it has been there since it was down last
	prepared  bool
	qualified qualification
	notBefore time.Duration // of the next try
	due       time.Duration // of the next monitor or Qualify

	degraded bool
	stray    string // why it counts as up, of one that is Down for us; "" if it is not
	detail   string
	output   string
	progress string
	lastAt   time.Duration // of the last Look
	counters StepCounters
}

// StepCounters are the statistics of a step.
type StepCounters struct {
	Starts, StartFailures, Stops, StopFailures, Monitors, MonitorFailures, Restarts uint64
}

// qualification is what the last Qualify said.
type qualification struct {
	asked bool
	ok    bool
	again bool // it said no, and may say yes another time
	why   string
}

// Ladder holds ordered steps at a height and moves it one step at a time toward
// its aim (design: service groups). The zero Ladder is not usable; see NewLadder.
// Used from one goroutine.
type Ladder struct {
	id      GroupID
	node    string
	spec    LadderSpec
	next    *LadderSpec // waits for the steps that differ to come down
	steps   []rung
	lastJob uint64
	now     time.Duration // of the last Step

	up      bool
	limit   int
	managed bool
	leaving bool

	unfit    *Unfit
	heldOff  int           // how often since the group was calm
	readyAt  time.Duration // since when the whole group is up, Never if it is not
	claim    claim
	rebooted bool   // for what is stuck now
	reboot   uint64 // the Reboot in flight
}

// NewLadder returns a ladder whose first act is to look what is up.
func NewLadder(id GroupID, node string, spec LadderSpec) Ladder {
	l := Ladder{id: id, node: node, spec: spec, limit: len(spec.Steps), managed: true, readyAt: Never, claim: claim{at: Never}}
	for i := range spec.Steps {
		l.steps = append(l.steps, newRung(spec.Steps[i]))
	}
	return l
}

func newRung(s StepSpec) rung { return rung{spec: s, due: Never} }

// Step lets the ladder react to one event and appends what should be done to fx.
// now never goes backwards.
func (l *Ladder) Step(now time.Duration, ev LadderEvent, fx []LadderEffect) []LadderEffect {
	l.now = now
	began := len(fx)
	fx = l.hear(now, ev, fx)
	l.name(fx[began:]) // before a new specification may be taken over
	began = len(fx)
	fx = l.advance(now, fx)
	l.name(fx[began:])
	return fx
}

// name says whose effects they are.
func (l *Ladder) name(fx []LadderEffect) {
	for i := range fx {
		if s := fx[i].Step; s >= 0 {
			fx[i].Name = l.steps[s].spec.Name
		}
	}
}

func (l *Ladder) hear(now time.Duration, ev LadderEvent, fx []LadderEffect) []LadderEffect {
	switch e := ev.(type) {
	case Aim:
		l.aim(now, e)
	case PeerReleased:
		fx = l.letGo(fx)
	case Confirm:
		fx = l.confirm(e, fx)
	case ClearFailures:
		fx = l.clear(now, fx)
	case LimitHeight:
		l.limit = max(e.Height, 0)
	case RestartStep:
		fx = l.restart(now, e.Step, fx)
	case Manage:
		l.manage(e.On)
	case ConfigureLadder:
		l.configure(e.Spec)
	case Progress:
		if r := l.holder(e.Job); r != nil {
			r.progress = e.Text
		} else if e.Job == l.claim.job {
			l.claim.why = e.Text
		}
	case Done:
		fx = l.onDone(now, &e, fx)
	case LadderTimeout:
	}
	return fx
}

// found notes that a look has found something of the step.
func (r *rung) found(d *Done) {
	r.seen = r.seen || d.OK && (d.State == Up || d.State == Neither)
}

func (r *rung) set(now time.Duration, s State) {
	if r.state != s {
		r.state, r.since, r.stray = s, now, ""
	}
}

func (l *Ladder) aim(now time.Duration, e Aim) {
	switch {
	case e.Up && !l.up:
		kept := l.claim.granted && !l.claim.doubted && l.holds() // nobody else can have taken it meanwhile
		l.claim.begin(now, e.Peer, l.spec.Safety.ReleaseTimeout, kept)
		l.claim.word = now + e.Word
		l.claim.doubted = !l.managed
		for i := range l.steps {
			if r := &l.steps[i]; r.stopping == 0 && !r.stuck {
				r.tries, r.notBefore = 0, 0
			}
		}
	case e.Up:
		l.claim.peer = e.Peer
	}
	l.up = e.Up
}

// restart is an order: what stands on the step comes down first, as with any other hole.
func (l *Ladder) restart(now time.Duration, i int, fx []LadderEffect) []LadderEffect {
	switch {
	case i < 0 || i >= len(l.steps) || l.steps[i].state != Up:
	case !l.managed:
		fx = append(fx, LadderEffect{Kind: Note, Step: i, How: Warn, Text: l.steps[i].spec.Name + " is not restarted during maintenance"})
	default:
		l.steps[i].set(now, Neither)
		l.steps[i].detail = "restarted on request"
	}
	return fx
}

// manage switches the hands on or off. Whoever takes them back looks first.
func (l *Ladder) manage(on bool) {
	l.claim.doubted = l.claim.doubted || on != l.managed
	if on && !l.managed {
		for i := range l.steps {
			l.steps[i].looked, l.steps[i].lookAt = false, 0
		}
	}
	l.managed = on
}

func (l *Ladder) clear(now time.Duration, fx []LadderEffect) []LadderEffect {
	if l.unfit != nil {
		fx = append(fx, LadderEffect{Kind: Note, Step: -1, Text: "failures cleared: this host may serve again"})
	}
	l.unfit, l.heldOff, l.rebooted = nil, 0, false
	for i := range l.steps {
		r := &l.steps[i]
		r.tries, r.failures, r.restarts, r.stopping, r.forced, r.stuck, r.notBefore = 0, 0, nil, 0, false, false, 0
		r.qualified.asked = false
		if r.state == Down {
			r.due = now // ask again
		}
	}
	if l.claim.at != Never {
		l.claim.at = now
	}
	return fx
}

// holder is the step whose job has a number, nil if none has.
func (l *Ladder) holder(job uint64) *rung {
	for i := range l.steps {
		if job != 0 && l.steps[i].job == job {
			return &l.steps[i]
		}
	}
	return nil
}

// want is how many steps should be up.
func (l *Ladder) want() int {
	if !l.up || l.unfit != nil || l.leaving {
		return 0
	}
	return min(l.limit, l.keep(), len(l.steps))
}

// Leave makes the group go down for good, from the next Step on.
func (l *Ladder) Leave() { l.leaving = true }

// index is where a step is.
func (l *Ladder) index(r *rung) int {
	for i := range l.steps {
		if &l.steps[i] == r {
			return i
		}
	}
	return -1
}

// fail makes the host unfit: the group comes down, and another host serves.
func (l *Ladder) fail(now time.Duration, r *rung, why string, fx []LadderEffect) []LadderEffect {
	if l.unfit != nil {
		return fx
	}
	l.unfit = &Unfit{Step: r.spec.Name, Why: why, Since: now, Until: Never}
	return append(fx, LadderEffect{Kind: Note, Step: l.index(r), How: Alarm, Text: fmt.Sprintf("this host cannot serve: %s: %s", r.spec.Name, why)})
}
