package main

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
)

func TestVerdicts(t *testing.T) {
	var b bytes.Buffer
	list := append(pages(),
		page{"link down, another serves", webWith(site("down", 0), gone("interface-down", "eth0 has no carrier", "interface-down", "the interface is down"))},
		page{"link down, nobody heard", webWith(site("down", 0), gone("interface-down", "eth0 has no carrier", "interface-down", "the interface is down"),
			func(r *daemon.RouterStatus) { r.Refused = nil })},
		page{"address gone", webWith(upSite(), func(r *daemon.RouterStatus) { r.Addresses[0].Present = false })},
		page{"refused while Active", webWith(upSite(), func(r *daemon.RouterStatus) {
			r.Refused = []daemon.RefusedStatus{{Drop: "version-errors", Text: "another VRRP version | x", Count: 3, Source: "192.168.122.12", AgoSeconds: 1}}
		})},
		page{"everything", answer(backupRouter(), troubledRouter(), activeRouter())})
	for _, g := range list {
		p := &statusPrinter{zone: noon().Location(), st: g.st, now: g.st.At, tool: "1.2.3"}
		level, text := p.overall()
		fmt.Fprintf(&b, "--- %s\n%d %s - %s\n", g.name, level, level, text)
		if strings.Count(text, "|") != 1 || strings.Contains(text, "\n") {
			t.Errorf("%s: not one line with one bar: %q", g.name, text)
		}
	}
	golden(t, "verdicts.golden", b.Bytes())
}

// Of a host in standby only the count of what it ignores says that another one serves.
func TestCheckLooksTwice(t *testing.T) {
	for grows, want := range map[uint64]int{0: 2, 3: 1} {
		looks := 0
		socket := serveWith(t, control.ReloadResult{}, func(in daemon.Input) {
			q, ok := in.(daemon.StatusQuery)
			if !ok {
				return
			}
			page := standbyPage().StatusPage
			page.Routers[0].Refused, page.Routers[0].AdvertisementInterval, page.Routers[0].ActiveAdverInterval = nil, 0.01, 0.01
			page.Routers[0].Counters["initialize-ignored"] = 7 + uint64(looks)*grows
			page.Total = 1
			looks++
			q.Reply <- page
		})
		if code, out, _ := newBench().run("status", "--check", "--control", socket); code != want {
			t.Errorf("grows by %d: exit %d, want %d: %s", grows, code, want, out)
		}
	}
}

func TestCheckExitCodes(t *testing.T) {
	for _, tt := range []struct {
		st   *control.Status
		code int
		out  string
	}{
		{webWith(upSite()), 0, "BACKBEAT OK - web1: 1 virtual router: 1 active; site up 3/3 | active=1 backup=0 initialize=0\n"},
		{maintenancePage(), 1, "BACKBEAT WARNING - web1: maintenance of site"},
		{stuckPage(), 2, "BACKBEAT CRITICAL - web1: site is stuck"},
	} {
		o := &obedient{before: tt.st}
		socket := serveWith(t, control.ReloadResult{}, o.answer)
		if code, out, errs := newBench().run("status", "--check", "--control", socket); code != tt.code || !strings.HasPrefix(out, tt.out) || errs != "" {
			t.Errorf("exit %d, %q, %q, want %d, %q", code, out, errs, tt.code, tt.out)
		}
	}
	code, out, errs := newBench().run("status", "--check", "--control", filepath.Join(t.TempDir(), "no"))
	if code != 3 || !strings.HasPrefix(out, "BACKBEAT UNKNOWN - backbeat is not running here") || errs != "" {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
}

// A host that could not bring its group up takes no part: a warning as long as another
// one serves, critical when nobody does.
func TestVerdictWhereTheGroupCouldNotBeUp(t *testing.T) {
	for served, want := range map[bool]verdictLevel{true: verdictWarning, false: verdictCritical} {
		s := site("down", 0)
		s.Unqualified = "lsb.mysqld: /etc/init.d/mysqld does not exist"
		st := webWith(s, gone("service-group", s.Unqualified, "service-group", s.Unqualified), func(r *daemon.RouterStatus) { r.Refused = nil })
		p := &statusPrinter{zone: noon().Location(), st: st, now: st.At, tool: "1.2.3", served: map[string]bool{"web": served}}
		if level, text := p.overall(); level != want || !strings.Contains(text, "mysqld does not exist") {
			t.Errorf("served elsewhere %v: %s: %s", served, level, text)
		}
	}
}
