package vrrp_test

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// stimulus is the packet of the tester, to be broken by one test each.
func stimulus(f vrrp.Family, change ...func(msg []byte)) []byte {
	sp, src := spec4(priority(250)), peer4
	if f == vrrp.IPv6 {
		sp, src = spec6(priority(250)), peer6
	}
	r := vrrp.New(sp)
	a := r.Advert(250)
	msg := a.Append(nil, src, f.Group(), r.Form())
	for _, c := range change {
		c(msg)
	}
	return datagram(src, f.Group(), sealed(src, f.Group(), msg))
}

// sealed makes the checksum right again after a test has changed the message.
func sealed(src, dst netip.Addr, msg []byte) []byte {
	msg[6], msg[7] = 0, 0
	var front []byte
	if src.Is6() {
		front = pseudo(src, dst, 112, len(msg))
	}
	binary.BigEndian.PutUint16(msg[6:], ^ones(front, msg))
	return msg
}

// broken changes bytes of the packet and leaves the checksum as it was.
func broken(packet []byte, change func(b []byte)) []byte {
	b := slices.Clone(packet)
	change(b)
	return b
}

// deliver takes a packet all the way, as the daemon does.
func (g *rig) deliver(packet []byte) ([]vrrp.Effect, vrrp.Drop) {
	g.t.Helper()
	sp := g.r.Spec()
	var d vrrp.Datagram
	if drop := vrrp.ParseIP(sp.Family, packet, &d); drop != vrrp.Accepted {
		return nil, drop
	}
	if d.VRID != sp.VRID {
		return nil, vrrp.DropVRID
	}
	e := vrrp.Received{Src: d.Src, TTL: d.TTL, At: g.now}
	var drop vrrp.Drop
	if e.Form, drop = vrrp.Validate(&d, &sp, &e.Advert); drop != vrrp.Accepted {
		g.r.Refuse(&d, drop, g.now)
		return nil, drop
	}
	return g.step(&e), vrrp.Accepted
}

func specOf(f vrrp.Family) vrrp.Spec {
	if f == vrrp.IPv4 {
		return spec4()
	}
	return spec6()
}

// refused asserts that the packet falls under this name and leaves the router
// unaffected: state, and the next advertisement at its normal time.
func refused(t *testing.T, f vrrp.Family, packet []byte, want vrrp.Drop) {
	t.Helper()
	g := promoted(t, specOf(f))
	due := g.r.Deadline()
	g.now += 300 * ms
	fx, drop := g.deliver(packet)
	if drop != want {
		t.Fatalf("dropped as %q, want %q", drop, want)
	}
	g.want(fx, "")
	g.state(vrrp.Active)
	if at, _ := adverts(g.wait(due - g.now)); len(at) != 1 || at[0] != due {
		t.Fatalf("the next advert came at %v, want %v", at, due)
	}
}

// believed asserts that the packet deposes the router.
func believed(t *testing.T, f vrrp.Family, packet []byte) *rig {
	t.Helper()
	g := promoted(t, specOf(f))
	if _, drop := g.deliver(packet); drop != vrrp.Accepted {
		t.Fatalf("dropped as %q", drop)
	}
	g.state(vrrp.Backup)
	g.cause(vrrp.CauseHigherPriority)
	return g
}
