package actions

import (
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// The values that travel between the daemon's loop and the packages below
// actions. They live here so that neither side imports the other: wishes go
// down, answers come back with the RouterID and the term they answer.

// RouterID names a virtual router within one process. IDs are never reused, so
// a late answer for a router that a reload removed finds nobody.
type RouterID uint32

// Address is one address to hold, with what ip-address(8) lets one say about it.
type Address struct {
	Prefix netip.Prefix
	// Interface is where it goes; empty means the router's own interface (its
	// macvlan with a virtual MAC).
	Interface string
	// Label (IPv4 only) is at most 15 bytes and begins with the interface's name.
	Label string
	// Scope is an rtnetlink scope (RT_SCOPE_UNIVERSE 0, SITE 200, LINK 253, HOST 254).
	Scope uint8
	// Broadcast (IPv4 only); the zero Addr leaves it unset.
	Broadcast netip.Addr
	// NoPrefixRoute keeps the kernel from adding the connected route.
	NoPrefixRoute bool
}

// Place is an Address and the interface it is for, as it is called and numbered
// now. Link 0 means that the interface does not exist.
type Place struct {
	Address
	Link     int
	LinkName string
}

// VirtualMAC is the macvlan of one virtual router and family: it carries the
// virtual router MAC, and the addresses of the router's own interface go on it.
type VirtualMAC struct {
	// Name of the macvlan; empty lets the keeper choose one ("vr4.61.3": family,
	// VRID, index of the parent).
	Name string
	MAC  [6]byte
	// Parent is the interface's index, ParentName its name.
	Parent     int
	ParentName string
	// IPv6 says that addresses of that family will come on it; without, IPv6 is
	// switched off on the macvlan, which then sends nothing by itself.
	IPv6 bool
}

// Route is a route that goes with the Active (ip-route(8)).
type Route struct {
	// Dst is the destination; 0.0.0.0/0 or ::/0 is the default route.
	Dst netip.Prefix
	// Via is the next hop, invalid for an on-link route.
	Via netip.Addr
	// Interface is where it leaves; empty means the router's own (its macvlan
	// with a virtual MAC), unless Via decides.
	Interface string
	// Link is the index of Interface, 0 if there is none or it does not exist.
	Link int
	// Source is the preferred source address (src), or invalid.
	Source netip.Addr
	// Table is the routing table; 0 means main (254).
	Table uint32
	// Metric is the priority; 0 leaves it to the kernel.
	Metric uint32
	// Scope is an rtnetlink scope.
	Scope uint8
	// OnLink says that Via is on the link whatever the addresses say.
	OnLink bool
	// MTU in bytes; 0 leaves it out.
	MTU uint32
	// Kind is RTN_UNICAST (0 or 1), RTN_BLACKHOLE 6, RTN_UNREACHABLE 7 or RTN_PROHIBIT 8.
	Kind uint8
}

// Forwards tells whether the route leads somewhere, rather than dropping what
// it matches; only such a one has an interface and a next hop.
func (r *Route) Forwards() bool { return r.Kind <= 1 }

// String is the route as ip-route(8) writes it.
func (r Route) String() string {
	var b strings.Builder
	switch r.Kind {
	case 6:
		b.WriteString("blackhole ")
	case 7:
		b.WriteString("unreachable ")
	case 8:
		b.WriteString("prohibit ")
	}
	if r.Dst.Bits() == 0 {
		b.WriteString("default")
	} else {
		b.WriteString(r.Dst.String())
	}
	if r.Via.IsValid() {
		b.WriteString(" via " + r.Via.String())
	}
	if r.Interface != "" {
		b.WriteString(" dev " + r.Interface)
	}
	if r.Table != 0 {
		b.WriteString(" table " + number(r.Table))
	}
	if r.Source.IsValid() {
		b.WriteString(" src " + r.Source.String())
	}
	if r.Metric != 0 {
		b.WriteString(" metric " + number(r.Metric))
	}
	if r.MTU != 0 {
		b.WriteString(" mtu " + number(r.MTU))
	}
	if r.OnLink {
		b.WriteString(" onlink")
	}
	return b.String()
}

func number(n uint32) string { return strconv.FormatUint(uint64(n), 10) }

// Rule is a policy rule that goes with the Active (ip-rule(8)).
type Rule struct {
	// IPv6 is the family of the rule.
	IPv6 bool
	// From and To are the selectors, invalid for "all".
	From, To netip.Prefix
	// In and Out are interface names (iif, oif), empty for any.
	In, Out string
	// Mark and Mask are fwmark; both 0 means any.
	Mark, Mask uint32
	// Table to look up; 0 means main.
	Table uint32
	// Priority (preference), 1–32765; it must be said, since the kernel's own
	// choice would differ between the hosts.
	Priority uint32
}

// String is the rule as ip-rule(8) writes it.
func (r Rule) String() string {
	var b strings.Builder
	b.WriteString(number(r.Priority) + ": from ")
	if r.From.IsValid() {
		b.WriteString(r.From.String())
	} else {
		b.WriteString("all")
	}
	if r.To.IsValid() {
		b.WriteString(" to " + r.To.String())
	}
	if r.In != "" {
		b.WriteString(" iif " + r.In)
	}
	if r.Out != "" {
		b.WriteString(" oif " + r.Out)
	}
	if r.Mark != 0 || r.Mask != 0 {
		b.WriteString(" fwmark 0x" + strconv.FormatUint(uint64(r.Mark), 16))
		if r.Mask != 0 && r.Mask != 0xffffffff {
			b.WriteString("/0x" + strconv.FormatUint(uint64(r.Mask), 16))
		}
	}
	table := "main"
	if r.Table != 0 && r.Table != 254 {
		table = number(r.Table)
	}
	return b.String() + " lookup " + table
}

// Wanted is one router's wish for the kernel. The latest wish wins.
type Wanted struct {
	Router RouterID
	Term   uint64
	// Active says that the addresses, routes and rules are to be there. Without
	// it nothing is wanted but the silent macvlan of VirtualMAC.
	Active bool
	// VirtualMAC, if any, is wanted as long as the router runs: in Backup
	// present, but no frame leaves from or enters to its MAC.
	VirtualMAC *VirtualMAC
	// Addresses to hold, in this order. Those whose Link is VirtualMAC.Parent
	// and whose Interface is empty go on the macvlan.
	Addresses []Place
	Routes    []Route
	Rules     []Rule
	// Refuse (accept mode off): traffic to and from the addresses is dropped on
	// this host, Neighbor Discovery and ARP excepted (RFC 9568 6.1).
	Refuse bool
	// Own says the addresses are the interface's own (address owner): those
	// that are there already are left alone and never removed.
	Own bool
	// Lifetime is how long the kernel keeps the addresses after the last Renew: whole
	// seconds, at least 2; 0: for ever. A process that is dead, frozen or starved
	// then holds none of them for long. Own addresses have none.
	Lifetime time.Duration
	// Inherited, without Active, says that the process before held Addresses, Routes and
	// Rules for this router, and that this one never did: they are not wanted, and go now,
	// as far as they are ours.
	Inherited bool
	// Final says the router goes away: after this wish it is forgotten, and its
	// macvlan is removed.
	Final bool
}

// Applied answers a Wanted, with the same term, when the kernel is so.
type Applied struct {
	Router RouterID
	Term   uint64
	// Held repeats Wanted.Active.
	Held bool
	// Took is from the wish to the kernel's last answer.
	Took time.Duration
	// Err is empty, or what could not be done, all of it.
	Err string
	// NoVirtualMAC is empty, or why there is no macvlan: without it the router
	// cannot serve at all.
	NoVirtualMAC string
	// Note is empty, or what people should know although nothing failed ("… was
	// there already and is not ours", "the ledger could not be written").
	Note string
}

// Restored tells that somebody removed something wanted and it is back.
type Restored struct {
	Router RouterID
	// Address is what was removed, if it was an address.
	Address netip.Prefix
	// What names anything else: "route 0.0.0.0/0 via 192.0.2.1", "rule 100",
	// "macvlan vr4.61.3".
	What string
	// Culprit is what is known of who removed it ("NetworkManager (pid 812)").
	Culprit string
	// Took is from the kernel's notice of the removal to the address being back.
	Took time.Duration
	// Err is empty, or why it could not be put back.
	Err string
}

// LinkChanged is the whole state of one interface, as a level: every message
// replaces the one before. It is sent for every watched name, also for missing
// ones: first when the watch begins and then on each change.
type LinkChanged struct {
	Name string
	// Index is 0 when the interface does not exist.
	Index int
	// Up means administratively up with carrier.
	Up bool
	// Detail says why it is not up ("no carrier", "administratively down").
	Detail string
	// MAC is the link-layer address, zero where there is none.
	MAC [6]byte
	// MTU in bytes.
	MTU int
	// Addresses in the kernel's order.
	Addresses []LinkAddress
	// Failovers counts the times the link itself asked for its neighbours to be
	// told anew: a bond that changed its active port (NETDEV_BONDING_FAILOVER,
	// NETDEV_NOTIFY_PEERS).
	Failovers uint64
}

// LinkAddress is one address of an interface.
type LinkAddress struct {
	Prefix netip.Prefix
	// Tentative: duplicate address detection has not finished, or has failed;
	// the address cannot be sent from.
	Tentative bool
	// Secondary is the kernel's IFA_F_SECONDARY.
	Secondary bool
	// Left: an earlier process of ours had put it there, and it has been there since.
	Left bool
}

// AnnounceSpec is the schedule of gratuitous ARP and unsolicited NA after a
// transition to Active.
type AnnounceSpec struct {
	// Repeat is how many rounds follow the first one, Delay apart.
	Repeat int
	Delay  time.Duration
	// Refresh is the period of the slow re-announcement while Active; 0 switches it off.
	Refresh time.Duration
}

// Announcement is a schedule for one router's addresses.
type Announcement struct {
	Router RouterID
	Term   uint64
	// Targets are the addresses by interface, in the order in which they go out.
	Targets []AnnounceTarget
	// Schedule gives the rounds after the first, which goes out at once.
	Schedule AnnounceSpec
	// Once says to send a single round now and to leave a running schedule as it is.
	Once bool
}

// AnnounceTarget is addresses to be announced on one interface with one MAC.
type AnnounceTarget struct {
	// Link is the interface index: with a virtual MAC the parent's, from which
	// the frames leave complete.
	Link int
	// MAC is frame source and announced address.
	MAC       [6]byte
	Addresses []netip.Addr
}

// Claimed tells that somebody else claims an address that is being announced:
// an ARP packet or Neighbor Advertisement that came from the network.
type Claimed struct {
	Router  RouterID
	Term    uint64
	Link    int
	Address netip.Addr
	// MAC is the claimed link-layer address, Source the frame's source.
	MAC, Source [6]byte
}

// RouterAdvertSpec is the content and pace of Router Advertisements (RFC 4861
// section 4.2, 6.2.1). All hosts of a virtual router must say the same (RFC
// 9568 8.2.3).
type RouterAdvertSpec struct {
	// On: they are sent while the router is Active.
	On bool
	// Interval is MaxRtrAdvInterval, 4 s–1800 s; the least is a third of it.
	Interval time.Duration
	// Lifetime is Router Lifetime, up to 9000 s; 0 says "not a default router".
	Lifetime time.Duration
	// Managed and Other are the M and O flags.
	Managed, Other bool
	// Preference is the default router preference (RFC 4191): "low", "medium" or "high".
	Preference string
	// HopLimit is Cur Hop Limit; 0 leaves it unspecified.
	HopLimit uint8
	// MTU option; 0 leaves it out.
	MTU uint32
	// Prefixes to advertise as on-link and for address autoconfiguration (/64 only).
	Prefixes []netip.Prefix
	// DNS are recursive servers (RFC 8106).
	DNS []netip.Addr
}

// RouterAdvert asks for one router's Router Advertisements.
type RouterAdvert struct {
	Router RouterID
	Term   uint64
	// Link is the interface index, of the parent with a virtual MAC.
	Link int
	// MAC is frame source and source link-layer option.
	MAC [6]byte
	// Source is the virtual link-local address.
	Source netip.Addr
	Spec   RouterAdvertSpec
}

// Announced tells that the first round of an announcement is out.
type Announced struct {
	Router RouterID
	Term   uint64
	// ARP and NA are the frames of that round.
	ARP, NA int
	Took    time.Duration
	Err     string
}

// HookJob is one run of a hook.
type HookJob struct {
	Router RouterID
	Job    uint64
	Spec   HookSpec
	// Env are the documented variables (BACKBEAT_…), sorted; Stdin is the JSON object.
	Env   []string
	Stdin []byte
}

// HookDone answers a HookJob.
type HookDone struct {
	Router RouterID
	Job    uint64
	Took   time.Duration
	// Exit is the exit status, or -1 if it did not exit by itself.
	Exit int
	// Err is empty for exit status 0, else a sentence ("exit status 3",
	// "timed out after 10s", "/x: permission denied for user backbeat").
	Err string
	// Output is the bounded tail of its output.
	Output string
}
