package daemon_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/daemon"
)

// site is a check that one result turns over.
func site(name string) checks.Spec {
	return checks.Spec{Name: name, Interval: s, Timeout: s, Rise: 1, Fall: 1, Probe: checks.TCP{Address: "127.0.0.1:80"}}
}

func depends(i checks.Influence, weight int, names ...string) func(*daemon.RouterConfig) {
	return func(c *daemon.RouterConfig) {
		c.Depends = append(c.Depends, checks.Dependency{Checks: names, Influence: i, Weight: weight})
	}
}

// checked is a rig with checks, whose first runs have all passed.
func checked(t *testing.T, specs []checks.Spec, routers ...daemon.RouterConfig) *rig {
	t.Helper()
	g := &rig{t: t, now: epoch}
	cfg := config(routers...)
	cfg.Checks = specs
	g.loop = daemon.New(cfg, g.ports())
	g.turn()
	g.results(checks.Passed)
	return g
}

// results answers every run that is under way.
func (g *rig) results(o checks.Outcome) {
	g.t.Helper()
	jobs := g.probes
	g.probes = nil
	for _, j := range jobs {
		g.post(checks.Done{Check: j.Check, Run: j.Run, Result: checks.Result{Outcome: o, Detail: "connection refused"}})
	}
}

// ail lets the next runs of all checks end so.
func (g *rig) ail(o checks.Outcome) {
	g.t.Helper()
	g.untilProbed()
	g.results(o)
}

// untilProbed waits for a run, which was never more than a minute away.
func (g *rig) untilProbed() {
	g.t.Helper()
	for range 6000 {
		if len(g.probes) > 0 {
			return
		}
		g.wait(10 * ms)
	}
	g.t.Fatal("no check runs")
}

func (g *rig) reloadWith(specs []checks.Spec, routers ...daemon.RouterConfig) daemon.Plan {
	g.t.Helper()
	cfg := config(routers...)
	cfg.Checks = specs
	reply := make(chan daemon.Plan, 1)
	g.post(daemon.Reload{Config: cfg, Reply: reply})
	return <-reply
}

// An Active that falls ill says goodbye with its addresses kept, and goes on
// with its degraded priority when nobody better has answered.
func TestCheckDegrades(t *testing.T) {
	g := checked(t, []checks.Spec{site("tcp.web")}, web(depends(checks.Degrade, 0, "tcp.web"))).active()
	g.took()
	g.ail(checks.Failed)
	g.wantCalls("send 52 0 from 10.0.0.1")
	if st := g.status("web").Routers[0]; !st.Yielding || st.EffectivePriority != 20 || !st.Degraded || st.State != "active" {
		t.Errorf("%+v", st)
	}
	if got := g.status("web").Routers[0].Contributions; len(got) != 1 || got[0].Stand != "bad" ||
		got[0].Why != "tcp.web: 1 of 1 failed, last: connection refused" {
		t.Errorf("contributions %+v", got)
	}
	for range 100 { // the next runs fail, too
		g.wait(10 * ms)
		g.results(checks.Failed)
	}
	if st := g.status("web").Routers[0]; st.Yielding || st.State != "active" {
		t.Errorf("nobody came: %+v", st)
	}
	g.wantHistory("web initialize->backup startup\nweb backup->active no-response\n")
	lines := g.linesFrom(slog.LevelWarn)
	if !slices.ContainsFunc(lines, func(l string) bool {
		return l == "(web) priority 100 -> 20: degraded by tcp.web: 1 of 1 failed, last: connection refused"
	}) {
		t.Errorf("lines %q", lines)
	}
	g.ail(checks.Passed)
	if st := g.status("web").Routers[0]; st.EffectivePriority != 100 || st.Degraded {
		t.Errorf("healthy again: %+v", st)
	}
}

// The successor has been heard: Backup, and the addresses go.
func TestCheckDegradesAndIsReplaced(t *testing.T) {
	g := checked(t, []checks.Spec{site("tcp.web")}, web(depends(checks.Degrade, 0, "tcp.web"))).active()
	g.ail(checks.Failed)
	g.took()
	g.wait(600 * ms)
	g.receive(52, 90)
	g.turn()
	g.wait(20 * ms)
	g.wantCallsButWatch("cancel 1", "want 1.2 []")
	g.wantHistory("web initialize->backup startup\nweb backup->active no-response\nweb active->backup degraded\n")
	if why := g.records[len(g.records)-1].Reason; !strings.Contains(why, "the priority fell to 20; 10.0.0.3 (priority 90) has taken over (tcp.web: 1 of 1 failed") {
		t.Errorf("reason %q", why)
	}
}

