package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
)

func TestHistoryText(t *testing.T) {
	at := noon()
	list := []daemon.Transition{
		{Seq: 3, At: at.Add(4 * time.Second), Router: "web", Term: 2, From: "backup", To: "active", Cause: "no-response",
			Reason:   "nothing heard from 192.0.2.3 (priority 150) for 3.61 s (Active_Down_Interval 3.609 s)",
			Evidence: daemon.Evidence{Priority: 100, Peer: "192.0.2.3", PeerPriority: ptr(uint8(150)), Silence: 3.6095, Timer: 3.6094, Lateness: 0.00003},
			Followed: []daemon.Followup{
				{What: "addresses added", After: 0.0004, Took: 0.0003},
				{What: "announced", After: 0.0006, Note: "1 ARP, 1 NA"},
				{What: "reload", After: 7500, Note: "priority 100 -> 50"},
				{What: "hook pager", After: 0.1212, Took: 0.12},
				{What: "hook mail", After: 0.2, Took: 0.05, Error: "exit status 3 \x1b[31m"},
			}},
		{Seq: 1, At: at, Router: "web", Term: 1, From: "initialize", To: "backup", Cause: "startup",
			Reason: "started; listening for an Active for 3.609 s", Evidence: daemon.Evidence{Priority: 100, Timer: 3.6094}},
		{Seq: 4, At: at.Add(9 * time.Second), Router: "web", Term: 3, From: "active", To: "initialize", Cause: "yielded",
			Reason:   "asked to stop; 192.0.2.3 (priority 150) has taken over (SIGTERM)",
			Evidence: daemon.Evidence{Priority: 100, Peer: "192.0.2.3", PeerPriority: ptr(uint8(0)), Detail: "SIGTERM"},
			Followed: []daemon.Followup{
				{What: "addresses removed", After: 0.0012},
				{What: "addresses added", After: 0.01, Error: "no such device"},
				{What: "something new", After: 1, Note: "from a later version"},
			}},
		{Seq: 2, At: at, Router: "mail", Term: 1, From: "", To: "backup", Reason: "x"},
	}
	var b bytes.Buffer
	p := &historyPrinter{zone: time.UTC}
	p.all(&b, list)
	golden(t, "history.golden", b.Bytes())
	if list[0].Seq != 3 {
		t.Error("the caller's list was sorted")
	}
	b.Reset()
	p.all(&b, nil)
	if b.String() != "no transitions yet\n" {
		t.Errorf("empty history: %q", b.String())
	}
}

// What followed much later is told by the clock; a group has what concerns it.
func TestHistoryOfGroup(t *testing.T) {
	list := ofGroup([]daemon.Transition{{Seq: 1, At: noon(), Router: "web", Term: 1, From: "backup", To: "active", Reason: "x",
		Followed: []daemon.Followup{
			{What: "addresses added", After: 0.01},
			{What: "site: systemd.apache up", After: 2.5},
			{What: "site", After: 25.237, Error: "could not be brought up"},
			{What: "sitemap: up", After: 26},
			{What: "order: maintenance-on site", After: 90000, Note: "by root (uid 0): work"},
		}}}, "site")
	var b bytes.Buffer
	(&historyPrinter{zone: time.UTC}).all(&b, list)
	want := `2026-03-01 12:00:00.000 UTC  web  Backup -> Active
    x
    evidence: priority 0
    site: systemd.apache up after 2.5 s
    site failed at 12:00:25.237: could not be brought up
    order: maintenance-on site at 2026-03-02 13:00:00 (by root (uid 0): work)
`
	if b.String() != want {
		t.Errorf("got\n%swant\n%s", b.String(), want)
	}
}

// The evidence line says what the reason has not said.
func TestEvidenceDoesNotRepeat(t *testing.T) {
	for _, tt := range []struct {
		e            daemon.Evidence
		reason, want string
	}{
		{daemon.Evidence{Priority: 100, Detail: "SIGTERM"}, "left on request (SIGTERM)", "evidence: priority 100"},
		{daemon.Evidence{Priority: 15, Peer: "192.0.2.3", PeerPriority: ptr(uint8(150))}, "192.0.2.3 (priority 150) is better than our priority 150",
			"evidence: priority 15"},
		{daemon.Evidence{Priority: 150, Peer: "192.0.2.3", PeerPriority: ptr(uint8(50))}, "preempting 192.0.2.3 (priority 50) with priority 150", ""},
		{daemon.Evidence{Priority: 150, Peer: "192.0.2.3", PeerPriority: ptr(uint8(0))}, "192.0.2.3 (priority 50) has taken over",
			"evidence: priority 150, peer 192.0.2.3 with priority 0"},
		{daemon.Evidence{Priority: 150, Peer: "192.0.2.3"}, "192.0.2.30 gave up", "evidence: priority 150, peer 192.0.2.3"},
		{daemon.Evidence{Priority: 1, Timer: 0.5, Silence: 10.5}, "nobody heard for 10.5 s, with priority 1", "evidence: timer 500 ms"},
		{daemon.Evidence{Priority: 1, Timer: 3.5}, "nobody heard for 13.5 s", "evidence: priority 1, timer 3.5 s"},
	} {
		if got := evidence(&tt.e, tt.reason); got != tt.want {
			t.Errorf("%q: evidence %q, want %q", tt.reason, got, tt.want)
		}
	}
}
