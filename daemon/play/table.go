package play

import (
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/backbeat-ha/backbeat/daemon"
)

// mostCombinations bounds a table, and mostChecks the checks of one host of
// which every combination is looked at.
const (
	mostCombinations = 1 << 16
	mostChecks       = 16
)

// Combinations makes the tables of what every combination of check results
// comes to, one for virtual routers that always share their fate, and finds the
// failures that cannot move an address. progress is told how many combinations
// of how many are done; it may be nil.
func Combinations(cfgs []*daemon.Config, seed uint64, progress func(done, of int)) ([]CheckedUnit, []Finding, error) {
	var out []CheckedUnit
	findings := []Finding{}
	for _, u := range units(cfgs, services(cfgs)) {
		j := &judge{unit: u, seed: seed, known: map[string][]string{}}
		t, err := j.table(progress)
		if err != nil {
			return nil, nil, err
		}
		if i := slices.IndexFunc(out, func(o CheckedUnit) bool { return sameTable(&o, t) }); i >= 0 {
			out[i].Routers = append(out[i].Routers, t.Routers...)
			continue
		}
		out = append(out, *t)
		if len(t.Rows) > 1 {
			found, err := j.stuck()
			if err != nil {
				return nil, nil, err
			}
			findings = append(findings, found...)
		}
	}
	for i := range findings { // of tables that say the same of several
		for _, t := range out {
			if t.Routers[0] == findings[i].Router && len(t.Routers) > 1 {
				findings[i].Router = strings.Join(t.Routers, ", ")
			}
		}
	}
	return out, findings, nil
}

func sameTable(a, b *CheckedUnit) bool {
	return slices.EqualFunc(a.Hosts, b.Hosts, func(x, y UnitHost) bool {
		return x.Node == y.Node && x.Priority == y.Priority && slices.Equal(x.Checks, y.Checks)
	}) && slices.EqualFunc(a.Rows, b.Rows, func(x, y Row) bool {
		return x.alike == y.alike && slices.Equal(x.Failing, y.Failing) && slices.Equal(x.Serves, y.Serves)
	})
}

func (j *judge) table(progress func(done, of int)) (*CheckedUnit, error) {
	t := &CheckedUnit{Rows: []Row{}}
	for _, s := range j.unit.services {
		t.Routers = append(t.Routers, s.name)
	}
	number := 0
	for _, h := range j.unit.hosts {
		list := h.checks
		if list == nil {
			list = []string{}
		}
		t.Hosts = append(t.Hosts, UnitHost{h.cfg.Node, h.routers[0].Spec.Priority, list})
		number += len(list)
	}
	t.Count = 1 << min(number, 63)
	all := j.every(number, t)
	for i, c := range all {
		row, err := j.row(c.failing)
		if err != nil {
			return nil, err
		}
		row.Covers = c.covers
		t.Rows = append(t.Rows, *row)
		if progress != nil {
			progress(i+1, len(all))
		}
	}
	slices.SortStableFunc(t.Rows, func(a, b Row) int { return len(a.Failing) - len(b.Failing) })
	return t, nil
}

// combination is the failing checks of each host, and how many combinations it
// stands for.
type combination struct {
	failing [][]string
	covers  uint64
}

// every lists combinations: all there are, or if those are too many, one for
// all that come to the same on every host, or if those are still too many, those of
// each host while the others are healthy.
func (j *judge) every(number int, t *CheckedUnit) (out []combination) {
	hosts := j.unit.hosts
	if number <= bits.Len(mostCombinations-1) {
		for n := range 1 << number {
			c, at := combination{make([][]string, len(hosts)), 1}, n
			for i, h := range hosts {
				c.failing[i] = pick(h.checks, at)
				at >>= len(h.checks)
			}
			out = append(out, c)
		}
		return out
	}
	said := fmt.Sprintf("%d checks on %d hosts have more than %d combinations: ", number, len(hosts), mostCombinations)
	if out = j.classes(); len(out) > 0 {
		t.Reduced = said + "one stands for all that come to the same on every host"
		return out
	}
	t.Reduced = said + "these are each check by itself and all of a host, while the others are healthy"
	out = append(out, combination{make([][]string, len(hosts)), 1})
	for i, h := range hosts {
		alone := func(failing []string) {
			c := combination{make([][]string, len(hosts)), 1}
			c.failing[i] = failing
			out = append(out, c)
		}
		for _, name := range h.checks {
			alone([]string{name})
		}
		if len(h.checks) > 1 {
			alone(h.checks)
		}
	}
	return out
}

