package actions

import "time"

// Known reports whether every step has been looked at, and those that are down
// have been asked whether they could be brought up, which nobody is in maintenance or
// on the way out.
func (l *Ladder) Known() bool {
	for i := range l.steps {
		r := &l.steps[i]
		if !r.looked || r.state == Down && !r.qualified.asked && !l.up && l.managed && !l.leaving {
			return false
		}
	}
	return true
}

// Looked reports whether every step has been looked at: what Bottom says is so in truth.
func (l *Ladder) Looked() bool {
	for i := range l.steps {
		if !l.steps[i].looked {
			return false
		}
	}
	return true
}

// Ready reports whether everything that is wanted is up: all steps, or those
// below the limit an operator has set.
func (l *Ladder) Ready() bool {
	if !l.up || l.unfit != nil || l.leaving {
		return false
	}
	for i := range l.steps {
		if i < l.limit && l.steps[i].state != Up {
			return false
		}
	}
	return true
}

// Bottom reports whether nothing is up, half up or being moved.
func (l *Ladder) Bottom() bool {
	for i := range l.steps {
		r := &l.steps[i]
		if r.state != Down { // a step being moved is Neither
			return false
		}
	}
	return true
}

// Idle reports whether no job is under way.
func (l *Ladder) Idle() bool {
	for i := range l.steps {
		if l.steps[i].job != 0 {
			return false
		}
	}
	return l.claim.job == 0
}

// Height is how many steps from the first one are up.
func (l *Ladder) Height() int {
	for i := range l.steps {
		if l.steps[i].state != Up {
			return i
		}
	}
	return len(l.steps)
}

// Unfit returns why this host cannot serve, nil if it can.
func (l *Ladder) Unfit() *Unfit { return l.unfit }

// Unqualified returns the first step that could not be brought up here, and why.
func (l *Ladder) Unqualified() (step, why string, is bool) {
	for i := range l.steps {
		r := &l.steps[i]
		if r.state == Down && r.qualified.asked && !r.qualified.ok && !l.up {
			return r.spec.Name, r.qualified.why, true
		}
	}
	return "", "", false
}

// Stuck returns the step that cannot be brought down, and why.
func (l *Ladder) Stuck() (step, why string, is bool) {
	for i := range l.steps {
		if r := &l.steps[i]; r.stuck {
			return r.spec.Name, r.detail, true
		}
	}
	return "", "", false
}

// Managed reports whether the hands may move anything.
func (l *Ladder) Managed() bool { return l.managed }

// Spec returns the specification in force; a new one may wait for steps to come down.
func (l *Ladder) Spec() *LadderSpec { return &l.spec }

// StepName is the name of a step, empty if there is none.
func (l *Ladder) StepName(i int) string {
	if i < 0 || i >= len(l.steps) {
		return ""
	}
	return l.steps[i].spec.Name
}

// Find returns the index of a step by its name ("drbd.wwwdata") or by the part
// after the point, if that is unique; -1 if there is none.
func (l *Ladder) Find(name string) int {
	found := -1
	for i := range l.steps {
		full := l.steps[i].spec.Name
		if full == name {
			return i
		}
		if len(full) > len(name) && full[len(full)-len(name)-1] == '.' && full[len(full)-len(name):] == name {
			if found >= 0 {
				return -1
			}
			found = i
		}
	}
	return found
}

// LadderView is a copy of everything a Ladder knows.
type LadderView struct {
	Steps []StepView
	// Aim says that the group is wanted up, Height how many steps are, Limit how many may be.
	Aim                  bool
	Height, Limit        int
	Ready, Bottom, Known bool
	Managed, Leaving     bool
	// Reconfiguring: a new specification waits for steps to come down.
	Reconfiguring bool
	Unfit         *Unfit
	Holds         int
	// Claimed: exclusive data may be touched, ClaimHow says why; ClaimWaits says what a claim waits for.
	// Entitled: it is claimed, or will be without asking anybody.
	Claimed, Entitled    bool
	ClaimHow, ClaimWaits string
}

// StepView is a copy of what is known of one step.
type StepView struct {
	Name  string
	State State
	// Since is when the state changed; LastAt when it was looked at last.
	Since, LastAt time.Duration
	// Doing is the verb of a job under way, Began its beginning, Progress what it waits for.
	Working  bool
	Doing    Verb
	Monitor  bool
	Began    time.Duration
	Progress string
	Stuck    bool
	Degraded bool
	Detail   string
	Output   string
	// Tries are failed starts in a row; Restarts those within the window, of Allowed.
	Tries, Restarts, Allowed int
	// Unqualified is why it could not be brought up here, empty if it could or is not known.
	Unqualified string
	// Stray is what a look has found of a step that is Down, because this host does not
	// serve, and that somebody else has brought up all the same; empty if it is not so.
	Stray    string
	Counters StepCounters
}

// View returns the copy.
func (l *Ladder) View(now time.Duration) LadderView {
	v := LadderView{Aim: l.up && !l.leaving, Height: l.Height(), Limit: min(l.limit, len(l.steps)), Ready: l.Ready(), Bottom: l.Bottom(), Known: l.Known(),
		Managed: l.managed, Leaving: l.leaving, Reconfiguring: l.next != nil, Holds: l.heldOff,
		Claimed: l.claim.granted, Entitled: l.claim.entitled(), ClaimHow: l.claim.how, ClaimWaits: l.claim.why}
	if l.unfit != nil {
		u := *l.unfit
		v.Unfit = &u
	}
	v.Steps = make([]StepView, 0, len(l.steps))
	for i := range l.steps {
		r := &l.steps[i]
		s := StepView{Name: r.spec.Name, State: r.state, Since: r.since, LastAt: r.lastAt, Working: r.job != 0, Doing: r.verb, Monitor: r.monitor,
			Began: r.began, Progress: r.progress, Stuck: r.stuck, Degraded: r.degraded, Detail: r.detail, Output: r.output,
			Stray: r.stray, Tries: r.tries, Allowed: r.spec.Restarts, Counters: r.counters}
		for _, at := range r.restarts {
			if now-at < r.spec.Window {
				s.Restarts++
			}
		}
		if r.state == Down && r.qualified.asked && !r.qualified.ok {
			s.Unqualified = r.qualified.why
		}
		v.Steps = append(v.Steps, s)
	}
	return v
}

// Moving reports whether a step is being brought up or down, or a device is at
// work: a moment at which the ladder cannot be handed over.
func (l *Ladder) Moving() bool {
	for i := range l.steps {
		if r := &l.steps[i]; r.job != 0 && (r.verb == Start || r.verb == Stop || r.verb == ForceStop || r.checking) {
			return true
		}
	}
	return l.claim.job != 0
}

// Claim returns who may still have exclusive data that is not granted, and whether
// they have said that they let go.
func (l *Ladder) Claim() (peer Peer, released bool) { return l.claim.peer, l.claim.released }
