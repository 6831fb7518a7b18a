package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
)

// looks are what a follower sees, each so long after the request.
type looks struct {
	at time.Duration
	st *control.Status
}

// followed is the transcript of following a command.
func followed(q control.CommandRequest, a control.CommandAnswer, list ...looks) string {
	before := list[0].st
	t := newBench().tool
	f := newFollower(t, before, []control.CommandRequest{q})
	f.concerns(&q, &a)
	var b bytes.Buffer
	fmt.Fprintln(&b, a.Text)
	since, was := before.Routers[0].Since, before.Routers[0].State
	for _, l := range list[1:] {
		// Times within the page count from its making.
		l.st.At = noon().Add(l.at)
		for i := range l.st.Routers {
			if r := &l.st.Routers[i]; r.State != was {
				since, was = l.st.At.Add(-100*time.Millisecond), r.State
			}
			l.st.Routers[i].Since = since
		}
		for _, s := range f.observe(l.st) {
			fmt.Fprintln(&b, s)
		}
		if f.over() {
			break
		}
	}
	f.end(&b, &outcome{Notes: f.notes, Waits: f.waits, Failed: f.failed, Took: list[len(list)-1].at.Seconds(), Done: f.done()})
	fmt.Fprintf(&b, "(done %v)\n\n", f.done())
	return b.String()
}

// stopping is the group on its way down, with so many steps left.
func stopping(up int) daemon.ServiceStatus {
	s := site("stopping", up)
	s.Text = "systemd.apache: stop"
	for i := up; i < 3; i++ {
		s.Steps[i].For = 0.1
	}
	return s
}

func asideWith(s daemon.ServiceStatus) *control.Status {
	return webWith(s, func(r *daemon.RouterStatus) {
		r.SteppingAside = "steps aside as soon as the service group is down: standby"
	})
}

func standbyLooks() []looks {
	busy := stopping(3)
	busy.Steps[2].Doing, busy.Steps[2].DoingFor = "stop", 0.2
	late := asideWith(stopping(1))
	late.Services[0].Steps[1].For = 0.05
	bye := webWith(site("down", 0), func(r *daemon.RouterStatus) { r.Yielding = true })
	bye.Services[0].Steps[0].For = 0.1
	return []looks{{0, webWith(upSite())}, {200 * time.Millisecond, asideWith(busy)}, {1400 * time.Millisecond, asideWith(stopping(2))},
		{1600 * time.Millisecond, late}, {1800 * time.Millisecond, bye}, {2400 * time.Millisecond, standbyPage()}}
}

