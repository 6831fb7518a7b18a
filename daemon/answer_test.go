package daemon_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

func done(j actions.HookJob) actions.HookDone { return actions.HookDone{Router: j.Router, Job: j.Job} }

// Announcements and hooks wait until the addresses are really there.
func TestNothingIsAnnouncedBeforeItIsThere(t *testing.T) {
	g := newRig(t, web(hooked("h"))).up()
	g.post(done(g.jobs[0]))
	g.wait(4 * s)
	g.took()
	if len(g.jobs) != 1 {
		t.Error("hooks were told before the addresses were there")
	}
	g.post(actions.Applied{Router: 1, Term: 1, Held: true, Took: 2 * ms})
	g.wantCalls("announce 1.1 [10.0.0.53] once=false", "run h active")
	g.post(actions.Announced{Router: 1, Term: 1, ARP: 1, Took: ms})
	last := g.records[len(g.records)-1]
	if got := fmt.Sprint(last.Followed); !strings.Contains(got, "addresses added") || !strings.Contains(got, "1 ARP") {
		t.Errorf("what followed is %s", got)
	}
}

// An address that cannot be added is loud, and the neighbours are told all the
// same: the other addresses may be there.
func TestAddressError(t *testing.T) {
	g := newRig(t, web()).up()
	g.wait(4 * s)
	g.post(actions.Applied{Router: 1, Term: 1, Held: true, Err: "adding 10.0.0.53/24: permission denied", Note: "and a note"})
	if l := g.linesFrom(slog.LevelError); len(l) != 1 || !strings.Contains(l[0], "permission denied") {
		t.Errorf("lines %q", l)
	}
	if f := g.records[len(g.records)-1].Followed; len(f) != 1 || f[0].Error == "" || f[0].Note == "" {
		t.Errorf("followed by %+v", f)
	}
}

// Every answer names what it answers; older ones change nothing and are counted. (Law 6)
func TestStaleAnswers(t *testing.T) {
	g := newRig(t, web(hooked("h"))).active() // wish 1 is granted
	g.receive(52, 200)
	g.turn() // Backup, wish 2: nothing
	g.took()
	stale := []daemon.Input{
		actions.Applied{Router: 1, Term: 1, Held: true},
		actions.Applied{Router: 99, Term: 2},
		actions.Announced{Router: 1, Term: 1},
		actions.Announced{Router: 99},
		actions.HookDone{Router: 1, Job: 77},
		actions.HookDone{Router: 99, Job: 1},
		actions.Restored{Router: 99},
	}
	records, before := len(g.records), g.status("").Loop.StaleResults
	g.post(stale...)
	g.wantCalls()
	if n := g.status("").Loop.StaleResults - before; n != uint64(len(stale)) {
		t.Errorf("counted %d stale answers, want %d", n, len(stale))
	}
	if len(g.records) != records {
		t.Error("a stale answer got into the history")
	}
	jobs := len(g.jobs)
	g.post(actions.Applied{Router: 1, Term: 2})
	if g.post(done(g.jobs[0])); len(g.jobs) == jobs {
		t.Error("the right answer is not taken")
	}
}

// Hooks hear of every transition in order, one at a time, the last one always.
func TestHooksInOrder(t *testing.T) {
	g := newRig(t, web(hooked("one", "two"))).up()
	flip := func() { // to Active and back, faster than any hook
		g.wait(4 * s)
		g.apply()
		g.receive(52, 200)
		g.turn()
		g.apply()
	}
	for range 3 {
		flip()
	}
	if len(g.jobs) != 1 {
		t.Fatalf("%d hooks run at a time", len(g.jobs))
	}
	for i := 0; i < len(g.jobs); i++ {
		if len(g.jobs) != i+1 {
			t.Fatal("two runs at a time")
		}
		g.post(done(g.jobs[i]))
	}
	var got []string
	for _, j := range g.jobs {
		got = append(got, env(j, "BACKBEAT_TERM")+" "+j.Spec.Name+" "+env(j, "BACKBEAT_ON"))
	}
	want := []string{}
	for i, on := range []string{"backup", "active", "backup", "active", "backup", "active", "backup"} {
		want = append(want, fmt.Sprintf("%d one %s", i+1, on), fmt.Sprintf("%d two %s", i+1, on))
	}
	if !slices.Equal(got, want) {
		t.Errorf("told\n%q\nwant\n%q", got, want)
	}

	// Hooks that hang: the newest transition survives the full mailbox.
	for range 60 {
		flip()
	}
	for i := len(got); i < len(g.jobs); i++ {
		g.post(done(g.jobs[i]))
	}
	last := g.jobs[len(g.jobs)-1]
	if env(last, "BACKBEAT_TERM") != fmt.Sprint(g.status("web").Routers[0].Term) {
		t.Errorf("the last told term is %s, the router's %d", env(last, "BACKBEAT_TERM"), g.status("web").Routers[0].Term)
	}
	if !slices.ContainsFunc(g.linesFrom(slog.LevelWarn), func(l string) bool { return strings.Contains(l, "skipped") }) {
		t.Error("skipped runs are not named")
	}
}

