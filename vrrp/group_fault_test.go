package vrrp_test

import (
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// A fault of another member of the sync group: the way out that loses nothing.

// Another member is in a fault: we say goodbye and keep the addresses until a
// successor is heard or nobody comes; then we are in Initialize with that fault.
func TestGroupFault(t *testing.T) {
	g := groupActive(t, spec4(grouped))
	g.want(g.groupFault(), "send 0; tell yielding")
	g.want(g.groupFault(), "") // a level
	g.wait(600 * ms)
	g.want(g.recv(lower4, 90, s), "")
	g.want(plain(g.wait(20*ms)), "active>initialize sync-group; release")
	if v := g.r.View(); v.Fault != vrrp.FaultGroup || v.Stopped || v.Reason.Peer != lower4 || v.Reason.Detail == "" {
		t.Errorf("%v (%q), reason %+v", v.Fault, v.FaultDetail, v.Reason)
	}
	g.want(g.linkUp(), "initialize>backup interface-up")

	g = groupActive(t, spec4(grouped))
	g.groupFault()
	g.want(plain(g.wait(1100*ms)), "active>initialize sync-group; release")
	g.want(g.linkUp(), "initialize>backup interface-up")

	g = heard(t, spec4(grouped)) // a Backup has nothing to hand over
	g.want(g.groupFault(), "backup>initialize sync-group")
	g = ready(t, spec4(grouped))
	g.want(g.groupFault(), "backup>initialize sync-group")
	if g.r.Ready() {
		t.Error("ready in Initialize")
	}
}

// The fault goes before a successor is heard: Active goes on, without a transition.
func TestGroupFaultGoesInTime(t *testing.T) {
	g := groupActive(t, spec4(grouped))
	term := g.r.Term()
	g.groupFault()
	g.wait(400 * ms)
	g.want(g.linkUp(), "send 100")
	if v := g.r.View(); v.Yielding || v.Fault != vrrp.FaultNone || g.r.Term() != term {
		t.Errorf("yielding %v, fault %v", v.Yielding, v.Fault)
	}
	if fx := plain(g.wait(5 * s)); brief(fx) != "send 100; send 100; send 100; send 100; send 100" {
		t.Errorf("then %s", brief(fx))
	}
	g.want(g.groupFault(), "send 0; tell yielding") // and once more
}

// The fault goes after the successor has been heard: that one is Active, we are
// its Backup, by its interval, and not in an Initialize that nothing would end.
func TestGroupFaultGoesTooLate(t *testing.T) {
	g := groupActive(t, spec4(grouped))
	g.groupFault()
	g.wait(600 * ms)
	g.recv(peer4, 90, 4*s)
	g.wait(10 * ms)
	g.want(g.linkUp(), "")
	g.want(plain(g.wait(10*ms)), "active>backup sync-group; release")
	if v := g.r.View(); v.ActiveInterval != 4*s || v.Yielding || v.Fault != vrrp.FaultNone {
		t.Errorf("follows %v, yielding %v, fault %v", v.ActiveInterval, v.Yielding, v.Fault)
	}
	g.want(plain(g.wait(14437500*time.Microsecond)), "ready") // 3 × 4 s and the skew of that
}

// A stop during such a yield keeps its course and is for good.
func TestShutdownDuringGroupFault(t *testing.T) {
	shutdown := vrrp.Shutdown{Yield: true, Cause: vrrp.CauseShutdown, Detail: "SIGTERM"}
	g := groupActive(t, spec4(grouped))
	g.groupFault()
	g.wait(500 * ms)
	g.want(g.step(shutdown), "")
	g.want(g.groupFault(), "")
	g.want(g.linkUp(), "") // the fault goes: too late
	g.took(g.until(vrrp.Initialize), 600*ms)
	g.cause(vrrp.CauseNobodyTookOver)
	if why := g.r.View().Reason; why.Detail != "SIGTERM" || !g.r.Stopped() {
		t.Errorf("reason %+v", why)
	}
	g.want(g.linkUp(), "")

	g = groupActive(t, spec4(grouped)) // a fault during a stop does not change its reason
	g.step(shutdown)
	g.want(g.groupFault(), "")
	g.wait(500 * ms)
	g.recv(peer4, 90, s)
	g.want(plain(g.wait(20*ms)), "active>initialize yielded; release")

	g = groupActive(t, spec4(grouped))
	g.groupFault()
	g.want(g.step(vrrp.Shutdown{Cause: vrrp.CauseShutdown}), "active>initialize shutdown; release")
}

// A fault of our own during the yield ends it; with a link_down_delay it may
// come and go, and what is left of either wait must not outlive it.
func TestSecondFaultDuringGroupFault(t *testing.T) {
	g := groupActive(t, spec4(grouped))
	g.groupFault()
	g.want(g.linkDown(), "active>initialize interface-down; release")
	g.want(g.groupFault(), "") // ours has gone, theirs has not
	if v := g.r.View(); v.Fault != vrrp.FaultGroup {
		t.Errorf("fault %v", v.Fault)
	}
	g.want(g.linkUp(), "initialize>backup interface-up")

	g = groupActive(t, spec4(grouped, linkDelay(1900*ms)))
	g.groupFault()
	g.wait(300 * ms)
	g.want(g.linkDown(), "")
	g.wait(300 * ms)
	g.want(g.linkUp(), "send 100") // both have gone at once
	if fx := plain(g.wait(10 * s)); contains(fx, vrrp.Become) {
		t.Errorf("left although all is well: %s", brief(fx))
	}

	g = groupActive(t, spec4(grouped, linkDelay(1900*ms)))
	g.groupFault()
	g.wait(600 * ms)
	g.recv(peer4, 90, s)
	g.linkDown()
	g.wait(10 * ms)
	g.want(g.linkUp(), "")
	g.want(plain(g.wait(10*ms)), "active>backup sync-group; release")
	g.want(plain(g.wait(3*s)), "")
	g.state(vrrp.Backup)

	g = groupActive(t, spec4(grouped, linkDelay(1900*ms))) // nobody comes, and the link is lost
	g.groupFault()
	g.linkDown()
	g.took(g.until(vrrp.Initialize), 1100*ms)
	if v := g.r.View(); v.Fault != vrrp.FaultInterfaceDown {
		t.Errorf("in Initialize for %v", v.Fault)
	}
}

// The link came back, but another member is in a fault now: that is a yield of
// full length, not one cut short by the wait for our link.
func TestGroupFaultAfterAFlap(t *testing.T) {
	g := groupActive(t, spec4(grouped, linkDelay(500*ms)))
	g.linkDown()
	g.wait(300 * ms)
	g.want(g.groupFault(), "send 0; tell yielding")
	g.took(g.until(vrrp.Initialize), 1100*ms)
	g.cause(vrrp.CauseSyncGroup)
}
