package announce

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// virtualMAC is what the addresses move to in these tests.
var virtualMAC = [6]byte{0x00, 0x00, 0x5e, 0x00, 0x01, 0x33}

func addresses(list ...string) []netip.Addr {
	var out []netip.Addr
	for _, a := range list {
		out = append(out, netip.MustParseAddr(a))
	}
	return out
}

// on is the targets for addresses on one interface.
func on(link int, list ...netip.Addr) []actions.AnnounceTarget {
	return []actions.AnnounceTarget{{Link: link, MAC: virtualMAC, Addresses: list}}
}

func run(t *testing.T) (*Announcer, chan any) {
	t.Helper()
	posted := make(chan any, 10_000)
	a := New(func(v any) { posted <- v })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(patience):
			t.Error("Run did not end")
		}
	})
	return a, posted
}

func announced(t *testing.T, posted <-chan any) actions.Announced {
	t.Helper()
	select {
	case v := <-posted:
		return v.(actions.Announced)
	case <-time.After(patience):
		t.Fatal("no Announced")
	}
	panic("unreachable")
}

// capture opens the far end for reading everything.
func capture(t *testing.T, ns netns.NsHandle, name string) *packet.Conn {
	t.Helper()
	var c *packet.Conn
	in(t, ns, func() {
		ifi, err := net.InterfaceByName(name)
		if err == nil {
			c, err = packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, nil)
		}
		if err != nil {
			t.Errorf("capturing on %s: %v", name, err)
		}
	})
	if c == nil {
		t.FailNow()
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// received returns the next frame from the virtual MAC.
func received(t *testing.T, c *packet.Conn) gopacket.Packet {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2048)
	for {
		n, _, err := c.ReadFrom(b)
		if err != nil {
			t.Fatalf("waiting for an announcement: %v", err)
		}
		p := gopacket.NewPacket(b[:n:n], layers.LayerTypeEthernet, gopacket.Default)
		if e, ok := p.LinkLayer().(*layers.Ethernet); ok && [6]byte(e.SrcMAC) == virtualMAC {
			return p
		}
	}
}

func TestFramesOnTheWire(t *testing.T) {
	link, ns := pair(t, "n0", "f0")
	c := capture(t, ns, "f0")
	a, posted := run(t)
	a.Announce(actions.Announcement{Router: 4, Term: 9,
		Targets: on(link, addresses("192.0.2.1", "2001:db8::1")...)})
	got := announced(t, posted)
	if got.Router != 4 || got.Term != 9 || got.ARP != 1 || got.NA != 1 || got.Err != "" || got.Took <= 0 {
		t.Errorf("answer %+v", got)
	}
	checkARP(t, received(t, c))
	checkNA(t, received(t, c))
	if s := a.Stats(); s != (Stats{ARP: 1, NA: 1}) {
		t.Errorf("stats %+v", s)
	}
}

func checkARP(t *testing.T, p gopacket.Packet) {
	t.Helper()
	e := p.LinkLayer().(*layers.Ethernet)
	arp, ok := p.Layer(layers.LayerTypeARP).(*layers.ARP)
	if !ok || p.ErrorLayer() != nil {
		t.Fatalf("not an ARP frame: %v", p)
	}
	vip := netip.MustParseAddr("192.0.2.1")
	if e.DstMAC.String() != "ff:ff:ff:ff:ff:ff" || e.EthernetType != layers.EthernetTypeARP ||
		arp.Operation != layers.ARPRequest || [6]byte(arp.SourceHwAddress) != virtualMAC ||
		[4]byte(arp.SourceProtAddress) != vip.As4() || [4]byte(arp.DstProtAddress) != vip.As4() ||
		net.HardwareAddr(arp.DstHwAddress).String() != "ff:ff:ff:ff:ff:ff" ||
		arp.AddrType != layers.LinkTypeEthernet || arp.Protocol != layers.EthernetTypeIPv4 {
		t.Errorf("gratuitous ARP: %v", p)
	}
}

