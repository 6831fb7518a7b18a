package vrrp

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// headerSize is the fixed part of an advertisement, before the addresses
// (section 5.1, figure 1).
const headerSize = 8

// authSize is the Authentication Data behind the addresses of version 2, which
// is there whatever the type (RFC 3768 5.3.10).
const authSize = len(Secret{})

// Authentication types of version 2 (RFC 2338 5.3.6; RFC 3768 keeps only the first).
const (
	AuthNone       = 0
	AuthSimpleText = 1
)

// Advert is one advertisement.
type Advert struct {
	// Version is Version2 or Version3.
	Version  uint8
	VRID     uint8
	Priority uint8
	// Interval is Max Advertise Interval, a multiple of IntervalUnit; in version
	// 2 Adver Int, whole seconds.
	Interval time.Duration
	// Addresses is in wire order. Decoding reuses its storage.
	Addresses []netip.Addr
	// Secret is the password to send (Version2 only); decoding leaves it alone.
	Secret Secret
}

// Append encodes the advertisement behind b and returns the longer slice.
// src and dst are the addresses of the IP packet that will carry it; they enter
// the checksum for IPv6 and for the WithPseudoHeader form. Append does not
// judge: it encodes priority 0 and intervals out of range (cut to their field) alike.
func (a *Advert) Append(b []byte, src, dst netip.Addr, form ChecksumForm) []byte {
	start := len(b)
	if a.Version == Version2 {
		auth := uint8(AuthNone)
		if a.Secret != (Secret{}) {
			auth = AuthSimpleText
		}
		b = append(b, Version2<<4|TypeAdvertisement, a.VRID, a.Priority, uint8(len(a.Addresses)),
			auth, uint8(a.Interval/time.Second), 0, 0)
	} else {
		cs := uint16(a.Interval/IntervalUnit) & 0x0fff
		b = append(b, Version3<<4|TypeAdvertisement, a.VRID, a.Priority, uint8(len(a.Addresses)),
			byte(cs>>8), byte(cs), 0, 0)
	}
	for _, addr := range a.Addresses {
		b = appendAddr(b, addr)
	}
	if a.Version == Version2 {
		b = append(b, a.Secret[:]...)
		form = MessageOnly // RFC 3768 5.3.8
	}
	msg := b[start:]
	sum := ^fold(sumBytes(pseudoSum(src, dst, len(msg), form), msg))
	binary.BigEndian.PutUint16(msg[6:], sum)
	return b
}

// appendAddr appends the 4 or 16 bytes of an address without a heap allocation.
func appendAddr(b []byte, a netip.Addr) []byte {
	if a.Is4() {
		v := a.As4()
		return append(b, v[:]...)
	}
	v := a.As16()
	return append(b, v[:]...)
}

// pseudoSum returns the unfolded sum of the pseudo-header (RFC 8200 section
// 8.1 for IPv6, RFC 793 style for IPv4), or 0 where the form has none.
func pseudoSum(src, dst netip.Addr, length int, form ChecksumForm) uint32 {
	if src.Is4() && form != WithPseudoHeader {
		return 0
	}
	var sum uint32
	if src.Is4() {
		s, d := src.As4(), dst.As4()
		sum = sumBytes(sumBytes(0, s[:]), d[:])
	} else {
		s, d := src.As16(), dst.As16()
		sum = sumBytes(sumBytes(0, s[:]), d[:])
	}
	return sum + ProtocolNumber + uint32(length)
}

