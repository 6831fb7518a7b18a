package netns

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// The virtual MACs of VRID 61 (RFC 9568 7.3).
var (
	mac4 = net.HardwareAddr{0x00, 0x00, 0x5e, 0x00, 0x01, 61}
	mac6 = net.HardwareAddr{0x00, 0x00, 0x5e, 0x00, 0x02, 61}
)

// virtual reports whether a frame was sent from a virtual MAC.
func virtual(f *lab.Frame) bool { return bytes.HasPrefix(f.SrcMAC, []byte{0, 0, 0x5e, 0}) }

// by is the frames of a host from an instant on.
func (s *scene) by(host string, from time.Duration, keep func(*lab.Frame) bool) []lab.Frame {
	return s.sniffer.Frames(from, func(f *lab.Frame) bool { return f.Host == host && keep(f) })
}

// ask sends a question for an address to the link and returns the frames that
// answered it within a moment.
func (s *scene) ask(a netip.Addr) []lab.Frame {
	s.t.Helper()
	from := lab.Now()
	if _, err := s.Host("client").WhoHas(a, 300*time.Millisecond); err != nil {
		s.t.Fatal(err)
	}
	return s.sniffer.Frames(from, func(f *lab.Frame) bool {
		return f.ARP != nil && f.ARP.Op == 2 && f.ARP.SenderAddr == a || f.Neighbour != nil && f.Neighbour.Solicited && f.Neighbour.Target == a
	})
}

// run runs a command on a host, which must succeed.
func (s *scene) run(host string, argv ...string) string {
	s.t.Helper()
	out, err := s.Host(host).Run(s.ctx, argv...)
	s.must(err)
	return out
}

// conf reads or writes a switch below /proc/sys/net of a host.
func (s *scene) conf(host, name string, value ...string) string {
	s.t.Helper()
	if len(value) > 0 {
		s.run(host, "sh", "-c", "echo "+value[0]+" > /proc/sys/net/"+name)
	}
	return strings.TrimSpace(s.run(host, "cat", "/proc/sys/net/"+name))
}

// macOf is the name of the macvlan of an election on a host.
func (s *scene) macOf(host, family string) string {
	s.t.Helper()
	for _, line := range strings.Split(s.run(host, "ip", "-o", "link", "show", "type", "macvlan"), "\n") {
		if f := strings.Fields(line); len(f) > 1 && strings.HasPrefix(f[1], "vr"+family+".") {
			name, _, _ := strings.Cut(f[1], "@")
			return name
		}
	}
	s.t.Fatalf("no macvlan of IPv%s on %s:\n%s", family, host, s.run(host, "ip", "link"))
	return ""
}

func macWeb(lines ...string) string  { return web(append(lines, "virtual_mac = true")...) }
func macWeb6(lines ...string) string { return web6(append(lines, "virtual_mac = true")...) }

// One life of an IPv4 router with a virtual MAC: where its frames come from, who
// answers for it, what a Backup leaks (nothing), and that a failover changes
// nothing for a neighbour.
//
// conformance: W3, W23, I8, B16, B17, H1, H2, L1, L3, A22
func TestVirtualMACIPv4(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(macWeb()))
	s.rest(2 * time.Second)
	for _, f := range s.sniffer.Adverts(0, "r1") {
		if !bytes.Equal(f.SrcMAC, mac4) || f.DstMAC.String() != "01:00:5e:00:00:12" {
			t.Fatalf("advert from %s to %s", f.SrcMAC, f.DstMAC)
		}
	}
	news := s.by("r1", 0, func(f *lab.Frame) bool { return announced(f, vip4) })
	if len(news) == 0 {
		t.Fatal("nothing was announced")
	}
	for _, f := range news {
		if a := f.ARP; !bytes.Equal(f.SrcMAC, mac4) || !bytes.Equal(a.SenderMAC, mac4) || a.Op != 1 || a.TargetAddr != vip4 {
			t.Fatalf("announced by %s: %+v", f.SrcMAC, a)
		}
	}
	if leaks := s.by("r2", 0, virtual); len(leaks) > 0 {
		t.Fatalf("a Backup sent %d frames from a virtual MAC, the first % x", len(leaks), leaks[0].Raw)
	}
	if a := s.ask(vip4); len(a) != 1 || a[0].Host != "r1" || !bytes.Equal(a[0].SrcMAC, mac4) || !bytes.Equal(a[0].ARP.SenderMAC, mac4) {
		t.Errorf("%d answers for the virtual address: %+v", len(a), a)
	}
	for _, r := range []string{"r1", "r2"} {
		h := s.Host(r)
		if a := s.ask(h.Addr4(0).Addr()); len(a) != 1 || !bytes.Equal(a[0].SrcMAC, h.MAC(0)) || !bytes.Equal(a[0].ARP.SenderMAC, h.MAC(0)) {
			t.Errorf("%d answers for the address of %s: %+v", len(a), r, a)
		}
	}
	before := s.run("client", "ip", "neigh", "show", vip4.String())
	if !strings.Contains(before, mac4.String()) {
		t.Errorf("the client knows %q", before)
	}
	fault := lab.Now()
	s.r1.Kill()
	s.active("r2")
	s.takeover(fault, down)
	if after := s.run("client", "ip", "neigh", "show", vip4.String()); !strings.Contains(after, mac4.String()) {
		t.Errorf("after the failover the client knows %q", after)
	}
	// Somewhere between there was no frame with another MAC for the address.
	for _, f := range s.sniffer.Frames(0, func(f *lab.Frame) bool {
		return f.ARP != nil && f.ARP.SenderAddr == vip4 && !bytes.Equal(f.ARP.SenderMAC, mac4)
	}) {
		t.Errorf("%s claims the address for %s", f.Host, f.ARP.SenderMAC)
	}
}

