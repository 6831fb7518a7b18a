package vrrp_test

import (
	"testing"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// A move hands over once: the one who took over is left alone, whatever the
// priorities, until it is gone.
func TestStepAside(t *testing.T) {
	g := promoted(t, spec4(priority(200)))
	g.want(g.step(vrrp.StepAside{Detail: "move"}), "send 0; tell yielding")
	if !g.r.Parting() {
		t.Error("not parting")
	}
	g.wait(609 * ms)
	g.want(g.recv(lower4, 100, s), "")
	g.want(plain(g.wait(20*ms)), "active>backup moved; release")
	if why := g.r.View().Reason; why.Peer != lower4 || why.Detail != "move" {
		t.Errorf("evidence %+v", why)
	}
	for range 20 { // it serves, and is not preempted
		g.wait(s)
		g.recv(lower4, 100, s)
	}
	if st := g.r.State(); st != vrrp.Backup {
		t.Fatalf("took it back: %v", st)
	}
	g.until(vrrp.Active)
	g.cause(vrrp.CauseNoResponse)
	if g.r.View().Aside {
		t.Error("the move has left something behind")
	}
}

// Nobody takes over: it goes on, and has lost nothing.
func TestStepAsideWithNobody(t *testing.T) {
	g := promoted(t, spec4(priority(200)))
	term := g.r.Term()
	g.step(vrrp.StepAside{Detail: "move"})
	fx := g.wait(1100 * ms)
	if g.r.State() != vrrp.Active || g.r.Term() != term || g.r.Parting() {
		t.Fatalf("%s: %s", g.r.State(), brief(plain(fx)))
	}
	g.want(plain(fx), "send 200; tell kept")
}

// Return ends what a move left.
func TestReturnAfterStepAside(t *testing.T) {
	g := promoted(t, spec4(priority(200)))
	g.step(vrrp.StepAside{Detail: "move"})
	g.wait(609 * ms)
	g.recv(lower4, 100, s)
	g.wait(20 * ms)
	g.step(vrrp.Return{})
	for range 5 {
		g.wait(s)
		if g.r.State() == vrrp.Active {
			break
		}
		g.recv(lower4, 100, s)
	}
	if g.r.State() != vrrp.Active {
		t.Error("does not preempt again")
	}
}

// A healthy host that was moved away takes over from one that says it is degraded.
func TestMovedAwayYieldsToHealth(t *testing.T) {
	g := promoted(t, spec4(priority(200)))
	g.step(vrrp.StepAside{Detail: "move"})
	g.wait(609 * ms)
	g.recv(lower4, 100, s)
	g.wait(20 * ms)
	for range 5 {
		g.wait(s)
		if g.r.State() == vrrp.Active {
			return
		}
		g.recv(lower4, 20, s)
	}
	t.Error("left the addresses with a degraded host")
}

func TestTakeOver(t *testing.T) {
	g := started(t, spec4())
	g.recv(lower4, 150, s)
	g.step(vrrp.SetPriority{Priority: 254})
	g.want(g.step(vrrp.TakeOver{Detail: "move --here"}), "send 254; backup>active moved; hold; announce")
	if why := g.r.View().Reason; why.Peer != lower4 || why.PeerPriority != 150 {
		t.Errorf("evidence %+v", why)
	}
	g.want(g.step(vrrp.TakeOver{}), "") // Active already
}

// Who let go of exclusive data says so once more, but never as Active, and never
// on a link that is gone.
func TestLetGo(t *testing.T) {
	g := promoted(t, spec4())
	g.want(g.step(vrrp.LetGo{}), "")
	g.recv(peer4, 200, s)
	g.want(g.step(vrrp.LetGo{}), "send 0")
	g.step(vrrp.LinkState{Fault: vrrp.FaultStandby})
	g.want(g.step(vrrp.LetGo{}), "send 0")
	g.step(vrrp.LinkState{Fault: vrrp.FaultInterfaceDown})
	g.want(g.step(vrrp.LetGo{}), "")
}

// Standing orders and unfit services are left for in peace, and come back by their names.
func TestPeacefulFaults(t *testing.T) {
	for fault, after := range map[vrrp.Fault]vrrp.Cause{vrrp.FaultStandby: vrrp.CauseOnline, vrrp.FaultService: vrrp.CauseServiceFit, vrrp.FaultCheck: vrrp.CauseCheckPassed} {
		g := promoted(t, spec4())
		g.want(g.step(vrrp.LinkState{Fault: fault, Detail: "x"}), "send 0; tell yielding")
		g.wait(609 * ms)
		g.recv(lower4, 50, s)
		g.want(plain(g.wait(20*ms)), "active>initialize "+fault.String()+"; release")
		g.step(vrrp.LinkState{Source: self4})
		g.cause(after)
	}
}
