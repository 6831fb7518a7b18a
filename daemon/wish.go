package daemon

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// want tells the kernel's keeper what this router wants from now on: everything
// that goes with the Active, or nothing but its silent macvlan.
func (l *Loop) want(r *router, active bool) {
	r.wish++
	r.wishOpen, r.held = true, active
	w := actions.Wanted{Router: r.id, Term: r.wish, Active: active, Own: r.cfg.Owner && !r.cfg.VirtualMAC}
	r.macAsked = 0
	if k := r.link; r.cfg.VirtualMAC && k != nil && k.index != 0 {
		r.macAsked = k.index
		spec := &r.cfg.Spec
		w.VirtualMAC = &actions.VirtualMAC{Name: r.cfg.MACName, MAC: vrrp.VirtualMAC(spec.Family, spec.VRID),
			Parent: k.index, ParentName: k.name, IPv6: r.cfg.wantsIPv6()}
	}
	w.Inherited = r.inherited && !active
	if w.Inherited {
		w.Addresses, w.Routes, w.Rules = l.places(r), l.routes(r), r.cfg.Rules
	}
	if active {
		w.Lifetime = l.lifetime(r)
		w.Addresses, w.Routes, w.Rules = l.places(r), l.routes(r), r.cfg.Rules
		w.Refuse = !r.cfg.Accept && !r.cfg.Owner
	}
	l.ports.Addresses.Want(w)
}

// renewEvery is how often the loop says that routers are alive: the kernel counts
// lifetimes in seconds, and none is shorter than two.
const renewEvery = 250 * time.Millisecond

// lifetime is how long the addresses of a router outlive its last sign of life: in
// whole seconds, Active_Down_Interval at most where that has two, so that they
// are gone at about the moment a peer takes over.
func (l *Loop) lifetime(r *router) time.Duration {
	if !r.cfg.Mortal || r.cfg.Owner {
		return 0
	}
	l.renewAt = min(l.renewAt, l.ports.Clock.Now()+renewEvery)
	return max(r.fsm.DownInterval().Truncate(time.Second), 2*time.Second)
}

// renew says which routers are alive: those that hold their addresses and speak. One
// that listens after a stall may have been replaced, so its own are left to end.
func (l *Loop) renew(now time.Duration) {
	l.renewAt = vrrp.Never
	var alive []actions.RouterID
	for _, r := range l.routers {
		if !r.cfg.Mortal || !r.held || r.cfg.Owner {
			continue
		}
		l.renewAt = now + renewEvery
		if r.fsm.Speaks() {
			alive = append(alive, r.id)
		}
	}
	if len(alive) > 0 {
		l.ports.Addresses.Renew(alive)
	}
}

// wantsIPv6 reports whether IPv6 addresses go on the router's own interface.
func (c *RouterConfig) wantsIPv6() bool {
	for i := range c.Addresses {
		if a := &c.Addresses[i]; a.Interface == "" && a.Prefix.Addr().Is6() {
			return true
		}
	}
	return false
}

// on is the interface an address or route is for.
func (c *RouterConfig) on(name string) string {
	if name == "" {
		return c.Interface
	}
	return name
}

// index is the number of an interface now, 0 while it does not exist.
func (l *Loop) index(name string) int {
	if k := l.links[name]; k != nil {
		return k.index
	}
	return 0
}

func (l *Loop) places(r *router) []actions.Place {
	out := make([]actions.Place, len(r.cfg.Addresses))
	for i, a := range r.cfg.Addresses {
		name := r.cfg.on(a.Interface)
		out[i] = actions.Place{Address: a, Link: l.index(name), LinkName: name}
	}
	return out
}

func (l *Loop) routes(r *router) []actions.Route {
	out := make([]actions.Route, len(r.cfg.Routes))
	for i, x := range r.cfg.Routes {
		// The kernel refuses an IPv4 blackhole with an interface (EINVAL).
		if x.Forwards() && (x.Interface != "" || !x.Via.IsValid()) {
			x.Link = l.index(r.cfg.on(x.Interface))
		}
		out[i] = x
	}
	return out
}

// announce tells the neighbours, but not before the addresses are there.
func (l *Loop) announce(r *router, repeat bool) {
	if r.wishOpen {
		r.announceDue = true
		return
	}
	k := r.link
	if k == nil || k.index == 0 || r.fsm.State() != vrrp.Active {
		return
	}
	l.ports.Announcer.Announce(actions.Announcement{Router: r.id, Term: r.wish, Targets: l.targets(r), Schedule: r.cfg.Announce, Once: repeat})
	if r.cfg.RouterAdvert.On && !repeat {
		l.ports.Advertiser.Advertise(actions.RouterAdvert{Router: r.id, Term: r.wish, Link: k.index, MAC: r.mac(),
			Source: r.cfg.Spec.Addresses[0], Spec: r.cfg.RouterAdvert})
	}
}

// mac is what the neighbours on the router's own link are told.
func (r *router) mac() [6]byte {
	if r.cfg.VirtualMAC {
		return vrrp.VirtualMAC(r.cfg.Spec.Family, r.cfg.Spec.VRID)
	}
	return r.link.level.MAC
}

