package daemon

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// link is one interface that routers name, whether it exists or not.
type link struct {
	name  string
	index int // 0 while it does not exist
	level actions.LinkChanged
	known bool // a level has arrived
	// virtual are the addresses routers hold on this link while Active: never
	// a source. An owner's addresses are its own and not in here.
	virtual map[netip.Addr]int
	ids     [2][256]*router // by family and VRID; an array because every packet passes here
	routers []*router
	guests  []*router // routers of other links with addresses or routes here
	sockets map[listening]*socket
	// strangers are the VRIDs of other groups heard here, by family.
	strangers [2][4]uint64
	// What follows from level and virtual, made when first asked for.
	fresh   bool
	stale   bool // a router's addresses changed: others may have to look for another source
	usable  map[vrrp.Family][]netip.Addr
	global  []netip.Addr // usable IPv6 addresses that are not link-local
	present map[netip.Addr]bool

	drops   [vrrp.NumDrops]uint64
	refused map[vrrp.Drop]*sighting // packets that reached no router
}

// listening is what a socket is asked for on a link: the zero group is unicast.
type listening struct {
	family vrrp.Family
	group  netip.Addr
}

func listeningOf(s *vrrp.Spec) listening { return listening{s.Family, s.MulticastGroup()} }

// socket is the state of what one listening asked for.
type socket struct {
	asked, ready bool
	err          string
}

// slot is where the routers of a family and VRID are, or would be.
func (k *link) slot(f vrrp.Family, vrid uint8) **router {
	if f == vrrp.IPv4 {
		return &k.ids[0][vrid]
	}
	return &k.ids[1][vrid]
}

func (k *link) router(f vrrp.Family, vrid uint8) *router { return *k.slot(f, vrid) }

// find returns the router a datagram is for: nearly always the only one with
// its VRID. Of several, which have different groups or peers, it is the one
// that listens that way; if none does, the first, which will say so.
func (k *link) find(d *vrrp.Datagram) *router {
	head := k.router(d.Family, d.VRID)
	if head == nil || head.next == nil {
		return head
	}
	for r := head; r != nil; r = r.next {
		if s := &r.cfg.Spec; vrrp.Addressed(d, s) && (!s.Unicast() || s.HasPeer(d.Src)) {
			return r
		}
	}
	return head
}

// linkOf returns the link of a name, making it on first use.
func (l *Loop) linkOf(name string) *link {
	k := l.links[name]
	if k == nil {
		k = &link{name: name, virtual: map[netip.Addr]int{}, refused: map[vrrp.Drop]*sighting{}, sockets: map[listening]*socket{}}
		l.links[name] = k
	}
	return k
}

