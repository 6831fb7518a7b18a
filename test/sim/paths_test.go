package sim_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/test/sim"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// Version 2 and unicast elect, hand over and come back as version 3 does.
func TestPaths(t *testing.T) {
	secret := vrrp.Secret{'m', 'o', 'v', 'e'}
	two := func(c *daemon.RouterConfig) {
		c.Spec.Version, c.Spec.AnswerLower, c.Spec.Secret, c.Spec.VerifyAddresses = vrrp.Version2, false, secret, true
	}
	for _, tt := range []struct {
		name    string
		family  vrrp.Family
		unicast bool
		change  func(*daemon.RouterConfig)
	}{
		{"version-2", vrrp.IPv4, false, two},
		{"version-2-unicast", vrrp.IPv4, true, two},
		{"unicast", vrrp.IPv4, true, func(*daemon.RouterConfig) {}},
		{"unicast-ipv6", vrrp.IPv6, true, func(*daemon.RouterConfig) {}},
		{"other-group", vrrp.IPv4, false, func(c *daemon.RouterConfig) { c.Spec.Group = netip.AddrFrom4([4]byte{224, 0, 0, 200}) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := newScene(t, 3)
			make := func(i int) daemon.RouterConfig {
				r := sim.Router("web", tt.family, 51, []uint8{200, 150, 100}[i], s)
				if tt.unicast {
					r = sim.Unicast(r, c.h[i])
				}
				tt.change(&r)
				return r
			}
			for i := range 3 {
				c.boot(i, make(i))
			}
			c.rest(10 * s)
			c.run(250 * ms)
			c.h[0].Crash()
			c.rest(6 * s)
			c.boot(0, make(0))
			c.rest(6 * s)
			c.h[0].Stop(true)
			c.rest(4 * s)
			golden(t, tt.name, c.Transcript())
		})
	}
}

func virtualMAC(c *daemon.RouterConfig) { c.VirtualMAC = true }

// With a virtual MAC the laws of package sim watch every frame; this is the
// story of a failover and a hand-back with Router Advertisements and an
// address that rides along.
func TestVirtualMAC(t *testing.T) {
	c := newScene(t, 2, twoLinks)
	routers := func(p uint8) []daemon.RouterConfig {
		six := sim.Router("web6", vrrp.IPv6, 51, p, s)
		six.RouterAdvert.On = true
		six.VirtualMAC = true
		return []daemon.RouterConfig{sim.RideAlong(web(p, virtualMAC), 1), six}
	}
	c.boot(0, routers(150)...)
	c.boot(1, routers(100)...)
	c.rest(10 * s)
	c.run(250 * ms)
	c.h[0].Crash()
	c.rest(6 * s)
	c.boot(0, routers(150)...)
	c.rest(6 * s)
	c.h[0].Stop(true)
	c.rest(4 * s)
	golden(t, "virtual-mac", c.Transcript())
}

// Without its macvlan a router takes no part, and tries again.
func TestNoMacvlan(t *testing.T) {
	c := newScene(t, 2)
	c.h[0].BreakMACs(true)
	c.boot(0, web(150, virtualMAC))
	c.boot(1, web(100, virtualMAC))
	c.run(10 * s)
	r := web(1)
	if got := [2]string{c.h[0].State(&r), c.h[1].State(&r)}; got != [2]string{"initialize", "active"} {
		t.Fatalf("the hosts are %v\n%s", got, c.Transcript())
	}
	c.h[0].BreakMACs(false)
	c.rest(15 * s)
	if got := c.h[0].State(&r); got != "active" {
		t.Errorf("the host with its macvlan is %s\n%s", got, c.Transcript())
	}
}

// The address that rides along on another interface comes and goes with it.
func TestRideAlongReturns(t *testing.T) {
	c := newScene(t, 1, twoLinks)
	r := sim.RideAlong(web(150), 1)
	extra := r.Addresses[1].Prefix
	c.Cover(extra)
	c.boot(0, r)
	c.rest(10 * s)
	c.h[0].Vanish(1)
	c.rest(5 * s)
	c.h[0].Appear(1)
	c.rest(5 * s)
	if n := strings.Count(c.Transcript(), fmt.Sprintf("+ %s", extra)); n != 2 {
		t.Errorf("it came %d times\n%s", n, c.Transcript())
	}
	if n := strings.Count(c.Transcript(), " -> "); n != 2 {
		t.Errorf("%d transitions\n%s", n, c.Transcript())
	}
}

// Whoever claims an address of the Active is contradicted, at most once a second, and has
// not the last word: the third answer is to the claims after the second one.
func TestClaimsAreContradicted(t *testing.T) {
	c := newScene(t, 2)
	c.settled(150, 100)
	for range 20 {
		c.h[0].Claim()
		c.run(100 * ms)
	}
	c.rest(5 * s)
	if n := strings.Count(c.Transcript(), "repeats"); n != 3 {
		t.Errorf("20 claims in 2 s were answered %d times\n%s", n, c.Transcript())
	}
	if !strings.Contains(c.Transcript(), "bb:00:00:00:00:bb") {
		t.Errorf("nobody was told who it is\n%s", c.Transcript())
	}
}

// settle keeps a host out until its link has been usable for that long, and
// link_down_delay bridges a short loss without a transition on either host.
func TestSettleAndLinkDownDelay(t *testing.T) {
	c := newScene(t, 2)
	patient := func(c *daemon.RouterConfig) { c.Spec.Settle, c.Spec.LinkDownDelay = 5*s, 1500*ms }
	c.boot(0, web(150, patient))
	c.boot(1, web(100))
	c.run(4 * s)
	r := web(1)
	if got := c.h[0].State(&r); got != "initialize" {
		t.Errorf("it settles as %s", got)
	}
	c.rest(10 * s)
	before := strings.Count(c.Transcript(), " -> ")
	for range 3 {
		c.h[0].LinkDown(0)
		c.run(s)
		c.h[0].LinkUp(0)
		c.rest(5 * s)
	}
	if n := strings.Count(c.Transcript(), " -> ") - before; n != 0 {
		t.Errorf("%d transitions\n%s", n, c.Transcript())
	}
}

// What rides along with an owner's addresses is not the interface's own: no
// router sends from it.
func TestOwnersRideAlongIsNoSource(t *testing.T) {
	for seed := uint64(1); seed <= 8; seed++ { // half the kernels list newer addresses first
		c := newScene(t, 1, func(o *sim.Options) { o.Seed, o.OddClocks = seed, true })
		own := web(vrrp.PriorityOwner, func(c *daemon.RouterConfig) { c.Owner = true })
		c.h[0].Own(own)
		own = sim.RideAlong(own, 0)
		c.boot(0, own)
		c.rest(5 * s)
		c.h[0].Reload(sim.Config(c.h[0], own, sim.Router("mail", vrrp.IPv4, 52, 100, s)))
		c.rest(5 * s)
	}
}
