package vrrp_test

import (
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// Sync groups, as far as one member goes, and the rule over all of them.

// ready returns a member that has won in silence and waits for the others.
func ready(t testing.TB, sp vrrp.Spec) *rig {
	g := started(t, sp)
	for !g.r.Ready() {
		if g.r.Deadline() == vrrp.Never {
			t.Fatal("neither ready nor waiting")
		}
		g.wait(g.r.Deadline() - g.now)
	}
	g.state(vrrp.Backup)
	return g
}

func groupActive(t testing.TB, sp vrrp.Spec) *rig {
	g := ready(t, sp)
	g.step(vrrp.Promote{})
	g.state(vrrp.Active)
	g.wait(g.r.Deadline() - g.now)
	return g
}

// A win is announced to the group, and Active comes with Promote alone.
func TestReadyWaitsForPromote(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		g := started(t, spec(grouped))
		g.want(g.step(vrrp.Promote{}), "") // not won yet
		fx := g.wait(downAt100)
		g.want(plain(fx), "ready")
		if fx[0].Reason.Cause != vrrp.CauseNoResponse || fx[0].Reason.Silence != downAt100 {
			t.Errorf("won by %+v", fx[0].Reason)
		}
		if fx := g.wait(time.Hour); len(fx) != 0 || !g.r.Ready() {
			t.Errorf("did not wait: %s", brief(plain(fx)))
		}
		g.want(g.step(vrrp.Promote{}), "send 100; backup>active no-response; hold; announce")
		if g.r.Ready() {
			t.Error("still ready as Active")
		}
		g.want(g.step(vrrp.Promote{}), "")
	})
}

// What ends being ready, and what does not.
func TestReadyIsTakenBack(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*vrrp.Spec)
		happen func(g *rig)
		ready  bool
		again  time.Duration // until it is ready again
	}{
		"a better Active":   {nil, func(g *rig) { g.recv(peer4, 150, s) }, false, downAt100},
		"an equal one":      {nil, func(g *rig) { g.recv(lower4, 100, s) }, false, downAt100},
		"a worse one":       {nil, func(g *rig) { g.recv(peer4, 50, s) }, true, 0},
		"any, no preempt":   {noPreempt, func(g *rig) { g.recv(peer4, 1, s) }, false, downAt100},
		"worse, with delay": {holdTime(5 * s), func(g *rig) { g.recv(peer4, 1, s) }, false, downAt100},
		"a resignation":     {nil, func(g *rig) { g.recv(peer4, 0, s) }, true, 0},
		"heard elsewhere":   {nil, func(g *rig) { g.step(vrrp.PeerLeft{Peer: peer4}) }, true, 0},
		"a stall":           {nil, func(g *rig) { g.stall(10 * s) }, false, 1609375 * time.Microsecond},
		"a hiccup":          {nil, func(g *rig) { g.stall(s - 1) }, true, 0},
		"a demotion":        {nil, func(g *rig) { g.step(vrrp.Demote{}) }, true, 0},
		"another priority":  {nil, func(g *rig) { g.step(vrrp.SetPriority{Priority: 10}) }, true, 0}, // silence is silence
		"another interval":  {nil, func(g *rig) { g.step(vrrp.Configure{Spec: spec4(grouped, interval(10*s))}) }, true, 0},
		"a claim":           {nil, func(g *rig) { g.step(vrrp.Challenged{Address: vip4}); g.step(vrrp.Moved{}) }, true, 0},
	} {
		t.Run(name, func(t *testing.T) {
			sp := spec4(grouped)
			if tt.change != nil {
				tt.change(&sp)
			}
			g := ready(t, sp)
			tt.happen(g)
			g.state(vrrp.Backup)
			if g.r.Ready() != tt.ready {
				t.Fatalf("ready: %v", g.r.Ready())
			}
			if !tt.ready {
				g.want(plain(g.wait(tt.again)), "ready")
			}
		})
	}
}

