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
	// virtual are the addresses routers on this link hold while Active: never
	// a source. An owner's addresses are its own and not in here.
	virtual map[netip.Addr]int
	ids     [2][256]*router // by family and VRID; an array because every packet passes here
	routers []*router
	sockets map[vrrp.Family]*socket
	// What follows from level and virtual, made when first asked for.
	fresh   bool
	stale   bool // a router's addresses changed: others may have to look for another source
	usable  map[vrrp.Family][]netip.Addr
	present map[netip.Addr]bool

	drops   [vrrp.NumDrops]uint64
	refused map[vrrp.Drop]*sighting // packets that reached no router
}

// socket is the state of one family's sockets.
type socket struct {
	asked, ready bool
	err          string
}

// slot is where the router of a family and VRID is, or would be.
func (k *link) slot(f vrrp.Family, vrid uint8) **router {
	if f == vrrp.IPv4 {
		return &k.ids[0][vrid]
	}
	return &k.ids[1][vrid]
}

func (k *link) router(f vrrp.Family, vrid uint8) *router { return *k.slot(f, vrid) }

// attach puts a router on its link, making the link on first use.
func (l *Loop) attach(r *router) {
	k := l.links[r.cfg.Interface]
	if k == nil {
		k = &link{name: r.cfg.Interface, virtual: map[netip.Addr]int{}, refused: map[vrrp.Drop]*sighting{}, sockets: map[vrrp.Family]*socket{}}
		l.links[k.name] = k
	}
	r.link = k
	k.routers = append(k.routers, r)
	*k.slot(r.cfg.Spec.Family, r.cfg.Spec.VRID) = r
	if k.sockets[r.cfg.Spec.Family] == nil {
		k.sockets[r.cfg.Spec.Family] = &socket{}
	}
	l.count(k, r.cfg, 1)
	l.listen(k)
}

