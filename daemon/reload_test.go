package daemon_test

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

func TestMakePlan(t *testing.T) {
	a, b, c := web(named("a", 1, 11)), web(named("b", 2, 12)), web(named("c", 3, 13))
	with := func(c daemon.RouterConfig, f func(*daemon.RouterConfig)) daemon.RouterConfig { f(&c); return c }
	for _, tt := range []struct {
		name     string
		old, new []daemon.RouterConfig
		want     string
	}{
		{"nothing", nil, nil, "[]"},
		{"first", nil, []daemon.RouterConfig{a, b}, "[add a add b]"},
		{"unchanged", []daemon.RouterConfig{a, b}, []daemon.RouterConfig{a, b}, "[keep a keep b]"},
		{"gone", []daemon.RouterConfig{a, b}, []daemon.RouterConfig{b}, "[keep b remove a]"},
		{"renamed", []daemon.RouterConfig{a}, []daemon.RouterConfig{with(a, named("c", 1, 11))}, "[add c remove a]"},
		{"priority", []daemon.RouterConfig{a}, []daemon.RouterConfig{with(a, priority(7))}, "[adjust a: priority 100 -> 7]"},
		{"addresses", []daemon.RouterConfig{a}, []daemon.RouterConfig{with(a, named("a", 1, 99))}, "[adjust a: address 10.0.0.99/24 added, address 10.0.0.11/24 removed]"},
		{"hooks", []daemon.RouterConfig{a}, []daemon.RouterConfig{with(a, hooked("x"))}, "[adjust a: hooks]"},
		{"announce", []daemon.RouterConfig{a}, []daemon.RouterConfig{with(a, func(c *daemon.RouterConfig) { c.Announce.Repeat = 9 })}, "[adjust a: announce]"},
		{"vrid", []daemon.RouterConfig{a}, []daemon.RouterConfig{with(a, named("a", 9, 11))}, "[replace a: vrid 1 -> 9]"},
		{"interface", []daemon.RouterConfig{a}, []daemon.RouterConfig{with(a, func(c *daemon.RouterConfig) { c.Interface = "eth1" })}, "[replace a: interface eth0 -> eth1]"},
		{"family", []daemon.RouterConfig{a}, []daemon.RouterConfig{with(a, func(c *daemon.RouterConfig) { c.Spec.Family = vrrp.IPv6 })}, "[replace a: family ipv4 -> ipv6]"},
		{"all at once", []daemon.RouterConfig{a, b}, []daemon.RouterConfig{with(b, priority(1)), c}, "[adjust b: priority 100 -> 1 add c remove a]"},
	} {
		plan := daemon.MakePlan(config(tt.old...), config(tt.new...))
		if got := fmt.Sprint(plan.Steps); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
		n := plan.Counts()
		if sum := n[0] + n[1] + n[2] + n[3] + n[4]; sum != len(plan.Steps) {
			t.Errorf("%s: counts %v do not add up to %d", tt.name, n, len(plan.Steps))
		}
	}
}

// A reload that changes nothing is noticed by nobody: no port is called, and
// the deadlines stay.
func TestReloadUnchanged(t *testing.T) {
	for _, state := range []string{"active", "backup"} {
		g := newRig(t, web(hooked("h")))
		if g.up(); state == "active" {
			g.active()
		}
		lines, records, next := len(g.lines), len(g.records), g.next
		g.took()
		if plan := g.reload(web(hooked("h"))); fmt.Sprint(plan.Steps) != "[keep web]" {
			t.Errorf("%s: plan %v", state, plan)
		}
		g.wantCalls()
		if len(g.lines) != lines || len(g.records) != records || g.next != next {
			t.Errorf("%s: an unchanged reload logged, made a transition or moved a deadline (%v to %v)", state, next, g.next)
		}
	}
}

func TestReloadAddsARouter(t *testing.T) {
	g := newRig(t, web()).active()
	g.took()
	g.reload(web(), web(named("mail", 53, 54)))
	g.up()
	if got := g.state("mail"); got != "backup" {
		t.Errorf("the new router is %s", got)
	}
	if got := g.state("web"); got != "active" {
		t.Errorf("the old router is %s", got)
	}
	for _, c := range g.took() {
		if c != "watch eth0" {
			t.Errorf("adding a router called %q", c)
		}
	}
}

// An Active that is removed says goodbye, stays until its successor is heard
// or the wait is over, and takes its addresses with it.
func TestReloadRemovesTheActive(t *testing.T) {
	g := newRig(t, web()).active()
	g.took()
	g.reload()
	g.wantCalls("send 52 0 from 10.0.0.1")
	g.receive(52, 100)
	g.turn()
	if g.wait(19 * ms); g.state("web") != "active" {
		t.Error("left before the linger was over")
	}
	g.wait(2 * ms)
	g.wantCalls("cancel 1", "want 1.2 []")
	g.apply()
	g.wantCallsButWatch("cancel 1", "want 1.2 [] final", "forget 7")
	if page := g.status(""); page.Total != 0 || len(page.Links) != 0 {
		t.Errorf("something is left: %+v", page)
	}
	g.wantHistory("web initialize->backup startup\nweb backup->active no-response\nweb active->initialize yielded\n")
}

