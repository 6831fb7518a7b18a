package vrrp_test

import (
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// Yield (design.md section 5): the farewell goes out while the addresses stay;
// they come off when the successor has been heard, or when nobody came.

func yielding(t *testing.T, sp vrrp.Spec) *rig {
	g := promoted(t, sp)
	g.want(g.step(vrrp.Shutdown{Yield: true, Cause: vrrp.CauseShutdown, Detail: "SIGTERM"}), "send 0; tell yielding")
	if v := g.r.View(); v.State != vrrp.Active || !v.Yielding || v.AdverDue != vrrp.Never {
		t.Fatalf("state %v, yielding %v, next advert %v", v.State, v.Yielding, v.AdverDue)
	}
	return g
}

// The addresses go 20 ms after the successor's first advertisement: RFC 9568
// has it advertise first and take the addresses after.
//
// conformance: A11
func TestYieldWithSuccessor(t *testing.T) {
	for _, p := range []uint8{1, 100, 200} { // any router that speaks has taken over
		g := yielding(t, spec4())
		if fx := g.wait(609 * ms); len(fx) != 0 {
			t.Fatalf("did not wait: %s", brief(plain(fx)))
		}
		g.want(g.recv(lower4, p, s), "")
		g.wait(15 * ms)
		g.want(g.recv(lower4, p, s), "") // a second one prolongs nothing
		if fx := g.wait(5*ms - 1); len(fx) != 0 {
			t.Fatalf("did not linger: %s", brief(plain(fx)))
		}
		g.want(plain(g.wait(1)), "active>initialize yielded; release")
		if why := g.r.View().Reason; why.Peer != lower4 || why.PeerPriority != p || why.Detail != "SIGTERM" {
			t.Errorf("evidence %+v", why)
		}
		if !g.r.Stopped() {
			t.Error("not stopped")
		}
		g.counts("priority-zero-pkts-sent", g.r.View().Counters.PriorityZeroSent, 1)
	}
}

// Nobody comes: the wait is one interval and a little, 10 s at most.
func TestYieldWithNobody(t *testing.T) {
	for in, want := range map[time.Duration]time.Duration{10 * ms: 110 * ms, s: 1100 * ms, 9 * s: 9100 * ms, vrrp.MaxInterval: 10 * s} {
		g := yielding(t, spec4(interval(in)))
		g.took(g.until(vrrp.Initialize), want)
		g.cause(vrrp.CauseNobodyTookOver)
	}
}

// A successor heard at the last moment is a successor: its first words must not
// be the end of our addresses.
func TestYieldWithASuccessorAtTheLastMoment(t *testing.T) {
	g := yielding(t, spec4())
	g.wait(1095 * ms)
	g.recv(peer4, 90, s)
	g.took(g.until(vrrp.Initialize), 20*ms)
	g.cause(vrrp.CauseYielded)
}

// Who leaves too, and our own echo, are no successors.
func TestYieldIgnoresFarewellsAndEchoes(t *testing.T) {
	g := yielding(t, spec4())
	g.want(g.recv(peer4, 0, s), "")
	g.want(g.recv(self4, 0, s), "")
	g.want(g.recv(self4, 100, s), "")
	g.until(vrrp.Initialize)
	g.cause(vrrp.CauseNobodyTookOver)
}

// Nothing else makes a leaving router speak again.
func TestYieldingIsQuiet(t *testing.T) {
	g := yielding(t, spec4())
	g.want(g.step(vrrp.Shutdown{Yield: true, Cause: vrrp.CauseShutdown}), "")
	g.want(g.step(vrrp.SetPriority{Priority: 7}), "")
	g.want(g.step(vrrp.Configure{Spec: spec4(interval(100*ms), serving(addrs("10.0.0.1")...))}), "")
	g.want(g.linkUp(), "")
	g.want(g.step(vrrp.Timeout{}), "")
	if v := g.r.View(); !v.Yielding {
		t.Error("no longer yielding")
	}
}

// Out of patience: leave at once, without a second farewell.
func TestYieldCutShort(t *testing.T) {
	g := yielding(t, spec4())
	g.want(g.step(vrrp.Shutdown{Cause: vrrp.CauseShutdown}), "active>initialize shutdown; release")

	g = yielding(t, spec4())
	g.want(g.step(vrrp.LinkState{Fault: vrrp.FaultInterfaceDown}), "active>initialize interface-down; release")
	g.want(g.linkUp(), "") // and it does not come back
}

// Leaving while listening after a stall: the farewell is due all the same.
func TestYieldAfterAStall(t *testing.T) {
	g := promoted(t, spec4())
	g.stall(5 * s)
	g.want(g.step(vrrp.Shutdown{Yield: true, Cause: vrrp.CauseShutdown}), "send 0; tell yielding")
	g.wait(600 * ms)
	g.recv(peer4, 100, s)
	g.want(plain(g.wait(20*ms)), "active>initialize yielded; release")

	g = yielding(t, spec4()) // and a stall while leaving changes nothing
	g.want(g.stall(20*s), "")
	g.want(g.step(vrrp.Timeout{}), "active>initialize nobody-took-over; release")
}

// Asked to stop before it could start, it never does.
func TestShutdownInInitialize(t *testing.T) {
	for _, yield := range []bool{true, false} {
		g := newRig(t, spec4(priority(255)))
		g.want(g.step(vrrp.Shutdown{Yield: yield, Cause: vrrp.CauseRemoved}), "")
		g.want(g.linkUp(), "")
		if !g.r.Stopped() {
			t.Error("not stopped")
		}
	}
}