func TestFollowed(t *testing.T) {
	var b strings.Builder
	say := func(title, text string) { fmt.Fprintf(&b, "--- %s\n%s", title, text) }
	concerned := func(text string) control.CommandAnswer {
		return control.CommandAnswer{CommandResult: daemon.CommandResult{OK: true, Text: text, Routers: []string{"web"}, Services: []string{"site"}}}
	}
	standby := control.CommandRequest{Verb: daemon.CommandStandby, For: 3600}
	say("standby", followed(standby, concerned("this host goes into standby"), standbyLooks()...))

	alone := standbyPage()
	alone.Routers[0].Refused = nil
	later := standbyPage()
	later.Routers[0].Refused = nil
	list := append(standbyLooks()[:5], looks{2400 * time.Millisecond, alone}, looks{9 * time.Second, later})
	b.WriteString("--- standby, and nobody there\n")
	text := followed(standby, concerned("this host goes into standby"), list...)
	b.WriteString(text)

	stuck := stuckPage()
	say("standby, and stuck", followed(standby, concerned("this host goes into standby"), looks{0, webWith(upSite())}, looks{time.Minute, stuck}))

	slow := asideWith(stopping(3))
	slow.Services[0].Steps[2].Doing, slow.Services[0].Steps[2].DoingFor, slow.Services[0].Steps[2].Progress = "stop", 119.8, "SIGTERM sent, 3 processes left"
	say("standby, and slow", followed(standby, concerned("this host goes into standby"), looks{0, webWith(upSite())}, looks{2 * time.Minute, slow}))

	move := control.CommandRequest{Verb: daemon.CommandMove, Name: "web"}
	bye := webWith(site("down", 0), func(r *daemon.RouterStatus) { r.Yielding = true })
	say("move", followed(move, concerned("web steps aside for whoever takes over"), looks{0, webWith(site("down", 0))}, looks{time.Second, bye}, looks{2 * time.Second, movedAwayPage()}, looks{5 * time.Second, movedAwayPage()}))
	say("move, and given back", followed(move, concerned("web steps aside for whoever takes over"), looks{0, webWith(site("down", 0))}, looks{time.Second, bye}, looks{2 * time.Second, movedAwayPage()},
		looks{4 * time.Second, webWith(site("down", 0))}))
	say("move, and nobody there", followed(move, concerned("web steps aside for whoever takes over"), looks{0, webWith(site("down", 0))}, looks{time.Second, bye},
		looks{3 * time.Second, webWith(site("down", 0))}))
	pin := move
	pin.Pin, pin.For = true, 7200
	say("move --pin", followed(pin, concerned("web steps aside for whoever takes over"), looks{0, webWith(site("down", 0))}, looks{time.Second, pinnedPage()}, looks{5 * time.Second, pinnedPage()}))

	here := move
	here.Here = true
	climb := climbingSite()
	climb.Steps[0].For = 0.1
	more := climbingSite()
	more.Steps[1].Progress = "fsck of /dev/drbd0: 41 %"
	say("move --here", followed(here, concerned("web comes here"), looks{0, movedAwayPage()}, looks{200 * time.Millisecond, movedAwayPage()},
		looks{1200 * time.Millisecond, webWith(climb)}, looks{1400 * time.Millisecond, webWith(more)}, looks{5 * time.Second, webWith(upSite())}))

	unclear := control.CommandRequest{Verb: daemon.CommandClear, Name: "site"}
	say("clear", followed(unclear, control.CommandAnswer{CommandResult: daemon.CommandResult{OK: true, Text: "failures cleared", Services: []string{"site"}}},
		looks{0, unfitPage()}, looks{200 * time.Millisecond, webWith(site("down", 0), beaten)}, looks{4 * time.Second, webWith(upSite())}))
	better := func(r *daemon.RouterStatus) { r.Active.Priority = 200 }
	say("clear, beside a better host", followed(unclear, control.CommandAnswer{CommandResult: daemon.CommandResult{OK: true, Text: "failures cleared", Services: []string{"site"}}},
		looks{0, unfitPage()}, looks{200 * time.Millisecond, webWith(site("down", 0), beaten, better)}))
	say("online", followed(control.CommandRequest{Verb: daemon.CommandOnline}, concerned("this host takes part again"), looks{0, standbyPage()},
		looks{time.Second, webWith(site("down", 0), beaten, func(r *daemon.RouterStatus) { r.Active = nil })},
		looks{2 * time.Second, webWith(site("down", 0), beaten)}))

	restart := control.CommandRequest{Verb: daemon.CommandGroupRestart, Name: "site", Step: "apache"}
	again := upSite()
	again.Steps[2].Starts, again.Steps[2].For = 5, 0.3
	down := stopping(2)
	down.Aim, down.Steps[2].Doing, down.Steps[2].DoingFor = "up", "start", 0.2
	group := control.CommandAnswer{CommandResult: daemon.CommandResult{OK: true, Text: "systemd.apache and what stands on it goes down and up again", Services: []string{"site"}}}
	say("group restart", followed(restart, group, looks{0, webWith(upSite())}, looks{200 * time.Millisecond, webWith(upSite())}, looks{time.Second, webWith(down)}, looks{2 * time.Second, webWith(again)}))
	stop := control.CommandRequest{Verb: daemon.CommandGroupStop, Name: "site", Step: "apache", Unmanage: true}
	say("group stop --unmanage", followed(stop, group, looks{0, webWith(upSite())}, looks{time.Second, webWith(limitedSite())}, looks{2 * time.Second, func() *control.Status {
		st := maintenancePage()
		st.Services[0] = limitedSite()
		st.Services[0].Maintenance = "maintenance"
		return st
	}()}))
	confirm := control.CommandRequest{Verb: daemon.CommandFenceConfirm, Name: "site"}
	say("fence --confirm", followed(confirm, group, looks{0, webWith(claimingSite())}, looks{time.Second, webWith(climbingSite())}, looks{9 * time.Second, webWith(upSite())}))
	golden(t, "follow.golden", []byte(b.String()))
}

// The last advert of a host that has just left is no news of who serves.
func TestFollowedTakesNoStaleNews(t *testing.T) {
	standby := control.CommandRequest{Verb: daemon.CommandStandby}
	answer := control.CommandAnswer{CommandResult: daemon.CommandResult{OK: true, Text: "this host goes into standby", Routers: []string{"web"}}}
	stale := func(ago float64) *control.Status {
		st := standbyPage()
		r := &st.Routers[0]
		r.Refused, r.Peers = nil, []daemon.PeerStatus{{Address: "192.0.2.1", Version: 3, Priority: 150, HeardAgo: ago}}
		return st
	}
	for _, before := range []*control.Status{webWith(site("down", 0)), webWith(site("down", 0), beaten)} {
		got := followed(standby, answer, looks{0, before}, looks{200 * time.Millisecond, stale(0.25)}, looks{9 * time.Second, stale(9.05)})
		if strings.Contains(got, "is Active now") || !strings.Contains(got, "failed: nobody") {
			t.Errorf("from %s:\n%s", before.Routers[0].State, got)
		}
		got = followed(standby, answer, looks{0, before}, looks{200 * time.Millisecond, stale(0.25)}, looks{1200 * time.Millisecond, stale(0.1)})
		if !strings.Contains(got, "192.0.2.1 (priority 150) is Active now") || !strings.Contains(got, "(done true)") {
			t.Errorf("from %s, and heard again:\n%s", before.Routers[0].State, got)
		}
	}
}

