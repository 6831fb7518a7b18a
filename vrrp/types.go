package vrrp

import (
	"fmt"
	"math"
	"net/netip"
	"time"
)

// Protocol constants.
const (
	// Version is the protocol version this package speaks (section 5.2.1).
	Version = 3
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

// Spec is the configuration of one virtual router, as far as the election is
// concerned. It is a value: a Router keeps its own copy, and the address slice
// must not be changed after it was handed over.
type Spec struct {
	// VRID is 1–255.
	VRID uint8
	// Family is the family that elects.
	Family Family
	// Priority is 1–254, or PriorityOwner for the owner of the addresses.
	Priority uint8
	// Interval is Advertisement_Interval: MinInterval–MaxInterval in steps of IntervalUnit.
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
	// Checksum is the form to send (IPv4 only).
	Checksum ChecksumPolicy
}