// A weight that lowers the priority asks as well; where nobody preempts it
// only says so.
func TestCheckWeighs(t *testing.T) {
	g := checked(t, []checks.Spec{site("tcp.web")}, web(depends(checks.Weigh, -20, "tcp.web"))).active()
	g.took()
	g.ail(checks.Failed)
	g.wantCalls("send 52 0 from 10.0.0.1")

	g = checked(t, []checks.Spec{site("tcp.web")}, web(depends(checks.Weigh, -20, "tcp.web"), func(c *daemon.RouterConfig) { c.Spec.Preempt = false })).active()
	g.took()
	g.ail(checks.Failed)
	g.wantCalls("send 52 80 from 10.0.0.1")
}

// A fault takes the router out of the election, and back.
func TestCheckFaults(t *testing.T) {
	g := checked(t, []checks.Spec{site("tcp.web")}, web(depends(checks.Fault, 0, "tcp.web"))).active()
	g.took()
	g.ail(checks.Failed)
	g.wait(1100 * ms)
	g.results(checks.Failed)
	if st := g.status("web").Routers[0]; st.State != "initialize" || st.Fault != "check-failed" ||
		st.FaultDetail != "must not serve: tcp.web: 1 of 1 failed, last: connection refused" {
		t.Errorf("%+v", st)
	}
	g.ail(checks.Passed)
	if got := g.state("web"); got != "backup" {
		t.Errorf("healthy again: %s", got)
	}
}

// Before its first result a check with effect = "fault" keeps the router out.
func TestCheckPending(t *testing.T) {
	g := &rig{t: t, now: epoch}
	cfg := config(web(depends(checks.Fault, 0, "tcp.web")))
	cfg.Checks = []checks.Spec{site("tcp.web")}
	g.loop = daemon.New(cfg, g.ports())
	g.turn()
	g.up()
	if st := g.status("web").Routers[0]; st.State != "initialize" || st.Fault != "pending" || !strings.Contains(st.FaultDetail, "tcp.web") {
		t.Errorf("%+v", st)
	}
	g.results(checks.Passed)
	if got := g.state("web"); got != "backup" {
		t.Errorf("after the first result: %s", got)
	}
}

// A member's checks are those of its sync group: priorities stay equal.
func TestCheckInSyncGroup(t *testing.T) {
	member := func(name string, vrid, last byte) daemon.RouterConfig {
		return web(named(name, vrid, last), func(c *daemon.RouterConfig) { c.Group, c.Spec.Grouped = "g", true })
	}
	a, b := member("a", 1, 11), member("b", 2, 12)
	depends(checks.Degrade, 0, "tcp.web")(&a)
	g := &rig{t: t, now: epoch}
	cfg := config(a, b)
	cfg.Groups = []daemon.GroupConfig{{Name: "g", Members: []string{"a", "b"}}}
	cfg.Checks = []checks.Spec{site("tcp.web")}
	g.loop = daemon.New(cfg, g.ports())
	g.turn()
	g.results(checks.Passed)
	g.active()
	g.took()
	g.ail(checks.Failed)
	g.wantCalls("send 1 0 from 10.0.0.1", "send 2 0 from 10.0.0.1")
	for _, name := range []string{"a", "b"} {
		if st := g.status(name).Routers[0]; st.EffectivePriority != 20 || len(st.Contributions) != 1 {
			t.Errorf("%s: %+v", name, st)
		}
	}
}

