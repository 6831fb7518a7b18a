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
}

func hostName(id int) string { return fmt.Sprintf("h%d", id+1) }

func newHost(n *LAN, of *simlan.Host) *Host {
	h := &Host{Host: of, lan: n}
	of.Finds = func(*checks.Job) checks.Result { return checks.Result{Outcome: h.finds} }
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

// canServe reports whether a host can take part in a virtual router.
func (h *Host) canServe(k key) bool {
	if !h.Running() || h.Stalled() {
		return false
	}
	c, n := h.life().configOf(k), h.NICs()[k.link]
	return c != nil && !h.effective(c).Faulted && n.Wired() && h.Process.Sockets[vrrp.Listening{Link: n.Index, Family: k.family, Group: c.Spec.MulticastGroup()}]
}
