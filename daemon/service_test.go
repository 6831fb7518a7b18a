package daemon_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
)

// hands is a world in which steps are names that are up or not. Jobs are
// answered when the test lets work go on.
type hands struct {
	g    *rig
	up   map[string]bool
	fail map[string]string // verb and step: why it fails
	open []actions.Job
	log  []string // what was started and stopped, in order
	cut  []uint64
}

func (h *hands) Do(j actions.Job)                    { h.open = append(h.open, j) }
func (h *hands) Forget(_ actions.Agent, name string) { h.log = append(h.log, "forget "+name) }
func (h *hands) Cancel(_ actions.GroupID, job uint64) {
	h.cut = append(h.cut, job)
}

// work answers what is open, until nothing is.
func (h *hands) work() {
	h.g.t.Helper()
	for range 10_000 {
		if len(h.open) == 0 {
			return
		}
		j := h.open[0]
		h.open = h.open[1:]
		h.g.post(h.done(j))
	}
	h.g.t.Fatal("the ladder gives out jobs for ever")
}

func (h *hands) done(j actions.Job) actions.Done {
	_, step, _ := strings.Cut(j.Name, "/")
	d := actions.Done{Group: j.Group, Job: j.Job, OK: true, Took: ms}
	if slices.Contains(h.cut, j.Job) {
		d.OK, d.Canceled = false, true
		return d
	}
	why := h.fail[j.Verb.String()+" "+step]
	switch j.Verb {
	case actions.Start, actions.Stop, actions.ForceStop:
		h.log = append(h.log, j.Verb.String()+" "+step)
		if why == "" {
			h.up[step] = j.Verb == actions.Start
		}
	case actions.Fence, actions.Reboot:
		h.log = append(h.log, j.Verb.String())
		why = h.fail[j.Verb.String()]
	}
	d.OK, d.Detail, d.State = why == "", why, actions.Down
	if j.Verb == actions.Look {
		d.OK = true
	}
	if h.up[step] {
		d.State = actions.Up
	}
	if j.Verb == actions.Start && why != "" {
		d.State = actions.Neither
	}
	return d
}

// pass lets time pass with the hands at work.
func (h *hands) pass(d time.Duration) {
	h.g.t.Helper()
	for end := h.g.now + d; h.g.now < end && !h.g.done; {
		h.g.wait(min(10*ms, end-h.g.now))
		h.work()
	}
}

// hear is an advert of the peer's.
func (h *hands) hear(priority uint8) {
	h.g.t.Helper()
	h.g.receive(52, priority)
	h.g.turn()
}

func (h *hands) did() string {
	s := strings.Join(h.log, ", ")
	h.log = nil
	return s
}

func step(name string, agent actions.Agent) actions.StepSpec {
	return actions.StepSpec{Name: name, Agent: agent, StartTimeout: 10 * s, StopTimeout: 10 * s, Restarts: 3, Window: 10 * time.Minute,
		Monitor: actions.MonitorSpec{Interval: s, Timeout: s, Failures: 1}}
}

// group1 is a group like a configuration file would make it.
func group1(change ...func(*daemon.ServiceConfig)) daemon.ServiceConfig {
	c := daemon.ServiceConfig{Follows: []string{"web"}, Ladder: actions.LadderSpec{Name: "site", HoldOff: 30 * s, HoldOffMax: 10 * time.Minute, Qualify: 5 * s,
		Safety: actions.SafetySpec{Mode: actions.SafetyNone, ReleaseTimeout: 20 * s},
		Steps:  []actions.StepSpec{step("drbd.data", actions.DRBD{Resource: "data"}), step("systemd.apache", actions.Systemd{Unit: "apache2.service"})}}}
	for _, f := range change {
		f(&c)
	}
	return c
}

// services is a rig with a group that follows its router.
func services(t *testing.T, group daemon.ServiceConfig, routers ...daemon.RouterConfig) *hands {
	g := &rig{t: t, now: epoch}
	h := &hands{g: g, up: map[string]bool{}, fail: map[string]string{}}
	ports := g.ports()
	ports.Agents = h
	cfg := config(routers...)
	cfg.Services = []daemon.ServiceConfig{group}
	g.loop = daemon.New(cfg, ports)
	return h
}

