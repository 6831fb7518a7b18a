package vrrp_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// Changes from outside: priority, configuration, source address, checksum form.
// reference/vrrp.md 4.6 and 1.4

// A reload that changes nothing has no effect at all, in any state.
func TestUnchangedConfigureDoesNothing(t *testing.T) {
	delayed := started(t, spec4(holdTime(5*s)))
	delayed.recv(peer4, 50, s)
	for name, g := range map[string]*rig{
		"initialize": newRig(t, spec4()), "backup": started(t, spec4()), "backup under an Active": heard(t, spec4()),
		"preempt delay": delayed, "active": promoted(t, spec4()), "yielding": yielding(t, spec4()),
		"owner": promoted(t, spec4(priority(255))), "backup, no preempt": heard(t, spec4(noPreempt)),
	} {
		t.Run(name, func(t *testing.T) {
			g.now += 100 * ms
			before := g.r.View()
			sp := before.Spec
			sp.Addresses = append([]netip.Addr(nil), sp.Addresses...) // equal, not the same
			g.want(g.step(vrrp.Configure{Spec: sp}), "")
			after := g.r.View()
			if before.AdverDue != after.AdverDue || before.DownDue != after.DownDue || before.HoldDue != after.HoldDue ||
				before.Priority != after.Priority || before.Counters != after.Counters || before.ActiveInterval != after.ActiveInterval {
				t.Errorf("before %+v\nafter  %+v", before, after)
			}
		})
	}
}

// An effective priority set by checks outlives a reload that does not touch the base.
func TestConfigureKeepsTheEffectivePriority(t *testing.T) {
	g := heard(t, spec4())
	g.step(vrrp.SetPriority{Priority: 20})
	g.step(vrrp.Configure{Spec: spec4(interval(500 * ms))})
	if p := g.r.Priority(); p != 20 {
		t.Errorf("priority %d, want 20", p)
	}
	g.step(vrrp.Configure{Spec: spec4(priority(30))})
	if p := g.r.Priority(); p != 30 {
		t.Errorf("priority %d, want 30", p)
	}
}

// An Active's new interval begins with the shorter of what remained and itself.
func TestConfigureIntervalWhileActive(t *testing.T) {
	for _, tt := range []struct{ after, interval, next time.Duration }{
		{300 * ms, 100 * ms, 100 * ms}, {950 * ms, 100 * ms, 50 * ms}, {300 * ms, 5 * s, 700 * ms},
	} {
		g := promoted(t, spec4())
		g.wait(tt.after)
		g.want(g.step(vrrp.Configure{Spec: spec4(interval(tt.interval))}), "")
		at, _ := adverts(g.wait(tt.next + tt.interval))
		if len(at) != 2 || at[0] != g.now-tt.interval || at[1] != g.now {
			t.Errorf("%v after %v: adverts at %v", tt.interval, tt.after, at)
		}
	}
}

// A Backup that has an Active goes on with the Active's interval; one that has
// none takes its own new one for the guess.
func TestConfigureIntervalWhileBackup(t *testing.T) {
	g := heard(t, spec4())
	g.want(g.step(vrrp.Configure{Spec: spec4(interval(100 * ms))}), "")
	g.took(g.until(vrrp.Active), downAt100)

	g = started(t, spec4())
	g.wait(100 * ms)
	g.step(vrrp.Configure{Spec: spec4(interval(100 * ms))})
	g.took(100*ms+g.until(vrrp.Active), 360937500)

	g = newRig(t, spec4())
	g.step(vrrp.Configure{Spec: spec4(interval(100 * ms))})
	g.linkUp()
	g.took(g.until(vrrp.Active), 360937500)
}

// Turning preemption on or off, or its delay, works on the Active at hand.
func TestConfigurePreemption(t *testing.T) {
	g := started(t, spec4(noPreempt))
	g.recv(peer4, 50, s)
	g.step(vrrp.Configure{Spec: spec4()})
	for range 3 {
		g.wait(s)
		g.recv(peer4, 50, s)
	}
	g.took(3*s+g.until(vrrp.Active), downAt100)

	g = started(t, spec4(holdTime(5*s)))
	g.recv(peer4, 50, s)
	g.step(vrrp.Configure{Spec: spec4(holdTime(5*s), noPreempt)})
	for range 20 {
		g.wait(s)
		g.recv(peer4, 50, s)
	}
	g.state(vrrp.Backup)
}

// 255 comes and goes with the configuration only.
func TestOwnershipComesFromConfiguration(t *testing.T) {
	g := promoted(t, spec4())
	g.want(g.step(vrrp.Configure{Spec: spec4(priority(255))}), "send 255")
	g.want(g.step(vrrp.SetPriority{Priority: 7}), "") // an owner's is never changed
	if v := g.r.View(); !v.Owner || v.Priority != 255 {
		t.Errorf("owner %v, priority %d", v.Owner, v.Priority)
	}
	g.want(g.step(vrrp.Configure{Spec: spec4()}), "send 100")

	for set, want := range map[uint8]uint8{0: 1, 255: 254, 1: 1, 254: 254} { // clamped
		g.step(vrrp.SetPriority{Priority: set})
		if p := g.r.Priority(); p != want {
			t.Errorf("SetPriority %d made %d, want %d", set, p, want)
		}
	}
}

