package daemon

import (
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/checks"
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
	// Checks are the checks that are added, removed or adjusted, sorted by name.
	Checks []CheckStep
	// Services are the service groups that are added, removed or adjusted, sorted by name.
	Services []ServiceStep
	// ChecksKept and ServicesKept count those in which nothing differs.
	ChecksKept, ServicesKept int
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

// CheckStep is one check's part of a Plan.
type CheckStep struct {
	Change Change // Add, Remove or Adjust
	Check  string
}

// ServiceStep is one service group's part of a Plan.
type ServiceStep struct {
	Change Change // Add, Remove or Adjust
	Group  string
	// Differences say what differs, for Adjust: "step systemd.apache changed".
	Differences []string
	// Kept is how many steps from the first one stay as they are while the rest
	// comes down and, new, up again.
	Kept int
}

// String is the step in one line: "adjust service group site: step systemd.apache added".
func (s ServiceStep) String() string {
	line := s.Change.String() + " service group " + s.Group
	if len(s.Differences) > 0 {
		line += ": " + strings.Join(s.Differences, ", ")
	}
	return line
}

// serviceSteps walks two lists sorted by name side by side. kept counts those in
// which nothing differs.
func serviceSteps(old, new []ServiceConfig) (steps []ServiceStep, kept int) {
	for len(old) > 0 || len(new) > 0 {
		switch {
		case len(new) == 0 || len(old) > 0 && old[0].Ladder.Name < new[0].Ladder.Name:
			steps = append(steps, ServiceStep{Change: Remove, Group: old[0].Ladder.Name})
			old = old[1:]
		case len(old) == 0 || new[0].Ladder.Name < old[0].Ladder.Name:
			steps = append(steps, ServiceStep{Change: Add, Group: new[0].Ladder.Name})
			new = new[1:]
		default:
			if d, same := serviceDifferences(&old[0], &new[0]); len(d) > 0 {
				steps = append(steps, ServiceStep{Change: Adjust, Group: new[0].Ladder.Name, Differences: d, Kept: same})
			} else {
				kept++
			}
			old, new = old[1:], new[1:]
		}
	}
	return steps, kept
}

// serviceDifferences says what two configurations of a group differ in, and how
// many steps from the first one are the same things in both.
func serviceDifferences(o, n *ServiceConfig) (d []string, kept int) {
	a, b := o.Ladder.Steps, n.Ladder.Steps
	for kept < len(a) && kept < len(b) && a[kept].Name == b[kept].Name && reflect.DeepEqual(a[kept].Agent, b[kept].Agent) {
		if !a[kept].Equal(&b[kept]) {
			d = append(d, "times or limits of step "+a[kept].Name)
		}
		kept++
	}
	for i := kept; i < len(a); i++ {
		at := slices.IndexFunc(b, func(s actions.StepSpec) bool { return s.Name == a[i].Name })
		switch {
		case at < 0:
			d = append(d, "step "+a[i].Name+" removed")
		case !reflect.DeepEqual(a[i].Agent, b[at].Agent):
			d = append(d, "step "+a[i].Name+" changed")
		default:
			d = append(d, "step "+a[i].Name+" goes down and up again")
		}
	}
	for i := kept; i < len(b); i++ {
		if !slices.ContainsFunc(a, func(s actions.StepSpec) bool { return s.Name == b[i].Name }) {
			d = append(d, "step "+b[i].Name+" added")
		}
	}
	mark := func(differs bool, what string) {
		if differs {
			d = append(d, what)
		}
	}
	mark(!slices.Equal(o.Follows, n.Follows), "follows")
	mark(o.WhenReady != n.WhenReady, "addresses_when")
	mark(!reflect.DeepEqual(o.Ladder.Safety, n.Ladder.Safety), "safety")
	x, y := &o.Ladder, &n.Ladder
	mark(x.OnStuck != y.OnStuck, "on_stuck")
	mark(x.HoldOff != y.HoldOff || x.HoldOffMax != y.HoldOffMax, "hold_off")
	mark(x.Qualify != y.Qualify, "qualify")
	return d, kept
}

// String is the step in one line: "adjust check http.site".
func (s CheckStep) String() string { return s.Change.String() + " check " + s.Check }

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
	p.Checks, p.ChecksKept = checkSteps(old.Checks, new.Checks)
	p.Services, p.ServicesKept = serviceSteps(old.Services, new.Services)
	return p
}

// checkSteps is the same for checks.
func checkSteps(old, new []checks.Spec) (steps []CheckStep, kept int) {
	for len(old) > 0 || len(new) > 0 {
		switch {
		case len(new) == 0 || len(old) > 0 && old[0].Name < new[0].Name:
			steps = append(steps, CheckStep{Remove, old[0].Name})
			old = old[1:]
		case len(old) == 0 || new[0].Name < old[0].Name:
			steps = append(steps, CheckStep{Add, new[0].Name})
			new = new[1:]
		default:
			if old[0].Equal(&new[0]) {
				kept++
			} else {
				steps = append(steps, CheckStep{Adjust, new[0].Name})
			}
			old, new = old[1:], new[1:]
		}
	}
	return steps, kept
}

