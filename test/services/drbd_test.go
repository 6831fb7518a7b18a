package services

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// DRBD is a stand-in in all of these: lab.FakeDRBD.

func drbdPair(t *testing.T) (*lab.FakeDRBD, *hands, actions.DRBD, actions.DRBD) {
	t.Helper()
	h := newHands(t)
	f := lab.NewFakeDRBD(t, "wwwdata")
	side := func(n string) actions.DRBD {
		return actions.DRBD{Resource: "wwwdata", Admin: f.Admin(n), Setup: f.Setup(n)}
	}
	return f, h, side("a"), side("b")
}

func TestDRBDSwitchover(t *testing.T) {
	_, h, a, b := drbdPair(t)
	h.want(actions.Prepare, a, true, actions.Down, "Secondary, Connected, UpToDate/UpToDate")
	h.want(actions.Qualify, a, true, actions.Down)
	h.want(actions.Start, a, true, actions.Up, "Primary, Connected, UpToDate/UpToDate")
	h.want(actions.Start, a, true, actions.Up, "Primary")
	h.want(actions.Look, a, true, actions.Up)
	// A Primary peer is no objection: what is told of it may be old.
	h.want(actions.Qualify, b, true, actions.Down)
	h.want(actions.Stop, a, true, actions.Down, "Secondary")
	h.want(actions.Stop, a, true, actions.Down)
	h.want(actions.Start, b, true, actions.Up)
}

// The peer may still be demoting: that is normal, and the reason is told.
func TestDRBDPromotionWaitsForTheOther(t *testing.T) {
	_, h, a, b := drbdPair(t)
	h.want(actions.Start, b, true, actions.Up)
	id := h.begin(actions.Start, a, 20*time.Second)
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		other := newHands(t)
		for range 3 {
			text := <-h.said
			if !strings.Contains(text, "waiting for b to demote: try") || !strings.Contains(text, "exit status 11") {
				t.Errorf("told: %q", text)
			}
		}
		other.want(actions.Stop, b, true, actions.Down)
	}()
	done, _ := h.wait(id, 20*time.Second)
	<-stop
	check(t, actions.Start, done, true, actions.Up)
}

func TestDRBDPromotionGivesUpInTime(t *testing.T) {
	_, h, a, b := drbdPair(t)
	h.want(actions.Start, b, true, actions.Up)
	done, told := h.do(actions.Start, a, 2*time.Second)
	check(t, actions.Start, done, false, actions.Down, "b is still Primary after")
	if done.Hopeless || done.Took > 4*time.Second || len(told) < 2 {
		t.Errorf("hopeless %v, took %v, told %q", done.Hopeless, done.Took, told)
	}
}

// The power of the Primary fails: its Secondary goes on believing that it is
// connected to a Primary, until `primary` asks.
func TestDRBDStaleConnected(t *testing.T) {
	f, h, a, b := drbdPair(t)
	h.want(actions.Start, b, true, actions.Up)
	f.Set("b", map[string]any{"alive": false})
	h.want(actions.Qualify, a, true, actions.Down, "Connected")
	done := h.want(actions.Start, a, true, actions.Up, "Connecting")
	if !done.Degraded {
		t.Error("a Primary without its peer is not told to be degraded")
	}
}

// With fencing the first try fails although the handler has done its work.
func TestDRBDFirstTryFailsWithFencing(t *testing.T) {
	f, h, a, b := drbdPair(t)
	f.Write("fencing", "resource-only")
	f.Write("handler", "4")
	h.want(actions.Start, b, true, actions.Up)
	f.Set("b", map[string]any{"alive": false})
	done, told := h.do(actions.Start, a, 15*time.Second)
	check(t, actions.Start, done, true, actions.Up, "UpToDate/Outdated")
	if len(told) != 1 || !strings.Contains(told[0], "peer is not outdated") && !strings.Contains(told[0], "exit status 11") {
		t.Errorf("told %q", told)
	}
}

func TestDRBDNoGoodData(t *testing.T) {
	f, h, a, _ := drbdPair(t)
	f.Write("link", "down")
	f.Set("a", map[string]any{"disk": "Outdated", "cs": "Connecting", "pd": "DUnknown"})
	h.want(actions.Qualify, a, false, actions.Down, "Outdated", "drbdadm primary --force wwwdata")
	done, _ := h.do(actions.Start, a, 10*time.Second)
	check(t, actions.Start, done, false, actions.Down, "Outdated", "exit status 17")
	if !done.Hopeless || done.Took > 3*time.Second {
		t.Errorf("exit status 17 was repeated: hopeless %v, %v", done.Hopeless, done.Took)
	}

	old := a
	old.AllowOutdated = true
	h.want(actions.Qualify, old, true, actions.Down, "allow_outdated", "lost")
	h.want(actions.Start, old, true, actions.Up, "allow_outdated")
}

func TestDRBDNeverForcesInconsistentData(t *testing.T) {
	f, h, a, _ := drbdPair(t)
	a.AllowOutdated = true
	f.Write("link", "down")
	f.Set("a", map[string]any{"disk": "Inconsistent", "cs": "Connecting", "pd": "DUnknown"})
	h.want(actions.Qualify, a, false, actions.Down, "Inconsistent")
	h.want(actions.Start, a, false, actions.Down, "Inconsistent")
	f.Write("link", "up")
	f.Set("a", map[string]any{"cs": "Connected", "repl": "SyncTarget", "done": "43.10"})
	h.want(actions.Qualify, a, false, actions.Down, "SyncTarget", "43.10 %")
}

