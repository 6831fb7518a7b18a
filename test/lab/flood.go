package lab

import (
	"fmt"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// forged makes the frame of a forgery.
func (h *Host) forged(f Forgery) []byte {
	v6 := len(f.Addresses) > 0 && f.Addresses[0].Is6()
	if f.Version == 0 {
		f.Version, f.Type = 3, 1
	}
	if f.TTL == 0 {
		f.TTL = 255
	}
	dst, mac, kind := netip.MustParseAddr("224.0.0.18"), net.HardwareAddr{1, 0, 0x5e, 0, 0, 0x12}, uint16(unix.ETH_P_IP)
	src, form := h.Addr4(0).Addr(), MessageOnly
	if v6 {
		dst, mac, kind = netip.MustParseAddr("ff02::12"), net.HardwareAddr{0x33, 0x33, 0, 0, 0, 0x12}, unix.ETH_P_IPV6
		src, form = h.LinkLocal(0), WithPseudo
	}
	if f.Src.IsValid() {
		src = f.Src
	}
	if f.Sum != "" {
		form = f.Sum
	}
	message := f.Message
	if message == nil {
		message = f.Encode(src, dst, form)
	}
	frame := ethernet(mac, h.MAC(0), kind)
	if v6 {
		frame = ipv6Header(frame, src, dst, protocol, f.TTL, len(message))
	} else {
		frame = ipv4Header(frame, src, dst, f.TTL, len(message))
	}
	return append(frame, message...)
}

// Flood sends forgeries in turn from eth0 of the host, as fast as one sender can,
// and returns how many have left. Where the kernel is behind it waits a little; it ends
// where the cable is unplugged. With a target they go down that host's cable only, past the switch, which for each frame
// costs a quarter of what handing it to all does.
func (h *Host) Flood(list []Forgery, d time.Duration, target *Host) (sent int, err error) {
	eth, err := h.eth(0)
	if err != nil {
		return 0, err
	}
	from, link := h.space, eth.Attrs().Index
	if target != nil {
		from, link = h.lab.hub, target.ports[0]
	}
	var frames [][]byte
	for _, f := range list {
		frames = append(frames, h.forged(f))
	}
	fd := -1
	from.do(func() { fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) })
	if err != nil {
		return 0, fmt.Errorf("open a packet socket on %s: %w", h.Name, err)
	}
	defer unix.Close(fd)
	_ = unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1)
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: link}); err != nil {
		return 0, fmt.Errorf("bind a packet socket on %s: %w", h.Name, err)
	}
	for end := Now() + d; Now() < end; {
		for range 64 {
			switch _, err := unix.Write(fd, frames[sent%len(frames)]); err {
			case nil:
				sent++
			case unix.ENOBUFS, unix.EAGAIN, unix.EINTR, unix.ENETDOWN:
				time.Sleep(time.Millisecond)
			case unix.ENXIO, unix.ENODEV:
				return sent, nil // the cable is there no more
			default:
				return sent, fmt.Errorf("flood from %s: %w", h.Name, err)
			}
		}
	}
	return sent, nil
}

// Announce sends a gratuitous ARP for an IPv4 address, as who takes one does.
func (h *Host) Announce(a netip.Addr) error {
	mac := h.MAC(0)
	frame := ethernet(net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac, unix.ETH_P_ARP)
	frame = append(frame, 0, 1, 8, 0, 6, 4, 0, 1) // Ethernet, IPv4, request
	frame = append(append(frame, mac...), a.AsSlice()...)
	return h.inject(0, append(append(frame, make([]byte, 6)...), a.AsSlice()...))
}
