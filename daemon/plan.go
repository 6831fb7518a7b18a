package daemon

import (
	"fmt"
	"slices"
	"strings"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// Change is what a reload does to one virtual router.
type Change uint8

// The changes.
const (
	// Keep: nothing differs; the router does not notice the reload.
	Keep Change = iota
	// Add: a new router starts.
	Add
	// Remove: the router steps aside and goes.
	Remove
	// Adjust: parameters change in a running router, without a transition.
	Adjust
	// Replace: interface, VRID or family differ: the old one goes, a new one starts.
	Replace
)

// String returns the word the plan prints.
func (c Change) String() string {
	switch c {
	case Keep:
		return "keep"
	case Add:
		return "add"
	case Remove:
		return "remove"
	case Adjust:
		return "adjust"
	default:
		return "replace"
	}
}

// Plan is what a reload does, router by router, sorted by name.
type Plan struct {
	Steps []PlanStep
	// Stopping says that nothing was done, because the daemon is leaving.
	Stopping bool
}

// PlanStep is one router's part of a Plan.
type PlanStep struct {
	Change Change
	Router string
	// Differences are what differs, for Adjust and Replace: "priority 150 -> 50".
	Differences []string
}

// String is the step in one line: "adjust web: priority 150 -> 50".
func (s PlanStep) String() string {
	line := s.Change.String() + " " + s.Router
	if len(s.Differences) > 0 {
		line += ": " + strings.Join(s.Differences, ", ")
	}
	return line
}

// Counts returns how many routers are kept, added, removed, adjusted, replaced.
func (p Plan) Counts() (n [5]int) {
	for _, s := range p.Steps {
		n[s.Change]++
	}
	return n
}

// MakePlan compares two configurations. It is pure; Loop carries it out.
func MakePlan(old, new *Config) Plan {
	var p Plan
	before := make(map[string]*RouterConfig, len(old.Routers))
	for i := range old.Routers {
		before[old.Routers[i].Name] = &old.Routers[i]
	}
	after := make(map[string]bool, len(new.Routers))
	for i := range new.Routers {
		n := &new.Routers[i]
		after[n.Name] = true
		o, ok := before[n.Name]
		step := PlanStep{Change: compare(o, n, ok), Router: n.Name}
		if step.Change == Adjust || step.Change == Replace {
			step.Differences = differences(o, n)
		}
		p.Steps = append(p.Steps, step)
	}
	for i := range old.Routers {
		if name := old.Routers[i].Name; !after[name] {
			p.Steps = append(p.Steps, PlanStep{Change: Remove, Router: name})
		}
	}
	return p
}

func compare(o, n *RouterConfig, existed bool) Change {
	switch {
	case !existed:
		return Add
	case o.Interface != n.Interface || o.Spec.VRID != n.Spec.VRID || o.Spec.Family != n.Spec.Family:
		return Replace
	case !o.Equal(n):
		return Adjust
	default:
		return Keep
	}
}

// differences says in the words of the configuration what a router's two
// configurations differ in.
func differences(o, n *RouterConfig) (d []string) {
	say := func(differs bool, name string, from, to any) {
		if differs {
			d = append(d, fmt.Sprintf("%s %v -> %v", name, from, to))
		}
	}
	say(o.Interface != n.Interface, "interface", o.Interface, n.Interface)
	say(o.Spec.VRID != n.Spec.VRID, "vrid", o.Spec.VRID, n.Spec.VRID)
	say(o.Spec.Family != n.Spec.Family, "family", o.Spec.Family, n.Spec.Family)
	say(o.Spec.Priority != n.Spec.Priority, "priority", o.Spec.Priority, n.Spec.Priority)
	say(o.Owner != n.Owner, "owner", o.Owner, n.Owner)
	say(o.Spec.Interval != n.Spec.Interval, "interval", vrrp.Span(o.Spec.Interval), vrrp.Span(n.Spec.Interval))
	say(o.Spec.Preempt != n.Spec.Preempt, "preempt", o.Spec.Preempt, n.Spec.Preempt)
	say(o.Spec.PreemptDelay != n.Spec.PreemptDelay, "preempt_delay", vrrp.Span(o.Spec.PreemptDelay), vrrp.Span(n.Spec.PreemptDelay))
	say(o.Spec.Checksum != n.Spec.Checksum, "checksum", o.Spec.Checksum, n.Spec.Checksum)
	for _, p := range n.Addresses {
		if !slices.Contains(o.Addresses, p) {
			d = append(d, "address "+p.String()+" added")
		}
	}
	for _, p := range o.Addresses {
		if !slices.Contains(n.Addresses, p) {
			d = append(d, "address "+p.String()+" removed")
		}
	}
	if len(d) == 0 && !slices.Equal(o.Addresses, n.Addresses) {
		d = append(d, "order of the addresses")
	}
	if o.Announce != n.Announce {
		d = append(d, "announce")
	}
	if !slices.EqualFunc(o.Hooks, n.Hooks, hookEqual) {
		d = append(d, "hooks")
	}
	return d
}