// So are those of a member that still waits for its predecessor to leave, and when it
// has come: the others stay at one priority with it.
func TestCheckOfARenamedMember(t *testing.T) {
	member := func(name string, vrid, last byte) daemon.RouterConfig {
		return web(named(name, vrid, last), func(c *daemon.RouterConfig) { c.Group, c.Spec.Grouped = "g", true })
	}
	a, b, c := member("a", 1, 11), member("b", 2, 12), member("c", 1, 11)
	depends(checks.Weigh, -30, "tcp.web")(&a)
	c.Depends = a.Depends
	with := func(routers ...daemon.RouterConfig) *daemon.Config {
		cfg := config(routers...)
		cfg.Groups = []daemon.GroupConfig{{Name: "g", Members: []string{routers[0].Name, routers[1].Name}}}
		cfg.Checks = []checks.Spec{site("tcp.web")}
		return cfg
	}
	g := &rig{t: t, now: epoch}
	g.loop = daemon.New(with(a, b), g.ports())
	g.turn()
	g.results(checks.Passed)
	g.active()
	g.ail(checks.Failed)
	priority := func(when string) {
		t.Helper()
		for _, r := range g.status("").Routers {
			if r.EffectivePriority != 70 {
				t.Errorf("%s: %s has priority %d", when, r.Name, r.EffectivePriority)
			}
		}
	}
	priority("before")
	g.wait(2 * s)
	g.post(daemon.Reload{Config: with(b, c), Reply: make(chan daemon.Plan, 1)})
	priority("while it waits")
	for range 50 {
		g.wait(100 * ms)
		g.apply()
	}
	if len(g.status("c").Routers) != 1 {
		t.Fatal("it still waits")
	}
	priority("when it has come")
}

// A reload that touches a check keeps its verdict, and no advert tells of it;
// results of a removed one find nobody.
func TestReloadKeepsVerdicts(t *testing.T) {
	w := web(depends(checks.Degrade, 0, "tcp.web"))
	g := checked(t, []checks.Spec{site("tcp.web")}, w).active()
	g.ail(checks.Failed)
	for range 100 {
		g.wait(10 * ms)
		g.results(checks.Failed)
	}
	g.sent = nil
	slow := site("tcp.web")
	slow.Interval = 5 * s
	plan := g.reloadWith([]checks.Spec{slow}, w)
	if len(plan.Checks) != 1 || plan.Checks[0].String() != "adjust check tcp.web" {
		t.Errorf("plan %+v", plan)
	}
	if st := g.status("web").Routers[0]; st.EffectivePriority != 20 || len(g.sent) > 0 {
		t.Errorf("%+v, sent %v", st, g.sent)
	}
	g.untilProbed()
	g.sent = nil
	g.reloadWith(nil, web())
	if st := g.status("web"); st.Routers[0].EffectivePriority != 100 || len(st.Checks) != 0 {
		t.Errorf("%+v", st)
	}
	before := g.status("").Loop.StaleResults
	g.results(checks.Failed)
	if after := g.status("").Loop.StaleResults; after != before+1 {
		t.Error("the late result was not counted as stale")
	}
}

// A reload that lowers the priority asks, too: the better host takes over
// within its Skew_Time.
func TestReloadLowersThePriority(t *testing.T) {
	g := newRig(t, web()).active()
	g.took()
	g.reload(web(priority(50)))
	g.wantCalls("send 52 0 from 10.0.0.1")
	g.wait(s)
	if got := g.sent[len(g.sent)-1]; got.priority != 50 {
		t.Errorf("sent %+v", got)
	}
}

// News of an interface makes its checks run at once.
func TestLinkCheckIsHinted(t *testing.T) {
	link := checks.Spec{Name: "link.eth1", Interval: 60 * s, Timeout: s, Rise: 1, Fall: 1, Probe: checks.Link{Interface: "eth1"}}
	g := checked(t, []checks.Spec{link}, web(depends(checks.Fault, 0, "link.eth1"))).active()
	g.probes = nil
	g.post(level(func(l *actions.LinkChanged) { l.Name, l.Index, l.Up = "eth1", eth0+1, false }))
	if len(g.probes) != 1 {
		t.Fatalf("%d runs", len(g.probes))
	}
	g.results(checks.Failed)
	if st := g.status("web").Routers[0]; !st.Yielding {
		t.Errorf("%+v", st)
	}
}

// A thousand checks that are due together do not hold up an advert.
func TestManyChecksDueAtOnce(t *testing.T) {
	var specs []checks.Spec
	for i := range 1000 {
		specs = append(specs, site("tcp."+string(rune('a'+i/100))+string(rune('a'+i/10%10))+string(rune('a'+i%10))))
	}
	g := checked(t, specs, web()).active()
	g.sent = nil
	for range 500 {
		g.wait(10 * ms)
		g.results(checks.Passed)
	}
	if len(g.sent) != 5 {
		t.Errorf("%d adverts in 5 s", len(g.sent))
	}
	if g.status("").Checks[999].Runs < 5 {
		t.Errorf("the last check ran %d times", g.status("").Checks[999].Runs)
	}
}
