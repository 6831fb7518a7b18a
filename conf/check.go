package conf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/daemon"
)

const (
	// timeoutMost is the longest timeout that is not written down.
	timeoutMost = 10 * time.Second
	// splayMost is the same for splay.
	splayMost = time.Second
)

// checkNames lets check.KIND.NAME stand for the name, where a router refers to it.
func checkNames(blocks hclsyntax.Blocks) cty.Value {
	kinds := map[string]map[string]cty.Value{}
	for _, b := range checkBlocks() {
		kinds[b.kind] = map[string]cty.Value{}
	}
	for _, b := range blocks {
		if b.Type == "check" && len(b.Labels) == 2 && kinds[b.Labels[0]] != nil && badName(b.Labels[1]) == "" {
			kinds[b.Labels[0]][b.Labels[1]] = cty.StringVal(b.Labels[0] + "." + b.Labels[1])
		}
	}
	all := map[string]cty.Value{}
	for k, names := range kinds {
		all[k] = cty.ObjectVal(names)
	}
	return cty.ObjectVal(all)
}

// checkSet is the checks of a configuration and who uses them.
type checkSet struct {
	specs map[string]*checks.Spec
	at    map[string]hcl.Range
	used  map[string]bool
}

// checksOf converts the check blocks.
func (d *decoder) checksOf(root *section) *checkSet {
	set := &checkSet{specs: map[string]*checks.Spec{}, at: map[string]hcl.Range{}, used: map[string]bool{}}
	for _, s := range root.all("check") {
		if s.name == "" {
			continue // reported
		}
		name := s.def.kind + "." + s.name
		if before, again := set.at[name]; again {
			d.errorf(s.nameRange, fmt.Sprintf("Second check %s", name), "The first one is at %s. Give this one another name.", place(before))
			continue
		}
		set.at[name] = s.nameRange
		set.specs[name] = d.checkSpec(s, name)
	}
	return set
}

func (d *decoder) checkSpec(s *section, name string) *checks.Spec {
	spec := &checks.Spec{Name: name, Interval: s.get("interval").time, Timeout: s.get("timeout").time, Splay: s.get("splay").time,
		Rise: s.get("rise").num, Fall: s.get("fall").num, Probe: d.probe(s)}
	if v := s.get("timeout"); !v.written {
		spec.Timeout = min(spec.Interval, timeoutMost)
	} else if v.ok && s.get("interval").ok && v.time > spec.Interval {
		d.errorf(v.at, "timeout is longer than interval", "A run would still be under way when the next is due. Write at most %q, or a longer interval.", short(spec.Interval))
	}
	if v := s.get("splay"); !v.written {
		spec.Splay = min(spec.Interval, splayMost)
	} else if v.ok && s.get("interval").ok && v.time > spec.Interval {
		d.errorf(v.at, "splay is longer than interval", "Write at most %q.", short(spec.Interval))
	}
	switch s.get("initial").text {
	case "healthy":
		spec.Initial = checks.Healthy
	case "failing":
		spec.Initial = checks.Failing
	}
	switch s.get("unknown").text {
	case "failing":
		spec.Unknown = checks.UnknownFailing
	case "ignore":
		spec.Unknown = checks.UnknownIgnore
	}
	return spec
}