func servingSite(t *testing.T, change ...func(*daemon.ServiceConfig)) *hands {
	t.Helper()
	h := services(t, group1(change...), web())
	h.g.up()
	h.pass(4 * s)
	h.g.apply()
	h.pass(100 * ms)
	if got := h.group().State; got != "up" {
		t.Fatalf("group is %s: %s\n%s", got, h.group().Text, h.g.history())
	}
	return h
}

func (h *hands) group() daemon.ServiceStatus {
	h.g.t.Helper()
	return h.g.status("").Services[0]
}

func (h *hands) command(c daemon.Command) daemon.CommandResult {
	h.g.t.Helper()
	reply := make(chan daemon.CommandResult, 1)
	c.Reply, c.By = reply, "root (uid 0)"
	h.g.post(c)
	return <-reply
}

func (h *hands) want(got, want string) {
	h.g.t.Helper()
	if got != want {
		h.g.t.Errorf("got %q\nwant %q", got, want)
	}
}

// The address first, then the steps in order; in reverse, and only then the farewell.
func TestServiceFollowsItsRouter(t *testing.T) {
	h := servingSite(t)
	h.want(h.did(), "start drbd.data, start systemd.apache")
	sent := len(h.g.sent)
	h.g.post(daemon.Stop{Yield: true, Detail: "SIGTERM"})
	for _, a := range h.g.sent[sent:] {
		if a.priority == 0 {
			t.Fatal("said goodbye with the services up")
		}
	}
	h.work()
	h.want(h.did(), "stop systemd.apache, stop drbd.data")
	if last := h.g.sent[len(h.g.sent)-1]; last.priority != 0 {
		t.Errorf("no farewell after the services: %+v", last)
	}
	h.pass(609 * ms)
	h.hear(100)
	h.pass(30 * ms)
	h.g.apply()
	if !h.g.done {
		t.Errorf("not over:\n%s", h.g.history())
	}
	if last := h.g.sent[len(h.g.sent)-1]; last.priority != 0 || last.at < epoch+4*s {
		t.Errorf("did not say that it let go: %+v", last)
	}
}

// Pushed aside, it goes at once; the ladder comes down behind, and then it says so.
func TestServiceForced(t *testing.T) {
	h := servingSite(t)
	h.did()
	h.hear(200)
	h.g.wait(ms)
	h.want(h.g.state("web"), "backup")
	sent := len(h.g.sent)
	h.work()
	h.want(h.did(), "stop systemd.apache, stop drbd.data")
	if got := h.g.sent[sent:]; len(got) != 1 || got[0].priority != 0 {
		t.Errorf("after the way down it sent %v, want one priority 0", got)
	}
}

// Preempting a live Active, exclusive data waits until that one has let go.
func TestServiceWaitsForThePeer(t *testing.T) {
	h := services(t, group1(), web(priority(150)))
	h.g.up()
	for range 5 {
		h.hear(100)
		h.pass(s)
	}
	h.want(h.g.state("web"), "active")
	h.want(h.did(), "")
	h.want(h.group().State, "claiming")
	h.hear(0)
	h.pass(10 * ms)
	h.want(h.did(), "start drbd.data, start systemd.apache")
	if c := h.group().Claim; !strings.Contains(c, "has let go") {
		t.Errorf("claim %q", c)
	}
}

// Priority 0 is also the question whether anybody is better, from an Active that goes on
// using its data. One that was under way when this host became Active is no answer to it.
func TestQuestionThatCrossesATakeoverIsNoRelease(t *testing.T) {
	h := services(t, group1(), web(priority(150)))
	h.g.up()
	for i := 0; h.g.state("web") != "active"; i++ {
		if i%50 == 0 {
			h.hear(100)
		}
		h.pass(20 * ms)
	}
	h.hear(0)
	h.pass(500 * ms)
	h.want(h.did(), "")
	h.want(h.group().State, "claiming")
	h.hear(0) // it has heard us, and says it again with our next adverts
	h.pass(10 * ms)
	h.want(h.did(), "start drbd.data, start systemd.apache")
}

