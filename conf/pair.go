package conf

import (
	"cmp"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// CheckPair checks the configurations of several hosts against each other:
// what must be the same, and what must not. cfgs are as Load returned them;
// from are Load's diagnostics in the same order, for the places, and may be
// shorter or nil. Virtual routers belong together by VRID and family, whatever
// the interface is called on each host; if a host has several such (on several
// interfaces), also by name. Nothing is reported for fewer than two hosts, and
// only that when several have the same name.
func CheckPair(cfgs []*daemon.Config, from []*Diagnostics) *Diagnostics {
	p := pair{Diagnostics: &Diagnostics{files: make(map[string]*hcl.File)}, cfgs: cfgs, from: from}
	for _, f := range from {
		if f != nil {
			for name, file := range f.files {
				p.files[name] = file
			}
			p.secrets = append(p.secrets, f.hidden()...)
		}
	}
	if len(cfgs) < 2 {
		return p.Diagnostics
	}
	if !p.namesDiffer() {
		return p.Diagnostics
	}
	groups := p.groups()
	torn := p.torn(groups)
	for n, g := range groups {
		if len(g) > 1 || !torn[n] {
			p.group(g)
		}
	}
	p.services()
	return p.Diagnostics
}

type pair struct {
	*Diagnostics
	cfgs []*daemon.Config
	from []*Diagnostics
}

// member is one host's part of a virtual router.
type member struct {
	host int
	*daemon.RouterConfig
}

// node names a host in messages.
func (p *pair) node(m member) string { return p.cfgs[m.host].Node }

// at is where a member is defined, or nil.
func (p *pair) at(m member) *hcl.Range {
	if m.host < len(p.from) && p.from[m.host] != nil {
		if r, ok := p.from[m.host].routers[m.Name]; ok {
			return &r
		}
	}
	return nil
}

// namesDiffer reports whether every host has a name of its own. If not it says
// so, once: what is compared after that would be called by the same name.
func (p *pair) namesDiffer() bool {
	numbers := make(map[string][]string)
	for i, c := range p.cfgs {
		numbers[c.Node] = append(numbers[c.Node], strconv.Itoa(i+1))
	}
	for _, c := range p.cfgs {
		same := numbers[c.Node]
		if len(same) == 1 {
			continue
		}
		count := "Two"
		if len(same) > 2 {
			count = strconv.Itoa(len(same))
		}
		p.add(hcl.DiagError, nil, fmt.Sprintf("%s hosts are called %q", count, c.Node),
			fmt.Sprintf("They are number %s of the %d configurations, so nothing was compared. (Without a node block a file is read for this host.) "+
				"Name the hosts in the order of their files: backbeat check --node fw1,fw2 a.hcl b.hcl; or in each file: node { name = \"fw1\" }.",
				listed(same), len(p.cfgs)))
		return false
	}
	return true
}

// listed is "1, 2 and 4".
func listed(words []string) string {
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// groups collects the virtual routers of all hosts, in the order of the first
// host that has each.
func (p *pair) groups() [][]member {
	type key struct {
		vrid   uint8
		family vrrp.Family
		name   string
	}
	type election struct {
		host   int
		vrid   uint8
		family vrrp.Family
	}
	count := make(map[election]int)
	ambiguous := make(map[key]bool)
	for i, c := range p.cfgs {
		for _, r := range c.Routers {
			e := election{i, r.Spec.VRID, r.Spec.Family}
			if count[e]++; count[e] > 1 {
				ambiguous[key{e.vrid, e.family, ""}] = true
			}
		}
	}
	index := make(map[key]int)
	var out [][]member
	for i, c := range p.cfgs {
		for j := range c.Routers {
			r := &c.Routers[j]
			k := key{r.Spec.VRID, r.Spec.Family, ""}
			if ambiguous[k] {
				k.name = r.Name
			}
			n, ok := index[k]
			if !ok {
				n = len(out)
				index[k] = n
				out = append(out, nil)
			}
			out[n] = append(out[n], member{i, r})
		}
	}
	return out
}

// group compares each member with the first one, and priorities and ownership
// with all before.
func (p *pair) group(g []member) {
	a := g[0]
	if len(g) == 1 {
		p.add(hcl.DiagWarning, p.at(a), fmt.Sprintf("virtual_router %q is only on %s", a.Name, p.node(a)),
			fmt.Sprintf("No other host has VRID %d for %s, so nobody takes over. Add the block there, or give both the same vrid.", a.Spec.VRID, a.Spec.Family))
		return
	}
	for i, b := range g[1:] {
		p.ears(a, b)
		p.manners(a, b)
		if a.Spec.Interval != b.Spec.Interval && a.Spec.V() == vrrp.Version3 {
			p.add(hcl.DiagWarning, p.at(b), fmt.Sprintf("virtual_router %q: interval differs", b.Name),
				fmt.Sprintf("It is %s on %s and %s on %s. It works, since a Backup learns the Active's, but takeovers then take a different time "+
					"each way. Give both the same.", short(a.Spec.Interval), p.node(a), short(b.Spec.Interval), p.node(b)))
		}
		p.addresses(a, b)
		for _, c := range g[:i+1] {
			p.priorities(c, b)
			p.acquainted(c, b)
			p.acquainted(b, c)
		}
	}
	p.numbers(g)
}

func (p *pair) addresses(a, b member) {
	onlyA, onlyB := without(a.Addresses, b.Addresses), without(b.Addresses, a.Addresses)
	if onlyA == "" && onlyB == "" {
		return
	}
	var parts []string
	if onlyA != "" {
		parts = append(parts, fmt.Sprintf("%s is on %s and not on %s", onlyA, p.node(a), p.node(b)))
	}
	if onlyB != "" {
		parts = append(parts, fmt.Sprintf("%s is on %s and not on %s", onlyB, p.node(b), p.node(a)))
	}
	p.add(hcl.DiagWarning, p.at(b), fmt.Sprintf("virtual_router %q: addresses differ", b.Name),
		strings.Join(parts, "; ")+". Such an address goes down with its host. Give both the same list, in the same order.")
}

func (p *pair) priorities(a, b member) {
	switch {
	case a.Owner && b.Owner:
		p.add(hcl.DiagError, p.at(b), fmt.Sprintf("virtual_router %q has two owners", b.Name),
			fmt.Sprintf("%s and %s both say owner = true, and neither would yield to the other. The addresses can be one host's own at most: "+
				"say for example owner = node.name == %q.", p.node(a), p.node(b), p.node(a)))
	case a.Spec.Priority == b.Spec.Priority && a.Group+b.Group != "":
		p.add(hcl.DiagError, p.at(b), fmt.Sprintf("virtual_router %q: equal priorities in a sync group", b.Name),
			fmt.Sprintf("It is %d on %s and on %s. Ties are broken by address, link by link, so each host could win one member of group %q, and none all. Give each host its own priority.",
				a.Spec.Priority, p.node(a), p.node(b), cmp.Or(a.Group, b.Group)))
	case a.Spec.Priority == b.Spec.Priority:
		p.add(hcl.DiagWarning, p.at(b), fmt.Sprintf("virtual_router %q: equal priorities", b.Name),
			fmt.Sprintf("It is %d on %s and on %s. Both may become Active at the same time, and the one with the higher address stays. "+
				"Say who is preferred: priority = { %s = 150, %s = 100 }[node.name].",
				a.Spec.Priority, p.node(a), p.node(b), quoteKey(p.node(a)), quoteKey(p.node(b))))
	}
}

// without lists the addresses of a that b lacks, at most five.
func without(a, b []actions.Address) string {
	there := make(map[netip.Prefix]bool, len(b))
	for i := range b {
		there[b[i].Prefix] = true
	}
	var out []string
	for i := range a {
		if p := a[i].Prefix; !there[p] {
			out = append(out, p.String())
		}
	}
	if len(out) > 5 {
		out = append(out[:5], fmt.Sprintf("%d more", len(out)-5))
	}
	return strings.Join(out, ", ")
}