// detach takes it off again. The link stays while the watch list has it: a
// successor of the router finds what is known of it.
func (l *Loop) detach(r *router) {
	k := r.link
	k.routers = slices.DeleteFunc(k.routers, func(x *router) bool { return x == r })
	*k.slot(r.cfg.Spec.Family, r.cfg.Spec.VRID) = nil
	l.count(k, r.cfg, -1)
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
// could clash over them, and on the link, where they are never a source. An
// owner's are its own and may be.
func (l *Loop) count(k *link, cfg *RouterConfig, by int) {
	k.fresh = false
	for _, p := range cfg.Addresses {
		tally(l.claims, claimOf(cfg, p), by)
		if !cfg.Owner {
			tally(k.virtual, p.Addr(), by)
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
	k := l.links[v.Name]
	if k == nil {
		return // no router names it any more
	}
	if k.index != 0 && v.Index != 0 && k.index != v.Index {
		// Deleted and made again between two looks: everything on the old one is gone.
		l.onLink(now, actions.LinkChanged{Name: v.Name})
	}
	if other := l.byIndex[v.Index]; other != nil && other != k {
		// Renamed: the news of the new name came before that of the old one.
		l.onLink(now, actions.LinkChanged{Name: other.name})
	}
	moved := k.known && k.index == v.Index && k.level.MAC != v.MAC
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
	l.listen(k)
	for _, r := range slices.Clone(k.routers) {
		l.evaluate(now, r)
		if moved && r.fsm.State() == vrrp.Active {
			l.announce(r, false) // the neighbours, and the running schedule, know the old MAC
		}
	}
}

// listen asks for the sockets an existing, running link lacks.
func (l *Loop) listen(k *link) {
	if k.index == 0 || !k.level.Up {
		return
	}
	for f, s := range k.sockets {
		if !s.asked {
			s.asked = true
			l.ports.Wire.Listen(k.index, f)
		}
	}
}

func (l *Loop) onSocket(now time.Duration, v vrrp.SocketReady) {
	k := l.byIndex[v.Link]
	if k == nil || k.sockets[v.Family] == nil {
		l.stats.stale++
		return
	}
	s := k.sockets[v.Family]
	s.ready, s.err = v.Err == "", v.Err
	if v.Err != "" {
		s.asked = false
		l.retryAt = min(l.retryAt, now+socketRetry)
		l.log(slog.LevelError, fmt.Sprintf("interface %s, %s: %s; trying again every %s", k.name, v.Family, v.Err, socketRetry))
	}
	for _, r := range slices.Clone(k.routers) {
		l.evaluate(now, r)
	}
}

func (l *Loop) retrySockets() {
	l.retryAt = vrrp.Never
	for _, k := range l.links {
		l.listen(k)
	}
}

// evaluate computes from what is true now whether a router can take part, and
// tells it if that differs from what it knows.
func (l *Loop) evaluate(now time.Duration, r *router) {
	st := r.link.stateFor(r)
	if st.Fault == vrrp.FaultPending && r.fsm.State() != vrrp.Initialize {
		return // sockets are being opened anew (another MAC): no reason to leave
	}
	if r.toldOnce && st == r.told {
		return
	}
	r.told, r.toldOnce = st, true
	before := r.fsm.State()
	l.step(now, r, st)
	if before == vrrp.Initialize && st.Fault != vrrp.FaultNone && st.Fault != vrrp.FaultPending {
		l.log(slog.LevelWarn, fmt.Sprintf("(%s) waiting: %s", r.cfg.Name, faultText(r.cfg.Interface, st)),
			slog.String("router", r.cfg.Name), slog.String("fault", st.Fault.String()))
	}
}

// stateFor is the level of everything the router needs from this link.
func (k *link) stateFor(r *router) vrrp.LinkState {
	s := k.sockets[r.cfg.Spec.Family]
	switch {
	case !k.known:
		return vrrp.LinkState{Fault: vrrp.FaultPending}
	case k.index == 0:
		return vrrp.LinkState{Fault: vrrp.FaultInterfaceMissing}
	case !k.level.Up:
		return vrrp.LinkState{Fault: vrrp.FaultInterfaceDown, Detail: k.level.Detail}
	}
	src := k.source(r.cfg.Spec.Family, r.fsm.Source())
	switch {
	case !src.IsValid() && r.cfg.Spec.Family == vrrp.IPv6:
		return vrrp.LinkState{Fault: vrrp.FaultNoPrimaryAddress, Detail: "no usable IPv6 link-local address"}
	case !src.IsValid():
		return vrrp.LinkState{Fault: vrrp.FaultNoPrimaryAddress, Detail: k.noSource()}
	case s.err != "":
		return vrrp.LinkState{Fault: vrrp.FaultSocket, Detail: s.err}
	case !s.ready:
		return vrrp.LinkState{Fault: vrrp.FaultPending}
	}
	return vrrp.LinkState{Source: src}
}

// source selects the primary address: the one in use while it is there, since
// it is the tie-break key and the advertised identity, else the first in the
// kernel's order that is not virtual.
func (k *link) source(f vrrp.Family, current netip.Addr) netip.Addr {
	k.refresh()
	list := k.usable[f]
	switch {
	case slices.Contains(list, current):
		return current
	case len(list) > 0:
		return list[0]
	default:
		return netip.Addr{}
	}
}

// refresh sorts the interface's addresses once per change, not once per router:
// an interface can have thousands of both.
func (k *link) refresh() {
	if k.fresh {
		return
	}
	k.fresh = true
	k.usable = map[vrrp.Family][]netip.Addr{}
	k.present = make(map[netip.Addr]bool, len(k.level.Addresses))
	for _, a := range k.level.Addresses {
		addr := a.Prefix.Addr()
		f := vrrp.FamilyOf(addr)
		k.present[addr] = true
		if a.Tentative || k.virtual[addr] > 0 || f == vrrp.IPv6 && !addr.IsLinkLocalUnicast() {
			continue
		}
		k.usable[f] = append(k.usable[f], addr)
	}
}

// noSource says why an interface has no IPv4 address to send from.
func (k *link) noSource() string {
	for _, a := range k.level.Addresses {
		if addr := a.Prefix.Addr(); addr.Is4() && k.virtual[addr] > 0 {
			return fmt.Sprintf("its only IPv4 address, %s, is a virtual one: give it an address of its own, or say owner = true here", addr)
		}
	}
	return "no IPv4 address of its own"
}

func faultText(name string, st vrrp.LinkState) string {
	detail := ""
	if st.Detail != "" {
		detail = ": " + st.Detail
	}
	switch st.Fault {
	case vrrp.FaultInterfaceMissing:
		return fmt.Sprintf("interface %s does not exist", name)
	case vrrp.FaultInterfaceDown:
		return fmt.Sprintf("interface %s is down%s", name, detail)
	case vrrp.FaultNoPrimaryAddress:
		return fmt.Sprintf("interface %s has no address to send from%s", name, detail)
	case vrrp.FaultSocket:
		return fmt.Sprintf("interface %s%s", name, detail)
	case vrrp.FaultPending:
		return fmt.Sprintf("interface %s is being looked at", name)
	default:
		return ""
	}
}
