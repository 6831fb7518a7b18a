package daemon_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// An Active with a short interval leaves its advert to a stand-in, with the phase it
// has; one with a long interval leaves nothing.
func TestHandOverLeavesShortIntervals(t *testing.T) {
	for every, want := range map[time.Duration]int{10 * ms: 1, 100 * ms: 1, s: 0} {
		g := newRig(t, web(adverts(every)))
		g.active()
		last := g.sent[len(g.sent)-1]
		h := g.handOver()
		if len(g.left) != want || h.Routers[0].SpokenFor != (want == 1) {
			t.Fatalf("at %s: left %q, spoken for %t", every, g.left, h.Routers[0].SpokenFor)
		}
		next := (last.at + every).Truncate(ms)
		if want == 1 && !strings.Contains(g.left[0], " at "+next.String()+" every "+every.String()) {
			t.Errorf("the last at %s, left %q", last.at, g.left)
		}
	}
}

// The next process goes on after any time for which the stand-in speaks, and ends it
// when it has said its first advert; without one it was silent for too long.
func TestStandIn(t *testing.T) {
	for _, spoken := range []bool{true, false} {
		g := newRig(t, web(adverts(10*ms)))
		g.active()
		before := g.history()
		h := g.handOver()
		over := 0
		g.follow(h, 700*ms, config(web(adverts(10*ms))), func(p *daemon.Ports) {
			if spoken {
				p.StandIn = &daemon.StandIn{Until: g.now + s, Over: func() { over++ }}
			}
		})
		if over != 0 {
			t.Fatal("ended before the interface is known")
		}
		g.up()
		if st := g.state("web"); (st == "active") != spoken {
			t.Fatalf("stand-in %t: %s", spoken, st)
		}
		if !spoken {
			continue
		}
		if len(g.sent) == 0 || over != 1 {
			t.Fatalf("%d adverts, ended %d times", len(g.sent), over)
		}
		g.apply()
		g.wait(s)
		if got := g.history(); got != before || over != 1 {
			t.Errorf("ended %d times, history\n%s\nbefore\n%s", over, got, before)
		}
	}
}

// A goodbye is not contradicted: the peer would wait for who has gone, as long as the
// stand-in speaks for somebody whose interface is not known yet.
func TestStandInEndsWithAGoodbye(t *testing.T) {
	both := config(web(adverts(10*ms)), web(adverts(10*ms), named("www", 53, 54), func(c *daemon.RouterConfig) { c.Interface = "eth1" }))
	g := &rig{t: t, now: epoch}
	g.loop = daemon.New(both, g.ports())
	eth1 := level(func(k *actions.LinkChanged) { k.Name, k.Index = "eth1", eth0+1 })
	g.post(eth1, ready(eth0+1, vrrp.IPv4))
	g.active()
	g.wait(s)
	g.apply()
	h := g.handOver()
	if len(g.left) != 2 {
		t.Fatalf("left %q", g.left)
	}
	over := 0
	g.follow(h, 100*ms, both, func(p *daemon.Ports) { p.StandIn = &daemon.StandIn{Until: g.now + 2*s, Over: func() { over++ }} })
	g.up()
	if over != 0 {
		t.Fatal("ended although it still speaks for www")
	}
	g.post(daemon.Stop{Yield: true, Detail: "test"})
	if last := g.sent[len(g.sent)-1]; last.priority != 0 || over != 1 {
		t.Errorf("said %+v, ended %d times", last, over)
	}
}

// A stand-in whose time is over does not count, and one for whom nobody is left to
// be spoken for is ended at once.
func TestStandInThatIsOver(t *testing.T) {
	for name, c := range map[string]struct {
		until time.Duration
		cfg   *daemon.Config
	}{
		"its time is over":   {epoch, config(web(adverts(10 * ms)))},
		"the router is gone": {epoch + time.Hour, config()},
	} {
		g := newRig(t, web(adverts(10*ms)))
		g.active()
		h := g.handOver()
		over := 0
		g.follow(h, 700*ms, c.cfg, func(p *daemon.Ports) { p.StandIn = &daemon.StandIn{Until: c.until, Over: func() { over++ }} })
		g.up()
		if over != 1 {
			t.Errorf("%s: ended %d times", name, over)
		}
		if len(c.cfg.Routers) > 0 && g.state("web") == "active" {
			t.Errorf("%s: active", name)
		}
	}
}

func adverts(every time.Duration) func(*daemon.RouterConfig) {
	return func(c *daemon.RouterConfig) { c.Spec.Interval = every }
}

// What the new configuration does not have any more is named: nobody looks after it.
func TestHandOverOfWhatIsGone(t *testing.T) {
	h := servingSite(t)
	hand := h.g.handOver()
	h.open, h.cut, h.g.lines = nil, nil, nil
	h.g.follow(hand, 100*ms, config(), func(p *daemon.Ports) { p.Agents = h })
	h.g.up()
	said := strings.Join(h.g.linesFrom(slog.LevelWarn), "; ")
	for _, want := range []string{"(web) was Active in the process before and is not configured any more", "(site) was up in the process before and is not configured any more"} {
		if !strings.Contains(said, want) {
			t.Errorf("%q is not said: %q", want, said)
		}
	}
}

// A router with another name is the same to the others: it goes on.
func TestHandOverToAnotherName(t *testing.T) {
	g := newRig(t, web(adverts(100*ms)))
	g.active()
	h := g.handOver()
	other := web(adverts(100 * ms))
	other.Name = "www"
	g.follow(h, 50*ms, config(other))
	g.up()
	if st := g.state("www"); st != "active" {
		t.Errorf("www is %s", st)
	}
}
