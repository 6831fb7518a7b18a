package sim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/test/sim"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// gateway is the sync group of these scenarios: inside on eth0, VRID 1, and
// outside on eth1, VRID 2, with an interval of 1 s.
func gateway(priority uint8, change ...func(*daemon.RouterConfig)) []daemon.RouterConfig {
	routers := []daemon.RouterConfig{
		sim.Grouped(sim.RouterOn(0, "inside", vrrp.IPv4, 1, priority, s), "gw"),
		sim.Grouped(sim.RouterOn(1, "outside", vrrp.IPv4, 2, priority, s), "gw"),
	}
	for i := range routers {
		for _, f := range change {
			f(&routers[i])
		}
	}
	return routers
}

func twoLinks(o *sim.Options) { o.Links = 2 }

// newGateway has two hosts with these priorities at rest, 10.25 s after their start.
func newGateway(t *testing.T, priorities [2]uint8, change ...func(*daemon.RouterConfig)) *scene {
	c := newScene(t, 2, twoLinks)
	for i, p := range priorities {
		c.boot(i, gateway(p, change...)...)
	}
	c.rest(10 * s)
	c.run(250 * ms)
	c.wantGateway("active", "backup")
	return c
}

// states are of inside and outside on a host; one word if they agree.
func (c *scene) states(host int) string {
	g := gateway(1)
	in, out := c.h[host].State(&g[0]), c.h[host].State(&g[1])
	if in == out {
		return in
	}
	return in + "/" + out
}

func (c *scene) wantGateway(first, second string) {
	c.t.Helper()
	if got := [2]string{c.states(0), c.states(1)}; got != [2]string{first, second} {
		c.t.Fatalf("the hosts are %v, want %s and %s\n%s", got, first, second, c.Transcript())
	}
}

// tookOver returns how long after an instant both members of a host became Active.
func (c *scene) tookOver(host int, after time.Duration) time.Duration {
	c.t.Helper()
	last := time.Duration(0)
	for _, r := range gateway(1) {
		if c.h[host].State(&r) != "active" {
			c.t.Fatalf("%s is %s\n%s", r.Name, c.states(host), c.Transcript())
		}
		last = max(last, c.h[host].Since(&r)-after)
	}
	return last
}

func (c *scene) count(mark string) int { return strings.Count(c.Transcript(), mark) }

// skew100 is Skew_Time of priority 100 at 1 s (RFC 9568 6.1).
const skew100 = s * (256 - 100) / 256

// The carrier of one link is lost: all members move, and the peer's waits for
// silence on neither link. Inside, whose link works, nothing is ever missing.
func TestGroupLosesOneCarrier(t *testing.T) {
	c := newGateway(t, [2]uint8{150, 100})
	inside := gateway(150)[0].Addresses[0].Prefix
	c.Cover(inside)
	lost := c.Now()
	c.h[0].LinkDown(1)
	c.rest(5 * s)
	c.wantGateway("initialize", "active")
	if took := c.tookOver(1, lost); took > skew100+5*ms {
		t.Errorf("took over after %v, a skew is %v\n%s", took, skew100, c.Transcript())
	}
	if bare := c.Uncovered(inside); bare > 0 {
		t.Errorf("%s was nowhere for %v\n%s", inside, bare, c.Transcript())
	}
	c.h[0].LinkUp(1)
	c.rest(10 * s)
	c.wantGateway("active", "backup")
	golden(t, "group-carrier-lost", c.Transcript())
}

// One link is cut in silence: as long as the other carries the Active's
// adverts, the group stays where it is, on both hosts, and so it does when the
// link is whole again.
func TestGroupWithOneLinkCut(t *testing.T) {
	for link := range 2 {
		c := newGateway(t, [2]uint8{150, 100})
		before := c.count(" -> ")
		c.Partition(link, 0, 1)
		c.rest(30 * s)
		c.Heal()
		c.rest(10 * s)
		c.wantGateway("active", "backup")
		if n := c.count(" -> ") - before; n != 0 {
			t.Errorf("link %d: %d transitions\n%s", link, n, c.Transcript())
		}
	}
}

