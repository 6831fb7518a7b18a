package daemon

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
}

// PlanStep is one router's part of a Plan.
type PlanStep struct {
	Change Change
	Router string
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
		p.Steps = append(p.Steps, PlanStep{compare(o, n, ok), n.Name})
	}
	for i := range old.Routers {
		if name := old.Routers[i].Name; !after[name] {
			p.Steps = append(p.Steps, PlanStep{Remove, name})
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
