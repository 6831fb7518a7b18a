package actions

import (
	"slices"
	"time"
)

// MailboxRoom is how many jobs may wait in one Mailbox. With the default
// timeout of 10 s it is ten minutes of hooks that hang: whoever hears of a
// transition later than that is not helped by it. The jobs of one transition
// are never torn apart for it, so a router with more hooks than this is served too.
const MailboxRoom = 64

// occasions are the words of the configuration, of BACKBEAT_… variables and of
// messages, in the order of the constants.
var occasions = [...]struct {
	occasion Occasion
	word     string
}{{OnActive, "active"}, {OnBackup, "backup"}, {OnInitialize, "initialize"}, {OnFault, "fault"},
	{OnReady, "ready"}, {OnUnfit, "unfit"}, {OnStuckStep, "stuck"}}

// String returns the word of an occasion, or the words of a set joined by "+".
// The empty set is "none".
func (o Occasion) String() string {
	s := ""
	for _, k := range occasions {
		if o&k.occasion == 0 {
			continue
		}
		if s != "" {
			s += "+"
		}
		s += k.word
	}
	if s == "" {
		return "none"
	}
	return s
}

// ParseOccasion returns the occasion with the given word: active, backup,
// initialize or fault.
func ParseOccasion(word string) (Occasion, bool) {
	for _, k := range occasions {
		if k.word == word {
			return k.occasion, true
		}
	}
	return 0, false
}

// Mailbox delivers the transitions of one virtual router to its hooks: in the
// order in which they happened, for one transition in the order of the
// configuration, one run at a time. It starts nothing itself: the owner asks
// Next for the job to start, hands it to a Runner, and reports with Done.
//
// The queue is bounded. When it is full the oldest waiting transition goes, so
// that the newest is always told.
//
// A Mailbox is used from one goroutine. The zero Mailbox has no hooks and costs
// nothing; NewMailbox makes one that has.
type Mailbox struct {
	router  RouterID
	hooks   []hook
	waiting []letter
	running running
	lastJob uint64 // numbers jobs, from 1
	lastTag uint64 // numbers hooks, from 1
}

// hook is a configured hook with what became of its runs.
type hook struct {
	spec HookSpec
	// tag tells a hook from an earlier one of the same name.
	tag                   uint64
	runs, failed, skipped uint64
	finished              bool
	last                  HookDone
}

// letter is one run that waits. It names its hook instead of carrying the
// command, so that after a reload the new command is run.
type letter struct {
	hook     string
	term     uint64
	occasion Occasion
	env      []string
	stdin    []byte
}

// running is the run that occupies the slot; job 0 means that the slot is free.
type running struct {
	job  uint64
	tag  uint64
	name string
	term uint64
}

// NewMailbox returns a mailbox for a router's hooks. The names of the hooks are
// unique; the configuration has checked it.
func NewMailbox(router RouterID, specs []HookSpec) Mailbox {
	m := Mailbox{router: router}
	m.Configure(specs)
	return m
}

// Wants reports whether any hook wants to know of an occasion. Whoever builds
// the environment and the JSON of a transition asks first.
func (m *Mailbox) Wants(o Occasion) bool {
	return slices.ContainsFunc(m.hooks, func(h hook) bool { return h.spec.On&o != 0 })
}

// Post queues one run for every hook that wants to know of o, in configured
// order. term is the term that began with the transition. env and stdin are
// kept and shared by the runs: the caller does not change them afterwards. It
// returns how many older runs were skipped to make room.
func (m *Mailbox) Post(term uint64, o Occasion, env []string, stdin []byte) (skipped int) {
	need := 0
	for i := range m.hooks {
		if m.hooks[i].spec.On&o != 0 {
			need++
		}
	}
	for need > 0 && len(m.waiting) > 0 && len(m.waiting)+need > MailboxRoom {
		skipped += m.skipOldest()
	}
	for i := range m.hooks {
		if s := &m.hooks[i].spec; s.On&o != 0 {
			m.waiting = append(m.waiting, letter{s.Name, term, o, env, stdin})
		}
	}
	return skipped
}

// skipOldest drops the runs of the oldest transition that still waits.
func (m *Mailbox) skipOldest() int {
	n := 1
	for n < len(m.waiting) && m.waiting[n].term == m.waiting[0].term {
		n++
	}
	for _, l := range m.waiting[:n] {
		if h := m.find(l.hook); h != nil {
			h.skipped++
		}
	}
	m.waiting = slices.Delete(m.waiting, 0, n)
	return n
}

