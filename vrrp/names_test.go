package vrrp_test

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// Every drop, notice, cause and fault has a stable name of its own: they are
// keys in JSON, in metrics and in hooks.
func TestNamesAreDistinct(t *testing.T) {
	distinct := func(kind string, n int, name func(int) string) {
		seen := map[string]bool{}
		for i := range n {
			text := name(i)
			if text == "" || strings.ContainsAny(text, " ()") || strings.ToLower(text) != text || seen[text] || strings.HasPrefix(text, "unknown") {
				t.Errorf("%s %d is called %q", kind, i, text)
			}
			seen[text] = true
		}
	}
	distinct("drop", int(vrrp.NumDrops), func(i int) string { return vrrp.Drop(i).String() })
	distinct("notice", int(vrrp.NumNotices), func(i int) string { return vrrp.NoticeKind(i).String() })
	distinct("cause", int(vrrp.CauseDied)+1, func(i int) string { return vrrp.Cause(i).String() })
	distinct("fault", int(vrrp.FaultPending)+1, func(i int) string { return vrrp.Fault(i).String() })
	distinct("state", 3, func(i int) string { return vrrp.State(i).String() })
	distinct("effect", int(vrrp.Tell)+1, func(i int) string { return vrrp.EffectKind(i).String() })
	distinct("checksum policy", 3, func(i int) string { return vrrp.ChecksumPolicy(i).String() })
	distinct("checksum form", 2, func(i int) string { return vrrp.ChecksumForm(i + 1).String() })
	distinct("family", 2, func(i int) string { return []vrrp.Family{vrrp.IPv4, vrrp.IPv6}[i].String() })
	for d := vrrp.Accepted + 1; d < vrrp.NumDrops; d++ {
		if d.Explain() == d.String() {
			t.Errorf("%v has no explanation", d)
		}
	}
	if vrrp.FamilyOf(self4) != vrrp.IPv4 || vrrp.FamilyOf(self6) != vrrp.IPv6 {
		t.Error("FamilyOf confuses the families")
	}
	// Values from nowhere must not panic in a log line.
	for _, text := range []string{vrrp.NumDrops.String(), vrrp.NumNotices.String(), vrrp.Cause(250).String(), vrrp.State(9).String(), vrrp.Family(9).String(), vrrp.FormUnknown.String()} {
		if text == "" {
			t.Error("a value out of range has no text")
		}
	}
}

// Each cause makes a sentence for a person, with its evidence in it.
func TestReasonsAreSentences(t *testing.T) {
	full := vrrp.Reason{Priority: 100, Peer: netip.MustParseAddr("10.0.0.3"), PeerPriority: 50, Silence: 3609375 * time.Microsecond, Timer: 609375 * time.Microsecond}
	for cause, want := range map[vrrp.Cause]string{
		vrrp.CauseNone:             "not started yet",
		vrrp.CauseStartup:          "started; listening for an Active for 609.4 ms",
		vrrp.CauseOwnerStartup:     "started as owner of the addresses (priority 255)",
		vrrp.CauseNoResponse:       "nothing heard from 10.0.0.3 (priority 50) for 3.609 s (Active_Down_Interval 609.4 ms)",
		vrrp.CauseResigned:         "10.0.0.3 gave up (priority 0) and nobody better took over within 609.4 ms",
		vrrp.CausePreempted:        "preempting 10.0.0.3 (priority 50) with priority 100",
		vrrp.CausePreemptHold:      "preempting 10.0.0.3 (priority 50) with priority 100 after preempt_delay 609.4 ms",
		vrrp.CauseHigherPriority:   "10.0.0.3 (priority 50) is better than our priority 100",
		vrrp.CauseHigherAddress:    "10.0.0.3 (priority 50) has our priority and the higher address",
		vrrp.CauseReplacedInStall:  "this host did not run for 3.609 s and 10.0.0.3 (priority 50) took over meanwhile",
		vrrp.CauseYielded:          "stepped aside on request; 10.0.0.3 (priority 50) has taken over",
		vrrp.CauseNobodyTookOver:   "stepped aside on request; nobody took over within 609.4 ms",
		vrrp.CauseShutdown:         "left on request",
		vrrp.CauseInterfaceUp:      "the interface is usable again; listening for an Active for 609.4 ms",
		vrrp.CauseDied:             "the daemon before this one ended without leaving: killed, crashed, or the power failed",
		vrrp.CauseInterfaceMissing: "the interface does not exist",
		vrrp.CauseInterfaceDown:    "the interface is down",
	} {
		why := full
		why.Cause = cause
		if got := why.String(); got != want {
			t.Errorf("%v:\n got %q\nwant %q", cause, got, want)
		}
	}
	for c := range vrrp.CauseDied + 1 {
		why := vrrp.Reason{Cause: c, Detail: "SIGTERM"} // no evidence at all
		if got := why.String(); !strings.HasSuffix(got, " (SIGTERM)") || strings.Contains(got, "Cause(") || len(got) < 15 {
			t.Errorf("%v without evidence: %q", c, got)
		}
	}
	quick := vrrp.Reason{Cause: vrrp.CauseStartup, Timer: 7812500}
	if got := quick.String(); !strings.HasSuffix(got, "7.812 ms") {
		t.Errorf("short times need microseconds: %q", got)
	}
}

// The virtual router MAC address. RFC 9568 7.3
func TestVirtualMAC(t *testing.T) {
	if got, want := vrrp.VirtualMAC(vrrp.IPv4, 52), ([6]byte{0, 0, 0x5e, 0, 1, 52}); got != want {
		t.Errorf("IPv4: % x", got)
	}
	if got, want := vrrp.VirtualMAC(vrrp.IPv6, 255), ([6]byte{0, 0, 0x5e, 0, 2, 255}); got != want {
		t.Errorf("IPv6: % x", got)
	}
}

// Status names the timers of each state and the effective configuration.
//
// conformance: S1
func TestViewInEachState(t *testing.T) {
	g := newRig(t, spec4())
	if v := g.r.View(); v.State != vrrp.Initialize || v.Fault != vrrp.FaultPending || v.Reason.Cause != vrrp.CauseNone || v.Term != 0 || v.Started != 0 {
		t.Errorf("initialize: %+v", v)
	}
	g.linkUp()
	if v := g.r.View(); v.State != vrrp.Backup || v.Started != epoch || v.Since != epoch || v.AdverDue != vrrp.Never || v.DownDue != epoch+downAt100 || v.Term != 1 {
		t.Errorf("backup: %+v", v)
	}
	g.until(vrrp.Active)
	if v := g.r.View(); v.State != vrrp.Active || v.Started != epoch || v.Since != g.now || v.DownDue != vrrp.Never || v.AdverDue == vrrp.Never || v.Term != 2 {
		t.Errorf("active: %+v", v)
	}
	if g.r.DownInterval() != downAt100 || g.r.Priority() != 100 || g.r.Source() != self4 {
		t.Errorf("down interval %v, priority %d, source %v", g.r.DownInterval(), g.r.Priority(), g.r.Source())
	}
}
