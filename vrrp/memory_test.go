package vrrp_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// next is the router of the process that follows, after a gap.
func next(t *testing.T, g *rig, gap time.Duration) (*vrrp.Router, bool) {
	t.Helper()
	m, ok := g.r.Remember()
	if !ok {
		t.Fatal("not remembered")
	}
	g.now += gap
	r := vrrp.New(g.r.Spec())
	return &r, r.Recall(g.now, &m)
}

// An Active goes on: the first thing it does is to advertise, nothing changes state.
func TestRecallActive(t *testing.T) {
	g := promoted(t, spec4(priority(200)))
	before := g.r.View()
	r, ok := next(t, g, 800*ms)
	if !ok || r.State() != vrrp.Active || r.Deadline() != vrrp.Never {
		t.Fatalf("recalled %t: %v, due %v", ok, r.State(), r.Deadline())
	}
	if fx := r.Step(g.now, vrrp.LinkState{Fault: vrrp.FaultPending}, nil); len(fx) != 0 || r.State() != vrrp.Active {
		t.Fatalf("the link is not known, and it did %s", brief(fx))
	}
	g.want(r.Step(g.now, vrrp.LinkState{Source: self4}, nil), "send 200; hold; announce")
	after := r.View()
	if after.Term != before.Term || after.Since != before.Since || !reflect.DeepEqual(after.Reason, before.Reason) {
		t.Errorf("before %+v\nafter %+v", before, after)
	}
	if due := r.Deadline(); due > g.now+s+ms {
		t.Errorf("next advert in %v", due-g.now)
	}
}

// One that was away for too long has been replaced, and begins anew.
func TestRecallActiveTooLate(t *testing.T) {
	g := promoted(t, spec4())
	if r, ok := next(t, g, 3*s); ok || r.State() != vrrp.Initialize {
		t.Error("took up where nobody waits")
	}
}

// A Backup waits for the Active as long as the one before would have, but gives it
// one interval and skew to be heard.
func TestRecallBackup(t *testing.T) {
	for gap, want := range map[time.Duration]time.Duration{100 * ms: 3509 * ms, 3 * s: 1609 * ms} {
		g := heard(t, spec4())
		r, ok := next(t, g, gap)
		if !ok {
			t.Fatal("not recalled")
		}
		g.want(r.Step(g.now, vrrp.LinkState{Source: self4}, nil), "")
		if got := r.Deadline() - g.now; got < want || got > want+2*ms {
			t.Errorf("after %v it waits for %v, want %v", gap, got, want)
		}
		if r.State() != vrrp.Backup || r.View().Heard.Priority != 150 {
			t.Errorf("%v, heard %+v", r.State(), r.View().Heard)
		}
	}
}

// One that has heard nobody yet does not know how slow an Active is that has begun in the
// meantime: it listens as long as at a start.
func TestRecallBackupThatHasHeardNobody(t *testing.T) {
	g := started(t, spec4())
	g.now += 2 * s
	r, ok := next(t, g, 100*ms)
	if !ok {
		t.Fatal("not recalled")
	}
	g.want(r.Step(g.now, vrrp.LinkState{Source: self4}, nil), "")
	if got := r.Deadline() - g.now; got < 3609*ms || got > 3611*ms {
		t.Errorf("it waits for %v", got)
	}
}

// The link went away while nobody looked.
func TestRecallWithoutLink(t *testing.T) {
	g := promoted(t, spec4())
	r, _ := next(t, g, 100*ms)
	fx := r.Step(g.now, vrrp.LinkState{Fault: vrrp.FaultInterfaceDown}, nil)
	g.want(fx, "active>initialize interface-down; release")
}

// Who is on its way out is not remembered.
func TestRecallWithALostLinkThatIsWaitedFor(t *testing.T) {
	slow := spec4(func(s *vrrp.Spec) { s.LinkDownDelay = 2 * s.Interval })
	g := heard(t, slow)
	r, ok := next(t, g, 100*ms)
	if !ok {
		t.Fatal("not recalled")
	}
	r.Step(g.now, vrrp.LinkState{Fault: vrrp.FaultInterfaceDown}, nil)
	g.now += s
	r.Step(g.now, vrrp.LinkState{Source: self4}, nil)
	if due := r.Deadline(); due > g.now+4*s {
		t.Errorf("a Backup that is due at %v, now is %v", due, g.now)
	}
	g = promoted(t, slow)
	r, _ = next(t, g, 100*ms)
	g.want(r.Step(g.now, vrrp.LinkState{Fault: vrrp.FaultInterfaceDown}, nil), "send 100; hold; announce")
	if due := r.Deadline(); due > g.now+s+ms {
		t.Errorf("an Active whose next advert is in %v", due-g.now)
	}
}

func TestNotRemembered(t *testing.T) {
	g := promoted(t, spec4())
	g.step(vrrp.Shutdown{Yield: true, Cause: vrrp.CauseShutdown})
	if _, ok := g.r.Remember(); ok {
		t.Error("a leaving router was remembered")
	}
	if _, ok := newRig(t, spec4()).r.Remember(); ok {
		t.Error("one that has not begun was remembered")
	}
}