func checkNA(t *testing.T, p gopacket.Packet) {
	t.Helper()
	e := p.LinkLayer().(*layers.Ethernet)
	ip6, _ := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
	icmp, _ := p.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6)
	na, _ := p.Layer(layers.LayerTypeICMPv6NeighborAdvertisement).(*layers.ICMPv6NeighborAdvertisement)
	if ip6 == nil || icmp == nil || na == nil || p.ErrorLayer() != nil {
		t.Fatalf("not a neighbor advertisement: %v", p)
	}
	if e.DstMAC.String() != "33:33:00:00:00:01" || ip6.HopLimit != 255 ||
		ip6.SrcIP.String() != "2001:db8::1" || ip6.DstIP.String() != "ff02::1" || int(ip6.Length) != len(ip6.Payload) ||
		na.TargetAddress.String() != "2001:db8::1" || na.Flags != 0xa0 { // R and O, not S
		t.Errorf("neighbor advertisement: %v", p)
	}
	if len(na.Options) != 1 || na.Options[0].Type != layers.ICMPv6OptTargetAddress || [6]byte(na.Options[0].Data) != virtualMAC {
		t.Errorf("options %v", na.Options)
	}
	if sum := checksum(ip6); sum != 0xffff {
		t.Errorf("checksum does not add up: %#x", sum)
	}
}

// checksum adds up an ICMPv6 packet with its pseudo-header (RFC 8200 section
// 8.1); a correct one gives ffff.
func checksum(p *layers.IPv6) uint32 {
	b := append(append([]byte{}, p.SrcIP.To16()...), p.DstIP.To16()...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.Payload)))
	b = append(b, 0, 0, 0, unix.IPPROTO_ICMPV6)
	b = append(b, p.Payload...)
	var sum uint32
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	return sum>>16 + sum&0xffff
}

// What it is all for: a neighbour that knows the address at another MAC sends
// to the new one.
func TestNeighboursTakeItUp(t *testing.T) {
	link, ns := pair(t, "n0", "f0")
	h, err := netlink.NewHandleAt(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	far, err := h.LinkByName("f0")
	if err != nil {
		t.Fatal(err)
	}
	old := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	list := addresses("192.0.2.1", "2001:db8::1", "fe80::1234")
	for _, a := range list {
		if err := h.NeighSet(&netlink.Neigh{LinkIndex: far.Attrs().Index, IP: a.AsSlice(), HardwareAddr: old, State: netlink.NUD_REACHABLE}); err != nil {
			t.Fatal(err)
		}
	}
	in(t, ns, func() { lab.IP(t, "addr", "add", "192.0.2.77/24", "dev", "f0") })
	a, posted := run(t)
	a.Announce(actions.Announcement{Router: 1, Term: 1, Targets: on(link, list...),
		// The kernel ignores ARP for 1 s after the last change (neigh/*/locktime).
		Schedule: actions.AnnounceSpec{Repeat: 15, Delay: 100 * time.Millisecond}})
	announced(t, posted)
	deadline := time.Now().Add(patience)
	for {
		moved := 0
		entries, err := h.NeighList(far.Attrs().Index, netlink.FAMILY_ALL)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range entries {
			if n.HardwareAddr.String() == net.HardwareAddr(virtualMAC[:]).String() {
				moved++
				if n.IP.To4() == nil && n.Flags&netlink.NTF_ROUTER == 0 {
					t.Errorf("%s is not known as a router: %v", n.IP, n)
				}
			}
		}
		if moved == len(list) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d entries have moved: %v", moved, len(list), entries)
		}
	}
}

func TestErrorsAreNotFatal(t *testing.T) {
	link, _ := pair(t, "n0", "f0")
	a, posted := run(t)
	lab.IP(t, "link", "set", "n0", "down")
	w := actions.Announcement{Router: 1, Term: 1, Targets: on(link, addresses("192.0.2.1", "2001:db8::1")...),
		Schedule: actions.AnnounceSpec{Refresh: time.Hour}}
	a.Announce(w)
	if got := announced(t, posted); got.ARP+got.NA != 0 || got.Err != "2 of 2 announcements not sent: the link is down: network is down" {
		t.Errorf("answer %+v", got)
	}
	if s := a.Stats(); s != (Stats{Errors: 2}) {
		t.Errorf("stats %+v", s)
	}
	lab.IP(t, "link", "set", "n0", "up")
	a.Announce(w)
	if got := announced(t, posted); got.ARP != 1 || got.NA != 1 || got.Err != "" {
		t.Errorf("answer %+v", got)
	}
	lab.IP(t, "link", "del", "n0")
	w.Once = true
	a.Announce(w)
	if got := announced(t, posted); got.ARP+got.NA != 0 || !strings.HasPrefix(got.Err, "2 of 2 announcements not sent: ") {
		t.Errorf("answer %+v", got)
	}
	a.Announce(w)
	if got := announced(t, posted); got.Err != "2 of 2 announcements not sent: the interface is gone" {
		t.Errorf("answer %+v", got)
	}
	w.Targets = on(0, addresses("192.0.2.1", "2001:db8::1")...)
	a.Announce(w)
	if got := announced(t, posted); got.Err != "2 of 2 announcements not sent: 192.0.2.1 and 1 more: the interface does not exist" {
		t.Errorf("answer %+v", got)
	}
}

