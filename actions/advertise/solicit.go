package advertise

import (
	"encoding/binary"
	"net/netip"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Sizes on the wire.
const (
	ethernetSize     = 14
	ipv6Size         = 40
	solicitationSize = 8 // without options (RFC 4861 section 4.1)
	frameRoom        = 2048
)

// solicitation reports whether an Ethernet frame is a Router Solicitation that
// is valid by RFC 4861 section 6.1.1. Extension headers are not looked behind:
// no host sends any here.
func solicitation(frame []byte) bool {
	if len(frame) < ethernetSize+ipv6Size+solicitationSize || binary.BigEndian.Uint16(frame[12:]) != unix.ETH_P_IPV6 {
		return false
	}
	ip := frame[ethernetSize:]
	length := int(binary.BigEndian.Uint16(ip[4:]))
	if ip[0]>>4 != 6 || ip[6] != unix.IPPROTO_ICMPV6 || ip[7] != 255 ||
		length < solicitationSize || length > len(ip)-ipv6Size {
		return false
	}
	message := ip[ipv6Size : ipv6Size+length]
	if message[0] != 133 || message[1] != 0 || !sound(ip, message) {
		return false
	}
	source := netip.AddrFrom16([16]byte(ip[8:24]))
	for options := message[solicitationSize:]; len(options) > 0; {
		if len(options) < 8 || options[1] == 0 || int(options[1])*8 > len(options) {
			return false
		}
		if options[0] == 1 && source.IsUnspecified() { // source link-layer address of nobody
			return false
		}
		options = options[int(options[1])*8:]
	}
	return !source.IsMulticast()
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

// solicitFilter is the kernel filter of a receive socket: ICMPv6 type 133
// (Router Solicitation) directly behind the IPv6 header.
func solicitFilter() []bpf.RawInstruction {
	prog, err := bpf.Assemble([]bpf.Instruction{
		// PACKET_OTHERHOST (3) is for others, PACKET_OUTGOING (4) is ours.
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 9},
		// A VLAN's frame passes its parent first, with the tag stripped.
		bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 7},
		bpf.LoadAbsolute{Off: 12, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IPV6, SkipTrue: 5},
		bpf.LoadAbsolute{Off: ethernetSize + 6, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_ICMPV6, SkipTrue: 3},
		bpf.LoadAbsolute{Off: ethernetSize + ipv6Size, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 133, SkipTrue: 1},
		bpf.RetConstant{Val: frameRoom},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		panic("advertise: " + err.Error()) // constant program
	}
	return prog
}