// Both links are cut: both hosts serve, and one of them when they are whole again.
func TestGroupWithBothLinksCut(t *testing.T) {
	c := newGateway(t, [2]uint8{150, 100})
	c.Partition(0, 0, 1)
	c.Partition(1, 0, 1)
	c.rest(10 * s)
	c.wantGateway("active", "active")
	c.Heal()
	c.rest(5 * s)
	c.wantGateway("active", "backup")
}

func TestGroupStops(t *testing.T) {
	c := newGateway(t, [2]uint8{150, 100})
	for _, r := range gateway(150) {
		c.Cover(r.Addresses[0].Prefix)
	}
	asked := c.Now()
	c.h[0].Stop(true)
	c.rest(5 * s)
	if took := c.tookOver(1, asked); took > skew100+5*ms {
		t.Errorf("took over after %v, a skew is %v", took, skew100)
	}
	for _, r := range gateway(150) {
		if bare := c.Uncovered(r.Addresses[0].Prefix); bare > 0 {
			t.Errorf("%s was nowhere for %v\n%s", r.Name, bare, c.Transcript())
		}
	}
}

func TestGroupDies(t *testing.T) {
	c := newGateway(t, [2]uint8{150, 100})
	crash := c.Now()
	c.h[0].Crash()
	c.rest(6 * s)
	if took := c.tookOver(1, crash); took > 3*s+skew100+5*ms {
		t.Errorf("took over after %v, Active_Down_Interval is %v", took, 3*s+skew100)
	}
	c.boot(0, gateway(150)...)
	c.rest(10 * s)
	c.wantGateway("active", "backup")
}

func TestGroupStalls(t *testing.T) {
	c := newGateway(t, [2]uint8{150, 100})
	c.h[0].Stall(6 * s)
	c.run(5 * s)
	c.wantGateway("active", "active") // the one that stalls does not know
	c.rest(20 * s)
	c.wantGateway("active", "backup")
}

// Equal priorities, and addresses that are ordered differently on the two
// links: each host wins on one. They do not swing for ever.
func TestGroupOfEquals(t *testing.T) {
	c := newScene(t, 2, twoLinks, func(o *sim.Options) { o.Reversed = true })
	c.boot(0, gateway(100)...)
	c.boot(1, gateway(100)...)
	c.run(4 * time.Minute)
	swings := c.count("Backup -> Active")
	if swings > 40 {
		t.Errorf("%d promotions\n%s", swings, c.Transcript())
	}
	c.rest(10 * time.Minute)
	if n := c.count("Backup -> Active"); n != swings {
		t.Errorf("%d promotions in the first four minutes, %d in the ten after\n%s", swings, n-swings, c.Transcript())
	}
	t.Logf("%d promotions before it was settled", swings)
}

// A reload takes a router out of its group and puts it in again. What the
// configuration says counts at once.
func TestGroupReloads(t *testing.T) {
	c := newGateway(t, [2]uint8{150, 100})
	alone := gateway(150)
	for i := range alone {
		alone[i] = sim.Grouped(alone[i], "")
	}
	c.h[0].Reload(sim.Config(c.h[0], alone...))
	c.rest(5 * s)
	c.wantGateway("active", "backup")
	c.h[0].LinkDown(1)
	c.rest(5 * s)
	c.wantGateway("active/initialize", "backup") // the other host's group hears inside
	c.h[0].LinkUp(1)
	c.rest(10 * s)
	c.wantGateway("active", "backup")
	c.h[0].Reload(sim.Config(c.h[0], gateway(150)...))
	c.rest(5 * s)
	c.wantGateway("active", "backup")
	c.h[0].LinkDown(1)
	c.rest(5 * s)
	c.wantGateway("initialize", "active")
}