func TestAddressesThatCannotBeAnnounced(t *testing.T) {
	link, _ := pair(t, "n0", "f0")
	a, posted := run(t)
	a.Announce(actions.Announcement{Router: 1,
		Targets: on(link, addresses("192.0.2.1", "::ffff:192.0.2.2", "192.0.2.3")...)})
	if got := announced(t, posted); got.ARP != 2 || got.NA != 0 || got.Err != "1 of 3 announcements not sent: ::ffff:192.0.2.2: not an IPv4 or IPv6 address" {
		t.Errorf("answer %+v", got)
	}
}

// One announcement on two interfaces, each with a MAC of its own; then one of
// them is gone.
func TestSeveralInterfaces(t *testing.T) {
	first, ns0 := pair(t, "n0", "f0")
	second, ns1 := pair(t, "n1", "f1")
	c0, c1 := capture(t, ns0, "f0"), capture(t, ns1, "f1")
	a, posted := run(t)
	w := actions.Announcement{Router: 1, Term: 1, Targets: append(on(first, addresses("192.0.2.1")...), on(second, addresses("2001:db8::1")...)...)}
	a.Announce(w)
	if got := announced(t, posted); got.ARP != 1 || got.NA != 1 || got.Err != "" {
		t.Errorf("answer %+v", got)
	}
	checkARP(t, received(t, c0))
	checkNA(t, received(t, c1))
	lab.IP(t, "link", "del", "n0")
	a.Announce(w)
	want := fmt.Sprintf("1 of 2 announcements not sent: interface %d: the interface is gone", first)
	if got := announced(t, posted); got.ARP != 0 || got.NA != 1 || got.Err != want {
		t.Errorf("answer %+v, want %s", got, want)
	}
	checkNA(t, received(t, c1))
}

func TestRoundsUntilCancelled(t *testing.T) {
	link, ns := pair(t, "n0", "f0")
	c := capture(t, ns, "f0")
	a, posted := run(t)
	a.Announce(actions.Announcement{Router: 1, Targets: on(link, addresses("192.0.2.1")...),
		Schedule: actions.AnnounceSpec{Repeat: 2, Delay: 20 * time.Millisecond, Refresh: 50 * time.Millisecond}})
	announced(t, posted)
	began := time.Now()
	for range 5 { // 0, 20, 40, 90, 140 ms
		received(t, c)
	}
	if took := time.Since(began); took < 120*time.Millisecond {
		t.Errorf("five rounds in %v", took)
	}
	a.Cancel(1)
	a.Announce(actions.Announcement{Router: 2, Targets: on(link, addresses("192.0.2.2")...), Once: true})
	announced(t, posted)
	for { // a round may have left before the cancellation
		arp := received(t, c).Layer(layers.LayerTypeARP).(*layers.ARP)
		if [4]byte(arp.SourceProtAddress) == [4]byte{192, 0, 2, 2} {
			break
		}
	}
	sent := a.Stats().ARP
	wait := time.After(150 * time.Millisecond)
	<-wait
	if now := a.Stats().ARP; now != sent {
		t.Errorf("%d frames after the cancellation", now-sent)
	}
}

func TestFiveThousand(t *testing.T) {
	link, _ := pair(t, "n0", "f0")
	a, posted := run(t)
	began := time.Now()
	for i := range 5000 {
		a.Announce(actions.Announcement{Router: actions.RouterID(i),
			Targets: on(link, netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}))})
	}
	ordered := time.Since(began)
	for range 5000 {
		if got := announced(t, posted); got.ARP != 1 || got.Err != "" {
			t.Fatalf("answer %+v", got)
		}
	}
	t.Logf("5,000 routers announced: ordered in %v, last one out after %v", ordered, time.Since(began))
}

func BenchmarkFrames(b *testing.B) {
	for _, address := range []string{"192.0.2.1", "2001:db8::1"} {
		b.Run(address, func(b *testing.B) {
			a := netip.MustParseAddr(address)
			for b.Loop() {
				if _, err := frame(a, virtualMAC); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
