package vrrp_test

import (
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// T: exact durations. Virtual time makes the tolerances of reference/vrrp.md 8.0 unnecessary.

type makeSpec = func(...func(*vrrp.Spec)) vrrp.Spec

// Active_Down_Interval at priority 100 is 3 × 1 s + 156/256 s. RFC 9568 6.1, 6.4.1
func TestT1_SilentStart(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		g := started(t, spec())
		g.took(g.until(vrrp.Active), 3609375*time.Microsecond)
		g.cause(vrrp.CauseNoResponse)
	})
}

// The skew orders Backups by priority. RFC 9568 6.1
func TestT2_SilentStartBestAndWorst(t *testing.T) {
	for p, want := range map[uint8]time.Duration{254: 3007812500, 1: 3996093750, 200: 3218750 * time.Microsecond} {
		g := started(t, spec4(priority(p)))
		g.took(g.until(vrrp.Active), want)
	}
}

// Both parts scale with the interval. RFC 9568 6.1
func TestT3_SilentStartSubsecond(t *testing.T) {
	g := started(t, spec4(interval(200*ms)))
	g.took(g.until(vrrp.Active), 721875*time.Microsecond)
}

// Adver_Timer has a period of exactly Advertisement_Interval, without drift,
// also when every wake-up is late. RFC 9568 6.4.3
func TestT4_PeriodWithoutDrift(t *testing.T) {
	g := promoted(t, spec4())
	begin := g.now
	for i := range 100 {
		due := begin + time.Duration(i+1)*s
		if g.r.Deadline() != due {
			t.Fatalf("advert %d is due at +%v, want +%v", i, g.r.Deadline()-begin, due-begin)
		}
		g.now = due + time.Duration(i)*ms // up to 99 ms late
		g.want(g.step(vrrp.Timeout{}), "send 100")
	}
}

// Slots that passed while nobody ran are not made up for. (Ours: the RFC knows no stalls.)
//
// conformance: T4
func TestMissedSlotsAreSkipped(t *testing.T) {
	g := promoted(t, spec4())
	begin := g.now
	g.now += 2500 * ms
	g.want(g.step(vrrp.Timeout{}), "send 100")
	if g.r.Deadline() != begin+3*s {
		t.Errorf("next advert at +%v, want +3s", g.r.Deadline()-begin)
	}
}

// "Set Active_Adver_Interval to Adver Interval contained in the ADVERTISEMENT;
// recompute the Skew_Time and Active_Down_Interval." RFC 9568 6.4.2
func TestT5_LearnsTheActivesShorterInterval(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		g := started(t, spec())
		g.wait(s)
		g.recv(g.peer(), 150, 400*ms)
		g.took(g.until(vrrp.Active), 1443750*time.Microsecond)
	})
}

// The same for a longer one. RFC 9568 6.4.2
func TestT6_LearnsTheActivesLongerInterval(t *testing.T) {
	g := started(t, spec4())
	g.recv(peer4, 150, 3*s)
	g.took(g.until(vrrp.Active), 10828125*time.Microsecond)
}

// "Set the Adver_Timer to Advertisement_Interval": after promotion our own
// counts, not the learned one. RFC 9568 6.4.2, 6.4.3
func TestT7_SendsAtItsOwnInterval(t *testing.T) {
	g := started(t, spec4())
	g.recv(peer4, 150, 400*ms)
	g.until(vrrp.Active)
	g.wait(g.r.Deadline() - g.now)
	begin := g.now
	at, _ := adverts(g.wait(5 * s))
	if len(at) != 5 || at[0] != begin+s || at[4] != begin+5*s {
		t.Errorf("adverts at %v, want every second from %v", at, begin)
	}
	if a := g.r.Advert(100); a.Interval != s {
		t.Errorf("advertises %v, want its own 1s", a.Interval)
	}
	if v := g.r.View(); v.ActiveInterval != s {
		t.Errorf("Active_Adver_Interval is %v while Active, want 1s", v.ActiveInterval)
	}
}

// Priority 0: "Set the Active_Down_Timer to Skew_Time", from the interval
// learned before and not from that packet. RFC 9568 6.1, 6.4.2
func TestT8_PriorityZeroTeachesNoInterval(t *testing.T) {
	g := started(t, spec4())
	g.recv(peer4, 150, 2*s)
	g.wait(s)
	g.recv(peer4, 0, 100*ms)
	if got := g.r.View().ActiveInterval; got != 2*s {
		t.Errorf("Active_Adver_Interval is %v, want the learned 2s", got)
	}
	g.took(g.until(vrrp.Active), 1218750*time.Microsecond)
	g.cause(vrrp.CauseResigned)
}

// Priority 0 is followed by Skew_Time of one's own priority. RFC 9568 6.1, 6.4.2
func TestT9_PriorityZeroHandover(t *testing.T) {
	for p, want := range map[uint8]time.Duration{254: 7812500, 100: 609375 * time.Microsecond, 1: 996093750} {
		bothFamilies(t, func(t *testing.T, spec makeSpec) {
			g := started(t, spec(priority(p), noPreempt))
			g.recv(g.peer(), 150, s)
			g.wait(300 * ms)
			g.recv(g.peer(), 0, s)
			g.took(g.until(vrrp.Active), want)
		})
	}
}

