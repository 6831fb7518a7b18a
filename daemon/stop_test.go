package daemon_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/daemon"
)

// Stop, first kindly; a second time at once.
func TestStop(t *testing.T) {
	t.Run("yield", func(t *testing.T) {
		g := newRig(t, web(hooked("h"))).active()
		g.post(daemon.Stop{Yield: true, Detail: "SIGTERM"})
		if g.done {
			t.Fatal("left without waiting for a successor")
		}
		g.receive(52, 100)
		g.turn()
		g.wait(30 * ms)
		if g.done {
			t.Fatal("left although the addresses are still on")
		}
		g.apply()
		for i := 0; i < len(g.jobs); i++ {
			if g.done {
				t.Fatal("left although a hook still runs")
			}
			g.post(done(g.jobs[i]))
		}
		if !g.done {
			t.Error("everything is over and it stays")
		}
		if last := g.records[len(g.records)-1]; last.Cause != "yielded" || !strings.Contains(last.Reason, "SIGTERM") {
			t.Errorf("the last transition is %+v", last)
		}
	})
	t.Run("nobody", func(t *testing.T) {
		g := newRig(t, web()).active()
		begin := g.now
		g.post(daemon.Stop{Yield: true})
		for g.state("web") == "active" {
			g.wait(10 * ms)
		}
		if d := g.now - begin; d < s || d > 1200*ms {
			t.Errorf("waited %v for a successor at an interval of 1 s", d)
		}
		g.apply()
		if !g.done {
			t.Error("stays")
		}
	})
	t.Run("twice", func(t *testing.T) {
		g := newRig(t, web()).active()
		g.post(daemon.Stop{Yield: true})
		g.post(daemon.Stop{Yield: true})
		if g.state("web") != "initialize" {
			t.Error("the second stop waits as the first")
		}
		farewells := 0
		for _, a := range g.sent {
			if a.priority == 0 {
				farewells++
			}
		}
		if farewells != 1 {
			t.Errorf("%d farewells, want one", farewells)
		}
		g.apply()
		if !g.done {
			t.Error("stays")
		}
	})
	t.Run("kernel does not answer", func(t *testing.T) {
		g := newRig(t, web()).active()
		g.post(daemon.Stop{})
		if g.wait(2900 * ms); g.done {
			t.Error("did not give the kernel its time")
		}
		if g.wait(200 * ms); !g.done {
			t.Error("waits for ever")
		}
		if l := g.linesFrom(slog.LevelWarn); len(l) != 1 || !strings.Contains(l[0], "next start removes") {
			t.Errorf("does not say so: %q", l)
		}
	})
	t.Run("backup", func(t *testing.T) {
		g := newRig(t, web()).up()
		g.took()
		g.post(daemon.Stop{Yield: true})
		if !g.done {
			t.Error("a Backup has nothing to wait for")
		}
		g.wantCalls()
	})
	t.Run("before the start", func(t *testing.T) {
		g := newRig(t, web())
		if g.post(daemon.Stop{Yield: true}); !g.done {
			t.Error("waits for an interface that may never come")
		}
	})
	t.Run("reload is refused", func(t *testing.T) {
		g := newRig(t, web()).active()
		g.post(daemon.Stop{Yield: true})
		if plan := g.reload(); len(plan.Steps) != 0 {
			t.Errorf("a stopping loop carried out %v", plan)
		}
	})
}
