package wire

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
	"github.com/backbeat-ha/backbeat/vrrp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

var (
	src4 = netip.MustParseAddr("10.0.0.1")
	src6 = netip.MustParseAddr("fe80::ff:fe00:1")
	vip4 = netip.MustParseAddr("10.0.0.253")
	vip6 = netip.MustParseAddr("fe80::53")
)

// pair makes a cable with two ends and returns their interface indexes.
func pair(t testing.TB, a, b string) (int, int) {
	t.Helper()
	lab.Need(t)
	v := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: a}, PeerName: b}
	if err := netlink.LinkAdd(v); err != nil {
		t.Fatalf("add veth: %v", err)
	}
	t.Cleanup(func() { _ = netlink.LinkDel(v) })
	var index [2]int
	for i, name := range []string{a, b} {
		l, err := netlink.LinkByName(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := netlink.LinkSetUp(l); err != nil {
			t.Fatal(err)
		}
		index[i] = l.Attrs().Index
	}
	lab.AwaitCarrier(t, a)
	lab.AwaitCarrier(t, b)
	return index[0], index[1]
}

// grouped is the wish for the family's own group.
func grouped(index int, f vrrp.Family) vrrp.Listening {
	return vrrp.Listening{Link: index, Family: f, Group: f.Group()}
}

// path is the way to the family's own group, from the interface's MAC.
func path(index int, f vrrp.Family, src netip.Addr) *vrrp.Path {
	return &vrrp.Path{Link: index, Family: f, Src: src, Dst: f.Group(), TTL: vrrp.HopLimit}
}

// open makes a port with sockets for both families on a link.
func open(t testing.TB, index int) *Port {
	t.Helper()
	answers := make(chan vrrp.SocketReady, 8)
	p, err := New(func(v any) { answers <- v.(vrrp.SocketReady) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		p.Listen(grouped(index, f))
		if a := <-answers; a.Err != "" || a.Link != index || a.Family != f {
			t.Fatalf("answer to Listen(%d, %s): %+v", index, f, a)
		}
	}
	p.adopt()
	return p
}

func message(f vrrp.Family) (netip.Addr, []byte) {
	src, vip := src4, vip4
	if f == vrrp.IPv6 {
		src, vip = src6, vip6
	}
	a := vrrp.Advert{VRID: 52, Priority: 100, Interval: time.Second, Addresses: []netip.Addr{vip}}
	return src, a.Append(nil, src, f.Group(), vrrp.MessageOnly)
}

// receive waits for n packets, at most two seconds.
func receive(t testing.TB, p *Port, n int, f func(*vrrp.Packet)) int {
	t.Helper()
	got := 0
	for limit := p.Now() + 2*time.Second; got < n && p.Now() < limit; {
		p.Wait(limit)
		p.Receive(1000, func(k *vrrp.Packet) { got++; f(k) })
	}
	return got
}

func TestAdvertsCrossTheCable(t *testing.T) {
	a, b := pair(t, "a0", "b0")
	pa, pb := open(t, a), open(t, b)
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		src, msg := message(f)
		before := pb.Now()
		pa.Send(path(a, f, src), msg)
		pa.Flush()
		n := receive(t, pb, 1, func(k *vrrp.Packet) {
			var d vrrp.Datagram
			var adv vrrp.Advert
			if drop := vrrp.ParseIP(k.Family, k.Data, &d); drop != vrrp.Accepted {
				t.Fatalf("%s: ParseIP: %s", f, drop)
			}
			if _, drop := vrrp.Validate(&d, &vrrp.Spec{Family: f, VRID: 52, Interval: time.Second}, &adv); drop != vrrp.Accepted {
				t.Fatalf("%s: Validate: %s", f, drop)
			}
			if d.Src != src || d.Dst != f.Group() || !bytes.Equal(d.Message, msg) || k.Link != b || k.Family != f {
				t.Errorf("%s: got %+v on link %d", f, d, k.Link)
			}
			if now := pb.Now(); k.At < before || k.At > now {
				t.Errorf("%s: arrived at %s, sent after %s, read at %s", f, k.At, before, now)
			}
		})
		if n != 1 {
			t.Fatalf("%s: %d packets arrived, want 1", f, n)
		}
	}
	if s := pb.Stats(b); s.Received != 2 || s.KernelDrops != 0 {
		t.Errorf("receiver's counters: %+v", s)
	}
	if s := pa.Stats(a); s.Sent != 2 || s.SendErrors != 0 || s.Received != 0 {
		t.Errorf("sender's counters (it must not hear itself): %+v", s)
	}
}

