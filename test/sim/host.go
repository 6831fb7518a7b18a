package sim

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/simlan"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// Host is one machine with what the observer knows of it.
type Host struct {
	*simlan.Host
	lan   *LAN
	finds checks.Outcome // what its check finds

	groups   []sharedGroup
	troubles []trouble
	unsure   map[string]bool // steps that somebody has lied about, or that died
	before   map[string]*seen
	lastSeq  uint64
	handed   *life // has handed over, and nobody has come yet
	handedAt time.Duration
	mortal   map[key]bool       // whether the addresses of a router end with the daemon
	status   *daemon.StatusPage // what it said at rest
}

func hostName(id int) string { return fmt.Sprintf("h%d", id+1) }

func newHost(n *LAN, of *simlan.Host) *Host {
	h := &Host{Host: of, lan: n, unsure: map[string]bool{}, before: map[string]*seen{}, mortal: map[key]bool{}}
	of.Finds = func(*checks.Job) checks.Result { return checks.Result{Outcome: h.finds} }
	of.Acts = h.acts
	of.Shoots = h.shoots
	of.Reboots = func() {
		h.PowerOff()
		if again := n.revive; again != nil {
			again(h)
		}
	}
	return h
}

// life is the daemon that runs, nil if none does.
func (h *Host) life() *life {
	if h.Process == nil {
		return nil
	}
	return h.Process.Witness.(*life)
}

// Own makes a router's virtual addresses the interface's own (address owner).
func (h *Host) Own(c daemon.RouterConfig) {
	n := h.NICs()[linkOf(c.Interface)]
	for _, a := range c.Addresses {
		n.Owned = append(n.Owned, a.Prefix)
	}
	n.Reset()
}

// address is the host's own address on a link by which peers know it: for IPv6 the global one.
func (h *Host) address(link int, f vrrp.Family) netip.Addr {
	if f == vrrp.IPv4 {
		return h.NICs()[link].Own[0].Addr()
	}
	return h.NICs()[link].Own[2].Addr()
}

// State is what a host last said about its part in a virtual router:
// "initialize", "backup" or "active".
func (h *Host) State(c *daemon.RouterConfig) string {
	if p := h.life(); p != nil {
		return p.stateOf(keyOf(c))
	}
	return initialize
}

// Since returns when that state began.
func (h *Host) Since(c *daemon.RouterConfig) time.Duration {
	if p := h.life(); p != nil {
		if s := p.router(keyOf(c)); s != nil {
			return s.since
		}
	}
	return 0
}

// Spoke returns when the host last sent an advert for a virtual router in its present state.
func (h *Host) Spoke(c *daemon.RouterConfig) time.Duration {
	if p := h.life(); p != nil {
		if s := p.router(keyOf(c)); s != nil {
			return s.spoke
		}
	}
	return 0
}

// may reports whether no order of an operator forbids a host to serve. What a
// maintenance leaves unfit is left to it.
func (h *Host) may(c *daemon.RouterConfig) bool {
	g := serviceFor(h.Process.Config, c.Name)
	if g != nil && h.order(daemon.OrderMaintenance, g.Ladder.Name) != nil && h.said(c).Fault == vrrp.FaultService.String() {
		return false
	}
	return h.order(daemon.OrderStandby, c.Name) == nil
}

// stays reports whether a router may be Active in spite of an order: its group has
// steps up that maintenance keeps there.
func (h *Host) stays(c *daemon.RouterConfig) bool {
	g := serviceFor(h.Process.Config, c.Name)
	return g != nil && h.order(daemon.OrderMaintenance, g.Ladder.Name) != nil
}

// canServe reports whether a host can take part in a virtual router.
func (h *Host) canServe(k key) bool {
	if !h.Running() || h.Stalled() {
		return false
	}
	c, n := h.life().configOf(k), h.NICs()[k.link]
	return c != nil && !h.effective(c).Faulted && h.may(c) && n.Wired() && h.Process.Sockets[vrrp.Listening{Link: n.Index, Family: k.family, Group: c.Spec.MulticastGroup()}]
}