// sumBytes adds b to a ones' complement sum (RFC 1071). A message is at most
// 4088 bytes, so 32 bits hold the carries.
func sumBytes(sum uint32, b []byte) uint32 {
	for len(b) >= 2 {
		sum += uint32(b[0])<<8 | uint32(b[1])
		b = b[2:]
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

func fold(sum uint32) uint16 {
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// checksumOK tests by summing the message with its checksum in place: 0x0000
// and 0xFFFF are the same number in ones' complement, so recomputing and
// comparing would refuse valid packets.
func checksumOK(msg []byte, src, dst netip.Addr, form ChecksumForm) bool {
	return fold(sumBytes(pseudoSum(src, dst, len(msg), form), msg)) == 0xffff
}

// Datagram is one received IP packet after the carrier's checks. Message
// aliases the receive buffer and is valid until the buffer is used again.
type Datagram struct {
	Family   Family
	Src, Dst netip.Addr
	// TTL is the TTL or hop limit it arrived with.
	TTL uint8
	// Message is the VRRP message, cut at the IP length: Ethernet pads short frames.
	Message []byte
	// VRID is byte 1 of the message, for finding the router.
	VRID uint8
}

// ParseIP checks an IP packet (from its IP header on) by the rows of the
// validation order that need no router (1, 3 for multicast, 4, 5) and fills d.
// It allocates nothing. The family comes from the socket, not from the packet.
func ParseIP(family Family, b []byte, d *Datagram) Drop {
	*d = Datagram{Family: family} // nothing of the packet before
	if family == IPv4 {
		if len(b) < 20 || b[0]>>4 != 4 {
			return DropIncomplete
		}
		ihl, total := int(b[0]&0x0f)*4, int(binary.BigEndian.Uint16(b[2:]))
		// 0x3fff: the fragment offset and the more-fragments bit.
		if ihl < 20 || total < ihl || total > len(b) || binary.BigEndian.Uint16(b[6:])&0x3fff != 0 || b[9] != ProtocolNumber {
			return DropIncomplete
		}
		d.TTL = b[8]
		d.Src, d.Dst = netip.AddrFrom4([4]byte(b[12:16])), netip.AddrFrom4([4]byte(b[16:20]))
		d.Message = b[ihl:total]
	} else {
		if len(b) < 40 || b[0]>>4 != 6 {
			return DropIncomplete
		}
		length := int(binary.BigEndian.Uint16(b[4:]))
		if length > len(b)-40 || b[6] != ProtocolNumber {
			return DropIncomplete
		}
		d.TTL = b[7]
		d.Src, d.Dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		d.Message = b[40 : 40+length]
	}
	switch {
	case d.TTL != HopLimit && d.Dst.IsMulticast():
		return DropTTL
	case len(d.Message) < headerSize:
		return DropIncomplete
	}
	if v := d.Message[0] >> 4; v != Version3 && (v != Version2 || family != IPv4) {
		return DropVersion
	}
	d.VRID = d.Message[1]
	return Accepted
}

// Addressed reports whether a datagram came the way a router listens: to its
// multicast group, or, where it has peers, to the host itself.
func Addressed(d *Datagram, s *Spec) bool {
	if s.Unicast() {
		return !d.Dst.IsMulticast()
	}
	return d.Dst == s.MulticastGroup()
}

// Validate decodes the message of a datagram whose VRID has been found on the
// receiving interface (row 6), by the remaining rows of the validation order as
// the router's spec asks for them, and returns the checksum form it carried. It
// allocates only while a.Addresses grows. What must not drop, the rest of rows
// 15, 17 and 18, is the Router's.
func Validate(d *Datagram, s *Spec, a *Advert) (ChecksumForm, Drop) {
	msg := d.Message
	count := int(msg[3])
	want := headerSize + count*d.Family.AddressSize()
	if s.V() == Version2 {
		want += authSize
	}
	switch {
	case !Addressed(d, s):
		return FormUnknown, DropModeMismatch
	case s.Unicast() && d.TTL < s.minTTL(d.Src):
		return FormUnknown, DropTTL
	case msg[0]>>4 != s.V():
		return FormUnknown, DropVersion
	case msg[0]&0x0f != TypeAdvertisement:
		return FormUnknown, DropType
	case count == 0:
		return FormUnknown, DropAddrCountZero
	case len(msg) != want:
		return FormUnknown, DropLength
	}
	form := WithPseudoHeader
	if d.Family == IPv4 && checksumOK(msg, d.Src, d.Dst, MessageOnly) {
		form = MessageOnly
	} else if s.V() == Version2 || !checksumOK(msg, d.Src, d.Dst, WithPseudoHeader) {
		return FormUnknown, DropChecksum
	}
	if s.Unicast() && !s.HasPeer(d.Src) {
		return FormUnknown, DropPeerSource
	}
	drop := s.fields(msg, a)
	if drop != Accepted {
		return FormUnknown, drop
	}
	a.Addresses = a.Addresses[:0]
	for b := msg[headerSize : headerSize+count*d.Family.AddressSize()]; len(b) > 0; b = b[d.Family.AddressSize():] {
		if d.Family == IPv4 {
			a.Addresses = append(a.Addresses, netip.AddrFrom4([4]byte(b)))
		} else {
			a.Addresses = append(a.Addresses, netip.AddrFrom16([16]byte(b)))
		}
	}
	switch {
	case d.Family == IPv6 && !a.Addresses[0].IsLinkLocalUnicast() && !s.AcceptGlobalFirst:
		return FormUnknown, DropNotLinkLocal
	case s.V() != Version2:
	case s.VerifyAddresses && a.Priority != PriorityOwner && !sameSet(a.Addresses, s.Addresses):
		return FormUnknown, DropAddressList
	case s.Priority == PriorityOwner:
		return FormUnknown, DropOwner
	}
	return form, Accepted
}

// fields reads what lies before the addresses and judges interval and
// authentication (rows 13, 14).
func (s *Spec) fields(msg []byte, a *Advert) Drop {
	a.Version, a.VRID, a.Priority = s.V(), msg[1], msg[2]
	if s.V() == Version2 {
		a.Interval = time.Duration(msg[5]) * time.Second
		if drop := s.authentic(msg); drop != Accepted {
			return drop
		}
		if a.Interval != s.Interval {
			return DropInterval
		}
		return Accepted
	}
	// The upper nibble is Reserve and ignored (5.2.6).
	cs := binary.BigEndian.Uint16(msg[4:]) & 0x0fff
	if cs == 0 {
		return DropIntervalZero
	}
	a.Interval = time.Duration(cs) * IntervalUnit
	return Accepted
}

// authentic compares type and password with what is configured (RFC 3768 7.1;
// RFC 2338 10.1 for the password). Data of type 0 is ignored (5.3.10).
func (s *Spec) authentic(msg []byte) Drop {
	want := uint8(AuthNone)
	if s.Secret != (Secret{}) {
		want = AuthSimpleText
	}
	switch {
	case msg[4] > AuthSimpleText:
		return DropAuthType
	case msg[4] != want:
		return DropAuthMismatch
	case want == AuthSimpleText && subtle(msg[len(msg)-authSize:], s.Secret):
		return DropAuthFailure
	}
	return Accepted
}

// subtle reports a difference, taking the same time wherever it is.
func subtle(got []byte, want Secret) bool {
	var diff byte
	for i := range want {
		diff |= got[i] ^ want[i]
	}
	return diff != 0
}

// HasPeer reports whether an address is one of the peers.
func (s *Spec) HasPeer(a netip.Addr) bool {
	for i := range s.Peers {
		if s.Peers[i].Addr == a {
			return true
		}
	}
	return false
}

// minTTL is what a peer's packets must at least have; that of a stranger is
// judged like that of the least trusted peer, so that it is told as a stranger.
func (s *Spec) minTTL(a netip.Addr) uint8 {
	least := uint8(HopLimit)
	for i := range s.Peers {
		if s.Peers[i].Addr == a {
			return s.Peers[i].least()
		}
		least = min(least, s.Peers[i].least())
	}
	return least
}

// least is MinTTL; a Peer that does not say gives nothing up.
func (p *Peer) least() uint8 {
	if p.MinTTL == 0 {
		return HopLimit
	}
	return p.MinTTL
}