// Next returns the job to start now. It reports false if one is running or
// nothing waits. The job occupies the slot until Done.
func (m *Mailbox) Next() (HookJob, bool) {
	if m.running.job != 0 || len(m.waiting) == 0 {
		return HookJob{}, false
	}
	l := m.waiting[0]
	m.waiting = slices.Delete(m.waiting, 0, 1)
	if len(m.waiting) == 0 {
		m.waiting = nil // quiet routers hold no memory
	}
	h := m.find(l.hook)
	m.lastJob++
	m.running = running{job: m.lastJob, tag: h.tag, name: l.hook, term: l.term}
	return HookJob{Router: m.router, Job: m.lastJob, Spec: h.spec, Env: l.env, Stdin: l.stdin}, true
}

// Delivered says which run a HookDone ended.
type Delivered struct {
	// Hook is the hook's name, Term the term that began with its transition.
	Hook string
	Term uint64
}

// Done takes a Runner's answer, frees the slot and records the result. An
// answer to anything but the running job is stale: it changes nothing and
// Done reports false. The result of a hook that a reload removed or changed
// meanwhile frees the slot but is recorded nowhere.
func (m *Mailbox) Done(d HookDone) (Delivered, bool) {
	if d.Router != m.router || d.Job == 0 || d.Job != m.running.job {
		return Delivered{}, false
	}
	was := m.running
	m.running = running{}
	if h := m.find(was.name); h != nil && h.tag == was.tag {
		h.runs++
		if d.Err != "" {
			h.failed++
		}
		h.finished, h.last = true, d
	}
	return Delivered{was.name, was.term}, true
}

// Idle reports whether nothing runs and nothing waits.
func (m *Mailbox) Idle() bool { return m.running.job == 0 && len(m.waiting) == 0 }

// Configure replaces the hooks. A hook whose specification is the same keeps
// its statistics; a changed one starts anew. What waits for a removed hook, or
// for an occasion a changed one no longer wants, is dropped; what waits for a
// changed one is run as it is now. A run in progress is left to end.
func (m *Mailbox) Configure(specs []HookSpec) {
	hooks := make([]hook, 0, len(specs))
	for _, s := range specs {
		if old := m.find(s.Name); old != nil && sameHook(old.spec, s) {
			hooks = append(hooks, *old)
			continue
		}
		m.lastTag++
		hooks = append(hooks, hook{spec: s, tag: m.lastTag})
	}
	m.hooks = hooks
	m.waiting = slices.DeleteFunc(m.waiting, func(l letter) bool {
		h := m.find(l.hook)
		return h == nil || h.spec.On&l.occasion == 0
	})
}

func (m *Mailbox) find(name string) *hook {
	for i := range m.hooks {
		if m.hooks[i].spec.Name == name {
			return &m.hooks[i]
		}
	}
	return nil
}

func sameHook(a, b HookSpec) bool {
	return a.Name == b.Name && a.On == b.On && a.User == b.User && a.Timeout == b.Timeout &&
		slices.Equal(a.Command, b.Command)
}

// HookView is what can be seen of one hook from outside.
type HookView struct {
	Name string
	// Running: a run is in progress. Queued counts those that wait.
	Running bool
	Queued  int
	// Runs counts finished runs, Failed those of them with an error, Skipped
	// those that never began because newer transitions needed the room.
	Runs, Failed, Skipped uint64
	// Finished says that there was a run; the rest describes the last one, as
	// in HookDone.
	Finished bool
	Exit     int
	Err      string
	Took     time.Duration
	Output   string
}

// View returns a copy of what is known of every hook, in configured order.
func (m *Mailbox) View() []HookView {
	if len(m.hooks) == 0 {
		return nil
	}
	view := make([]HookView, len(m.hooks))
	for i := range m.hooks {
		h := &m.hooks[i]
		view[i] = HookView{Name: h.spec.Name, Running: m.running.job != 0 && m.running.tag == h.tag,
			Runs: h.runs, Failed: h.failed, Skipped: h.skipped,
			Finished: h.finished, Exit: h.last.Exit, Err: h.last.Err, Took: h.last.Took, Output: h.last.Output}
		for _, l := range m.waiting {
			if l.hook == h.spec.Name {
				view[i].Queued++
			}
		}
	}
	return view
}
