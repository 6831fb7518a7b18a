package sim

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/simlan"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// InterfaceOn is the name of every host's interface on a link: eth0, eth1.
func InterfaceOn(link int) string { return fmt.Sprintf("eth%d", link) }

// Router makes a virtual router on link 0 with addresses that follow from its
// VRID (1–100), preempting, without hooks.
func Router(name string, family vrrp.Family, vrid, priority uint8, interval time.Duration) daemon.RouterConfig {
	return RouterOn(0, name, family, vrid, priority, interval)
}

// RouterOn is Router on another link.
func RouterOn(link int, name string, family vrrp.Family, vrid, priority uint8, interval time.Duration) daemon.RouterConfig {
	c := daemon.RouterConfig{Name: name, Interface: InterfaceOn(link), Accept: true,
		Spec: vrrp.Spec{VRID: vrid, Family: family, Priority: priority, Interval: interval, Preempt: true, AnswerLower: true, Farewell: true}}
	if family == vrrp.IPv4 {
		return WithAddress(c, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(link), vrid, 100}), 24))
	}
	c = WithAddress(c, netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 13: byte(link), 14: vrid, 15: 100}), 64))
	return WithAddress(c, netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 13: byte(link), 14: vrid, 15: 100}), 64))
}

// WithAddress returns the router with one more advertised address.
func WithAddress(c daemon.RouterConfig, a netip.Prefix) daemon.RouterConfig {
	c.Addresses = slices.Insert(slices.Clone(c.Addresses), len(c.Spec.Addresses), actions.Address{Prefix: a})
	c.Spec.Addresses = append(slices.Clone(c.Spec.Addresses), a.Addr())
	return c
}

// RideAlong returns the router with one more address, which is held on the
// interface of a link and not advertised.
func RideAlong(c daemon.RouterConfig, link int) daemon.RouterConfig {
	k := keyOf(&c)
	a := actions.Address{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(k.link), k.vrid, 200}), 32), Interface: InterfaceOn(link)}
	if k.family == vrrp.IPv6 {
		a.Prefix = netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 13: byte(k.link), 14: k.vrid, 15: 200}), 128)
	}
	c.Addresses = append(slices.Clone(c.Addresses), a)
	return c
}

// Unicast returns the router with all other hosts as its peers.
func Unicast(c daemon.RouterConfig, self *Host) daemon.RouterConfig {
	c.Spec.Peers, c.Spec.Group = nil, netip.Addr{}
	for _, h := range self.lan.hosts {
		if h != self {
			c.Spec.Peers = append(c.Spec.Peers, vrrp.Peer{Addr: h.address(linkOf(c.Interface), c.Spec.Family), MinTTL: vrrp.HopLimit})
		}
	}
	return c
}

// Grouped returns the router as a member of a sync group. Config finds the others.
func Grouped(c daemon.RouterConfig, group string) daemon.RouterConfig {
	c.Group, c.Spec.Grouped = group, group != ""
	return c
}

// WithHook returns the router with a hook that wants to know everything.
func WithHook(c daemon.RouterConfig, name string) daemon.RouterConfig {
	c.Hooks = append(slices.Clone(c.Hooks), actions.HookSpec{Name: name, Command: []string{"/bin/true"}, Timeout: 10 * time.Second,
		On: actions.OnActive | actions.OnBackup | actions.OnInitialize | actions.OnFault})
	return c
}

// keyOfAddress returns the virtual router an address of RouterOn or RideAlong belongs to.
func keyOfAddress(a netip.Prefix) key {
	b := a.Addr().AsSlice()
	return key{int(b[len(b)-3]), vrrp.FamilyOf(a.Addr()), b[len(b)-2]}
}

// wished is the virtual router whose addresses a wish is for.
func wished(w *simlan.Wish) key { return keyOfAddress(w.Addresses[0].Prefix) }

// linkOf is the number of the link an interface is on.
func linkOf(name string) int { return int(name[len(name)-1] - '0') }

// Config makes a host's configuration. Routers that name one sync group become
// its members; a group of one is none.
func Config(h *Host, routers ...daemon.RouterConfig) *daemon.Config {
	routers = slices.Clone(routers)
	slices.SortFunc(routers, func(a, b daemon.RouterConfig) int { return strings.Compare(a.Name, b.Name) })
	cfg := &daemon.Config{Node: h.Name, Routers: routers, Checks: checkOf(routers)}
	for i := range routers {
		r := &routers[i]
		var members []string
		for _, o := range routers {
			if r.Group != "" && o.Group == r.Group {
				members = append(members, o.Name)
			}
		}
		switch {
		case len(members) == 1:
			r.Group, r.Spec.Grouped = "", false
		case len(members) > 1 && members[0] == r.Name:
			cfg.Groups = append(cfg.Groups, daemon.GroupConfig{Name: r.Group, Members: members})
		}
	}
	slices.SortFunc(cfg.Groups, func(a, b daemon.GroupConfig) int { return strings.Compare(a.Name, b.Name) })
	return cfg
}
