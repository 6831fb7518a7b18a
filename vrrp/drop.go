package vrrp

// Drop is why a packet was not believed. Every refusal has a name and a
// counter; the names are those of the YANG model where it has one. The order
// of the values is the order of the checks: a packet broken in several ways
// counts under the first.
type Drop uint8

// The drops.
const (
	// Accepted is no drop at all.
	Accepted Drop = iota
	// DropOwnLooped: our own advertisement came back.
	DropOwnLooped
	// DropIncomplete: no sane IP packet, a fragment, or fewer than 8 bytes of VRRP.
	DropIncomplete
	// DropModeMismatch: not sent to the multicast group.
	DropModeMismatch
	// DropTTL: TTL or hop limit is not 255, so it may come from another link.
	DropTTL
	// DropVersion: another protocol version.
	DropVersion
	// DropVRID: no such virtual router on this interface and family.
	DropVRID
	// DropType: not an advertisement.
	DropType
	// DropAddrCountZero: an advertisement without addresses (erratum 8299).
	DropAddrCountZero
	// DropLength: longer or shorter than its address count says.
	DropLength
	// DropChecksum: the checksum fits in no form.
	DropChecksum
	// DropIntervalZero: Max Advertise Interval is zero (erratum 8301).
	DropIntervalZero
	// DropNotLinkLocal: the first IPv6 address is not link-local (erratum 8300).
	DropNotLinkLocal
	// DropDuplicateSource: somebody else sends from our own address.
	DropDuplicateSource
	// DropNotReady: the router is in Initialize and listens to nobody (6.4.1).
	DropNotReady

	// NumDrops is the length of a table indexed by Drop.
	NumDrops
)

var dropNames = [NumDrops]string{
	Accepted:            "accepted",
	DropOwnLooped:       "own-adverts-looped",
	DropIncomplete:      "incomplete-packets",
	DropModeMismatch:    "mode-mismatch-errors",
	DropTTL:             "ip-ttl-errors",
	DropVersion:         "version-errors",
	DropVRID:            "vrid-errors",
	DropType:            "invalid-type-pkts-rcvd",
	DropAddrCountZero:   "addr-count-zero",
	DropLength:          "packet-length-errors",
	DropChecksum:        "checksum-errors",
	DropIntervalZero:    "interval-zero",
	DropNotLinkLocal:    "not-link-local-first",
	DropDuplicateSource: "duplicate-source",
	DropNotReady:        "initialize-ignored",
}

// String returns the counter's name.
func (d Drop) String() string {
	if d < NumDrops {
		return dropNames[d]
	}
	return "unknown-drop"
}

// Explain says in one sentence what the drop means and what to look at.
func (d Drop) Explain() string {
	switch d {
	case DropOwnLooped:
		return "our own advertisement came back: a switch or bridge reflects frames"
	case DropIncomplete:
		return "not a complete, unfragmented VRRP packet"
	case DropModeMismatch:
		return "sent to an address other than the VRRP group: the peer is configured for unicast"
	case DropTTL:
		return "TTL or hop limit is not 255: sent from another link, or a peer that does not set it"
	case DropVersion:
		return "another VRRP version: configure version 3 on the peer"
	case DropVRID:
		return "no virtual router with this VRID here: another group on the same link"
	case DropType:
		return "not an advertisement"
	case DropAddrCountZero:
		return "an advertisement without addresses"
	case DropLength:
		return "length does not fit the address count (28 bytes more would be keepalived's auth_hmac, which is not supported)"
	case DropChecksum:
		return "checksum wrong in both forms"
	case DropIntervalZero:
		return "advertised interval is zero"
	case DropNotLinkLocal:
		return "the first IPv6 address is not link-local (RFC 9568 erratum 8300): put fe80::… first on the peer"
	case DropDuplicateSource:
		return "another host sends from our own address: duplicate IP address on the link"
	case DropNotReady:
		return "this router is in Initialize"
	default:
		return d.String()
	}
}
