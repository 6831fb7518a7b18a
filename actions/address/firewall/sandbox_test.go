package firewall

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/address/macvlan"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// TestMain runs the tests in user, network and mount namespaces of their own.
func TestMain(m *testing.M) { lab.Main(lab.Options{}, m.Run) }

// Waits of the tests. settle is how long a second, wrong answer is given;
// quiet outlasts the kernel's own delays (an MLD report is up to 1 s late).
const (
	patienceOfTests = 5 * time.Second
	settle          = 150 * time.Millisecond
	quiet           = 2500 * time.Millisecond
)

// The far host is played by frames on the far end of a veth pair.
var (
	far4  = netip.MustParseAddr("192.0.2.9")
	farLL = netip.MustParseAddr("fe80::9")
	far6  = netip.MustParseAddr("2001:db8::9")
	own4  = netip.MustParseAddr("192.0.2.1")
)

// wire is a link: near is where the macvlans go, the socket is at the far end.
type wire struct {
	t           *testing.T
	near        string
	index       int
	mac, farMAC net.HardwareAddr
	far         *packet.Conn
	maker       *macvlan.Maker
	table       *Table
}

func newWire(t *testing.T, near string) *wire {
	t.Helper()
	lab.Need(t)
	far := near + "f"
	lab.IP(t, "link", "add", near, "type", "veth", "peer", "name", far)
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", near).Run() })
	// The far end is a wire only: it must not answer for our own addresses.
	for _, s := range []string{"ipv6/conf/" + near + "/accept_dad=0", "ipv6/conf/" + far + "/disable_ipv6=1",
		"ipv4/conf/" + far + "/arp_ignore=8"} {
		name, value, _ := strings.Cut(s, "=")
		if err := os.WriteFile("/proc/sys/net/"+name, []byte(value), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	lab.IP(t, "link", "set", "lo", "up")
	lab.IP(t, "link", "set", near, "up")
	lab.IP(t, "link", "set", far, "up")
	lab.AwaitCarrier(t, near)
	lab.AwaitCarrier(t, far)
	lab.IP(t, "addr", "add", own4.String()+"/24", "dev", near)
	w := &wire{t: t, near: near, table: New("")}
	n, err := net.InterfaceByName(near)
	if err != nil {
		t.Fatal(err)
	}
	f, err := net.InterfaceByName(far)
	if err != nil {
		t.Fatal(err)
	}
	w.index, w.mac, w.farMAC = n.Index, n.HardwareAddr, f.HardwareAddr
	for _, host := range []netip.Addr{far4, farLL, far6} {
		lab.IP(t, "neigh", "replace", host.String(), "lladdr", w.farMAC.String(), "dev", near)
	}
	if w.far, err = packet.Listen(f, packet.Raw, unix.ETH_P_ALL, nil); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.far.Close() })
	if w.maker, err = macvlan.Dial(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.maker.Close)
	t.Cleanup(func() {
		if err := w.table.Clear(); err != nil {
			t.Error(err)
		}
	})
	if _, err := w.maker.Parent(near); err != nil {
		t.Fatal(err)
	}
	return w
}

// vmac is the virtual MAC of a family (4, 6) and VRID.
func vmac(family, vrid byte) [6]byte {
	if family == 6 {
		return [6]byte{0, 0, 0x5e, 0, 2, vrid}
	}
	return [6]byte{0, 0, 0x5e, 0, 1, vrid}
}

// link makes the macvlan of a virtual MAC, with addresses on it, and the far
// host known on it.
func (w *wire) link(m [6]byte, addresses ...string) macvlan.Found {
	w.t.Helper()
	f, _, err := w.maker.Ensure(actions.VirtualMAC{MAC: m, Parent: w.index, ParentName: w.near, IPv6: m[4] == 2}, "backbeat test")
	if err != nil {
		w.t.Fatal(err)
	}
	for _, a := range addresses {
		args := []string{"addr", "add", a, "dev", f.Name}
		if strings.Contains(a, ":") {
			args = append(args, "nodad")
		}
		lab.IP(w.t, args...)
	}
	lab.AwaitCarrier(w.t, f.Name)
	for _, a := range addresses {
		lab.AwaitSolicited(w.t, f.Name, netip.MustParsePrefix(a).Addr())
	}
	for _, host := range []netip.Addr{far4, farLL, far6} {
		if host.Is6() && m[4] == 1 {
			continue
		}
		lab.IP(w.t, "neigh", "replace", host.String(), "lladdr", w.farMAC.String(), "dev", f.Name)
	}
	return f
}

func (w *wire) flush() {
	w.t.Helper()
	if err := w.table.Flush(); err != nil {
		w.t.Fatal(err)
	}
}

// send lets the far host send a frame.
func (w *wire) send(to net.HardwareAddr, kind layers.EthernetType, parts ...gopacket.SerializableLayer) {
	w.t.Helper()
	frame := gopacket.NewSerializeBuffer()
	eth := &layers.Ethernet{SrcMAC: w.farMAC, DstMAC: to, EthernetType: kind}
	options := gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}
	if err := gopacket.SerializeLayers(frame, options, append([]gopacket.SerializableLayer{eth}, parts...)...); err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.far.WriteTo(frame.Bytes(), &packet.Addr{HardwareAddr: to}); err != nil {
		w.t.Fatal(err)
	}
}