// A group that settles down because it cannot come up has not done what was asked.
func TestFollowedUnfit(t *testing.T) {
	answer := control.CommandAnswer{CommandResult: daemon.CommandResult{OK: true, Text: "begun", Services: []string{"site"}}}
	alone := func(r *daemon.RouterStatus) { r.Active = nil }
	for _, q := range []control.CommandRequest{{Verb: daemon.CommandGroupStart, Name: "site"}, {Verb: daemon.CommandClear, Name: "site"},
		{Verb: daemon.CommandMove, Name: "web", Here: true}} {
		got := followed(q, answer, looks{0, unfitPage()}, looks{200 * time.Millisecond, webWith(site("down", 0), beaten, alone)},
			looks{4 * time.Second, webWith(climbingSite())}, looks{5 * time.Second, unfitPage()})
		if q.Verb != daemon.CommandClear { // settled for a moment
			got = followed(q, answer, looks{0, webWith(limitedSite())}, looks{time.Second, webWith(climbingSite())}, looks{5 * time.Second, unfitPage()})
		}
		if !strings.Contains(got, "failed: site: this host cannot serve") || !strings.Contains(got, "(done false)") {
			t.Errorf("%s:\n%s", q.Verb, got)
		}
	}
}

// Within one look, what came first is told first.
func TestFollowedInOrder(t *testing.T) {
	one := stopping(3)
	one.Steps[2].Doing, one.Steps[2].DoingFor = "stop", 0.1
	two := stopping(2)
	two.Steps[2].For, two.Steps[1].Doing, two.Steps[1].DoingFor = 0.15, "stop", 0.14
	got := followed(control.CommandRequest{Verb: daemon.CommandStandby}, control.CommandAnswer{CommandResult: daemon.CommandResult{OK: true, Services: []string{"site"}}},
		looks{0, webWith(upSite())}, looks{200 * time.Millisecond, asideWith(one)}, looks{400 * time.Millisecond, asideWith(two)})
	if a, b := strings.Index(got, "systemd.apache down"), strings.Index(got, "filesystem.www stopping"); a < 0 || b < a {
		t.Errorf("says\n%s", got)
	}
	// On the way up again the steps are told from below, and a stop still comes first.
	three, four := climbingSite(), climbingSite()
	for i := range four.Steps {
		four.Steps[i].For, four.Steps[i].Doing = 0, ""
	}
	three.Steps[2].State, three.Steps[2].Doing = "up", "stop"
	four.Steps[2].State, four.Steps[2].For = "down", 0.18
	four.Steps[1].Doing, four.Steps[1].DoingFor = "start", 0.1
	three.Steps[1].Doing = ""
	got = followed(control.CommandRequest{Verb: daemon.CommandGroupStart, Name: "site"}, control.CommandAnswer{CommandResult: daemon.CommandResult{OK: true, Services: []string{"site"}}},
		looks{0, webWith(upSite())}, looks{200 * time.Millisecond, webWith(three)}, looks{400 * time.Millisecond, webWith(four)})
	if a, b := strings.Index(got, "systemd.apache down"), strings.Index(got, "filesystem.www starting"); a < 0 || b < a {
		t.Errorf("says\n%s", got)
	}
}

// A router whose link has just come up is not in fault: it waits, and says for what.
func TestFollowedWhileItSettles(t *testing.T) {
	settling := standbyPage()
	r := &settling.Routers[0]
	r.State, r.Standby, r.Fault, r.FaultDetail, r.Refused, r.SettleIn = "initialize", "", "", "", nil, new(float64)
	*r.SettleIn = 1.5
	got := followed(control.CommandRequest{Verb: daemon.CommandOnline},
		control.CommandAnswer{CommandResult: daemon.CommandResult{OK: true, Text: "this host takes part again", Routers: []string{"web"}}},
		looks{0, standbyPage()}, looks{100 * time.Millisecond, settling})
	if want := "the link has just come up; takes part soon (settle)"; !strings.Contains(got, want) || strings.Contains(got, "takes no part") {
		t.Errorf("says\n%swant %q", got, want)
	}
	if want := "the link has just come up; takes part in 1.5 s (settle)"; !strings.Contains(got, want) {
		t.Errorf("says\n%swant %q in what it waits for", got, want)
	}
}