func TestDRBDSplitBrain(t *testing.T) {
	f, h, a, b := drbdPair(t)
	f.Write("link", "down")
	h.want(actions.Start, a, true, actions.Up)
	h.want(actions.Start, b, true, actions.Up)
	f.Write("link", "up")
	done := h.want(actions.Look, a, true, actions.Up, "StandAlone", "connect --discard-my-data wwwdata")
	if !done.Degraded {
		t.Error("not degraded")
	}
	h.want(actions.Stop, b, true, actions.Down)
	done = h.want(actions.Qualify, b, false, actions.Down, "split brain", "drbdadm secondary wwwdata; drbdadm disconnect wwwdata; drbdadm connect --discard-my-data wwwdata", "drbdadm connect wwwdata")
	if !done.Hopeless {
		t.Error("a split brain heals by itself?")
	}
	// DRBD itself would do it.
	h.want(actions.Start, b, false, actions.Down, "split brain")

	// What is printed helps.
	f.Run("b", "secondary", "wwwdata")
	f.Run("b", "connect", "--discard-my-data", "wwwdata")
	f.Run("a", "connect", "wwwdata")
	h.want(actions.Look, a, true, actions.Up, "Primary, Connected, UpToDate/UpToDate")
	h.want(actions.Qualify, b, true, actions.Down)
}

func TestDRBDHangs(t *testing.T) {
	f, h, a, _ := drbdPair(t)
	f.Write("hang.primary", "")
	done, _ := h.do(actions.Start, a, time.Second)
	check(t, actions.Start, done, false, actions.Down, "hangs")
	if done.Took > 7*time.Second {
		t.Errorf("took %v", done.Took)
	}
	f.Write("hang.events2", "")
	done, _ = h.do(actions.Look, a, time.Second)
	check(t, actions.Look, done, false, actions.Unknown, "cannot be read")
}

// On a loaded host each command takes seconds; a job that has time left gives them that.
func TestDRBDAnswersSlowly(t *testing.T) {
	f, h, a, _ := drbdPair(t)
	f.Script("a-slowsetup", "#!/bin/sh\nsleep 2\nexec "+f.Setup("a")+" \"$@\"\n")
	a.Setup = filepath.Join(f.Dir, "a-slowsetup")
	h.want(actions.Start, a, true, actions.Up, "Primary, Connected, UpToDate/UpToDate")
	h.want(actions.Stop, a, true, actions.Down, "Secondary, Connected")
}

func TestDRBDHeldOpen(t *testing.T) {
	f, h, a, _ := drbdPair(t)
	h.want(actions.Start, a, true, actions.Up)
	f.Write("a.open", "")
	done, told := h.do(actions.Stop, a, 2*time.Second)
	check(t, actions.Stop, done, false, actions.Up, "still Primary", "exit status 11")
	if len(told) < 2 {
		t.Errorf("told %q", told)
	}
	h.want(actions.ForceStop, a, false, actions.Up, "force_secondary is off")
	a.ForceSecondary = true
	h.want(actions.ForceStop, a, true, actions.Down, "Secondary")
	f.Remove("a.open")

	// A holder that leaves: the second or third try succeeds.
	h.want(actions.Start, a, true, actions.Up)
	f.Write("a.open", "")
	id := h.begin(actions.Stop, a, 15*time.Second)
	<-h.said
	f.Remove("a.open")
	done, _ = h.wait(id, 15*time.Second)
	check(t, actions.Stop, done, true, actions.Down)
}

func TestDRBDAdjustIsRepeated(t *testing.T) {
	f, h, a, _ := drbdPair(t)
	f.Set("a", map[string]any{"up": false})
	h.want(actions.Look, a, true, actions.Down, "is not up")
	h.want(actions.Qualify, a, false, actions.Down, "drbdadm adjust wwwdata")
	f.Write("slow.adjust", "4")
	done, told := h.do(actions.Prepare, a, 20*time.Second)
	check(t, actions.Prepare, done, true, actions.Down)
	if len(told) != 4 || !strings.Contains(told[0], "did not terminate within 5 seconds") {
		t.Errorf("told %q", told)
	}
}

func TestDRBDHardErrors(t *testing.T) {
	f, h, a, _ := drbdPair(t)
	f.Set("a", map[string]any{"fail": "primary"})
	done, _ := h.do(actions.Start, a, 10*time.Second)
	check(t, actions.Start, done, false, actions.Down, "exit status 10")
	if !done.Hopeless || done.Took > 3*time.Second {
		t.Errorf("hopeless %v, took %v", done.Hopeless, done.Took)
	}
	missing := a
	missing.Admin, missing.Setup = "/nonexistent/drbdadm", "/nonexistent/drbdsetup"
	h.want(actions.Look, missing, false, actions.Unknown, "does not exist")
	f.Set("a", map[string]any{"fail": "", "quorum": "no"})
	h.want(actions.Qualify, a, false, actions.Down, "quorum:no")
	f.Set("a", map[string]any{"quorum": "", "suspended": "fencing"})
	h.want(actions.Qualify, a, false, actions.Down, "suspended (fencing)")
}
