package vrrp_test

import (
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// I: Initialize and Startup.

// "If the Priority = 255 (the router owns the IPvX address): Send an ADVERTISEMENT,
// broadcast a gratuitous ARP …, set the Adver_Timer to Advertisement_Interval,
// transition to the Active state." RFC 9568 6.4.1
func TestI1_OwnerStarts(t *testing.T) {
	g := newRig(t, spec4(priority(255)))
	fx := g.linkUp()
	g.want(fx, "send 255; initialize>active owner-startup; hold; announce")
	if fx[3].Repeat {
		t.Error("the first announcement must be the full one")
	}
	at, p := adverts(g.wait(2 * s))
	if len(at) != 2 || at[0] != epoch+s || at[1] != epoch+2*s || p[0] != 255 {
		t.Errorf("then adverts at %v with %v", at, p)
	}
}

// The same for IPv6, Neighbor Advertisements instead of ARP (the announcer's part). RFC 9568 6.4.1
func TestI2_OwnerStartsIPv6(t *testing.T) {
	g := newRig(t, spec6(priority(255)))
	g.want(g.linkUp(), "send 255; initialize>active owner-startup; hold; announce")
}

// "else: set Active_Adver_Interval to Advertisement_Interval, set the
// Active_Down_Timer to Active_Down_Interval, transition to Backup." RFC 9568 6.4.1
func TestI3_OthersListenFirst(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		for _, p := range []uint8{1, 100, 254} {
			g := newRig(t, spec(priority(p)))
			g.want(g.linkUp(), "initialize>backup startup")
			v := g.r.View()
			if v.ActiveInterval != s || v.DownDue != epoch+vrrp.ActiveDownInterval(s, p) {
				t.Errorf("priority %d: learned %v, down at +%v", p, v.ActiveInterval, v.DownDue-epoch)
			}
			if fx := g.wait(v.ActiveDownInterval - 1); len(fx) != 0 {
				t.Errorf("priority %d was not silent: %s", p, brief(plain(fx)))
			}
		}
	})
}

// Startup comes when the interface is usable and not before. RFC 9568 6.4.1
func TestI4_InterfaceDownAtStart(t *testing.T) {
	g := newRig(t, spec4(priority(255)))
	g.want(g.step(vrrp.LinkState{Fault: vrrp.FaultInterfaceDown, Detail: "no carrier"}), "")
	g.wait(60 * s)
	g.state(vrrp.Initialize)
	if v := g.r.View(); v.Fault != vrrp.FaultInterfaceDown || v.FaultDetail != "no carrier" {
		t.Errorf("fault %v (%s)", v.Fault, v.FaultDetail)
	}
	g.linkUp()
	g.state(vrrp.Active)
	if v := g.r.View(); v.Fault != vrrp.FaultNone || v.Started != epoch+60*s {
		t.Errorf("fault %v, started at +%v", v.Fault, v.Started-epoch)
	}
}

// Without an address to send from there is no Startup. RFC 9568 5.1.1.1
func TestI5_NoPrimaryAddress(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		g := newRig(t, spec())
		g.want(g.step(vrrp.LinkState{Fault: vrrp.FaultNoPrimaryAddress}), "")
		g.wait(60 * s)
		g.state(vrrp.Initialize)
		g.linkUp()
		g.state(vrrp.Backup)
		// And losing it later ends the part in the election.
		g.want(g.step(vrrp.LinkState{Fault: vrrp.FaultNoPrimaryAddress}), "backup>initialize no-primary-ip-address")
	})
}

// Initialize knows no ADVERTISEMENT event. RFC 9568 6.4.1
func TestI7_InitializeListensToNobody(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		g := newRig(t, spec())
		for _, p := range []uint8{0, 1, 100, 255} {
			g.want(g.recv(g.peer(), p, 400*ms), "")
		}
		g.state(vrrp.Initialize)
		v := g.r.View()
		g.counts("initialize-ignored", v.Counters.Drops[vrrp.DropNotReady], 4)
		g.counts("advertisement-rcvd", v.Counters.AdvertisementRcvd, 0)
		g.linkUp()
		g.took(g.until(vrrp.Active), 3609375*time.Microsecond) // nothing was learned
	})
}

// Every fault that can reach a running router is a transition with a cause, and
// leaves without a word: the link is gone. reference/vrrp.md 4.6
func TestFaultsHaveCauses(t *testing.T) {
	for fault, want := range map[vrrp.Fault]vrrp.Cause{
		vrrp.FaultInterfaceMissing: vrrp.CauseInterfaceMissing,
		vrrp.FaultInterfaceDown:    vrrp.CauseInterfaceDown,
		vrrp.FaultNoPrimaryAddress: vrrp.CauseNoPrimaryAddress,
		vrrp.FaultSocket:           vrrp.CauseSocket,
		vrrp.FaultVirtualMAC:       vrrp.CauseVirtualMAC,
	} {
		g := promoted(t, spec4())
		g.want(g.step(vrrp.LinkState{Fault: fault, Detail: "why"}), "active>initialize "+want.String()+"; release")
		if got := g.r.View().Reason.Detail; got != "why" {
			t.Errorf("%v: detail %q", fault, got)
		}
		g.want(g.step(vrrp.LinkState{Fault: fault}), "") // a level, not an event
		g = heard(t, spec4())
		g.want(g.step(vrrp.LinkState{Fault: fault}), "backup>initialize "+want.String())
	}
}

// FaultPending, the kernel's view not (or no longer) known, must name a cause as well.
func TestFaultPendingHasACause(t *testing.T) {
	r := vrrp.New(spec4())
	r.Step(epoch, vrrp.LinkState{Source: self4}, nil)
	for _, e := range r.Step(epoch, vrrp.LinkState{Fault: vrrp.FaultPending}, nil) {
		if e.Kind == vrrp.Become && e.Reason.Cause == vrrp.CauseNone {
			t.Error("FaultPending makes a running router leave without a cause")
		}
	}
}

// A flapping link begins anew each time: nothing heard before counts.
func TestLinkFlapForgets(t *testing.T) {
	g := started(t, spec4())
	g.recv(peer4, 150, 400*ms)
	g.recv(peer4, 0, 400*ms)
	g.step(vrrp.LinkState{Fault: vrrp.FaultInterfaceDown})
	g.wait(10 * s)
	g.linkUp()
	v := g.r.View()
	if v.Heard.Src.IsValid() || v.ActiveInterval != s {
		t.Errorf("still knows %v with %v", v.Heard.Src, v.ActiveInterval)
	}
	g.took(g.until(vrrp.Active), 3609375*time.Microsecond)
	g.cause(vrrp.CauseNoResponse)
}

// A good LinkState that repeats what is known changes nothing.
func TestLinkStateIsALevel(t *testing.T) {
	for _, g := range []*rig{heard(t, spec4()), promoted(t, spec4())} {
		before := g.r.View()
		g.want(g.linkUp(), "")
		if after := g.r.View(); after.Term != before.Term || after.DownDue != before.DownDue || after.AdverDue != before.AdverDue {
			t.Error("a repeated LinkState moved something")
		}
	}
}
