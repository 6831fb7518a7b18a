package play

import (
	"slices"
	"strings"

	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/daemon"
)

// unit is services that are elected as one: the members of a sync group, or one
// by itself.
type unit struct {
	services []*service
	hosts    []*unitHost
}

// unitHost is a host's part of a unit.
type unitHost struct {
	host    int
	cfg     *daemon.Config        // reduced to the unit
	routers []daemon.RouterConfig // the unit's
	depends []checks.Dependency   // of all of them: in a sync group they count for each
	checks  []string              // what they depend on
	known   map[string]assessed   // by the failing checks
}

// units joins services that are in one sync group on some host.
func units(cfgs []*daemon.Config, list []*service) (out []*unit) {
	of := map[*service]*unit{}
	for _, s := range list {
		u := &unit{services: []*service{s}}
		of[s] = u
		out = append(out, u)
	}
	merge := func(a, b *service) {
		x, y := of[a], of[b]
		if x == y {
			return
		}
		x.services = append(x.services, y.services...)
		for _, s := range y.services {
			of[s] = x
		}
		y.services = nil
	}
	for i, a := range list {
		for _, b := range list[:i] {
			for _, m := range a.members {
				if o := b.on(m.host); o != nil && m.cfg.Group != "" && o.Group == m.cfg.Group {
					merge(b, a)
				}
			}
		}
	}
	out = slices.DeleteFunc(out, func(u *unit) bool { return len(u.services) == 0 })
	for _, u := range out {
		for host, cfg := range cfgs {
			if h := u.on(host, cfg); h != nil {
				u.hosts = append(u.hosts, h)
			}
		}
	}
	return out
}

// on makes a host's part of the unit, nil if it has none.
func (u *unit) on(host int, cfg *daemon.Config) *unitHost {
	h := &unitHost{host: host, known: map[string]assessed{}, cfg: &daemon.Config{Node: cfg.Node}}
	for _, s := range u.services {
		for _, m := range s.members {
			if m.host == host {
				h.routers = append(h.routers, *m.cfg)
			}
		}
	}
	if len(h.routers) == 0 {
		return nil
	}
	slices.SortFunc(h.routers, func(a, b daemon.RouterConfig) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	for i := range h.routers {
		for _, d := range h.routers[i].Depends {
			if !slices.ContainsFunc(h.depends, func(o checks.Dependency) bool { return o.Equal(&d) }) {
				h.depends = append(h.depends, d)
			}
			for _, c := range d.Checks {
				if !slices.Contains(h.checks, c) {
					h.checks = append(h.checks, c)
				}
			}
		}
		// Who serves at rest does not depend on these, but how long it takes does.
		s := &h.routers[i].Spec
		s.PreemptDelay, s.Settle, s.LinkDownDelay = 0, 0, 0
		h.routers[i].Hooks = nil
	}
	slices.Sort(h.checks)
	h.cfg.Routers = h.routers
	for _, g := range cfg.Groups {
		if slices.ContainsFunc(h.routers, func(r daemon.RouterConfig) bool { return r.Group == g.Name }) {
			h.cfg.Groups = append(h.cfg.Groups, g)
		}
	}
	for _, c := range cfg.Checks {
		if slices.Contains(h.checks, c.Name) {
			t := h.routers[0].Spec.Interval
			c.Interval, c.Timeout, c.Splay, c.Rise, c.Fall = t, t, 0, 1, 1
			h.cfg.Checks = append(h.cfg.Checks, c)
		}
	}
	return h
}

// assessed is what some failing checks come to.
type assessed struct {
	checks.Assessment
	ill []*checks.Dependency // those that are bad
}

// assess computes what a host's checks come to when these fail.
func (h *unitHost) assess(failing []string) (checks.Assessment, []*checks.Dependency) {
	key := strings.Join(failing, " ")
	a, ok := h.known[key]
	if !ok {
		a.Assessment, a.ill = h.contribute(failing)
		h.known[key] = a
	}
	return a.Assessment, a.ill
}

func (h *unitHost) contribute(failing []string) (a checks.Assessment, ill []*checks.Dependency) {
	var list []checks.Contribution
	for i := range h.depends {
		d := &h.depends[i]
		var stands []checks.Stand
		for _, c := range d.Checks {
			if slices.Contains(failing, c) {
				stands = append(stands, checks.Bad)
			} else {
				stands = append(stands, checks.Good)
			}
		}
		c := checks.Contribute(d, stands, h.value(d))
		if list = append(list, c); c.Stand == checks.Bad {
			ill = append(ill, d)
		}
	}
	return checks.Effective(h.routers[0].Spec.Priority, list), ill
}

// value is the number that a dependency multiplies: files with a number hold 0 here.
func (h *unitHost) value(d *checks.Dependency) *int {
	for i := range h.cfg.Checks {
		c := &h.cfg.Checks[i]
		if f, ok := c.Probe.(checks.File); ok && f.Integer && len(d.Checks) == 1 && c.Name == d.Checks[0] {
			return new(int)
		}
	}
	return nil
}
