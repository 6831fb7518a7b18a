package daemon_test

import (
	"testing"

	"github.com/backbeat-ha/backbeat/daemon"
)

// Restarted on its way into standby, a host brings nothing up while it does not see its
// link yet: it goes on as Active, and goes on with what it had begun.
func TestHandOverOnTheWayIntoStandby(t *testing.T) {
	h := servingSite(t)
	h.did()
	h.fail["stop drbd.data"] = "busy"
	h.command(daemon.Command{Verb: daemon.CommandStandby})
	h.pass(100 * ms)
	h.want(h.did(), "stop systemd.apache, stop drbd.data")
	cfg := config(web())
	cfg.Services = []daemon.ServiceConfig{group1()}
	hand := h.g.handOver()
	h.open, h.cut, h.fail = nil, nil, map[string]string{}
	h.g.follow(hand, 100*ms, cfg, func(p *daemon.Ports) {
		p.Agents, p.Ordered = h, []daemon.Order{{Kind: daemon.OrderStandby, By: "root (uid 0)", Since: p.Clock.Wall()}}
	})
	h.pass(300 * ms)
	h.want(h.did(), "stop drbd.data")
	h.want(h.g.state("web"), "active")
	h.g.up()
	h.g.apply()
	h.pass(3 * s)
	h.want(h.did(), "")
	h.want(h.g.state("web"), "initialize")
}

// What was not up yet when it was handed over, with nothing against it, comes up as soon
// as the next process sees its link.
func TestHandOverOfWhatIsTakenBack(t *testing.T) {
	h := servingSite(t)
	h.did()
	h.fail["stop drbd.data"] = "busy"
	h.command(daemon.Command{Verb: daemon.CommandStandby})
	h.pass(100 * ms)
	h.did()
	cfg := config(web())
	cfg.Services = []daemon.ServiceConfig{group1()}
	hand := h.g.handOver()
	h.open, h.cut = nil, nil
	h.g.follow(hand, 100*ms, cfg, func(p *daemon.Ports) { p.Agents = h }) // the order has expired
	h.g.up()
	h.g.apply()
	h.pass(300 * ms)
	h.want(h.did(), "start systemd.apache")
	h.want(h.group().State, "up")
}
