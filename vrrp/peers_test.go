package vrrp_test

import (
	"net/netip"
	"testing"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// The table of other routers on our VRID: what differs makes both Active, so
// whoever is refused is in it too.

func host(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(100 + n)}) }

func TestPeersAreRememberedBelievedOrNot(t *testing.T) {
	g := started(t, spec4())
	if p := g.r.Peers(); len(p) != 0 {
		t.Fatalf("knows %+v before anything was heard", p)
	}
	g.recv(peer4, 150, s)
	first := g.now
	g.wait(s)
	g.recv(peer4, 151, 2*s)
	want := vrrp.PeerView{Src: peer4, First: first, At: g.now, Version: 3, Priority: 151, Interval: 2 * s, Addresses: 1,
		Form: vrrp.MessageOnly, TTL: 255, SameAddresses: true, Believed: 2}
	if p := g.r.Peers(); len(p) != 1 || p[0] != want {
		t.Errorf("got  %+v\nwant %+v", p, want)
	}

	// The same host, refused: what it said is there, and that it was not believed.
	g.wait(s)
	g.deliver(broken(stimulus(vrrp.IPv4), func(b []byte) { b[20] = 0x21 }))
	p := g.r.Peers()
	if len(p) != 1 || p[0].Drop != vrrp.DropVersion || p[0].Refused != 1 || p[0].Believed != 2 || p[0].Version != 2 ||
		p[0].Form != vrrp.FormUnknown || p[0].At != g.now || p[0].First != first {
		t.Errorf("refused: %+v", p)
	}
	g.wait(s)
	g.recv(peer4, 151, s) // and believed again
	if p := g.r.Peers(); p[0].Drop != vrrp.Accepted || p[0].Refused != 1 || p[0].Believed != 3 || p[0].Version != 3 {
		t.Errorf("believed again: %+v", p)
	}

	// The view is a copy.
	v := g.r.View()
	v.Peers[0].Src = lower4
	if g.r.Peers()[0].Src != peer4 {
		t.Error("the view shares memory with the router")
	}
}

// Foreign: none of its addresses is ours; that is another group with our VRID.
func TestForeignPeers(t *testing.T) {
	g := started(t, spec4(serving(addrs("10.0.0.253", "10.0.0.252")...)))
	for _, tt := range []struct {
		list          []netip.Addr
		same, foreign bool
		told          string
	}{
		{addrs("10.0.0.252", "10.0.0.253"), true, false, ""},
		{addrs("10.0.0.253"), false, false, "tell address-list-mismatch"},
		{addrs("10.0.0.253", "10.0.0.253"), false, false, "tell address-list-mismatch"},
		{addrs("10.0.0.253", "10.9.9.9"), false, false, "tell address-list-mismatch"},
		{addrs("10.9.9.8", "10.9.9.9"), false, true, "tell foreign-group"},
	} {
		e := g.advert(peer4, 150, s)
		e.Advert.Addresses = tt.list
		g.want(g.step(e), tt.told)
		if p := g.r.Peers()[0]; p.SameAddresses != tt.same || p.Foreign != tt.foreign || p.Addresses != len(tt.list) {
			t.Errorf("%v: %+v", tt.list, p)
		}
	}
}

// The same where another version, or whatever else is refused, hides it.
func TestForeignPeersAreKnownThoughRefused(t *testing.T) {
	g := started(t, spec4(serving(addrs("10.0.0.253", "10.0.0.252")...)))
	for _, tt := range []struct {
		list    []netip.Addr
		count   byte
		foreign bool
	}{
		{addrs("10.9.9.8", "10.9.9.9"), 2, true},
		{addrs("10.9.9.8", "10.0.0.252"), 2, false},
		{addrs("10.9.9.8", "10.9.9.9"), 3, false}, // a list that is not all there says nothing
		{addrs("10.9.9.8", "10.9.9.9"), 0, false},
	} {
		a := vrrp.Advert{Version: vrrp.Version3, VRID: 52, Priority: 150, Interval: s, Addresses: tt.list}
		d := vrrp.Datagram{Family: vrrp.IPv4, Src: peer4, Dst: vrrp.IPv4.Group(), TTL: 255, VRID: 52}
		d.Message = a.Append(nil, peer4, d.Dst, vrrp.MessageOnly)
		d.Message[0], d.Message[3] = 0x21, tt.count
		if got := g.r.Refuse(&d, vrrp.DropVersion, g.now); got != tt.foreign || g.r.Peers()[0].Foreign != tt.foreign {
			t.Errorf("%v of %d: foreign %v, peer %+v", tt.list, tt.count, got, g.r.Peers()[0])
		}
	}
	g.recv(peer4, 150, s)
	if p := g.r.Peers()[0]; p.Foreign {
		t.Errorf("believed since: %+v", p)
	}
}

