package play

import (
	"cmp"
	"slices"
	"strings"

	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// judge finds out who serves: it plays, and remembers. What decides is only who
// may take part, who fell, and in which order the priorities are, so plays of
// one such constellation are played once.
type judge struct {
	unit   *unit
	seed   uint64
	known  map[string][]string
	played int
}

// constellation is one host in one combination.
type constellation struct {
	failing []string
	checks.Assessment
	ill []*checks.Dependency
}

func (j *judge) constellations(failing [][]string) []constellation {
	out := make([]constellation, len(j.unit.hosts))
	for i, h := range j.unit.hosts {
		out[i].failing = failing[i]
		out[i].Assessment, out[i].ill = h.assess(failing[i])
	}
	return out
}

// key is what decides. Hosts that are absent have no part in it.
func (j *judge) key(list []constellation, absent []bool) string {
	var order []uint8
	for i := range list {
		if !absent[i] {
			order = append(order, list[i].Priority)
		}
	}
	slices.Sort(order)
	order = slices.Compact(order)
	var b strings.Builder
	for i := range list {
		c := &list[i]
		rank, _ := slices.BinarySearch(order, c.Priority)
		well, _ := j.unit.hosts[i].assess(nil)
		flags := 0
		for bit, is := range [...]bool{absent[i], c.Faulted, c.Degraded, c.Priority <= checks.DegradedMax} {
			if is {
				flags |= 1 << bit
			}
		}
		b.Write([]byte{byte(flags), byte(rank), byte(cmp.Compare(c.Priority, well.Priority) + 1)})
	}
	return b.String()
}

// serve plays a combination: the hosts start healthy, come to rest, then checks
// fail, and it is looked at who serves.
func (j *judge) serve(list []constellation, absent []bool) ([]string, error) {
	k := j.key(list, absent)
	if out, ok := j.known[k]; ok {
		return out, nil
	}
	j.played++
	var cfgs []*daemon.Config
	var part []int
	for i, h := range j.unit.hosts {
		if !absent[i] {
			cfgs, part = append(cfgs, h.cfg), append(part, i)
		}
	}
	s := newStage(Options{Hosts: cfgs, Seed: j.seed})
	for i, c := range cfgs {
		for _, k := range c.Checks {
			s.found[i][k.Name] = checks.Result{} // whatever is so in the simulation
		}
		s.boot(i, "")
	}
	if err := s.Run(settle(cfgs)); err != nil {
		return nil, err
	}
	for i, at := range part {
		for _, name := range list[at].failing {
			s.found[i][name] = checks.Result{Outcome: checks.Failed, Detail: "simulated"}
		}
	}
	if err := s.Run(settle(cfgs)); err != nil {
		return nil, err
	}
	out := []string{}
	for i, c := range cfgs {
		serves := true
		for _, r := range c.Routers {
			serves = serves && s.states[i][r.Name].State == vrrp.Active.String()
		}
		if serves {
			out = append(out, c.Node)
		}
	}
	j.known[k] = out
	return out, nil
}
