package vrrp_test

import (
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// The stall rule (design.md section 3, reference/vrrp.md 4.6): a router whose
// host did not run for longer than its down interval does not trust its own
// view. The RFC knows nothing of it.

const downAt100 = 3609375 * time.Microsecond

// stall lets the host stand still for d.
func (g *rig) stall(d time.Duration) []vrrp.Effect {
	g.t.Helper()
	g.now += d
	return g.step(vrrp.Stall{Late: d})
}

// An Active listens for an interval before it speaks again; if nobody took
// over, it goes on, and announces in case somebody had.
func TestStalledActiveNotReplaced(t *testing.T) {
	g := promoted(t, spec4())
	term := g.r.Term()
	g.want(g.stall(5*s), "tell stalled")
	g.want(g.step(vrrp.Timeout{}), "") // the advert that was due does not leave
	if fx := g.wait(s - 1); len(fx) != 0 {
		t.Fatalf("spoke while listening: %s", brief(plain(fx)))
	}
	g.want(plain(g.wait(1)), "send 100; tell resumed; announce")
	if g.r.Term() != term {
		t.Error("that was no transition")
	}
	g.counts("stalls", g.r.View().Counters.Stalls, 1)
	if at, _ := adverts(g.wait(3 * s)); len(at) != 3 {
		t.Errorf("%d adverts in the next three seconds", len(at))
	}
}

// Whoever is heard after the stall has taken over in it, even with a lower
// priority: Backup's rules decide whether that changes again.
func TestStalledActiveReplaced(t *testing.T) {
	for _, p := range []uint8{50, 100, 200} {
		g := promoted(t, spec4())
		g.stall(5 * s)
		want := "active>backup replaced-in-stall; release"
		if p == 200 { // ours is the worse one, and says so
			want = "send 100; " + want
		}
		g.want(g.recv(lower4, p, s), want)
		if why := g.r.View().Reason; why.Peer != lower4 || why.PeerPriority != p || why.Silence != 5*s {
			t.Errorf("evidence %+v", why)
		}
		g.took(g.until(vrrp.Active), downAt100)
	}
}

// Neither a resignation nor our own echo is a successor.
func TestStalledActiveIsNotReplacedByFarewellOrEcho(t *testing.T) {
	g := promoted(t, spec4())
	g.stall(5 * s)
	g.want(g.recv(peer4, 0, s), "")
	g.want(g.recv(self4, 100, s), "")
	g.want(plain(g.wait(s)), "send 100; tell resumed; announce")
}

// While it listens, nothing else makes it speak, except leaving.
func TestStalledActiveKeepsListening(t *testing.T) {
	g := promoted(t, spec4())
	g.stall(5 * s)
	g.want(g.step(vrrp.SetPriority{Priority: 120}), "")
	g.want(g.step(vrrp.Configure{Spec: spec4(interval(2 * s))}), "")
	g.want(plain(g.wait(s)), "send 120; tell resumed; announce")

	g = promoted(t, spec4())
	g.stall(5 * s)
	g.want(g.step(vrrp.Shutdown{Cause: vrrp.CauseShutdown}), "send 0; active>initialize shutdown; release")

	g = promoted(t, spec4())
	g.stall(5 * s)
	g.now += 500 * ms
	g.want(g.stall(4*s), "tell stalled") // again: listens anew
	g.want(plain(g.wait(s-1)), "")
}

// A stall shorter than the down interval is a late advert and no more.
func TestShortStallIsNone(t *testing.T) {
	g := promoted(t, spec4())
	g.want(g.stall(downAt100-1), "")
	g.want(g.step(vrrp.Timeout{}), "send 100")
	g.counts("stalls", g.r.View().Counters.Stalls, 0)

	g = promoted(t, spec4())
	g.want(g.stall(downAt100), "tell stalled")
}

// What counts for an Active is how long it has been silent, not how late the
// loop was; for a Backup, whether the loop slept through an advertisement.
func TestWhatAStallIsMeasuredBy(t *testing.T) {
	g := promoted(t, spec4())
	g.now += 900 * ms // the next advert is not yet due
	g.now += downAt100 - 900*ms
	g.want(g.step(vrrp.Stall{Late: downAt100 - s}), "tell stalled")

	g = heard(t, spec4())
	due := g.r.Deadline()
	g.want(g.stall(s-1), "")
	if g.r.Deadline() != due {
		t.Error("a hiccup moved a Backup's timer")
	}
	g.want(g.stall(s), "tell stalled")
}

// Hiccups while listening do not prolong it: a host that is late by 10 ms ten
// times a second would otherwise never speak again.
func TestHiccupsDoNotProlongListening(t *testing.T) {
	g := promoted(t, spec4())
	g.stall(5 * s)
	begin := g.now
	for g.now-begin < 3*s {
		if fx := g.wait(90 * ms); contains(plain(fx), vrrp.Send) {
			return
		}
		g.stall(10 * ms)
	}
	t.Errorf("still silent %v after the stall", g.now-begin)
}

// A Backup waits one more interval and skew before it believes in the silence.
func TestStalledBackup(t *testing.T) {
	t.Run("the Active is gone", func(t *testing.T) {
		g := heard(t, spec4())
		g.want(g.stall(10*s), "tell stalled")
		g.want(g.step(vrrp.Timeout{}), "")
		g.took(g.until(vrrp.Active), 1609375*time.Microsecond)
		g.cause(vrrp.CauseNoResponse)
	})
	t.Run("the Active lives", func(t *testing.T) {
		g := heard(t, spec4())
		g.stall(10 * s)
		g.wait(900 * ms)
		g.recv(peer4, 150, s)
		g.took(g.until(vrrp.Active), downAt100)
	})
	t.Run("the grant outlives queued packets", func(t *testing.T) {
		g := heard(t, spec4())
		g.stall(10 * s)
		old := g.advert(peer4, 150, s)
		old.At -= 9 * s
		g.step(old)
		g.took(g.until(vrrp.Active), 1609375*time.Microsecond)

		g = heard(t, spec4())
		g.stall(10 * s)
		g.recv(peer4, 0, s)
		g.took(g.until(vrrp.Active), 1609375*time.Microsecond)
	})
	t.Run("it shortens nothing", func(t *testing.T) {
		g := heard(t, spec4())
		g.want(g.stall(s), "tell stalled") // 2.6 s remain, the grant is 1.6 s
		g.took(s+g.until(vrrp.Active), downAt100)
	})
	t.Run("it ends with a transition", func(t *testing.T) {
		g := heard(t, spec4())
		g.stall(10 * s)
		g.step(vrrp.LinkState{Fault: vrrp.FaultInterfaceDown})
		g.linkUp()
		g.took(g.until(vrrp.Active), downAt100)
	})
}

// In Initialize there is no view to distrust.
func TestStallInInitialize(t *testing.T) {
	g := newRig(t, spec4())
	g.want(g.stall(time.Hour), "")
	g.counts("stalls", g.r.View().Counters.Stalls, 0)
}

// The preempt delay that ran out in a stall: who is Active now must be heard first.
func TestStalledBackupAndPreemptDelay(t *testing.T) {
	g := started(t, spec4(holdTime(5*s)))
	g.recv(peer4, 50, s)
	g.want(g.stall(10*s), "tell stalled")
	g.want(g.step(vrrp.Timeout{}), "")
	g.wait(s)
	g.want(g.recv(lower4, 150, s), "") // a better one took over meanwhile
	g.wait(2 * s)
	g.state(vrrp.Backup)
}
