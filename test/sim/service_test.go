package sim_test

import (
	"slices"
	"testing"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/test/sim"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// served boots host i with routers and a service group of these steps that follows all
// of them; with fencing it shoots the only other host.
func (c *scene) served(i int, mode actions.SafetyMode, routers []daemon.RouterConfig, steps ...string) {
	var follows []string
	for _, r := range routers {
		follows = append(follows, r.Name)
	}
	slices.Sort(follows)
	g := sim.Fenced(sim.Group("site", mode, follows, steps...), c.h[1-min(i, 1)], 0)
	c.h[i].Boot(sim.WithServices(sim.Config(c.h[i], routers...), g))
}

func disks(o *sim.Options) {
	o.Disks, o.Ignorant, o.StepDelay, o.LookDelay, o.Links = true, true, 400*ms, 40*ms, 2
}

func (c *scene) has(host int, step string) bool { return c.h[host].Has("site/" + step) }

func (c *scene) wantOn(host int, step string) {
	c.t.Helper()
	for i := range c.h {
		if c.has(i, step) != (i == host) {
			c.t.Fatalf("h%d has %s: %t\n%s", i+1, step, i != host, c.Transcript())
		}
	}
}

// Two hosts that start together and win at one moment: both would have taken the data.
func TestTwoWinAtOneMoment(t *testing.T) {
	c := newScene(t, 2, disks, func(o *sim.Options) { o.LookDelay = 0 })
	for i := range 2 {
		c.served(i, actions.SafetyNone, []daemon.RouterConfig{web(100)}, "fs.data")
	}
	c.rest(30 * s)
	c.wantOn(1, "fs.data") // the higher address
}

// An owner starts while another serves: it takes the address at once, and the data when
// the other has let go.
func TestOwnerWaitsForTheData(t *testing.T) {
	c := newScene(t, 2, disks)
	c.h[0].Own(web(1))
	c.served(1, actions.SafetyNone, []daemon.RouterConfig{web(100)}, "fs.data", "lsb.app")
	c.rest(20 * s)
	c.wantOn(1, "fs.data")
	c.served(0, actions.SafetyNone, []daemon.RouterConfig{web(vrrp.PriorityOwner, func(r *daemon.RouterConfig) { r.Owner = true })}, "fs.data", "lsb.app")
	c.rest(30 * s)
	c.wantOn(0, "fs.data")
}

// Pushed aside on one link, the members on the others say no goodbye with data in use:
// the winner would take it for the word that it is free (seed 171 of its day).
func TestSyncGroupWithDataIsPushedAside(t *testing.T) {
	c := newScene(t, 2, disks)
	c.served(0, actions.SafetyFence, gateway(150, hold(3*s)), "fs.data", "lsb.app")
	c.h[0].Order(daemon.Command{Verb: daemon.CommandStandby})
	c.served(1, actions.SafetyFence, gateway(100), "fs.data", "lsb.app")
	c.run(20 * s)
	c.wantOn(1, "fs.data")
	c.h[0].Order(daemon.Command{Verb: daemon.CommandOnline})
	c.rest(40 * s)
	c.wantOn(0, "fs.data")
	if c.count("fences") > 0 {
		t.Errorf("fenced a host that let go\n%s", c.Transcript())
	}
}

// Removed with its router, a group says when it is down that it holds nothing.
func TestRemovedGroupSaysItsWord(t *testing.T) {
	c := newScene(t, 2, disks)
	c.served(0, actions.SafetyFence, []daemon.RouterConfig{web(150)}, "fs.data", "lsb.app")
	c.served(1, actions.SafetyFence, []daemon.RouterConfig{web(100)}, "fs.data", "lsb.app")
	c.run(20 * s)
	c.wantOn(0, "fs.data")
	c.h[0].Reload(sim.Config(c.h[0]))
	c.run(30 * s)
	c.wantOn(1, "fs.data")
	if c.count("fences") > 0 {
		t.Errorf("fenced\n%s", c.Transcript())
	}
}

// Planned restarts of both hosts, one after the other: nobody notices.
func TestRestartOfBoth(t *testing.T) {
	c := newScene(t, 2, disks)
	for i, p := range []uint8{150, 100} {
		c.served(i, actions.SafetyFence, []daemon.RouterConfig{web(p)}, "lsb.a", "fs.data", "lsb.b")
	}
	c.rest(40 * s)
	before, moved := c.count(" -> "), c.count(": start ")+c.count(": stop ")
	for i := range c.h {
		cfg := c.h[i].Config()
		c.h[i].HandOver(func(handed bool) {
			if !handed {
				t.Error("does not hand over")
			}
			c.After(300*ms, func() { c.h[i].Boot(cfg) })
		})
		c.rest(10 * s)
	}
	if after := c.count(" -> "); after != before {
		t.Errorf("%d transitions\n%s", after-before, c.Transcript())
	}
	if n := c.count(": start ") + c.count(": stop "); n != moved {
		t.Errorf("%d steps moved", n-moved)
	}
}

// The Active dies with the data in use; the other fences it first.
func TestDeadHostIsFencedFirst(t *testing.T) {
	c := newScene(t, 2, disks)
	for i, p := range []uint8{150, 100} {
		c.served(i, actions.SafetyFence, []daemon.RouterConfig{web(p)}, "fs.data", "lsb.b")
	}
	c.rest(40 * s)
	c.h[0].Crash() // the file system stays mounted
	c.run(20 * s)
	c.wantOn(1, "fs.data")
	if !c.h[0].Off() {
		t.Errorf("the dead host is not off\n%s", c.Transcript())
	}
}