// A win over a worse Active, or as owner, rests on our rank: when that falls
// before the group has decided, the win is taken back.
func TestReadyFallsWithTheRank(t *testing.T) {
	over := func(change ...func(*vrrp.Spec)) *rig {
		g := started(t, spec4(append(change, grouped)...))
		for !g.r.Ready() {
			g.recv(peer4, 50, s)
			g.wait(900 * ms)
		}
		return g
	}
	for name, happen := range map[string]func(g *rig){
		"priority":   func(g *rig) { g.step(vrrp.SetPriority{Priority: 50}) },
		"reload":     func(g *rig) { g.step(vrrp.Configure{Spec: spec4(grouped, priority(40))}) },
		"no preempt": func(g *rig) { g.step(vrrp.Configure{Spec: spec4(grouped, noPreempt)}) },
	} {
		g := over()
		happen(g)
		g.want(g.step(vrrp.Promote{}), "")
		if g.r.Deadline() == vrrp.Never {
			t.Errorf("%s: waits for nothing", name)
		}
	}
	g := over()
	g.step(vrrp.SetPriority{Priority: 51}) // still the better one
	g.want(g.step(vrrp.Promote{}), "send 51; backup>active preempted; hold; announce")

	g = started(t, spec4(grouped, priority(255)))
	g.want(g.step(vrrp.Configure{Spec: spec4(grouped)}), "") // no owner any more
	g.want(g.step(vrrp.Promote{}), "")
	g.want(plain(g.wait(downAt100)), "ready")
}

// The preempt delay is over once: members whose delays end at different times
// must all stay ready, whatever the worse Active says meanwhile.
func TestGroupedPreemptDelay(t *testing.T) {
	g := started(t, spec4(grouped, holdTime(5*s)))
	g.wait(300 * ms)
	g.recv(peer4, 50, s)
	for range 4 {
		g.wait(s)
		g.recv(peer4, 50, s)
	}
	g.want(plain(g.wait(s)), "ready")
	for range 20 { // the others take their time
		g.want(g.recv(peer4, 50, s), "")
		g.want(plain(g.wait(s)), "")
	}
	if !g.r.Ready() {
		t.Fatal("no longer ready")
	}
	g.want(g.step(vrrp.Promote{}), "send 100; backup>active preempt-hold-timeout; hold; announce")
}

// An owner in a group is ready at once, and listens like any other when demoted.
func TestGroupedOwner(t *testing.T) {
	g := newRig(t, spec4(grouped, priority(255)))
	g.want(g.linkUp(), "initialize>backup startup; ready")
	if g.r.Deadline() != vrrp.Never {
		t.Error("a timer runs")
	}
	g.want(g.recv(peer4, 200, s), "") // nobody is better
	g.want(g.step(vrrp.Promote{}), "send 255; backup>active owner-startup; hold; announce")
	g.want(g.step(vrrp.Demote{Detail: "outside is Backup on eth1"}), "send 0; active>backup sync-group; release")
	g.want(plain(g.wait(3003906250)), "ready")
}

// Demote says goodbye, once, and forgets nothing it needs.
func TestDemote(t *testing.T) {
	g := groupActive(t, spec4(grouped))
	g.want(g.step(vrrp.Demote{Detail: "outside is Backup on eth1"}), "send 0; active>backup sync-group; release")
	if why := g.r.View().Reason; why.Detail != "outside is Backup on eth1" {
		t.Errorf("reason %+v", why)
	}
	g.want(g.step(vrrp.Demote{}), "")
	g.want(plain(g.wait(downAt100)), "ready") // its own interval counts until somebody is heard
	for _, g := range []*rig{newRig(t, spec4(grouped)), heard(t, spec4(grouped)), yielding(t, spec4())} {
		g.want(g.step(vrrp.Demote{}), "") // nothing to give up, or already at it
	}

	// After a stall, while it listens: it goes all the same.
	g = groupActive(t, spec4(grouped))
	g.stall(5 * s)
	g.want(g.step(vrrp.Demote{}), "send 0; active>backup sync-group; release")
	g.want(plain(g.wait(downAt100)), "ready")
}

