package daemon_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

var (
	peerA = netip.MustParseAddr("10.0.0.3")
	peerB = netip.MustParseAddr("192.0.2.7")
)

func unicast(peers ...netip.Addr) func(*daemon.RouterConfig) {
	return func(c *daemon.RouterConfig) {
		for _, p := range peers {
			c.Spec.Peers = append(c.Spec.Peers, vrrp.Peer{Addr: p, MinTTL: 255})
		}
	}
}

// A copy to each peer, none to the group; with the pseudo-header each has its
// own checksum.
//
// conformance: U1, U6
func TestUnicastSendsOneCopyToEachPeer(t *testing.T) {
	g := newRig(t, web(unicast(peerA, peerB), func(c *daemon.RouterConfig) { c.Spec.Checksum = vrrp.ChecksumRFC5798 }))
	g.post(level(), vrrp.SocketReady{Listening: vrrp.Listening{Link: eth0, Family: vrrp.IPv4}})
	g.wait(3700 * ms)
	if len(g.sent) != 2 {
		t.Fatalf("sent %v", g.sent)
	}
	for i, peer := range []netip.Addr{peerA, peerB} {
		p := g.paths[i]
		if p.Dst != peer || p.Src != self4 || p.TTL != 255 || p.MAC != [6]byte{} || p.Link != eth0 {
			t.Errorf("path %+v", p)
		}
		d := vrrp.Datagram{Family: vrrp.IPv4, Src: p.Src, Dst: p.Dst, TTL: 255, Message: g.messages[i]}
		spec := vrrp.Spec{Family: vrrp.IPv4, VRID: 52, Interval: s, Peers: []vrrp.Peer{{Addr: self4, MinTTL: 255}}}
		if form, drop := vrrp.Validate(&d, &spec, &vrrp.Advert{}); drop != vrrp.Accepted || form != vrrp.WithPseudoHeader {
			t.Errorf("the copy to %s: %v, %v", peer, form, drop)
		}
	}
	g.calls = nil
	if r := g.status("web").Routers[0]; r.Mode != "unicast" || !slices.Equal(r.UnicastPeers, []string{"10.0.0.3", "192.0.2.7"}) || r.MulticastGroup != "" {
		t.Errorf("status %+v", r)
	}
}

// The wish for sockets says which group, and what a reload changes of it is a
// new router.
func TestListeningFollowsTheMode(t *testing.T) {
	other := netip.MustParseAddr("239.1.2.3")
	g := newRig(t, web(func(c *daemon.RouterConfig) { c.Spec.Group = other }))
	g.took()
	g.post(level())
	g.wantCalls("listen 7 ipv4 239.1.2.3")
	g.post(vrrp.SocketReady{Listening: vrrp.Listening{Link: eth0, Family: vrrp.IPv4, Group: other}})
	g.wait(4 * s)
	if p := g.paths[0]; p.Dst != other {
		t.Errorf("sent to %s", p.Dst)
	}
	if plan := g.reload(web(unicast(peerA))); plan.Steps[0].Change != daemon.Replace {
		t.Errorf("plan %v", plan)
	}
	if plan := daemon.MakePlan(config(web(unicast(peerA))), config(web(unicast(peerB)))); plan.Steps[0].Change != daemon.Adjust ||
		plan.Steps[0].Differences[0] != "peers 10.0.0.3 -> 192.0.2.7" {
		t.Errorf("plan %v", plan)
	}
}