// The next transition comes before the kernel's answer: hooks hear of both.
func TestHooksWhenAddressesAreSlow(t *testing.T) {
	g := newRig(t, web(hooked("h"))).up()
	g.wait(4 * s) // Active, no answer
	g.receive(52, 200)
	g.turn() // Backup, no answer either
	g.apply()
	for i := 0; i < len(g.jobs); i++ {
		g.post(done(g.jobs[i]))
	}
	var on []string
	for _, j := range g.jobs {
		on = append(on, env(j, "BACKBEAT_ON"))
	}
	if !slices.Equal(on, []string{"backup", "active", "backup"}) {
		t.Errorf("told %v", on)
	}
	if slices.ContainsFunc(g.calls, func(c string) bool { return strings.HasPrefix(c, "announce") }) {
		t.Error("announced addresses that were released")
	}
}

// A failing hook is visible in the log, in status and in the history, and delays nothing.
func TestFailingHook(t *testing.T) {
	g := newRig(t, web(hooked("h"))).up()
	d := done(g.jobs[0])
	d.Exit, d.Err, d.Took, d.Output = 3, "exit status 3", 20*ms, "no such pager\n"
	g.post(d)
	h := g.status("web").Routers[0].Hooks[0]
	if h.Runs != 1 || h.Failed != 1 || h.LastExit == nil || *h.LastExit != 3 || h.LastOutput != "no such pager\n" || h.LastError != "exit status 3" {
		t.Errorf("status %+v", h)
	}
	if l := g.linesFrom(slog.LevelWarn); len(l) != 1 || !strings.Contains(l[0], "hook h failed") {
		t.Errorf("lines %q", l)
	}
	if f := g.records[len(g.records)-1].Followed; len(f) != 1 || f[0].What != "hook h" || f[0].Error != "exit status 3" {
		t.Errorf("followed by %+v", f)
	}
}

// What a hook is given is documented: the variables and the JSON object.
func TestHookInput(t *testing.T) {
	g := newRig(t, web(hooked("h"))).up()
	j := g.jobs[0]
	if !slices.IsSorted(j.Env) {
		t.Error("the environment is not sorted")
	}
	for name, want := range map[string]string{
		"BACKBEAT_ADDRESSES": "10.0.0.53/24", "BACKBEAT_CAUSE": "startup", "BACKBEAT_FAMILY": "ipv4", "BACKBEAT_FROM": "initialize",
		"BACKBEAT_INTERFACE": "eth0", "BACKBEAT_NODE": "h1", "BACKBEAT_ON": "backup", "BACKBEAT_PEER": "", "BACKBEAT_PRIORITY": "100",
		"BACKBEAT_ROUTER": "web", "BACKBEAT_TERM": "1", "BACKBEAT_TIME": "2026-01-02T03:04:05Z", "BACKBEAT_TO": "backup", "BACKBEAT_VRID": "52",
	} {
		if got := env(j, name); got != want {
			t.Errorf("%s=%q, want %q", name, got, want)
		}
	}
	var ev daemon.HookEvent
	if err := json.Unmarshal(j.Stdin, &ev); err != nil {
		t.Fatal(err)
	}
	if ev.SchemaVersion != 1 || ev.On != "backup" || ev.VRID != 52 || ev.Transition.Router != "web" || ev.Transition.Cause != "startup" {
		t.Errorf("%+v", ev)
	}
}

// Addresses that somebody removes are counted one by one and told once a minute.
func TestRestored(t *testing.T) {
	g := newRig(t, web()).active()
	for range 50 {
		g.post(actions.Restored{Router: 1, Address: web().Addresses[0].Prefix, Culprit: "NetworkManager (pid 812)", Took: ms})
		g.wait(100 * ms)
	}
	if n := g.status("web").Routers[0].Addresses[0].Restored; n != 50 {
		t.Errorf("counted %d of 50", n)
	}
	if l := g.linesFrom(slog.LevelWarn); len(l) != 1 || !strings.Contains(l[0], "NetworkManager (pid 812)") {
		t.Errorf("lines %q", l)
	}
}

