package vrrp

import (
	"encoding/binary"
	"net/netip"
	"time"
)

// headerSize is the fixed part of an advertisement, before the addresses
// (section 5.1, figure 1).
const headerSize = 8

// Advert is one VRRPv3 advertisement.
type Advert struct {
	VRID     uint8
	Priority uint8
	// Interval is Max Advertise Interval, a multiple of IntervalUnit.
	Interval time.Duration
	// Addresses is in wire order. Decoding reuses its storage.
	Addresses []netip.Addr
}

// Append encodes the advertisement behind b and returns the longer slice.
// src and dst are the addresses of the IP packet that will carry it; they enter
// the checksum for IPv6 and for the WithPseudoHeader form. Append does not
// judge: it encodes priority 0 and intervals out of range (cut to 12 bits) alike.
func (a *Advert) Append(b []byte, src, dst netip.Addr, form ChecksumForm) []byte {
	start := len(b)
	cs := uint16(a.Interval/IntervalUnit) & 0x0fff
	b = append(b, Version3<<4|TypeAdvertisement, a.VRID, a.Priority, uint8(len(a.Addresses)),
		byte(cs>>8), byte(cs), 0, 0)
	for _, addr := range a.Addresses {
		b = appendAddr(b, addr)
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
	// Message is the VRRP message, cut at the IP length: Ethernet pads short frames.
	Message []byte
	// VRID is byte 1 of the message, for finding the router.
	VRID uint8
}

// ParseIP checks an IP packet (from its IP header on) by rows 1–5 of the
// validation order and fills d. It allocates nothing. The family comes from
// the socket, not from the packet.
func ParseIP(family Family, b []byte, d *Datagram) Drop {
	*d = Datagram{Family: family} // nothing of the packet before
	var ttl uint8
	if family == IPv4 {
		if len(b) < 20 || b[0]>>4 != 4 {
			return DropIncomplete
		}
		ihl, total := int(b[0]&0x0f)*4, int(binary.BigEndian.Uint16(b[2:]))
		// 0x3fff: the fragment offset and the more-fragments bit.
		if ihl < 20 || total < ihl || total > len(b) || binary.BigEndian.Uint16(b[6:])&0x3fff != 0 || b[9] != ProtocolNumber {
			return DropIncomplete
		}
		ttl = b[8]
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
		ttl = b[7]
		d.Src, d.Dst = netip.AddrFrom16([16]byte(b[8:24])), netip.AddrFrom16([16]byte(b[24:40]))
		d.Message = b[40 : 40+length]
	}
	switch {
	case d.Dst != family.Group():
		return DropModeMismatch
	case ttl != HopLimit:
		return DropTTL
	case len(d.Message) < headerSize:
		return DropIncomplete
	}
	if v := d.Message[0] >> 4; v != Version3 && (v != 2 || family != IPv4) {
		return DropVersion
	}
	d.VRID = d.Message[1]
	return Accepted
}

// Validate decodes the message of a datagram whose VRID has been found on the
// receiving interface (row 6), by rows 7–16 of the validation order, and
// returns the checksum form it carried. It allocates only while a.Addresses
// grows. Rows 15, 17 and 18 (differences that must not drop) are the Router's.
func Validate(d *Datagram, a *Advert) (ChecksumForm, Drop) {
	msg := d.Message
	count := int(msg[3])
	switch {
	case msg[0]>>4 != Version3:
		return FormUnknown, DropVersion
	case msg[0]&0x0f != TypeAdvertisement:
		return FormUnknown, DropType
	case count == 0:
		return FormUnknown, DropAddrCountZero
	case len(msg) != headerSize+count*d.Family.AddressSize():
		return FormUnknown, DropLength
	}
	form := WithPseudoHeader
	if d.Family == IPv4 && checksumOK(msg, d.Src, d.Dst, MessageOnly) {
		form = MessageOnly
	} else if !checksumOK(msg, d.Src, d.Dst, WithPseudoHeader) {
		return FormUnknown, DropChecksum
	}
	// The upper nibble is Reserve and ignored (5.2.6).
	cs := binary.BigEndian.Uint16(msg[4:]) & 0x0fff
	if cs == 0 {
		return FormUnknown, DropIntervalZero
	}
	a.VRID, a.Priority, a.Interval = msg[1], msg[2], time.Duration(cs)*IntervalUnit
	a.Addresses = a.Addresses[:0]
	for b := msg[headerSize:]; len(b) > 0; b = b[d.Family.AddressSize():] {
		if d.Family == IPv4 {
			a.Addresses = append(a.Addresses, netip.AddrFrom4([4]byte(b)))
		} else {
			a.Addresses = append(a.Addresses, netip.AddrFrom16([16]byte(b)))
		}
	}
	if d.Family == IPv6 && !a.Addresses[0].IsLinkLocalUnicast() {
		return FormUnknown, DropNotLinkLocal
	}
	return form, Accepted
}
