package stories

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// The story of docs/stories/gateway-pair.md: fw1 and fw2 between a server inside and
// a host of the world.

var (
	gwOutside = netip.MustParseAddr("192.168.122.100")
	gwInside  = netip.MustParseAddr("10.0.0.1")
)

// What follows from the file: interval 250ms, settle 2s, priority 100 of fw2.
const (
	gwInterval = 250 * time.Millisecond
	gwSkew     = gwInterval * 156 / 256
	gwDown     = 3*gwInterval + gwSkew
	gwSettle   = 2 * time.Second
)

type gateways struct {
	*story
	fw1, fw2 *node
	out, in  *lab.Probe // of the virtual addresses, from the world and from the server
}

// newGateways sets both hosts up as docs/stories/gateway-pair.md says.
func newGateways(t *testing.T) *gateways {
	t.Helper()
	need(t, "conntrack", "conntrack")
	need(t, "nftables", "nft")
	s := newStory(t, "gateway-pair/gateway.hcl", []string{"fw1", "fw2"}, []string{"world", "server"}, 2, "/usr/local/sbin")
	g := &gateways{story: s, fw1: s.node("fw1"), fw2: s.node("fw2")}
	for i, n := range s.nodes {
		own := string(rune('1' + i))
		s.address(n.Name, 0, "192.168.122.1"+own+"/24")
		s.address(n.Name, 1, "10.0.0.1"+own+"/24")
		n.write("/usr/local/lib/backbeat/gateway-conntrack", s.read("examples/gateway-pair/gateway-conntrack"), 0o755)
		g.network(n)
	}
	s.address("world", 0, "192.168.122.200/24")
	s.address("server", 1, "10.0.0.50/24")
	s.run("server", "ip", "link", "set", "eth0", "down") // it is inside only
	s.run("world", "ip", "link", "set", "eth1", "down")
	s.run("server", "ip", "route", "add", "default", "via", gwInside.String())
	var err error
	g.out, err = s.Host("world").Probe(lab.ProbeSpec{Target: gwOutside, Interval: time.Millisecond})
	s.must(err)
	g.in, err = s.Host("server").Probe(lab.ProbeSpec{Target: gwInside, Interval: time.Millisecond})
	s.must(err)
	s.part("world", "echo", "192.168.122.200:7007")
	return g
}

