package simlan

import (
	"net/netip"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// NIC is a host's interface on one link.
type NIC struct {
	host *Host
	Link int
	Name string // empty: the host is not on this link

	// Index is 0 while it does not exist.
	Index int
	// Upset is when the kernel last had a reason to tell the neighbours anew:
	// another MAC, a failover, the carrier back.
	Upset time.Duration
	// Own are its own addresses, Owned those of its own that are virtual too.
	Own, Owned []netip.Prefix
	// Kernel is what is on it, in the kernel's order.
	Kernel   []KernelAddress
	MACVLANs map[actions.RouterID]*MACVLAN

	inherited []*MACVLAN // of a process that has handed over, and wanted by nobody yet
	up        bool
	mac       byte
	failovers uint64
}

// MACVLAN is a link with a virtual MAC on a NIC.
type MACVLAN struct {
	MAC [6]byte
	// Silent: the filter on the parent drops what leaves from and enters to it.
	Silent bool
}

// KernelAddress is an address on an interface.
type KernelAddress struct {
	Prefix netip.Prefix
	Router actions.RouterID // 0: the host's own
	onMAC  bool             // on the router's macvlan, not on the interface itself
	// until is when the kernel removes it by itself; 0: never.
	until time.Duration
}

func newNIC(h *Host, link int, spec *NICSpec) *NIC {
	n := &NIC{host: h, Link: link, Name: spec.Name, up: true, Own: spec.Own, Owned: spec.Owned, MACVLANs: map[actions.RouterID]*MACVLAN{}}
	if n.Name != "" {
		n.renew()
		n.Reset()
	}
	return n
}

// renew gives the NIC an index that was never used.
func (n *NIC) renew() {
	n.host.indexes++
	n.Index, n.up = n.host.indexes, true
	n.host.links[n.Index] = n.Link
}

// Reset leaves the NIC with its own addresses only.
func (n *NIC) Reset() {
	n.Kernel, n.MACVLANs, n.inherited = nil, map[actions.RouterID]*MACVLAN{}, nil
	for _, p := range slices.Concat(n.Own, n.Owned) {
		n.Kernel = append(n.Kernel, KernelAddress{Prefix: p})
	}
}

// Wired reports whether the interface carries packets.
func (n *NIC) Wired() bool { return n.Index != 0 && n.up && !n.host.paused && !n.host.off }

// Up reports whether it exists and has a carrier, as its host sees it.
func (n *NIC) Up() bool { return n.Index != 0 && n.up }

// Holds reports whether an address is there.
func (n *NIC) Holds(a netip.Addr) bool {
	return slices.ContainsFunc(n.Kernel, func(x KernelAddress) bool { return x.Prefix.Addr() == a })
}

// IsOwn reports whether an address is the interface's own.
func (n *NIC) IsOwn(a netip.Addr) bool {
	is := func(x netip.Prefix) bool { return x.Addr() == a }
	return slices.ContainsFunc(n.Own, is) || slices.ContainsFunc(n.Owned, is)
}

// Hardware is the interface's own link-layer address.
func (n *NIC) Hardware() [6]byte { return [6]byte{2, 0, 0, byte(n.Link), n.mac, byte(n.host.ID + 1)} }

// level is the interface as the watcher would find it now.
func (n *NIC) level() actions.LinkChanged {
	l := actions.LinkChanged{Name: n.Name, Index: n.Index}
	if n.Index == 0 {
		return l
	}
	l.Up, l.MAC, l.MTU, l.Failovers = n.up, n.Hardware(), 1500, n.failovers
	if !n.up {
		l.Detail = "no carrier"
	}
	for _, a := range n.Kernel {
		if !a.onMAC {
			l.Addresses = append(l.Addresses, actions.LinkAddress{Prefix: a.Prefix, Left: a.Router == adopted})
		}
	}
	return l
}

// notify tells the watcher that something changed. It reports what it finds
// when it looks, so two changes in a row become two equal levels or one.
func (n *NIC) notify() {
	p := n.host.Process
	if p == nil {
		return
	}
	n.host.lan.After(NoticeDelay, func() {
		if !p.dead && p.watched[n.Name] {
			p.Post(n.level())
		}
	})
}

// moved tells whoever wants to know that an address may be elsewhere now.
func (n *NIC) moved(p netip.Prefix) {
	if f := n.host.lan.Opt.Moved; f != nil {
		f(n.host, p)
	}
}

func (n *NIC) movedAll() {
	for _, a := range n.Kernel {
		n.moved(a.Prefix)
	}
}

func (n *NIC) add(p netip.Prefix, r actions.RouterID, onMAC bool) {
	n.host.lan.Note(n.host, "+ %s", p)
	a := KernelAddress{Prefix: p, Router: r, onMAC: onMAC}
	if n.host.newerFirst {
		n.Kernel = slices.Insert(n.Kernel, 0, a)
	} else {
		n.Kernel = append(n.Kernel, a)
	}
	n.moved(p)
	n.notify()
}

func (n *NIC) remove(p netip.Prefix) {
	n.host.lan.Note(n.host, "- %s", p)
	n.Kernel = slices.DeleteFunc(n.Kernel, func(a KernelAddress) bool { return a.Prefix == p })
	n.moved(p)
	n.notify()
}

// carrier takes the carrier away or brings it back.
func (n *NIC) carrier(up bool) {
	n.fault("carrier %t", up)
	if n.up = up; up {
		n.Upset = n.host.lan.now
	}
	n.movedAll()
	n.notify()
}

// vanish removes the interface with all its addresses and macvlans.
func (n *NIC) vanish() {
	n.fault("%s vanishes", n.Name)
	n.closeSockets()
	n.movedAll()
	n.Index, n.Kernel, n.MACVLANs, n.inherited = 0, nil, map[actions.RouterID]*MACVLAN{}, nil
	n.notify()
}

// appear makes a new interface of the same name; its addresses come a little later.
func (n *NIC) appear() {
	if n.Index != 0 || n.Name == "" {
		return
	}
	n.fault("%s appears", n.Name)
	n.renew()
	n.notify()
	index := n.Index
	n.host.lan.After(3*time.Millisecond, func() {
		if n.Index == index {
			n.giveOwn()
			n.movedAll()
			n.notify()
		}
	})
}

// giveOwn puts the interface's own addresses on it; what the keeper has put
// there meanwhile stays.
func (n *NIC) giveOwn() {
	for _, p := range slices.Concat(n.Own, n.Owned) {
		if !n.Holds(p.Addr()) {
			n.Kernel = append(n.Kernel, KernelAddress{Prefix: p})
		}
	}
}

// replace puts another interface of the same name in the place of the old one,
// so fast that the watcher sees only the new one.
func (n *NIC) replace() {
	if n.Index == 0 {
		return
	}
	n.fault("%s is replaced by another of that name", n.Name)
	n.closeSockets()
	n.movedAll()
	n.renew()
	n.Reset()
	n.Upset = n.host.lan.now
	n.notify()
}

// changeMAC gives the interface another link-layer address.
func (n *NIC) changeMAC() {
	n.fault("another MAC address")
	n.mac++
	n.Upset = n.host.lan.now
	if p := n.host.Process; p != nil {
		p.lose(n.Index)
	}
	n.notify()
}

// failover is a bond that changes its active port.
func (n *NIC) failover() {
	n.fault("the bond fails over")
	n.failovers++
	n.Upset = n.host.lan.now
	n.notify()
}

func (n *NIC) closeSockets() {
	if p := n.host.Process; p != nil {
		for s := range p.Sockets {
			if s.Link == n.Index {
				delete(p.Sockets, s)
			}
		}
		p.lose(n.Index)
	}
}

// fault writes a fault of the NIC down; with several links it says of which.
func (n *NIC) fault(format string, args ...any) {
	where := n.host.Name
	if n.host.lan.links > 1 {
		where += " " + n.Name
	}
	n.host.lan.Fault("%s: "+format, append([]any{where}, args...)...)
}

// arrive is the network card: a packet is queued for the process, or lost.
func (n *NIC) arrive(f *frame) {
	p := n.host.Process
	if !n.Wired() || p == nil || len(p.Unread) >= queueLength {
		return
	}
	at := vrrp.Listening{Link: n.Index, Family: f.family}
	if f.dst.IsMulticast() {
		at.Group = f.dst
	}
	if !p.Sockets[at] {
		return
	}
	p.Unread = append(p.Unread, Packet{n.Index, f.family, f.data, n.host.lan.now})
	p.wake()
}
