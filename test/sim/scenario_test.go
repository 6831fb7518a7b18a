package sim_test

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/test/sim"
	"github.com/backbeat-ha/backbeat/vrrp"
)

var update = flag.Bool("update", false, "write testdata anew; commit only what you understand")

const (
	ms = time.Millisecond
	s  = time.Second
)

// scene is a LAN in which nothing is left to chance: packets take 1 ms, the
// kernel 5 ms, hooks 20 ms at most, and all clocks tick at one time.
type scene struct {
	*sim.LAN
	t *testing.T
	h []*sim.Host
}

func newScene(t *testing.T, hosts int, change ...func(*sim.Options)) *scene {
	o := sim.Options{Seed: 1, Hosts: hosts, MinDelay: ms, KernelDelay: 5 * ms, HookDelay: 20 * ms, Transcript: true}
	for _, f := range change {
		f(&o)
	}
	lan := sim.New(o)
	return &scene{LAN: lan, t: t, h: lan.Hosts()}
}

// web is the virtual router of most scenarios: VRID 51, IPv4, 1 s.
func web(priority uint8, change ...func(*daemon.RouterConfig)) daemon.RouterConfig {
	c := sim.Router("web", vrrp.IPv4, 51, priority, s)
	for _, f := range change {
		f(&c)
	}
	return c
}

func noPreempt(c *daemon.RouterConfig) { c.Spec.Preempt = false }
func name(n string) func(*daemon.RouterConfig) {
	return func(c *daemon.RouterConfig) { c.Name = n }
}
func hold(d time.Duration) func(*daemon.RouterConfig) {
	return func(c *daemon.RouterConfig) { c.Spec.PreemptDelay = d }
}

// boot starts host i with its routers.
func (c *scene) boot(i int, routers ...daemon.RouterConfig) {
	c.h[i].Boot(sim.Config(c.h[i], routers...))
}

func (c *scene) run(d time.Duration) {
	c.t.Helper()
	if err := c.Run(d); err != nil {
		c.t.Fatal(err)
	}
}

// rest lets time pass and judges what is then.
func (c *scene) rest(d time.Duration) {
	c.t.Helper()
	c.run(d)
	if err := c.CheckRest(); err != nil {
		c.t.Fatal(err)
	}
}

// settled boots hosts with these priorities and waits until all is quiet, at 10 s.
func (c *scene) settled(priorities ...uint8) {
	c.t.Helper()
	for i, p := range priorities {
		c.boot(i, web(p))
	}
	c.rest(10 * s)
}