// conformance: W1, W2, W8, W22
// The frame as an independent decoder sees it.
func TestFrameHeaders(t *testing.T) {
	a, b := pair(t, "a1", "b1")
	pa := open(t, a)
	ifi, err := net.InterfaceByIndex(b)
	if err != nil {
		t.Fatal(err)
	}
	tap, err := packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tap.Close()
	_ = tap.SetReadDeadline(time.Now().Add(2 * time.Second))
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		src, msg := message(f)
		pa.Send(path(a, f, src), msg)
		pa.Flush()
		frame := nextVRRP(t, tap, f)
		eth := frame.Layer(layers.LayerTypeEthernet).(*layers.Ethernet)
		if !bytes.Equal(eth.DstMAC, groupMAC(f.Group())) || !bytes.Equal(eth.SrcMAC, pa.links[a].mac) {
			t.Errorf("%s: frame %s -> %s", f, eth.SrcMAC, eth.DstMAC)
		}
		if f == vrrp.IPv4 {
			ip := frame.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
			if ip.TTL != 255 || ip.Protocol != 112 || ip.TOS != 0xC0 || ip.SrcIP.String() != "10.0.0.1" ||
				ip.DstIP.String() != "224.0.0.18" || int(ip.Length) != 20+len(msg) || headerSum(ip.Contents) != 0xffff {
				t.Errorf("IPv4 header %+v", ip)
			}
		} else {
			ip := frame.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
			if ip.HopLimit != 255 || ip.NextHeader != 112 || ip.TrafficClass != 0xC0 || ip.SrcIP.String() != "fe80::ff:fe00:1" ||
				ip.DstIP.String() != "ff02::12" || int(ip.Length) != len(msg) {
				t.Errorf("IPv6 header %+v", ip)
			}
		}
	}
}

