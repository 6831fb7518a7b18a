package daemon

import (
	"net/netip"
	"slices"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// Config is what one host runs: plain, validated values. Package conf makes it
// from HCL; tests make it by hand. It is not changed after it was handed over.
type Config struct {
	// Node is this host's name.
	Node string
	// Routers are the virtual routers, sorted by name; names are unique.
	Routers []RouterConfig
	// Groups are the sync groups, sorted by name. A router is in one at most, and
	// all members of a group have the same priority.
	Groups []GroupConfig
	// Checks are the checks, sorted by name; names are unique. All of them run,
	// whether a router depends on them or not.
	Checks []checks.Spec
	// Services are the service groups, sorted by name; names are unique. A router or a
	// sync group has one at most.
	Services []ServiceConfig
}

// ServiceConfig is one service_group block.
type ServiceConfig struct {
	// Ladder is what goes up and down; its Name is the group's.
	Ladder actions.LadderSpec
	// Follows are the routers it follows: one, or all members of a sync group.
	Follows []string
	// WhenReady puts the routers' addresses up only once the whole group is up
	// (addresses_when = "ready").
	WhenReady bool
}

// first is the router whose terms say whether this host has been Active all the time.
func (c *ServiceConfig) first() string {
	if len(c.Follows) == 0 {
		return ""
	}
	return slices.Min(c.Follows) // as Loop.routers are sorted
}

// Equal reports whether two configurations of a service group are the same in every respect.
func (c *ServiceConfig) Equal(o *ServiceConfig) bool {
	return c.WhenReady == o.WhenReady && slices.Equal(c.Follows, o.Follows) && c.Ladder.Equal(&o.Ladder)
}

// GroupConfig is one sync group: its members are Active together or not at all.
type GroupConfig struct {
	Name string
	// Members are names of routers, at least two, in the order of the file.
	Members []string
}

// RouterConfig is one virtual_router block, or one of the two elections of a
// block with election = "both".
type RouterConfig struct {
	Name      string
	Interface string
	// Spec is the election's part; Spec.Addresses are the advertised addresses,
	// Spec.Grouped says that Group is set.
	Spec vrrp.Spec
	// Source is the primary address to send from; invalid means the first of
	// the interface's own.
	Source netip.Addr
	// Addresses are all addresses to hold while Active: the advertised ones
	// first, in the order of Spec.Addresses, then those that ride along.
	Addresses []actions.Address
	// Routes and Rules go with the Active. Their Link is 0 here.
	Routes []actions.Route
	Rules  []actions.Rule
	// Owner says that the addresses are the interface's own (priority 255):
	// they are never removed when they were there before us.
	Owner bool
	// Accept says whether this host accepts traffic to the addresses while it is
	// Active (Accept_Mode); the owner always does.
	Accept bool
	// VirtualMAC puts the addresses on a macvlan with the virtual router MAC,
	// called MACName, or by the keeper's choice if that is empty.
	VirtualMAC   bool
	MACName      string
	RouterAdvert actions.RouterAdvertSpec
	// Group is the name of the sync group, or empty.
	Group string
	// Mortal: the addresses have a lifetime in the kernel, which the loop renews: of a
	// process that is dead or frozen they go by themselves.
	Mortal   bool
	Announce actions.AnnounceSpec
	Hooks    []actions.HookSpec
	// Depends are the checks that its priority depends on. In a sync group those of
	// all members count for each of them.
	Depends []checks.Dependency
}

// Equal reports whether two configurations of a router are the same in every respect.
func (c *RouterConfig) Equal(o *RouterConfig) bool {
	return c.Name == o.Name && c.Interface == o.Interface && c.Owner == o.Owner && c.Announce == o.Announce &&
		c.Source == o.Source && c.Accept == o.Accept && c.VirtualMAC == o.VirtualMAC && c.MACName == o.MACName && c.Group == o.Group && c.Mortal == o.Mortal &&
		advertEqual(&c.RouterAdvert, &o.RouterAdvert) && slices.Equal(c.Routes, o.Routes) && slices.Equal(c.Rules, o.Rules) &&
		specEqual(&c.Spec, &o.Spec) && slices.Equal(c.Addresses, o.Addresses) &&
		slices.EqualFunc(c.Hooks, o.Hooks, hookEqual) && slices.EqualFunc(c.Depends, o.Depends, dependEqual)
}

func dependEqual(a, b checks.Dependency) bool { return a.Equal(&b) }

// specEqual compares field by field, which a reload does thousands of times on the
// loop; a test sees to it that no field is left out.
func specEqual(a, b *vrrp.Spec) bool {
	return a.Version == b.Version && a.VRID == b.VRID && a.Family == b.Family && a.Priority == b.Priority &&
		a.Interval == b.Interval && a.Preempt == b.Preempt && a.PreemptDelay == b.PreemptDelay && a.Checksum == b.Checksum &&
		a.Group == b.Group && a.TTL == b.TTL && a.Secret == b.Secret && a.Grouped == b.Grouped && a.LinkDownDelay == b.LinkDownDelay &&
		a.AnswerLower == b.AnswerLower && a.Farewell == b.Farewell && a.VerifyAddresses == b.VerifyAddresses &&
		a.AcceptGlobalFirst == b.AcceptGlobalFirst && a.Settle == b.Settle && a.YieldsToHealth == b.YieldsToHealth &&
		slices.Equal(a.Addresses, b.Addresses) && slices.Equal(a.Peers, b.Peers)
}

func advertEqual(a, b *actions.RouterAdvertSpec) bool {
	return a.On == b.On && a.Interval == b.Interval && a.Lifetime == b.Lifetime && a.Managed == b.Managed && a.Other == b.Other &&
		a.Preference == b.Preference && a.HopLimit == b.HopLimit && a.MTU == b.MTU &&
		slices.Equal(a.Prefixes, b.Prefixes) && slices.Equal(a.DNS, b.DNS)
}

func hookEqual(a, b actions.HookSpec) bool {
	return a.Name == b.Name && a.On == b.On && a.User == b.User && a.Timeout == b.Timeout &&
		slices.Equal(a.Command, b.Command)
}
