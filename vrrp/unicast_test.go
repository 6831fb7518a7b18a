package vrrp_test

import (
	"net/netip"
	"testing"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// U: unicast. No RFC defines it; reference/vrrp.md 5.2 and 8.11.

var (
	far4     = netip.MustParseAddr("192.0.2.77")
	stranger = netip.MustParseAddr("10.0.0.66")
)

// toUs is what src sends to one of our addresses.
func toUs(sp vrrp.Spec, src netip.Addr, form vrrp.ChecksumForm) []byte {
	a := vrrp.Advert{Version: sp.V(), VRID: sp.VRID, Priority: 250, Interval: sp.Interval, Addresses: sp.Addresses}
	return datagram(src, source(sp.Family), a.Append(nil, src, source(sp.Family), form))
}

// Peers make a router unicast: it has no group, and there is nothing to send to one.
func TestU1_PeersInsteadOfAGroup(t *testing.T) {
	sp := spec4(unicast(peer4, 255), unicast(far4, 250))
	if !sp.Unicast() || sp.MulticastGroup().IsValid() || !sp.HasPeer(peer4) || !sp.HasPeer(far4) || sp.HasPeer(stranger) {
		t.Errorf("unicast %v, group %v", sp.Unicast(), sp.MulticastGroup())
	}
	sp = spec4()
	if sp.Unicast() || sp.MulticastGroup() != netip.MustParseAddr("224.0.0.18") || sp.HasPeer(peer4) {
		t.Errorf("unicast %v, group %v", sp.Unicast(), sp.MulticastGroup())
	}
	believedBy(t, spec4(unicast(peer4, 255)), toUs(spec4(), peer4, vrrp.MessageOnly))
	g := believedBy(t, spec6(unicast(peer6, 255)), toUs(spec6(), peer6, vrrp.WithPseudoHeader))
	if p := g.r.Peers(); len(p) != 1 || !p[0].Unicast || p[0].TTL != vrrp.HopLimit {
		t.Errorf("peers %+v", p)
	}
	believedBy(t, spec2(unicast(peer4, 255)), toUs(spec2(), peer4, vrrp.MessageOnly))
	// The election is the same.
	g = started(t, spec4(unicast(peer4, 255)))
	g.took(g.until(vrrp.Active), downAt100)
}

// Whoever is no peer is refused, counted, and remembered by name.
func TestU2_Strangers(t *testing.T) {
	g := refusedBy(t, spec4(unicast(peer4, 255)), toUs(spec4(), stranger, vrrp.MessageOnly), vrrp.DropPeerSource)
	if p := g.r.Peers(); len(p) != 1 || p[0].Src != stranger || p[0].Drop != vrrp.DropPeerSource || !p[0].Unicast || p[0].Priority != 250 {
		t.Errorf("peers %+v", p)
	}
	refusedBy(t, spec6(unicast(peer6, 255)), toUs(spec6(), lower6, vrrp.WithPseudoHeader), vrrp.DropPeerSource)
	// A stranger from far away is a stranger, as long as some peer may be far away.
	packet := broken(toUs(spec4(), stranger, vrrp.MessageOnly), func(b []byte) { b[8] = 60 })
	refusedBy(t, spec4(unicast(peer4, 255), unicast(far4, 60)), packet, vrrp.DropPeerSource)
	refusedBy(t, spec4(unicast(peer4, 255), unicast(far4, 61)), packet, vrrp.DropTTL)
}

// A packet to the group is not for a unicast router, and one of another group
// not for this one.
func TestU3_MulticastToAUnicastRouter(t *testing.T) {
	g := refusedBy(t, spec4(unicast(peer4, 255)), stimulus(vrrp.IPv4), vrrp.DropModeMismatch)
	if p := g.r.Peers(); len(p) != 1 || p[0].Unicast || p[0].Drop != vrrp.DropModeMismatch {
		t.Errorf("peers %+v", p)
	}
	refusedBy(t, spec6(unicast(peer6, 255)), stimulus(vrrp.IPv6), vrrp.DropModeMismatch)

	other := netip.MustParseAddr("239.1.2.3")
	custom := spec4(func(sp *vrrp.Spec) { sp.Group = other })
	if custom.MulticastGroup() != other {
		t.Fatalf("group %v", custom.MulticastGroup())
	}
	refusedBy(t, custom, stimulus(vrrp.IPv4), vrrp.DropModeMismatch)
	refusedBy(t, custom, toUs(custom, peer4, vrrp.MessageOnly), vrrp.DropModeMismatch)
	a := vrrp.Advert{VRID: 52, Priority: 250, Interval: s, Addresses: custom.Addresses}
	toOther := datagram(peer4, other, a.Append(nil, peer4, other, vrrp.MessageOnly))
	believedBy(t, custom, toOther)
	refusedBy(t, spec4(), toOther, vrrp.DropModeMismatch)
	refusedBy(t, custom, broken(toOther, func(b []byte) { b[8] = 254 }), vrrp.DropTTL)
}

// From a peer, 255 by default; less where that is configured, for that peer alone.
func TestU5_TTL(t *testing.T) {
	for _, tt := range []struct {
		least, ttl uint8
		want       vrrp.Drop
	}{{255, 255, vrrp.Accepted}, {255, 254, vrrp.DropTTL}, {250, 254, vrrp.Accepted}, {250, 250, vrrp.Accepted}, {250, 249, vrrp.DropTTL}, {1, 1, vrrp.Accepted}, {1, 0, vrrp.DropTTL}} {
		for _, six := range []bool{false, true} {
			sp, at, src := spec4(unicast(peer4, tt.least), unicast(far4, 1)), 8, peer4
			form := vrrp.MessageOnly
			if six {
				sp, at, src, form = spec6(unicast(peer6, tt.least)), 7, peer6, vrrp.WithPseudoHeader
			}
			packet := broken(toUs(sp, src, form), func(b []byte) { b[at] = tt.ttl })
			if tt.want == vrrp.Accepted {
				if p := believedBy(t, sp, packet).r.Peers(); p[0].TTL != tt.ttl {
					t.Errorf("remembers TTL %d, want %d", p[0].TTL, tt.ttl)
				}
				continue
			}
			refusedBy(t, sp, packet, tt.want)
		}
	}
}

// With the pseudo-header, each copy's checksum fits its own destination and no other.
func TestU6_AChecksumPerCopy(t *testing.T) {
	sp := spec4(sends(vrrp.ChecksumRFC5798), unicast(peer4, 255), unicast(far4, 255))
	r := vrrp.New(sp)
	a := r.Advert(100)
	first := a.Append(nil, self4, peer4, r.Form())
	second := a.Append(nil, self4, far4, r.Form())
	if ones(pseudo(self4, peer4, 112, len(first)), first) != 0xffff || ones(pseudo(self4, far4, 112, len(second)), second) != 0xffff {
		t.Errorf("% x, % x", first, second)
	}
	if ones(pseudo(self4, far4, 112, len(first)), first) == 0xffff {
		t.Error("one checksum fits both")
	}
	// The receiver computes with the destination that the packet had.
	believedBy(t, spec4(unicast(peer4, 255)), toUs(spec4(), peer4, vrrp.WithPseudoHeader))
	a.Priority = 250
	wrong := datagram(peer4, self4, a.Append(nil, peer4, vrrp.IPv4.Group(), vrrp.WithPseudoHeader))
	refusedBy(t, spec4(unicast(peer4, 255)), wrong, vrrp.DropChecksum)
}

// accept_global_first lets in what erratum 8300 forbids and FRR sends.
//
// conformance: V21
func TestAcceptGlobalFirst(t *testing.T) {
	sp := spec6(func(sp *vrrp.Spec) { sp.AcceptGlobalFirst = true })
	packet := stimulus(vrrp.IPv6, func(m []byte) { m[8], m[9] = 0x20, 0x01 })
	g := believedBy(t, sp, packet)
	g.counts("not-link-local-first", g.r.View().Counters.Drops[vrrp.DropNotLinkLocal], 0)
	refusedBy(t, spec6(), packet, vrrp.DropNotLinkLocal)
}
