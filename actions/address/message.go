package address

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
)

// addressMessage is what we read of RTM_NEWADDR and RTM_DELADDR (struct
// ifaddrmsg and its attributes, linux/if_addr.h).
type addressMessage struct {
	link   int
	prefix netip.Prefix
	flags  uint32
	proto  uint8 // IFA_PROTO, 0 where the kernel or the adder gives none
}

func (m addressMessage) place() place { return placeOf(m.link, m.prefix) }

// level is the address as LinkChanged shows it. An optimistic address (RFC
// 4429) is usable although detection has not finished, so it is not tentative.
func (m addressMessage) level() actions.LinkAddress {
	tentative := m.flags&unix.IFA_F_TENTATIVE != 0 && m.flags&unix.IFA_F_OPTIMISTIC == 0
	return actions.LinkAddress{
		Prefix:    m.prefix,
		Tentative: tentative || m.flags&unix.IFA_F_DADFAILED != 0,
		// The same bit means temporary (RFC 8981) for IPv6.
		Secondary: m.flags&unix.IFA_F_SECONDARY != 0 && m.prefix.Addr().Is4(),
	}
}

func parseAddress(b []byte) (addressMessage, error) {
	var m addressMessage
	if len(b) < unix.SizeofIfAddrmsg {
		return m, errors.New("reading an address notice: too short")
	}
	bits := int(b[1])
	m.flags = uint32(b[2])
	m.link = int(binary.NativeEndian.Uint32(b[4:]))
	attrs, err := netlink.NewAttributeDecoder(b[unix.SizeofIfAddrmsg:])
	if err != nil {
		return m, fmt.Errorf("reading an address notice: %w", err)
	}
	var local, address netip.Addr
	for attrs.Next() {
		switch attrs.Type() {
		case unix.IFA_ADDRESS:
			address, _ = netip.AddrFromSlice(attrs.Bytes())
		case unix.IFA_LOCAL: // on a point-to-point link IFA_ADDRESS is the peer
			local, _ = netip.AddrFromSlice(attrs.Bytes())
		case unix.IFA_FLAGS:
			m.flags = attrs.Uint32()
		case ifaProto:
			m.proto = attrs.Uint8()
		}
	}
	if err := attrs.Err(); err != nil {
		return m, fmt.Errorf("reading an address notice: %w", err)
	}
	if !local.IsValid() {
		local = address
	}
	m.prefix = netip.PrefixFrom(local, bits)
	if !m.prefix.IsValid() {
		return m, errors.New("reading an address notice: no valid address in it")
	}
	return m, nil
}

// linkMessage is what we read of RTM_NEWLINK and RTM_DELLINK (struct ifinfomsg).
type linkMessage struct {
	index     int
	flags     uint32
	name      string
	mac       [6]byte
	mtu       int
	operstate uint8
	event     uint32 // IFLA_EVENT: why this notice came, 0 if it does not say
}

// Values of IFLA_EVENT (linux/if_link.h, since 4.12).
const (
	eventBondingFailover = 3
	eventNotifyPeers     = 4
)

// movedNeighbours: the link asks for its neighbours to be told where it is.
func (m linkMessage) movedNeighbours() bool {
	return m.event == eventBondingFailover || m.event == eventNotifyPeers
}

// Operational states of RFC 2863 (linux/if.h, IF_OPER_*).
const (
	operUnknown = 0
	operDormant = 5
	operUp      = 6
)

func parseLink(b []byte) (linkMessage, error) {
	var m linkMessage
	if len(b) < unix.SizeofIfInfomsg {
		return m, errors.New("reading a link notice: too short")
	}
	m.index = int(int32(binary.NativeEndian.Uint32(b[4:])))
	m.flags = binary.NativeEndian.Uint32(b[8:])
	attrs, err := netlink.NewAttributeDecoder(b[unix.SizeofIfInfomsg:])
	if err != nil {
		return m, fmt.Errorf("reading a link notice: %w", err)
	}
	for attrs.Next() {
		switch attrs.Type() {
		case unix.IFLA_IFNAME:
			m.name = attrs.String()
		case unix.IFLA_ADDRESS:
			if mac := attrs.Bytes(); len(mac) == len(m.mac) {
				copy(m.mac[:], mac)
			}
		case unix.IFLA_MTU:
			m.mtu = int(attrs.Uint32())
		case unix.IFLA_OPERSTATE:
			m.operstate = attrs.Uint8()
		case unix.IFLA_EVENT:
			m.event = attrs.Uint32()
		}
	}
	if err := attrs.Err(); err != nil {
		return m, fmt.Errorf("reading a link notice: %w", err)
	}
	return m, nil
}

// usable tells whether the link carries packets, and if not, why. Drivers that
// do not maintain the operational state leave it unknown; then the carrier decides.
func (m linkMessage) usable() (bool, string) {
	switch {
	case m.flags&unix.IFF_UP == 0:
		return false, "administratively down"
	case m.flags&unix.IFF_LOWER_UP == 0:
		return false, "no carrier"
	case m.operstate == operUp, m.operstate == operUnknown:
		return true, ""
	case m.operstate == operDormant:
		return false, "dormant: the link waits for something else, such as 802.1X"
	default:
		return false, "no carrier"
	}
}
