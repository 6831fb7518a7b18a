package daemon

import (
	"net/netip"
	"slices"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// Config is what one host runs: plain, validated values. Package conf makes it
// from HCL; tests make it by hand. It is not changed after it was handed over.
type Config struct {
	// Node is this host's name.
	Node string
	// Routers are the virtual routers, sorted by name; names are unique.
	Routers []RouterConfig
}

// RouterConfig is one virtual_router block.
type RouterConfig struct {
	Name      string
	Interface string
	// Spec is the election's part; Spec.Addresses are the advertised addresses.
	Spec vrrp.Spec
	// Addresses are all addresses to hold while Active, with their prefix
	// lengths: the advertised ones first, in the order of Spec.Addresses, then
	// those of the other family that ride along.
	Addresses []netip.Prefix
	// Owner says that the addresses are the interface's own (priority 255):
	// they are never removed when they were there before us.
	Owner    bool
	Announce actions.AnnounceSpec
	Hooks    []actions.HookSpec
}

// Equal reports whether two configurations of a router are the same in every respect.
func (c *RouterConfig) Equal(o *RouterConfig) bool {
	return c.Name == o.Name && c.Interface == o.Interface && c.Owner == o.Owner && c.Announce == o.Announce &&
		specEqual(&c.Spec, &o.Spec) && slices.Equal(c.Addresses, o.Addresses) &&
		slices.EqualFunc(c.Hooks, o.Hooks, hookEqual)
}

func specEqual(a, b *vrrp.Spec) bool {
	return a.VRID == b.VRID && a.Family == b.Family && a.Priority == b.Priority && a.Interval == b.Interval &&
		a.Preempt == b.Preempt && a.PreemptDelay == b.PreemptDelay && a.Checksum == b.Checksum &&
		slices.Equal(a.Addresses, b.Addresses)
}

func hookEqual(a, b actions.HookSpec) bool {
	return a.Name == b.Name && a.On == b.On && a.User == b.User && a.Timeout == b.Timeout &&
		slices.Equal(a.Command, b.Command)
}
