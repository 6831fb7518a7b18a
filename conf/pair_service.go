package conf

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
)

// serviceOn is one host's service group.
type serviceOn struct {
	host int
	*daemon.ServiceConfig
}

// services compares service groups of one name with the first host's: whoever
// takes over must bring up the same things in the same order, under the same rule
// for two writers.
func (p *pair) services() {
	index := make(map[string]int)
	var all [][]serviceOn
	for i, c := range p.cfgs {
		for j := range c.Services {
			s := &c.Services[j]
			n, ok := index[s.Ladder.Name]
			if !ok {
				n = len(all)
				index[s.Ladder.Name] = n
				all = append(all, nil)
			}
			all[n] = append(all[n], serviceOn{i, s})
		}
	}
	for _, g := range all {
		if len(g) == 1 {
			p.addService(hcl.DiagWarning, g[0], fmt.Sprintf("service_group %q is only on %s", g[0].Ladder.Name, p.cfgs[g[0].host].Node),
				"When another host takes over, nobody brings its steps up there. Add the block there, with the same name.")
			continue
		}
		for _, b := range g[1:] {
			p.service(g[0], b)
		}
	}
}

func (p *pair) addService(severity hcl.DiagnosticSeverity, s serviceOn, summary, detail string) {
	var at *hcl.Range
	if s.host < len(p.from) && p.from[s.host] != nil {
		if r, ok := p.from[s.host].serviceAt[s.Ladder.Name]; ok {
			at = &r
		}
	}
	p.add(severity, at, summary, detail)
}

// service compares one group of two hosts.
func (p *pair) service(a, b serviceOn) {
	name, nodeA, nodeB := b.Ladder.Name, p.cfgs[a.host].Node, p.cfgs[b.host].Node
	if x, y := p.elections(a), p.elections(b); x != y {
		p.addService(hcl.DiagError, b, fmt.Sprintf("service_group %q follows another virtual router", name),
			fmt.Sprintf("It follows %s on %s and %s on %s: both hosts could run it at once, or none. Let both follow the same.", x, nodeA, y, nodeB))
	}
	if a.Ladder.Safety.Mode != b.Ladder.Safety.Mode {
		p.addService(hcl.DiagError, b, fmt.Sprintf("service_group %q: safety differs", name),
			fmt.Sprintf("The mode is %s on %s and %s on %s: one host would take the data without what the other relies on. Give both the same.", a.Ladder.Safety.Mode, nodeA, b.Ladder.Safety.Mode, nodeB))
	}
	if x, y := stepNames(a), stepNames(b); !slices.Equal(x, y) {
		p.addService(hcl.DiagError, b, fmt.Sprintf("service_group %q: steps differ", name),
			fmt.Sprintf("They are %s on %s and %s on %s. Give both the same, in the same order.", strings.Join(x, ", "), nodeA, strings.Join(y, ", "), nodeB))
	} else {
		for i := range a.Ladder.Steps {
			p.step(a, b, &a.Ladder.Steps[i], &b.Ladder.Steps[i])
		}
	}
	for _, c := range []struct {
		what    string
		differs bool
	}{
		{"addresses_when", a.WhenReady != b.WhenReady}, {"on_stuck", a.Ladder.OnStuck != b.Ladder.OnStuck},
		{"release_timeout", a.Ladder.Safety.ReleaseTimeout != b.Ladder.Safety.ReleaseTimeout && a.Ladder.Safety.Mode == b.Ladder.Safety.Mode},
	} {
		if c.differs {
			p.addService(hcl.DiagWarning, b, fmt.Sprintf("service_group %q: %s differs", name, c.what), fmt.Sprintf("It is not the same on %s and %s. Give both the same.", nodeA, nodeB))
		}
	}
	if a.Ladder.Safety.Mode == actions.SafetyFence && b.Ladder.Safety.Mode == actions.SafetyFence {
		p.fencing(a, b)
	}
}

// elections names what a group follows by what all hosts have in common.
func (p *pair) elections(s serviceOn) string {
	var out []string
	for i := range p.cfgs[s.host].Routers {
		if r := &p.cfgs[s.host].Routers[i]; slices.Contains(s.Follows, r.Name) {
			out = append(out, fmt.Sprintf("VRID %d (%s)", r.Spec.VRID, r.Spec.Family))
		}
	}
	slices.Sort(out)
	return strings.Join(out, " and ")
}

