package play

import (
	"net/netip"
	"slices"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/simlan"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// cast is the hosts as the LAN wants them.
type cast struct {
	cfgs     []*daemon.Config
	services []*service
	links    [][]place
	specs    []simlan.HostSpec
	invented map[place]bool
	taken    map[netip.Addr]bool // virtual addresses, next hops, and own ones
}

// newCast gives every host its interfaces and addresses of their own: those that
// the configurations name (source, peers), else some that fit.
func newCast(cfgs []*daemon.Config) *cast {
	c := &cast{cfgs: cfgs, services: services(cfgs), invented: map[place]bool{}, taken: map[netip.Addr]bool{}}
	c.links = links(cfgs, c.services)
	for host, cfg := range cfgs {
		c.specs = append(c.specs, simlan.HostSpec{Name: cfg.Node, NICs: make([]simlan.NICSpec, len(c.links))})
		for link, places := range c.links {
			for _, p := range places {
				if p.host == host {
					c.specs[host].NICs[link].Name = p.name
				}
			}
		}
		for i := range cfg.Routers {
			for _, a := range cfg.Routers[i].Addresses {
				c.taken[a.Prefix.Addr()] = true
			}
			for _, r := range cfg.Routers[i].Routes {
				c.taken[r.Via] = true
			}
		}
	}
	for _, s := range c.services {
		for _, m := range s.members {
			c.known(s, m)
		}
	}
	for link := range c.links {
		c.invent(link)
	}
	return c
}

// nic is the interface a host's router is on.
func (c *cast) nic(m member) *simlan.NICSpec {
	for link := range c.links {
		if n := &c.specs[m.host].NICs[link]; n.Name == m.cfg.Interface {
			return n
		}
	}
	return nil
}

// known takes over what the configurations say of a host's own addresses.
func (c *cast) known(s *service, m member) {
	n := c.nic(m)
	if m.cfg.Owner {
		for i, a := range m.cfg.Addresses {
			if i < len(m.cfg.Spec.Addresses) && a.Interface == "" && !slices.Contains(n.Owned, a.Prefix) {
				n.Owned = append(n.Owned, a.Prefix)
			}
		}
	}
	own := m.cfg.Source
	if !own.IsValid() && m.cfg.Spec.Unicast() {
		own = c.asPeersSay(s, m)
	}
	if !own.IsValid() || slices.ContainsFunc(slices.Concat(n.Own, n.Owned), func(p netip.Prefix) bool { return p.Addr() == own }) {
		return
	}
	c.taken[own] = true
	n.Own = append(n.Own, netip.PrefixFrom(own, bitsFor(m.cfg, own)))
}

// asPeersSay is the address by which the other hosts know one that does not say
// it itself: the only one they name that it does not name.
func (c *cast) asPeersSay(s *service, m member) netip.Addr {
	var candidates []netip.Addr
	for _, o := range s.members {
		for _, p := range o.cfg.Spec.Peers {
			mine := slices.ContainsFunc(m.cfg.Spec.Peers, func(x vrrp.Peer) bool { return x.Addr == p.Addr })
			if o.host != m.host && !mine && !slices.Contains(candidates, p.Addr) && o.cfg.Source != p.Addr {
				candidates = append(candidates, p.Addr)
			}
		}
	}
	if len(candidates) != 1 {
		return netip.Addr{}
	}
	return candidates[0]
}

// bitsFor is the length of a prefix that fits an address.
func bitsFor(cfg *daemon.RouterConfig, a netip.Addr) int {
	for _, x := range cfg.Addresses {
		if x.Prefix.Contains(a) && !x.Prefix.IsSingleIP() {
			return x.Prefix.Bits()
		}
	}
	if a.Is4() {
		return 24
	}
	return 64
}

// invent gives the interfaces of a link what they still need: an address in
// every family that elects there. The first host gets the lowest.
func (c *cast) invent(link int) {
	var four, six, global bool
	var network netip.Prefix
	for _, s := range c.services {
		for _, m := range s.members {
			if !slices.Contains(c.links[link], place{m.host, m.cfg.Interface}) {
				continue
			}
			if four = four || m.cfg.Spec.Family == vrrp.IPv4; m.cfg.Spec.Family == vrrp.IPv6 {
				six, global = true, global || m.cfg.Spec.Unicast()
			}
			for _, a := range m.cfg.Addresses {
				if p := a.Prefix.Masked(); !network.IsValid() && a.Interface == "" && p.Addr().Is4() && p.Bits() <= 29 {
					network = p
				}
			}
		}
	}
	if !network.IsValid() {
		network = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 255, byte(link), 0}), 24)
	}
	next := last(network, 2+2*len(c.cfgs))
	for host := range c.cfgs {
		n := &c.specs[host].NICs[link]
		has := func(ok func(netip.Addr) bool) bool {
			return slices.ContainsFunc(slices.Concat(n.Own, n.Owned), func(p netip.Prefix) bool { return ok(p.Addr()) })
		}
		at := place{host, n.Name}
		give := func(a netip.Addr, bits int) {
			n.Own = append(n.Own, netip.PrefixFrom(a, bits))
			c.taken[a], c.invented[at] = true, true
		}
		if n.Name == "" {
			continue
		}
		if four && !has(netip.Addr.Is4) {
			for c.taken[next] {
				next = next.Next()
			}
			if !network.Contains(next.Next()) { // it is full; the loop does not mind another one
				network = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 255, byte(link), 0}), 24)
				next = last(network, 2+2*len(c.cfgs))
			}
			give(next, network.Bits())
		}
		low := [16]byte{13: byte(link + 1), 14: 0xff, 15: byte(host + 1)}
		if low[0], low[1] = 0xfe, 0x80; six && !has(netip.Addr.IsLinkLocalUnicast) {
			give(netip.AddrFrom16(low), 64)
		}
		if low[0], low[1] = 0xfd, 0xbb; global && !has(func(a netip.Addr) bool { return a.Is6() && !a.IsLinkLocalUnicast() }) {
			give(netip.AddrFrom16(low), 64)
		}
	}
}

// last is the address n before the last of an IPv4 network.
func last(p netip.Prefix, n int) netip.Addr {
	b := p.Addr().As4()
	v := uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
	v += 1<<(32-p.Bits()) - 1 - uint32(min(n, 1<<(32-p.Bits())-2))
	return netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
}
