package sim

import (
	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// illness is the one check there is on a host: what it finds is the host's Ail.
const illness = "file.ill"

// Depending gives a router a dependency on the host's health.
func Depending(c daemon.RouterConfig, d checks.Dependency) daemon.RouterConfig {
	d.Checks = []string{illness}
	c.Depends = []checks.Dependency{d}
	c.Spec.YieldsToHealth = d.Influence == checks.Degrade
	return c
}

// checkOf is the check that the routers of a host depend on, if any does.
func checkOf(routers []daemon.RouterConfig) []checks.Spec {
	for i := range routers {
		if t := routers[i].Spec.Interval; len(routers[i].Depends) > 0 {
			return []checks.Spec{{Name: illness, Interval: t, Timeout: t, Splay: t, Rise: 2, Fall: 2, Probe: checks.File{Path: "/ill"}}}
		}
	}
	return nil
}

// Ail decides what the host's check finds from now on.
func (h *Host) Ail(o checks.Outcome) {
	h.lan.Fault("%s: its check is %s", h.Name, o)
	h.finds = o
}

// effective is what a router's priority comes to, after a rest, on a host: in a
// sync group the dependencies of all members count. A check that could never be
// run counts as what it was before, so hosts at rest are well or ill.
func (h *Host) effective(c *daemon.RouterConfig) checks.Assessment {
	stand := []checks.Stand{checks.Good}
	if h.finds == checks.Failed {
		stand[0] = checks.Bad
	}
	var list []checks.Contribution
	var seen []checks.Dependency
	for i := range h.Process.Config.Routers {
		m := &h.Process.Config.Routers[i]
		if m != c && m.Name != c.Name && (c.Group == "" || m.Group != c.Group) {
			continue
		}
		for _, d := range m.Depends {
			again := false
			for j := range seen {
				again = again || seen[j].Equal(&d)
			}
			if !again {
				seen = append(seen, d)
				list = append(list, checks.Contribute(&d, stand, nil))
			}
		}
	}
	return h.commanded(c, checks.Effective(c.Spec.Priority, list))
}

// mayTake reports whether a Backup would take over from a living Active.
func (h *Host) mayTake(c *daemon.RouterConfig, own, theirs uint8) bool {
	if own <= theirs {
		return false
	}
	aside := h.said(c).MovedAway
	healthier := (c.Spec.YieldsToHealth || aside && c.Spec.Preempt) && theirs <= vrrp.DegradedMax && own > vrrp.DegradedMax
	return c.Spec.Preempt && !aside || c.Spec.Priority == vrrp.PriorityOwner || healthier
}

// commanded is what operators' orders make of a priority (see daemon.commanded).
func (h *Host) commanded(c *daemon.RouterConfig, a checks.Assessment) checks.Assessment {
	pinned := false
	for _, o := range h.Ordered {
		pinned = pinned || o.Kind == daemon.OrderPin && o.Name == c.Name
	}
	switch {
	case c.Spec.Priority == vrrp.PriorityOwner:
	case h.said(c).MovedHere && !a.Degraded:
		a.Priority = 254
	case pinned:
		a.Priority = 1
	}
	return a
}

// said is what the daemon said last, at rest, of a router.
func (h *Host) said(c *daemon.RouterConfig) daemon.RouterStatus {
	if h.status != nil {
		for _, r := range h.status.Routers {
			if r.Name == c.Name {
				return r
			}
		}
	}
	return daemon.RouterStatus{}
}

// defers reports whether a router's addresses may wait for a service group that
// maintenance keeps from being up.
func (h *Host) defers(c *daemon.RouterConfig) bool { return h.defersName(c.Name) }

func (h *Host) defersName(router string) bool {
	g := serviceFor(h.Process.Config, router)
	return g != nil && g.WhenReady && h.order(daemon.OrderMaintenance, g.Ladder.Name) != nil
}
