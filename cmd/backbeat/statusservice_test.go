package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
)

// page is a state of the world and what it is called.
type page struct {
	name string
	st   *control.Status
}

func pages() []page {
	ready := climbingSite()
	ready.AddressesWhen = "ready"
	unqualified := site("down", 0)
	unqualified.Unqualified, unqualified.Text = "drbd.wwwdata: Outdated", "could not be brought up here: drbd.wwwdata: Outdated"
	unqualified.Steps[0].Unqualified, unqualified.Steps[0].Detail = "Outdated", "Secondary, Outdated"
	degraded := upSite()
	degraded.Steps[0].Degraded, degraded.Steps[0].Detail = true, "Primary, UpToDate; peer not connected"
	return []page{
		{"all up", webWith(upSite())},
		{"climbing", webWith(climbingSite())},
		{"climbing, addresses when ready", webWith(ready, func(r *daemon.RouterStatus) { r.Addresses[0].Present, r.Addresses[1].Present = false, false })},
		{"unfit", unfitPage()},
		{"stuck", stuckPage()},
		{"claiming, fence failed", webWith(claimingSite())},
		{"standby", standbyPage()},
		{"pinned", pinnedPage()},
		{"moved away", movedAwayPage()},
		{"moved here", webWith(upSite(), func(r *daemon.RouterStatus) { r.MovedHere, r.EffectivePriority = true, 254 })},
		{"maintenance", maintenancePage()},
		{"limited", webWith(limitedSite())},
		{"unqualified", webWith(unqualified, beaten)},
		{"degraded", webWith(degraded)},
	}
}

func TestServiceStatusText(t *testing.T) {
	var all, named, narrow bytes.Buffer
	for _, g := range pages() {
		fmt.Fprintf(&all, "--- %s\n%s\n", g.name, printed(g.st, false))
		fmt.Fprintf(&narrow, "--- %s\n%s\n", g.name, printedIn(80, g.st, false))
		p := &statusPrinter{st: g.st, now: g.st.At, zone: noon().Location(), tool: "1.2.3"}
		fmt.Fprintf(&named, "--- %s\n", g.name)
		p.named(&named, "site")
		fmt.Fprintln(&named)
	}
	golden(t, "groups.golden", all.Bytes())
	golden(t, "groups-80.golden", narrow.Bytes())
	golden(t, "group-site.golden", named.Bytes())
	golden(t, "status-standby-web.golden", printed(standbyPage(), true))
}

// Of many steps only those are shown whose group is not simply up or down.
func TestManySteps(t *testing.T) {
	st := webWith(upSite())
	for i := range 9 {
		s := upSite()
		s.Name = fmt.Sprintf("g%d", i)
		st.Services = append(st.Services, s)
	}
	st.Services[4] = climbingSite()
	text := string(printed(st, false))
	if n := strings.Count(text, "filesystem.www"); n != 2 { // the step, and why
		t.Errorf("%d times:\n%s", n, text)
	}
}

func TestServiceStatusIsHarmless(t *testing.T) {
	evil := "a\x1b]0;owned\x07\x9b31m\u202e\r\nb\xff"
	for _, g := range pages() {
		s := &g.st.Services[0]
		s.Name, s.Text, s.ClaimWaits, s.Claim, s.Unfit, s.Unqualified, s.Stuck, s.Maintenance, s.StoppedFrom, s.Safety = evil, evil, evil, evil, evil, evil, evil, evil, evil, evil
		s.Follows = []string{evil, "web"}
		for i := range s.Steps {
			k := &s.Steps[i]
			k.Name, k.Detail, k.Progress, k.Output, k.Unqualified, k.State = evil, evil, evil, evil, evil, evil
			k.Stuck, k.Doing = true, evil
		}
		g.st.Orders = []daemon.Order{{Kind: daemon.OrderKind(evil), Name: evil, By: evil, Reason: evil}}
		r := &g.st.Routers[0]
		r.Standby, r.Pinned, r.SteppingAside = evil, evil, evil
		p := &statusPrinter{st: g.st, now: g.st.At, zone: noon().Location(), tool: "1.2.3"}
		var b bytes.Buffer
		p.all(&b)
		p.named(&b, "web")
		p.named(&b, evil)
		for _, line := range strings.Split(b.String(), "\n") {
			if clean(line) != line {
				t.Errorf("not harmless: %q", line)
			}
		}
	}
}

// What a newcomer took for trouble, and what was none.
func TestStatusDoesNotAlarmForNothing(t *testing.T) {
	dead := daemon.CheckStatus{Name: "ping.gw", Verdict: "failed", Stand: checks.Bad.String(), Why: "timed out", Routers: []string{"web"}, Interval: 1, Timeout: 1, Runs: 5, Late: 4,
		Last: &daemon.RunStatus{Outcome: checks.Failed.String()}}
	if list := checkWarnings([]daemon.CheckStatus{dead}); len(list) != 1 {
		t.Errorf("a dead target is slow, too: %q", list)
	}
	if s := verdictText(&dead); s != "failed !" {
		t.Errorf("a bad check is not marked: %q", s)
	}
	slow := dead
	slow.Stand, slow.Last = checks.Good.String(), &daemon.RunStatus{Outcome: checks.Passed.String()}
	if list := checkWarnings([]daemon.CheckStatus{slow}); len(list) != 1 || !strings.Contains(list[0], "slower than its interval") {
		t.Errorf("a slow check: %q", list)
	}
	p := &statusPrinter{}
	if list := p.peerLines(&daemon.RouterStatus{Peers: []daemon.PeerStatus{{Address: "192.0.2.2", Version: 3, SameAddresses: true}}}); !strings.Contains(list[0], "has said that it holds nothing") {
		t.Errorf("a peer with priority 0: %q", list)
	}
	if list := stepNotes(&daemon.StepStatus{State: "down", Detail: "its commands can be run"}); len(list) != 0 {
		t.Errorf("a step that could be brought up: %q", list)
	}
}

// What somebody else has started on a host that does not serve is a warning, and seen
// in the table.
func TestStatusOfAStray(t *testing.T) {
	s := site("down", 0)
	s.Steps[2].Stray = "active (running), main pid 812"
	o := &obedient{before: webWith(s)}
	socket := serveWith(t, control.ReloadResult{}, o.answer)
	code, out, _ := newBench().run("status", "--control", socket)
	if code != 0 || !strings.Contains(out, "up, not by us") || !strings.Contains(out, "is up although this host does not serve") || !strings.Contains(out, "main pid 812") {
		t.Errorf("exit %d\n%s", code, out)
	}
	if code, out, _ := newBench().run("status", "--check", "--control", socket); code != 1 || !strings.Contains(out, "somebody else has started it") {
		t.Errorf("--check: exit %d, %s", code, out)
	}
}