// Several routers may have one VRID if their groups or peers differ.
//
// conformance: U3
func TestOneVRIDSeveralRouters(t *testing.T) {
	g := newRig(t, web(), web(named("uni", 52, 54), unicast(peerA)), web(named("zoo", 52, 55), unicast(peerB)))
	g.post(level(), ready(eth0, vrrp.IPv4), vrrp.SocketReady{Listening: vrrp.Listening{Link: eth0, Family: vrrp.IPv4}})
	deliver := func(src, dst netip.Addr) {
		b := packet(src, 52, 200, s, vip4)
		copy(b[16:20], dst.AsSlice())
		g.queue = append(g.queue, vrrp.Packet{Link: eth0, Family: vrrp.IPv4, At: g.now, Data: b})
		g.turn()
	}
	heard := func(name string) uint64 { return g.status(name).Routers[0].Counters["advertisement-rcvd"] }
	deliver(peerA, vrrp.IPv4.Group())
	deliver(peerA, self4)
	deliver(peerB, self4)
	deliver(netip.MustParseAddr("10.9.9.9"), self4)
	for _, name := range []string{"web", "uni", "zoo"} {
		if n := heard(name); n != 1 {
			t.Errorf("%s heard %d adverts, want 1", name, n)
		}
	}
	// The stranger's was told by one of them.
	total := uint64(0)
	for _, r := range g.status("").Routers {
		total += r.Counters["mode-mismatch-errors"] + r.Counters["peer-source-errors"]
	}
	if total != 1 {
		t.Errorf("the stranger was counted %d times", total)
	}
}

func macced(c *daemon.RouterConfig) { c.VirtualMAC = true }

// The macvlan comes first: before it is there, the router takes no part; what
// leaves carries the virtual MAC.
func TestVirtualMAC(t *testing.T) {
	g := newRig(t, web(macced))
	g.up()
	if st := g.state("web"); st != "initialize" || len(g.wants) != 1 {
		t.Fatalf("%s with %d wishes", st, len(g.wants))
	}
	w := g.wants[0]
	if w.Active || w.VirtualMAC == nil || w.VirtualMAC.MAC != [6]byte{0, 0, 0x5e, 0, 1, 52} || w.VirtualMAC.Parent != eth0 || w.VirtualMAC.IPv6 {
		t.Fatalf("wish %+v", w)
	}
	g.post(actions.Applied{Router: 1, Term: w.Term, NoVirtualMAC: "macvlan vrrp.52 on eth0 has the virtual MAC already"})
	if r := g.status("web").Routers[0]; r.Fault != "virtual-mac" || !strings.Contains(r.FaultDetail, "vrrp.52") {
		t.Errorf("fault %s: %s", r.Fault, r.FaultDetail)
	}
	g.wait(6 * s) // tried again
	if len(g.wants) != 2 {
		t.Fatalf("%d wishes", len(g.wants))
	}
	g.apply()
	if st := g.state("web"); st != "backup" {
		t.Fatalf("%s", st)
	}
	g.wait(4 * s)
	if p := g.paths[0]; p.MAC != [6]byte{0, 0, 0x5e, 0, 1, 52} {
		t.Errorf("sent from %x", p.MAC)
	}
	g.apply()
	if a := g.announced[len(g.announced)-1].Targets[0]; a.MAC != [6]byte{0, 0, 0x5e, 0, 1, 52} || a.Link != eth0 {
		t.Errorf("announced %+v", a)
	}
	r := g.status("web").Routers[0]
	if r.VirtualMAC != "00:00:5e:00:01:34" || !r.Addresses[0].Present {
		t.Errorf("status: %q, address present=%t", r.VirtualMAC, r.Addresses[0].Present)
	}
	// Another interface of the same name: another macvlan.
	g.post(level(func(l *actions.LinkChanged) { l.Index = 0; l.Up = false }))
	g.post(level(func(l *actions.LinkChanged) { l.Index = 17 }), ready(17, vrrp.IPv4))
	last := g.wants[len(g.wants)-1]
	if last.Active || last.VirtualMAC == nil || last.VirtualMAC.Parent != 17 {
		t.Errorf("last wish %+v", last)
	}
}