// elsewhere lists the other interfaces a configuration has addresses or routes on.
func (c *RouterConfig) elsewhere() (names []string) {
	add := func(name string) {
		if name != "" && name != c.Interface && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for i := range c.Addresses {
		add(c.Addresses[i].Interface)
	}
	for i := range c.Routes {
		add(c.Routes[i].Interface)
	}
	return names
}

// attach puts a router on its link.
func (l *Loop) attach(r *router) {
	k := l.linkOf(r.cfg.Interface)
	r.link = k
	k.routers = append(k.routers, r)
	slot := k.slot(r.cfg.Spec.Family, r.cfg.Spec.VRID)
	r.next, *slot = *slot, r
	if at := listeningOf(&r.cfg.Spec); k.sockets[at] == nil {
		k.sockets[at] = &socket{}
	}
	l.count(r, r.cfg, 1)
	l.listen(k)
	l.prepare(r)
}

// detach takes it off again. The link stays while the watch list has it: a
// successor of the router finds what is known of it.
func (l *Loop) detach(r *router) {
	k := r.link
	k.routers = slices.DeleteFunc(k.routers, func(x *router) bool { return x == r })
	for at := k.slot(r.cfg.Spec.Family, r.cfg.Spec.VRID); *at != nil; at = &(*at).next {
		if *at == r {
			*at, r.next = r.next, nil
			break
		}
	}
	l.count(r, r.cfg, -1)
	r.link = nil
}

// forgetLink drops a link that no router names any more.
func (l *Loop) forgetLink(k *link) {
	if k.index != 0 {
		l.ports.Wire.Forget(k.index)
		delete(l.byIndex, k.index)
	}
	delete(l.links, k.name)
}

// count counts a router's addresses in or out: on the host, where two routers
// could clash over them, and on their links, where they are never a source. An
// owner's are its own and may be.
func (l *Loop) count(r *router, cfg *RouterConfig, by int) {
	for i := range cfg.Addresses {
		a := &cfg.Addresses[i]
		k := l.linkOf(cfg.on(a.Interface))
		k.fresh = false
		tally(l.claims, claimOf(cfg, a), by)
		// What rides along with an owner's addresses is not its interface's own.
		if !cfg.Owner || a.Interface != "" || i >= len(cfg.Spec.Addresses) {
			tally(k.virtual, a.Prefix.Addr(), by)
		}
	}
	for _, name := range cfg.elsewhere() {
		k := l.linkOf(name)
		k.guests = slices.DeleteFunc(k.guests, func(x *router) bool { return x == r })
		if by > 0 {
			k.guests = append(k.guests, r)
		}
	}
}

// tally keeps no zeros.
func tally[K comparable](m map[K]int, key K, by int) {
	if m[key] += by; m[key] == 0 {
		delete(m, key)
	}
}

// onLink takes over a new level and lets every router on the link see it.
func (l *Loop) onLink(now time.Duration, v actions.LinkChanged) {
	if !slices.Contains(l.watched, v.Name) {
		return // no router names it any more
	}
	k := l.linkOf(v.Name) // a waiting configuration may be the first to name it
	if k.index != 0 && v.Index != 0 && k.index != v.Index {
		// Deleted and made again between two looks: everything on the old one is gone.
		l.onLink(now, actions.LinkChanged{Name: v.Name})
	}
	if other := l.byIndex[v.Index]; other != nil && other != k {
		// Renamed: the news of the new name came before that of the old one.
		l.onLink(now, actions.LinkChanged{Name: other.name})
	}
	moved := k.known && k.index == v.Index && k.level.MAC != v.MAC
	failedOver := k.known && k.index == v.Index && k.level.Failovers != v.Failovers
	renumbered := k.index != v.Index
	came := k.index == v.Index && !k.level.Up && v.Up
	if k.index != v.Index || moved {
		if k.index != 0 {
			l.ports.Wire.Forget(k.index)
			delete(l.byIndex, k.index)
			for _, s := range k.sockets {
				*s = socket{}
			}
		}
		k.index = v.Index
		if v.Index != 0 {
			l.byIndex[v.Index] = k
		}
	}
	if k.known && k.level.Up != v.Up {
		l.log(slog.LevelDebug, fmt.Sprintf("interface %s: up=%t %s", k.name, v.Up, v.Detail))
	}
	k.level, k.known, k.fresh = v, true, false
	l.hint(now, v.Name)
	l.listen(k)
	routers := slices.Clone(k.routers)
	for _, r := range routers {
		if renumbered {
			r.macLink, r.macAsked, r.noMAC = 0, 0, "" // the macvlan went with the old link
		}
		l.prepare(r)
	}
	l.evaluate(now, routers...)
	for _, r := range routers {
		switch {
		case moved && r.fsm.State() == vrrp.Active && r.held:
			l.announce(r, false) // the neighbours, and the running schedule, know the old MAC
		case failedOver:
			l.step(now, r, vrrp.Moved{})
		}
	}
	for _, r := range k.guests {
		if r.fsm.State() == vrrp.Active && r.held && r.link.index != 0 && (renumbered || came || moved) {
			l.want(r, true)
			r.announceDue = true
		}
	}
}

// listen asks for the sockets an existing, running link lacks.
func (l *Loop) listen(k *link) {
	if k.index == 0 || !k.level.Up {
		return
	}
	for at, s := range k.sockets {
		if !s.asked {
			s.asked = true
			l.ports.Wire.Listen(vrrp.Listening{Link: k.index, Family: at.family, Group: at.group})
		}
	}
}

func (l *Loop) onSocket(now time.Duration, v vrrp.SocketReady) {
	k := l.byIndex[v.Link]
	if k == nil || k.sockets[listening{v.Family, v.Group}] == nil {
		l.stats.stale++
		return
	}
	s := k.sockets[listening{v.Family, v.Group}]
	s.ready, s.err = v.Err == "", v.Err
	if v.Err != "" {
		s.asked = false
		l.retryAt = min(l.retryAt, now+socketRetry)
		l.log(slog.LevelError, fmt.Sprintf("interface %s, %s: %s; trying again every %s", k.name, v.Family, v.Err, socketRetry))
	}
	l.evaluate(now, slices.Clone(k.routers)...)
}

// retry asks again for what could not be had: sockets, macvlans.
func (l *Loop) retry(now time.Duration) {
	l.retryAt = vrrp.Never
	for _, k := range l.links {
		l.listen(k)
		for _, r := range k.routers {
			if r.noMAC != "" {
				l.prepare(r)
			}
		}
	}
}

// evaluate computes from what is true now whether routers can take part, and
// tells them if that differs from what they know. All are looked at before the
// first is told: members of a sync group on one link must not take each other's
// old faults for new ones. A fault that comes or goes is news to the group.
func (l *Loop) evaluate(now time.Duration, routers ...*router) {
	var changed []*router
	for _, r := range routers {
		own := l.stateFor(r)
		if own.Fault != r.own.Fault && r.group != nil {
			changed = append(changed, r)
		}
		r.own = own
	}
	for _, r := range routers {
		l.tellState(now, r)
	}
	for _, r := range changed {
		r.group.changed(l)
	}
}

// tellState tells the machine its state, or that of its group.
func (l *Loop) tellState(now time.Duration, r *router) {
	st := r.own
	if st.Fault == vrrp.FaultNone {
		if imposed, yes := r.group.faultOf(r); yes {
			imposed.Source = st.Source
			st = imposed
		}
	}
	if st.Fault == vrrp.FaultPending && r.fsm.State() != vrrp.Initialize {
		return // sockets are being opened anew (another MAC): no reason to leave
	}
	if r.toldOnce && st == r.told {
		l.letStay(r, st)
		return
	}
	if st.Fault.Peaceful() && !r.fsm.Parting() && l.standing(r) {
		// First the services, then the farewell: until then it goes on as Active, also
		// where the process before has been.
		if !r.toldOnce && st.Source.IsValid() {
			r.told, r.toldOnce = vrrp.LinkState{Source: st.Source}, true
			l.step(now, r, r.told)
		}
		if !r.heldBack {
			r.heldBack = true
			l.log(slog.LevelWarn, fmt.Sprintf("(%s) will step aside as soon as service group %s is down: %s", r.cfg.Name, r.service.cfg.Ladder.Name, faultText(r.cfg.Interface, st)),
				slog.String("router", r.cfg.Name), slog.String("fault", st.Fault.String()))
			r.service.touch(l)
		}
		return
	}
	l.letStay(r, st)
	if !r.toldOnce {
		r.service.touch(l) // it may have waited for this
	}
	r.told, r.toldOnce = st, true
	before := r.fsm.State()
	l.step(now, r, st)
	if before == vrrp.Initialize && !r.fsm.Stopped() && st.Fault != vrrp.FaultNone && st.Fault != vrrp.FaultPending {
		l.log(slog.LevelWarn, fmt.Sprintf("(%s) waiting: %s", r.cfg.Name, faultText(r.cfg.Interface, st)),
			slog.String("router", r.cfg.Name), slog.String("fault", st.Fault.String()))
	}
}

// letStay ends the wait of a router whose fault has gone. A lost link that is waited for
// does not end it: the reason comes back with the link.
func (l *Loop) letStay(r *router, st vrrp.LinkState) {
	if r.heldBack && st.Fault == vrrp.FaultNone {
		r.heldBack = false
		r.service.touch(l)
	}
}

// stateFor is the level of everything the router needs of its host: the link,
// its checks, its service group, and no order against it.
func (l *Loop) stateFor(r *router) vrrp.LinkState {
	st := r.link.stateFor(r)
	if st.Fault != vrrp.FaultNone && st.Fault != vrrp.FaultCheck {
		return st
	}
	if o := l.orders.of(OrderStandby, r.cfg.Name); o != nil {
		return vrrp.LinkState{Fault: vrrp.FaultStandby, Detail: o.String(), Source: st.Source}
	}
	if why := r.service.unable(r.fsm.State()); why != "" && st.Fault == vrrp.FaultNone {
		return vrrp.LinkState{Fault: vrrp.FaultService, Detail: why, Source: st.Source}
	}
	if r.service != nil && !r.service.face.known && r.fsm.State() == vrrp.Initialize && st.Fault == vrrp.FaultNone &&
		!(r.service.face.bottom && r.service.ladder.Looked() && r.group.serves()) {
		return vrrp.LinkState{Fault: vrrp.FaultPending, Detail: "service group " + r.service.cfg.Ladder.Name}
	}
	return st
}

// stateFor is the level of everything the router needs from this link.
func (k *link) stateFor(r *router) vrrp.LinkState {
	s := k.sockets[listeningOf(&r.cfg.Spec)]
	switch {
	case !k.known:
		return vrrp.LinkState{Fault: vrrp.FaultPending}
	case k.index == 0:
		return vrrp.LinkState{Fault: vrrp.FaultInterfaceMissing}
	case !k.level.Up:
		return vrrp.LinkState{Fault: vrrp.FaultInterfaceDown, Detail: k.level.Detail}
	}
	src := k.source(r)
	switch {
	case !src.IsValid():
		return vrrp.LinkState{Fault: vrrp.FaultNoPrimaryAddress, Detail: k.noSource(r.cfg)}
	case s.err != "":
		return vrrp.LinkState{Fault: vrrp.FaultSocket, Detail: s.err}
	case r.noMAC != "":
		return vrrp.LinkState{Fault: vrrp.FaultVirtualMAC, Detail: r.noMAC}
	case !s.ready, r.cfg.VirtualMAC && r.macLink != k.index:
		return vrrp.LinkState{Fault: vrrp.FaultPending}
	case r.health.Faulted:
		return vrrp.LinkState{Fault: vrrp.FaultCheck, Detail: r.health.fault, Source: src}
	case r.health.Waiting && r.fsm.State() == vrrp.Initialize:
		return vrrp.LinkState{Fault: vrrp.FaultPending, Detail: r.health.fault}
	}
	return vrrp.LinkState{Source: src}
}
