package vrrp_test

import (
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// Settle time and link_down_delay: a link that comes and goes. Ours: the RFC
// knows a link that is usable or not.

func (g *rig) linkDown() []vrrp.Effect {
	g.t.Helper()
	return g.step(vrrp.LinkState{Fault: vrrp.FaultInterfaceDown, Detail: "no carrier"})
}

// groupFault says that another member of the sync group is in a fault.
func (g *rig) groupFault() []vrrp.Effect {
	g.t.Helper()
	return g.step(vrrp.LinkState{Fault: vrrp.FaultGroup, Detail: "outside: the interface is down"})
}

// A link must have been usable for the settle time before the router starts.
func TestSettle(t *testing.T) {
	g := newRig(t, spec4(settling(5*s)))
	g.want(g.linkUp(), "")
	g.state(vrrp.Initialize)
	if v := g.r.View(); v.SettleDue != g.now+5*s || v.Fault != vrrp.FaultNone {
		t.Errorf("settles until %v with %v", v.SettleDue-g.now, v.Fault)
	}
	g.wait(3 * s)
	g.want(g.linkUp(), "") // told again: a level, and the wait goes on
	if fx := g.wait(2*s - 1); len(fx) != 0 {
		t.Fatalf("early: %s", brief(plain(fx)))
	}
	g.want(plain(g.wait(1)), "initialize>backup startup")
	if v := g.r.View(); v.SettleDue != vrrp.Never || v.Started != epoch+5*s {
		t.Errorf("started at %v, settles until %v", v.Started-epoch, v.SettleDue)
	}
	g.took(g.until(vrrp.Active), downAt100)
}

// Every flap begins the wait anew.
func TestSettleBeginsAnewWithEachFlap(t *testing.T) {
	g := newRig(t, spec4(settling(5*s)))
	for range 4 {
		g.linkUp()
		g.wait(4 * s)
		g.want(g.linkDown(), "")
		if g.r.Deadline() != vrrp.Never {
			t.Fatal("settles without a link")
		}
		g.wait(4 * s)
	}
	g.linkUp()
	g.took(g.until(vrrp.Backup), 5*s)
	g.linkDown() // and after a life as Backup
	g.linkUp()
	g.took(g.until(vrrp.Backup), 5*s)
	g.cause(vrrp.CauseInterfaceUp)
}

// The owner settles as well; then it starts as Active, as ever.
func TestSettleOwner(t *testing.T) {
	g := newRig(t, spec4(priority(255), settling(2*s)))
	g.want(g.linkUp(), "")
	g.want(plain(g.wait(2*s)), "send 255; initialize>active owner-startup; hold; announce")
}

// What is heard, asked or changed while settling starts nothing.
func TestSettlingIsInitialize(t *testing.T) {
	g := newRig(t, spec4(settling(5*s)))
	g.linkUp()
	for _, ev := range []vrrp.Event{vrrp.Promote{}, vrrp.Demote{}, vrrp.PeerLeft{Peer: peer4}, vrrp.Moved{}, vrrp.Challenged{Address: vip4},
		vrrp.Stall{Late: 3 * s}, vrrp.SetPriority{Priority: 7}, vrrp.Timeout{}, g.advert(peer4, 150, s)} {
		g.want(g.step(ev), "")
	}
	g.took(g.until(vrrp.Backup), 5*s)

	g = newRig(t, spec4(settling(5*s)))
	g.linkUp()
	g.want(g.step(vrrp.Shutdown{Yield: true, Cause: vrrp.CauseShutdown}), "")
	if fx := g.wait(time.Minute); len(fx) != 0 || !g.r.Stopped() || g.r.Deadline() != vrrp.Never {
		t.Errorf("stopped while settling, then %s", brief(plain(fx)))
	}
}

// A reload may shorten the wait that runs, not prolong it.
func TestSettleReloaded(t *testing.T) {
	for _, tt := range []struct{ to, left time.Duration }{{0, 0}, {s, s}, {time.Hour, 3 * s}} {
		g := newRig(t, spec4(settling(5*s)))
		g.linkUp()
		g.wait(2 * s)
		g.want(g.step(vrrp.Configure{Spec: spec4(settling(tt.to))}), "")
		g.took(g.until(vrrp.Backup), tt.left)
	}
}

// Told of the link again after the settle time has been turned off, the router
// starts, and nothing of the wait is left to wake the loop for ever.
func TestSettleTurnedOffAndLinkToldAgain(t *testing.T) {
	g := newRig(t, spec4(settling(5*s)))
	g.linkUp()
	g.step(vrrp.Configure{Spec: spec4()})
	g.want(g.linkUp(), "initialize>backup startup")
	g.took(g.until(vrrp.Active), downAt100)
}

// A flap within the delay is no transition: a Backup grants what may have been lost.
func TestLinkDownDelayBackup(t *testing.T) {
	g := heard(t, spec4(linkDelay(1500*ms)))
	g.wait(3 * s)
	g.want(g.linkDown(), "")
	g.wait(700 * ms) // Active_Down_Timer would have fired at 3.6 s
	g.state(vrrp.Backup)
	g.want(g.linkUp(), "")
	g.took(g.until(vrrp.Active), s+609375*time.Microsecond) // the Active had no way to be heard

	g = heard(t, spec4(linkDelay(1500*ms))) // more was left than the grant
	g.linkDown()
	g.wait(100 * ms)
	g.linkUp()
	g.took(100*ms+g.until(vrrp.Active), downAt100)
}

// An Active speaks at once, and tells the neighbours.
func TestLinkDownDelayActive(t *testing.T) {
	g := promoted(t, spec4(linkDelay(1500*ms)))
	g.wait(300 * ms)
	g.want(g.linkDown(), "")
	g.wait(500 * ms)
	g.want(g.linkUp(), "send 100; announce again")
	if g.r.Deadline() != g.now+s {
		t.Errorf("next advert after %v", g.r.Deadline()-g.now)
	}
	if fx := plain(g.wait(5 * s)); len(fx) != 5 || contains(fx, vrrp.Become) {
		t.Errorf("then %s", brief(fx))
	}
}

// Beyond the delay the router leaves, without a word, and its fault is known.
func TestLinkDownDelayExpires(t *testing.T) {
	for _, g := range []*rig{heard(t, spec4(linkDelay(1500*ms))), promoted(t, spec4(linkDelay(1500*ms)))} {
		active := g.r.State() == vrrp.Active
		g.linkDown()
		begin := g.now
		g.want(g.linkDown(), "") // told again: the wait goes on
		g.took(g.until(vrrp.Initialize), 1500*ms)
		g.cause(vrrp.CauseInterfaceDown)
		if v := g.r.View(); v.Fault != vrrp.FaultInterfaceDown || v.FaultDetail != "no carrier" || v.Reason.Detail != "no carrier" {
			t.Errorf("in Initialize for %v (%q), reason %v", v.Fault, v.FaultDetail, v.Reason)
		}
		g.counts("priority-zero-pkts-sent", g.r.View().Counters.PriorityZeroSent, 0)
		if n := g.r.View().Counters.AdvertisementSent; active && n == 0 || g.now-begin != 1500*ms {
			t.Errorf("%d adverts sent", n)
		}
		if g.r.Deadline() != vrrp.Never {
			t.Error("a timer still runs")
		}
		g.linkUp()
		g.state(vrrp.Backup)
	}
}

// Only the loss of the link is waited for; any other fault counts at once, also during the wait.
func TestOtherFaultsAreNotDelayed(t *testing.T) {
	for _, fault := range []vrrp.Fault{vrrp.FaultInterfaceMissing, vrrp.FaultNoPrimaryAddress, vrrp.FaultSocket, vrrp.FaultVirtualMAC} {
		for _, flap := range []bool{false, true} {
			g := promoted(t, spec4(linkDelay(1500*ms)))
			if flap {
				g.linkDown()
				g.wait(300 * ms)
			}
			g.step(vrrp.LinkState{Fault: fault})
			g.state(vrrp.Initialize)
			if v := g.r.View(); v.Fault != fault || g.r.Deadline() != vrrp.Never {
				t.Errorf("%v: in Initialize for %v, deadline %v", fault, v.Fault, g.r.Deadline())
			}
		}
	}
}

// Nobody takes over on a lost link: not in silence, not for the preempt delay,
// not on a resignation heard elsewhere, not as a member that was ready before.
func TestNoTakeoverWhileTheLinkIsLost(t *testing.T) {
	t.Run("preempting", func(t *testing.T) {
		g := started(t, spec4(linkDelay(1900*ms)))
		for range 3 {
			g.wait(s)
			g.recv(peer4, 50, s)
		}
		g.linkDown()
		g.wait(1800 * ms) // preemption was due at 3.6 s
		g.state(vrrp.Backup)
		g.linkUp()
		g.took(g.until(vrrp.Active), s+609375*time.Microsecond)
	})
	t.Run("preempt delay", func(t *testing.T) {
		sp := spec4(linkDelay(1900*ms), holdTime(5*s))
		g := started(t, sp)
		for range 5 {
			g.recv(peer4, 50, s)
			g.wait(s - 50*ms)
		}
		g.linkDown()
		g.wait(1800 * ms) // the delay ends 250 ms after the loss
		g.state(vrrp.Backup)
		g.linkUp()
		// Who is Active now must be heard first; a better one ends the delay.
		g.wait(s)
		g.state(vrrp.Backup)
		g.recv(peer4, 150, s)
		g.wait(3 * s)
		g.state(vrrp.Backup)
	})
	t.Run("preempt delay, never back", func(t *testing.T) {
		g := started(t, spec4(linkDelay(1900*ms), holdTime(s)))
		g.recv(peer4, 50, s)
		g.linkDown()
		g.took(g.until(vrrp.Initialize), 1900*ms)
	})
	t.Run("peer left", func(t *testing.T) {
		g := heard(t, spec4(linkDelay(1900*ms), grouped))
		g.linkDown()
		g.want(g.step(vrrp.PeerLeft{Peer: peer4}), "")
		g.wait(1800 * ms)
		if g.r.Ready() {
			t.Error("ready on a lost link")
		}
	})
	t.Run("ready before", func(t *testing.T) {
		g := ready(t, spec4(linkDelay(1900*ms), grouped))
		g.linkDown()
		g.want(g.step(vrrp.Promote{}), "")
		g.wait(1800 * ms)
		g.want(g.linkUp(), "")
		g.want(plain(g.wait(s+609375*time.Microsecond)), "ready")

		g = ready(t, spec4(linkDelay(1900*ms), grouped))
		g.linkDown()
		g.took(g.until(vrrp.Initialize), 1900*ms)
	})
}

// A reload that shortens the delay works on the wait that runs.
func TestLinkDownDelayReloaded(t *testing.T) {
	g := heard(t, spec4(linkDelay(1900*ms)))
	g.linkDown()
	g.wait(500 * ms)
	g.want(g.step(vrrp.Configure{Spec: spec4()}), "")
	g.took(g.until(vrrp.Initialize), 0)
	g.cause(vrrp.CauseInterfaceDown)

	g = heard(t, spec4(linkDelay(s)))
	g.linkDown()
	g.wait(500 * ms)
	g.step(vrrp.Configure{Spec: spec4(linkDelay(1900 * ms))}) // prolongs nothing
	g.took(g.until(vrrp.Initialize), 500*ms)
}

// A link that is lost while we stall or yield ends both, and nothing is left running.
func TestLinkLostWhileYielding(t *testing.T) {
	sp := spec4(linkDelay(1900 * ms))
	g := yielding(t, sp)
	g.linkDown()
	g.took(g.until(vrrp.Initialize), 1100*ms) // the wait for a successor ends first
	if g.r.Deadline() != vrrp.Never || !g.r.Stopped() {
		t.Error("not at rest")
	}

	g = yielding(t, spec4(linkDelay(500*ms)))
	g.linkDown()
	g.wait(300 * ms)
	g.want(g.linkUp(), "") // within the delay: yields on, and says nothing
	g.took(g.until(vrrp.Initialize), 800*ms)
	g.cause(vrrp.CauseNobodyTookOver)
}