// list returns the checks sorted by name, and warns of those nobody depends on.
func (set *checkSet) list(d *decoder) (out []checks.Spec) {
	for name, spec := range set.specs {
		out = append(out, *spec)
		if at, written := set.at[name]; written && !set.used[name] && !d.HasErrors() {
			d.warnf(at, "Nobody depends on this check", "It runs and is shown in status, but moves nothing. Say so in a virtual_router:\n    depends_on { check = check.%s }", name)
		}
	}
	slices.SortFunc(out, func(a, b checks.Spec) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// depends converts the depends_on blocks of a virtual router.
func (d *decoder) depends(s *section, set *checkSet) (out []checks.Dependency) {
	seen := map[string]bool{}
	for _, b := range s.all("depends_on") {
		dep, ok := d.dependency(s, b, set)
		if !ok {
			continue
		}
		for _, name := range dep.Checks {
			if seen[name] {
				d.warnf(b.header, fmt.Sprintf("%s counts twice", name), "It is in another depends_on of %s already.", s.title())
			}
			seen[name] = true
		}
		out = append(out, dep)
	}
	return out
}

func (d *decoder) dependency(router, b *section, set *checkSet) (dep checks.Dependency, ok bool) {
	check, link, all, anyOf := b.get("check"), b.get("link"), b.get("all"), b.get("any")
	given := 0
	for _, v := range []value{check, link, all, anyOf} {
		if !v.ok && !v.written && !v.null && v.at != b.header {
			return dep, false // it cannot be computed, which was reported
		}
		if v.written {
			given++
		}
	}
	if given != 1 {
		d.errorf(b.header, "On what?", "A depends_on has one of check, all, any, link. For example:\n    depends_on { check = check.http.site }")
		return dep, false
	}
	refs, places := []string{check.text}, []hcl.Range{check.at}
	switch {
	case link.written:
		if !link.ok {
			return dep, false
		}
		refs, places = []string{d.linkCheck(link, set)}, []hcl.Range{link.at}
		if link.text == router.get("interface").text {
			d.warnf(link.at, "The router's own interface", "It is always watched, and its loss is a fault. Remove this.")
		}
	case all.written:
		refs, places = all.texts, all.each
	case anyOf.written:
		refs, places, dep.Mode = anyOf.texts, anyOf.each, checks.Any
	}
	for i, name := range refs {
		if set.specs[name] == nil {
			d.errorf(places[i], fmt.Sprintf("No check %q", name), "%s", set.propose(name))
			return dep, false
		}
		set.used[name] = true
	}
	if (all.written || anyOf.written) && len(refs) < 2 {
		d.errorf(places[0], "One check is not several", "Write check = check.%s.", refs[0])
		return dep, false
	}
	dep.Checks = refs
	d.influence(router, b, &dep, set)
	return dep, true
}

// influence reads what a dependency does.
func (d *decoder) influence(router, b *section, dep *checks.Dependency, set *checkSet) {
	effect, weight := b.get("effect"), b.get("weight")
	switch {
	case weight.written && effect.written:
		d.errorf(weight.at, "weight and effect", "A dependency adds a number, or degrades or faults. Remove one of the two.")
	case weight.written && weight.ok && weight.num == 0:
		d.errorf(weight.at, "weight = 0 does nothing", "In keepalived it means a fault: write effect = \"fault\". Or write a number from -253 to 253.")
	case weight.written:
		dep.Influence, dep.Weight = checks.Weigh, weight.num
	case effect.text == "fault":
		dep.Influence = checks.Fault
	}
	owner := router.get("owner").yes
	if owner && dep.Influence != checks.Fault {
		d.warnf(b.header, "depends_on does nothing for the owner", "Priority 255 is never changed by a check. Only effect = \"fault\" works.")
	}
	if p := router.get("priority"); dep.Influence == checks.Degrade && !owner && p.ok && p.num <= checks.DegradedMax {
		d.warnf(p.at, "Priority in the band of degraded hosts", "1–%d mean that a host is degraded. Give healthy hosts more.", checks.DegradedMax)
	}
	for _, name := range dep.Checks {
		f, isFile := set.specs[name].Probe.(checks.File)
		if isFile && f.Integer && (dep.Influence != checks.Weigh || len(dep.Checks) > 1) {
			d.errorf(b.header, fmt.Sprintf("%s is a number", name), "A check with integer = true needs weight, and a depends_on of its own.")
		}
	}
}

// linkCheck returns the check that `link = NAME` stands for, making it on first use.
func (d *decoder) linkCheck(link value, set *checkSet) string {
	d.checkInterface(link)
	name := "link." + link.text
	if set.specs[name] == nil {
		set.specs[name] = &checks.Spec{Name: name, Interval: time.Second, Timeout: time.Second, Splay: time.Second, Rise: 1, Fall: 1,
			Probe: checks.Link{Interface: link.text}}
	}
	return name
}

// propose says which checks there are.
func (set *checkSet) propose(name string) string {
	var names []string
	for n := range set.at {
		names = append(names, n)
	}
	slices.Sort(names)
	switch near := nearest(name, names); {
	case near != "":
		return fmt.Sprintf("Did you mean check.%s?", near)
	case len(names) == 0:
		return "There are no checks in this configuration. Write one:\n    check \"http\" \"site\" { url = \"http://127.0.0.1/\" }"
	default:
		return fmt.Sprintf("There are: %s.", strings.Join(names, ", "))
	}
}

// health gives the routers their dependencies, and says who yields to health.
func (d *decoder) health(cfg *daemon.Config, root *section, routers []*router) {
	set := d.checksOf(root)
	bySection := map[*section][]checks.Dependency{}
	for _, r := range routers {
		if _, done := bySection[r.sec]; !done {
			bySection[r.sec] = d.depends(r.sec, set)
		}
		r.cfg.Depends = bySection[r.sec]
	}
	degrades := map[string]bool{} // by sync group
	for _, r := range routers {
		if slices.ContainsFunc(r.cfg.Depends, func(x checks.Dependency) bool { return x.Influence == checks.Degrade }) {
			r.cfg.Spec.YieldsToHealth = true
			degrades[r.cfg.Group] = true
		}
	}
	for _, r := range routers {
		if r.cfg.Group != "" && degrades[r.cfg.Group] {
			r.cfg.Spec.YieldsToHealth = true
		}
	}
	cfg.Checks = set.list(d)
}
