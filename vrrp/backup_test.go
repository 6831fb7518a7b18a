package vrrp_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// B: Backup.

// While the Active advertises, a Backup stays one and says nothing. RFC 9568 6.4.2
//
// conformance: W23
func TestB1_StaysSilentUnderAnActive(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		g := started(t, spec())
		for range 20 {
			g.want(g.recv(g.peer(), 150, s), "")
			if fx := g.wait(s); len(fx) != 0 {
				t.Fatalf("not silent: %s", brief(plain(fx)))
			}
		}
		g.state(vrrp.Backup)
	})
}

// "If the Active_Down_Timer fires: Send an ADVERTISEMENT, broadcast gratuitous ARP
// …, set the Adver_Timer, transition to Active", in that order. RFC 9568 6.4.2
//
// conformance: S2
func TestB2_TakesOverInSilence(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		g := heard(t, spec())
		if fx := g.wait(3609375*time.Microsecond - 1); len(fx) != 0 {
			t.Fatalf("early: %s", brief(plain(fx)))
		}
		g.want(plain(g.wait(1)), "send 100; backup>active no-response; hold; announce")
		why := g.r.View().Reason
		if why.Peer != g.peer() || why.PeerPriority != 150 || why.Silence != 3609375*time.Microsecond || why.Timer != why.Silence {
			t.Errorf("evidence %+v", why)
		}
		if next := g.r.Deadline() - g.now; next < s || next >= s+ms {
			t.Errorf("the next advert comes after %v, want 1s on the millisecond grid", next)
		}
	})
}

// "If Preempt_Mode is False, or Priority in the ADVERTISEMENT is greater than or
// equal to the local Priority": equal is enough, whatever the address. RFC 9568 6.4.2
func TestB3_EqualPriorityIsGoodEnough(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		g := started(t, spec())
		for i := range 20 {
			g.recv([]netip.Addr{g.low(), g.peer()}[i%2], 100, s)
			g.wait(3 * s)
			g.state(vrrp.Backup)
		}
	})
}

// "else: Discard the ADVERTISEMENT": the timer runs on. RFC 9568 6.4.2
func TestB4_LowerIsDiscardedWithPreemption(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		begin := epoch
		g := started(t, spec()) // since Startup
		for range 3 {
			g.wait(s)
			g.want(g.recv(g.peer(), 99, s), "")
		}
		g.until(vrrp.Active)
		g.took(g.now-begin, 3609375*time.Microsecond)
		g.cause(vrrp.CausePreempted)

		g = heard(t, spec()) // since the last accepted one
		begin = g.now
		g.wait(2 * s)
		g.recv(g.peer(), 99, s)
		g.until(vrrp.Active)
		g.took(g.now-begin, 3609375*time.Microsecond)
		g.counts("lower-discarded", g.r.View().Counters.LowerDiscarded, 1)
	})
}

// With Preempt_Mode False even priority 1 keeps a Backup quiet. RFC 9568 6.4.2
func TestB5_WithoutPreemptionAnyActiveWill(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		g := started(t, spec(noPreempt, priority(254)))
		for range 20 {
			g.want(g.recv(g.peer(), 1, s), "")
			g.wait(3 * s)
			g.state(vrrp.Backup)
		}
	})
}

// Preempt_Mode has no say when the Active is gone. RFC 9568 6.4.2
func TestB6_WithoutPreemptionSilenceStillCounts(t *testing.T) {
	g := started(t, spec4(noPreempt))
	g.recv(peer4, 1, s)
	g.took(g.until(vrrp.Active), 3609375*time.Microsecond)
	g.cause(vrrp.CauseNoResponse)
}

// "the router that owns the IPvX address always preempts independent of the
// setting of this flag." RFC 9568 6.1
func TestB7_OwnerPreemptsRegardless(t *testing.T) {
	g := promoted(t, spec4(priority(255), noPreempt))
	g.recv(peer4, 255, s) // a second owner with the higher address: we yield (A18)
	g.state(vrrp.Backup)
	begin := g.now
	for range 3 {
		g.wait(s)
		g.recv(peer4, 200, s)
	}
	g.until(vrrp.Active)
	g.took(g.now-begin, 3003906250)
}

// "If a Shutdown event is received: cancel the Active_Down_Timer, transition to
// Initialize": a Backup has nothing to resign from. RFC 9568 6.4.2
func TestB8_ShutdownSaysNothing(t *testing.T) {
	for _, yield := range []bool{false, true} {
		g := heard(t, spec4())
		g.want(g.step(vrrp.Shutdown{Yield: yield, Cause: vrrp.CauseShutdown, Detail: "SIGTERM"}), "backup>initialize shutdown")
		if !g.r.Stopped() || g.r.Deadline() != vrrp.Never {
			t.Error("not at rest")
		}
		if got := g.r.View().Reason.Detail; got != "SIGTERM" {
			t.Errorf("detail %q", got)
		}
	}
}

// A higher priority turns a followed Active into one to be preempted, by timer
// and with the new skew. reference/vrrp.md 4.6
func TestB19_PriorityRaised(t *testing.T) {
	g := heard(t, spec4())
	begin := g.now
	g.wait(s)
	g.want(g.step(vrrp.SetPriority{Priority: 200}), "")
	for range 2 {
		g.recv(peer4, 150, s)
		g.wait(s)
	}
	g.until(vrrp.Active)
	g.took(g.now-begin, 3218750*time.Microsecond)
	g.cause(vrrp.CausePreempted)

	// The other way: a lower priority waits longer.
	g = heard(t, spec4())
	g.step(vrrp.SetPriority{Priority: 1})
	g.took(g.until(vrrp.Active), 3996093750)
}