// A Backup says to each new Active that it is there and holds nothing: at its first
// three adverts, since one packet may be lost, and then no more.
func TestBackupSaysThatItHoldsNothing(t *testing.T) {
	h := services(t, group1(), web())
	h.g.up()
	h.pass(100 * ms)
	for range 6 {
		h.hear(150)
		h.pass(5 * ms)
		h.hear(150) // the answer to priority 0 is no new advert
		h.pass(s)
	}
	if n := len(h.g.sent); n != 3 || slices.ContainsFunc(h.g.sent, func(a advert) bool { return a.priority != 0 }) {
		t.Errorf("sent %v, want priority 0 three times", h.g.sent)
	}
}

// So does a host that takes no part, for its service or in standby: its word may have
// been taken for a farewell by who was not Active yet, and that one waits for it.
func TestHostThatTakesNoPartSaysThatItHoldsNothing(t *testing.T) {
	h := servingSite(t, func(c *daemon.ServiceConfig) { c.Ladder.Steps[1].Restarts = 0 })
	h.up["systemd.apache"] = false
	h.pass(3 * s)
	h.want(h.g.state("web"), "initialize")
	sent := len(h.g.sent)
	for range 3 {
		h.hear(150)
		h.pass(s)
	}
	if got := h.g.sent[sent:]; len(got) != 3 || slices.ContainsFunc(got, func(a advert) bool { return a.priority != 0 }) {
		t.Errorf("sent %v, want priority 0 three times", got)
	}
}

// It does not wait for ever.
func TestServiceStopsWaitingForThePeer(t *testing.T) {
	h := services(t, group1(), web(priority(150)))
	h.g.up()
	for range 5 {
		h.hear(100)
		h.pass(s)
	}
	h.pass(25 * s)
	h.want(h.did(), "start drbd.data, start systemd.apache")
}

// With fencing, a silent peer is switched off first, and until that is confirmed
// nothing exclusive is touched; a human's word will do.
func TestServiceFences(t *testing.T) {
	fence := func(c *daemon.ServiceConfig) {
		c.Ladder.Safety = actions.SafetySpec{Mode: actions.SafetyFence, ReleaseTimeout: 20 * s, Fence: []actions.FenceSpec{{Name: "ipmi", Timeout: 5 * s, Target: "h2"}}}
	}
	h := services(t, group1(fence), web())
	h.g.up()
	h.pass(4 * s)
	h.want(h.did(), "")
	h.pass(s)
	h.want(h.did(), "fence, start drbd.data, start systemd.apache")

	// One that lives and holds nothing says so, and is not shot.
	h = services(t, group1(fence), web())
	h.g.up()
	h.pass(4 * s)
	h.hear(0)
	h.pass(2 * s)
	h.want(h.did(), "start drbd.data, start systemd.apache")

	h = services(t, group1(fence), web())
	h.fail["fence"] = "no route to BMC"
	h.g.up()
	h.pass(20 * s)
	if got := h.did(); strings.Contains(got, "start") || !strings.HasPrefix(got, "fence, fence") {
		t.Errorf("did %q", got)
	}
	h.want(h.group().State, "claiming")
	if res := h.command(daemon.Command{Verb: daemon.CommandFenceConfirm}); !res.OK {
		t.Errorf("%+v", res)
	}
	h.work()
	h.want(h.group().State, "up")
}

// A group that a reload adds to a router that serves waits for a word of the Backup,
// which says it as soon as it has the group too, and does not shoot it meanwhile.
func TestServiceAddedToAnActiveRouter(t *testing.T) {
	h := services(t, group1(), web())
	cfg := config(web())
	reply := make(chan daemon.Plan, 1)
	h.g.post(daemon.Reload{Config: cfg, Reply: reply}) // none to begin with
	<-reply
	h.g.up()
	h.pass(5 * s)
	h.g.apply()
	cfg = config(web())
	cfg.Services = []daemon.ServiceConfig{group1(func(c *daemon.ServiceConfig) {
		c.Ladder.Safety = actions.SafetySpec{Mode: actions.SafetyFence, ReleaseTimeout: 20 * s, Fence: []actions.FenceSpec{{Name: "ipmi", Timeout: 5 * s}}}
	})}
	h.did()
	h.g.post(daemon.Reload{Config: cfg, Reply: reply})
	<-reply
	h.pass(3 * s)
	h.want(h.did(), "")
	h.hear(0)
	h.pass(s)
	h.want(h.did(), "start drbd.data, start systemd.apache")
}

