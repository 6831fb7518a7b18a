package vrrp

import (
	"fmt"
	"math"
	"net/netip"
	"time"
)

// Protocol constants.
const (
	// Version3 is VRRPv3 (RFC 9568), for IPv4 and IPv6.
	Version3 = 3
	// Version2 is VRRPv2 (RFC 3768), for IPv4 alone.
	Version2 = 2
	// TypeAdvertisement is the only packet type there is (section 5.2.2).
	TypeAdvertisement = 1
	// ProtocolNumber is the IP protocol and next header of VRRP (5.1.1.4, 5.1.2.4).
	ProtocolNumber = 112
	// HopLimit is the TTL and hop limit that must be sent and that a receiver
	// must insist on (5.1.1.3, 5.1.2.3).
	HopLimit = 255
	// TrafficClass is DSCP CS6, which every implementation uses though no RFC asks for it.
	TrafficClass = 0xC0
	// MaxAddresses is the most addresses one advertisement can carry (5.2.5).
	MaxAddresses = 255
	// PriorityOwner is the priority of the address owner, and of nobody else (5.2.4).
	PriorityOwner = 255
	// PriorityStop in an advertisement says that the Active is giving up (5.2.4).
	PriorityStop = 0
	// DefaultPriority is the default for a router that is not the owner (5.2.4).
	DefaultPriority = 100
)

// The range of Max Advertise Interval: 12 bits of centiseconds, zero forbidden
// (section 5.2.7, erratum 8301).
const (
	MinInterval     = 10 * time.Millisecond
	MaxInterval     = 4095 * 10 * time.Millisecond
	DefaultInterval = time.Second
	// MaxInterval2 is the longest Adver Int of Version2, eight bits of seconds
	// (RFC 3768 5.3.7).
	MaxInterval2 = 255 * time.Second
	// IntervalUnit is the resolution of intervals on the wire.
	IntervalUnit = 10 * time.Millisecond
)

// Never is the instant that does not come.
const Never = time.Duration(math.MaxInt64)

// Family is an address family. The same VRID on both families makes two
// independent virtual routers.
type Family uint8

// The two families.
const (
	IPv4 Family = 4
	IPv6 Family = 6
)

// FamilyOf returns the family of an address. A 4-in-6 address counts as IPv6;
// the configuration never lets one through.
func FamilyOf(a netip.Addr) Family {
	if a.Is4() {
		return IPv4
	}
	return IPv6
}

// String returns "ipv4" or "ipv6".
func (f Family) String() string {
	switch f {
	case IPv4:
		return "ipv4"
	case IPv6:
		return "ipv6"
	default:
		return fmt.Sprintf("Family(%d)", uint8(f))
	}
}

// AddressSize returns the bytes of one address on the wire: 4 or 16.
func (f Family) AddressSize() int {
	if f == IPv4 {
		return 4
	}
	return 16
}

// Group returns the multicast address advertisements go to (5.1.1.2, 5.1.2.2).
func (f Family) Group() netip.Addr {
	if f == IPv4 {
		return netip.AddrFrom4([4]byte{224, 0, 0, 18})
	}
	return netip.AddrFrom16([16]byte{0: 0xff, 1: 0x02, 15: 0x12})
}

// State is one of the three states of section 6.4. A fault is not a fourth
// state: it is Initialize with a reason.
type State uint8

// The states.
const (
	Initialize State = iota
	Backup
	Active
)

// String returns the state's name in the words of the YANG model's revision:
// "initialize", "backup", "active".
func (s State) String() string {
	switch s {
	case Initialize:
		return "initialize"
	case Backup:
		return "backup"
	case Active:
		return "active"
	default:
		return fmt.Sprintf("State(%d)", uint8(s))
	}
}

// SkewTime returns Skew_Time for a priority and the Active's interval
// (section 6.1), in exact nanoseconds: rounding to centiseconds would give
// priorities 231–255 the same skew at short intervals.
func SkewTime(interval time.Duration, priority uint8) time.Duration {
	return interval * time.Duration(256-int(priority)) / 256
}

// ActiveDownInterval returns Active_Down_Interval: three of the Active's
// intervals and Skew_Time (section 6.1).
func ActiveDownInterval(interval time.Duration, priority uint8) time.Duration {
	return 3*interval + SkewTime(interval, priority)
}

// ChecksumForm says which bytes a checksum covers.
type ChecksumForm uint8

// The forms. IPv6 knows only WithPseudoHeader; for IPv4 RFC 9568 settled on
// MessageOnly, while RFC 5798 read literally, and keepalived and FRR to this
// day, include the pseudo-header.
const (
	FormUnknown ChecksumForm = iota
	MessageOnly
	WithPseudoHeader
)

// String returns the name the configuration uses for the form.
func (f ChecksumForm) String() string {
	switch f {
	case MessageOnly:
		return "rfc9568"
	case WithPseudoHeader:
		return "rfc5798"
	default:
		return "unknown"
	}
}

// ChecksumPolicy says which form to send for IPv4. Both forms are always
// accepted: a mismatch would be a silent split brain.
type ChecksumPolicy uint8

