package vrrp_test

import (
	"testing"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// The reason of the last promotion in the words of RFC 8347, and of the last
// event, through a life. A step down does not change the former.
//
// conformance: S3, S4, S9, S13
func TestWordsOfTheModel(t *testing.T) {
	g := started(t, spec4())
	said := func(event, reason string) {
		t.Helper()
		v := g.r.View()
		if e, r := v.Reason.Cause.ModelEvent(), v.Promoted.NewActiveReason(); e != event || r != reason {
			t.Errorf("%v: event %q, reason %q, want %q and %q", v.Reason.Cause, e, r, event, reason)
		}
	}
	said("startup", "not-active")
	g.until(vrrp.Active)
	said("active-timeout", "no-response")
	g.recv(peer4, 200, s)
	said("higher-priority-backup", "no-response")
	g.recv(peer4, 0, s)
	g.until(vrrp.Active)
	said("active-timeout", "priority")
	g.recv(peer4, 200, s)
	for g.r.State() == vrrp.Backup { // a worse one goes on advertising
		g.recv(peer4, 50, s)
		g.wait(100 * ms)
	}
	said("lower-priority-active", "preempted")
	g.step(vrrp.LinkState{Fault: vrrp.FaultInterfaceDown})
	said("interface-down", "preempted")

	if got := vrrp.CauseOwnerStartup.NewActiveReason(); got != "preempted" {
		t.Errorf("an owner's start: %q", got)
	}
}

// Every cause has a word in both, the model's or ours.
func TestEveryCauseHasWordsOfTheModel(t *testing.T) {
	for c := vrrp.CauseNone; c <= vrrp.CauseDied; c++ {
		if c.ModelEvent() == "" || c.NewActiveReason() == "" {
			t.Errorf("%v: %q, %q", c, c.ModelEvent(), c.NewActiveReason())
		}
	}
}