// A worse Active is left alone for the preempt delay, then preempted. RFC 8347 preempt/hold-time
func TestB20_PreemptDelay(t *testing.T) {
	g := started(t, spec4(holdTime(5*s)))
	g.wait(s)
	begin := g.now
	for range 5 { // the fifth at +4s
		g.want(g.recv(peer4, 50, s), "")
		if g.now-begin < 4*s {
			g.wait(s)
			g.state(vrrp.Backup)
		}
	}
	if got := g.until(vrrp.Active); g.now-begin != 5*s {
		t.Fatalf("preempted after %v (%v after the last advert), want 5s", g.now-begin, got)
	}
	g.cause(vrrp.CausePreemptHold)
}

// The delay is about a live Active: when that falls silent or resigns, the
// ordinary timers decide; when a better one comes, the delay is off.
//
// conformance: B20
func TestPreemptDelayEndsWithTheWorseActive(t *testing.T) {
	t.Run("silence", func(t *testing.T) {
		g := started(t, spec4(holdTime(time.Minute)))
		g.recv(peer4, 50, s)
		g.took(g.until(vrrp.Active), 3609375*time.Microsecond)
		g.cause(vrrp.CauseNoResponse)
	})
	t.Run("priority 0", func(t *testing.T) {
		g := started(t, spec4(holdTime(time.Minute)))
		g.recv(peer4, 50, s)
		g.recv(peer4, 0, s)
		g.took(g.until(vrrp.Active), 609375*time.Microsecond)
		g.cause(vrrp.CauseResigned)
	})
	t.Run("a better one", func(t *testing.T) {
		g := started(t, spec4(holdTime(5*s)))
		g.recv(peer4, 50, s)
		for range 10 {
			g.wait(s)
			g.recv(peer4, 150, s)
		}
		g.state(vrrp.Backup)
		if v := g.r.View(); v.HoldDue != vrrp.Never {
			t.Error("the delay still runs")
		}
		g.recv(peer4, 50, s) // and begins anew
		if v := g.r.View(); v.HoldDue != g.now+5*s {
			t.Errorf("hold due at %v", v.HoldDue-g.now)
		}
	})
	t.Run("our priority fell", func(t *testing.T) {
		// The worse Active is the better one now: the delay must not make us preempt it.
		g := started(t, spec4(holdTime(5*s)))
		for range 5 {
			g.recv(peer4, 50, s)
			g.wait(s - ms)
		}
		g.step(vrrp.SetPriority{Priority: 40})
		g.wait(100 * ms)
		g.state(vrrp.Backup)
	})
	t.Run("the link", func(t *testing.T) {
		g := started(t, spec4(holdTime(5*s)))
		g.recv(peer4, 50, s)
		g.step(vrrp.LinkState{Fault: vrrp.FaultInterfaceDown})
		g.wait(time.Minute)
		g.state(vrrp.Initialize)
	})
}

// The Active may change its interval; each accepted advert counts. RFC 9568 6.4.2
func TestB21_IntervalChangesMidStream(t *testing.T) {
	g := started(t, spec4())
	for range 3 {
		g.recv(peer4, 150, s)
		g.wait(s)
	}
	for range 3 {
		g.recv(peer4, 150, 500*ms)
		g.wait(500 * ms)
	}
	g.took(500*ms+g.until(vrrp.Active), 1804687500)
}

// Two better ones are two Actives on the link, and neither is ours to judge. RFC 9568 6.4.2
func TestB22_TwoBetterActives(t *testing.T) {
	g := started(t, spec4())
	other := netip.MustParseAddr("10.0.0.7")
	for i := range 20 {
		src, p := peer4, uint8(150)
		if i%2 == 1 {
			src, p = other, 160
		}
		g.want(g.recv(src, p, s), "")
		if h := g.r.View().Heard; h.Src != src || h.Priority != p || h.At != g.now {
			t.Fatalf("last heard is %v (%d)", h.Src, h.Priority)
		}
		g.wait(500 * ms)
	}
	g.state(vrrp.Backup)
}

// The reason of a promotion tells the ways apart. RFC 8347 new-master-reason
func TestPromotionReasons(t *testing.T) {
	g := heard(t, spec4())
	g.recv(peer4, 0, s)
	g.until(vrrp.Active)
	g.cause(vrrp.CauseResigned)
	if why := g.r.View().Reason; why.Peer != peer4 || why.PeerPriority != 0 || why.Timer != 609375*time.Microsecond {
		t.Errorf("evidence %+v", why)
	}

	g = heard(t, spec4())
	g.recv(peer4, 0, s)
	g.recv(peer4, 200, s) // came back: the resignation is over
	g.until(vrrp.Active)
	g.cause(vrrp.CauseNoResponse)

	g = heard(t, spec4())
	g.recv(peer4, 0, s)
	g.until(vrrp.Active)
	g.recv(peer4, 200, s) // the same, by way of Active
	g.until(vrrp.Active)
	g.cause(vrrp.CauseNoResponse)

	g = started(t, spec4())
	g.wait(s)
	g.recv(peer4, 50, s) // heard once and then silent for longer than it may
	g.until(vrrp.Active)
	g.cause(vrrp.CauseNoResponse)
}