func stepNames(s serviceOn) (out []string) {
	for i := range s.Ladder.Steps {
		out = append(out, s.Ladder.Steps[i].Name)
	}
	return out
}

// step compares one step of two hosts. Values are not told: they may be secret.
func (p *pair) step(a, b serviceOn, x, y *actions.StepSpec) {
	var differ []string
	if reflect.TypeOf(x.Agent) == reflect.TypeOf(y.Agent) {
		differ = differences(reflect.ValueOf(x.Agent), reflect.ValueOf(y.Agent))
	}
	if x.Monitor != y.Monitor {
		differ = append(differ, "monitor")
	}
	s, t := *x, *y
	s.Agent, t.Agent, s.Monitor, t.Monitor = nil, nil, actions.MonitorSpec{}, actions.MonitorSpec{}
	differ = append(differ, differences(reflect.ValueOf(s), reflect.ValueOf(t))...)
	if len(differ) > 0 {
		p.addService(hcl.DiagWarning, b, fmt.Sprintf("service_group %q: step %s differs", b.Ladder.Name, x.Name),
			fmt.Sprintf("On %s and %s these are not the same: %s. If that is not meant, give both the same.", p.cfgs[a.host].Node, p.cfgs[b.host].Node, strings.Join(differ, ", ")))
	}
}

// argumentOf is what the configuration calls a field, where that is not the
// field's own name in small letters.
var argumentOf = map[string]string{"DRBD": "drbd", "Unsafe": "exclusive", "Admin": "drbdadm", "Setup": "drbdsetup", "Prefix": "address", "OnFailure": "on_failure"}

// differences names the fields of two values of one struct type that differ.
func differences(a, b reflect.Value) (out []string) {
	for i := range a.NumField() {
		if reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			continue
		}
		name := a.Type().Field(i).Name
		if other, ok := argumentOf[name]; ok {
			out = append(out, other)
			continue
		}
		var words strings.Builder
		for k, c := range name {
			if k > 0 && c >= 'A' && c <= 'Z' {
				words.WriteByte('_')
			}
			words.WriteRune(c)
		}
		out = append(out, strings.ToLower(words.String()))
	}
	return out
}

// fencing compares the devices: each host switches the other one off, and not
// both at the same moment.
func (p *pair) fencing(a, b serviceOn) {
	x, y := a.Ladder.Safety.Fence, b.Ladder.Safety.Fence
	nodeA, nodeB := p.cfgs[a.host].Node, p.cfgs[b.host].Node
	if !slices.EqualFunc(x, y, func(f, g actions.FenceSpec) bool {
		return f.Name == g.Name && f.Action == g.Action && slices.Equal(f.Command, g.Command)
	}) {
		p.addService(hcl.DiagWarning, b, fmt.Sprintf("service_group %q: fence devices differ", b.Ladder.Name), fmt.Sprintf("Name, command and action should be the same on %s and %s.", nodeA, nodeB))
	}
	if len(x) > 0 && len(y) > 0 && x[0].Delay == y[0].Delay {
		p.addService(hcl.DiagWarning, b, fmt.Sprintf("service_group %q: both hosts would fence at the same moment", b.Ladder.Name),
			fmt.Sprintf("When %s and %s lose each other, both may be switched off. Give one a head start: delay = { %s = \"0s\", %s = \"5s\" }[node.name].", nodeA, nodeB, quoteKey(nodeA), quoteKey(nodeB)))
	}
	if len(p.cfgs) != 2 {
		return
	}
	for _, c := range []struct {
		on    serviceOn
		other string
	}{{a, nodeB}, {b, nodeA}} {
		for _, f := range c.on.Ladder.Safety.Fence {
			if f.Target != c.other {
				p.addService(hcl.DiagWarning, c.on, fmt.Sprintf("service_group %q: fence %q has another target", c.on.Ladder.Name, f.Name),
					fmt.Sprintf("On %s it is %s, and the other host is called %s.", p.cfgs[c.on.host].Node, f.Target, c.other))
			}
		}
	}
}