// The same for IPv6: the virtual link-local first, answers with Router flag,
// group memberships, no address made from the virtual MAC.
//
// conformance: W9, B15, H3, H5, H16, L9
func TestVirtualMACIPv6(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(macWeb6()))
	s.rest(2 * time.Second)
	for _, f := range s.sniffer.Adverts(0, "r1") {
		if !bytes.Equal(f.SrcMAC, mac6) || f.DstMAC.String() != "33:33:00:00:00:12" || f.Src != s.Host("r1").LinkLocal(0) {
			t.Fatalf("advert from %s (%s) to %s", f.SrcMAC, f.Src, f.DstMAC)
		}
	}
	if leaks := s.by("r2", 0, virtual); len(leaks) > 0 {
		t.Fatalf("a Backup sent %d frames from a virtual MAC, the first % x", len(leaks), leaks[0].Raw)
	}
	first := s.by("r1", 0, func(f *lab.Frame) bool { return f.Neighbour != nil && !f.Neighbour.Solicited })
	if len(first) < 2 || first[0].Neighbour.Target != netip.MustParseAddr("fe80::61") || first[1].Neighbour.Target != vip6 {
		t.Fatalf("first announced: %+v", first)
	}
	for _, f := range first {
		if n := f.Neighbour; !bytes.Equal(f.SrcMAC, mac6) || !bytes.Equal(n.MAC, mac6) || !n.Router || !n.Override {
			t.Fatalf("announced by %s: %+v", f.SrcMAC, n)
		}
	}
	for _, a := range []netip.Addr{netip.MustParseAddr("fe80::61"), vip6} {
		got := s.ask(a)
		if len(got) != 1 || got[0].Host != "r1" || !bytes.Equal(got[0].SrcMAC, mac6) {
			t.Fatalf("%d answers for %s: %+v", len(got), a, got)
		}
		if n := got[0].Neighbour; !n.Router || !n.Override || !bytes.Equal(n.MAC, mac6) {
			t.Errorf("answer for %s: %+v", a, n)
		}
	}
	link := s.macOf("r1", "6")
	groups := s.run("r1", "ip", "-6", "maddr", "show", "dev", link)
	for _, g := range []string{"ff02::1:ff00:61", "ff02::1:ff00:100"} {
		if !strings.Contains(groups, g) {
			t.Errorf("%s is not a member of %s:\n%s", link, g, groups)
		}
	}
	for _, r := range []string{"r1", "r2"} {
		if list := s.run(r, "ip", "-6", "addr"); strings.Contains(list, "fe80::200:5eff") {
			t.Errorf("%s has an address made from the virtual MAC:\n%s", r, list)
		}
	}
}

// Backup and Active on the way of packets: what is sent to the virtual MAC is
// forwarded and, if accepted, answered by the Active alone.
//
// conformance: B12, B13, H6, H10, H19, H20
func TestForwarding(t *testing.T) {
	t.Parallel()
	s := newForwarding(t, config(macWeb()))
	far := netip.MustParseAddr("198.51.100.9")
	through, err := s.Host("client").Probe(lab.ProbeSpec{Target: far, Interval: time.Millisecond})
	s.must(err)
	s.start(s.r1, s.r2)
	s.active("r1")
	s.until("packets to be forwarded", func() bool { return through.Since(lab.Now() - 100*time.Millisecond).Answered })

	neighbour := s.run("client", "ip", "neigh", "show", vip4.String())
	fault := lab.Now()
	s.must(s.r1.Stop(s.ctx))
	s.active("r2")
	s.rest(300 * time.Millisecond)
	stop := through.Since(fault)
	t.Logf("stop: %s", stop)
	if stop.Silence > skew+s.slack(fault) {
		t.Errorf("silence of %s after a resignation, Skew_Time is %s", stop.Silence, skew)
	}
	if after := s.run("client", "ip", "neigh", "show", vip4.String()); !strings.Contains(after, mac4.String()) || !strings.Contains(neighbour, mac4.String()) {
		t.Errorf("the client knew %q and knows %q", neighbour, after)
	}
	back := lab.Now()
	s.start(s.r1)
	s.active("r1")
	s.rest(300 * time.Millisecond)
	if r := through.Since(back); r.Silence > s.slack(back) {
		t.Errorf("silence of %s at the hand-back", r.Silence)
	} else {
		t.Logf("hand-back: %s", r)
	}
	kill := lab.Now()
	s.r1.Kill()
	s.active("r2")
	s.rest(300 * time.Millisecond)
	if r := through.Since(kill); r.Silence > down+s.slack(kill) {
		t.Errorf("silence of %s after a kill, bound %s", r.Silence, down)
	} else {
		t.Logf("kill: %s", r)
	}

	// A Backup: somebody better is on the link, and nobody has the addresses.
	s.must(s.r2.Stop(s.ctx))
	s.must(s.Host("client").PinNeighbour(vip4, mac4))
	stopForging := s.forge(lab.Forgery{Advert: lab.Advert{VRID: 61, Priority: 200, Interval: interval, Addresses: []netip.Addr{vip4}}})
	defer stopForging()
	s.start(s.r2)
	s.state("r2", "backup")
	s.rest(100 * time.Millisecond)
	from := lab.Now()
	s.rest(500 * time.Millisecond)
	if r := through.Since(from); r.Answered {
		t.Errorf("a Backup forwards what is sent to the virtual MAC: %s", r)
	}
	if r := s.probe.Since(from); r.Answered {
		t.Errorf("a Backup answers what is sent to the virtual MAC: %s", r)
	}
	if n := len(s.by("r2", from, virtual)); n > 0 {
		t.Errorf("a Backup sent %d frames from the virtual MAC", n)
	}
}

