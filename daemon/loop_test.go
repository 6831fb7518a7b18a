package daemon_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// From nothing to Active: what is asked of the ports, in order.
func TestLifeOfARouter(t *testing.T) {
	g := newRig(t, web(hooked("h")))
	g.wantCalls("watch eth0")
	g.post(level())
	g.wantCalls("listen 7 ipv4")
	g.post(ready(eth0, vrrp.IPv4))
	g.wantCalls("run h backup")
	g.wait(4 * s)
	g.wantCalls("send 52 100 from 10.0.0.1", "want 1.1 [10.0.0.53/24]")
	g.wait(2 * s)
	g.wantCalls("send 52 100 from 10.0.0.1", "send 52 100 from 10.0.0.1")
	g.receive(52, 200)
	g.turn()
	g.wantCalls("send 52 100 from 10.0.0.1", "cancel 1", "want 1.2 []") // the farewell first
	g.wantHistory("web initialize->backup startup\nweb backup->active no-response\nweb active->backup higher-priority\n")
}

// One kind of bad packet writes two lines in its minute and one for the rest
// of it, whoever sends; every one of them is counted. (V28)
//
// conformance: V28
func TestBadPacketsAreCountedNotLogged(t *testing.T) {
	g := newRig(t, web()).up()
	g.lines = nil
	bad := packet(peer4, 52, 150, s, vip4)
	bad[8] = 254 // TTL
	flood := func() {
		for i := range 1000 {
			bad[15] = byte(i) // a source of its own
			g.queue = append(g.queue, vrrp.Packet{Link: eth0, Family: vrrp.IPv4, Data: append([]byte(nil), bad...), At: g.now})
			g.wait(ms)
			g.turn()
		}
	}
	flood()
	if n := len(g.linesFrom(slog.LevelDebug)); n > 2 {
		t.Errorf("%d lines about 1000 bad packets, want at most 2", n)
	}
	page := g.status("")
	if n := page.Links[0].Drops["ip-ttl-errors"]; n != 1000 {
		t.Errorf("counted %d of 1000", n)
	}
	g.wait(time.Minute)
	g.lines = nil
	flood()
	lines := g.linesFrom(slog.LevelWarn)
	if len(lines) < 1 || len(lines) > 2 {
		t.Fatalf("a minute later %d lines, want one: %q", len(lines), lines)
	}
	if !strings.Contains(lines[0], "(and 999 more like this)") {
		t.Errorf("the line does not speak for the 999 held back: %q", lines[0])
	}
}

// Each drop is counted where it belongs: with the router if it is known, always with the link.
//
// conformance: V17
func TestDropsAreCountedWhereTheyBelong(t *testing.T) {
	for _, tt := range []struct {
		drop   string
		spoil  func([]byte) []byte
		router bool
	}{
		{"vrid-errors", func(b []byte) []byte { b[21] = 99; return b }, false},
		{"incomplete-packets", func(b []byte) []byte { return b[:12] }, false},
		{"ip-ttl-errors", func(b []byte) []byte { b[8] = 1; return b }, false},
		{"checksum-errors", func(b []byte) []byte { b[26] ^= 0x55; return b }, true},
		{"packet-length-errors", func(b []byte) []byte { b[23] = 2; return b }, true},
	} {
		g := newRig(t, web()).up()
		g.queue = append(g.queue, vrrp.Packet{Link: eth0, Family: vrrp.IPv4, At: g.now, Data: tt.spoil(packet(peer4, 52, 150, s, vip4))})
		g.queue = append(g.queue, vrrp.Packet{Link: 99, Family: vrrp.IPv4, At: g.now, Data: packet(peer4, 52, 150, s, vip4)})
		g.turn()
		page := g.status("")
		if got := page.Routers[0].Counters[tt.drop]; (got == 1) != tt.router || got > 1 {
			t.Errorf("%s: the router counts %d", tt.drop, got)
		}
		if got := page.Links[0].Drops[tt.drop]; got != 1 {
			t.Errorf("%s: the link counts %d", tt.drop, got)
		}
		// The good packet came in on another interface, where the VRID is nobody's.
		if got := page.Routers[0].Counters["advertisement-rcvd"]; got != 0 {
			t.Errorf("%s: the router believed %d adverts from another interface", tt.drop, got)
		}
	}
}