// Addresses, routes and rules elsewhere go with the router; when the other
// interface comes late, they are wanted again.
func TestRideAlongOnAnotherInterface(t *testing.T) {
	g := newRig(t, web(func(c *daemon.RouterConfig) {
		c.Addresses = append(c.Addresses, actions.Address{Prefix: netip.MustParsePrefix("192.0.2.9/24"), Interface: "eth1", Label: "eth1:v"})
		c.Routes = []actions.Route{{Dst: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("192.0.2.1"), Interface: "eth1"}}
		c.Rules = []actions.Rule{{From: netip.MustParsePrefix("10.0.0.0/24"), Table: 100, Priority: 77}}
	}))
	g.wantCalls("watch eth0,eth1")
	g.up().wait(4 * s)
	w := g.wants[0]
	if len(w.Addresses) != 2 || w.Addresses[1].Link != 0 || w.Addresses[1].LinkName != "eth1" || w.Addresses[0].Link != eth0 || len(w.Routes) != 1 || len(w.Rules) != 1 {
		t.Fatalf("wish %+v", w)
	}
	g.apply()
	if n := len(g.announced[0].Targets); n != 1 {
		t.Errorf("announced on %d interfaces, want 1", n)
	}
	g.post(second(func(l *actions.LinkChanged) { l.MAC[5] = 9 }))
	w = g.wants[len(g.wants)-1]
	if w.Addresses[1].Link != eth1 || w.Routes[0].Link != eth1 {
		t.Fatalf("wish after eth1 has come: %+v", w)
	}
	g.apply()
	last := g.announced[len(g.announced)-1]
	if len(last.Targets) != 2 || last.Targets[1].Link != eth1 || last.Targets[1].MAC[5] != 9 {
		t.Errorf("announced %+v", last.Targets)
	}
	r := g.status("web").Routers[0]
	if !slices.Equal(r.Routes, []string{"default via 192.0.2.1 dev eth1"}) || !slices.Equal(r.Rules, []string{"77: from 10.0.0.0/24 lookup 100"}) {
		t.Errorf("routes %q, rules %q", r.Routes, r.Rules)
	}
}

// Router Advertisements begin with the addresses and end without a word.
func TestRouterAdvertisementsFollowTheState(t *testing.T) {
	six := netip.MustParseAddr("fe80::53")
	g := newRig(t, web(func(c *daemon.RouterConfig) {
		c.Spec.Family, c.Spec.Addresses, c.Addresses = vrrp.IPv6, []netip.Addr{six}, held(netip.PrefixFrom(six, 64))
		c.RouterAdvert.On = true
	}))
	g.up().wait(4 * s)
	g.took()
	g.apply()
	g.wantCalls("announce 1.1 [fe80::53] once=false", "advertise 1.1 from fe80::53")
	g.loop.Post(daemon.Stop{Detail: "test"})
	g.turn()
	if calls := g.took(); !slices.Contains(calls, "withdraw 1") {
		t.Errorf("calls %q", calls)
	}
}

// Somebody else claims our address: it is announced again, at most once a
// second, and told.
func TestClaimedAddress(t *testing.T) {
	g := newRig(t, web()).active()
	g.wait(2 * s)
	g.took()
	for range 50 {
		g.post(actions.Claimed{Router: 1, Term: 1, Link: eth0, Address: vip4, MAC: [6]byte{2, 0, 0, 0, 0, 9}})
	}
	g.wantCalls("announce 1.1 [10.0.0.53] once=true")
	if n := g.status("web").Routers[0].Notices; len(n) != 1 || n[0].Name != "address-claimed" || !strings.Contains(n[0].Text, "02:00:00:00:00:09 claims our address 10.0.0.53") {
		t.Errorf("notices %+v", n)
	}
	g.post(actions.Claimed{Router: 1, Term: 99, Address: vip4})
	g.wantCalls() // an answer to another wish
}

// A bond's failover shows as a counter: an advert teaches the switches, an
// announcement the neighbours. Half an interval is the least between two.
func TestBondFailover(t *testing.T) {
	g := newRig(t, web()).active()
	g.wait(2500 * ms)
	g.took()
	g.post(level(func(l *actions.LinkChanged) { l.Failovers = 1 }))
	g.wantCalls("send 52 100 from 10.0.0.1", "announce 1.1 [10.0.0.53] once=true")
}