// classes groups the combinations of each host by what they come to, and combines
// the groups of all hosts; nil if that is too much.
func (j *judge) classes() []combination {
	out := []combination{{nil, 1}}
	for _, h := range j.unit.hosts {
		if len(h.checks) > mostChecks {
			return nil
		}
		groups := h.classes()
		if len(out)*len(groups) > mostCombinations {
			return nil
		}
		var next []combination
		for _, c := range out {
			for _, g := range groups {
				next = append(next, combination{append(slices.Clone(c.failing), g.failing[0]), c.covers * g.covers})
			}
		}
		out = next
	}
	return out
}

// classes are a host's own: the one with the fewest failures stands for each.
func (h *unitHost) classes() (out []combination) {
	index := map[string]int{}
	for set := range 1 << len(h.checks) {
		failing := pick(h.checks, set)
		a, ill := h.contribute(failing)
		k := fmt.Sprint(a, len(ill) > 0)
		i, known := index[k]
		if !known {
			index[k] = len(out)
			out = append(out, combination{[][]string{failing}, 1})
			continue
		}
		if out[i].covers++; len(failing) < len(out[i].failing[0]) {
			out[i].failing[0] = failing
		}
	}
	return out
}

// pick takes the elements whose bits are set.
func pick(list []string, set int) (out []string) {
	for i, s := range list {
		if set&(1<<i) != 0 {
			out = append(out, s)
		}
	}
	return out
}

// row plays one combination.
func (j *judge) row(failing [][]string) (*Row, error) {
	list := j.constellations(failing)
	serves, err := j.serve(list, make([]bool, len(list)))
	if err != nil {
		return nil, err
	}
	r := &Row{Failing: []string{}, Serves: serves}
	var key strings.Builder
	for i, c := range list {
		for _, name := range c.failing {
			r.Failing = append(r.Failing, j.unit.hosts[i].cfg.Node+":"+name)
		}
		r.Hosts = append(r.Hosts, RowHost{c.Priority, c.Degraded, c.Faulted})
		key.WriteByte(c.Priority)
		for _, is := range [...]bool{c.Degraded, c.Faulted, len(c.ill) > 0} {
			if is {
				key.WriteByte('x')
			} else {
				key.WriteByte('-')
			}
		}
	}
	r.alike = key.String()
	switch {
	case len(serves) == 0:
		r.Remark = "nobody serves"
	case len(serves) > 1:
		r.Remark = "two Actives"
	default:
		r.Remark = j.better(list, serves[0])
	}
	return r, nil
}

// better says so if an ill host serves although a healthy one is there.
func (j *judge) better(list []constellation, serves string) string {
	var healthy []string
	for i, h := range j.unit.hosts {
		if h.cfg.Node == serves && len(list[i].ill) == 0 {
			return ""
		}
		if h.cfg.Node != serves && len(list[i].ill) == 0 {
			healthy = append(healthy, h.cfg.Node)
		}
	}
	if len(healthy) == 0 {
		return ""
	}
	return fmt.Sprintf("ill, and %s is not", strings.Join(healthy, ", "))
}

// Merged are rows that come to the same for every host, the one with the fewest
// failures standing for all.
func (t *CheckedUnit) Merged() (rows []Row) {
	index := map[string]int{}
	for i := range t.Rows {
		k := t.Rows[i].alike
		if n, ok := index[k]; ok {
			rows[n].Covers += t.Rows[i].Covers
			continue
		}
		index[k] = len(rows)
		rows = append(rows, t.Rows[i])
	}
	return rows
}

// order returns the hosts as they would serve one after the other, if each that
// serves fell out and all were healthy.
func (j *judge) order() (out []int, err error) {
	absent := make([]bool, len(j.unit.hosts))
	healthy := j.constellations(make([][]string, len(absent)))
	for range absent {
		serves, err := j.serve(healthy, absent)
		if err != nil || len(serves) != 1 {
			return out, err
		}
		for i, h := range j.unit.hosts {
			if h.cfg.Node == serves[0] {
				out, absent[i] = append(out, i), true
			}
		}
	}
	return out, nil
}
