package vrrp_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// Two Actives, and who claims our addresses: what is said, and how often. Ours,
// but for the answers: the RFC leaves all of it open.

// The farewell is a losing advertisement: never one that would make the better
// one step down, which is what a spiral of two that give way would be.
func TestFarewellIsTheWorseOne(t *testing.T) {
	for _, tt := range []struct {
		src      netip.Addr
		priority uint8
		want     string
	}{
		{lower4, 101, "send 100; active>backup higher-priority; release"},
		{peer4, 100, "send 100; active>backup higher-address; release"},
	} {
		g := promoted(t, spec4())
		g.want(g.recv(tt.src, tt.priority, s), tt.want)
	}
	// After a stall whoever is heard has taken over, the worse ones as well: to
	// those nothing is said.
	for _, tt := range []struct {
		src      netip.Addr
		priority uint8
		farewell bool
	}{{peer4, 101, true}, {lower4, 101, true}, {peer4, 100, true}, {lower4, 100, false}, {peer4, 99, false}, {peer4, 1, false}} {
		for _, farewell := range []bool{true, false} {
			sp := spec4()
			sp.Farewell = farewell
			g := promoted(t, sp)
			g.stall(5 * s)
			want := "active>backup replaced-in-stall; release"
			if tt.farewell && farewell {
				want = "send 100; " + want
			}
			g.want(g.recv(tt.src, tt.priority, s), want)
		}
	}
	// It carries the effective priority, and the shape of any other advertisement.
	g := promoted(t, spec4())
	g.step(vrrp.SetPriority{Priority: 30})
	g.want(g.recv(peer4, 50, s), "send 30; active>backup higher-priority; release")
}

// With Farewell, our addition, one last advertisement of our own priority goes
// out before the transition, so that the better one learns of us; never a
// priority 0, and nothing afterwards.
//
// conformance: A13
func TestFarewellBeforeSteppingDown(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		for _, p := range []uint8{100, 101, 255} {
			g := promoted(t, spec())
			fx := g.recv(g.peer(), p, s)
			if len(fx) != 3 || fx[0].Kind != vrrp.Send || fx[0].Priority != 100 || fx[1].Kind != vrrp.Become || fx[2].Kind != vrrp.Release {
				t.Errorf("effects: %s", brief(fx))
			}
			if fx := g.wait(3 * s); len(fx) != 0 {
				t.Errorf("not silent: %s", brief(plain(fx)))
			}
			g.counts("priority-zero-pkts-sent", g.r.View().Counters.PriorityZeroSent, 0)
		}
	})
}

// The two ends of it: the loser says farewell, the winner answers and announces
// once more, and both are at rest.
func TestFarewellEndsTwoActives(t *testing.T) {
	loser, winner := promoted(t, spec4()), newRig(t, spec4(priority(150)))
	winner.step(vrrp.LinkState{Source: peer4})
	winner.until(vrrp.Active)
	winner.wait(2 * s)
	loser.want(loser.recv(peer4, 150, s), "send 100; active>backup higher-priority; release")
	winner.want(winner.recv(self4, 100, s), "tell lower-priority-active; send 150; announce again")
	loser.want(loser.recv(peer4, 150, s), "")
	loser.state(vrrp.Backup)
	winner.state(vrrp.Active)
}

// Who has just become Active hears the last of the one before: that is answered,
// and no news.
func TestFreshActiveDoesNotTellOfItsPredecessor(t *testing.T) {
	g := started(t, spec4())
	g.until(vrrp.Active)
	g.now += 5 * ms
	g.want(g.recv(peer4, 50, s), "send 100; announce again")
	g.now += s - 6*ms
	g.want(g.recv(peer4, 50, s), "send 100") // still within the first interval
	g.now += ms
	if fx := g.recv(peer4, 50, s); !tells(fx, vrrp.NoticeLowerActive) {
		t.Errorf("two Actives for an interval, and nothing is told: %s", brief(fx))
	}
}

// Who claims an address is told and answered by announcing again, once a second.
func TestChallenged(t *testing.T) {
	mac := [6]byte{2, 0, 0, 0, 0, 7}
	claim := vrrp.Challenged{Address: vip4, MAC: mac}
	g := started(t, spec4())
	g.until(vrrp.Active)
	g.want(g.step(claim), "announce again") // within the first interval: what is left of the Active before
	g.wait(s - ms)
	g.want(g.step(claim), "") // held back until the second is over
	if list := g.wait(ms); !slices.ContainsFunc(list, func(e stamped) bool { return e.Kind == vrrp.Announce && e.Repeat }) {
		t.Error("what was held back did not come")
	}
	g.wait(s)
	fx := g.step(claim)
	g.want(fx, "tell address-claimed; announce again")
	if n := fx[0].Notice; n.Peer != vip4 || n.MAC != mac {
		t.Errorf("notice %+v", n)
	}
	announced := 0
	for range 1000 { // ten seconds of it
		for _, e := range g.wait(10 * ms) {
			if e.Kind == vrrp.Announce {
				announced++
			}
		}
		if contains(g.step(claim), vrrp.Announce) {
			announced++
		}
	}
	if announced != 10 {
		t.Errorf("announced %d times in ten seconds", announced)
	}
	// A losing advertisement and a claim share the rate.
	if fx := g.recv(peer4, 50, s); contains(fx, vrrp.Announce) {
		t.Errorf("announced twice in a second: %s", brief(fx))
	}
	g.state(vrrp.Active)

	// Not ours to defend.
	stalled := promoted(t, spec4())
	stalled.stall(5 * s)
	for _, g := range []*rig{newRig(t, spec4()), heard(t, spec4()), yielding(t, spec4()), stalled} {
		g.want(g.step(claim), "")
	}
}

// The link changed under us: an advertisement for the switches, an announcement
// for the neighbours, without a transition.
func TestMoved(t *testing.T) {
	for _, sp := range []vrrp.Spec{spec4(), spec2()} { // whether or not losing adverts are answered
		g := promoted(t, sp)
		g.wait(300 * ms)
		g.want(g.step(vrrp.Moved{}), "send 100; announce again")
		g.took(s, g.r.Deadline()-g.now)
		g.wait(50 * ms)
		g.want(g.step(vrrp.Moved{}), "announce again") // adverts are limited, the neighbours must hear of each move
		g.wait(50 * ms)
		g.want(g.step(vrrp.Moved{}), "send 100; announce again")
		if fx := g.step(vrrp.Challenged{Address: vip4}); contains(fx, vrrp.Announce) {
			t.Errorf("and once more: %s", brief(fx))
		}
	}
	stalled := promoted(t, spec4())
	stalled.stall(5 * s)
	for _, g := range []*rig{newRig(t, spec4()), heard(t, spec4()), yielding(t, spec4()), stalled} {
		due := g.r.Deadline()
		g.want(g.step(vrrp.Moved{}), "")
		if g.r.Deadline() != due {
			t.Errorf("%v: a timer moved", g.r.State())
		}
	}
}
