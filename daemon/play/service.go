package play

import (
	"slices"

	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// service is one virtual router as all hosts share it.
type service struct {
	name    string // as the first host calls it
	members []member
}

// member is one host's part of a service.
type member struct {
	host int
	cfg  *daemon.RouterConfig
}

// on returns a host's part, nil if it has none.
func (s *service) on(host int) *daemon.RouterConfig {
	for _, m := range s.members {
		if m.host == host {
			return m.cfg
		}
	}
	return nil
}

// services collects the virtual routers of all hosts: those with one VRID and
// family are one, whatever they and their interfaces are called; if a host has
// several such, the name decides. (`backbeat check` compares them the same way.)
func services(cfgs []*daemon.Config) (out []*service) {
	type key struct {
		vrid   uint8
		family vrrp.Family
		name   string
	}
	ambiguous := map[key]bool{}
	for _, c := range cfgs {
		seen := map[key]bool{}
		for i := range c.Routers {
			k := key{c.Routers[i].Spec.VRID, c.Routers[i].Spec.Family, ""}
			ambiguous[k] = ambiguous[k] || seen[k]
			seen[k] = true
		}
	}
	index := map[key]*service{}
	for host, c := range cfgs {
		for i := range c.Routers {
			r := &c.Routers[i]
			k := key{r.Spec.VRID, r.Spec.Family, ""}
			if ambiguous[k] {
				k.name = r.Name
			}
			s := index[k]
			if s == nil {
				s = &service{name: r.Name}
				index[k] = s
				out = append(out, s)
			}
			s.members = append(s.members, member{host, r})
		}
	}
	return out
}

// place is an interface of a host.
type place struct {
	host int
	name string
}

// interfacesOf names the interfaces a configuration speaks of, those of virtual
// routers first.
func interfacesOf(c *daemon.Config) (names []string) {
	add := func(name string) {
		if name != "" && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for i := range c.Routers {
		add(c.Routers[i].Interface)
	}
	for i := range c.Routers {
		for _, a := range c.Routers[i].Addresses {
			add(a.Interface)
		}
		for _, r := range c.Routers[i].Routes {
			add(r.Interface)
		}
	}
	for i := range c.Checks {
		add(checks.Watches(c.Checks[i].Probe))
	}
	return names
}

// links joins the interfaces that hear each other: those that carry one
// service, then those of one name. A host is on a link once.
func links(cfgs []*daemon.Config, list []*service) (out [][]place) {
	of := map[place]int{}
	var sets [][]place
	for host, c := range cfgs {
		for _, name := range interfacesOf(c) {
			of[place{host, name}] = len(sets)
			sets = append(sets, []place{{host, name}})
		}
	}
	join := func(a, b place) {
		x, y := of[a], of[b]
		if x == y {
			return
		}
		for _, p := range sets[y] {
			if slices.ContainsFunc(sets[x], func(q place) bool { return q.host == p.host }) {
				return
			}
		}
		for _, p := range sets[y] {
			of[p] = x
		}
		sets[x], sets[y] = append(sets[x], sets[y]...), nil
	}
	for _, s := range list {
		first := s.members[0]
		for _, m := range s.members[1:] {
			join(place{first.host, first.cfg.Interface}, place{m.host, m.cfg.Interface})
		}
	}
	names := map[string]place{}
	for host, c := range cfgs {
		for _, name := range interfacesOf(c) {
			if at, ok := names[name]; ok {
				join(at, place{host, name})
			} else {
				names[name] = place{host, name}
			}
		}
	}
	for _, s := range sets {
		if len(s) > 0 {
			out = append(out, s)
		}
	}
	return out
}