// A flood of packets neither starves deadlines nor lets a Backup's deadline be
// judged before the adverts that may be in the queue.
func TestFloodDoesNotStarveDeadlines(t *testing.T) {
	g := newRig(t, web(named("a", 1, 11)), web(named("b", 2, 12))).up()
	for g.state("a") != "active" {
		g.receive(2, 200)
		g.wait(500 * ms)
		g.turn()
	}
	// b hears an advert at such a moment that its time is over when a's next
	// advert but three is due.
	g.wait(g.next - g.now + 390625*time.Microsecond)
	due := g.now + 3609375*time.Microsecond
	g.receive(2, 200)
	g.turn()
	g.wait(due - ms - g.now)
	unknown := func(n int) {
		for range n {
			g.queue = append(g.queue, vrrp.Packet{Link: eth0, Family: vrrp.IPv4, At: g.now, Data: packet(peer4, 99, 1, s, vip4)})
		}
	}
	// More packets than a turn reads, and behind them the advert b waits for.
	g.now = due + ms
	unknown(2 * g.reads)
	g.queue = append(g.queue, vrrp.Packet{Link: eth0, Family: vrrp.IPv4, At: due - s, Data: packet(peer4, 2, 200, s, vip4)})
	sent := len(g.sent)
	if next, _ := g.loop.Turn(); next != g.now {
		t.Errorf("wants to sleep until %v with packets unread", next)
	}
	if len(g.sent) != sent+1 || g.sent[sent].vrid != 1 {
		t.Errorf("the Active's advert waits for the flood, or something else was sent: %v", g.sent[sent:])
	}
	g.turn()
	if got := g.state("b"); got != "backup" {
		t.Errorf("b is %s although the advert it waits for was in the queue", got)
	}

	// A flood that does not end: after a few turns the deadline counts.
	g.wait(due - s + 3609375*time.Microsecond - ms - g.now)
	for turns := 1; ; turns++ {
		g.now += ms
		unknown(g.reads + 1)
		g.loop.Turn()
		if strings.Contains(g.history(), "b backup->active") {
			break
		}
		if turns > 10 {
			t.Fatal("a flood of packets keeps a Backup from ever taking over")
		}
	}
}

// Inputs are bounded per turn too, and what is left over is not forgotten.
func TestInputsAreBounded(t *testing.T) {
	g := newRig(t, web()).up()
	reply := make(chan struct{}, 1000)
	for range 1000 {
		g.loop.Post(daemon.Ping{Reply: reply})
	}
	next, _ := g.loop.Turn()
	if n := len(reply); n == 0 || n > 200 {
		t.Errorf("one turn answered %d inputs", n)
	}
	if next > g.now {
		t.Errorf("sleeps until %v with inputs unread", next)
	}
	g.turn()
	if len(reply) != 1000 {
		t.Errorf("answered %d of 1000", len(reply))
	}
}

// The stall rule: an Active that was away listens before it speaks; a Backup
// reads what has piled up before it believes in silence.
func TestStall(t *testing.T) {
	g := newRig(t, web()).active()
	g.took()
	g.now += 5 * s
	g.turn()
	g.wantCalls()
	page := g.status("")
	if page.Loop.Stalls != 1 || page.Loop.WorstLateness < 4 || page.Routers[0].Counters["stalls"] != 1 {
		t.Errorf("not counted: %+v", page.Loop)
	}
	if l := g.linesFrom(slog.LevelWarn); len(l) != 1 || !strings.Contains(l[0], "did not run for") {
		t.Errorf("not named: %q", l)
	}
	g.wait(1100 * ms)
	if c := g.took(); len(c) == 0 || c[0] != "send 52 100 from 10.0.0.1" {
		t.Errorf("nobody was heard, and yet it is silent: %q", c)
	}

	g = newRig(t, web()).active()
	g.now += 5 * s
	g.receive(52, 50) // worse, but it has taken over
	g.turn()
	if last := g.records[len(g.records)-1]; last.Cause != "replaced-in-stall" {
		t.Errorf("cause %s, want replaced-in-stall", last.Cause)
	}

	g = newRig(t, web()).up()
	g.receive(52, 150)
	g.turn()
	at := g.now
	g.now += 10 * s
	for i := range 9 {
		g.queue = append(g.queue, vrrp.Packet{Link: eth0, Family: vrrp.IPv4, At: at + time.Duration(i+1)*s, Data: packet(peer4, 52, 150, s, vip4)})
	}
	g.turn()
	if g.state("web") != "backup" {
		t.Error("a Backup that slept took over from a living Active")
	}
}

