package daemon_test

import (
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
)

// What random histories of restarts have found (test/sim).

// handOverSite hands a rig with a service group over and returns the hands of the next process.
func (h *hands) handOverSite(group daemon.ServiceConfig) {
	h.g.t.Helper()
	cfg := config(web(priority(150)))
	cfg.Services = []daemon.ServiceConfig{group}
	hand := h.g.handOver()
	h.open, h.cut = nil, nil
	h.g.follow(hand, 100*ms, cfg, func(p *daemon.Ports) { p.Agents = h })
	h.g.up()
	h.g.apply()
}

// A restart while the claim still waits for the peer grants nothing: what had not been
// let go of before has not been now.
func TestHandOverOfAClaim(t *testing.T) {
	h := services(t, group1(), web(priority(150)))
	h.g.up()
	for range 5 {
		h.hear(100)
		h.pass(s)
	}
	h.g.apply()
	h.want(h.group().State, "claiming")
	h.handOverSite(group1())
	h.pass(2 * s)
	h.want(h.did(), "")
	h.want(h.group().State, "claiming")
	h.hear(0)
	h.pass(10 * ms)
	h.want(h.did(), "start drbd.data, start systemd.apache")
}

// What an operator keeps down stays down.
func TestHandOverOfAStoppedGroup(t *testing.T) {
	h := services(t, group1(), web(priority(150)))
	h.g.up()
	h.pass(5 * s)
	h.g.apply()
	h.pass(100 * ms)
	h.command(daemon.Command{Verb: daemon.CommandGroupStop, Name: "site", Step: "apache"})
	h.pass(s)
	h.did()
	h.handOverSite(group1())
	h.pass(3 * s)
	h.want(h.did(), "")
	h.want(h.group().State, "limited")
	if !strings.Contains(h.group().StoppedFrom, "apache") {
		t.Errorf("stopped from %q", h.group().StoppedFrom)
	}
}

// A router that a reload has put in the place of another is not taken for that one
// because it has as many transitions behind it.
func TestRenamedRouterHasNotHeldItAllTheTime(t *testing.T) {
	h := services(t, group1(), web(priority(150)))
	h.g.up()
	h.pass(5 * s)
	h.g.apply()
	h.pass(100 * ms)
	h.want(h.did(), "start drbd.data, start systemd.apache")
	renamed := config(web(priority(150), func(c *daemon.RouterConfig) { c.Name = "www" }))
	group := group1(func(c *daemon.ServiceConfig) { c.Follows = []string{"www"} })
	renamed.Services = []daemon.ServiceConfig{group}
	reply := make(chan daemon.Plan, 1)
	h.g.post(daemon.Reload{Config: renamed, Reply: reply})
	h.pass(100 * ms)
	h.want(h.did(), "stop systemd.apache, stop drbd.data") // in peace, before it leaves
	for range 40 {
		h.g.apply()
		h.pass(100 * ms)
		if h.g.state("www") == "backup" {
			break
		}
	}
	for range 5 { // the peer has taken over, and is preempted
		h.hear(100)
		h.pass(time.Second)
	}
	h.want(h.g.state("www"), "active")
	h.want(h.did(), "")
	h.want(h.group().State, "claiming")
}

// Two packets in one turn: by the first a better host is Active, by the second the one
// before has let go. That is not for us any more.
func TestWordForWhoHasLost(t *testing.T) {
	h := services(t, group1(), web(priority(150)))
	h.g.up()
	for range 5 {
		h.hear(100)
		h.pass(s)
	}
	h.g.apply()
	h.want(h.group().State, "claiming")
	h.g.receive(52, 200)
	h.g.receive(52, 0)
	h.g.turn()
	h.pass(2 * s)
	h.want(h.did(), "")
}

// In standby, it says to the Active that came back what it had said before that one
// went: the other knows nothing any more, and would fence it.
func TestSaysItAgainToWhoCameBack(t *testing.T) {
	h := services(t, group1(), web())
	h.g.up()
	h.command(daemon.Command{Verb: daemon.CommandStandby})
	said := func() int {
		sent := len(h.g.sent)
		for range 5 {
			h.hear(150)
			h.pass(s)
		}
		return len(h.g.sent) - sent
	}
	if n := said(); n == 0 {
		t.Error("says nothing")
	}
	h.pass(10 * s)
	if n := said(); n == 0 {
		t.Error("says nothing to who came back")
	}
}

// An Active that waits for its peer, and is moved to nobody meanwhile, has not held the
// data all the time.
func TestMovedWhileItClaims(t *testing.T) {
	h := services(t, group1(), web(priority(150)))
	h.g.up()
	for range 5 {
		h.hear(100)
		h.pass(s)
	}
	h.g.apply()
	h.want(h.group().State, "claiming")
	h.command(daemon.Command{Verb: daemon.CommandMove, Name: "web", Force: true})
	h.pass(3 * s)
	h.want(h.g.state("web"), "active")
	h.want(h.did(), "")
	h.want(h.group().State, "claiming")
}

// A question that was taken back, or a loop that leaves, does not wake for it for ever.
func TestHandOverWaitsWithoutSpinning(t *testing.T) {
	h := servingSite(t)
	h.command(daemon.Command{Verb: daemon.CommandGroupRestart, Name: "site", Step: "apache"})
	h.g.post(daemon.HandOver{Reply: make(chan daemon.Handoff, 1), Cancel: make(chan struct{})})
	h.g.wait(20 * s) // the hands do nothing
	if next, _ := h.g.loop.Turn(); next <= h.g.now {
		t.Errorf("wants to turn at %v, now is %v", next, h.g.now)
	}
}

// The other host may have said its word while nobody ran: it says it again, and is not
// fenced before it could.
func TestHandOverWaitsForTheWordAnew(t *testing.T) {
	fenced := group1(func(c *daemon.ServiceConfig) {
		c.Ladder.Safety = actions.SafetySpec{Mode: actions.SafetyFence, ReleaseTimeout: 20 * s, Fence: []actions.FenceSpec{{Name: "ipmi", Timeout: 5 * s}}}
	})
	h := services(t, fenced, web(priority(150)))
	h.g.up()
	for h.g.state("web") != "active" {
		h.pass(100 * ms)
	}
	h.g.apply()
	h.pass(200 * ms)
	h.handOverSite(fenced)
	h.pass(1500 * ms)
	h.want(h.did(), "")
	h.hear(0)
	h.pass(500 * ms)
	h.want(h.did(), "start drbd.data, start systemd.apache")
}