// A router that a reload takes out of a group decides for itself from then on.
func TestGroupLetsAMemberGo(t *testing.T) {
	third := sim.RouterOn(0, "third", vrrp.IPv4, 3, 150, s)
	c := newScene(t, 1, twoLinks)
	c.boot(0, append(gateway(150), sim.Grouped(third, "gw"))...)
	c.h[0].LinkDown(1)
	c.rest(5 * s)
	if got := c.h[0].State(&third); got != "initialize" {
		t.Fatalf("as a member it is %s", got)
	}
	c.h[0].Reload(sim.Config(c.h[0], append(gateway(150), third)...))
	c.rest(10 * s)
	if got := c.h[0].State(&third); got != "active" {
		t.Errorf("by itself it is %s\n%s", got, c.Transcript())
	}
}

// link_down_delay bridges a short loss of one member's carrier for the whole group.
func TestGroupWaitsForALostLink(t *testing.T) {
	c := newGateway(t, [2]uint8{150, 100}, func(c *daemon.RouterConfig) { c.Spec.LinkDownDelay = 1500 * ms })
	before := c.count(" -> ")
	c.h[0].LinkDown(1)
	c.run(800 * ms)
	c.h[0].LinkUp(1)
	c.rest(5 * s)
	if n := c.count(" -> ") - before; n != 0 || c.count("priority 0") > 0 {
		t.Errorf("%d transitions\n%s", n, c.Transcript())
	}
}

// Two members on one link: when it comes back, they come back together, and
// neither says goodbye because the other was looked at later.
func TestGroupWithTwoMembersOnALink(t *testing.T) {
	c := newScene(t, 2, twoLinks)
	for i, p := range []uint8{150, 100} {
		routers := gateway(p)
		routers = append(routers, sim.Grouped(sim.RouterOn(0, "third", vrrp.IPv4, 3, p, s), "gw"))
		for j := range routers {
			routers[j].Spec.LinkDownDelay = 1500 * ms
		}
		c.boot(i, routers...)
	}
	c.rest(10 * s)
	c.h[0].LinkDown(0)
	c.run(800 * ms)
	c.h[0].LinkUp(0)
	c.rest(5 * s)
	if n := c.count("priority 0"); n > 0 {
		t.Errorf("%d goodbyes\n%s", n, c.Transcript())
	}
}

// preempt_delay runs out at another moment on each link. The better host
// preempts all the same.
func TestGroupPreemptsAfterADelay(t *testing.T) {
	c := newScene(t, 2, twoLinks)
	c.boot(1, gateway(100)...)
	c.rest(10 * s)
	inside := gateway(100)[0]
	c.run(c.h[1].Spoke(&inside) + 1700*ms - c.Now())
	c.h[1].Failover(0) // from now on inside speaks 700 ms after outside
	c.rest(5 * s)
	c.boot(0, gateway(150, hold(5500*ms))...)
	c.run(60 * s)
	c.wantGateway("active", "backup")
}

// The owner of both members' addresses takes them at once, and only once both links work.
func TestGroupOfOwners(t *testing.T) {
	c := newScene(t, 2, twoLinks)
	own := gateway(vrrp.PriorityOwner, func(c *daemon.RouterConfig) { c.Owner = true })
	for _, r := range own {
		c.h[0].Own(r)
	}
	c.boot(1, gateway(100)...)
	c.rest(10 * s)
	c.h[0].LinkDown(1)
	c.boot(0, own...)
	c.rest(5 * s)
	c.wantGateway("initialize", "active")
	c.h[0].LinkUp(1)
	c.run(50 * ms)
	c.wantGateway("active", "backup")
	c.rest(5 * s)
}

// A member whose interface is replaced says nothing that is taken back: the
// others' goodbye is the only one, whether the sockets of the new one open or not.
func TestGroupSaysGoodbyeOnce(t *testing.T) {
	for _, broken := range []bool{false, true} {
		c := newScene(t, 1, twoLinks)
		c.boot(0, gateway(150)...)
		c.rest(10 * s)
		c.h[0].BreakSockets(broken)
		c.h[0].Vanish(1)
		c.run(300 * ms)
		c.h[0].Appear(1)
		c.run(3 * s)
		if n := c.count("priority 0"); n != 1 {
			t.Errorf("sockets broken %t: %d goodbyes\n%s", broken, n, c.Transcript())
		}
	}
}
