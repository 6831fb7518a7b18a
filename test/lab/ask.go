package lab

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// WhoHas asks the whole link for an address, by ARP or by Neighbor
// Solicitation, and returns the names of the hosts that answered within wait
// (sorted; a host that answered twice is there twice). It asks on the wire,
// past the kernel's neighbour cache.
func (h *Host) WhoHas(target netip.Addr, wait time.Duration) ([]string, error) {
	c, err := openCapture(h.space, []bpf.Instruction{bpf.RetConstant{Val: 1 << 16}})
	if err != nil {
		return nil, err
	}
	defer c.close()
	frame, err := h.question(target)
	if err != nil {
		return nil, err
	}
	if err := h.inject(0, frame); err != nil {
		return nil, err
	}
	stop := make(chan struct{})
	timer := time.AfterFunc(wait, func() { close(stop) })
	defer timer.Stop()
	var names []string
	c.run(stop, func(f captured) {
		if f.outgoing {
			return
		}
		d := decodeFrame(f.data)
		answers := d.ARP != nil && d.ARP.Op == 2 && d.ARP.SenderAddr == target ||
			d.Neighbour != nil && d.Neighbour.Solicited && d.Neighbour.Target == target
		if answers {
			names = append(names, h.lab.byMAC(d.SrcMAC))
		}
	})
	slices.Sort(names)
	return names, nil
}

// question makes the frame that asks for an address.
func (h *Host) question(target netip.Addr) ([]byte, error) {
	mac := h.MAC(0)
	if target.Is4() {
		frame := ethernet(net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac, unix.ETH_P_ARP)
		frame = append(frame, 0, 1, 8, 0, 6, 4, 0, 1) // Ethernet, IPv4, request
		frame = append(append(frame, mac...), h.Addr4(0).Addr().AsSlice()...)
		return append(append(frame, make([]byte, 6)...), target.AsSlice()...), nil
	}
	group, err := ndp.SolicitedNodeMulticast(target)
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", target, err)
	}
	src := h.LinkLocal(0)
	body, err := ndp.MarshalMessageChecksum(&ndp.NeighborSolicitation{
		TargetAddress: target,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: mac}},
	}, src, group)
	if err != nil {
		return nil, fmt.Errorf("ask for %s: %w", target, err)
	}
	g := group.As16()
	frame := ethernet(net.HardwareAddr{0x33, 0x33, g[12], g[13], g[14], g[15]}, mac, unix.ETH_P_IPV6)
	return append(ipv6Header(frame, src, group, unix.IPPROTO_ICMPV6, 255, len(body)), body...), nil
}

func ethernet(dst, src net.HardwareAddr, kind uint16) []byte {
	b := append(append([]byte{}, dst...), src...)
	return binary.BigEndian.AppendUint16(b, kind)
}

func ipv6Header(b []byte, src, dst netip.Addr, next, hops uint8, n int) []byte {
	b = append(b, 0x6c, 0, 0, 0) // version 6, traffic class CS6
	b = binary.BigEndian.AppendUint16(b, uint16(n))
	b = append(b, next, hops)
	return append(append(b, src.AsSlice()...), dst.AsSlice()...)
}

func ipv4Header(b []byte, src, dst netip.Addr, ttl uint8, n int) []byte {
	h := []byte{0x45, 0xc0, 0, 0, 0, 0, 0, 0, ttl, protocol, 0, 0}
	binary.BigEndian.PutUint16(h[2:], uint16(20+n))
	h = append(append(h, src.AsSlice()...), dst.AsSlice()...)
	binary.BigEndian.PutUint16(h[10:], ^sum(0, h))
	return append(b, h...)
}

// Forgery is an advert that a host sends by hand, as no honest peer would or
// as a peer that can be told exactly what to do.
type Forgery struct {
	Advert
	// Src is the IP source, by default the host's own address of the family on eth0.
	Src netip.Addr
	// TTL is 255 by default; Sum is MessageOnly by default, WithPseudo for IPv6.
	TTL uint8
	Sum Form
	// Message replaces the encoded advert.
	Message []byte
}

// Forge sends an advert from eth0 of the host. The family is that of the first address.
func (h *Host) Forge(f Forgery) error { return h.inject(0, h.forged(f)) }