// A Backup has nothing to give up: it goes at once.
func TestReloadRemovesABackup(t *testing.T) {
	g := newRig(t, web()).up()
	g.took()
	g.reload()
	g.wantCallsButWatch("cancel 1", "want 1.0 [] final", "forget 7")
	if g.status("").Total != 0 {
		t.Error("the removed router is still there")
	}
}

// A renamed router is another one: it waits until the old one has left with
// its addresses, and then starts.
func TestReloadRenamesTheActive(t *testing.T) {
	g := newRig(t, web()).active()
	g.reload(web(named("www", 52, 53)))
	if g.state("www") != "none" {
		t.Fatal("two routers with one VRID at a time")
	}
	g.receive(52, 90)
	g.turn()
	g.wait(30 * ms)
	g.took()
	g.apply()
	if g.state("www") == "none" || g.state("web") != "none" {
		t.Fatalf("the old one is %s, the new one %s", g.state("web"), g.state("www"))
	}
	// Whoever forgets what is known of the link must ask for it again.
	if slices.Contains(g.took(), "watch eth0") {
		g.post(level())
	}
	g.post(ready(eth0, vrrp.IPv4))
	if got := g.state("www"); got != "backup" {
		t.Errorf("after the rename the router is %s: %s", got, g.status("www").Routers[0].FaultDetail)
	}
}

// Renaming two Backups in one reload: the second must not start before its
// predecessor, whose turn has not come, has gone.
func TestReloadRenamesTwoBackups(t *testing.T) {
	g := newRig(t, web(named("a", 1, 11)), web(named("b", 2, 12))).up()
	g.reload(web(named("x", 1, 11)), web(named("y", 2, 12)))
	g.up()
	g.receive(1, 200)
	g.receive(2, 200)
	g.turn()
	for _, name := range []string{"x", "y"} {
		if n := g.status(name).Routers[0].Counters["advertisement-rcvd"]; n != 1 {
			t.Errorf("%s heard %d adverts, want 1", name, n)
		}
	}
}

// The keeper answers the last wish as well; the router may still be known
// because a hook of it runs.
func TestAnswerToTheLastWish(t *testing.T) {
	g := newRig(t, web(hooked("slow"))).active() // its hook runs and does not end
	g.reload()
	g.receive(52, 200)
	g.turn()
	g.wait(30 * ms)
	g.apply()
	g.apply() // answers the Final wish
	for _, j := range g.jobs {
		g.post(actions.HookDone{Router: j.Router, Job: j.Job})
	}
	if g.status("").Total != 0 {
		t.Error("the removed router is still there")
	}
}

// New addresses in a running router are wanted and announced without a transition.
func TestReloadChangesAddresses(t *testing.T) {
	more := func(c *daemon.RouterConfig) {
		c.Addresses = append(slices.Clone(c.Addresses), held(netip.MustParsePrefix("2001:db8::53/64"))...)
	}
	g := newRig(t, web()).active()
	records := g.history()
	g.took()
	g.reload(web(more))
	g.wantCalls("want 1.2 [10.0.0.53/24 2001:db8::53/64]")
	g.apply()
	g.wantCalls("announce 1.2 [10.0.0.53 2001:db8::53] once=false")
	g.wantHistory(records)

	other := web(named("web", 52, 77))
	g.reload(other)
	g.wantCalls("want 1.3 [10.0.0.77/24]")
	g.apply()
	g.wantCalls("announce 1.3 [10.0.0.77] once=false")
	g.wantHistory(records)
}

// A changed priority is said at once; a changed interval shortens the wait.
func TestReloadAdjusts(t *testing.T) {
	g := newRig(t, web()).active()
	g.took()
	g.reload(web(priority(120)))
	g.wantCalls("send 52 120 from 10.0.0.1")
	g.reload(web(priority(120), func(c *daemon.RouterConfig) { c.Spec.Interval = 100 * ms }))
	if left := g.next - g.now; left > 101*ms {
		t.Errorf("the next advert is due in %v", left)
	}
	if n := len(g.records); n == 0 || g.records[n-1].To != "active" {
		t.Error("adjusting made a transition")
	}
}

