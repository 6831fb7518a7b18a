package announce

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/mdlayher/ndp"
)

// broadcast is the link-layer destination of gratuitous ARP.
var broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// allNodesMAC is the link-layer form of ff02::1 (RFC 2464 section 7).
var allNodesMAC = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}

// frame builds the announcement of one address at a MAC, as it goes on the wire.
func frame(address netip.Addr, mac [6]byte) ([]byte, error) {
	switch {
	case address.Is4():
		return gratuitousARP(address, mac[:])
	case address.Is6() && !address.Is4In6():
		return unsolicitedNA(address, mac[:])
	default:
		return nil, errNoAddress
	}
}

// gratuitousARP builds a broadcast ARP request for the address from the address
// (RFC 9568 section 6.4.1, RFC 5227 section 3). The request form is the one all
// stacks take up. The target hardware address is ff:ff:ff:ff:ff:ff, as
// keepalived, FRR and holo send it; errata 7947 and 7949 ask for the virtual
// MAC there, but receivers ignore that field in a request, and what the
// existing implementations send is what switches and firewalls with ARP
// inspection have been seen to let pass.
func gratuitousARP(address netip.Addr, mac net.HardwareAddr) ([]byte, error) {
	return serialize(
		&layers.Ethernet{SrcMAC: mac, DstMAC: broadcast, EthernetType: layers.EthernetTypeARP},
		&layers.ARP{
			AddrType:          layers.LinkTypeEthernet,
			Protocol:          layers.EthernetTypeIPv4,
			HwAddressSize:     6,
			ProtAddressSize:   4,
			Operation:         layers.ARPRequest,
			SourceHwAddress:   mac,
			SourceProtAddress: address.AsSlice(),
			DstHwAddress:      broadcast,
			DstProtAddress:    address.AsSlice(),
		})
}

// unsolicitedNA builds a Neighbor Advertisement for the address from the
// address to all nodes (RFC 9568 section 6.4.1, RFC 4861 section 7.2.6): Router
// and Override set, Solicited not, with the target link-layer address option.
func unsolicitedNA(address netip.Addr, mac net.HardwareAddr) ([]byte, error) {
	allNodes := netip.IPv6LinkLocalAllNodes()
	body, err := ndp.MarshalMessageChecksum(&ndp.NeighborAdvertisement{
		Router:        true,
		Override:      true,
		TargetAddress: address,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: mac}},
	}, address, allNodes)
	if err != nil {
		return nil, fmt.Errorf("building a neighbor advertisement for %s: %w", address, err)
	}
	return serialize(
		&layers.Ethernet{SrcMAC: mac, DstMAC: allNodesMAC, EthernetType: layers.EthernetTypeIPv6},
		&layers.IPv6{
			Version:    6,
			NextHeader: layers.IPProtocolICMPv6,
			HopLimit:   255, // anything else is ignored (RFC 4861 section 7.1.2)
			SrcIP:      address.AsSlice(),
			DstIP:      allNodes.AsSlice(),
		},
		gopacket.Payload(body))
}

func serialize(parts ...gopacket.SerializableLayer) ([]byte, error) {
	b := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(b, gopacket.SerializeOptions{FixLengths: true}, parts...); err != nil {
		return nil, fmt.Errorf("building an announcement: %w", err)
	}
	return b.Bytes(), nil
}
