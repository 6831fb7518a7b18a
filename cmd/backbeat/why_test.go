package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
)

func TestWhy(t *testing.T) {
	var b bytes.Buffer
	list := append(pages(), page{"Backup that preempts", answer(backupRouter())}, page{"fault", answer(troubledRouter())},
		page{"checks", webWith(upSite(), func(r *daemon.RouterStatus) {
			r.Contributions = []daemon.ContributionStatus{
				{Checks: []string{"http.site"}, Effect: "degrade", Stand: "good", Why: "http.site is healthy"},
				{Checks: []string{"link.uplink"}, Effect: "fault", Stand: "good", Why: "link.uplink is healthy"},
				{Checks: []string{"tcp.db"}, Effect: "weight", Weight: 20, Adds: 20, Stand: "good", Why: "tcp.db is healthy"},
				{Checks: []string{"file.drain"}, Effect: "weight", Weight: -30, Adds: -30, Stand: "bad", Why: "file.drain is failing: exists"}}
			r.EffectivePriority = 140
		})})
	for _, g := range list {
		p := &statusPrinter{zone: noon().Location(), st: g.st, now: g.st.At, tool: "1.2.3"}
		e := explanation{}
		for i := range g.st.Routers {
			r := &g.st.Routers[i]
			prio := uint8(100)
			e.add(p.whyRouter(r, &daemon.Transition{At: r.Since, From: "backup", To: r.State, Reason: r.Reason,
				Evidence: daemon.Evidence{Priority: 150, Peer: "192.168.122.12", PeerPriority: &prio, Silence: 3.414, Timer: 3.414}}))
		}
		for i := range g.st.Services {
			e.add(p.whyGroup(&g.st.Services[i]))
		}
		fmt.Fprintf(&b, "--- %s\n", g.name)
		e.print(p, &b)
		fmt.Fprintln(&b)
	}
	golden(t, "why.golden", b.Bytes())
}

func TestWhyVerb(t *testing.T) {
	o := &obedient{before: standbyPage()}
	socket := serveWith(t, control.ReloadResult{}, o.answer)
	code, out, errs := newBench().run("why", "web", "--control", socket)
	if code != 0 || errs != "" || !strings.HasPrefix(out, "web is Initialize, standby on web1 for ") || !strings.Contains(out, "  changes if  the order ends: backbeat online\n") {
		t.Errorf("exit %d, %q, %q", code, out, errs)
	}
	code, out, _ = newBench().run("why", "site", "-o", "json", "--control", socket)
	var e explanation
	if err := json.Unmarshal([]byte(out), &e); err != nil || code != 0 || len(e.About) != 2 || e.About[1].Kind != "service_group" {
		t.Errorf("exit %d, %v, %s", code, err, out)
	}
}
