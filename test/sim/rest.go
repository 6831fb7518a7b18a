package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// left judges a daemon that has stopped. Its last wishes are still carried out.
func (o *observer) left(p *process) {
	for _, w := range p.wishes {
		if !w.Active {
			p.host.removeUnwanted(&wish{Wanted: actions.Wanted{Router: w.Router}})
		}
	}
	for _, n := range p.host.nics {
		for _, a := range n.kernel {
			if a.router != 0 {
				o.lan.violate("addresses", "%s has stopped and left %s behind", p.host.Name, a.prefix)
			}
		}
		for _, m := range n.macvlans {
			if !m.silent {
				o.lan.violate("virtual MAC", "%s has stopped and %x still speaks", p.host.Name, m.mac)
			}
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
			n.checkAddresses(h, &h.proc.cfg.Routers[i])
		}
		n.checkUnits(h)
	}
	for k := range keys {
		for island := range n.hosts {
			n.checkIsland(k, island)
		}
	}
	return n.err
}

// units are the routers of a configuration that are elected together: the
// members of a sync group, or a router by itself.
func units(cfg *daemon.Config) (out [][]*daemon.RouterConfig) {
	place := map[string]int{}
	for i := range cfg.Routers {
		c := &cfg.Routers[i]
		at, known := place[c.Group]
		if c.Group == "" || !known {
			at = len(out)
			out = append(out, nil)
			place[c.Group] = at
		}
		out[at] = append(out[at], c)
	}
	return out
}

// checkUnits: every unit of a host is Active or not as one, and if it could be
// and is not, a host that is at least as good, or must not be preempted, is
// Active on one of its links.
func (n *LAN) checkUnits(h *Host) {
	for _, unit := range units(h.proc.cfg) {
		able, actives := 0, 0
		for _, c := range unit {
			if h.canServe(keyOf(c)) {
				able++
			}
			if h.proc.stateOf(keyOf(c)) == active {
				actives++
			}
		}
		switch {
		case actives > 0 && actives < len(unit):
			n.violate("groups", "%s: of sync group %s %d members are Active", h.Name, unit[0].Group, actives)
		case actives > 0 && able < len(unit):
			n.violate("one active", "%s is Active as %s and cannot serve", h.Name, unit[0].Name)
		case able == len(unit) && actives == 0 && !slices.ContainsFunc(unit, func(c *daemon.RouterConfig) bool { return n.outranked(h, c) }):
			n.violate("one active", "%s could be Active as %s, and nobody it hears has a right to be", h.Name, unit[0].Name)
		}
	}
}

// outranked reports whether a host hears an Active that it has to leave alone.
func (n *LAN) outranked(h *Host, c *daemon.RouterConfig) bool {
	k := keyOf(c)
	return slices.ContainsFunc(n.hosts, func(x *Host) bool {
		if x == h || x.proc == nil || x.proc.stateOf(k) != active || !n.together(k.link, h, x) {
			return false
		}
		return !mayTake(c, h.effective(c).Priority, x.effective(x.proc.configOf(k)).Priority)
	})
}

// checkIsland: never two Actives that hear each other.
func (n *LAN) checkIsland(k key, island int) {
	var actives []*Host
	for _, h := range n.hosts {
		if n.island[k.link][h.ID] == island && h.proc != nil && h.proc.stateOf(k) == active {
			actives = append(actives, h)
		}
	}
	if len(actives) > 1 {
		n.violate("one active", "%s on island %d: Actives are %s", k, island, names(actives))
	}
}

// checkAddresses: exactly an Active has the addresses, each where it belongs,
// and its virtual MAC speaks; a Backup's is there and silent.
func (n *LAN) checkAddresses(h *Host, c *daemon.RouterConfig) {
	k := keyOf(c)
	isActive := h.proc.stateOf(k) == active
	for _, a := range c.Addresses {
		at := h.nics[k.link]
		if a.Interface != "" {
			at = h.nics[linkOf(a.Interface)]
		}
		if !c.Owner && at.index != 0 && at.holds(a.Prefix.Addr()) != isActive {
			n.violate("addresses", "%s is %s and holds %s: %t", h.Name, h.proc.stateOf(k), a.Prefix, !isActive)
		}
	}
	for _, at := range h.nics {
		for _, a := range at.kernel {
			if a.router != 0 && keyOfAddress(a.prefix) == k &&
				!slices.ContainsFunc(c.Addresses, func(x actions.Address) bool { return x.Prefix == a.prefix }) {
				n.violate("addresses", "%s holds %s, which nobody wants", h.Name, a.prefix)
			}
		}
	}
	n.checkMAC(h, c, isActive)
	for r, of := range h.proc.advertised {
		if of == k && !isActive {
			n.violate("addresses", "%s sends Router Advertisements for router %d and is not Active", h.Name, r)
		}
	}
}

func (n *LAN) checkMAC(h *Host, c *daemon.RouterConfig, isActive bool) {
	k := keyOf(c)
	at := h.nics[k.link]
	found := false
	for _, m := range at.macvlans {
		if m.mac != vrrp.VirtualMAC(k.family, k.vrid) {
			continue
		}
		if found {
			n.violate("virtual MAC", "%s has two macvlans with %x", h.Name, m.mac)
		}
		found = true
		if m.silent == isActive {
			n.violate("virtual MAC", "%s is %s for %s and %x is silent: %t", h.Name, h.proc.stateOf(k), k, m.mac, m.silent)
		}
	}
	if wanted := c.VirtualMAC && at.wired() && !h.noMACs && h.Running(); found != wanted && (found || wanted) && !h.noMACs && at.wired() {
		n.violate("virtual MAC", "%s has a macvlan for %s: %t, configured %t", h.Name, k, found, c.VirtualMAC)
	}
}

// String names a virtual router as the laws do.
func (k key) String() string { return fmt.Sprintf("vrid %d %s on link %d", k.vrid, k.family, k.link) }

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
