package daemon

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// checkBatch bounds the runs started in one turn: a thousand that are due at
// once must not hold up an advert.
const checkBatch = 128

// check is one check at work.
type check struct {
	id  checks.ID
	fsm checks.Check
	slot
	since time.Time // of the verdict, for people
}

// health is what a router's checks come to.
type health struct {
	checks.Assessment
	// fault names the checks for which it is Faulted or Waiting, why those for which
	// its priority is not the configured one.
	fault, why string
}

// recheck brings the checks to what a configuration says. One that stays keeps
// its verdict.
func (l *Loop) recheck(now time.Duration, specs []checks.Spec) {
	next := make([]*check, 0, len(specs))
	for i := range specs {
		c := l.checkNamed(specs[i].Name)
		switch {
		case c == nil:
			l.checkID++
			c = &check{id: l.checkID, fsm: checks.New(l.inherit.check(specs[i]), now), since: l.ports.Clock.Wall()}
			c.slot = slot{heapIndex: -1, deadline: c.fsm.Deadline(), check: c}
			l.checkDue.add(&c.slot)
			l.byCheck[c.id] = c
		case !c.fsm.Spec().Equal(&specs[i]):
			l.stepCheck(now, c, checks.Configure{Spec: specs[i]})
		}
		next = append(next, c)
	}
	for _, c := range l.checks {
		if !slices.Contains(next, c) {
			l.checkDue.remove(&c.slot)
			delete(l.byCheck, c.id)
		}
	}
	l.checks = next
}

// checkNamed returns the check of a name, nil if there is none.
func (l *Loop) checkNamed(name string) *check {
	i, found := slices.BinarySearchFunc(l.checks, name, func(c *check, n string) int { return strings.Compare(c.fsm.Spec().Name, n) })
	if !found {
		return nil
	}
	return l.checks[i]
}

// runChecks starts what is due. Adverts have left before.
func (l *Loop) runChecks(now time.Duration) {
	for range checkBatch {
		if l.checkDue.next() > now {
			return
		}
		l.stepCheck(now, l.checkDue.first().check, checks.Timeout{})
	}
}

// hint lets the checks that look at an interface run at once.
func (l *Loop) hint(now time.Duration, link string) {
	for _, c := range l.checks {
		if checks.Watches(c.fsm.Spec().Probe) == link {
			l.stepCheck(now, c, checks.Hint{})
		}
	}
}

func (l *Loop) onProbed(now time.Duration, v checks.Done) {
	c := l.byCheck[v.Check]
	if c == nil {
		l.stats.stale++
		return
	}
	l.stepCheck(now, c, checks.Ended{Run: v.Run, Result: v.Result})
}

// stepCheck is the only place where a check is stepped.
func (l *Loop) stepCheck(now time.Duration, c *check, ev checks.Event) {
	before := c.fsm.View().Verdict
	l.checkFx = c.fsm.Step(now, ev, l.checkFx[:0])
	if c.deadline = c.fsm.Deadline(); c.heapIndex >= 0 {
		l.checkDue.fix(&c.slot)
	}
	changed := false
	for _, fx := range l.checkFx {
		switch {
		case fx.Kind == checks.Changed:
			changed = true
		case l.stopping:
		default:
			s := c.fsm.Spec()
			l.ports.Prober.Probe(checks.Job{Check: c.id, Run: fx.Run, Name: s.Name, Timeout: s.Timeout, Probe: s.Probe})
		}
	}
	if !changed {
		return
	}
	if v := c.fsm.Verdict(); v != before {
		c.since = l.ports.Clock.Wall()
		level := slog.LevelWarn
		if v == checks.Healthy {
			level = slog.LevelInfo
		}
		l.log(level, fmt.Sprintf("check %s is %s: %s", c.fsm.Spec().Name, v, c.fsm.Why()), slog.String("check", c.fsm.Spec().Name))
	}
	for _, r := range slices.Clone(l.routers) {
		if l.dependsOn(r, c.fsm.Spec().Name) {
			l.assess(now, r)
		}
	}
}

// dependsOn reports whether a router's priority hangs on a check.
func (l *Loop) dependsOn(r *router, name string) bool {
	return slices.ContainsFunc(l.dependencies(r), func(d checks.Dependency) bool { return slices.Contains(d.Checks, name) })
}

// dependencies returns a router's own, and in a sync group those of all
// members: their priorities must stay the same.
func (l *Loop) dependencies(r *router) []checks.Dependency {
	if r.group == nil {
		return r.cfg.Depends
	}
	return union(r.group.depends, r.cfg.Depends) // in the middle of a reload it may be none of it any more
}

// union appends what a list does not have yet.
func union(all, more []checks.Dependency) []checks.Dependency {
	for i := range more {
		if !slices.ContainsFunc(all, func(o checks.Dependency) bool { return o.Equal(&more[i]) }) {
			all = append(slices.Clip(all), more[i])
		}
	}
	return all
}

