package vrrp_test

import (
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// asking is an Active with priority 100 that has fallen to 30 and asks.
func asking(t *testing.T) *rig {
	t.Helper()
	g := promoted(t, spec4())
	g.want(g.step(vrrp.SetPriority{Priority: 30, Ask: true, Detail: "http.site"}), "send 0; tell asking")
	return g
}

// Nobody better: the Active goes on, with its new priority, before anybody
// worse would have answered.
func TestAskNobodyBetter(t *testing.T) {
	g := asking(t)
	wait := vrrp.SkewTime(s, 30) - s/512
	g.want(plain(g.wait(wait-time.Microsecond)), "")
	if v := g.r.View(); v.State != vrrp.Active || !v.Yielding {
		t.Fatalf("%s, yielding %t", v.State, v.Yielding)
	}
	g.want(plain(g.wait(time.Microsecond)), "send 30; tell kept")
	if v := g.r.View(); v.State != vrrp.Active || v.Yielding || v.Priority != 30 {
		t.Errorf("%s, yielding %t, priority %d", v.State, v.Yielding, v.Priority)
	}
}

// Somebody better: one Skew_Time of its own later it is heard, and a moment later we are Backup.
func TestAskSomebodyBetter(t *testing.T) {
	g := asking(t)
	g.wait(vrrp.SkewTime(s, 90))
	g.want(g.recv(peer4, 90, s), "")
	g.want(plain(g.wait(19*ms)), "")
	g.want(plain(g.wait(1*ms)), "active>backup degraded; release")
	if v := g.r.View(); v.Priority != 30 || v.Yielding {
		t.Errorf("priority %d, yielding %t", v.Priority, v.Yielding)
	}
}

// Somebody worse who was too early is told so.
func TestAskSomebodyWorse(t *testing.T) {
	g := asking(t)
	g.want(g.recv(peer4, 29, s), "send 30")
	if v := g.r.View(); v.State != vrrp.Active || v.Yielding {
		t.Errorf("%s, yielding %t", v.State, v.Yielding)
	}
}

// What made us ask has gone before anybody answered.
func TestAskTakenBack(t *testing.T) {
	g := asking(t)
	g.wait(100 * ms)
	g.want(g.step(vrrp.SetPriority{Priority: 100, Ask: true}), "send 100")
	if v := g.r.View(); v.State != vrrp.Active || v.Yielding {
		t.Errorf("%s, yielding %t", v.State, v.Yielding)
	}
}

// Falling further while asking prolongs the question and says nothing again.
func TestAskFallingFurther(t *testing.T) {
	g := asking(t)
	g.wait(500 * ms)
	g.want(g.step(vrrp.SetPriority{Priority: 10, Ask: true}), "")
	g.want(plain(g.wait(vrrp.SkewTime(s, 10)-s/512-500*ms-1)), "")
	g.want(plain(g.wait(1)), "send 10; tell kept")
}

// A stop, or a check without which we must not serve, makes the question an order.
func TestAskBecomesLeaving(t *testing.T) {
	g := asking(t)
	g.wait(500 * ms)
	g.want(g.step(vrrp.Shutdown{Yield: true, Cause: vrrp.CauseShutdown}), "")
	g.want(plain(g.wait(1099*ms)), "")
	g.want(plain(g.wait(1*ms)), "active>initialize nobody-took-over; release")

	g = asking(t)
	g.want(g.step(vrrp.LinkState{Fault: vrrp.FaultCheck, Detail: "x"}), "")
	g.want(plain(g.wait(1100*ms)), "active>initialize check-failed; release")
	g.want(g.linkUp(), "initialize>backup check-passed")
}

// A check that comes back while we leave takes the goodbye back.
func TestCheckFaultTakenBack(t *testing.T) {
	g := promoted(t, spec4())
	g.want(g.step(vrrp.LinkState{Fault: vrrp.FaultCheck}), "send 0; tell yielding")
	g.wait(100 * ms)
	g.want(g.linkUp(), "send 100")
	if v := g.r.View(); v.State != vrrp.Active || v.Fault != vrrp.FaultNone {
		t.Errorf("%s, fault %s", v.State, v.Fault)
	}
}

// Not to preempt means to leave a healthy Active alone, not a degraded one.
func TestYieldsToHealth(t *testing.T) {
	spec := spec4()
	spec.Preempt = false
	for _, c := range []struct {
		yields bool
		active uint8
		want   vrrp.State
	}{{true, 50, vrrp.Active}, {true, 51, vrrp.Backup}, {false, 30, vrrp.Backup}} {
		spec.YieldsToHealth = c.yields
		g := started(t, spec)
		for range 6 {
			g.recv(peer4, c.active, s)
			g.wait(900 * ms)
		}
		if got := g.r.View().State; got != c.want {
			t.Errorf("an Active of %d, yields to health %t: %s", c.active, c.yields, got)
		}
	}
}
