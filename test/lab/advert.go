package lab

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"
)

// protocol is VRRP's IP protocol number and next header.
const protocol = 112

// Form is which bytes a checksum was found to cover.
type Form string

// The forms.
const (
	MessageOnly Form = "message"
	WithPseudo  Form = "pseudo-header"
	BadSum      Form = "bad"
)

// Advert is a VRRP message as the lab decodes it. It shares no code with
// package vrrp, so that a mistake there is not repeated here.
type Advert struct {
	Version, Type  uint8
	VRID, Priority uint8
	Count          uint8
	// Reserve is the nibble before the interval, AuthType what version 2 has in its place.
	Reserve   uint8
	AuthType  uint8
	Interval  time.Duration
	Checksum  uint16
	Form      Form
	Addresses []netip.Addr
	// Length is that of the whole message in bytes.
	Length int
}

// parseAdvert decodes a message of either IP version. It insists on a length
// that fits the count, since otherwise the addresses mean nothing.
func parseAdvert(src, dst netip.Addr, b []byte) (*Advert, error) {
	if len(b) < 8 {
		return nil, fmt.Errorf("%d bytes are too few for VRRP", len(b))
	}
	a := &Advert{
		Version: b[0] >> 4, Type: b[0] & 15, VRID: b[1], Priority: b[2], Count: b[3],
		Reserve:  b[4] >> 4,
		Interval: time.Duration(binary.BigEndian.Uint16(b[4:])&0x0fff) * 10 * time.Millisecond,
		Checksum: binary.BigEndian.Uint16(b[6:]), Length: len(b),
	}
	a.Form = formOf(src, dst, b)
	size := 4
	if src.Is6() {
		size = 16
	}
	auth := 0
	if a.Version == 2 { // RFC 3768 5.1: authentication type, whole seconds, eight bytes behind the addresses
		a.Reserve, a.AuthType, a.Interval, auth = 0, b[4], time.Duration(b[5])*time.Second, 8
	}
	end := 8 + int(a.Count)*size
	if len(b) != end+auth {
		return nil, fmt.Errorf("%d bytes do not fit %d addresses", len(b), a.Count)
	}
	for rest := b[8:end]; len(rest) > 0; rest = rest[size:] {
		addr, _ := netip.AddrFromSlice(rest[:size])
		a.Addresses = append(a.Addresses, addr)
	}
	return a, nil
}

// formOf sums the message with and without the pseudo-header (RFC 9568 5.2.8,
// RFC 5798 5.2.8); the sum over a good message is 0xffff.
func formOf(src, dst netip.Addr, b []byte) Form {
	switch uint16(0xffff) {
	case sum(pseudoSum(src, dst, len(b)), b):
		return WithPseudo
	case sum(0, b):
		return MessageOnly
	default:
		return BadSum
	}
}

// pseudoSum is the sum of the pseudo-header of a message of n bytes.
func pseudoSum(src, dst netip.Addr, n int) uint16 {
	pseudo := append(src.AsSlice(), dst.AsSlice()...)
	if src.Is6() {
		return sum(0, append(binary.BigEndian.AppendUint32(pseudo, uint32(n)), 0, 0, 0, protocol))
	}
	return sum(0, binary.BigEndian.AppendUint16(append(pseudo, 0, protocol), uint16(n)))
}

// sum is the ones' complement sum of RFC 1071, added to an earlier one.
func sum(start uint16, b []byte) uint16 {
	s := uint32(start)
	for ; len(b) > 1; b = b[2:] {
		s += uint32(b[0])<<8 | uint32(b[1])
	}
	if len(b) == 1 {
		s += uint32(b[0]) << 8
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

// Encode makes a message whose checksum has the form; the lab uses it to play
// peers that the real programs would never be. Count is that of Addresses.
func (a Advert) Encode(src, dst netip.Addr, form Form) []byte {
	b := []byte{a.Version<<4 | a.Type, a.VRID, a.Priority, uint8(len(a.Addresses)), 0, 0, 0, 0}
	binary.BigEndian.PutUint16(b[4:], uint16(a.Reserve)<<12|uint16(a.Interval/(10*time.Millisecond)))
	for _, addr := range a.Addresses {
		b = append(b, addr.AsSlice()...)
	}
	start := uint16(0)
	if form == WithPseudo {
		start = pseudoSum(src, dst, len(b))
	}
	check := ^sum(start, b)
	if form == BadSum {
		check ^= 1
	}
	binary.BigEndian.PutUint16(b[6:], check)
	return b
}
