package play

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/simlan"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// The simulated network and kernel are quick ones: packets take some 0.2 ms,
// addresses 2 ms, hooks up to 50 ms, checks up to 20 ms, steps of service groups
// up to 2 s.
const (
	minDelay    = 100 * time.Microsecond
	maxDelay    = 300 * time.Microsecond
	kernelDelay = 2 * time.Millisecond
	hookDelay   = 50 * time.Millisecond
	probeDelay  = 20 * time.Millisecond
	stepDelay   = 2 * time.Second
	lookDelay   = 20 * time.Millisecond
	// reboot is how long a machine takes to come up again.
	reboot = 60 * time.Second
	// forever is longer than any play.
	forever = 100 * 365 * 24 * time.Hour
	// restart is how long a start waits for a daemon that is still leaving.
	restart = 100 * time.Millisecond
)

// Options are a play.
type Options struct {
	// Hosts are the configurations of all hosts; Node is the name, and unique.
	Hosts  []*daemon.Config
	Faults []Fault
	// Until is its length; 0: until all has settled after the last fault.
	Until time.Duration
	Seed  uint64
	// Progress is told now and then how far it is; may be nil.
	Progress func(done, of time.Duration)
}

// stage is a play under way.
type stage struct {
	*simlan.LAN
	opt      Options
	cast     *cast
	hosts    []*simlan.Host
	timeline []Event
	holders  holders
	groups   groups
	orders   []*order                  // standby and move
	failed   []Finding                 // of those
	states   []map[string]RouterResult // by host and router: what it said last
	found    []map[string]checks.Result
	broken   []map[string]*Fault // steps, by the name of their jobs
	writers  map[string]bool     // exclusive steps that two hosts had up at one time
	frozen   []bool
}

// Run plays. An error is a fault of the simulation itself, or of the daemon.
func Run(o Options) (*Result, error) {
	s := newStage(o)
	late := map[int]bool{}
	for i := range o.Faults {
		f := &o.Faults[i]
		if _, known := late[f.host]; !known && slices.Contains([]string{"fail", "kill", "stop", "start"}, f.kind.Name) {
			late[f.host] = f.kind.Name == "start"
		}
		s.At(f.From, func() { f.kind.begin(s, f) })
		if f.To > 0 && !f.replaced && f.kind.end != nil {
			s.At(f.To, func() { f.kind.end(s, f) })
		}
	}
	for i := range s.hosts {
		if !late[i] {
			s.boot(i, "backbeat starts")
		}
	}
	return s.play()
}

func newStage(o Options) *stage {
	s := &stage{opt: o, cast: newCast(o.Hosts), writers: map[string]bool{}}
	s.holders.init(s.cast)
	s.groups.init(o.Hosts)
	s.LAN = simlan.New(simlan.Options{Seed: o.Seed, Hosts: s.cast.specs, MinDelay: minDelay, MaxDelay: maxDelay, KernelDelay: kernelDelay,
		HookDelay: hookDelay, OddClocks: true,
		ProbeDelay: func(job *checks.Job) time.Duration { return min(job.Timeout/2, probeDelay) },
		Born:       func(p *simlan.Process) simlan.Witness { return &actor{stage: s, host: p.Host.ID} },
		StepDelay:  stepDelay, LookDelay: lookDelay, Stepped: s.stepped,
		Moved: s.holders.moved, After: func() { s.holders.look(s.Now()); s.lookGroups() }})
	s.hosts = s.LAN.Hosts()
	s.holders.hosts = s.hosts
	s.frozen = make([]bool, len(s.hosts))
	for i, h := range s.hosts {
		s.states = append(s.states, map[string]RouterResult{})
		s.found = append(s.found, map[string]checks.Result{})
		h.Finds = func(job *checks.Job) checks.Result { return s.finds(i, job) }
		h.Breaks = func(job *actions.Job) string { return s.breaks(i, job) }
		h.Shoots = func(job *actions.Job) (bool, string) { return s.shoot(i, job) }
		h.Reboots = func() { s.reboot(i) }
		s.broken = append(s.broken, map[string]*Fault{})
		for _, n := range h.NICs() {
			for _, a := range n.Kernel {
				s.holders.moved(h, a.Prefix)
			}
		}
	}
	return s
}

// play lets the time pass and sums up.
func (s *stage) play() (*Result, error) {
	o := &s.opt
	rest := settle(o.Hosts)
	last := time.Duration(0)
	for i := range o.Faults {
		last = max(last, o.Faults[i].last())
	}
	until := cmp.Or(o.Until, (last+rest+time.Second-1)/time.Second*time.Second)
	const steps = 100
	for i := range time.Duration(steps) {
		if err := s.LAN.Run(until*(i+1)/steps - s.Now()); err != nil {
			return nil, err
		}
		if o.Progress != nil {
			o.Progress(s.Now(), until)
		}
	}
	r := &Result{Seed: o.Seed, Until: until.Seconds(), AtRest: until >= last+rest, Findings: []Finding{}, Notes: []string{}}
	s.conclude(r)
	if !r.AtRest {
		r.Notes = append(r.Notes, fmt.Sprintf("It ends %s after the last event; until everything has settled it may take %s.", vrrp.Span(until-last), vrrp.Span(rest)))
	}
	for i := range o.Faults {
		if f := &o.Faults[i]; f.kind.Name != "start" && f.From > 0 && f.From < rest && !s.electedBefore(f.From) {
			r.Notes = append(r.Notes, fmt.Sprintf("%s comes before the first election has ended; until then it may take %s.", f, vrrp.Span(rest)))
			break
		}
	}
	return r, s.Err()
}

