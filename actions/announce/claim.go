package announce

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// claim is what a frame says about who has an address.
type claim struct {
	address netip.Addr
	// mac is the link-layer address it is said to be at, source the frame's source.
	mac, source [6]byte
}

// Sizes on the wire.
const (
	ethernetSize = 14
	arpSize      = 28 // Ethernet and IPv4 (RFC 826)
	ipv6Size     = 40
	naSize       = 24 // without options (RFC 4861 section 4.4)
	frameRoom    = 2048
)

// parseClaim reads an Ethernet frame with an ARP packet or a Neighbor
// Advertisement. It reports false for everything that claims nothing: other
// frames, malformed ones, and ARP probes, which ask and do not claim (RFC 5227
// section 1.1).
func parseClaim(frame []byte) (claim, bool) {
	if len(frame) < ethernetSize {
		return claim{}, false
	}
	c := claim{source: [6]byte(frame[6:12])}
	body := frame[ethernetSize:]
	ok := false
	switch binary.BigEndian.Uint16(frame[12:14]) {
	case unix.ETH_P_ARP:
		ok = c.parseARP(body)
	case unix.ETH_P_IPV6:
		ok = c.parseNA(body)
	}
	return c, ok
}

// parseARP takes the sender's addresses, which all neighbours believe, in
// requests as in replies.
func (c *claim) parseARP(b []byte) bool {
	if len(b) < arpSize ||
		binary.BigEndian.Uint16(b) != 1 || binary.BigEndian.Uint16(b[2:]) != unix.ETH_P_IP || b[4] != 6 || b[5] != 4 {
		return false
	}
	if operation := binary.BigEndian.Uint16(b[6:]); operation != 1 && operation != 2 {
		return false
	}
	c.mac = [6]byte(b[8:14])
	c.address = netip.AddrFrom4([4]byte(b[14:18]))
	return !c.address.IsUnspecified()
}

// parseNA takes the target of a Neighbor Advertisement that is valid by RFC 4861
// section 7.1.2; others every neighbour ignores. The link-layer address is the
// option's, or without one the frame's source. Extension headers are not looked
// behind: nobody sends any here.
func (c *claim) parseNA(b []byte) bool {
	if len(b) < ipv6Size+naSize || b[0]>>4 != 6 || b[6] != unix.IPPROTO_ICMPV6 || b[7] != 255 {
		return false
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length < naSize || length > len(b)-ipv6Size {
		return false
	}
	message := b[ipv6Size : ipv6Size+length]
	if message[0] != 136 || message[1] != 0 || !sound(b, message) {
		return false
	}
	c.address = netip.AddrFrom16([16]byte(message[8:24]))
	if c.address.IsMulticast() || c.address.IsUnspecified() || c.address.Is4In6() {
		return false
	}
	c.mac = c.source
	for options := message[naSize:]; len(options) > 0; {
		if len(options) < 8 || options[1] == 0 || int(options[1])*8 > len(options) {
			return false
		}
		if options[0] == 2 && options[1] == 1 { // target link-layer address of an Ethernet
			c.mac = [6]byte(options[2:8])
		}
		options = options[int(options[1])*8:]
	}
	return true
}

// sound verifies the checksum of an ICMPv6 message with the pseudo-header of
// its IPv6 header (RFC 8200 section 8.1).
func sound(header, message []byte) bool { return total(header, message) == 0xffff }

// total adds up the pseudo-header and the message as the checksum does.
func total(header, message []byte) uint16 {
	sum := uint32(len(message)) + unix.IPPROTO_ICMPV6
	add := func(b []byte) {
		for ; len(b) > 1; b = b[2:] {
			sum += uint32(binary.BigEndian.Uint16(b))
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	add(header[8:ipv6Size])
	add(message)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// claimFilter is the kernel filter of a watching socket: ARP, and ICMPv6 type
// 136 (Neighbor Advertisement) directly behind the IPv6 header.
func claimFilter() []bpf.RawInstruction {
	prog, err := bpf.Assemble([]bpf.Instruction{
		// PACKET_OTHERHOST (3) is for others, PACKET_OUTGOING (4) is ours.
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 10},
		// A VLAN's frame passes its parent first, with the tag stripped.
		bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 8},
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_ARP, SkipTrue: 5},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IPV6, SkipTrue: 5},
		bpf.LoadAbsolute{Off: ethernetSize + 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_ICMPV6, SkipTrue: 3},
		bpf.LoadAbsolute{Off: ethernetSize + ipv6Size, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 136, SkipTrue: 1},
		bpf.RetConstant{Val: frameRoom},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		panic("announce: " + err.Error()) // constant program
	}
	return prog
}
