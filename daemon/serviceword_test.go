package daemon_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// What random histories have found about the word for having let go (test/sim).

func (h *hands) hearFrom(src string, priority uint8) {
	h.g.t.Helper()
	h.g.queue = append(h.g.queue, vrrp.Packet{Link: eth0, Family: vrrp.IPv4, At: h.g.now, Data: packet(netip.MustParseAddr(src), 52, priority, s, vip4)})
	h.g.turn()
}

// Three hosts: the one that was Active before says that it holds nothing, and it never
// did: it waited for the one before that, which is still on its way down.
func TestWordOfWhoWaitedItself(t *testing.T) {
	h := services(t, group1(), web(priority(150)))
	h.g.up()
	h.hearFrom("10.0.0.3", 160) // has the data
	h.pass(s)
	h.hearFrom("10.0.0.3", 160)
	h.hearFrom("10.0.0.4", 140) // is Active as well, for a moment
	h.hearFrom("10.0.0.3", 100) // ill now: we preempt
	for range 4 {
		h.pass(s)
		h.hearFrom("10.0.0.4", 140)
	}
	h.g.apply()
	h.want(h.g.state("web"), "active")
	h.hearFrom("10.0.0.4", 0)
	h.pass(s)
	h.want(h.did(), "")
	h.hearFrom("10.0.0.3", 0)
	h.pass(s)
	h.want(h.did(), "start drbd.data, start systemd.apache")
}

// With steps up nothing is asked by priority 0: a host that is Active as well, after a
// cut, would take that for the word that it may have the data.
func TestAsksNothingWithStepsUp(t *testing.T) {
	h := servingSite(t)
	sent := len(h.g.sent)
	cfg := config(web(priority(90)))
	cfg.Services = []daemon.ServiceConfig{group1()}
	reply := make(chan daemon.Plan, 1)
	h.g.post(daemon.Reload{Config: cfg, Reply: reply})
	<-reply
	h.pass(s)
	if len(h.g.sent) == sent {
		t.Error("says nothing")
	}
	for _, a := range h.g.sent[sent:] {
		if a.priority != 90 {
			t.Errorf("says priority %d", a.priority)
		}
	}
}

// Who takes over from a worse one that missed an advert has not seen it die.
func TestPreemptedInAPauseIsWaitedFor(t *testing.T) {
	h := services(t, group1(), web(priority(150)))
	h.g.up()
	h.pass(s)
	h.hear(100)
	h.pass(s)
	h.hear(100) // and one that is lost
	h.pass(3 * s)
	h.g.apply()
	h.want(h.g.state("web"), "active")
	h.want(h.group().State, "claiming")
	h.want(h.did(), "")
}

// Version 2: an owner hears nobody in the election, but it must not fence a host that
// says that it holds nothing.
func TestOwnerOfVersion2HearsTheWord(t *testing.T) {
	fenced := group1(func(c *daemon.ServiceConfig) {
		c.Ladder.Safety = actions.SafetySpec{Mode: actions.SafetyFence, ReleaseTimeout: 20 * s, Fence: []actions.FenceSpec{{Name: "ipmi", Timeout: 5 * s}}}
	})
	h := services(t, fenced, web(owner, func(c *daemon.RouterConfig) { c.Spec.Version = vrrp.Version2 }))
	h.g.up()
	h.pass(500 * ms)
	a := vrrp.Advert{Version: vrrp.Version2, VRID: 52, Interval: s, Addresses: []netip.Addr{vip4}}
	path := &vrrp.Path{Family: vrrp.IPv4, Src: peer4, Dst: vrrp.IPv4.Group(), TTL: vrrp.HopLimit}
	h.g.queue = append(h.g.queue, vrrp.Packet{Link: eth0, Family: vrrp.IPv4, At: h.g.now, Data: datagram(path, a.Append(nil, path.Src, path.Dst, vrrp.MessageOnly))})
	h.g.turn()
	h.pass(3 * s)
	h.want(h.did(), "start drbd.data, start systemd.apache")
}

