package sim

import (
	"net/netip"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// nic is a host's interface on one link.
type nic struct {
	host *Host
	link int

	index     int // 0 while it does not exist
	up        bool
	mac       byte
	failovers uint64
	// upset is when the kernel last had a reason to tell the neighbours anew:
	// another MAC, a failover, the carrier back.
	upset    time.Duration
	own      []netip.Prefix  // its own addresses
	owned    []netip.Prefix  // of these, those that are virtual too (address owner)
	kernel   []kernelAddress // in the kernel's order
	macvlans map[actions.RouterID]*macvlan
}

// macvlan is a link with a virtual MAC on a nic.
type macvlan struct {
	mac [6]byte
	// silent: the filter on the parent drops what leaves from and enters to it.
	silent bool
}

type kernelAddress struct {
	prefix netip.Prefix
	router actions.RouterID // 0: the host's own
	onMAC  bool             // on the router's macvlan, not on the interface itself
}

func newNIC(h *Host, link int) *nic {
	last := byte(h.ID + 1)
	if link > 0 && h.lan.opt.Reversed {
		last = byte(200 - h.ID)
	}
	l := byte(link)
	n := &nic{host: h, link: link, up: true, own: []netip.Prefix{
		netip.PrefixFrom(netip.AddrFrom4([4]byte{10, l, 0, last}), 24),
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 13: l, 15: last}), 64),
		netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 13: l, 15: last}), 64),
	}}
	n.renew()
	n.reset()
	return n
}

// address is the nic's own address by which peers know it: for IPv6 the global one.
func (n *nic) address(f vrrp.Family) netip.Addr {
	if f == vrrp.IPv4 {
		return n.own[0].Addr()
	}
	return n.own[2].Addr()
}

// renew gives the nic an index that was never used.
func (n *nic) renew() {
	n.host.indexes++
	n.index, n.up = n.host.indexes, true
	n.host.links[n.index] = n.link
}

// reset leaves the nic with its own addresses only.
func (n *nic) reset() {
	n.kernel, n.macvlans = nil, map[actions.RouterID]*macvlan{}
	for _, p := range slices.Concat(n.own, n.owned) {
		n.kernel = append(n.kernel, kernelAddress{prefix: p})
	}
}

// wired reports whether the interface carries packets.
func (n *nic) wired() bool { return n.index != 0 && n.up && !n.host.paused }

// holds reports whether an address is there.
func (n *nic) holds(a netip.Addr) bool {
	return slices.ContainsFunc(n.kernel, func(x kernelAddress) bool { return x.prefix.Addr() == a })
}

// isOwn reports whether an address is the interface's own.
func (n *nic) isOwn(a netip.Addr) bool {
	return slices.ContainsFunc(slices.Concat(n.own, n.owned), func(x netip.Prefix) bool { return x.Addr() == a })
}

// hardware is the interface's own link-layer address.
func (n *nic) hardware() [6]byte { return [6]byte{2, 0, 0, byte(n.link), n.mac, byte(n.host.ID + 1)} }

// level is the interface as the watcher would find it now.
func (n *nic) level() actions.LinkChanged {
	l := actions.LinkChanged{Name: InterfaceOn(n.link), Index: n.index}
	if n.index == 0 {
		return l
	}
	l.Up, l.MAC, l.MTU, l.Failovers = n.up, n.hardware(), 1500, n.failovers
	if !n.up {
		l.Detail = "no carrier"
	}
	for _, a := range n.kernel {
		if !a.onMAC {
			l.Addresses = append(l.Addresses, actions.LinkAddress{Prefix: a.prefix})
		}
	}
	return l
}

// notify tells the watcher that something changed. It reports what it finds
// when it looks, so two changes in a row become two equal levels or one.
func (n *nic) notify() {
	p := n.host.proc
	if p == nil {
		return
	}
	n.host.lan.After(noticeDelay, func() {
		if !p.dead && p.watched[InterfaceOn(n.link)] {
			p.post(n.level())
		}
	})
}

