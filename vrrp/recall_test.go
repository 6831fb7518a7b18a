package vrrp

import (
	"net/netip"
	"testing"
	"time"
)

// What random histories of the whole daemon have found (test/sim).

// recalledRouter is a router of priority 100 that goes on where another was, before
// it knows its link.
func recalledRouter(state State) *Router {
	r := New(Spec{VRID: 1, Family: IPv4, Priority: 100, Interval: time.Second, Preempt: true, Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.100")}})
	if !r.Recall(10*time.Second, &Memory{State: state, Term: 3, Priority: 100, Source: netip.MustParseAddr("10.0.0.1"), Sent: 10 * time.Second,
		Interval: time.Second, Down: 13 * time.Second, Hold: Never,
		Heard: Heard{Src: netip.MustParseAddr("10.0.0.2"), Priority: 150, Interval: time.Second, At: 10 * time.Second}}) {
		panic("not recalled")
	}
	return &r
}

func kinds(fx []Effect) (out []EffectKind) {
	for i := range fx {
		out = append(out, fx[i].Kind)
	}
	return out
}

// A Backup that was handed over and whose priority falls before its link is known
// must not be Active at once: its timer does not run yet (Never plus something).
func TestRecalledBackupWhosePriorityFalls(t *testing.T) {
	r := recalledRouter(Backup)
	r.Step(10*time.Second, SetPriority{Priority: 50}, nil)
	if d := r.Deadline(); d != Never {
		t.Errorf("wants to be woken at %v", d)
	}
	r.Step(10*time.Second, LinkState{Source: netip.MustParseAddr("10.0.0.1")}, nil)
	if d := r.Deadline(); d < 11*time.Second {
		t.Errorf("takes over at %v", d)
	}
}

// One that is to leave before its link is known does not come back to life with it.
// Its goodbye, which could not be said without, is said then, and the successor has all
// its time from then on.
func TestRecalledActiveThatLeaves(t *testing.T) {
	r := recalledRouter(Active)
	r.Step(10*time.Second, Shutdown{Yield: true, Cause: CauseShutdown}, nil)
	fx := r.Step(10500*time.Millisecond, LinkState{Source: netip.MustParseAddr("10.0.0.1")}, nil)
	if len(fx) != 2 || fx[0].Kind != Send || fx[0].Priority != PriorityStop || fx[1].Kind != Hold {
		t.Errorf("effects %v", fx)
	}
	r.Step(11500*time.Millisecond, Timeout{}, nil)
	if r.State() != Active {
		t.Errorf("is %s before a successor can have been heard", r.State())
	}
	r.Step(12*time.Second, Timeout{}, nil)
	if r.State() != Initialize {
		t.Errorf("is %s", r.State())
	}
}

// A second restart before the link is known forgets nothing of the first.
func TestRecalledIsRememberedAsItWas(t *testing.T) {
	for _, state := range []State{Active, Backup} {
		r := recalledRouter(state)
		if m, ok := r.Remember(); !ok || m.Down != 13*time.Second || m.State != state || m.Heard.Priority != 150 {
			t.Errorf("%s: remembered %t %+v", state, ok, m)
		}
	}
}

// In standby and on its way out, the group's demotion does not make a Backup of it.
func TestDemotedInStandby(t *testing.T) {
	r := New(Spec{VRID: 1, Family: IPv4, Priority: 100, Interval: time.Second, Grouped: true})
	src := netip.MustParseAddr("10.0.0.1")
	r.Step(0, LinkState{Source: src}, nil)
	r.Step(4*time.Second, Timeout{}, nil)
	r.Step(4*time.Second, Promote{}, nil)
	r.Step(5*time.Second, LinkState{Fault: FaultStandby, Detail: "by order", Source: src}, nil)
	if !r.Yielding() {
		t.Fatal("does not yield")
	}
	r.Step(5*time.Second, Demote{Detail: "another"}, nil)
	if r.State() != Initialize || r.Why().Cause != CauseStandby {
		t.Errorf("is %s: %s", r.State(), r.Why())
	}
}

// A demotion with a service group still up says no goodbye: it would be taken for
// the word that nothing is up any more.
func TestSilentDemotion(t *testing.T) {
	for _, silent := range []bool{false, true} {
		r := New(Spec{VRID: 1, Family: IPv4, Priority: 100, Interval: time.Second, Grouped: true})
		r.Step(0, LinkState{Source: netip.MustParseAddr("10.0.0.1")}, nil)
		r.Step(4*time.Second, Timeout{}, nil)
		r.Step(4*time.Second, Promote{}, nil)
		said := false
		for _, k := range kinds(r.Step(5*time.Second, Demote{Quiet: silent}, nil)) {
			said = said || k == Send
		}
		if said == silent || r.State() != Backup {
			t.Errorf("silent=%t: said goodbye %t, is %s", silent, said, r.State())
		}
	}
}

// Priority 0 from somebody who is not the Active, while that one is heard, hurries nobody.
func TestBystanderGivesUp(t *testing.T) {
	r := New(Spec{VRID: 1, Family: IPv4, Priority: 254, Interval: time.Second})
	r.Step(0, LinkState{Source: netip.MustParseAddr("10.0.0.1")}, nil)
	hear := func(at time.Duration, src string, priority uint8) {
		r.Step(at, &Received{Src: netip.MustParseAddr(src), At: at, TTL: HopLimit, Advert: Advert{Version: 3, VRID: 1, Priority: priority, Interval: time.Second}}, nil)
	}
	hear(time.Second, "10.0.0.2", 100)
	before := r.Deadline()
	hear(1100*time.Millisecond, "10.0.0.3", PriorityStop)
	if d := r.Deadline(); d != before {
		t.Errorf("a bystander moves the deadline from %v to %v", before, d)
	}
	hear(1200*time.Millisecond, "10.0.0.2", PriorityStop)
	if d := r.Deadline(); d >= before {
		t.Errorf("the Active's own goodbye does not: %v", d)
	}
	r.Step(r.Deadline(), Timeout{}, nil)
	if r.Before() != netip.MustParseAddr("10.0.0.2") {
		t.Errorf("before was %s", r.Before())
	}
}

// In standby from the first moment: it can say that it holds nothing all the same.
func TestLetGoInStandby(t *testing.T) {
	r := New(Spec{VRID: 1, Family: IPv4, Priority: 100, Interval: time.Second})
	r.Step(0, LinkState{Fault: FaultStandby, Detail: "by order", Source: netip.MustParseAddr("10.0.0.1")}, nil)
	if fx := r.Step(time.Second, LetGo{}, nil); len(fx) != 1 || fx[0].Kind != Send || fx[0].Priority != PriorityStop {
		t.Errorf("effects %v", fx)
	}
}