// Each scenario is a story with its whole transcript in testdata.
func TestScenarios(t *testing.T) {
	for _, tt := range []struct {
		name  string
		hosts int
		play  func(*scene)
	}{
		{"kill", 2, func(c *scene) {
			c.settled(150, 100)
			c.run(250 * ms)
			c.h[0].Crash()
			c.rest(6 * s)
			c.boot(0, web(150))
			c.rest(6 * s)
		}},
		{"cut-and-heal", 2, func(c *scene) {
			c.settled(150, 100)
			c.Partition(0, 0, 1)
			c.rest(6 * s)
			c.Heal()
			c.rest(4 * s)
		}},
		{"link-down-and-up", 2, func(c *scene) {
			c.settled(150, 100)
			c.h[0].LinkDown(0)
			c.rest(6 * s)
			c.h[0].LinkUp(0)
			c.rest(6 * s)
		}},
		{"stop-with-yield", 2, func(c *scene) {
			c.settled(150, 100)
			c.run(250 * ms)
			c.h[0].Stop(true)
			c.rest(4 * s)
		}},
		{"stop-at-once", 2, func(c *scene) {
			c.settled(150, 100)
			c.run(250 * ms)
			c.h[0].Stop(false)
			c.rest(4 * s)
		}},
		{"stop-alone", 1, func(c *scene) {
			c.boot(0, sim.WithHook(web(150), "pager"))
			c.rest(10 * s)
			c.h[0].Stop(true)
			c.rest(4 * s)
		}},
		{"stalled-active-replaced", 2, func(c *scene) {
			c.settled(150, 100)
			c.h[0].Stall(5 * s)
			c.rest(12 * s)
		}},
		{"stalled-active-alone", 1, func(c *scene) {
			c.settled(150)
			c.h[0].Stall(5 * s)
			c.rest(12 * s)
		}},
		{"stalled-backup", 2, func(c *scene) {
			c.settled(150, 100)
			c.h[1].Stall(5 * s) // its socket holds the adverts
			c.rest(12 * s)
		}},
		{"paused-backup", 2, func(c *scene) {
			c.settled(150, 100)
			c.h[1].Pause(5 * s) // nothing holds them
			c.rest(12 * s)
		}},
		{"equal-promoted-together", 2, func(c *scene) { // A14
			c.settled(100, 100)
		}},
		{"three-hosts", 3, func(c *scene) {
			c.settled(200, 150, 100)
			c.h[0].Crash()
			c.rest(6 * s)
			c.h[1].Crash()
			c.rest(6 * s)
		}},
		{"preempt-delay", 2, func(c *scene) {
			c.boot(1, web(100))
			c.rest(6 * s)
			c.boot(0, web(150, hold(5*s)))
			c.rest(12 * s)
		}},
		{"no-preempt", 2, func(c *scene) {
			c.boot(1, web(100, noPreempt))
			c.rest(6 * s)
			c.boot(0, web(150, noPreempt))
			c.rest(8 * s)
			c.h[1].Stop(true)
			c.rest(6 * s)
		}},
		{"owner", 2, func(c *scene) {
			own := web(vrrp.PriorityOwner, func(c *daemon.RouterConfig) { c.Owner = true })
			c.h[0].Own(own)
			c.boot(1, web(100))
			c.rest(6 * s)
			c.boot(0, own)
			c.rest(4 * s)
			c.h[0].Crash()
			c.rest(6 * s)
		}},
		{"ipv6-and-hooks", 2, func(c *scene) {
			r := sim.WithHook(sim.WithHook(sim.Router("web6", vrrp.IPv6, 51, 150, 100*ms), "first"), "second")
			c.boot(0, r)
			r.Spec.Priority = 100
			c.boot(1, r)
			c.rest(2 * s)
			c.h[0].Crash()
			c.rest(2 * s)
		}},
		{"reload-add-remove", 2, func(c *scene) {
			mail := func(p uint8) daemon.RouterConfig { return sim.Router("mail", vrrp.IPv4, 52, p, s) }
			c.settled(150, 100)
			for i, p := range []uint8{150, 100} {
				c.h[i].Reload(sim.Config(c.h[i], web(p), mail(250-p)))
			}
			c.rest(6 * s)
			c.h[1].Reload(sim.Config(c.h[1], web(100)))
			c.rest(6 * s)
			c.h[0].Reload(sim.Config(c.h[0], web(150)))
			c.rest(6 * s)
		}},
		{"reload-rename", 2, func(c *scene) {
			c.settled(150, 100)
			c.h[0].Reload(sim.Config(c.h[0], web(150, name("www"))))
			c.rest(8 * s)
		}},
		{"reload-priority", 2, func(c *scene) {
			c.settled(150, 100)
			c.h[0].Reload(sim.Config(c.h[0], web(50)))
			c.rest(6 * s)
		}},
		{"interface-missing", 2, func(c *scene) {
			c.h[0].Vanish(0)
			c.settled(150, 100)
			c.h[0].Appear(0)
			c.rest(6 * s)
			c.h[0].Vanish(0)
			c.rest(6 * s)
		}},
		{"sockets-broken", 1, func(c *scene) {
			c.h[0].BreakSockets(true)
			c.boot(0, web(150))
			c.rest(2 * s)
			c.h[0].BreakSockets(false)
			c.rest(8 * s)
		}},
		{"addresses-stolen", 2, func(c *scene) {
			c.settled(150, 100)
			for range 5 {
				c.h[0].Steal()
				c.run(100 * ms)
			}
			c.rest(2 * s)
		}},
		{"different-intervals", 2, func(c *scene) {
			c.boot(0, web(150))
			c.boot(1, web(100, func(c *daemon.RouterConfig) { c.Spec.Interval = 100 * ms }))
			c.rest(10 * s)
			c.h[0].Crash()
			c.rest(6 * s)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := newScene(t, tt.hosts)
			tt.play(c)
			golden(t, tt.name, c.Transcript())
		})
	}
}

// golden compares a transcript with its file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (go test ./test/sim -run Scenarios -update makes it)", err)
	}
	if string(want) != got {
		t.Errorf("the story is another one than in %s\n got\n%s\nwant\n%s", path, got, want)
	}
}

// A reload that changes nothing has no effect: the LAN's story, adverts
// included, is the same with it and without.
func TestReloadUnchanged(t *testing.T) {
	adverts := func(o *sim.Options) { o.Adverts = true }
	play := func(reload bool) string {
		c := newScene(t, 2, adverts)
		c.settled(150, 100)
		before := c.Transcript()
		for i, p := range []uint8{150, 100} {
			if cfg := sim.Config(c.h[i], web(p)); reload {
				c.After(300*ms, func() { c.h[i].Reload(cfg) })
			}
		}
		c.rest(10 * s)
		return without(c.Transcript()[len(before):], "---")
	}
	if with, plain := play(true), play(false); with != plain {
		t.Errorf("with the reload\n%s\nwithout\n%s", with, plain)
	}
}

// The adverts of an Active lie on a grid from the first one on, to the
// microsecond, for an hour, however late each wake-up is.
func TestNoDrift(t *testing.T) {
	const late = 700 * time.Microsecond
	c := newScene(t, 2, func(o *sim.Options) { o.WakeDelay = late; o.OddClocks = true })
	c.settled(150, 100)
	r := web(150)
	first := c.h[0].Spoke(&r)
	for i := range 3600 {
		c.run(s)
		off := (c.h[0].Spoke(&r) - first) % s
		if off > s/2 {
			off -= s
		}
		if off < -late || off > late {
			t.Fatalf("after %d s the adverts have drifted by %v", i, off)
		}
	}
}