// A discarded advertisement teaches nothing. RFC 9568 6.4.2
func TestT10_DiscardedTeachesNoInterval(t *testing.T) {
	g := heard(t, spec4())
	g.wait(s)
	g.recv(peer4, 50, 4*s)
	if got := g.r.View().ActiveInterval; got != s {
		t.Errorf("Active_Adver_Interval is %v, want the learned 1s", got)
	}
	g.took(s+g.until(vrrp.Active), 3609375*time.Microsecond)
}

// Skew_Time is recomputed with each change too; RFC 5798 kept a stale one. RFC 9568 6.4.2
func TestT11_RecomputesTheSkewToo(t *testing.T) {
	g := started(t, spec4())
	g.recv(peer4, 150, 400*ms)
	g.wait(100 * ms)
	g.recv(peer4, 150, s)
	if got := g.r.View().SkewTime; got != 609375*time.Microsecond {
		t.Errorf("Skew_Time %v, want 609.375ms", got)
	}
	g.took(g.until(vrrp.Active), 3609375*time.Microsecond)
}

// An Active that steps down learns from the advertisement that made it. RFC 9568 6.4.3
func TestT12_LearnsWhileSteppingDown(t *testing.T) {
	bothFamilies(t, func(t *testing.T, spec makeSpec) {
		g := promoted(t, spec())
		g.recv(g.peer(), 150, 500*ms)
		g.state(vrrp.Backup)
		g.took(g.until(vrrp.Active), 1804687500)
	})
}

// Timers are not cut to whole centiseconds, or 254 and 200 would promote together. reference/vrrp.md 3.1
func TestT13_NoTruncationToCentiseconds(t *testing.T) {
	for p, want := range map[uint8]time.Duration{254: 30078125, 200: 32187500} {
		g := started(t, spec4(priority(p), interval(10*ms)))
		g.took(g.until(vrrp.Active), want)
	}
}

// A Backup that did not run while adverts arrived stays Backup: they are
// handed over with their arrival times before the timer is judged. reference/vrrp.md 4.6
func TestT15_FrozenBackupWithQueuedAdverts(t *testing.T) {
	g := heard(t, spec4())
	woken := g.now + 5*s // longer than the down interval
	arrived := []time.Duration{g.now + s, g.now + 2*s, g.now + 3*s, g.now + 4*s}
	g.now = woken
	g.step(vrrp.Stall{Late: 5*s - 3609375*time.Microsecond})
	for _, at := range arrived {
		e := g.advert(peer4, 150, s)
		e.At = at
		g.step(e)
	}
	g.want(g.step(vrrp.Timeout{}), "")
	g.state(vrrp.Backup)
	// And the timer counts from the last arrival, not from when we woke up.
	g.took(s+g.until(vrrp.Active), 3609375*time.Microsecond)
}

// Each priority-0 advertisement sets the timer anew, even to later than what
// remained: the literal reading. RFC 9568 6.4.2
func TestT16_RepeatedPriorityZero(t *testing.T) {
	g := heard(t, spec4())
	for range 20 {
		g.recv(peer4, 0, s)
		if fx := g.wait(300 * ms); len(fx) != 0 {
			t.Fatalf("reacted while it was told to wait: %s", brief(plain(fx)))
		}
	}
	g.took(300*ms+g.until(vrrp.Active), 609375*time.Microsecond)

	// Later than the remaining time: 3.5 s after the last advert 109 ms remain.
	g = heard(t, spec4())
	g.wait(3500 * ms)
	g.recv(peer4, 0, s)
	g.took(g.until(vrrp.Active), 609375*time.Microsecond)
}

// The table of worked values in reference/vrrp.md 3.1, exact.
//
// conformance: S10
func TestSkewAndDownInterval(t *testing.T) {
	for _, tt := range []struct {
		cs   int
		p    uint8
		skew time.Duration
	}{
		{1, 255, 39062}, {1, 254, 78125}, {1, 200, 2187500}, {1, 100, 6093750}, {1, 1, 9960937},
		{10, 255, 390625}, {10, 100, 60937500}, {40, 100, 243750 * time.Microsecond},
		{100, 255, 3906250}, {100, 254, 7812500}, {100, 200, 218750000}, {100, 100, 609375000}, {100, 1, 996093750},
		{200, 100, 1218750000}, {4095, 255, 159960937}, {4095, 1, 40790039062},
	} {
		in := time.Duration(tt.cs) * vrrp.IntervalUnit
		if got := vrrp.SkewTime(in, tt.p); got != tt.skew {
			t.Errorf("skew of priority %d at %v: %d ns, want %d ns", tt.p, in, got, tt.skew)
		}
		if got := vrrp.ActiveDownInterval(in, tt.p); got != 3*in+tt.skew {
			t.Errorf("down interval of priority %d at %v: %v", tt.p, in, got)
		}
	}
}

// A timeout before its time does nothing.
func TestSpuriousTimeout(t *testing.T) {
	for _, g := range []*rig{newRig(t, spec4()), started(t, spec4()), promoted(t, spec4())} {
		due := g.r.Deadline()
		g.want(g.step(vrrp.Timeout{}), "")
		if due != vrrp.Never {
			g.now = due - 1
			g.want(g.step(vrrp.Timeout{}), "")
		}
		if g.r.Deadline() != due {
			t.Errorf("%v: a spurious timeout moved the deadline", g.r.State())
		}
	}
}
