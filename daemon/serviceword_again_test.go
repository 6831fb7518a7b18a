package daemon_test

import (
	"slices"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
)

// withFencing is a group whose peer is switched off when it is silent.
func withFencing(c *daemon.ServiceConfig) {
	c.Ladder.Safety = actions.SafetySpec{Mode: actions.SafetyFence, ReleaseTimeout: 20 * s, Fence: []actions.FenceSpec{{Name: "ipmi", Timeout: 5 * s}}}
}

// fencedSite serves, with a peer that has said that it holds nothing.
func fencedSite(t *testing.T) *hands {
	t.Helper()
	h := services(t, group1(withFencing), web())
	h.g.up()
	for h.g.state("web") != "active" {
		h.pass(100 * ms)
	}
	h.g.apply()
	h.hear(0)
	h.pass(200 * ms)
	h.want(h.did(), "start drbd.data, start systemd.apache")
	return h
}

// An Active that was away for less than an Active_Down_Interval (an owner that was
// switched off and on again) has forgotten the word, and would fence a Backup that is well.
func TestBackupSaysItAgainToWhoWasAway(t *testing.T) {
	h := services(t, group1(withFencing), web())
	h.g.up()
	said := func() int {
		sent := len(h.g.sent)
		for range 5 {
			h.hear(255)
			h.pass(s)
		}
		return len(h.g.sent) - sent
	}
	h.pass(100 * ms)
	if n := said(); n != 3 {
		t.Errorf("said it %d times, want 3", n)
	}
	h.pass(1500 * ms) // 2.5 intervals since the last one: still a Backup
	if n := said(); n != 3 {
		t.Errorf("said it %d times to who came back, want 3", n)
	}
	h.handOverSite(group1(withFencing)) // to be restarted is not to have heard nothing
	if n := said(); n != 0 {
		t.Errorf("said it %d times after a restart of its own", n)
	}
}

// That nothing is held here is certain when every step has been looked at; whether this
// host could serve again is another question, which may take long to answer.
func TestLetsGoBeforeItKnowsWhetherItCouldServe(t *testing.T) {
	h := fencedSite(t)
	h.handOverSite(group1(withFencing)) // it has found everything up, and has not been asked yet
	h.pass(s)
	var hanging []actions.Job
	pass := func(d time.Duration) {
		for end := h.g.now + d; h.g.now < end; {
			h.g.wait(10 * ms)
			for slices.ContainsFunc(h.open, func(j actions.Job) bool { return j.Verb != actions.Qualify }) {
				at := slices.IndexFunc(h.open, func(j actions.Job) bool { return j.Verb != actions.Qualify })
				j := h.open[at]
				h.open = slices.Delete(h.open, at, at+1)
				h.g.post(h.done(j))
			}
			hanging = append(hanging, h.open...)
			h.open = nil
		}
	}
	h.g.sent = nil
	h.hear(200)
	pass(500 * ms)
	h.want(h.did(), "stop systemd.apache, stop drbd.data")
	if len(hanging) == 0 {
		t.Fatal("nobody asks whether it could serve again")
	}
	if !slices.ContainsFunc(h.g.sent, func(a advert) bool { return a.priority == 0 }) {
		t.Errorf("does not say that it let go: sent %v", h.g.sent)
	}
}

// A restart while a move waits for a step that does not come down: the next process goes
// on as Active, and nobody else has been it. It does not fence who is well.
func TestHandOverOnTheWayDown(t *testing.T) {
	h := fencedSite(t)
	h.fail["stop drbd.data"] = "busy"
	h.command(daemon.Command{Verb: daemon.CommandMove, Name: "web", Force: true})
	h.pass(50 * ms)
	h.want(h.g.state("web"), "active")
	h.want(h.did(), "stop systemd.apache, stop drbd.data")
	hand := h.g.handOver()
	h.open, h.cut = nil, nil
	delete(h.fail, "stop drbd.data")
	delete(h.up, "drbd.data") // it came down after all
	cfg := config(web())
	cfg.Services = []daemon.ServiceConfig{group1(withFencing)}
	h.g.follow(hand, 100*ms, cfg, func(p *daemon.Ports) { p.Agents = h })
	h.g.up()
	h.g.apply()
	h.pass(5 * s)
	h.want(h.did(), "start drbd.data, start systemd.apache")
}