// Restarted while it must not be Active any more, it goes on as Active until its group is
// down, and says so.
func TestRestartOfWhoMustLeave(t *testing.T) {
	h := servingSite(t)
	hand := h.g.handOver()
	h.open, h.cut = nil, nil
	h.did()
	cfg := config(web())
	cfg.Services = []daemon.ServiceConfig{group1()}
	h.g.follow(hand, 100*ms, cfg, func(p *daemon.Ports) {
		p.Agents, p.Ordered = h, []daemon.Order{{Kind: daemon.OrderStandby, By: "root (uid 0)"}}
	})
	h.g.up()
	sent := len(h.g.sent)
	h.g.wait(3 * s) // the hands are slow
	h.want(h.g.state("web"), "active")
	if n := len(h.g.sent) - sent; n < 3 {
		t.Errorf("%d adverts in three intervals", n)
	}
}

// In standby while the group comes down, it loses its link, which is waited for: nothing
// that is down comes up again.
func TestLinkLostWhileItMustLeave(t *testing.T) {
	h := services(t, group1(), web(func(c *daemon.RouterConfig) { c.Spec.LinkDownDelay = 2 * s }))
	h.g.up()
	h.pass(5 * s)
	h.g.apply()
	h.pass(s)
	h.want(h.did(), "start drbd.data, start systemd.apache")
	h.command(daemon.Command{Verb: daemon.CommandStandby})
	h.g.post(actions.LinkChanged{Name: "eth0", Index: eth0, Detail: "no carrier"})
	h.pass(s)
	h.want(h.did(), "stop systemd.apache, stop drbd.data")
}

// Moved to nobody, it has said that nothing is held here, and goes on as Active: who is
// Active as well, unheard, may have taken the data.
func TestMovedToNobodyAsksAnew(t *testing.T) {
	h := servingSite(t)
	h.command(daemon.Command{Verb: daemon.CommandMove, Name: "web", Force: true})
	h.pass(5 * s)
	h.want(h.g.state("web"), "active")
	if claim := h.group().Claim; !strings.Contains(claim, "silent") {
		t.Errorf("has the data, claim %q", claim)
	}
}

// It waited for the data, left for standby before anybody else was Active, and says that
// it holds nothing as soon as somebody is.
func TestWhoWaitedSaysItsWordLater(t *testing.T) {
	h := services(t, group1(), web(priority(150)))
	h.g.up()
	for range 5 {
		h.hear(100)
		h.pass(s)
	}
	h.g.apply()
	h.want(h.group().State, "claiming")
	h.command(daemon.Command{Verb: daemon.CommandStandby})
	h.pass(3 * s)
	h.want(h.g.state("web"), "initialize")
	sent := len(h.g.sent)
	h.hear(100)
	h.pass(500 * ms)
	if len(h.g.sent) == sent {
		t.Error("says nothing")
	}
}

// Slow adverts: the word that comes right after the takeover is the only one before
// release_timeout, and counts.
func TestWordOfASlowPeerCounts(t *testing.T) {
	h := services(t, group1(func(c *daemon.ServiceConfig) { c.Ladder.Safety.ReleaseTimeout = 4 * s }), web(priority(150), func(c *daemon.RouterConfig) { c.Spec.Interval = 9 * s }))
	h.g.up()
	for i := 0; h.g.state("web") != "active"; i++ {
		if i%50 == 0 {
			h.hear(100)
		}
		h.pass(20 * ms)
	}
	h.pass(50 * ms)
	h.hear(0)
	h.pass(500 * ms)
	h.want(h.did(), "start drbd.data, start systemd.apache")
}

// Several hosts take over at one moment, in the silence of a fourth, which comes back and
// says that it holds nothing: all of them hear it, and one of them will stay Active.
func TestWordToSeveralActives(t *testing.T) {
	h := services(t, group1(), web(priority(150)))
	h.g.up()
	h.hear(200)
	for h.g.state("web") != "active" {
		h.pass(10 * ms)
	}
	h.hear(0)
	h.pass(100 * ms)
	h.want(h.did(), "")
	h.pass(200 * ms)
	h.want(h.did(), "start drbd.data, start systemd.apache")
}