func (n *nic) add(p netip.Prefix, r actions.RouterID, onMAC bool) {
	n.host.lan.note(n.host, "+ %s", p)
	a := kernelAddress{p, r, onMAC}
	if n.host.newerFirst {
		n.kernel = slices.Insert(n.kernel, 0, a)
	} else {
		n.kernel = append(n.kernel, a)
	}
	n.notify()
}

func (n *nic) remove(p netip.Prefix) {
	n.host.lan.note(n.host, "- %s", p)
	n.kernel = slices.DeleteFunc(n.kernel, func(a kernelAddress) bool { return a.prefix == p })
	n.notify()
}

// carrier takes the carrier away or brings it back.
func (n *nic) carrier(up bool) {
	n.fault("carrier %t", up)
	if n.up = up; up {
		n.upset = n.host.lan.now
	}
	n.notify()
}

// vanish removes the interface with all its addresses and macvlans.
func (n *nic) vanish() {
	n.fault("%s vanishes", InterfaceOn(n.link))
	n.closeSockets()
	n.index, n.kernel, n.macvlans = 0, nil, map[actions.RouterID]*macvlan{}
	n.notify()
}

// appear makes a new interface of the same name; its addresses come a little later.
func (n *nic) appear() {
	if n.index != 0 {
		return
	}
	n.fault("%s appears", InterfaceOn(n.link))
	n.renew()
	n.notify()
	index := n.index
	n.host.lan.After(3*time.Millisecond, func() {
		if n.index == index {
			n.giveOwn()
			n.notify()
		}
	})
}

// giveOwn puts the interface's own addresses on it; what the keeper has put
// there meanwhile stays.
func (n *nic) giveOwn() {
	for _, p := range slices.Concat(n.own, n.owned) {
		if !n.holds(p.Addr()) {
			n.kernel = append(n.kernel, kernelAddress{prefix: p})
		}
	}
}

// replace puts another interface of the same name in the place of the old one,
// so fast that the watcher sees only the new one.
func (n *nic) replace() {
	if n.index == 0 {
		return
	}
	n.fault("%s is replaced by another of that name", InterfaceOn(n.link))
	n.closeSockets()
	n.renew()
	n.reset()
	n.upset = n.host.lan.now
	n.notify()
}

// changeMAC gives the interface another link-layer address.
func (n *nic) changeMAC() {
	n.fault("another MAC address")
	n.mac++
	n.upset = n.host.lan.now
	if p := n.host.proc; p != nil {
		p.lose(n.index)
	}
	n.notify()
}

// failover is a bond that changes its active port.
func (n *nic) failover() {
	n.fault("the bond fails over")
	n.failovers++
	n.upset = n.host.lan.now
	n.notify()
}

func (n *nic) closeSockets() {
	if p := n.host.proc; p != nil {
		for s := range p.sockets {
			if s.Link == n.index {
				delete(p.sockets, s)
			}
		}
		p.lose(n.index)
	}
}

// fault writes a fault of the nic down; with several links it says of which.
func (n *nic) fault(format string, args ...any) {
	where := n.host.Name
	if n.host.lan.opt.Links > 1 {
		where += " " + InterfaceOn(n.link)
	}
	n.host.lan.fault(where+": "+format, args...)
}

// arrive is the network card: a packet is queued for the process, or lost.
func (n *nic) arrive(f *frame) {
	p := n.host.proc
	if !n.wired() || p == nil || len(p.rx) >= queueLength {
		return
	}
	at := vrrp.Listening{Link: n.index, Family: f.family}
	if f.dst.IsMulticast() {
		at.Group = f.dst
	}
	if !p.sockets[at] {
		return
	}
	p.rx = append(p.rx, packet{n.index, f.family, f.data, n.host.lan.now})
	p.wake()
}