// The history is bounded, in all and for each router, keeps what earlier runs
// left, and goes on counting where they ended.
func TestHistory(t *testing.T) {
	var past []daemon.Transition
	for i := range 1200 {
		past = append(past, daemon.Transition{Seq: uint64(i + 1), Router: fmt.Sprintf("r%d", i%100), Term: 1, From: "backup", To: "active"})
	}
	g := &rig{t: t, now: epoch}
	ports := g.ports()
	ports.Past = past
	g.loop = daemon.New(config(web()), ports)
	g.up()
	query := func(name string, limit int) []daemon.Transition {
		reply := make(chan []daemon.Transition, 1)
		g.post(daemon.HistoryQuery{Name: name, Limit: limit, Reply: reply})
		return <-reply
	}
	all := query("", 0)
	if len(all) != 1000 || all[999].Seq != 1201 || all[999].Router != "web" || all[0].Seq != 202 {
		t.Errorf("%d records from %d to %d, want the last 1000 up to 1201", len(all), all[0].Seq, all[len(all)-1].Seq)
	}
	if one := query("r7", 5); len(one) != 5 || one[4].Seq != 1108 {
		t.Errorf("the last five of r7: %+v", one)
	}
	if none := query("nobody", 5); none == nil || len(none) != 0 {
		t.Errorf("of nobody: %#v", none)
	}
	for range 30 {
		g.wait(4 * s)
		g.apply()
		g.receive(52, 200)
		g.turn()
		g.apply()
	}
	own := query("web", 0)
	if len(own) != 32 {
		t.Errorf("%d records of one router, want 32", len(own))
	}
	for i := 1; i < len(own); i++ {
		if own[i].Term != own[i-1].Term+1 || own[i].From != own[i-1].To || own[i].Seq != own[i-1].Seq+1 {
			t.Errorf("record %d does not continue the one before: %+v", i, own[i])
		}
	}
}

// A copy that was given out does not change afterwards, and follow-ups are bounded.
func TestHistoryIsACopy(t *testing.T) {
	g := newRig(t, web()).active()
	reply := make(chan []daemon.Transition, 1)
	g.post(daemon.HistoryQuery{Name: "web", Reply: reply})
	before := <-reply
	n := len(before[len(before)-1].Followed)
	for range 100 {
		g.post(actions.Announced{Router: 1, Term: 1, ARP: 1})
	}
	if len(before[len(before)-1].Followed) != n {
		t.Error("the copy grew")
	}
	if last := g.records[len(g.records)-1]; len(last.Followed) > 48 {
		t.Errorf("%d follow-ups of one transition", len(last.Followed))
	}
}

// A daemon that was killed cannot say so; the next one finds it in the history.
func TestDeathOfThePredecessorIsRecorded(t *testing.T) {
	past := []daemon.Transition{
		{Seq: 7, Router: "web", Term: 3, From: "backup", To: "active", Cause: "no-response"},
		{Seq: 8, Router: "left", Term: 2, From: "backup", To: "initialize", Cause: "shutdown"},
	}
	g := newRigWith(t, past, web(), web(named("left", 2, 12)))
	g.wantHistory("web active->initialize died\n")
	if n := len(g.records); n != 1 || g.records[0].Seq != 9 {
		t.Errorf("journal got %+v", g.records)
	}
	if l := g.linesFrom(slog.LevelWarn); len(l) != 1 || !strings.Contains(l[0], "was active when it ended") {
		t.Errorf("lines %q", l)
	}
	g.reload(web()) // a reload is no death
	g.reload(web(), web(named("left", 2, 12)))
	if n := len(g.records); n > 2 {
		t.Errorf("records %+v", g.records)
	}
}

// What was noticed about peers and what was refused is in the status, newest
// first, with who and what to do.
func TestNoticesAndRefusalsAreInTheStatus(t *testing.T) {
	g := newRig(t, web()).up()
	g.queue = append(g.queue,
		vrrp.Packet{Link: eth0, Family: vrrp.IPv4, At: g.now, Data: packet(peer4, 52, 200, 2*s, vip4)},
		vrrp.Packet{Link: eth0, Family: vrrp.IPv4, At: g.now, Data: packet(peer4, 99, 200, s, vip4)})
	v2 := packet(peer4, 52, 200, s, vip4)
	v2[20] = 0x21
	g.queue = append(g.queue, vrrp.Packet{Link: eth0, Family: vrrp.IPv4, At: g.now, Data: v2})
	g.turn()
	g.wait(5 * s / 2)
	page := g.status("")
	r, k := page.Routers[0], page.Links[0]
	if len(r.Notices) == 0 || r.Notices[0].AgoSeconds != 2.5 || !slices.ContainsFunc(r.Notices, func(n daemon.NoticeStatus) bool {
		return n.Name == "interval-mismatch" && n.Count == 1 && strings.Contains(n.Text, peer4.String())
	}) {
		t.Errorf("notices %+v", r.Notices)
	}
	if len(r.Refused) != 1 || r.Refused[0].Drop != "version-errors" || r.Refused[0].Source != peer4.String() ||
		!strings.Contains(r.Refused[0].Text, "it speaks version 2, this router version 3") || r.Refused[0].Count != 1 {
		t.Errorf("refused for the router: %+v", r.Refused)
	}
	if len(k.Refused) != 1 || k.Refused[0].Drop != "vrid-errors" || k.Refused[0].VRID != 99 || !strings.Contains(k.Refused[0].Text, "VRID 99") {
		t.Errorf("refused on the link: %+v", k.Refused)
	}
}