// A priority set while Initialize is the one to start with.
func TestPriorityBeforeStartup(t *testing.T) {
	g := newRig(t, spec4())
	g.want(g.step(vrrp.SetPriority{Priority: 254}), "")
	g.linkUp()
	g.took(g.until(vrrp.Active), 3007812500)
}

// A new primary address is the tie-break key from then on, without a transition.
//
// conformance: W24
func TestSourceChanges(t *testing.T) {
	g := promoted(t, spec4())
	g.want(g.step(vrrp.LinkState{Source: netip.MustParseAddr("10.0.0.4")}), "")
	if g.r.Source() != netip.MustParseAddr("10.0.0.4") {
		t.Error("still sends from the old one")
	}
	g.recv(peer4, 100, s)
	g.state(vrrp.Active)
	// A change of the addresses served is none of the source.
	g.step(vrrp.Configure{Spec: spec4(serving(addrs("10.0.0.9", "10.0.0.253")...))})
	if g.r.Source() != netip.MustParseAddr("10.0.0.4") {
		t.Error("the source moved with the virtual addresses")
	}
}

// The walk of reference/vrrp.md 1.4: a stock keepalived of lower priority drops
// our conformant form, becomes Active, and is answered in its own.
//
// conformance: V12
func TestChecksumAuto(t *testing.T) {
	g := promoted(t, spec4(priority(150)))
	if g.r.Form() != vrrp.MessageOnly {
		t.Fatalf("begins with %v", g.r.Form())
	}
	e := g.advert(peer4, 100, s)
	e.Form = vrrp.WithPseudoHeader
	g.want(g.step(e), "tell checksum-form-learned; tell lower-priority-active; send 150; announce again")
	if g.r.Form() != vrrp.WithPseudoHeader { // what the Send above goes out with
		t.Fatal("does not mirror")
	}
	g.want(g.step(e), "tell lower-priority-active") // known by now
	g.counts("checksum-form-other", g.r.View().Counters.ChecksumFormOther, 1)

	// A third router in the other form: no single form serves both.
	g.now += s
	e = g.advert(lower4, 90, s)
	e.Form = vrrp.MessageOnly
	if fx := g.step(e); !tells(fx, vrrp.NoticeChecksumMixed) {
		t.Errorf("a mixed group goes unnoticed: %s", brief(fx))
	}
	if g.r.Form() != vrrp.MessageOnly {
		t.Error("does not mirror the form heard last")
	}
}

// A fixed policy sends what it says, whatever is heard; so does IPv6.
func TestChecksumFixed(t *testing.T) {
	for policy, want := range map[vrrp.ChecksumPolicy]vrrp.ChecksumForm{
		vrrp.ChecksumRFC9568: vrrp.MessageOnly, vrrp.ChecksumRFC5798: vrrp.WithPseudoHeader,
	} {
		g := started(t, spec4(sends(policy)))
		e := g.advert(peer4, 150, s)
		e.Form = vrrp.MessageOnly + vrrp.WithPseudoHeader - want
		if fx := g.step(e); !tells(fx, vrrp.NoticeChecksumMixed) {
			t.Errorf("%v: %s", policy, brief(fx))
		}
		if g.r.Form() != want {
			t.Errorf("%v sends %v", policy, g.r.Form())
		}
		g.counts("checksum-form-other", g.r.View().Counters.ChecksumFormOther, 1)
		g.state(vrrp.Backup)
		g.took(g.until(vrrp.Active), downAt100) // accepted in either form
	}
	g := started(t, spec6())
	g.want(g.recv(peer6, 150, s), "")
	if g.r.Form() != vrrp.WithPseudoHeader {
		t.Error("IPv6 knows one form only")
	}
}

// The form is never learned from what was refused.
func TestChecksumFormOfRefusedPackets(t *testing.T) {
	g := newRig(t, spec4())
	e := g.advert(peer4, 100, s)
	e.Form = vrrp.WithPseudoHeader
	g.step(e) // Initialize
	g.linkUp()
	e.Src = self4
	g.step(e) // our own
	e.Advert.Priority = 77
	g.step(e) // a duplicate address
	if g.r.Form() != vrrp.MessageOnly {
		t.Error("learned from a refused packet")
	}
	// A change of policy by reload takes effect at once.
	g.step(vrrp.Configure{Spec: spec4(sends(vrrp.ChecksumRFC5798))})
	if g.r.Form() != vrrp.WithPseudoHeader {
		t.Error("the reload has no effect")
	}
}

// A new guess of the interval must not undo what the timer waits for meanwhile:
// a resignation's skew, or the grant after a stall.
func TestConfigureIntervalKeepsResignationAndGrant(t *testing.T) {
	g := started(t, spec4())
	g.recv(peer4, 0, s)
	g.step(vrrp.Configure{Spec: spec4(interval(10 * s))})
	g.took(609375*time.Microsecond, g.r.Deadline()-g.now)

	g = started(t, spec4())
	g.stall(10 * s)
	g.step(vrrp.Configure{Spec: spec4(interval(100 * ms))})
	g.took(1609375*time.Microsecond, g.r.Deadline()-g.now)
}
