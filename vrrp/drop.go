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
	// DropModeMismatch: sent to a group where we have peers, to us where we have
	// a group, or to another group.
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
	// DropPeerSource: a unicast router heard somebody who is no peer.
	DropPeerSource
	// DropAuthType: an authentication type of version 2 that is not supported.
	DropAuthType
	// DropAuthMismatch: one side uses a password and the other does not.
	DropAuthMismatch
	// DropAuthFailure: another password.
	DropAuthFailure
	// DropInterval: version 2 with another interval than ours (RFC 3768 7.1).
	DropInterval
	// DropIntervalZero: Max Advertise Interval is zero (erratum 8301).
	DropIntervalZero
	// DropNotLinkLocal: the first IPv6 address is not link-local (erratum 8300).
	DropNotLinkLocal
	// DropAddressList: version 2 with other addresses than ours, where that is verified.
	DropAddressList
	// DropOwner: version 2, and we own the addresses (RFC 3768 7.1).
	DropOwner
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
	DropPeerSource:      "peer-source-errors",
	DropAuthType:        "invalid-auth-type",
	DropAuthMismatch:    "auth-type-mismatch",
	DropAuthFailure:     "auth-failures",
	DropInterval:        "interval-refused",
	DropIntervalZero:    "interval-zero",
	DropNotLinkLocal:    "not-link-local-first",
	DropAddressList:     "address-list-refused",
	DropOwner:           "owner-ignored",
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
		return "sent another way than we listen: one side is configured for unicast peers and the other for multicast, or for another group"
	case DropTTL:
		return "TTL or hop limit is not 255: sent from another link, or a peer that does not set it"
	case DropVersion:
		return "another VRRP version: both sides are Active until they have the same one"
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
	case DropPeerSource:
		return "the sender is not one of the peers: add it to peers, or find out who it is"
	case DropAuthType:
		return "an authentication type that is not supported (IPsec AH or a vendor's): both sides are Active until the peer goes without"
	case DropAuthMismatch:
		return "one side uses authentication and the other does not: both sides are Active until they agree"
	case DropAuthFailure:
		return "another password: both sides are Active until they have the same one"
	case DropInterval:
		return "another interval, which version 2 forbids (RFC 3768 7.1): both sides are Active until they have the same one"
	case DropAddressList:
		return "other addresses than ours, and verify_addresses is on: both sides are Active until they have the same ones"
	case DropOwner:
		return "we own the addresses, and in version 2 an owner hears nobody (RFC 3768 7.1)"
	case DropIntervalZero:
		return "advertised interval is zero"
	case DropNotLinkLocal:
		return "the first IPv6 address is not link-local (RFC 9568 erratum 8300): put fe80::… first on the peer"
	case DropDuplicateSource:
		return "another host sends from our own address: duplicate IP address on the link"
	case DropNotReady:
		return "came while this router was in Initialize"
	default:
		return d.String()
	}
}
