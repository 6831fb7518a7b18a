package sim

import (
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// left judges a daemon that has stopped. Its last wishes are still carried out.
func (o *observer) left(p *process) {
	for _, w := range p.wishes {
		for _, a := range slices.Clone(p.host.kernel) {
			if a.router == w.Router && len(w.Addresses) == 0 {
				p.host.remove(a.prefix)
			}
		}
	}
	for _, a := range p.host.kernel {
		if a.router != 0 {
			o.lan.violate("addresses", "%s has stopped and left %s behind", p.host.Name, a.prefix)
		}
	}
	for name, s := range p.seen {
		if s.state != initialize {
			o.lan.violate("journal", "%s has stopped and %s is still %s", p.host.Name, name, s.state)
		}
	}
}

// CheckRest judges a LAN that has had time to settle: no fault for several
// down intervals and preempt delays. Partitions may go on; loss, one-way cuts
// and stalls may not.
func (n *LAN) CheckRest() error {
	keys := map[key]bool{}
	for _, h := range n.hosts {
		if h.proc == nil {
			continue
		}
		n.checkProcess(h.proc)
		for i := range h.proc.cfg.Routers {
			keys[keyOf(&h.proc.cfg.Routers[i])] = true
		}
	}
	for k := range keys {
		for island := range n.hosts {
			n.checkIsland(k, island)
		}
	}
	return n.err
}

// canServe reports whether a host can be Active for a virtual router.
func (h *Host) canServe(k key) bool {
	return h.Running() && !h.stalled() && h.wired() && h.proc.sockets[socket{h.index, k.family}] && h.proc.configOf(k) != nil
}

// checkIsland: exactly one Active, the best where somebody preempts, and
// exactly it has the addresses.
func (n *LAN) checkIsland(k key, island int) {
	var able, actives []*Host
	for _, h := range n.hosts {
		if n.island[h.ID] != island || h.proc == nil {
			continue
		}
		if h.canServe(k) {
			able = append(able, h)
		}
		if h.proc.stateOf(k) == active {
			actives = append(actives, h)
		}
		n.checkAddresses(h, k)
	}
	if len(actives) != min(1, len(able)) {
		n.violate("one active", "vrid %d %s on island %d: %d Actives %s among %d able hosts %s", k.vrid, k.family, island,
			len(actives), names(actives), len(able), names(able))
		return
	}
	if len(actives) == 0 {
		return
	}
	best := actives[0].proc.configOf(k).Spec
	for _, h := range able {
		if s := h.proc.configOf(k).Spec; s.Priority > best.Priority && (s.Preempt || s.Priority == vrrp.PriorityOwner) {
			n.violate("one active", "vrid %d %s: %s is Active with priority %d although %s has %d and preempts", k.vrid, k.family,
				actives[0].Name, best.Priority, h.Name, s.Priority)
		}
	}
}

func (n *LAN) checkAddresses(h *Host, k key) {
	c := h.proc.configOf(k)
	if c == nil || c.Owner {
		return
	}
	want := h.proc.stateOf(k) == active
	for _, a := range c.Addresses {
		if h.holds(a) != want {
			n.violate("addresses", "%s is %s and holds %s: %t", h.Name, h.proc.stateOf(k), a, !want)
		}
	}
	for _, a := range h.kernel {
		if a.router != 0 && VirtualRouterOf(a.prefix) == k.vrid && vrrp.FamilyOf(a.prefix.Addr()) == k.family && !slices.Contains(c.Addresses, a.prefix) {
			n.violate("addresses", "%s holds %s, which nobody wants", h.Name, a.prefix)
		}
	}
}

func names(hosts []*Host) (out []string) {
	for _, h := range hosts {
		out = append(out, h.Name)
	}
	return out
}

// checkProcess compares what a daemon says with what it has done.
func (n *LAN) checkProcess(p *process) {
	for name, s := range p.seen {
		c := p.configOf(s.key)
		if c == nil || c.Name != name || len(c.Hooks) == 0 {
			continue
		}
		last := c.Hooks[len(c.Hooks)-1].Name
		if wants(c, s.state) && (s.hookTerm != s.term || s.hookName != last) {
			n.violate("hooks", "%s %s: hook %s was last told of term %d, want %s of term %d (%s)", p.host.Name, name, s.hookName, s.hookTerm, last, s.term, s.state)
		}
	}
	// Rate limited lines: one per minute for every router and kind of notice,
	// and for every drop; the rest is a few for each thing that happened.
	minutes := int(n.now/time.Minute) + 1
	limited := minutes * (len(p.seen)*(int(vrrp.NumNotices)+2) + int(vrrp.NumDrops))
	if most := 20 + limited + 4*p.count.transitions + 2*p.count.failures + 2*p.count.reloads; p.count.lines > most {
		n.violate("journal", "%s wrote %d lines about %d transitions", p.host.Name, p.count.lines, p.count.transitions)
	}
	if p.stopping || p.host.stalled() {
		return
	}
	reply := make(chan daemon.StatusPage, 1)
	p.post(daemon.StatusQuery{Limit: 1000, Reply: reply})
	p.turn()
	page := <-reply
	if page.Total != len(p.cfg.Routers) {
		n.violate("journal", "%s has %d routers, configured are %d", p.host.Name, page.Total, len(p.cfg.Routers))
	}
	for _, r := range page.Routers {
		state := initialize
		if s := p.seen[r.Name]; s != nil {
			state = s.state
		}
		if r.State != state {
			n.violate("journal", "%s %s: status says %s, history %s", p.host.Name, r.Name, r.State, state)
		}
		for _, a := range r.Addresses {
			if a.Wanted != (state == active) {
				n.violate("addresses", "%s %s is %s, and status says wanted=%t of %s", p.host.Name, r.Name, state, a.Wanted, a.Address)
			}
		}
	}
}

// wants reports whether all hooks of a router want to know of a state.
// Whether Initialize is a fault the state does not say; both are wanted or none.
func wants(c *daemon.RouterConfig, state string) bool {
	on := actions.OnInitialize | actions.OnFault
	switch state {
	case active:
		on = actions.OnActive
	case backup:
		on = actions.OnBackup
	}
	for _, h := range c.Hooks {
		if h.On&on != on {
			return false
		}
	}
	return true
}
