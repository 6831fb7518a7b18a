package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/conf"
	"github.com/backbeat-ha/backbeat/daemon"
)

func TestMissingCapabilities(t *testing.T) {
	raw, admin := uint64(1<<unix.CAP_NET_RAW), uint64(1<<unix.CAP_NET_ADMIN)
	for _, tt := range []struct {
		have uint64
		want []string
	}{
		{raw | admin, nil},
		{admin, []string{"lacks CAP_NET_RAW (to send and receive advertisements): run it as root", "unshare --user --net --map-root-user backbeat run -c FILE --runtime-dir DIR --state-dir DIR"}},
		{raw, []string{"lacks CAP_NET_ADMIN"}},
		{0, []string{"CAP_NET_RAW", " and CAP_NET_ADMIN"}},
	} {
		err := missing(tt.have)
		if (err == nil) != (tt.want == nil) {
			t.Errorf("missing(%x) = %v", tt.have, err)
		}
		for _, w := range tt.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("missing(%x) = %v, want %q in it", tt.have, err, w)
			}
		}
	}
	if _, err := effective(); err != nil {
		t.Errorf("effective: %v", err)
	}
}

// lines is a daemon.Journal that keeps everything.
type lines struct {
	mu   sync.Mutex
	text []string
	seqs []uint64
}

func (l *lines) Log(x daemon.Line) { l.log(x.Level, x.Text) }
func (l *lines) log(level slog.Level, text string, _ ...slog.Attr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, fmt.Sprintf("%s %s", level, text))
}
func (l *lines) Transition(t daemon.Transition) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.seqs = append(l.seqs, t.Seq)
}

func config(names ...string) *daemon.Config {
	c := &daemon.Config{Node: "n1"}
	for _, n := range names {
		c.Routers = append(c.Routers, daemon.RouterConfig{Name: n})
	}
	return c
}

