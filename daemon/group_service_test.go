package daemon_test

import (
	"slices"
	"testing"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// A member that is renamed does not wait for an answer that does not come, whether the
// steps could be brought up here, while another member serves: the group would be Active
// by half, and the other host could not take over.
func TestRenamedMemberDoesNotWaitForItsServices(t *testing.T) {
	with := func(members []daemon.RouterConfig) *daemon.Config {
		cfg := grouped(members...)
		cfg.Services = []daemon.ServiceConfig{group1(func(c *daemon.ServiceConfig) { c.Follows = slices.Clone(cfg.Groups[0].Members) })}
		return cfg
	}
	g := &rig{t: t, now: epoch}
	h := &hands{g: g, up: map[string]bool{}, fail: map[string]string{}}
	ports := g.ports()
	ports.Agents = h
	g.loop = daemon.New(with(pair()), ports)
	g.upBoth()
	h.pass(5 * s)
	g.apply()
	h.pass(100 * ms)
	h.want(g.state("inside")+" "+g.state("outside")+" "+h.group().State, "active active up")

	// The next process finds everything up, and has never asked.
	hand := g.handOver()
	h.open, h.cut = nil, nil
	g.follow(hand, 100*ms, with(pair()), func(p *daemon.Ports) { p.Agents = h })
	g.upBoth()
	g.apply()
	h.pass(s)
	h.want(g.state("inside")+" "+g.state("outside")+" "+h.group().State, "active active up")

	renamed := pair()
	renamed[0].Name = "lan"
	g.post(daemon.Reload{Config: with(renamed), Reply: make(chan daemon.Plan, 1)})
	for range 30 {
		g.wait(100 * ms)
		for _, j := range slices.Clone(h.open) { // everything but what is asked of steps that are down
			if j.Verb != actions.Prepare && j.Verb != actions.Qualify {
				h.open = slices.DeleteFunc(h.open, func(o actions.Job) bool { return o.Job == j.Job && o.Group == j.Group })
				g.post(h.done(j))
			}
		}
		g.apply()
		g.post(level(), second(), ready(eth0, vrrp.IPv4), ready(eth1, vrrp.IPv4))
	}
	h.want(g.state("lan")+" "+g.state("outside"), "backup backup")
}
