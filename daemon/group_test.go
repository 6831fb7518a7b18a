package daemon_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

const eth1 = 8

// pair is two members of the group "gw": inside on eth0, VRID 1, and outside on
// eth1, VRID 2.
func pair() []daemon.RouterConfig {
	member := func(name, link string, vrid, last byte) daemon.RouterConfig {
		return web(named(name, vrid, last), func(c *daemon.RouterConfig) {
			c.Interface, c.Group, c.Spec.Grouped = link, "gw", true
		})
	}
	return []daemon.RouterConfig{member("inside", "eth0", 1, 51), member("outside", "eth1", 2, 52)}
}

func grouped(routers ...daemon.RouterConfig) *daemon.Config {
	c := config(routers...)
	c.Groups = []daemon.GroupConfig{{Name: "gw"}}
	for _, r := range c.Routers {
		c.Groups[0].Members = append(c.Groups[0].Members, r.Name)
	}
	return c
}

func newGroupRig(t *testing.T) *rig {
	g := &rig{t: t, now: epoch}
	g.loop = daemon.New(grouped(pair()...), g.ports())
	return g
}

func second(change ...func(*actions.LinkChanged)) actions.LinkChanged {
	l := level(change...)
	l.Name, l.Index = "eth1", eth1
	return l
}

// upBoth starts both members.
func (g *rig) upBoth() *rig {
	g.post(level(), second(), ready(eth0, vrrp.IPv4), ready(eth1, vrrp.IPv4))
	return g
}

// hear delivers a peer's advert on a link and lets the loop turn.
func (g *rig) hear(link int, vrid, prio, last byte) {
	g.t.Helper()
	a := netip.AddrFrom4([4]byte{10, 0, 0, last})
	g.queue = append(g.queue, vrrp.Packet{Link: link, Family: vrrp.IPv4, At: g.now, Data: packet(peer4, vrid, prio, s, a)})
	g.turn()
}

func (g *rig) wantStates(want ...string) {
	g.t.Helper()
	var got []string
	for _, r := range g.status("").Routers {
		got = append(got, r.State)
	}
	if !slices.Equal(got, want) {
		g.t.Fatalf("states %v, want %v\n%s", got, want, g.history())
	}
}

func TestGroupBecomesActiveTogether(t *testing.T) {
	g := newGroupRig(t).upBoth()
	for range 8 { // the Active is heard on one link only
		g.wait(s)
		g.hear(eth0, 1, 200, 51)
	}
	g.wantStates("backup", "backup")
	if r := g.status("outside").Routers[0]; !r.Ready || r.SyncGroup != "gw" {
		t.Errorf("outside: ready %t in group %q", r.Ready, r.SyncGroup)
	}
	if len(g.sent) > 0 {
		t.Errorf("a Backup sent %v", g.sent)
	}
	g.wait(4 * s)
	g.wantStates("active", "active")
	g.wantHistory("inside initialize->backup startup\noutside initialize->backup startup\n" +
		"inside backup->active no-response\noutside backup->active no-response\n")
}

func TestGroupStepsDownTogether(t *testing.T) {
	g := newGroupRig(t).upBoth()
	g.wait(4 * s)
	g.wantStates("active", "active")
	g.hear(eth1, 2, 200, 52)
	g.wantStates("backup", "backup")
	if last := g.sent[len(g.sent)-1]; last.vrid != 1 || last.priority != 0 {
		t.Errorf("inside left without a goodbye: %v", last)
	}
	if h := g.records[len(g.records)-1]; h.Cause != "sync-group" || !strings.Contains(h.Reason, "outside is Backup on eth1") {
		t.Errorf("inside: %s: %s", h.Cause, h.Reason)
	}
}

// The Active resigns on one link; the other member does not wait for silence.
func TestGroupFollowsAResignation(t *testing.T) {
	g := newGroupRig(t).upBoth()
	g.hear(eth0, 1, 200, 51)
	g.hear(eth1, 2, 200, 52)
	g.wait(500 * ms)
	g.hear(eth0, 1, 0, 51)
	g.wait(650 * ms) // Skew_Time of priority 100 is 609 ms
	g.wantStates("active", "active")
	for _, r := range g.status("").Routers {
		if r.Cause != "active-resigned" {
			t.Errorf("%s: %s", r.Name, r.Cause)
		}
	}
}

func TestFaultOfOneMemberIsOneOfAll(t *testing.T) {
	g := newGroupRig(t).upBoth()
	g.wait(4 * s)
	g.apply()
	g.post(second(func(l *actions.LinkChanged) { l.Up, l.Detail = false, "no carrier" }))
	in := g.status("inside").Routers[0]
	if in.State != "active" || !in.Yielding || in.Fault != "sync-group" || !strings.Contains(in.FaultDetail, "outside: interface eth1 is down: no carrier") {
		t.Fatalf("inside: %s yielding=%t %s %s", in.State, in.Yielding, in.Fault, in.FaultDetail)
	}
	g.wait(50 * ms)
	g.hear(eth0, 1, 90, 51) // the successor, whatever its priority
	g.wait(50 * ms)
	g.wantStates("initialize", "initialize")
	g.post(second())
	g.wantStates("backup", "backup")
}