func TestStatusPages(t *testing.T) {
	g := newRig(t, web(named("a", 1, 11)), web(named("b", 2, 12)), web(named("c", 3, 13))).up()
	ask := func(q daemon.StatusQuery) daemon.StatusPage {
		reply := make(chan daemon.StatusPage, 1)
		q.Reply = reply
		g.post(q)
		return <-reply
	}
	for _, tt := range []struct {
		q    daemon.StatusQuery
		want string
	}{
		{daemon.StatusQuery{Limit: 2}, "ab"},
		{daemon.StatusQuery{From: 2, Limit: 2}, "c"},
		{daemon.StatusQuery{From: 3, Limit: 2}, ""},
		{daemon.StatusQuery{From: -5, Limit: 1}, "a"},
		{daemon.StatusQuery{From: 99, Limit: 1}, ""},
		{daemon.StatusQuery{Limit: -1}, ""},
		{daemon.StatusQuery{Name: "b"}, "b"},
		{daemon.StatusQuery{Name: "zz"}, ""},
	} {
		page := ask(tt.q)
		got := ""
		for _, r := range page.Routers {
			got += r.Name
		}
		if got != tt.want || page.Total != 3 {
			t.Errorf("%+v: %q of %d, want %q of 3", tt.q, got, page.Total, tt.want)
		}
		if (len(page.Links) > 0) != (tt.q.From <= 0 && tt.q.Name != "zz") {
			t.Errorf("%+v: %d links", tt.q, len(page.Links))
		}
	}
	if _, err := json.Marshal(ask(daemon.StatusQuery{Limit: 9})); err != nil {
		t.Error(err)
	}
}

// What status says of an Active and of a Backup.
func TestStatusSays(t *testing.T) {
	g := newRig(t, web()).active()
	g.post(level(addresses("10.0.0.1/24", "10.0.0.53/24")))
	r := g.status("web").Routers[0]
	if r.State != "active" || r.Active == nil || !r.Active.Self || r.PrimaryIPAddr != "10.0.0.1" || r.EffectivePriority != 100 {
		t.Errorf("active: %+v", r)
	}
	if a := r.Addresses; len(a) != 1 || !a[0].Wanted || !a[0].Present || !a[0].Advertised || a[0].Address != "10.0.0.53/24" {
		t.Errorf("addresses: %+v", r.Addresses)
	}
	g.receive(52, 150)
	g.turn()
	g.wait(200 * ms)
	r = g.status("web").Routers[0]
	if r.Active == nil || r.Active.Self || r.Active.Address != "10.0.0.3" || r.Active.HeardAgo != 0.2 || r.ActiveDownIn == nil || r.ActiveDownInterval != 3.609375 {
		t.Errorf("backup: %+v %+v", r, r.Active)
	}
	if a := r.Addresses[0]; a.Wanted || !a.Present {
		t.Errorf("wanted and present are two things: %+v", a)
	}
}

// Run waits on the wire, leaves when a Stop has been carried out, and says
// goodbye when its context ends.
func TestRun(t *testing.T) {
	for _, way := range []string{"stop", "context"} {
		synctest.Test(t, func(t *testing.T) {
			w := &sleeper{rig: rig{t: t}, woken: make(chan struct{}, 1), begin: time.Now()}
			ports := w.ports()
			ports.Clock, ports.Wire = w, w
			loop := daemon.New(config(web()), ports)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			end := make(chan error, 1)
			go func() { end <- loop.Run(ctx) }()
			loop.Post(level())
			loop.Post(ready(eth0, vrrp.IPv4))
			<-time.After(4 * s)
			synctest.Wait()
			if n := len(w.sent); n != 1 {
				t.Errorf("%s: %d adverts after 4 s, want the first", way, n)
			}
			if way == "stop" {
				loop.Post(daemon.Stop{})
			} else {
				cancel()
			}
			<-time.After(4 * s) // nobody answers for the kernel
			if err := <-end; (way == "stop") != (err == nil) || way == "context" && !errors.Is(err, context.Canceled) {
				t.Errorf("%s: Run returned %v", way, err)
			}
			if last := w.sent[len(w.sent)-1]; last.priority != 0 {
				t.Errorf("%s: left without a farewell", way)
			}
			loop.Post(daemon.Ping{}) // must not block after the end
		})
	}
}

// sleeper is a rig that waits as the real wire does.
type sleeper struct {
	rig
	woken chan struct{}
	begin time.Time
}

func (w *sleeper) Now() time.Duration { return time.Since(w.begin) }
func (w *sleeper) Wall() time.Time    { return time.Now() }
func (w *sleeper) Wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}
func (w *sleeper) Wait(deadline time.Duration) {
	timer := time.NewTimer(min(deadline-w.Now(), time.Hour))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-w.woken:
	}
}