// Fence devices are tried now and then, and trouble with them is shown.
func TestFenceDevicesAreTried(t *testing.T) {
	h := services(t, group1(func(c *daemon.ServiceConfig) {
		c.Ladder.Safety = actions.SafetySpec{Mode: actions.SafetyFence, Fence: []actions.FenceSpec{{Name: "ipmi", Timeout: 5 * s}}}
	}), web())
	h.fail["qualify "] = "BMC does not answer"
	h.work()
	if st := h.group(); !strings.Contains(st.FenceTrouble, "BMC does not answer") {
		t.Errorf("trouble %q", st.FenceTrouble)
	}
	delete(h.fail, "qualify ")
	h.g.up()
	h.pass(11 * time.Minute)
	if st := h.group(); st.FenceTrouble != "" {
		t.Errorf("trouble %q", st.FenceTrouble)
	}
}

// A host in standby still knows who serves.
func TestStandbyKnowsWhoServes(t *testing.T) {
	h := servingSite(t)
	h.command(daemon.Command{Verb: daemon.CommandStandby})
	h.pass(2 * s)
	h.hear(90)
	if st := h.g.status("web").Routers[0]; st.State != "initialize" || st.Active == nil || st.Active.Address != peer4.String() {
		t.Errorf("%s, active %+v", st.State, st.Active)
	}
}

// A host that cannot bring the group up leaves in peace, after it has come down,
// and may serve again when the hold-off is over.
func TestServiceUnfit(t *testing.T) {
	h := servingSite(t)
	h.did()
	h.fail["start systemd.apache"] = "exit status 1"
	h.up["systemd.apache"] = false
	h.pass(1100 * ms)
	h.want(h.did(), "stop systemd.apache, start systemd.apache, stop systemd.apache, stop drbd.data")
	h.want(h.group().State, "unfit")
	h.pass(2 * s)
	if st := h.g.status("web").Routers[0]; st.State != "initialize" || st.Fault != "service-group" || !strings.Contains(st.FaultDetail, "exit status 1") {
		t.Errorf("router %s, fault %q: %s", st.State, st.Fault, st.FaultDetail)
	}
	h.fail = map[string]string{}
	h.pass(30 * s)
	h.want(h.g.state("web"), "backup")
	if !strings.Contains(h.g.history(), "initialize->backup service-group-fit") {
		t.Error(h.g.history())
	}
	h.pass(4 * s)
	h.want(h.g.state("web"), "active")
	h.want(h.group().State, "up")
}

// A host whose step could not be brought up takes no part in the election.
func TestServiceUnqualified(t *testing.T) {
	h := services(t, group1(), web())
	h.fail["qualify drbd.data"] = "Outdated"
	h.g.up()
	h.pass(10 * s)
	if st := h.g.status("web").Routers[0]; st.State != "initialize" || st.Fault != "service-group" || !strings.Contains(st.FaultDetail, "Outdated") {
		t.Errorf("router %s, fault %q: %s", st.State, st.Fault, st.FaultDetail)
	}
	delete(h.fail, "qualify drbd.data")
	h.pass(10 * s)
	h.want(h.g.state("web"), "active")
}

// A stuck step: the host goes on as Active, so that nobody else takes the data.
func TestServiceStuck(t *testing.T) {
	h := servingSite(t)
	h.did()
	h.fail["stop systemd.apache"], h.fail["force-stop systemd.apache"] = "hangs", "hangs"
	h.command(daemon.Command{Verb: daemon.CommandStandby})
	h.pass(30 * s)
	h.want(h.did(), "stop systemd.apache, stop systemd.apache, force-stop systemd.apache")
	h.want(h.group().State, "stuck")
	h.want(h.g.state("web"), "active")
	if st := h.g.status("web").Routers[0]; !strings.Contains(st.SteppingAside, "standby") {
		t.Errorf("stepping aside: %q", st.SteppingAside)
	}
	h.up["systemd.apache"] = false // somebody helped
	h.pass(6 * s)
	h.want(h.did(), "stop drbd.data")
	h.pass(2 * s)
	h.want(h.g.state("web"), "initialize")
}