// On one link the Active is heard; on the other, which is cut, only a host that takes no
// part, and says that it holds nothing: that is nobody's resignation.
func TestGroupIgnoresTheWordOfABystander(t *testing.T) {
	g := newGroupRig(t).upBoth()
	for i := range 20 {
		g.hear(eth0, 1, 200, 51)
		if i > 5 {
			g.hear(eth1, 2, 0, 52)
		}
		g.wait(s)
	}
	if in, out := g.state("inside"), g.state("outside"); in != "backup" || out != "backup" {
		t.Errorf("inside is %s, outside %s: %s", in, out, g.history())
	}
}

// A carrier that flickers within link_down_delay is no news to the others.
func TestGroupWaitsForAFlickeringLink(t *testing.T) {
	routers := pair()
	for i := range routers {
		routers[i].Spec.LinkDownDelay = 500 * ms
	}
	g := &rig{t: t, now: epoch}
	g.loop = daemon.New(grouped(routers...), g.ports())
	g.upBoth().wait(4 * s)
	g.apply()
	g.post(second(func(l *actions.LinkChanged) { l.Up = false }))
	g.wait(300 * ms)
	g.post(second())
	g.wait(2 * s)
	g.wantStates("active", "active")
	g.post(second(func(l *actions.LinkChanged) { l.Up = false }))
	g.wait(600 * ms)
	if in := g.status("inside").Routers[0]; !in.Yielding || in.Fault != "sync-group" {
		t.Errorf("inside after the delay: %s, yielding %t, fault %q", in.State, in.Yielding, in.Fault)
	}
}

// A link that has been away elects anew, and the group with it: the member
// whose link stayed says goodbye, so that a peer takes over after a skew.
func TestGroupAfterAShortFault(t *testing.T) {
	g := newGroupRig(t).upBoth()
	g.wait(4 * s)
	g.apply()
	g.post(second(func(l *actions.LinkChanged) { l.Up = false }))
	g.wait(30 * ms)
	g.post(second())
	g.wantStates("backup", "backup")
	if last := g.sent[len(g.sent)-1]; last.vrid != 1 || last.priority != 0 {
		t.Errorf("the last word is %v, want a goodbye of inside", last)
	}
	g.wait(5 * s)
	g.wantStates("active", "active")
}

// Two hosts that each win on another link do not swing for ever.
func TestGroupHoldsOffAfterSwings(t *testing.T) {
	g := newGroupRig(t).upBoth()
	tries := 0
	for range 300 {
		g.wait(s)
		if g.state("inside") == "active" {
			tries++
			g.hear(eth1, 2, 200, 52)
			g.wantStates("backup", "backup")
		}
	}
	if tries > 14 {
		t.Errorf("%d promotions in five minutes", tries)
	}
	if !slices.ContainsFunc(g.linesFrom(0), func(s string) bool { return strings.Contains(s, "Give the hosts different priorities") }) {
		t.Errorf("nobody was told: %q", g.linesFrom(0))
	}
}

// A member that leaves the group by a reload is not held back by it any more,
// and the group goes on without it.
func TestReloadTakesAMemberOut(t *testing.T) {
	g := newGroupRig(t).upBoth()
	for range 5 {
		g.wait(s)
		g.hear(eth0, 1, 200, 51)
	}
	cfg := grouped(pair()...)
	cfg.Groups = nil
	for i := range cfg.Routers {
		cfg.Routers[i].Group, cfg.Routers[i].Spec.Grouped = "", false
	}
	reply := make(chan daemon.Plan, 1)
	g.post(daemon.Reload{Config: cfg, Reply: reply})
	if plan := <-reply; plan.Steps[0].Change != daemon.Adjust || !slices.Contains(plan.Steps[0].Differences, "sync group gw -> ") {
		t.Errorf("plan %v", plan)
	}
	g.wantStates("backup", "active")
	g.post(second(func(l *actions.LinkChanged) { l.Up = false }))
	g.wantStates("backup", "initialize")
}

func TestThreeMembers(t *testing.T) {
	routers := append(pair(), web(named("third", 3, 53), func(c *daemon.RouterConfig) { c.Group, c.Spec.Grouped = "gw", true }))
	g := &rig{t: t, now: epoch}
	g.loop = daemon.New(grouped(routers...), g.ports())
	g.upBoth().wait(3800 * ms)
	g.wantStates("active", "active", "active")
	g.hear(eth0, 3, 0, 53) // somebody resigns on the third link: no news to an Active
	g.wantStates("active", "active", "active")
	g.hear(eth0, 1, 200, 51)
	g.wantStates("backup", "backup", "backup")
	if n := strings.Count(g.history(), "sync-group"); n != 2 {
		t.Errorf("%d followed, want 2:\n%s", n, g.history())
	}
}
