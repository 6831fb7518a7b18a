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

// noon is the time of all goldens.
func noon() time.Time { return time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) }

func ptr[T any](v T) *T { return &v }

// activeRouter holds its addresses and has hooks.
func activeRouter() daemon.RouterStatus {
	return daemon.RouterStatus{
		Name: "web", Interface: "eth0", VRID: 61, Family: "ipv4", State: "active", Since: noon().Add(-2*time.Hour - 5*time.Minute),
		Cause: "no-response", Reason: "no Active heard for 3.414 s since startup (Active_Down_Interval 3.414 s)", Term: 2,
		Version: 3, Mode: "multicast", MulticastGroup: "224.0.0.18", AcceptMode: true,
		Priority: 150, EffectivePriority: 150, Preempt: true, Checksum: "auto", ChecksumSent: "rfc5798", PrimaryIPAddr: "192.168.122.11",
		Active:                &daemon.ActiveStatus{Self: true, Address: "192.168.122.11", Priority: 150, Interval: 1},
		AdvertisementInterval: 1, ActiveAdverInterval: 1, SkewTime: 0.4140625, ActiveDownInterval: 3.4140625,
		Addresses: []daemon.AddressStatus{
			{Address: "192.168.122.101/24", Advertised: true, Wanted: true, Present: true, Restored: 2},
			{Address: "2001:db8:122::101/64", Wanted: true, Present: true},
		},
		Hooks: []daemon.HookStatus{{Name: "pager", Runs: 3, LastExit: ptr(0), LastTook: 0.12}},
		Counters: map[string]uint64{"advertisement-sent": 7500, "advertisement-rcvd": 2, "active-transitions": 1, "lower-discarded": 0,
			"checksum-errors": 3, "stalls": 0},
	}
}

// backupRouter waits for one that advertises faster, and is preempting soon.
func backupRouter() daemon.RouterStatus {
	return daemon.RouterStatus{
		Name: "mail", Interface: "eth0", VRID: 62, Family: "ipv4", State: "backup", Since: noon().Add(-40 * time.Second),
		Cause: "startup", Reason: "started; listening for an Active for 3.414 s", Term: 1,
		Version: 3, Mode: "unicast", UnicastPeers: []string{"192.168.122.12"}, AcceptMode: true, SyncGroup: "pair",
		Peers: []daemon.PeerStatus{
			{Address: "192.168.122.12", Version: 3, Priority: 100, Interval: 0.05, Mode: "unicast", AddressCount: 4, SameAddresses: true, Believed: 800, HeardAgo: 0.031},
			{Address: "192.168.122.13", Version: 2, Priority: 100, Interval: 1, Mode: "multicast", AddressCount: 4, Refused: 5, RefusedAs: "version-errors", HeardAgo: 2},
			{Address: "192.168.122.14", Version: 3, Priority: 90, Interval: 1, Mode: "unicast", AddressCount: 2, Believed: 5, ForeignGroup: true, HeardAgo: 61},
		},
		Priority: 150, EffectivePriority: 30, Preempt: true, PreemptDelay: 30, PreemptIn: ptr(12.3), Checksum: "rfc9568", ChecksumSent: "rfc9568",
		PrimaryIPAddr:         "192.168.122.11",
		Active:                &daemon.ActiveStatus{Address: "192.168.122.12", Priority: 100, Interval: 0.05, Checksum: "rfc5798", HeardAgo: 0.031},
		AdvertisementInterval: 1, ActiveAdverInterval: 0.05, SkewTime: 0.0441, ActiveDownInterval: 0.1941, ActiveDownIn: ptr(0.1631),
		Addresses: []daemon.AddressStatus{{Address: "192.168.122.102/32", Advertised: true}, {Address: "192.168.122.103/32", Advertised: true},
			{Address: "192.168.122.104/32", Advertised: true}, {Address: "192.168.122.105/32", Advertised: true}},
		Counters: map[string]uint64{"advertisement-sent": 0, "advertisement-rcvd": 800, "active-transitions": 0},
	}
}

