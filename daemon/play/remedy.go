package play

import (
	"fmt"
	"strings"

	"github.com/backbeat-ha/backbeat/checks"
)

// stuck finds the failures that cannot move the address: each dependency of the
// host that serves goes bad, and a healthy host is there, and nothing happens.
func (j *judge) stuck() (out []Finding, err error) {
	order, err := j.order()
	if err != nil {
		return nil, err
	}
	absent := make([]bool, len(j.unit.hosts))
	for n, at := range order {
		if n+1 < len(order) {
			for i := range j.unit.hosts[at].depends {
				f, err := j.try(at, &j.unit.hosts[at].depends[i], absent)
				if err != nil {
					return nil, err
				}
				if f != nil {
					out = append(out, *f)
				}
			}
		}
		absent[at] = true
	}
	return out, nil
}

// try lets one dependency of a host go bad, by as few checks as it takes.
func (j *judge) try(at int, d *checks.Dependency, absent []bool) (*Finding, error) {
	h := j.unit.hosts[at]
	failing := make([][]string, len(absent))
	failing[at] = d.Checks
	if d.Mode == checks.All {
		failing[at] = d.Checks[:1]
	}
	list := j.constellations(failing)
	serves, err := j.serve(list, absent)
	if err != nil || len(serves) != 1 || serves[0] != h.cfg.Node {
		return nil, err
	}
	f := &Finding{Kind: FindStuck, Router: j.unit.services[0].name, Node: h.cfg.Node, Checks: failing[at]}
	var gone []string
	for i, out := range absent {
		if out {
			gone = append(gone, j.unit.hosts[i].cfg.Node)
		}
	}
	when := ""
	if len(gone) > 0 {
		when = " while " + strings.Join(gone, " and ") + " is away"
	}
	f.Text = fmt.Sprintf("%s failing on %s%s does not move the address: %s", strings.Join(f.Checks, " and "), f.Node, when, j.why(at, d, list, absent))
	return f, nil
}

// why says what holds the address, and what would move it.
func (j *judge) why(at int, d *checks.Dependency, list []constellation, absent []bool) string {
	own := list[at].Priority
	best := -1
	for i := range list {
		if i != at && !absent[i] && (best < 0 || list[i].Priority > list[best].Priority) {
			best = i
		}
	}
	other := j.unit.hosts[best]
	if own == 255 {
		return "it owns the address, and no check changes priority 255"
	}
	if list[best].Priority > own {
		return fmt.Sprintf("%s has %d against %d, but it does not preempt (preempt = false), and a weight does not change that; use effect = \"degrade\" or \"fault\"", other.cfg.Node, list[best].Priority, own)
	}
	well, _ := j.unit.hosts[at].assess(nil)
	need := int(own) - int(list[best].Priority) + 1
	text := fmt.Sprintf("%s falls from %d to %d, and %s has %d", j.unit.hosts[at].cfg.Node, well.Priority, own, other.cfg.Node, list[best].Priority)
	switch {
	case d.Influence != checks.Weigh:
		return text
	case j.unit.hosts[at].value(d) != nil:
		return text + "; a check that reads a number takes nothing away when it cannot be read: depend on another check as well"
	case d.Weight < 0 && d.Weight-need >= -253:
		return fmt.Sprintf("%s. It would take a weight of %d, or effect = \"degrade\", which needs no arithmetic", text, d.Weight-need)
	case d.Weight > 0 && d.Weight+need <= 253:
		return fmt.Sprintf("%s. It would take a weight of %d on all hosts, or effect = \"degrade\", which needs no arithmetic", text, d.Weight+need)
	}
	return text + "; use effect = \"degrade\""
}