// Another group on our VRID is named, with a number that is free.
func TestForeignGroupIsNamed(t *testing.T) {
	g := newRig(t, web(), web(named("next", 53, 60))).up()
	g.receive(54, 100) // somebody's
	g.queue = append(g.queue, vrrp.Packet{Link: eth0, Family: vrrp.IPv4, At: g.now, Data: packet(peer4, 52, 200, s, netip.MustParseAddr("172.16.0.1"))})
	g.turn()
	r := g.status("web").Routers[0]
	if len(r.Notices) != 1 || r.Notices[0].Name != "foreign-group" || !strings.Contains(r.Notices[0].Text, "VRID 55 is free") {
		t.Errorf("notices %+v", r.Notices)
	}
	if len(r.Peers) != 1 || !r.Peers[0].ForeignGroup || r.Peers[0].Address != "10.0.0.3" || r.Peers[0].Believed != 1 {
		t.Errorf("peers %+v", r.Peers)
	}
}

// Also where it is not believed: a keepalived of another group that was left at
// its default, version 2.
func TestForeignGroupOfAnotherVersionIsNamed(t *testing.T) {
	g := newRig(t, web()).up()
	other := packet(peer4, 52, 200, s, netip.MustParseAddr("172.16.0.1"))
	other[20] = 0x21
	g.queue = append(g.queue, vrrp.Packet{Link: eth0, Family: vrrp.IPv4, At: g.now, Data: other})
	g.turn()
	r := g.status("web").Routers[0]
	if len(r.Refused) != 1 || !strings.Contains(r.Refused[0].Text, "none of its addresses is ours") || !strings.Contains(r.Refused[0].Text, "VRID 53 is free") {
		t.Errorf("refused %+v", r.Refused)
	}
	if len(r.Peers) != 1 || !r.Peers[0].ForeignGroup {
		t.Errorf("peers %+v", r.Peers)
	}
}

// The configured source must be there, and nothing else will do.
func TestConfiguredSource(t *testing.T) {
	g := newRig(t, web(func(c *daemon.RouterConfig) { c.Source = netip.MustParseAddr("10.0.0.2") })).up()
	if r := g.status("web").Routers[0]; r.Fault != "no-primary-ip-address" || !strings.Contains(r.FaultDetail, `source = "10.0.0.2"`) {
		t.Errorf("%s: %s", r.Fault, r.FaultDetail)
	}
	g.post(level(addresses("10.0.0.1/24", "10.0.0.2/24")))
	if r := g.status("web").Routers[0]; r.State != "backup" || r.PrimaryIPAddr != "10.0.0.2" {
		t.Errorf("%s from %s", r.State, r.PrimaryIPAddr)
	}
}

// Peers that are known by global addresses are spoken to from one.
func TestUnicastIPv6Source(t *testing.T) {
	six := netip.MustParseAddr("fe80::53")
	for peer, want := range map[string]string{"2001:db8::3": "2001:db8::1", "fe80::3": "fe80::1"} {
		g := newRig(t, web(func(c *daemon.RouterConfig) {
			c.Spec.Family, c.Spec.Addresses, c.Addresses = vrrp.IPv6, []netip.Addr{six}, held(netip.PrefixFrom(six, 64))
		}, unicast(netip.MustParseAddr(peer))))
		g.post(level(addresses("fe80::1/64", "2001:db8::1/64")), vrrp.SocketReady{Listening: vrrp.Listening{Link: eth0, Family: vrrp.IPv6}})
		if r := g.status("web").Routers[0]; r.PrimaryIPAddr != want {
			t.Errorf("to %s from %q, want %s (%s)", peer, r.PrimaryIPAddr, want, r.FaultDetail)
		}
	}
}
