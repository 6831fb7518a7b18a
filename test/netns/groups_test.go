package netns

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// gateway is two routers on two links that go together, with what a gateway has:
// an address elsewhere, a default route, a rule.
func gateway() string {
	return config(
		routerBlock("inside", 61, `addresses = ["10.77.0.100/24"]`, `route "default" {
    via       = "10.78.0.4"
    interface = "eth1"
    metric    = 7
  }`, "rule {\n    from     = \"10.77.0.0/24\"\n    table    = 254\n    priority = 900\n  }"),
		strings.Replace(routerBlock("outside", 61, `addresses = ["10.78.0.100/24"]`, `extra_addresses = ["fd78::100/64"]`), `"eth0"`, `"eth1"`, 1),
		"sync_group \"gw\" {\n  routers = [virtual_router.inside, virtual_router.outside]\n}\n")
}

func (s *scene) both(name string) {
	s.t.Helper()
	h := s.Host(name)
	s.until(name+" to have both", func() bool {
		n := s.node(name)
		return n.State(s.ctx, "inside") == "active" && n.State(s.ctx, "outside") == "active" && h.Has(vip4) && h.Has(netip.MustParseAddr("10.78.0.100"))
	})
}

// A gateway pair: when one of its links is lost, all of it moves; when it is
// back, all of it returns; routes and rules go along.
func TestSyncGroupOfTwoLinks(t *testing.T) {
	t.Parallel()
	s := newSceneOn(t, gateway(), 2)
	s.start(s.r1, s.r2)
	s.both("r1")
	has := func(host string, want bool) {
		t.Helper()
		s.until("routes and rules of "+host, func() bool {
			route, rule := s.run(host, "ip", "route", "show", "default"), s.run(host, "ip", "rule", "show", "pref", "900")
			return strings.Contains(route, "via 10.78.0.4 dev eth1") == want && strings.Contains(rule, "from 10.77.0.0/24 lookup main") == want
		})
	}
	has("r1", true)
	has("r2", false)

	fault := lab.Now()
	s.must(s.Host("r1").Cut()) // the cable of eth0
	s.both("r2")
	s.until("r2 to answer the client", func() bool { return s.probe.Answerer() == "r2" })
	s.takeover(fault, down)
	has("r1", false)
	has("r2", true)
	s.until("outside of r1 to leave", func() bool { return s.r1.State(s.ctx, "outside") == "initialize" })
	s.must(s.Host("r1").Heal())
	s.both("r1")
	s.until("r2 to let go", func() bool {
		return s.r2.State(s.ctx, "outside") == "backup" && s.r2.State(s.ctx, "inside") == "backup"
	})
	has("r2", false)
}

// Somebody removes the route and the rule: they come back, and are told.
func TestRoutesAndRulesAreRestored(t *testing.T) {
	t.Parallel()
	s := newSceneOn(t, gateway(), 2)
	s.start(s.r1)
	s.both("r1")
	s.run("r1", "ip", "route", "del", "default", "via", "10.78.0.4")
	s.run("r1", "ip", "rule", "del", "pref", "900")
	s.until("both to be back", func() bool {
		return s.run("r1", "ip", "route", "show", "default") != "" && s.run("r1", "ip", "rule", "show", "pref", "900") != ""
	})
	s.logged(s.r1, "route default via 10.78.0.4 dev eth1 metric 7 was removed by")
	s.must(s.r1.Stop(s.ctx))
	if out := s.run("r1", "ip", "route", "show", "default") + s.run("r1", "ip", "rule", "show", "pref", "900"); out != "" {
		t.Errorf("left behind: %s", out)
	}
}

// Unicast: no frame to any group, the peers find each other, and a stranger's
// advert to the group is counted and named.
//
// conformance: U1, U3
func TestUnicastPair(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(web(`peers = ["10.77.0.1", "10.77.0.2"]`, `source = { r1 = "10.77.0.1", r2 = "10.77.0.2" }[node.name]`)))
	s.start(s.r1, s.r2)
	s.active("r1")
	s.rest(3 * interval)
	for _, f := range append(s.sniffer.Adverts(0, "r1"), s.sniffer.Adverts(0, "r2")...) {
		if f.Dst != s.Host("r2").Addr4(0).Addr() || f.DstMAC.String() != s.Host("r2").MAC(0).String() || f.SrcMAC.String() != s.Host("r1").MAC(0).String() {
			t.Fatalf("advert from %s to %s", f.Src, f.Dst)
		}
	}
	s.must(s.Host("other").Forge(lab.Forgery{Advert: lab.Advert{VRID: 61, Priority: 250, Interval: interval, Addresses: []netip.Addr{vip4}}}))
	// The unicast socket is no member of the group: the kernel may keep the frame from it.
	s.rest(2 * interval)
	if st := s.r1.State(s.ctx, "web"); st != "active" {
		t.Errorf("a stranger's multicast advert made r1 %s", st)
	}
	fault := lab.Now()
	s.r1.Kill()
	s.active("r2")
	s.takeover(fault, down)
	s.start(s.r1)
	s.active("r1")
	s.gone("r2")
}

// A crash leaves a macvlan, addresses, tables and switches: the next start
// takes them away before it does anything else.
//
// conformance: L4
func TestCrashWithVirtualMAC(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(macWeb(`route "198.51.100.0/24" { via = "10.77.0.4" }`)))
	s.r1.Kill()
	s.active("r2")
	s.start(s.r1)
	s.logged(s.r1, "removed macvlan vr4.61.")
	s.logged(s.r1, "removed route 198.51.100.0/24 via 10.77.0.4")
	s.active("r1")
	s.gone("r2")
	if a := s.ask(vip4); len(a) != 1 {
		t.Errorf("%d answers", len(a))
	}
	s.must(s.r1.Stop(s.ctx))
	s.must(s.r2.Stop(s.ctx))
	for _, r := range []string{"r1", "r2"} {
		if out := s.run(r, "ip", "-o", "link", "show", "type", "macvlan") + s.run(r, "nft", "list", "tables"); out != "" {
			t.Errorf("%s: left behind: %s", r, out)
		}
	}
}

// The macvlan is deleted by somebody: it is made again with all that was on it.
func TestDeletedMacvlanComesBack(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(macWeb()))
	link := s.macOf("r1", "4")
	s.run("r1", "ip", "link", "del", link)
	s.until("the address to be back", func() bool { return s.Host("r1").Has(vip4) && s.Host("r1").Has(vip6) })
	s.logged(s.r1, "macvlan "+link+" was removed by")
	s.until("the client to be answered", func() bool { return s.probe.Since(lab.Now() - 100*time.Millisecond).Answered })
	s.must(s.r1.Stop(s.ctx))
	s.active("r2")
}