// electedBefore reports whether every address was held at some time before an instant.
func (s *stage) electedBefore(at time.Duration) bool {
	for _, u := range s.holders.uses {
		if u.first < 0 || u.first >= at {
			return false
		}
	}
	return true
}

// settle is how long a change may take until everything is at rest: an election,
// what it waits for, and the checks.
func settle(cfgs []*daemon.Config) (most time.Duration) {
	var health time.Duration
	for _, c := range cfgs {
		for i := range c.Routers {
			s := &c.Routers[i].Spec
			most = max(most, 2*vrrp.ActiveDownInterval(s.Interval, 1)+s.PreemptDelay+s.Settle+s.LinkDownDelay)
		}
		for i := range c.Checks {
			k := &c.Checks[i]
			health = max(health, k.Splay, time.Duration(max(k.Rise, k.Fall)+1)*k.Interval+k.Timeout)
		}
	}
	var steps time.Duration // down here and up there, and before that somebody has to look
	for _, c := range cfgs {
		for i := range c.Services {
			l := &c.Services[i].Ladder
			var look time.Duration
			for k := range l.Steps {
				look = max(look, l.Steps[k].Monitor.Interval)
			}
			steps = max(steps, time.Duration(3*len(l.Steps))*stepDelay+look)
		}
	}
	return most + health + steps + time.Second
}

// tell adds a line about what is done to a host or, without one, to the network.
func (s *stage) tell(host int, format string, args ...any) {
	e := Event{At: s.Now().Seconds(), Kind: KindFault, Text: fmt.Sprintf(format, args...)}
	if host >= 0 {
		e.Node = s.hosts[host].Name
	}
	s.timeline = append(s.timeline, e)
}

// boot starts a host's daemon, once an earlier one has left.
func (s *stage) boot(host int, text string) {
	h := s.hosts[host]
	if h.Off() {
		return // its power has gone meanwhile
	}
	if h.Process != nil {
		s.After(restart, func() { s.boot(host, text) })
		return
	}
	s.tell(host, "%s", text)
	clear(s.states[host])
	h.Boot(s.opt.Hosts[host])
}

// finds is what a check finds on a host: what was said, or what is so in the
// simulation, or that all is well.
func (s *stage) finds(host int, job *checks.Job) checks.Result {
	if r, said := s.found[host][job.Name]; said {
		return r
	}
	h := s.hosts[host]
	switch n := h.Named(checks.Watches(job.Probe)); {
	case n == nil:
	case n.Index == 0:
		return checks.Result{Outcome: checks.Failed, Detail: "there is no such interface"}
	case !n.Up():
		return checks.Result{Outcome: checks.Failed, Detail: "no carrier"}
	}
	if v, ok := job.Probe.(checks.Address); ok {
		if s.holders.knows(v.Address) && h.Holds(v.Address) == v.Absent {
			return checks.Result{Outcome: checks.Failed, Detail: map[bool]string{true: "it is here", false: "it is not here"}[v.Absent]}
		}
	}
	return checks.Result{}
}

// actor is one life of a daemon on the stage.
type actor struct {
	simlan.Blind
	stage *stage
	host  int
	seq   uint64
}

// Transition puts a change of state into the timeline; follow-ups say nothing new.
func (a *actor) Transition(t daemon.Transition) {
	if t.Seq <= a.seq {
		return
	}
	a.seq = t.Seq
	s := a.stage
	s.timeline = append(s.timeline, Event{At: s.Now().Seconds(), Kind: KindTransition, Node: s.hosts[a.host].Name, Router: t.Router,
		From: t.From, To: t.To, Cause: t.Cause, Text: t.Reason})
	s.states[a.host][t.Router] = RouterResult{Name: t.Router, State: t.To, Reason: t.Reason, EffectivePriority: t.Evidence.Priority}
}

// Logged puts the daemon's other lines into the timeline.
func (a *actor) Logged(l daemon.Line) {
	e := Event{Kind: KindLog, Text: l.Text, Level: strings.ToLower(l.Level.String())}
	for _, attr := range l.Attrs {
		switch attr.Key {
		case "from":
			return // a transition, which has come by itself
		case "router":
			e.Router = attr.Value.String()
		}
	}
	if l.Level < slog.LevelInfo {
		return
	}
	e.At, e.Node = a.stage.Now().Seconds(), a.stage.hosts[a.host].Name
	a.stage.timeline = append(a.stage.timeline, e)
}