// targets sorts the addresses by interface, the router's own first.
func (l *Loop) targets(r *router) []actions.AnnounceTarget {
	out := []actions.AnnounceTarget{{Link: r.link.index, MAC: r.mac()}}
	place := map[string]int{"": 0, r.cfg.Interface: 0}
	for _, a := range r.cfg.Addresses {
		i, known := place[a.Interface]
		if !known {
			k := l.links[a.Interface]
			if k == nil || k.index == 0 {
				continue // it is announced when it has come
			}
			i = len(out)
			place[a.Interface] = i
			out = append(out, actions.AnnounceTarget{Link: k.index, MAC: k.level.MAC})
		}
		out[i].Addresses = append(out[i].Addresses, a.Prefix.Addr())
	}
	return out
}

// onApplied: the kernel is as wanted, or has said why not.
func (l *Loop) onApplied(now time.Duration, v actions.Applied) {
	r := l.byID[v.Router]
	if r == nil || r.link == nil || v.Term != r.wish {
		l.stats.stale++ // a departed router is here only because a hook of it still runs
		return
	}
	r.wishOpen, r.inherited = false, false
	r.refusedPlace = v.Err
	l.confirmMAC(now, r, v.NoVirtualMAC)
	if v.Err != "" {
		l.log(slog.LevelError, fmt.Sprintf("(%s) addresses: %s", r.cfg.Name, v.Err), slog.String("router", r.cfg.Name))
	}
	if v.Note != "" {
		l.log(slog.LevelWarn, fmt.Sprintf("(%s) addresses: %s", r.cfg.Name, v.Note), slog.String("router", r.cfg.Name))
	}
	switch {
	case v.Held:
		l.follow(now, r, Followup{What: "addresses added", Took: v.Took.Seconds(), Error: v.Err, Note: v.Note})
	case r.record != nil && r.record.From == vrrp.Active.String():
		l.follow(now, r, Followup{What: "addresses removed", Took: v.Took.Seconds(), Error: v.Err, Note: v.Note})
	}
	if r.announceDue {
		r.announceDue = false
		l.announce(r, false)
	}
	l.flushHooks(now, r)
	if r.leaving && r.fsm.Stopped() {
		l.depart(now, r)
	}
}

// confirmMAC notes whether the macvlan is there; without it the router takes no part.
func (l *Loop) confirmMAC(now time.Duration, r *router, why string) {
	if !r.cfg.VirtualMAC || r.leaving {
		return
	}
	if r.macAsked == 0 || r.macAsked != r.link.index {
		return // the answer to the wish before the link came
	}
	r.noMAC, r.macLink = why, r.link.index
	if why != "" {
		r.macLink = 0
		l.retryAt = min(l.retryAt, now+socketRetry)
	}
	l.evaluate(now, r)
}

// prepare asks for the macvlan of a router whose link exists.
func (l *Loop) prepare(r *router) {
	if !r.cfg.VirtualMAC || r.link.index == 0 {
		return
	}
	if r.fsm.State() == vrrp.Active {
		if r.macAsked == 0 { // as in the process before: all of it is there already
			l.want(r, true)
		}
		return
	}
	if r.macAsked != r.link.index || r.noMAC != "" && !r.wishOpen {
		l.want(r, false)
	}
}

func (l *Loop) onAnnounced(now time.Duration, v actions.Announced) {
	r := l.byID[v.Router]
	if r == nil || v.Term != r.wish {
		l.stats.stale++
		return
	}
	var parts []string
	if v.ARP > 0 {
		parts = append(parts, fmt.Sprintf("%d ARP", v.ARP))
	}
	if v.NA > 0 {
		parts = append(parts, fmt.Sprintf("%d NA", v.NA))
	}
	if v.Err != "" {
		l.log(slog.LevelWarn, fmt.Sprintf("(%s) announcement: %s", r.cfg.Name, v.Err), slog.String("router", r.cfg.Name))
	}
	l.follow(now, r, Followup{What: "announced", Took: v.Took.Seconds(), Note: strings.Join(parts, ", "), Error: v.Err})
}

// onRestored: somebody removed an address of ours and it is back.
func (l *Loop) onRestored(v actions.Restored) {
	r := l.byID[v.Router]
	if r == nil {
		l.stats.stale++
		return
	}
	what := v.What
	if v.Address.IsValid() {
		if r.restored == nil {
			r.restored = map[netip.Prefix]uint64{}
		}
		r.restored[v.Address]++
		what = "address " + v.Address.String()
	}
	n, ok := r.restoreLimit.allow(l.ports.Clock.Now())
	if !ok {
		return
	}
	if v.Err != "" {
		l.log(slog.LevelError, fmt.Sprintf("(%s) %s was removed by %s and could not be put back: %s%s", r.cfg.Name, what, v.Culprit, v.Err, heldBack(n)),
			slog.String("router", r.cfg.Name))
		return
	}
	l.log(slog.LevelWarn, fmt.Sprintf("(%s) %s was removed by %s; put back after %s%s", r.cfg.Name, what, v.Culprit, vrrp.Span(v.Took), heldBack(n)),
		slog.String("router", r.cfg.Name))
}

// onClaimed: somebody else told the neighbours that an address of ours is theirs.
func (l *Loop) onClaimed(now time.Duration, v actions.Claimed) {
	r := l.byID[v.Router]
	if r == nil || v.Term != r.wish {
		l.stats.stale++
		return
	}
	l.step(now, r, vrrp.Challenged{Address: v.Address, MAC: v.MAC})
}