func headerSum(h []byte) uint16 {
	var s uint32
	for i := 0; i+1 < len(h); i += 2 {
		s += uint32(h[i])<<8 | uint32(h[i+1])
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func nextVRRP(t *testing.T, tap *packet.Conn, f vrrp.Family) gopacket.Packet {
	t.Helper()
	buf := make([]byte, 2048)
	for {
		n, _, err := tap.ReadFrom(buf)
		if err != nil {
			t.Fatalf("%s: no frame: %v", f, err)
		}
		p := gopacket.NewPacket(append([]byte(nil), buf[:n]...), layers.LayerTypeEthernet, gopacket.Default)
		if ip, ok := p.NetworkLayer().(*layers.IPv4); ok && f == vrrp.IPv4 && ip.Protocol == 112 {
			return p
		}
		if ip, ok := p.NetworkLayer().(*layers.IPv6); ok && f == vrrp.IPv6 && ip.NextHeader == 112 {
			return p
		}
	}
}

// Only VRRP reaches us, and nothing of what a VLAN above the interface hears.
func TestKernelFilter(t *testing.T) {
	a, b := pair(t, "a2", "b2")
	pb := open(t, b)
	ifi, err := net.InterfaceByIndex(a)
	if err != nil {
		t.Fatal(err)
	}
	c, err := packet.Listen(ifi, packet.Raw, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	src, msg := message(vrrp.IPv4)
	good := append(template(ifi.HardwareAddr, path(0, vrrp.IPv4, src)), msg...)
	complete(good, vrrp.IPv4, len(msg))
	edit := func(f func([]byte) []byte) []byte { return f(append([]byte(nil), good...)) }
	frames := map[string][]byte{
		"tcp":         edit(func(b []byte) []byte { b[ethernetSize+9] = 6; return b }),
		"other mac":   edit(func(b []byte) []byte { copy(b, []byte{2, 2, 2, 2, 2, 2}); return b }),
		"vlan tagged": edit(func(b []byte) []byte { return append(append(b[:12:12], 0x81, 0, 0, 5), b[12:]...) }),
		"good":        good,
	}
	for _, name := range []string{"tcp", "other mac", "vlan tagged", "good"} {
		if _, err := c.WriteTo(frames[name], &packet.Addr{HardwareAddr: groupMAC(vrrp.IPv4.Group())}); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	var seen [][]byte
	receive(t, pb, 1, func(k *vrrp.Packet) { seen = append(seen, append([]byte(nil), k.Data...)) })
	if len(seen) != 1 || !bytes.Equal(seen[0], good[ethernetSize:]) {
		t.Errorf("%d packets passed the filter, want the good one only: %x", len(seen), seen)
	}
}

// Wait may return early for no reason: a signal interrupts epoll_wait, and the Go
// runtime sends them (SIGURG, to preempt a goroutine). It must not find an event
// then, nor miss the deadline when waited for again.
func TestWaitKeepsItsDeadline(t *testing.T) {
	p, err := New(func(any) {})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for range 20 {
		deadline := p.Now() + 3*time.Millisecond
		for waits := 1; ; waits++ {
			p.Wait(deadline)
			now, events := p.Now(), p.fresh
			p.Receive(1, func(*vrrp.Packet) {})
			if now >= deadline {
				break
			}
			if events > 0 && deadline-now > ahead || waits == 100 {
				t.Fatalf("woke %s early with %d events, %d waits", deadline-now, events, waits)
			}
		}
	}
	p.Wake()
	p.Wake()
	start := p.Now()
	p.Wait(vrrp.Never) // returns because of Wake, or the test hangs
	if p.Receive(1, func(*vrrp.Packet) {}); p.woken.Load() {
		t.Error("the wake-up was not consumed")
	}
	p.Wait(start) // past: returns at once
}

// A long wait ends a little before its deadline, and the next one at it.
func TestLongWaitEndsAhead(t *testing.T) {
	p, err := New(func(any) {})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	deadline := p.Now() + 30*time.Millisecond
	p.Wait(deadline)
	if p.armed != deadline-ahead {
		t.Errorf("the first wait ends %s before the deadline, want %s", deadline-p.armed, ahead)
	}
	waits := 0
	for ; p.Now() < deadline; waits++ {
		p.Receive(1, func(*vrrp.Packet) {})
		p.Wait(deadline)
	}
	if waits > 0 && p.armed != deadline { // none are left where this test was held up
		t.Errorf("the last wait ends %s before the deadline", deadline-p.armed)
	}
}

// Every Wake after a value was posted leads to a turn that sees the value, even
// when it falls between reading the descriptor and lowering the flag.
func TestNoWakeIsLost(t *testing.T) {
	p, err := New(func(any) {})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	const n = 200_000
	inbox := make(chan int, 64)
	go func() {
		for i := range n {
			inbox <- i
			p.Wake()
		}
	}()
	for got := 0; got < n; {
		limit := p.Now() + 5*time.Second
		p.Wait(limit)
		if p.Now() >= limit {
			t.Fatalf("slept through a wake-up after %d of %d values; %d wait", got, n, len(inbox))
		}
		p.Receive(1, func(*vrrp.Packet) {})
		for empty := false; !empty; {
			select {
			case <-inbox:
				got++
			default:
				empty = true
			}
		}
	}
}

func TestBatchesAndBudget(t *testing.T) {
	a, b := pair(t, "a3", "b3")
	pa, pb := open(t, a), open(t, b)
	src, msg := message(vrrp.IPv4)
	const n = 500
	for range n {
		pa.Send(path(a, vrrp.IPv4, src), msg)
	}
	pa.Flush()
	if s := pa.Stats(a); s.Sent != n {
		t.Fatalf("sent %d of %d: %s", s.Sent, n, s.LastSendError)
	}
	got := 0
	pb.Wait(pb.Now() + time.Second)
	if more := pb.Receive(100, func(*vrrp.Packet) { got++ }); !more || got != 100 {
		t.Fatalf("budget 100: got %d, more %t", got, more)
	}
	got += receive(t, pb, n-100, func(*vrrp.Packet) {})
	if got != n {
		t.Errorf("%d of %d arrived", got, n)
	}
}

func TestForgetAndErrors(t *testing.T) {
	a, _ := pair(t, "a4", "b4")
	p := open(t, a)
	src, msg := message(vrrp.IPv4)
	p.Send(path(a, vrrp.IPv4, src), msg)
	p.Forget(a) // with a frame queued
	p.Flush()
	p.Send(path(a, vrrp.IPv4, src), msg)
	p.Flush()
	if s := p.Stats(a); s != (vrrp.SocketStats{}) {
		t.Errorf("a forgotten link has counters: %+v", s)
	}
	answers := make(chan vrrp.SocketReady, 4)
	q, err := New(func(v any) { answers <- v.(vrrp.SocketReady) })
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	q.Listen(grouped(99999, vrrp.IPv4))
	if got := <-answers; !strings.Contains(got.Err, "has gone") {
		t.Errorf("missing interface: %+v", got)
	}
	q.Listen(grouped(1, vrrp.IPv4))
	if got := <-answers; !strings.Contains(got.Err, "no Ethernet address") {
		t.Errorf("loopback: %+v", got)
	}
	q.adopt()
	l, err := netlink.LinkByIndex(a)
	if err != nil {
		t.Fatal(err)
	}
	q.Listen(grouped(a, vrrp.IPv4))
	if got := <-answers; got.Err != "" {
		t.Fatal(got.Err)
	}
	if err := netlink.LinkSetDown(l); err != nil {
		t.Fatal(err)
	}
	q.Send(path(a, vrrp.IPv4, src), msg)
	q.Send(path(a, vrrp.IPv4, src), msg)
	q.Flush()
	if s := q.Stats(a); s.SendErrors != 2 || s.LastSendError != "the interface is down" {
		t.Errorf("sending on a link that is down: %+v", s)
	}
}

func TestSendAllocatesNothing(t *testing.T) {
	a, _ := pair(t, "a5", "b5")
	p := open(t, a)
	src, msg := message(vrrp.IPv4)
	way := path(a, vrrp.IPv4, src)
	if n := testing.AllocsPerRun(200, func() {
		for range 64 {
			p.Send(way, msg)
		}
		p.Flush()
	}); n != 0 {
		t.Errorf("%v allocations for 64 adverts", n)
	}
}

func BenchmarkSendReceive(b *testing.B) {
	x, y := pair(b, "a6", "b6")
	pa, pb := open(b, x), open(b, y)
	src, msg := message(vrrp.IPv4)
	b.ReportAllocs()
	got, way := 0, path(x, vrrp.IPv4, src)
	for b.Loop() {
		for range 64 {
			pa.Send(way, msg)
		}
		pa.Flush()
		pb.Receive(1000, func(*vrrp.Packet) { got++ })
	}
	b.ReportMetric(float64(b.N)*64/b.Elapsed().Seconds(), "adverts/s")
	if got == 0 {
		b.Fatal("nothing arrived")
	}
}