// The policies.
const (
	// ChecksumAuto sends MessageOnly until a valid advertisement in the other
	// form arrives, then mirrors the form heard last.
	ChecksumAuto ChecksumPolicy = iota
	// ChecksumRFC9568 always sends MessageOnly.
	ChecksumRFC9568
	// ChecksumRFC5798 always sends WithPseudoHeader.
	ChecksumRFC5798
)

// String returns "auto", "rfc9568" or "rfc5798".
func (p ChecksumPolicy) String() string {
	switch p {
	case ChecksumRFC9568:
		return "rfc9568"
	case ChecksumRFC5798:
		return "rfc5798"
	default:
		return "auto"
	}
}

// Peer is one of the other hosts of a unicast virtual router.
type Peer struct {
	Addr netip.Addr
	// MinTTL is the least TTL or hop limit believed from it, 1–255; 0 means 255. Anything
	// below 255 gives up the proof that the sender is on the same link, which
	// is for routed peers only.
	MinTTL uint8
}

// Secret is the eight bytes of VRRPv2's simple text authentication (RFC 2338
// 5.3.6), zero padded; the zero Secret is none. It goes over the wire in clear
// and never anywhere else: it prints as "(set)".
type Secret [8]byte

// String does not tell.
func (s Secret) String() string {
	if s == (Secret{}) {
		return "(none)"
	}
	return "(set)"
}

// GoString does not tell either.
func (s Secret) GoString() string { return s.String() }

// MarshalText keeps it out of JSON as well.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Spec is the configuration of one virtual router, as far as the election is
// concerned. It is a value: a Router keeps its own copy, and the slices must
// not be changed after they were handed over.
type Spec struct {
	// Version is Version3 or Version2; 0 means Version3.
	Version uint8
	// VRID is 1–255.
	VRID uint8
	// Family is the family that elects.
	Family Family
	// Priority is 1–254, or PriorityOwner for the owner of the addresses.
	Priority uint8
	// Interval is Advertisement_Interval: MinInterval–MaxInterval in steps of
	// IntervalUnit; whole seconds from 1 to 255 for Version2.
	Interval time.Duration
	// Preempt is Preempt_Mode; the owner preempts whatever it says (6.1).
	Preempt bool
	// PreemptDelay is how long a live Active of lower priority is left alone
	// before it is preempted (the YANG model's preempt/hold-time). Zero means
	// that the Active_Down_Timer decides, as in the RFC.
	PreemptDelay time.Duration
	// Addresses are the advertised addresses in configured order, all of
	// Family, at most MaxAddresses; for IPv6 the first is link-local (5.2.9).
	Addresses []netip.Addr
	// Checksum is the form to send (IPv4 with Version3 only).
	Checksum ChecksumPolicy

	// Group is the multicast group; the zero Addr means Family.Group(). It is
	// not used when there are Peers.
	Group netip.Addr
	// Peers makes the router unicast: one copy to each, and only they are believed.
	Peers []Peer
	// TTL of what is sent to Peers; 0 means HopLimit. To a group it is always HopLimit.
	TTL uint8
	// Secret is the simple text password (Version2 only, for migration).
	Secret Secret

	// AnswerLower: as Active, answer an advertisement of lower priority at once
	// (RFC 9568 6.4.3; RFC 3768 discards it silently).
	AnswerLower bool
	// Farewell: losing to a better Active, advertise once more, so that it
	// learns of us and announces the addresses again.
	Farewell bool
	// VerifyAddresses (Version2 only): drop advertisements with other addresses
	// than ours, unless from the owner (RFC 3768 7.1). Without it they are
	// believed and told about, as in version 3.
	VerifyAddresses bool
	// AcceptGlobalFirst believes IPv6 advertisements whose first address is not
	// link-local, which erratum 8300 forbids and FRR's vrrpd sends.
	AcceptGlobalFirst bool

	// Settle is how long the link must have been usable before the router
	// starts to take part: spanning tree, a network card that trains.
	Settle time.Duration
	// LinkDownDelay is how long a lost link is waited for before the router
	// leaves. It must be below two intervals.
	LinkDownDelay time.Duration
	// Grouped: a Group decides with the other members when to become Active.
	Grouped bool
	// YieldsToHealth: a Backup that does not preempt takes over from an Active in the degraded band
	YieldsToHealth bool
}

// DegradedMax is the top of the band 1–DegradedMax of priorities that say "I
// serve because nobody healthy does", among routers that know checks.
const DegradedMax = 50

// V returns the version, which is 3 unless Version says 2.
func (s *Spec) V() uint8 {
	if s.Version == Version2 {
		return Version2
	}
	return Version3
}

// Unicast reports whether advertisements go to named peers.
func (s *Spec) Unicast() bool { return len(s.Peers) > 0 }

// MulticastGroup returns the group in use; invalid for a unicast router.
func (s *Spec) MulticastGroup() netip.Addr {
	switch {
	case s.Unicast():
		return netip.Addr{}
	case s.Group.IsValid():
		return s.Group
	default:
		return s.Family.Group()
	}
}

// VirtualMAC returns the virtual router MAC address (section 7.3).
func VirtualMAC(f Family, vrid uint8) [6]byte {
	if f == IPv6 {
		return [6]byte{0x00, 0x00, 0x5e, 0x00, 0x02, vrid}
	}
	return [6]byte{0x00, 0x00, 0x5e, 0x00, 0x01, vrid}
}