func compare(o, n *RouterConfig, existed bool) Change {
	switch {
	case !existed:
		return Add
	case o.Interface != n.Interface || o.Spec.VRID != n.Spec.VRID || o.Spec.Family != n.Spec.Family || o.Spec.V() != n.Spec.V() ||
		listeningOf(&o.Spec) != listeningOf(&n.Spec) || o.VirtualMAC != n.VirtualMAC || o.MACName != n.MACName:
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
	say(o.Spec.V() != n.Spec.V(), "version", o.Spec.V(), n.Spec.V())
	say(o.Spec.Family == n.Spec.Family && o.Spec.MulticastGroup() != n.Spec.MulticastGroup(), "multicast_group", groupText(&o.Spec), groupText(&n.Spec))
	say(!slices.Equal(o.Spec.Peers, n.Spec.Peers), "peers", peerText(o.Spec.Peers), peerText(n.Spec.Peers))
	say(o.Spec.TTL != n.Spec.TTL, "ttl", o.Spec.TTL, n.Spec.TTL)
	say(o.Source != n.Source, "source", sourceText(o.Source), sourceText(n.Source))
	say(o.VirtualMAC != n.VirtualMAC, "virtual_mac", o.VirtualMAC, n.VirtualMAC)
	say(o.MACName != n.MACName, "virtual_mac_name", o.MACName, n.MACName)
	say(o.Accept != n.Accept, "accept", o.Accept, n.Accept)
	say(o.Group != n.Group, "sync group", o.Group, n.Group)
	say(o.Spec.AnswerLower != n.Spec.AnswerLower, "answer_lower", o.Spec.AnswerLower, n.Spec.AnswerLower)
	say(o.Spec.Farewell != n.Spec.Farewell, "farewell", o.Spec.Farewell, n.Spec.Farewell)
	say(o.Spec.VerifyAddresses != n.Spec.VerifyAddresses, "verify_addresses", o.Spec.VerifyAddresses, n.Spec.VerifyAddresses)
	say(o.Spec.AcceptGlobalFirst != n.Spec.AcceptGlobalFirst, "accept_global_first", o.Spec.AcceptGlobalFirst, n.Spec.AcceptGlobalFirst)
	say(o.Spec.Settle != n.Spec.Settle, "settle", vrrp.Span(o.Spec.Settle), vrrp.Span(n.Spec.Settle))
	say(o.Spec.LinkDownDelay != n.Spec.LinkDownDelay, "link_down_delay", vrrp.Span(o.Spec.LinkDownDelay), vrrp.Span(n.Spec.LinkDownDelay))
	mark := func(differs bool, name string) {
		if differs {
			d = append(d, name)
		}
	}
	mark(o.Spec.Secret != n.Spec.Secret, "auth_pass")
	mark(o.Mortal != n.Mortal, "address_lifetime")
	d = append(d, addressDifferences(o, n)...)
	if len(d) == 0 && !slices.Equal(o.Addresses, n.Addresses) {
		d = append(d, "order or options of the addresses")
	}
	mark(!slices.Equal(o.Routes, n.Routes), "routes")
	mark(!slices.Equal(o.Rules, n.Rules), "rules")
	mark(!advertEqual(&o.RouterAdvert, &n.RouterAdvert), "router_advertisements")
	if o.Announce != n.Announce {
		d = append(d, "announce")
	}
	if !slices.EqualFunc(o.Hooks, n.Hooks, hookEqual) {
		d = append(d, "hooks")
	}
	mark(!slices.EqualFunc(o.Depends, n.Depends, dependEqual), "depends_on")
	return d
}

// manyAddresses is from how many addresses on they are counted instead of named.
const manyAddresses = 8

// addressDifferences names the addresses that come and go, or counts them.
func addressDifferences(o, n *RouterConfig) (d []string) {
	only := func(a, b *RouterConfig) (list []string) {
		there := make(map[netip.Prefix]bool, len(b.Addresses))
		for i := range b.Addresses {
			there[b.Addresses[i].Prefix] = true
		}
		for i := range a.Addresses {
			if p := a.Addresses[i].Prefix; !there[p] {
				list = append(list, p.String())
			}
		}
		return list
	}
	say := func(list []string, what string) {
		if len(list) > manyAddresses {
			d = append(d, fmt.Sprintf("%d addresses %s", len(list), what))
			return
		}
		for _, a := range list {
			d = append(d, "address "+a+" "+what)
		}
	}
	say(only(n, o), "added")
	say(only(o, n), "removed")
	return d
}

func groupText(s *vrrp.Spec) string {
	if g := s.MulticastGroup(); g.IsValid() {
		return g.String()
	}
	return "none"
}

func peerText(peers []vrrp.Peer) string {
	list := make([]string, len(peers))
	for i, p := range peers {
		list[i] = p.Addr.String()
		if p.MinTTL != vrrp.HopLimit {
			list[i] += fmt.Sprintf(" (ttl_min %d)", p.MinTTL)
		}
	}
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, " ")
}

func sourceText(a netip.Addr) string {
	if !a.IsValid() {
		return "automatic"
	}
	return a.String()
}
