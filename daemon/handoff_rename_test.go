package daemon_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
)

// A restart that did not wait for hooks, with another name for the router: they are told
// of its last transition, under the name it has now, and of nobody else's.
func TestHooksOfARenamedRouter(t *testing.T) {
	slow := func(c *daemon.RouterConfig) { c.Spec.Interval = 40 * s } // it stays Backup
	g := newRig(t, web(priority(150), hooked("one")), web(named("old", 53, 54), slow, hooked("one")))
	g.up()
	g.wait(5 * s)
	g.apply()
	h := g.handOverInAHurry()
	ran := len(g.jobs)
	g.follow(h, 100*ms, config(web(priority(150), hooked("one"), func(c *daemon.RouterConfig) { c.Name = "old" })))
	g.up()
	g.apply()
	g.wait(100 * ms)
	told := g.jobs[ran:]
	if len(told) != 1 || env(told[0], "BACKBEAT_ROUTER") != "old" || env(told[0], "BACKBEAT_VRID") != "52" || env(told[0], "BACKBEAT_TO") != "active" {
		t.Fatalf("told %d times: %+v", len(told), told)
	}
	var ev daemon.HookEvent
	if err := json.Unmarshal(told[0].Stdin, &ev); err != nil {
		t.Fatal(err)
	}
	if got := ev.Transition; got.Router != "old" || got.To != "active" {
		t.Errorf("told %+v", got)
	}
}

// handOverInAHurry is a handover that waits for hooks as long as it may: nobody answers them.
func (g *rig) handOverInAHurry() *daemon.Handoff {
	g.t.Helper()
	reply := make(chan daemon.Handoff, 1)
	g.post(daemon.HandOver{Reply: reply, Cancel: make(chan struct{})})
	if g.done {
		g.t.Fatal("did not wait for the hooks")
	}
	for end := g.now + 6*time.Second; !g.done && g.now < end; {
		g.wait(100 * ms)
	}
	if !g.done {
		g.t.Fatal("does not stand still")
	}
	h := <-reply
	return &h
}