// troubledRouter has everything that can go wrong.
func troubledRouter() daemon.RouterStatus {
	return daemon.RouterStatus{
		Name: "voip", Interface: "eth1", VRID: 63, Family: "ipv6", State: "initialize", Fault: "interface-down", FaultDetail: "interface eth1 has no carrier",
		Since: noon().Add(-3 * 24 * time.Hour), Cause: "interface-down", Reason: "the interface is down (no carrier)", Term: 9,
		Version: 3, Mode: "multicast", MulticastGroup: "ff02::12", VirtualMAC: "00:00:5e:00:02:3f", RouterAdvertisements: true,
		Routes: []string{"default via 2001:db8::1 dev eth1"}, Rules: []string{"77: from 2001:db8::/32 lookup 100"},
		Priority: 255, EffectivePriority: 255, IsOwner: true, Checksum: "auto", ChecksumSent: "rfc5798",
		AdvertisementInterval: 0.02, ActiveAdverInterval: 0.02, SkewTime: 0.000078125, ActiveDownInterval: 0.060078125,
		Addresses: []daemon.AddressStatus{{Address: "fe80::63/64", Advertised: true, Wanted: true}},
		Hooks: []daemon.HookStatus{
			{Name: "pager", Running: true, Queued: 2, Runs: 5, Failed: 1, Skipped: 1, LastExit: ptr(3), LastError: "exit status 3", LastTook: 1.5,
				LastOutput: "connecting\nevil \x1b[2Jnot found\n"},
			{Name: "mail"},
		},
		Notices: []daemon.NoticeStatus{
			{Name: "owner-conflict", Text: "fe80::2 (priority 255) claims to own the addresses as we do; only one router may have priority 255", Count: 2, AgoSeconds: 5},
			{Name: "duplicate-source", Text: "another host sends from our own address fe80::1: duplicate IP address on eth1", Count: 1, AgoSeconds: 8},
			{Name: "interval-mismatch", Text: "long corrected", Count: 9, AgoSeconds: 61},
			{Name: "resumed", Text: "no warning", Count: 1, AgoSeconds: 1},
		},
		Refused: []daemon.RefusedStatus{
			{Drop: "version-errors", Text: "another VRRP version: configure version 3 on the peer", Count: 12, Source: "fe80::2", VRID: 63, AgoSeconds: 0.4},
			{Drop: "duplicate-source", Text: "said by the notice", Count: 1, Source: "fe80::1", AgoSeconds: 8},
			{Drop: "checksum-errors", Text: "long corrected", Count: 3, Source: "fe80::2", AgoSeconds: 3600},
			{Drop: "initialize-ignored", Text: "normal", Count: 3, Source: "fe80::2", AgoSeconds: 1},
		},
		Counters: map[string]uint64{"advertisement-sent": 1, "advertisement-rcvd": 0, "active-transitions": 4, "owner-conflicts": 2},
	}
}

func answer(routers ...daemon.RouterStatus) *control.Status {
	return &control.Status{Schema: 1, Version: "1.2.3", PID: 812, At: noon(), StatusPage: daemon.StatusPage{
		Node: "web1", Since: noon().Add(-50 * time.Hour), Routers: routers,
		Links: []daemon.LinkStatus{
			{Name: "eth0", Index: 2, Up: true, Sent: 7500, Received: 802, Drops: map[string]uint64{"vrid-errors": 7},
				Refused: []daemon.RefusedStatus{{Drop: "vrid-errors", Text: "VRID 9 is not configured here", Count: 7, Source: "192.168.122.12", VRID: 9, AgoSeconds: 1},
					{Drop: "incomplete-packets", Text: "not a complete, unfragmented VRRP packet", Count: 1, AgoSeconds: 20}}},
			{Name: "eth1", Index: 3, Detail: "no carrier", Sent: 1, SendErrors: 4, LastSendError: "network is down", KernelDrops: 1},
		}}}
}

func printed(st *control.Status, one bool) []byte { return printedIn(0, st, one) }

func printedIn(width int, st *control.Status, one bool) []byte {
	p := &statusPrinter{width: width, zone: time.UTC, st: st, now: st.At, tool: "1.2.3"}
	var b bytes.Buffer
	if one {
		p.named(&b, st.Routers[0].Name)
	} else {
		p.all(&b)
	}
	return b.Bytes()
}

func TestStatusText(t *testing.T) {
	all := answer(backupRouter(), troubledRouter(), activeRouter())
	all.Loop = daemon.LoopStatus{Stalls: 1, WorstLateness: 0.212, LogDropped: 9}
	refused := noon().Add(-90 * time.Second)
	all.Configuration = &control.Configuration{Path: "/etc/backbeat/backbeat.hcl", AppliedAt: noon().Add(-50 * time.Hour), RefusedAt: &refused,
		RefusedWhy: "/etc/backbeat/backbeat.hcl has 1 error"}
	golden(t, "status-all.golden", printed(all, false))
	golden(t, "status-all-80.golden", printedIn(80, all, false))
	golden(t, "status-all-60.golden", printedIn(60, all, false))

	calm := answer(activeRouter())
	calm.Links = calm.Links[:1]
	calm.Links[0].Refused = calm.Links[0].Refused[:1]
	calm.Routers[0].Addresses[0].Restored = 0
	golden(t, "status-calm.golden", printed(calm, false))
	none := answer()
	none.Loop = all.Loop
	golden(t, "status-none.golden", printed(none, false))
	for _, r := range all.Routers {
		st := answer(r)
		if r.Interface == "eth0" {
			st.Links = st.Links[:1]
		} else {
			st.Links = st.Links[1:]
		}
		golden(t, "status-"+r.Name+".golden", printed(st, true))
		if r.Name == "mail" {
			golden(t, "status-mail-80.golden", printedIn(80, st, true))
		}
	}
}