// arp asks who has an address.
func (w *wire) arp(target netip.Addr) {
	w.t.Helper()
	w.send(net.HardwareAddr{255, 255, 255, 255, 255, 255}, layers.EthernetTypeARP, &layers.ARP{
		AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
		Operation: layers.ARPRequest, SourceHwAddress: w.farMAC, SourceProtAddress: far4.AsSlice(),
		DstHwAddress: make([]byte, 6), DstProtAddress: target.AsSlice(),
	})
}

// solicit asks who has an IPv6 address.
func (w *wire) solicit(target netip.Addr) {
	w.t.Helper()
	a := target.As16()
	group := net.IP{0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, a[13], a[14], a[15]}
	ip := &layers.IPv6{Version: 6, NextHeader: layers.IPProtocolICMPv6, HopLimit: 255, SrcIP: farLL.AsSlice(), DstIP: group}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeNeighborSolicitation, 0)}
	if err := icmp.SetNetworkLayerForChecksum(ip); err != nil {
		w.t.Fatal(err)
	}
	w.send(net.HardwareAddr{0x33, 0x33, 0xff, a[13], a[14], a[15]}, layers.EthernetTypeIPv6, ip, icmp, &layers.ICMPv6NeighborSolicitation{
		TargetAddress: target.AsSlice(),
		Options:       layers.ICMPv6Options{{Type: layers.ICMPv6OptSourceAddress, Data: w.farMAC}},
	})
}

// ping sends an echo request to an address at a MAC, as with a static neighbour.
func (w *wire) ping(to [6]byte, target netip.Addr) {
	w.t.Helper()
	if target.Is4() {
		w.send(to[:], layers.EthernetTypeIPv4,
			&layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolICMPv4, SrcIP: far4.AsSlice(), DstIP: target.AsSlice()},
			&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(layers.ICMPv4TypeEchoRequest, 0), Id: 7, Seq: 1})
		return
	}
	from := far6
	if target.IsLinkLocalUnicast() {
		from = farLL
	}
	ip := &layers.IPv6{Version: 6, NextHeader: layers.IPProtocolICMPv6, HopLimit: 64, SrcIP: from.AsSlice(), DstIP: target.AsSlice()}
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(layers.ICMPv6TypeEchoRequest, 0)}
	if err := icmp.SetNetworkLayerForChecksum(ip); err != nil {
		w.t.Fatal(err)
	}
	w.send(to[:], layers.EthernetTypeIPv6, ip, icmp, &layers.ICMPv6Echo{Identifier: 7, SeqNumber: 1})
}

// heard reads what comes to the far end until nothing that fits has come for
// settle after the first that fits, or until first has passed without one.
func (w *wire) heard(first, after time.Duration, fits func(frame) bool) []frame {
	w.t.Helper()
	var list []frame
	until := time.Now().Add(first)
	b := make([]byte, 2048)
	for {
		if err := w.far.SetReadDeadline(until); err != nil {
			w.t.Fatal(err)
		}
		n, _, err := w.far.ReadFrom(b)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return list
		}
		if err != nil {
			w.t.Fatal(err)
		}
		f := frame{gopacket.NewPacket(bytes.Clone(b[:n]), layers.LayerTypeEthernet, gopacket.Default)}
		if bytes.Equal(f.source(), w.farMAC) || !fits(f) {
			continue
		}
		list = append(list, f)
		if len(list) == 1 {
			until = time.Now().Add(after)
		}
	}
}

// forget reads away what has come so far.
func (w *wire) forget() { w.heard(time.Millisecond, 0, func(frame) bool { return false }) }

// answers are the frames that answer a question, at least none after settle.
func (w *wire) answers(fits func(frame) bool) []frame {
	w.t.Helper()
	return w.heard(patienceOfTests, settle, fits)
}

// none fails if there is an answer.
func (w *wire) none(what string, fits func(frame) bool) {
	w.t.Helper()
	if list := w.heard(settle, 0, fits); len(list) > 0 {
		w.t.Errorf("%s was answered: %s", what, list[0])
	}
}

type frame struct{ gopacket.Packet }

func (f frame) source() net.HardwareAddr {
	e, ok := f.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
	if !ok {
		return nil
	}
	return e.SrcMAC
}

// virtual tells a frame whose source is a virtual router MAC.
func virtual(f frame) bool {
	return bytes.HasPrefix(f.source(), []byte{0, 0, 0x5e, 0})
}

func arpReply(of netip.Addr) func(frame) bool {
	return func(f frame) bool {
		a, ok := f.Layer(layers.LayerTypeARP).(*layers.ARP)
		return ok && a.Operation == layers.ARPReply && bytes.Equal(a.SourceProtAddress, of.AsSlice())
	}
}

func advertisement(of netip.Addr) func(frame) bool {
	return func(f frame) bool {
		a, ok := f.Layer(layers.LayerTypeICMPv6NeighborAdvertisement).(*layers.ICMPv6NeighborAdvertisement)
		return ok && bytes.Equal(a.TargetAddress, of.AsSlice())
	}
}

// echo tells an echo reply from an address.
func echo(of netip.Addr) func(frame) bool {
	return func(f frame) bool {
		if i, ok := f.Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4); ok {
			ip, _ := f.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
			return i.TypeCode.Type() == layers.ICMPv4TypeEchoReply && bytes.Equal(ip.SrcIP, of.AsSlice())
		}
		i, ok := f.Layer(layers.LayerTypeICMPv6).(*layers.ICMPv6)
		if !ok || i.TypeCode.Type() != layers.ICMPv6TypeEchoReply {
			return false
		}
		ip, _ := f.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
		return bytes.Equal(ip.SrcIP, of.AsSlice())
	}
}
