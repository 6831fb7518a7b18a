package sim

import (
	"fmt"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// left judges a daemon that has stopped.
func (o *observer) left(p *life) {
	for _, n := range p.Host.NICs() {
		for _, a := range n.Kernel {
			if a.Router != 0 {
				o.lan.Violate("addresses", "%s has stopped and left %s behind", p.Host.Name, a.Prefix)
			}
		}
		for _, m := range n.MACVLANs {
			if !m.Silent {
				o.lan.Violate("virtual MAC", "%s has stopped and %x still speaks", p.Host.Name, m.MAC)
			}
		}
	}
	for name, s := range p.seen {
		if s.state != initialize {
			o.lan.Violate("journal", "%s has stopped and %s is still %s", p.Host.Name, name, s.state)
		}
	}
}

// CheckRest judges a LAN that has had time to settle: no fault for several
// down intervals and preempt delays. Partitions may go on; loss, one-way cuts
// and stalls may not.
func (n *LAN) CheckRest() error {
	n.ask()
	n.judgeRest()
	return n.Err()
}

// atRest reports whether CheckRest would find nothing.
func (n *LAN) atRest() bool {
	n.ask()
	unlooked := n.watch.unlooked
	err := n.Try(n.judgeRest)
	n.watch.unlooked = unlooked
	return err == nil
}

// ask lets every daemon say what it thinks of itself.
func (n *LAN) ask() {
	for _, h := range n.hosts {
		if h.status = nil; h.Running() && !h.Stalled() {
			page := h.page()
			h.status = &page
		}
	}
}

func (n *LAN) judgeRest() {
	keys := map[key]bool{}
	for _, h := range n.hosts {
		if h.Process == nil {
			n.checkDead(h)
			continue
		}
		n.checkProcess(h.life())
		if h.status != nil {
			n.checkServices(h, h.status)
		}
		for i := range h.Process.Config.Routers {
			keys[keyOf(&h.Process.Config.Routers[i])] = true
			n.checkAddresses(h, &h.Process.Config.Routers[i])
		}
		n.checkUnits(h)
	}
	for k := range keys {
		for island := range n.hosts {
			n.checkIsland(k, island)
		}
	}
}

// checkDead: what a daemon that is no more has left behind has gone by itself,
// where it was mortal.
func (n *LAN) checkDead(h *Host) {
	for _, at := range h.NICs() {
		for _, a := range at.Kernel {
			if a.Router != 0 && h.mortal[keyOfAddress(a.Prefix)] {
				n.Violate("addresses", "%s runs no daemon and still holds %s", h.Name, a.Prefix)
			}
		}
	}
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
	for _, unit := range units(h.Process.Config) {
		able, actives := 0, 0
		for _, c := range unit {
			if h.canServe(keyOf(c)) {
				able++
			}
			state := h.life().stateOf(keyOf(c))
			if state == active {
				actives++
			}
			if o := h.order(daemon.OrderStandby, c.Name); o != nil && state != initialize && h.Running() && !h.stays(c) {
				n.Violate("orders", "%s: %s is %s at rest in %s", h.Name, c.Name, state, o)
			}
		}
		switch {
		case actives > 0 && actives < len(unit):
			n.Violate("groups", "%s: of sync group %s %d members are Active", h.Name, unit[0].Group, actives)
		case actives > 0 && able < len(unit):
			n.Violate("one active", "%s is Active as %s and cannot serve", h.Name, unit[0].Name)
		case able == len(unit) && actives == 0 && !slices.ContainsFunc(unit, func(c *daemon.RouterConfig) bool { return n.outranked(h, c) }):
			n.Violate("one active", "%s could be Active as %s, and nobody it hears has a right to be: %s", h.Name, unit[0].Name, n.standings(unit[0]))
		}
	}
}

// standings are who says what of a router, for violations.
func (n *LAN) standings(c *daemon.RouterConfig) (list []string) {
	for _, h := range n.hosts {
		if h.status == nil {
			continue
		}
		if o := h.life().configOf(keyOf(c)); o != nil {
			r := h.said(o)
			list = append(list, fmt.Sprintf("%s %s %d of %d preempt=%t away=%t here=%t fault=%q pinned=%q", h.Name, r.State, r.EffectivePriority, r.Priority, r.Preempt, r.MovedAway, r.MovedHere, r.Fault, r.Pinned))
		}
	}
	return list
}

// outranked reports whether a host hears an Active that it has to leave alone.
func (n *LAN) outranked(h *Host, c *daemon.RouterConfig) bool {
	k := keyOf(c)
	return slices.ContainsFunc(n.hosts, func(x *Host) bool {
		if x == h || x.Process == nil || x.life().stateOf(k) != active || !n.together(k.link, h, x) {
			return false
		}
		return !h.mayTake(c, h.effective(c).Priority, x.effective(x.life().configOf(k)).Priority)
	})
}

// checkIsland: never two Actives that hear each other.
func (n *LAN) checkIsland(k key, island int) {
	var actives []*Host
	for _, h := range n.hosts {
		if n.Island(k.link, h.Host) == island && h.Process != nil && h.life().stateOf(k) == active {
			actives = append(actives, h)
		}
	}
	if len(actives) > 1 {
		n.Violate("one active", "%s on island %d: Actives are %s", k, island, names(actives))
	}
}

// checkAddresses: exactly an Active has the addresses, each where it belongs,
// and its virtual MAC speaks; a Backup's is there and silent.
func (n *LAN) checkAddresses(h *Host, c *daemon.RouterConfig) {
	k := keyOf(c)
	isActive := h.life().stateOf(k) == active
	if isActive && h.defers(c) {
		return // whether all is up is another law
	}
	for _, a := range c.Addresses {
		at := h.NICs()[k.link]
		if a.Interface != "" {
			at = h.NICs()[linkOf(a.Interface)]
		}
		if !c.Owner && at.Index != 0 && at.Holds(a.Prefix.Addr()) != isActive {
			n.Violate("addresses", "%s is %s and holds %s: %t", h.Name, h.life().stateOf(k), a.Prefix, !isActive)
		}
	}
	for _, at := range h.NICs() {
		for _, a := range at.Kernel {
			if a.Router != 0 && keyOfAddress(a.Prefix) == k &&
				!slices.ContainsFunc(c.Addresses, func(x actions.Address) bool { return x.Prefix == a.Prefix }) {
				n.Violate("addresses", "%s holds %s, which nobody wants", h.Name, a.Prefix)
			}
		}
	}
	n.checkMAC(h, c, isActive)
	for r, of := range h.life().advertised {
		if of == k && !isActive {
			n.Violate("addresses", "%s sends Router Advertisements for router %d and is not Active", h.Name, r)
		}
	}
}

func (n *LAN) checkMAC(h *Host, c *daemon.RouterConfig, isActive bool) {
	k := keyOf(c)
	at := h.NICs()[k.link]
	found := false
	for _, m := range at.MACVLANs {
		if m.MAC != vrrp.VirtualMAC(k.family, k.vrid) {
			continue
		}
		if found {
			n.Violate("virtual MAC", "%s has two macvlans with %x", h.Name, m.MAC)
		}
		found = true
		if m.Silent == isActive {
			n.Violate("virtual MAC", "%s is %s for %s and %x is silent: %t", h.Name, h.life().stateOf(k), k, m.MAC, m.Silent)
		}
	}
	if wanted := c.VirtualMAC && at.Wired() && !h.NoMACs && h.Running(); found != wanted && (found || wanted) && !h.NoMACs && at.Wired() {
		n.Violate("virtual MAC", "%s has a macvlan for %s: %t, configured %t", h.Name, k, found, c.VirtualMAC)
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
func (n *LAN) checkProcess(p *life) {
	for name, s := range p.seen {
		c := p.configOf(s.key)
		if c == nil || c.Name != name || len(c.Hooks) == 0 {
			continue
		}
		last := c.Hooks[len(c.Hooks)-1].Name
		if s.state == active && n.hosts[p.Host.ID].defersName(name) {
			continue // hooks are told when the addresses are there
		}
		if wants(c, s.state) && (s.hookTerm != s.term || s.hookName != last) {
			n.Violate("hooks", "%s %s: hook %s was last told of term %d, want %s of term %d (%s)", p.Host.Name, name, s.hookName, s.hookTerm, last, s.term, s.state)
		}
	}
	// Rate limited lines: one per minute for every router and kind of notice,
	// and for every drop; the rest is a few for each thing that happened.
	minutes := int(n.Now()/time.Minute) + 1
	limited := minutes * (len(p.seen)*(int(vrrp.NumNotices)+2) + int(vrrp.NumDrops))
	if most := 20 + limited + 4*p.count.transitions + 2*p.count.failures + 2*p.count.reloads; p.count.lines > most {
		n.Violate("journal", "%s wrote %d lines about %d transitions", p.Host.Name, p.count.lines, p.count.transitions)
	}
	page := n.hosts[p.Host.ID].status
	if page == nil {
		return
	}
	if page.Total != len(p.Config.Routers) {
		n.Violate("journal", "%s has %d routers, configured are %d", p.Host.Name, page.Total, len(p.Config.Routers))
	}
	for _, r := range page.Routers {
		state := initialize
		if s := p.seen[r.Name]; s != nil {
			state = s.state
		}
		if r.State != state {
			n.Violate("journal", "%s %s: status says %s, history %s", p.Host.Name, r.Name, r.State, state)
		}
		for _, a := range r.Addresses {
			if a.Wanted != (state == active) && !(state == active && p.o.lan.hosts[p.Host.ID].defersName(r.Name)) {
				n.Violate("addresses", "%s %s is %s, and status says wanted=%t of %s", p.Host.Name, r.Name, state, a.Wanted, a.Address)
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