// Nothing is wider than the terminal, unless it is one word.
func TestStatusFitsTheTerminal(t *testing.T) {
	all := answer(backupRouter(), troubledRouter(), activeRouter())
	all.Routers[0].Active.Address, all.Routers[0].Interface = "fe80::5054:ff:fe12:3456", "enp0s31f6.100"
	for width := 60; width < 200; width++ {
		for _, one := range []bool{false, true} {
			for _, l := range strings.Split(string(printedIn(width, all, one)), "\n") {
				if visible(l) > width {
					t.Errorf("width %d: %q has %d", width, l, visible(l))
				}
			}
		}
	}
}

// What a Backup hears now says more than how it became one.
func TestWhyBackup(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(r *daemon.RouterStatus)
		want   string
	}{
		{"better", func(r *daemon.RouterStatus) { r.Active.Priority = 200 }, "192.0.2.1 (priority 200) is Active and better than our 150"},
		{"equal", func(r *daemon.RouterStatus) { r.Active.Priority = 150 }, "192.0.2.1 (priority 150) is Active and as good as our 150"},
		{"worse, delayed", func(r *daemon.RouterStatus) { r.PreemptIn = ptr(23.4) },
			"192.0.2.1 (priority 100) is Active and worse than our 150; we take over in 24 s (preempt_delay)"},
		{"worse, at once", func(r *daemon.RouterStatus) {}, "192.0.2.1 (priority 100) is Active and worse than our 150; we take over in 3.1 s"},
		{"worse, left alone", func(r *daemon.RouterStatus) { r.Preempt = false },
			"192.0.2.1 (priority 100) is Active and worse than our 150; preempt = false"},
		{"silent", func(r *daemon.RouterStatus) { r.Active.HeardAgo, r.ActiveDownIn = 2.5, ptr(0.9) },
			"192.0.2.1 (priority 100) is silent for 2.5 s; we take over in 900 ms"},
		{"resigned", func(r *daemon.RouterStatus) { r.Active.Priority, r.ActiveDownIn = 0, ptr(0.4) },
			"192.0.2.1 gave up (priority 0); we take over in 400 ms unless somebody better does"},
		{"nobody", func(r *daemon.RouterStatus) { r.Active = nil }, "started; listening"},
		{"fault", func(r *daemon.RouterStatus) { r.Fault, r.FaultDetail = "interface-down", "eth0 is down" }, "eth0 is down"},
	} {
		r := daemon.RouterStatus{Name: "web", State: "backup", Reason: "started; listening", Priority: 150, EffectivePriority: 150, Preempt: true,
			ActiveAdverInterval: 1, ActiveDownIn: ptr(3.1), Active: &daemon.ActiveStatus{Address: "192.0.2.1", Priority: 100, Interval: 1, HeardAgo: 0.3}}
		tt.change(&r)
		if got := (&statusPrinter{}).why(&r); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// Another VRID on the link is normal, unless we are alone beside it.
func TestForeignVRID(t *testing.T) {
	text := func(change func(st *control.Status)) string {
		st := answer(activeRouter())
		st.Routers[0].Counters["advertisement-rcvd"] = 0
		change(st)
		return string(printed(st, false))
	}
	const want = "note: eth0 carries VRID 9 from 192.168.122.12, which is not configured here, and web (VRID 61) has never heard a peer"
	if got := text(func(*control.Status) {}); !strings.Contains(got, want) {
		t.Errorf("not said:\n%s", got)
	}
	for name, change := range map[string]func(st *control.Status){
		"heard a peer":      func(st *control.Status) { st.Routers[0].Counters["advertisement-rcvd"] = 1 },
		"not Active":        func(st *control.Status) { st.Routers[0].State = "backup" },
		"another interface": func(st *control.Status) { st.Routers[0].Interface = "eth1" },
		"long ago":          func(st *control.Status) { st.Links[0].Refused[0].AgoSeconds = 61 },
	} {
		if got := text(change); strings.Contains(got, "note:") {
			t.Errorf("%s, and it says\n%s", name, got)
		}
	}
}

func TestLatenessIsSaid(t *testing.T) {
	st := answer(activeRouter(), backupRouter())
	st.Loop.WorstLateness = 0.99
	if text := string(printed(st, false)); strings.Contains(text, "loop") {
		t.Errorf("within the interval, and it says\n%s", text)
	}
	st.Loop.WorstLateness = 2.75
	if text := string(printed(st, false)); !strings.Contains(text, "! the daemon's loop was up to 2.75 s late, more than the shortest interval (1 s)") {
		t.Errorf("not said:\n%s", text)
	}
}

// A thousand routers with one trouble do not scroll the table away.
func TestWarningsAreBounded(t *testing.T) {
	var list []daemon.RouterStatus
	for i := range 100 {
		r := troubledRouter()
		r.Name = fmt.Sprintf("r%d", i)
		list = append(list, r)
	}
	text := string(printed(answer(list...), false))
	if n := strings.Count(text, "\n! "); n != maxWarnings+1 {
		t.Errorf("%d warning lines, want %d", n, maxWarnings+1)
	}
	if !strings.Contains(text, "! and ") {
		t.Error("nothing says that there are more")
	}
}

func TestVersionMismatchIsSaid(t *testing.T) {
	st := answer(activeRouter())
	st.Version = "1.2.2"
	if text := string(printed(st, false)); !strings.Contains(text, "! the running daemon is version 1.2.2 and this tool is 1.2.3") {
		t.Errorf("not said:\n%s", text)
	}
}

// Whatever text from outside contains, it cannot steer the terminal.
func TestStatusIsHarmless(t *testing.T) {
	evil := "a\x1b]0;owned\x07\x9b31m\u202e\r\nb\xff"
	r := troubledRouter()
	r.Name, r.Reason, r.FaultDetail, r.Interface, r.Family = evil, evil, evil, evil, evil
	r.Active = &daemon.ActiveStatus{Address: evil, Checksum: evil}
	r.Addresses[0].Address, r.Hooks[0].Name, r.Hooks[0].LastError, r.Hooks[0].LastOutput = evil, evil, evil, evil
	r.Checksum, r.ChecksumSent, r.PrimaryIPAddr, r.State = evil, evil, evil, evil
	r.Counters = map[string]uint64{evil: 1}
	st := answer(r)
	r.Notices[0].Text, r.Refused[0].Text, r.Refused[0].Source = evil, evil, evil
	st.Routers = []daemon.RouterStatus{r, activeRouter(), backupRouter()}
	st.Routers[1].Counters["advertisement-rcvd"], st.Routers[1].Name, st.Routers[1].Interface = 0, evil, evil
	st.Routers[2].Active.Address, st.Routers[2].Reason = evil, evil
	refused := noon()
	st.Configuration = &control.Configuration{Path: evil, RefusedAt: &refused, RefusedWhy: evil}
	st.Node, st.Version = evil, evil
	st.Links[0] = daemon.LinkStatus{Name: evil, Detail: evil, SendErrors: 1, LastSendError: evil, Drops: map[string]uint64{evil: 1},
		Refused: []daemon.RefusedStatus{{Drop: "vrid-errors", Source: evil}, {Drop: evil, Text: evil, Source: evil}}}
	for _, one := range []bool{false, true} {
		for _, line := range bytes.Split(printed(st, one), []byte("\n")) {
			if got := clean(string(line)); got != string(line) {
				t.Errorf("not harmless: %q", line)
			}
		}
	}
}

func TestColours(t *testing.T) {
	p := &statusPrinter{look: look{color: true}, zone: time.UTC, st: answer(activeRouter()), now: noon(), tool: "1.2.3"}
	var b bytes.Buffer
	p.all(&b)
	if !strings.Contains(b.String(), "\x1b[32mActive\x1b[0m") {
		t.Errorf("no colour: %q", b.String())
	}
	// Colours do not count as width.
	plain := stripColour(b.String())
	if want := string(printed(answer(activeRouter()), false)); plain != want {
		t.Errorf("with colours the layout is\n%s\nwithout\n%s", plain, want)
	}
}

func stripColour(s string) string {
	for {
		before, rest, found := strings.Cut(s, "\x1b[")
		if !found {
			return s
		}
		_, after, _ := strings.Cut(rest, "m")
		s = before + after
	}
}