// newForwarding is a scene with a second link, on which other is the only way to
// 198.51.100.9. The client goes there by the virtual address.
func newForwarding(t *testing.T, text string) *scene {
	t.Helper()
	s := newSceneOn(t, text, 2)
	s.run("other", "ip", "addr", "add", "198.51.100.9/32", "dev", "lo")
	s.run("other", "ip", "link", "set", "lo", "up")
	s.run("client", "ip", "route", "add", "198.51.100.9", "via", vip4.String())
	for _, r := range []string{"r1", "r2"} {
		s.conf(r, "ipv4/ip_forward", "1")
		s.conf(r, "ipv6/conf/all/forwarding", "1")
		s.run(r, "ip", "route", "add", "198.51.100.9", "via", s.Host("other").Addr4(1).Addr().String())
	}
	return s
}

// forge lets other send an advert again and again, until the returned function is called.
func (s *scene) forge(f lab.Forgery) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if err := s.Host("other").Forge(f); err != nil {
				return
			}
			select {
			case <-done:
				return
			case <-time.After(f.Interval / 2):
			}
		}
	}()
	return func() { close(done); <-ended }
}

// Accept mode off: ARP and neighbour discovery are answered, nothing else is,
// but what is only passed through passes.
//
// conformance: H7, H8, H9
func TestAcceptModeOff(t *testing.T) {
	t.Parallel()
	s := newForwarding(t, config(
		routerBlock("web", 61, `addresses = ["10.77.0.100/24"]`, "virtual_mac = true", "accept = false"),
		routerBlock("six", 61, `addresses = ["fe80::61/64", "fd77::100/64"]`, "virtual_mac = true", "accept = false")))
	through, err := s.Host("client").Probe(lab.ProbeSpec{Target: netip.MustParseAddr("198.51.100.9"), Interval: time.Millisecond})
	s.must(err)
	s.start(s.r1)
	s.until("both to be Active", func() bool {
		return s.r1.State(s.ctx, "web") == "active" && s.r1.State(s.ctx, "six") == "active" && s.Host("r1").Has(vip6)
	})
	s.until("packets to be forwarded", func() bool { return through.Since(lab.Now() - 100*time.Millisecond).Answered })
	for _, a := range []netip.Addr{vip4, vip6, netip.MustParseAddr("fe80::61")} {
		if got := s.ask(a); len(got) != 1 || got[0].Host != "r1" {
			t.Errorf("%d answers for %s", len(got), a)
		}
		target := a.String()
		if a.IsLinkLocalUnicast() {
			target += "%eth0"
		}
		if out, err := s.Host("client").Run(s.ctx, "ping", "-c", "2", "-i", "0.2", "-W", "1", target); err == nil {
			t.Errorf("%s answers echo requests:\n%s", a, out)
		}
	}
	if r := s.probe.Since(0); r.Answered {
		t.Error("the address was answered")
	}
}

// Accept mode on, and the owner whatever the mode: every kind of address
// answers, from itself.
//
// conformance: H10, H11
func TestAcceptModeOnAndOwner(t *testing.T) {
	t.Parallel()
	for name, line := range map[string]string{"on": "accept = true", "owner": "accept = false\n  owner = true"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lines := []string{`addresses = ["fe80::61/64", "fd77::100/64", "10.77.0.100/24"]`, "virtual_mac = true"}
			if name == "owner" {
				lines = append(lines, "priority = 255")
			}
			s := newScene(t, config(routerBlock("web", 61, append(lines, line)...)))
			s.start(s.r1)
			s.active("r1")
			for _, target := range []string{vip4.String(), vip6.String(), "fe80::61%eth0"} {
				s.run("client", "ping", "-c", "1", "-W", "2", target)
			}
		})
	}
}
