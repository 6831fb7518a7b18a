package wire

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
	"github.com/backbeat-ha/backbeat/vrrp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// listen opens sockets and waits for the answer.
func listen(t testing.TB, wishes ...vrrp.Listening) *Port {
	t.Helper()
	answers := make(chan vrrp.SocketReady, 8)
	p, err := New(func(v any) { answers <- v.(vrrp.SocketReady) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	for _, w := range wishes {
		p.Listen(w)
		if a := <-answers; a.Err != "" || a.Listening != w {
			t.Fatalf("answer to %+v: %+v", w, a)
		}
		p.adopt()
	}
	return p
}

// await reads packets until one has come, or two seconds are over.
func await(t testing.TB, p *Port) (out []vrrp.Packet) {
	t.Helper()
	for end := p.Now() + 2*time.Second; len(out) == 0 && p.Now() < end; {
		p.Wait(p.Now() + 20*time.Millisecond)
		p.Receive(100, func(k *vrrp.Packet) {
			c := *k
			c.Data = bytes.Clone(k.Data)
			out = append(out, c)
		})
	}
	return out
}

// tapped opens a socket that sees what arrives on an interface.
func tapped(t testing.TB, index int) *packet.Conn {
	t.Helper()
	ifi, err := net.InterfaceByIndex(index)
	if err != nil {
		t.Fatal(err)
	}
	c, err := packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// vrrpFrame is the next VRRP frame of a tap.
func vrrpFrame(t testing.TB, c *packet.Conn) gopacket.Packet {
	t.Helper()
	b := make([]byte, 2048)
	if err := c.SetReadDeadline(time.Now().Add(2 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for {
		n, _, err := c.ReadFrom(b)
		if err != nil {
			t.Fatalf("no frame came: %v", err)
		}
		if b[12] == 8 && b[23] == 112 || b[12] == 0x86 && b[20] == 112 {
			return gopacket.NewPacket(bytes.Clone(b[:n]), layers.LayerTypeEthernet, gopacket.Default)
		}
	}
}

// conformance: W3, W9
func TestVirtualMACAndOtherGroups(t *testing.T) {
	a, b := pair(t, "c1", "d1")
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		group := map[vrrp.Family]netip.Addr{vrrp.IPv4: netip.MustParseAddr("239.129.2.3"), vrrp.IPv6: netip.MustParseAddr("ff15::beef:1")}[f]
		mac := map[vrrp.Family]string{vrrp.IPv4: "01:00:5e:01:02:03", vrrp.IPv6: "33:33:be:ef:00:01"}[f]
		own := vrrp.Listening{Link: a, Family: f, Group: group}
		pa := listen(t, own, grouped(a, f))
		pb := listen(t, vrrp.Listening{Link: b, Family: f, Group: group}, grouped(b, f))
		tap := tapped(t, b)
		src, msg := message(f)
		for dst, want := range map[netip.Addr]string{group: mac, f.Group(): groupMAC(f.Group()).String()} {
			pa.Send(&vrrp.Path{Link: a, Family: f, Src: src, Dst: dst, MAC: vrrp.VirtualMAC(f, 52), TTL: 255}, msg)
			pa.Flush()
			eth := vrrpFrame(t, tap).Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
			if eth.DstMAC.String() != want || !bytes.Equal(eth.SrcMAC, []byte{0, 0, 0x5e, 0, byte(f/2 - 1), 52}) {
				t.Errorf("%s to %s: frame from %s to %s", f, dst, eth.SrcMAC, eth.DstMAC)
			}
			got := await(t, pb)
			var d vrrp.Datagram
			if len(got) != 1 || vrrp.ParseIP(f, got[0].Data, &d) != vrrp.Accepted || d.Dst != dst {
				t.Errorf("%s: received %d packets, to %s", f, len(got), d.Dst)
			}
		}
	}
}

// Unicast: the kernel finds the next hop; source, TTL, class and checksum are
// ours, and the other side receives it without any group.
func TestUnicast(t *testing.T) {
	a, b := pair(t, "c2", "d2")
	for name, host := range map[string]string{"c2": "1", "d2": "2"} {
		lab.IP(t, "addr", "add", "10.9.9."+host+"/24", "dev", name)
		lab.IP(t, "addr", "add", "2001:db8:9::"+host+"/64", "dev", name, "nodad")
		lab.IP(t, "addr", "add", "fe80::9:"+host+"/64", "dev", name, "nodad")
		// Both ends are in one namespace: let it take packets from its own addresses.
		for _, key := range []string{"accept_local", "arp_ignore"} {
			if err := os.WriteFile("/proc/sys/net/ipv4/conf/"+name+"/"+key, []byte("1"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	ifb, err := net.InterfaceByIndex(b)
	if err != nil {
		t.Fatal(err)
	}
	for i, tt := range []struct{ src, dst string }{{"10.9.9.1", "10.9.9.77"}, {"2001:db8:9::1", "2001:db8:9::77"}, {"fe80::9:1", "fe80::9:77"}} {
		src, dst := netip.MustParseAddr(tt.src), netip.MustParseAddr(tt.dst)
		f := vrrp.FamilyOf(src)
		// A peer whose address is nobody's here, so that the packet leaves.
		lab.IP(t, "neigh", "replace", tt.dst, "lladdr", ifb.HardwareAddr.String(), "dev", "c2", "nud", "permanent")
		if src.IsLinkLocalUnicast() {
			tt.dst += "%c2"
		}
		pa := listen(t, vrrp.Listening{Link: a, Family: f})
		pb := listen(t, vrrp.Listening{Link: b, Family: f})
		tap := tapped(t, b)
		ad := vrrp.Advert{Version: 3, VRID: 52, Priority: 100, Interval: time.Second, Addresses: []netip.Addr{src}}
		msg := ad.Append(nil, src, dst, vrrp.WithPseudoHeader)
		pa.Send(&vrrp.Path{Link: a, Family: f, Src: src, Dst: dst, TTL: uint8(200 + i), MAC: vrrp.VirtualMAC(f, 52)}, msg)
		pa.Flush()
		if s := pa.Stats(a); s.Sent != 1 || s.SendErrors != 0 {
			t.Fatalf("%s: %+v", tt.dst, s)
		}
		k := vrrpFrame(t, tap)
		if eth := k.Layer(layers.LayerTypeEthernet).(*layers.Ethernet); eth.SrcMAC[0] == 0 && eth.SrcMAC[1] == 0 && eth.SrcMAC[2] == 0x5e {
			t.Errorf("%s: from a virtual MAC", tt.dst)
		}
		got := await(t, pb)
		if len(got) != 1 {
			t.Fatalf("%s: %d packets", tt.dst, len(got))
		}
		var d vrrp.Datagram
		if drop := vrrp.ParseIP(f, got[0].Data, &d); drop != vrrp.Accepted || d.Src != src || d.Dst != dst || d.TTL != uint8(200+i) || !bytes.Equal(d.Message, msg) {
			t.Errorf("%s: %v, %s > %s TTL %d\n% x\n% x", tt.dst, drop, d.Src, d.Dst, d.TTL, d.Message, msg)
		}
		class := got[0].Data[1]
		if f == vrrp.IPv6 {
			class = got[0].Data[0]<<4 | got[0].Data[1]>>4
		}
		if class != vrrp.TrafficClass {
			t.Errorf("%s: class %#x", tt.dst, class)
		}
		way := &vrrp.Path{Link: a, Family: f, Src: src, Dst: dst, TTL: uint8(200 + i), MAC: vrrp.VirtualMAC(f, 52)}
		if n := testing.AllocsPerRun(100, func() {
			pa.Send(way, msg)
			pa.Flush()
		}); n != 0 {
			t.Errorf("%v allocations for a copy to a peer", n)
		}
	}
}

// A peer without a route is a send error with a name. (For IPv4 a socket bound to
// an interface takes every address for a neighbour's.)
func TestNoRouteToPeer(t *testing.T) {
	a, _ := pair(t, "c3", "d3")
	lab.IP(t, "addr", "add", "2001:db8:8::1/64", "dev", "c3", "nodad")
	p := listen(t, vrrp.Listening{Link: a, Family: vrrp.IPv6})
	_, msg := message(vrrp.IPv6)
	p.Send(&vrrp.Path{Link: a, Family: vrrp.IPv6, Src: netip.MustParseAddr("2001:db8:8::1"), Dst: netip.MustParseAddr("2001:db8:ffff::1"), TTL: 255}, msg)
	p.Flush()
	if s := p.Stats(a); s.SendErrors != 1 || !strings.Contains(s.LastSendError, "no route to a peer") {
		t.Errorf("%+v", s)
	}
}

// An interface without a MAC will do for peers.
func TestUnicastWithoutEthernet(t *testing.T) {
	lab.IP(t, "link", "set", "lo", "up")
	p := listen(t, vrrp.Listening{Link: 1, Family: vrrp.IPv4})
	src := netip.MustParseAddr("127.0.0.1")
	_, msg := message(vrrp.IPv4)
	p.Send(&vrrp.Path{Link: 1, Family: vrrp.IPv4, Src: src, Dst: src, TTL: 255}, msg)
	p.Flush()
	if got := await(t, p); len(got) != 1 {
		t.Errorf("%d packets on lo, %+v", len(got), p.Stats(1))
	}
}

// A macvlan that has the virtual MAC of a peer takes the peer's frames for its
// own; on the parent they are seen all the same.
//
// conformance: L10
func TestReceivesBesideAMacvlan(t *testing.T) {
	a, b := pair(t, "c4", "d4")
	for _, mode := range []string{"private", "bridge"} {
		lab.IP(t, "link", "add", "m4", "link", "d4", "address", "00:00:5e:00:01:34", "type", "macvlan", "mode", mode)
		lab.IP(t, "link", "set", "m4", "up")
		pa, pb := listen(t, grouped(a, vrrp.IPv4)), listen(t, grouped(b, vrrp.IPv4))
		src, msg := message(vrrp.IPv4)
		way := path(a, vrrp.IPv4, src)
		way.MAC = vrrp.VirtualMAC(vrrp.IPv4, 52)
		pa.Send(way, msg)
		pa.Flush()
		if got := await(t, pb); len(got) != 1 {
			t.Errorf("%s: %d packets", mode, len(got))
		}
		lab.IP(t, "link", "del", "m4")
	}
}

// The headers of old paths do not pile up.
func TestHeadersAreBounded(t *testing.T) {
	a, _ := pair(t, "c5", "d5")
	p := listen(t, grouped(a, vrrp.IPv4))
	_, msg := message(vrrp.IPv4)
	for i := range 2*maxHeaders + 5 {
		src := netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)})
		p.Send(path(a, vrrp.IPv4, src), msg)
		p.Flush()
	}
	if n := len(p.links[a].headers); n > maxHeaders {
		t.Error(fmt.Sprint(n, " headers"))
	}
}