func TestTally(t *testing.T) {
	j := &lines{}
	ta := newTally(j)
	ta.configure(config("a", "b", "c"))
	expect := func(want string) {
		t.Helper()
		if got := ta.summary(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	expect("3 virtual routers: 3 initialize")
	ta.Transition(daemon.Transition{Seq: 1, Router: "a", To: "backup"})
	ta.Transition(daemon.Transition{Seq: 2, Router: "b", To: "backup"})
	ta.Transition(daemon.Transition{Seq: 3, Router: "a", To: "active"})
	expect("3 virtual routers: 1 active, 1 backup, 1 initialize")
	ta.Transition(daemon.Transition{Seq: 1, Router: "a", To: "backup"}) // a follow-up that came late
	expect("3 virtual routers: 1 active, 1 backup, 1 initialize")
	ta.configure(config("a"))
	expect("1 virtual router: 1 active")
	if len(j.seqs) != 4 {
		t.Errorf("%d records passed on, want all 4", len(j.seqs))
	}
}

// The watchdog is fed while the loop answers, and only then.
func TestNotifier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var sent []string
		stuck := false
		ta := newTally(&lines{})
		ta.configure(config("a", "b"))
		n := &notifier{tally: ta, watchdog: 10 * time.Second,
			send: func(s string) { mu.Lock(); defer mu.Unlock(); sent = append(sent, s) },
			post: func(in daemon.Input) {
				mu.Lock()
				defer mu.Unlock()
				if !stuck {
					in.(daemon.Ping).Reply <- struct{}{}
				}
			}}
		take := func() string { mu.Lock(); defer mu.Unlock(); s := strings.Join(sent, "|"); sent = nil; return s }
		expect := func(want string) {
			t.Helper()
			synctest.Wait()
			if got := take(); got != want {
				t.Errorf("sent %q, want %q", got, want)
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- n.run(ctx) }()
		expect("READY=1\nSTATUS=2 virtual routers: 2 initialize")
		<-time.After(6 * time.Second) // virtual: inside a synctest bubble
		expect("WATCHDOG=1")
		for seq := range uint64(10) { // a burst is one piece of news
			ta.Transition(daemon.Transition{Seq: seq + 1, Router: "a", To: "active"})
		}
		<-time.After(time.Second) // virtual: inside a synctest bubble
		expect("STATUS=2 virtual routers: 1 active, 1 initialize")
		mu.Lock()
		stuck = true
		mu.Unlock()
		<-time.After(time.Minute) // virtual: inside a synctest bubble
		expect("")
		mu.Lock()
		stuck = false
		mu.Unlock()
		<-time.After(10 * time.Second) // virtual: inside a synctest bubble
		synctest.Wait()
		if got := take(); !strings.Contains(got, "WATCHDOG=1") {
			t.Errorf("the loop is back and the watchdog is not fed: %q", got)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// A loop that has not turned yet is not ready.
func TestNotReadyBeforeTheFirstTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &notifier{tally: newTally(&lines{}), post: func(daemon.Input) {}, send: func(s string) { t.Errorf("sent %q", s) }}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := n.run(ctx); err != nil {
			t.Error(err)
		}
	})
}

func newReloader(j *lines, text string, post func(daemon.Input)) (*reloader, *[]string) {
	var sent []string
	ta := newTally(j)
	return &reloader{path: "web.hcl", log: j.log, tally: ta, post: post, ended: make(chan struct{}),
		notify: &notifier{tally: ta, send: func(s string) { sent = append(sent, strings.SplitN(s, "\n", 2)[0]) }},
		load: func(string) (*daemon.Config, *conf.Diagnostics, error) {
			cfg, d := conf.Load([]conf.Source{{Name: "web.hcl", Text: []byte(text)}}, conf.Options{Node: "web1"})
			return cfg, d, nil
		}}, &sent
}

func TestReloadApplies(t *testing.T) {
	j := &lines{}
	r, sent := newReloader(j, goodFile, func(in daemon.Input) {
		q := in.(daemon.Reload)
		q.Reply <- daemon.MakePlan(config("old"), q.Config)
	})
	res := r.reload(t.Context())
	if res.Err != nil || len(res.Plan.Steps) != 2 || res.Text != "" {
		t.Errorf("got %+v", res)
	}
	if got := strings.Join(j.text, "|"); got != "INFO reloaded web.hcl: 1 added, 1 removed" {
		t.Errorf("logged %q", got)
	}
	if got := strings.Join(*sent, " "); got != "RELOADING=1 READY=1" {
		t.Errorf("systemd heard %q", got)
	}
	if c := r.configuration(); c.Path != "web.hcl" || c.AppliedAt.IsZero() || c.RefusedAt != nil {
		t.Errorf("in force: %+v", c)
	}
	if got := r.tally.summary(); got != "1 virtual router: 1 initialize" {
		t.Errorf("tally %q", got)
	}
}

// A bad file never reaches the loop, and everything wrong with it is told.
func TestReloadRefusesBadFile(t *testing.T) {
	j := &lines{}
	r, sent := newReloader(j, "virtual_router \"web\" {\n  vrid = 0\n  frob = 1\n}\n", func(in daemon.Input) { t.Errorf("posted %T", in) })
	res := r.reload(t.Context())
	if res.Err == nil || !strings.Contains(res.Err.Error(), "web.hcl has ") || !strings.Contains(res.Text, "frob") || !strings.Contains(string(res.Diagnostics), `"line":2`) {
		t.Errorf("got %+v", res)
	}
	if all := strings.Join(j.text, "\n"); !strings.Contains(all, "ERROR configuration: web.hcl:2:") || !strings.Contains(all, "web.hcl:3:") || !strings.Contains(all, "nothing was changed") {
		t.Errorf("logged %s", all)
	}
	if got := strings.Join(*sent, " "); got != "RELOADING=1 READY=1" {
		t.Errorf("systemd heard %q", got)
	}
}

// After a refused reload it is known since when, until one is applied.
func TestRefusalIsKept(t *testing.T) {
	j := &lines{}
	r, _ := newReloader(j, goodFile, func(in daemon.Input) {
		q := in.(daemon.Reload)
		q.Reply <- daemon.MakePlan(config("web"), q.Config)
	})
	r.applied(config())
	before := r.configuration()
	good := r.load
	r.load = func(string) (*daemon.Config, *conf.Diagnostics, error) { return nil, nil, errors.New("gone") }
	r.reload(t.Context())
	first := r.configuration()
	if first.RefusedAt == nil || first.RefusedWhy != "gone" || first.AppliedAt != before.AppliedAt {
		t.Errorf("after a refusal: %+v", first)
	}
	r.load = func(string) (*daemon.Config, *conf.Diagnostics, error) { return nil, nil, errors.New("still gone") }
	r.reload(t.Context())
	if c := r.configuration(); *c.RefusedAt != *first.RefusedAt || c.RefusedWhy != "still gone" {
		t.Errorf("after two: %+v, the first %+v", c, first)
	}
	r.load = good
	if res := r.reload(t.Context()); res.Err != nil {
		t.Fatal(res.Err)
	}
	if c := r.configuration(); c.RefusedAt != nil || c.RefusedWhy != "" || c.AppliedAt.Before(before.AppliedAt) {
		t.Errorf("after a good one: %+v", c)
	}
	// A stop that overtakes a reload is not the file's fault.
	r.post = func(in daemon.Input) { in.(daemon.Reload).Reply <- daemon.Plan{Stopping: true} }
	if res := r.reload(t.Context()); !errors.Is(res.Err, errStopping) {
		t.Errorf("while stopping: %v", res.Err)
	}
	if c := r.configuration(); c.RefusedAt != nil {
		t.Errorf("after a stop: %+v", c)
	}
}

func TestReloadOfAnUnreadableFile(t *testing.T) {
	j := &lines{}
	r, _ := newReloader(j, "", nil)
	r.load = func(string) (*daemon.Config, *conf.Diagnostics, error) {
		return nil, nil, errors.New("permission denied")
	}
	if res := r.reload(t.Context()); res.Err == nil || res.Err.Error() != "permission denied" {
		t.Errorf("got %+v", res)
	}
}

func TestReloadWhileStopping(t *testing.T) {
	j := &lines{}
	r, _ := newReloader(j, goodFile, func(daemon.Input) {})
	gone := make(chan struct{})
	close(gone)
	r.ended = gone
	if res := r.reload(t.Context()); res.Err == nil || res.Err.Error() != "the daemon is stopping" {
		t.Errorf("got %+v", res)
	}
	r.ended = nil
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if res := r.reload(ctx); res.Err == nil || !strings.Contains(res.Err.Error(), "has not taken the configuration") {
		t.Errorf("got %+v", res)
	}
}

// Parts end when asked; one that ends on its own is the end of the daemon.
func TestParts(t *testing.T) {
	j := &lines{}
	never := func(err error) { t.Errorf("told that it broke: %v", err) }
	p := begin("quiet", j.log, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, never)
	p.stop()
	broke := make(chan error, 1)
	p = begin("weak", j.log, func(context.Context) error { return errors.New("no socket") }, func(err error) { broke <- err })
	if err := <-broke; err.Error() != "weak: no socket" {
		t.Errorf("got %v", err)
	}
	p.stop()
	p = begin("lazy", j.log, func(context.Context) error { return nil }, func(err error) { broke <- err })
	if err := <-broke; err.Error() != "lazy ended for no reason" {
		t.Errorf("got %v", err)
	}
	p.stop()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		p := begin("stuck", j.log, func(context.Context) error { <-release; return nil }, never)
		p.stop()
		close(release)
	})
	if got := j.text[len(j.text)-1]; got != "WARN stuck did not end in time" {
		t.Errorf("logged %q", got)
	}
}

// still is a clock that stands, dumb a wire that nobody listens to.
type still struct{}

func (still) Now() time.Duration { return 0 }
func (still) Wall() time.Time    { return time.Time{} }

type dumb struct{ daemon.Wire }

func (dumb) Wake() {}

// The first look at a step may be answered before the loop that asked is made.
func TestPostWaitsForTheLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &service{made: make(chan struct{})}
		posted := false
		go func() {
			s.post(daemon.Ping{})
			posted = true
		}()
		synctest.Wait()
		if posted {
			t.Error("posted to nobody")
		}
		s.loop = daemon.New(&daemon.Config{Node: "web1"}, daemon.Ports{Clock: still{}, Wire: dumb{}, Watch: func([]string) {}})
		close(s.made)
		synctest.Wait()
		if !posted {
			t.Error("not posted")
		}
	})
}
