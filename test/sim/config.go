package sim

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// Router makes a virtual router with addresses that follow from its VRID
// (1–100), preempting, without hooks.
func Router(name string, family vrrp.Family, vrid, priority uint8, interval time.Duration) daemon.RouterConfig {
	c := daemon.RouterConfig{Name: name, Interface: Interface,
		Spec: vrrp.Spec{VRID: vrid, Family: family, Priority: priority, Interval: interval, Preempt: true}}
	if family == vrrp.IPv4 {
		return WithAddress(c, netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, vrid, 100}), 24))
	}
	c = WithAddress(c, netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 14: vrid, 15: 100}), 64))
	return WithAddress(c, netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 14: vrid, 15: 100}), 64))
}

// WithAddress returns the router with one more advertised address.
func WithAddress(c daemon.RouterConfig, a netip.Prefix) daemon.RouterConfig {
	c.Addresses = append(slices.Clone(c.Addresses), a)
	c.Spec.Addresses = append(slices.Clone(c.Spec.Addresses), a.Addr())
	return c
}

// WithHook returns the router with a hook that wants to know everything.
func WithHook(c daemon.RouterConfig, name string) daemon.RouterConfig {
	c.Hooks = append(slices.Clone(c.Hooks), actions.HookSpec{Name: name, Command: []string{"/bin/true"}, Timeout: 10 * time.Second,
		On: actions.OnActive | actions.OnBackup | actions.OnInitialize | actions.OnFault})
	return c
}

// VirtualRouterOf returns the VRID an address of Router belongs to.
func VirtualRouterOf(a netip.Prefix) uint8 {
	b := a.Addr().AsSlice()
	return b[len(b)-2]
}

// Config makes a host's configuration.
func Config(h *Host, routers ...daemon.RouterConfig) *daemon.Config {
	routers = slices.Clone(routers)
	slices.SortFunc(routers, func(a, b daemon.RouterConfig) int { return strings.Compare(a.Name, b.Name) })
	return &daemon.Config{Node: h.Name, Routers: routers}
}