// A host that stops does not wait for what is stuck.
func TestServiceStuckAtTheEnd(t *testing.T) {
	h := servingSite(t)
	h.fail["stop systemd.apache"], h.fail["force-stop systemd.apache"] = "hangs", "hangs"
	h.g.post(daemon.Stop{Yield: true, Detail: "SIGTERM"})
	h.pass(10 * s)
	h.g.apply()
	if !h.g.done {
		t.Errorf("still there:\n%s", h.g.history())
	}
}

func TestStandbyAndOnline(t *testing.T) {
	h := servingSite(t)
	h.did()
	if res := h.command(daemon.Command{Verb: daemon.CommandStandby, Reason: "kernel update"}); !res.OK || !slices.Contains(res.Routers, "web") {
		t.Fatalf("%+v", res)
	}
	h.pass(2 * s)
	h.want(h.did(), "stop systemd.apache, stop drbd.data")
	page := h.g.status("")
	if st := page.Routers[0]; st.State != "initialize" || st.Fault != "standby" || !strings.Contains(st.Standby, "kernel update") || !strings.Contains(st.Standby, "root") {
		t.Errorf("router %s, fault %s, standby %q", st.State, st.Fault, st.Standby)
	}
	if len(page.Orders) != 1 || page.Orders[0].Kind != daemon.OrderStandby {
		t.Errorf("orders %+v", page.Orders)
	}
	h.command(daemon.Command{Verb: daemon.CommandOnline})
	h.pass(4 * s)
	h.want(h.group().State, "up")
	if !strings.Contains(h.g.history(), "initialize->backup online") {
		t.Error(h.g.history())
	}
}

// An order expires; one of an earlier run is obeyed from the first moment.
func TestOrdersExpire(t *testing.T) {
	g := &rig{t: t, now: epoch}
	ports := g.ports()
	ports.Ordered = []daemon.Order{{Kind: daemon.OrderStandby, By: "root", Since: wall, Until: wall.Add(30 * s)}}
	g.loop = daemon.New(config(web()), ports)
	g.up()
	g.wait(20 * s)
	if got := g.state("web"); got != "initialize" {
		t.Fatalf("%s in standby", got)
	}
	g.wait(15 * s)
	if got := g.state("web"); got != "active" {
		t.Errorf("%s after the standby", got)
	}
}

func TestMove(t *testing.T) {
	h := servingSite(t)
	h.did()
	if res := h.command(daemon.Command{Verb: daemon.CommandMove, Name: "web"}); res.OK || res.Code != "refused" {
		t.Errorf("moved to nobody: %+v", res)
	}
	h.hear(60) // a worse host is heard
	h.pass(s)
	if res := h.command(daemon.Command{Verb: daemon.CommandMove, Name: "web"}); !res.OK {
		t.Fatalf("%+v", res)
	}
	h.pass(650 * ms)
	h.want(h.did(), "stop systemd.apache, stop drbd.data")
	h.hear(60)
	h.pass(100 * ms)
	h.want(h.g.state("web"), "backup")
	for range 10 {
		h.hear(60)
		h.pass(s)
	}
	if st := h.g.status("web").Routers[0]; st.State != "backup" || !st.MovedAway {
		t.Fatalf("came back by itself: %s %s", st.State, st.Reason)
	}
	h.pass(5 * s) // the other dies
	h.want(h.g.state("web"), "active")
	h.pass(s)
	h.want(h.group().State, "up")
}

// Nobody takes over after all: the services are up again, and nothing is left behind.
func TestMoveToNobody(t *testing.T) {
	h := servingSite(t)
	h.did()
	h.command(daemon.Command{Verb: daemon.CommandMove, Name: "web", Force: true})
	h.pass(3 * s)
	h.want(h.did(), "stop systemd.apache, stop drbd.data, start drbd.data, start systemd.apache")
	h.want(h.g.state("web"), "active")
	h.want(h.group().State, "up")
}