// Routers that wait for a predecessor survive another reload, and vanish with it.
func TestReloadWhileWaiting(t *testing.T) {
	g := newRig(t, web()).active()
	g.reload(web(named("www", 52, 53)))
	g.reload(web(named("www", 52, 53)))
	g.receive(52, 90)
	g.turn()
	g.wait(30 * ms)
	g.apply()
	if g.state("www") == "none" {
		t.Error("a reload lost the router that waits")
	}

	g = newRig(t, web()).active()
	g.reload(web(named("www", 52, 53)))
	g.reload()
	g.receive(52, 90)
	g.turn()
	g.wait(30 * ms)
	g.apply()
	if g.status("").Total != 0 {
		t.Error("a router nobody wants any more was started")
	}

	// Back to the old name: the same name waits for the leaving one.
	g = newRig(t, web()).active()
	g.reload()
	g.reload(web())
	if g.status("").Total != 1 {
		t.Error("the old and the new web exist at one time")
	}
	g.receive(52, 90)
	g.turn()
	g.wait(30 * ms)
	g.apply()
	if g.status("").Total != 1 || g.state("web") != "initialize" && g.state("web") != "backup" {
		t.Errorf("after leaving and coming back: %d routers, web is %s", g.status("").Total, g.state("web"))
	}
}

// While leaving nothing is applied, and whoever asked is told so.
func TestReloadWhileStopping(t *testing.T) {
	g := newRig(t, web()).active()
	g.post(daemon.Stop{Yield: true, Detail: "SIGTERM"})
	if plan := g.reload(web(), web(named("x", 2, 12))); !plan.Stopping || len(plan.Steps) != 0 {
		t.Errorf("plan %+v", plan)
	}
}

// Another VRID under the same name is another router: it starts when the old
// one has left, also when the two have nothing else in common.
func TestReloadReplacesOneAfterTheOther(t *testing.T) {
	g := newRig(t, web()).active()
	g.reload(web(named("web", 53, 99)))
	if page := g.status(""); page.Total != 1 || page.Routers[0].VRID != 52 || !page.Routers[0].Yielding {
		t.Fatalf("%d routers at a time: %+v", page.Total, page.Routers)
	}
	g.receive(52, 90) // the successor
	g.turn()
	g.wait(30 * ms)
	g.apply()
	if page := g.status(""); page.Total != 1 || page.Routers[0].VRID != 53 || g.state("web") != "backup" {
		t.Errorf("%d routers: %+v", page.Total, page.Routers)
	}
}

// The answer about an interface that only a waiting router names is not lost
// before that router is attached (found by attack).
func TestReloadWaitingNamesALink(t *testing.T) {
	const eth1 = eth0 + 1
	g := newRig(t, web()).active()
	g.reload(web(func(c *daemon.RouterConfig) {
		c.Spec.VRID = 62
		c.Addresses = append(slices.Clone(c.Addresses), actions.Address{Prefix: netip.MustParsePrefix("10.1.0.5/24"), Interface: "eth1"})
	}))
	if g.status("web").Routers[0].VRID != 52 {
		t.Fatal("the new router does not wait")
	}
	g.post(level(func(l *actions.LinkChanged) { l.Name, l.Index = "eth1", eth1 }))
	g.wait(5 * s) // nobody takes over
	g.apply()     // the old one's addresses are gone
	g.post(level(), ready(eth0, vrrp.IPv4))
	g.wait(5 * s)
	w := g.wants[len(g.wants)-1]
	if !w.Active || len(w.Addresses) != 2 || w.Addresses[1].Link != eth1 {
		t.Errorf("wanted last: %+v", w)
	}
}

// The kernel refuses an IPv4 route that drops packets if it has an interface.
func TestBlackholeHasNoLink(t *testing.T) {
	dst := netip.MustParsePrefix("198.51.100.0/24")
	g := newRig(t, web(func(c *daemon.RouterConfig) {
		c.Routes = []actions.Route{{Dst: dst, Kind: 6}, {Dst: dst, Kind: 7, Table: 7}, {Dst: dst, Kind: 8, Table: 8}, {Dst: dst, Table: 9}}
	})).active()
	var links []int
	for _, r := range g.wants[len(g.wants)-1].Routes {
		links = append(links, r.Link)
	}
	if !slices.Equal(links, []int{0, 0, 0, eth0}) {
		t.Errorf("links %v", links)
	}
}

// What a reload leaves alone is counted, groups and checks as well.
func TestPlanCountsWhatIsKept(t *testing.T) {
	with := func(names string, change func(*daemon.ServiceConfig)) *daemon.Config {
		cfg := config(web())
		for _, n := range names {
			g := group1()
			g.Ladder.Name = string(n)
			if n == 'b' && change != nil {
				change(&g)
			}
			cfg.Services = append(cfg.Services, g)
			cfg.Checks = append(cfg.Checks, checks.Spec{Name: "exec." + string(n), Interval: time.Second})
		}
		return cfg
	}
	for _, c := range []struct {
		new            *daemon.Config
		groups, checks int
	}{
		{with("abc", nil), 3, 3},
		{with("abc", func(g *daemon.ServiceConfig) { g.WhenReady = true }), 2, 3},
		{with("acd", nil), 2, 2},
		{with("", nil), 0, 0},
	} {
		if p := daemon.MakePlan(with("abc", nil), c.new); p.ServicesKept != c.groups || p.ChecksKept != c.checks {
			t.Errorf("%d groups and %d checks kept, want %d and %d: %+v", p.ServicesKept, p.ChecksKept, c.groups, c.checks, p)
		}
	}
}