// Eight are remembered; the one heard longest ago makes room. The one heard last is first.
func TestPeersAreBounded(t *testing.T) {
	g := started(t, spec4())
	for i := range 8 {
		g.recv(host(i), 150, s)
		g.wait(100 * ms)
	}
	g.recv(host(0), 150, s) // heard again: host 1 is the oldest now
	g.wait(100 * ms)
	g.recv(host(8), 150, s)
	order := []int{8, 0, 7, 6, 5, 4, 3, 2}
	p := g.r.Peers()
	if len(p) != len(order) {
		t.Fatalf("%d peers", len(p))
	}
	for i, n := range order {
		if p[i].Src != host(n) {
			t.Errorf("place %d: %v, want %v", i, p[i].Src, host(n))
		}
	}
	if p[0].First != p[0].At || p[0].Believed != 1 || p[1].Believed != 2 {
		t.Errorf("a newcomer inherits: %+v", p[0])
	}

	// A flood of strangers turns the table over, and costs nothing more.
	u := started(t, spec4(unicast(peer4, 255)))
	for i := range 1000 {
		src := netip.AddrFrom4([4]byte{172, 16, byte(i >> 8), byte(i)})
		u.now += ms
		u.deliver(toUs(spec4(), src, vrrp.MessageOnly))
	}
	u.deliver(toUs(spec4(), peer4, vrrp.MessageOnly))
	if p := u.r.Peers(); len(p) != 8 || p[0].Src != peer4 || p[0].Believed != 1 {
		t.Errorf("after a flood: %+v", p)
	}
	u.counts("peer-source-errors", u.r.View().Counters.Drops[vrrp.DropPeerSource], 1000)
}

// What no router of good will sends is counted and leaves no name: it may be anybody's.
func TestWhoIsNotRemembered(t *testing.T) {
	g := promoted(t, spec4())
	for _, packet := range [][]byte{
		stimulus(vrrp.IPv4, func(m []byte) { m[0] = 0x32 }),
		stimulus(vrrp.IPv4, func(m []byte) { m[3] = 0 }),
		stimulus(vrrp.IPv4, func(m []byte) { m[3] = 9 }),
	} {
		if _, drop := g.deliver(packet); drop == vrrp.Accepted {
			t.Fatal("accepted")
		}
	}
	g.recv(self4, 100, s)                                                                 // our echo
	g.recv(self4, 77, s)                                                                  // our address, somebody else's words
	g.deliver(datagram(self4, vrrp.IPv4.Group(), stimulus(vrrp.IPv4)[20:]))               // the same
	g.deliver(datagram(self4, self4, stimulus(vrrp.IPv4)[20:]))                           // refused by Validate
	g.r.Refuse(&vrrp.Datagram{Family: vrrp.IPv4, Src: peer4}, vrrp.DropVersion, g.now)    // no message
	g.r.Refuse(&vrrp.Datagram{Message: stimulus(vrrp.IPv4)[20:]}, vrrp.DropTTL, g.now)    // no sender
	g.r.Refuse(&vrrp.Datagram{Src: peer4, Message: make([]byte, 7)}, vrrp.DropTTL, g.now) // half a header
	if p := g.r.Peers(); len(p) != 0 {
		t.Errorf("remembers %+v", p)
	}
	v := g.r.View().Counters.Drops
	if v[vrrp.DropType] != 1 || v[vrrp.DropAddrCountZero] != 1 || v[vrrp.DropLength] != 1 {
		t.Errorf("not counted: %v", v)
	}
}

// In Initialize a peer is refused too, and remembered when Validate refused it.
func TestPeersInInitialize(t *testing.T) {
	g := newRig(t, spec4())
	g.deliver(broken(stimulus(vrrp.IPv4), func(b []byte) { b[20] = 0x21 }))
	if p := g.r.Peers(); len(p) != 1 || p[0].Src != peer4 || p[0].Refused != 1 {
		t.Errorf("peers %+v", p)
	}
}