// A resignation heard on another member's link counts here too.
func TestPeerLeft(t *testing.T) {
	g := heard(t, spec4(grouped))
	g.want(g.step(vrrp.PeerLeft{Peer: peer4}), "")
	fx := g.wait(609375 * time.Microsecond)
	g.want(plain(fx), "ready")
	if why := fx[0].Reason; why.Cause != vrrp.CauseResigned || why.Peer != peer4 {
		t.Errorf("won by %+v", why)
	}

	g = heard(t, spec4(grouped)) // less than a skew is left: it is not prolonged
	g.wait(3500 * ms)
	g.step(vrrp.PeerLeft{Peer: peer4})
	g.took(downAt100-3500*ms, g.r.Deadline()-g.now)

	g = heard(t, spec4(grouped)) // after a stall the grant holds
	g.stall(10 * s)
	g.step(vrrp.PeerLeft{Peer: peer4})
	g.took(1609375*time.Microsecond, g.r.Deadline()-g.now)

	for _, g := range []*rig{newRig(t, spec4(grouped)), groupActive(t, spec4(grouped)), yielding(t, spec4())} {
		due := g.r.Deadline()
		g.want(g.step(vrrp.PeerLeft{Peer: peer4}), "")
		if g.r.Deadline() != due {
			t.Errorf("%v: a timer moved", g.r.State())
		}
	}
}

// The peer resigned elsewhere and is Active on our link still: heard within the
// skew, nothing happens; not heard, there is one flap and no second.
func TestPeerLeftButStillActiveHere(t *testing.T) {
	g := heard(t, spec4(grouped))
	g.wait(500 * ms)
	g.step(vrrp.PeerLeft{Peer: peer4})
	g.wait(500 * ms)
	g.want(g.recv(peer4, 150, s), "")
	g.took(downAt100, g.r.Deadline()-g.now)

	g = heard(t, spec4(grouped))
	g.step(vrrp.PeerLeft{Peer: peer4})
	g.want(plain(g.wait(609375*time.Microsecond)), "ready")
	g.want(g.step(vrrp.Promote{}), "send 100; backup>active active-resigned; hold; announce")
	g.want(g.recv(peer4, 150, s), "send 100; active>backup higher-priority; release") // it answers our advert
	for range 20 {
		g.want(plain(g.wait(s)), "")
		g.want(g.recv(peer4, 150, s), "")
	}
	g.state(vrrp.Backup)
}

// Reload of a member that is ready, or Active, into and out of a group.
func TestConfigureGrouped(t *testing.T) {
	g := ready(t, spec4(grouped))
	g.want(g.step(vrrp.Configure{Spec: spec4(grouped)}), "")
	g.want(g.step(vrrp.Configure{Spec: spec4()}), "send 100; backup>active no-response; hold; announce") // nobody is left to decide
	g.want(g.step(vrrp.Configure{Spec: spec4(grouped)}), "")                                             // Active stays Active until the group says otherwise
	g.state(vrrp.Active)

	g = heard(t, spec4())
	g.want(g.step(vrrp.Configure{Spec: spec4(grouped)}), "")
	g.want(plain(g.wait(downAt100)), "ready")

	g = groupActive(t, spec4(grouped)) // while yielding for the group
	g.groupFault()
	g.want(g.step(vrrp.Configure{Spec: spec4(interval(5*s), settling(s), linkDelay(s))}), "")
	g.wait(500 * ms)
	g.want(g.linkUp(), "send 100")
	g.took(5*s, g.r.Deadline()-g.now)

	g = ready(t, spec4(grouped)) // the new interval counts when it is Active
	g.step(vrrp.Configure{Spec: spec4(grouped, interval(200*ms), settling(s), linkDelay(300*ms))})
	g.step(vrrp.Promote{})
	if next := g.r.Deadline() - g.now; next < 200*ms || next >= 201*ms {
		t.Errorf("the next advert comes after %v", next)
	}
}