// network is what the host's own boot does: the firewall and forwarding.
func (g *gateways) network(n *node) {
	g.t.Helper()
	g.run(n.Name, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
	g.run(n.Name, "nft", "-f", "../../examples/gateway-pair/nftables.conf")
}

// serves waits until a gateway holds both addresses and answers for both, and the other
// one for none.
func (g *gateways) serves(n *node) {
	g.t.Helper()
	g.until(n.Name+" to serve on both links", func() bool {
		return slices.Equal(g.Holders(gwInside), []string{n.Name}) && slices.Equal(g.Holders(gwOutside), []string{n.Name}) &&
			g.out.Answerer() == n.Name && g.in.Answerer() == n.Name &&
			n.state("inside") == "active" && n.state("outside") == "active"
	})
}

// saw reports what both clients saw since a fault; each must have had another answer
// within bound, and no longer silence than that.
func (g *gateways) saw(fault time.Duration, what string, bound time.Duration, by string) {
	g.t.Helper()
	for side, p := range map[string]*lab.Probe{"outside": g.out, "inside": g.in} {
		r := p.Since(fault)
		g.t.Logf("%s, %s: %s", what, side, r)
		if allowed := bound + g.slack(fault) + 10*r.WorstStall; r.By != by || r.Silence > allowed {
			g.t.Errorf("%s, %s: %q answered, silence %s, allowed %s", what, side, r.By, r.Silence, allowed)
		}
	}
}

// entries is how many connections the kernel of a gateway knows of.
func (g *gateways) entries(n *node, filter ...string) int {
	g.t.Helper()
	out := g.run(n.Name, append([]string{"conntrack", "-L"}, filter...)...)
	return strings.Count(out, "src=10.0.0.50")
}

// What an operator does (services.md 7.1, steps 2, 3, 5–8, 13): a start alone, the other
// one, an address lost, standby and online, a stop, no failback, failback by a reload, a move.
func TestGatewayPair(t *testing.T) {
	t.Parallel()
	g := newGateways(t)
	g.fw1.start()
	g.serves(g.fw1) // alone: nobody was ever heard
	g.fw1.do([]string{"Active", "this host"}, "status")
	g.fw2.start()
	g.rests()
	g.serves(g.fw1)
	g.fw2.do([]string{"192.168.122.11", "10.0.0.11"}, "status") // it names the Active on each link

	lost := lab.Now() // somebody removes an address
	g.run("fw1", "ip", "addr", "del", "10.0.0.1/24", "dev", "eth1")
	g.within(200*time.Millisecond+g.slack(lost), "the address to be back", func() bool { return g.fw1.Has(gwInside) })
	g.serves(g.fw1)

	g.talk("server", "192.168.122.200:7007", 10*time.Second)
	if g.entries(g.fw1, "--src-nat") == 0 {
		t.Error("the connection of the server is not translated on fw1")
	}
	standby := lab.Now()
	g.fw1.do([]string{"192.168.122.12 (priority 100) is Active now", "in standby until backbeat online"}, "standby", "--reason", "kernel update")
	g.serves(g.fw2)
	g.saw(standby, "standby", 0, "fw2")
	g.until("the hook to empty fw1's table", func() bool { return g.entries(g.fw1) == 0 })
	g.talk("server", "192.168.122.200:7007", 10*time.Second) // without conntrackd the other one is lost; a new one is not
	g.must(g.fw1.d.Stop(g.ctx))                              // the reboot after the update
	g.fw1.start()
	g.fw1.do([]string{"standby", "kernel update"}, "status")
	g.fw1.do(nil, "online")
	g.rests() // resource-stickiness: it stays on fw2
	time.Sleep(2 * gwDown)
	g.serves(g.fw2)

	stop := lab.Now() // systemctl stop backbeat
	g.must(g.fw2.d.Stop(g.ctx))
	g.serves(g.fw1)
	g.saw(stop, "stop", 0, "fw1")
	g.fw2.start()
	g.rests()
	g.fw1.do([]string{"(priority 100) is Active now"}, "move", "inside", "--reason", "a new switch")
	g.serves(g.fw2)
	for _, order := range []string{`"pinned"`, `"orders"`} { // one-shot
		if text, _ := g.fw1.verb("status", "-o", "json"); strings.Contains(text, order) {
			t.Errorf("the move has left %s:\n%s", order, text)
		}
	}
	g.fw1.do(nil, "unmove", "inside")

	reload := lab.Now() // failback = immediate, on both
	for _, n := range []*node{g.fw2, g.fw1} {
		g.must(n.d.Configure(strings.ReplaceAll(g.read("examples/gateway-pair/gateway.hcl"), "preempt   = false", "preempt   = true")))
		n.do(nil, "reload")
	}
	g.serves(g.fw1)
	g.saw(reload, "failback by a reload", 0, "fw1")
}

// The plug is pulled (steps 9, 10, 12): the other one serves in time, on both links, and
// with conntrackd the connections through NAT go on. The dead one returns to a switch
// that does not forward yet, and takes nothing.
func TestGatewayPairPowerOff(t *testing.T) {
	t.Parallel()
	need(t, "conntrackd", "conntrackd")
	g := newGateways(t)
	for _, n := range g.nodes {
		g.conntrackd(n)
	}
	g.fw1.start()
	g.fw2.start()
	g.serves(g.fw1)
	g.rests()
	k := g.talk("server", "192.168.122.200:7007", 20*time.Second)
	g.until("fw2 to be told of the connection", func() bool {
		return strings.Contains(g.run("fw2", "conntrackd", "-C", g.conntrackdConf(g.fw2), "-e"), "src=10.0.0.50")
	})
	off := lab.Now()
	g.fw1.off()
	g.serves(g.fw2)
	g.saw(off, "power-off", gwDown, "fw2")
	g.until("the connection to go on", func() bool { n, _, _ := k.since(off + gwDown); return n > 20 })
	n, longest, broken := k.since(off)
	t.Logf("power-off: a connection through NAT went on after %s (%d answers)", longest.Round(time.Millisecond), n)
	if broken != "" {
		t.Error(broken)
	}

	on := lab.Now()
	g.fw1.on()
	for k := range 2 { // the switch does not forward yet
		g.must(g.fw1.LoseLink(k))
	}
	g.network(g.fw1)
	g.conntrackd(g.fw1)
	g.fw1.start()
	time.Sleep(gwSettle * 3 / 4)
	if g.fw1.Has(gwInside) || g.fw1.Has(gwOutside) {
		t.Error("fw1 has taken an address while the switch did not forward")
	}
	for k := range 2 {
		g.must(g.fw1.UnloseLink(k))
	}
	g.rests()
	time.Sleep(2 * gwDown)
	g.serves(g.fw2)
	g.unmoved(on)
}

// One cable is cut (steps 11, 12, 16), and later flaps: both addresses move, at once, and
// stay. A switch that dies between the two on one side makes no second gateway.
func TestGatewayPairLinkCut(t *testing.T) {
	t.Parallel()
	g := newGateways(t)
	g.fw1.start()
	g.fw2.start()
	g.serves(g.fw1)
	g.rests()

	dead := lab.Now() // the switch outside: fw2 hears nothing there
	g.must(g.fw2.LoseLink(0))
	g.until("fw2 to have won outside", func() bool {
		r, err := g.fw2.d.Router(g.ctx, "outside")
		return err == nil && r.Ready
	})
	time.Sleep(gwDown)
	g.fw2.do([]string{"wait"}, "status")
	g.must(g.fw2.UnloseLink(0))
	g.serves(g.fw1)
	g.unmoved(dead)

	cut := lab.Now()
	g.must(g.fw1.CutLink(0))
	g.serves(g.fw2)
	g.saw(cut, "cable cut", gwSkew, "fw2")
	g.fw1.do([]string{"no carrier"}, "status")
	for range 5 { // flapping
		g.must(g.fw1.HealLink(0))
		time.Sleep(60 * time.Millisecond)
		g.must(g.fw1.CutLink(0))
		time.Sleep(60 * time.Millisecond)
	}
	g.must(g.fw1.HealLink(0))
	g.rests()
	time.Sleep(gwDown)
	g.serves(g.fw2)
	if r := g.in.Since(cut); r.Changes > 1 {
		t.Errorf("the inside address moved %d times", r.Changes)
	}

	cut = lab.Now() // the other side of the other one
	g.must(g.fw2.CutLink(1))
	g.serves(g.fw1)
	g.saw(cut, "the other cable cut", gwSkew, "fw1")
	g.must(g.fw2.HealLink(1))
	g.rests()
	g.serves(g.fw1)
}

// Both links between the two are dead (step 15): both serve, since nobody can know better.
// When they hear each other again one is left, and all neighbours are told.
func TestGatewayPairSplit(t *testing.T) {
	t.Parallel()
	g := newGateways(t)
	g.fw1.start()
	g.fw2.start()
	g.serves(g.fw1)
	g.rests()
	for k := range 2 {
		g.must(g.fw2.LoseLink(k))
	}
	g.until("both to serve", func() bool { return len(g.Holders(gwInside)) == 2 && len(g.Holders(gwOutside)) == 2 })
	heal := lab.Now()
	for k := range 2 {
		g.must(g.fw2.UnloseLink(k))
	}
	g.serves(g.fw1)
	took := lab.Now() - heal
	t.Logf("one gateway %s after the links were whole", took.Round(time.Millisecond))
	if took > time.Second+g.slack(heal) {
		t.Errorf("two gateways for %s", took)
	}

	// kill -9 (step 19), and what systemd does then: ExecStopPost says goodbye, Restart= starts.
	killed := lab.Now()
	g.fw1.d.Kill()
	g.run("fw1", lab.Binary(), "release", "-c", g.fw1.d.ConfigFile(), "--runtime-dir", g.fw1.d.RuntimeDir())
	g.fw1.start()
	g.serves(g.fw2)
	g.saw(killed, "daemon killed", gwDown, "fw2")
	g.rests()
	g.serves(g.fw2)

	killed = lab.Now() // and nothing restarts it: the kernel lets the addresses go
	g.fw2.d.Kill()
	g.serves(g.fw1)
	g.saw(killed, "daemon killed, not restarted", gwDown, "fw1")
	g.fw2.start()
	g.rests()
	g.serves(g.fw1)
}

// unmoved fails if a client has had an answer from another gateway since an instant.
func (g *gateways) unmoved(since time.Duration) {
	g.t.Helper()
	for _, p := range []*lab.Probe{g.out, g.in} {
		if r := p.Since(since); r.Changes > 0 {
			g.t.Errorf("the address moved %d times: %s", r.Changes, r)
		}
	}
}

// conntrackdConf is the file of examples/, with the one line that differs on fw2.
func (g *gateways) conntrackdConf(n *node) string { return n.Path("/srv/conntrackd.conf") }

// conntrackd starts the real one.
func (g *gateways) conntrackd(n *node) {
	g.t.Helper()
	text := g.read("examples/gateway-pair/conntrackd.conf")
	if n == g.fw2 {
		text = strings.Replace(text, "IPv4_interface 10.0.0.11", "IPv4_interface 10.0.0.12", 1)
	}
	n.write("/srv/conntrackd.conf", text, 0o644)
	g.must(os.MkdirAll(n.Path("/run/lock"), 0o755))
	// The script of the example calls it without -C, as on a host with /etc/conntrackd.
	n.write("/usr/local/sbin/conntrackd", "#!/bin/sh\nexec /usr/sbin/conntrackd -C /srv/conntrackd.conf \"$@\"\n", 0o755)
	g.run(n.Name, "/usr/sbin/conntrackd", "-C", g.conntrackdConf(n), "-d")
	g.until("conntrackd of "+n.Name, func() bool {
		_, err := n.Run(g.ctx, "/usr/sbin/conntrackd", "-C", g.conntrackdConf(n), "-s")
		return err == nil
	})
}

// rests waits until no node is on its way into the elections.
func (g *gateways) rests() {
	g.t.Helper()
	for _, n := range g.nodes {
		g.settled(n)
	}
}

// settled waits until a node takes part in both elections and knows who is Active.
func (g *gateways) settled(n *node) {
	g.t.Helper()
	g.until(n.Name+" to take part", func() bool {
		for _, router := range []string{"inside", "outside"} {
			if r, err := n.d.Router(g.ctx, router); err != nil || r.State != "active" && (r.State != "backup" || r.Active == nil) {
				return false
			}
		}
		return true
	})
}