func TestMoveHereAndPin(t *testing.T) {
	h := services(t, group1(), web())
	h.g.up()
	for range 5 {
		h.hear(150)
		h.pass(s)
	}
	h.want(h.g.state("web"), "backup")
	if res := h.command(daemon.Command{Verb: daemon.CommandMove, Name: "web"}); res.Code != "not-active" || !strings.Contains(res.Text, "--here") {
		t.Errorf("%+v", res)
	}
	h.command(daemon.Command{Verb: daemon.CommandMove, Name: "web", Here: true})
	h.want(h.g.state("web"), "active")
	if last := h.g.sent[len(h.g.sent)-1]; last.priority != 254 {
		t.Errorf("advertises %d", last.priority)
	}
	h.pass(200 * ms)
	h.hear(0)
	h.pass(s)
	h.want(h.group().State, "up")
	h.command(daemon.Command{Verb: daemon.CommandUnmove, Name: "web"})
	h.hear(150)
	h.pass(2 * s)
	h.want(h.g.state("web"), "backup")

	h.command(daemon.Command{Verb: daemon.CommandMove, Name: "web", Pin: true, For: time.Hour})
	if st := h.g.status("web").Routers[0]; st.EffectivePriority != 1 || st.Pinned == "" {
		t.Errorf("priority %d, pinned %q", st.EffectivePriority, st.Pinned)
	}
}

func TestGroupStopAndMaintenance(t *testing.T) {
	h := servingSite(t)
	h.did()
	if res := h.command(daemon.Command{Verb: daemon.CommandGroupStop, Name: "site", Step: "nothing"}); res.Code != "unknown-step" || len(res.Suggestions) != 2 {
		t.Errorf("%+v", res)
	}
	h.command(daemon.Command{Verb: daemon.CommandGroupStop, Name: "site", Step: "apache", Unmanage: true})
	h.pass(2 * s)
	h.want(h.did(), "stop systemd.apache")
	h.want(h.g.state("web"), "active")
	if st := h.group(); st.Maintenance == "" || st.StoppedFrom != "systemd.apache" {
		t.Errorf("maintenance %q, stopped from %q", st.Maintenance, st.StoppedFrom)
	}
	h.up["drbd.data"] = false
	h.pass(3 * s)
	h.want(h.did(), "")
	if res := h.command(daemon.Command{Verb: daemon.CommandGroupStart, Name: "site"}); res.OK {
		t.Errorf("%+v", res)
	}
	h.command(daemon.Command{Verb: daemon.CommandMaintenanceOff, Name: "site"})
	h.command(daemon.Command{Verb: daemon.CommandGroupStart, Name: "site"})
	h.pass(2 * s)
	h.want(h.did(), "start drbd.data, start systemd.apache")
	h.command(daemon.Command{Verb: daemon.CommandGroupRestart, Name: "site", Step: "drbd.data"})
	h.pass(2 * s)
	h.want(h.did(), "stop systemd.apache, stop drbd.data, start drbd.data, start systemd.apache")
}

// addresses_when = "ready": together or not at all.
func TestAddressesWhenReady(t *testing.T) {
	h := services(t, group1(func(c *daemon.ServiceConfig) { c.WhenReady = true }), web())
	h.fail["start drbd.data"] = ""
	h.g.up()
	h.work()
	h.g.wait(4 * s)
	h.want(h.g.state("web"), "active")
	if n := len(h.g.wants); n != 0 && h.g.wants[n-1].Active {
		t.Error("the address came before the services")
	}
	h.pass(100 * ms)
	if n := len(h.g.wants); n == 0 || !h.g.wants[n-1].Active {
		t.Error("the address did not come with the services")
	}
	h.g.apply()
	if n := len(h.g.announced); n == 0 {
		t.Error("it was not announced")
	}
}

// What is up already is adopted while the router serves, and brought down from the top where it does not.
func TestServiceUpAtTheStart(t *testing.T) {
	h := services(t, group1(), web())
	h.up["drbd.data"], h.up["systemd.apache"] = true, true
	h.g.up()
	h.work()
	h.want(h.did(), "stop systemd.apache, stop drbd.data")
	h.pass(5 * s)
	h.want(h.did(), "start drbd.data, start systemd.apache")
}

