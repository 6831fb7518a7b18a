package daemon_test

import (
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
)

// A group that waits for the other host waits on after a restart: having been
// Active in the process before is no permission.
func TestHandOverOfAClaimThatWaits(t *testing.T) {
	fenced := group1(func(c *daemon.ServiceConfig) {
		c.Ladder.Safety = actions.SafetySpec{Mode: actions.SafetyFence, ReleaseTimeout: 20 * s, Fence: []actions.FenceSpec{{Name: "ipmi", Timeout: 5 * s}}}
	})
	for _, releasing := range []bool{false, true} {
		h := services(t, fenced, web(priority(150)))
		h.fail["fence"] = "unreachable"
		h.g.up()
		h.pass(100 * ms)
		if releasing {
			h.hear(100) // a worse Active that we preempt
			h.pass(s)
			h.hear(100)
			h.pass(s)
			h.hear(100)
			h.pass(s)
			h.hear(100)
		}
		h.pass(8 * s)
		h.g.apply()
		if st := h.group().State; h.up["drbd.data"] || st == "up" {
			t.Fatalf("releasing=%t: taken: %s", releasing, st)
		}
		h.did()
		cfg := config(web(priority(150)))
		cfg.Services = []daemon.ServiceConfig{fenced}
		hand := h.g.handOver()
		h.open, h.cut = nil, nil
		h.g.follow(hand, 100*ms, cfg, func(p *daemon.Ports) { p.Agents = h })
		h.g.up()
		h.g.apply()
		h.pass(5 * time.Second)
		if h.up["drbd.data"] {
			t.Errorf("releasing=%t: exclusive data taken after the restart, although nobody has let go: %s (claim %q)", releasing, h.did(), h.group().Claim)
		}
	}
}

// What was handed over is of the moment: a group that a reload adds later asks.
func TestHandOverIsForgotten(t *testing.T) {
	h := servingSite(t)
	hand := h.g.handOver()
	h.open, h.cut, h.up = nil, nil, map[string]bool{}
	h.did()
	h.g.follow(hand, 100*ms, config(web()), func(p *daemon.Ports) { p.Agents = h }) // without the group
	h.g.up()
	h.g.apply()
	h.pass(s)
	h.hear(200) // the peer has been Active meanwhile
	h.pass(s)
	h.hear(0)
	h.pass(5 * s)
	cfg := config(web())
	cfg.Services = []daemon.ServiceConfig{group1()}
	reply := make(chan daemon.Plan, 1)
	h.g.post(daemon.Reload{Config: cfg, Reply: reply})
	<-reply
	h.pass(5 * s)
	if h.up["drbd.data"] {
		t.Errorf("taken although the peer has not let go: claim %q", h.group().Claim)
	}
}

// Terms are counted by each router: a group that another router carries now asks.
func TestServiceOfAnotherRouterAsks(t *testing.T) {
	h := servingSite(t)
	cfg := config(web(named("www", 52, 53)))
	cfg.Services = []daemon.ServiceConfig{group1(func(c *daemon.ServiceConfig) { c.Follows = []string{"www"} })}
	reply := make(chan daemon.Plan, 1)
	h.g.post(daemon.Reload{Config: cfg, Reply: reply}) // the router is renamed: it leaves, and comes back as Backup
	<-reply
	h.pass(s)
	h.hear(90) // the peer took over, and is preempted
	h.pass(50 * ms)
	h.g.apply()
	for range 8 {
		h.pass(s)
		h.hear(90)
	}
	h.g.apply()
	h.did()
	h.pass(s)
	if st := h.g.state("www"); st != "active" {
		t.Fatalf("www is %s: %s", st, h.g.history())
	}
	if h.up["drbd.data"] {
		t.Errorf("taken from a peer that has not let go: claim %q\n%s", h.group().Claim, h.g.history())
	}
	h.hear(0)
	h.pass(s)
	if !h.up["drbd.data"] {
		t.Errorf("not taken although the peer let go: %+v", h.group())
	}
}

// Priority 0 is the word for having let go. A sync group that is pushed aside must
// not say it on the links where it has not heard the better one yet: that one is
// Active there, too, and would take the data that are still in use here.
func TestPushedAsideSaysNothingTooEarly(t *testing.T) {
	g := &rig{t: t, now: epoch}
	h := &hands{g: g, up: map[string]bool{}, fail: map[string]string{}}
	ports := g.ports()
	ports.Agents = h
	cfg := grouped(pair()...)
	cfg.Services = []daemon.ServiceConfig{group1(func(c *daemon.ServiceConfig) { c.Follows = []string{"inside", "outside"} })}
	g.loop = daemon.New(cfg, ports)
	g.upBoth()
	h.pass(5 * s)
	g.apply()
	h.pass(s)
	g.wantStates("active", "active")
	if !h.up["drbd.data"] {
		t.Fatalf("not up: %+v", h.group())
	}
	g.sent = nil
	g.hear(eth0, 1, 200, 51) // outside will be heard a moment later
	for _, a := range g.sent {
		if a.priority == 0 {
			t.Errorf("priority 0 on VRID %d with data in use", a.vrid)
		}
	}
	g.hear(eth1, 2, 200, 52)
	g.wantStates("backup", "backup")
	h.pass(100 * ms)
	if h.up["drbd.data"] {
		t.Fatal("still up")
	}
	told := 0
	for _, a := range g.sent {
		if a.priority == 0 {
			told++
		}
	}
	if told != 2 {
		t.Errorf("said that it has let go %d times, want once on each link", told)
	}
}