// contribution computes one dependency's line as things are now.
func (l *Loop) contribution(d *checks.Dependency) checks.Contribution {
	stands := make([]checks.Stand, 0, len(d.Checks))
	var value *int
	for _, name := range d.Checks {
		if c := l.checkNamed(name); c != nil {
			stands = append(stands, c.fsm.Stand())
			value = c.fsm.Value()
		}
	}
	if len(d.Checks) > 1 {
		value = nil
	}
	return checks.Contribute(d, stands, value)
}

// healthOf computes what a router's checks come to.
func (l *Loop) healthOf(r *router) health {
	deps := l.dependencies(r)
	if len(deps) == 0 {
		return health{Assessment: checks.Effective(r.cfg.Spec.Priority, nil)}
	}
	list := make([]checks.Contribution, len(deps))
	var faults, waits, reasons []string
	for i := range deps {
		c := l.contribution(&deps[i])
		list[i] = c
		switch {
		case c.Influence == checks.Fault && c.Stand == checks.Bad:
			faults = append(faults, l.whyBad(&deps[i]))
		case c.Influence == checks.Fault && c.Stand == checks.Pending:
			waits = append(waits, deps[i].String())
		case c.Stand == checks.Bad || c.Weight != 0:
			reasons = append(reasons, l.whyBad(&deps[i]))
		}
	}
	h := health{Assessment: checks.Effective(r.cfg.Spec.Priority, list), why: strings.Join(reasons, "; ")}
	if h.fault = strings.Join(faults, "; "); !h.Faulted {
		h.fault = strings.Join(waits, ", ")
	}
	return h
}

// whyBad is a dependency with what is known of its checks, those that are bad
// if any is: "http.site: 3 of 3 failed, last: connection refused".
func (l *Loop) whyBad(d *checks.Dependency) string {
	var bad, all []string
	for _, name := range d.Checks {
		if c := l.checkNamed(name); c != nil {
			s := name + ": " + c.fsm.Why()
			if all = append(all, s); c.fsm.Stand() == checks.Bad {
				bad = append(bad, s)
			}
		}
	}
	if len(bad) > 0 {
		all = bad
	}
	s := strings.Join(all, ", ")
	if len(d.Checks) > 1 && d.Mode == checks.Any {
		return "none of " + s
	}
	return s
}

// asks reports whether a router that serves should ask, when its priority falls,
// whether anybody is better. Where nobody preempts, only falling ill counts. The question
// is priority 0, which says to a host that is Active as well (after a cut) that nothing is
// held here: with steps up the lower priority must do.
func asks(r *router, h health) bool {
	return (r.cfg.Spec.Preempt || h.Degraded) && (r.service == nil || r.service.ladder.Bottom())
}

// commanded is what operators' orders make of a priority.
func (l *Loop) commanded(r *router, h health) health {
	switch o := l.orders.find(OrderPin, r.cfg.Name); {
	case r.cfg.Spec.Priority == vrrp.PriorityOwner:
	case r.movedHere && !h.Degraded:
		h.Priority, h.why = 254, "moved here by an operator"
	case o != nil && !(r.fsm.State() == vrrp.Active && (r.moving || r.fsm.Parting())):
		h.Priority, h.why = 1, "pinned to another host: "+o.String()
	}
	return h
}

// assess brings a router to what its checks come to now.
func (l *Loop) assess(now time.Duration, r *router) {
	h := l.commanded(r, l.healthOf(r))
	old := r.health
	r.health = h
	if r.leaving {
		return
	}
	if was := r.fsm.Priority(); h.Priority != was && r.cfg.Spec.Priority != vrrp.PriorityOwner {
		l.tellPriority(now, r, was, h)
		l.step(now, r, vrrp.SetPriority{Priority: h.Priority, Ask: asks(r, h), Detail: h.why})
	}
	if r.link != nil && (old.Faulted != h.Faulted || old.Waiting != h.Waiting) {
		l.evaluate(now, r)
	}
}

// tellPriority writes down that the priority changed, and why.
func (l *Loop) tellPriority(now time.Duration, r *router, was uint8, h health) {
	why := "as configured"
	switch {
	case h.Degraded:
		why = "degraded by " + h.why
	case h.why != "":
		why = h.why
	}
	level := slog.LevelInfo
	if h.Priority < was {
		level = slog.LevelWarn
	}
	l.log(level, fmt.Sprintf("(%s) priority %d -> %d: %s", r.cfg.Name, was, h.Priority, why), slog.String("router", r.cfg.Name))
	l.follow(now, r, Followup{What: fmt.Sprintf("priority %d -> %d", was, h.Priority), Note: why})
}