// Hooks are told of the group as well.
func TestServiceHooks(t *testing.T) {
	h := services(t, group1(), web(func(c *daemon.RouterConfig) {
		c.Hooks = []actions.HookSpec{{Name: "pager", On: actions.OnReady | actions.OnUnfit | actions.OnStuckStep, Command: []string{"/bin/true"}, Timeout: s}}
	}))
	h.g.up()
	h.pass(5 * s)
	if len(h.g.jobs) != 1 || env(h.g.jobs[0], "BACKBEAT_ON") != "ready" || env(h.g.jobs[0], "BACKBEAT_SERVICE_GROUP") != "site" {
		t.Errorf("jobs %+v", h.g.jobs)
	}
}

// A reload that changes a step takes down only what stands on it; one that removes
// the group, all of it; one that removes router and group, the router last.
func TestServiceReload(t *testing.T) {
	h := servingSite(t)
	h.did()
	cfg := config(web())
	cfg.Services = []daemon.ServiceConfig{group1(func(c *daemon.ServiceConfig) { c.Ladder.Steps[1].Agent = actions.Systemd{Unit: "nginx.service"} })}
	reply := make(chan daemon.Plan, 1)
	h.g.post(daemon.Reload{Config: cfg, Reply: reply})
	if p := <-reply; len(p.Services) != 1 || p.Services[0].Kept != 1 {
		t.Errorf("plan %+v", p.Services)
	}
	h.pass(s)
	h.want(h.did(), "stop systemd.apache, start systemd.apache")
	cfg = config(web())
	h.g.post(daemon.Reload{Config: cfg, Reply: reply})
	<-reply
	h.pass(s)
	h.want(h.did(), "stop systemd.apache, stop drbd.data, forget site/drbd.data, forget site/systemd.apache")
	if n := len(h.g.status("").Services); n != 0 {
		t.Errorf("%d groups", n)
	}
	h.want(h.g.state("web"), "active")

	h = servingSite(t)
	h.did()
	h.g.post(daemon.Reload{Config: config(), Reply: reply})
	<-reply
	h.pass(2 * s)
	h.g.apply()
	h.want(h.did(), "stop systemd.apache, stop drbd.data, forget site/drbd.data, forget site/systemd.apache")
	h.pass(s)
	if p := h.g.status(""); len(p.Services)+len(p.Routers) != 0 {
		t.Errorf("left: %d groups, %d routers\n%s", len(p.Services), len(p.Routers), h.g.history())
	}
}

// A fault that goes away while the services still come down: they go up again.
func TestServiceChangesItsMind(t *testing.T) {
	h := servingSite(t)
	h.did()
	h.command(daemon.Command{Verb: daemon.CommandStandby})
	j := h.open[0] // the stop of apache is under way
	h.command(daemon.Command{Verb: daemon.CommandOnline})
	h.open = h.open[1:]
	h.g.post(h.done(j))
	h.pass(s)
	h.want(h.did(), "stop systemd.apache, start systemd.apache")
	if sent := h.g.sent[len(h.g.sent)-1]; sent.priority == 0 {
		t.Error("said goodbye")
	}
	h.want(fmt.Sprint(strings.Count(h.g.history(), "\n")), "2")
}

// A service group's name stands for its routers.
func TestStandbyOfAGroup(t *testing.T) {
	h := servingSite(t)
	h.command(daemon.Command{Verb: daemon.CommandStandby, Name: "site"})
	h.pass(3 * s)
	h.want(h.g.state("web"), "initialize")
	h.command(daemon.Command{Verb: daemon.CommandOnline, Name: "site"})
	h.pass(5 * s)
	h.want(h.g.state("web"), "active")
	if !strings.Contains(h.g.history(), "initialize->backup online") {
		t.Error(h.g.history())
	}
}

// Without a name, online and maintenance off end what was ordered by name as well.
func TestOrdersAreTakenBackTogether(t *testing.T) {
	h := servingSite(t)
	h.command(daemon.Command{Verb: daemon.CommandMaintenanceOn, Name: "site"})
	h.command(daemon.Command{Verb: daemon.CommandMaintenanceOff})
	h.command(daemon.Command{Verb: daemon.CommandStandby, Name: "web"})
	h.pass(3 * s)
	h.command(daemon.Command{Verb: daemon.CommandOnline})
	if o := h.g.status("").Orders; len(o) != 0 {
		t.Errorf("orders left: %v", o)
	}
	h.pass(5 * s)
	h.want(h.group().State, "up")
}
