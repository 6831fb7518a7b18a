package daemon_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

func addresses(texts ...string) func(*actions.LinkChanged) {
	return func(l *actions.LinkChanged) {
		l.Addresses = nil
		for _, t := range texts {
			t, tentative := strings.CutSuffix(t, " tentative")
			t, left := strings.CutSuffix(t, " left")
			l.Addresses = append(l.Addresses, actions.LinkAddress{Prefix: netip.MustParsePrefix(t), Tentative: tentative, Left: left})
		}
	}
}

func family6(c *daemon.RouterConfig) {
	a := netip.MustParseAddr("fe80::53")
	c.Spec.Family, c.Spec.Addresses = vrrp.IPv6, []netip.Addr{a}
	c.Addresses = held(netip.PrefixFrom(a, 64))
}

func owner(c *daemon.RouterConfig) { c.Owner, c.Spec.Priority = true, vrrp.PriorityOwner }

// The source is the first address that is not virtual, and stays while it is there.
//
// conformance: I6
func TestSourceSelection(t *testing.T) {
	for _, tt := range []struct {
		name   string
		router daemon.RouterConfig
		first  []string // the addresses at the beginning
		then   []string // and later
		want   string   // the source then
	}{
		{"first of the family", web(), nil, []string{"fe80::1/64", "10.0.0.1/24", "10.0.0.2/24"}, "10.0.0.1"},
		{"never virtual", web(), nil, []string{"10.0.0.53/24", "10.0.0.1/24"}, "10.0.0.1"},
		{"only virtual", web(), nil, []string{"10.0.0.53/24"}, ""},
		{"the owner's own", web(owner), nil, []string{"10.0.0.53/24", "10.0.0.1/24"}, "10.0.0.53"},
		{"left by the process before", web(family6), nil, []string{"fe80::99/64 left", "fe80::1/64"}, "fe80::1"},
		{"only what was left", web(), nil, []string{"10.0.0.99/24 left"}, ""},
		{"the owner's own, left", web(owner), nil, []string{"10.0.0.53/24 left", "10.0.0.1/24"}, "10.0.0.53"},
		{"sticky", web(), []string{"10.0.0.9/24"}, []string{"10.0.0.1/24", "10.0.0.9/24"}, "10.0.0.9"},
		{"gone", web(), []string{"10.0.0.9/24"}, []string{"10.0.0.1/24", "10.0.0.2/24"}, "10.0.0.1"},
		{"link-local only", web(family6), nil, []string{"2001:db8::1/64", "fe80::1/64"}, "fe80::1"},
		{"virtual link-local", web(family6), nil, []string{"fe80::53/64", "fe80::1/64"}, "fe80::1"},
		{"no link-local", web(family6), nil, []string{"2001:db8::1/64"}, ""},
		{"tentative", web(family6), nil, []string{"fe80::1/64 tentative"}, ""},
		{"of other family", web(), nil, []string{"fe80::1/64"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newRig(t, tt.router)
			g.post(level(addresses(tt.first...)), ready(eth0, vrrp.IPv4), ready(eth0, vrrp.IPv6))
			g.post(level(addresses(tt.then...)))
			r := g.status("").Routers[0]
			if tt.want == "" {
				if r.Fault != "no-primary-ip-address" || r.State != "initialize" {
					t.Errorf("state %s, fault %q, want Initialize without a primary address", r.State, r.Fault)
				}
				return
			}
			if r.PrimaryIPAddr != tt.want || r.Fault != "" {
				t.Errorf("source %q, fault %q, want source %s", r.PrimaryIPAddr, r.Fault, tt.want)
			}
		})
	}
}

// What a router needs is a level: each step has its fault and its sentence.
func TestFaults(t *testing.T) {
	g := newRig(t, web())
	g.turn()
	for _, step := range []struct {
		name         string
		in           daemon.Input
		state, fault string
		says         string
	}{
		{"at first", nil, "initialize", "pending", "being looked at"},
		{"missing", actions.LinkChanged{Name: "eth0"}, "initialize", "interface-missing", "eth0 does not exist"},
		{"down", level(func(l *actions.LinkChanged) { l.Up, l.Detail = false, "no carrier" }), "initialize", "interface-down", "no carrier"},
		{"no address", level(addresses()), "initialize", "no-primary-ip-address", "no IPv4 address"},
		{"no socket yet", level(), "initialize", "pending", "being looked at"},
		{"socket failed", ready(eth0, vrrp.IPv4, "no CAP_NET_RAW: run as root"), "initialize", "socket-error", "CAP_NET_RAW"},
		{"socket", ready(eth0, vrrp.IPv4), "backup", "", ""},
		{"down again", level(func(l *actions.LinkChanged) { l.Up, l.Detail = false, "no carrier" }), "initialize", "interface-down", "no carrier"},
		{"up", level(), "backup", "", ""},
		{"another link", actions.LinkChanged{Name: "eth9", Index: 9}, "backup", "", ""},
		{"a stale socket", ready(99, vrrp.IPv4, "gone"), "backup", "", ""},
		{"address lost", level(addresses("10.0.0.53/24")), "initialize", "no-primary-ip-address", "10.0.0.53, is a virtual one"},
	} {
		if step.in != nil {
			g.post(step.in)
		}
		r := g.status("").Routers[0]
		if r.State != step.state || r.Fault != step.fault || !strings.Contains(r.FaultDetail, step.says) {
			t.Errorf("%s: %s %q %q, want %s %q %q", step.name, r.State, r.Fault, r.FaultDetail, step.state, step.fault, step.says)
		}
	}
	g.wantHistory("web initialize->backup startup\nweb backup->initialize interface-down\n" +
		"web initialize->backup interface-up\nweb backup->initialize no-primary-ip-address\n")
}

// Losing the link while Active releases the addresses at once and says nothing
// on a wire that is not there.
func TestActiveLosesItsLink(t *testing.T) {
	for name, in := range map[string]actions.LinkChanged{
		"interface-down":    level(func(l *actions.LinkChanged) { l.Up = false }),
		"interface-missing": {Name: "eth0"},
	} {
		g := newRig(t, web()).active()
		g.took()
		g.post(in)
		calls := strings.Join(g.took(), "; ")
		if strings.Contains(calls, "send") || !strings.Contains(calls, "cancel 1; want 1.2 []") {
			t.Errorf("%s: %s", name, calls)
		}
		if last := g.records[len(g.records)-1]; last.Cause != name {
			t.Errorf("the cause is %s, want %s", last.Cause, name)
		}
	}
}

// An interface that was replaced, or got another MAC (a bond does that), needs
// new sockets. No transition without a reason (law 7).
func TestInterfaceReplaced(t *testing.T) {
	for name, change := range map[string]func(*actions.LinkChanged){
		"index": func(l *actions.LinkChanged) { l.Index = 8 },
		"mac":   func(l *actions.LinkChanged) { l.MAC[5] = 9 },
	} {
		g := newRig(t, web()).active()
		g.took()
		in := level(change)
		g.post(in)
		for _, r := range g.records {
			if r.Cause == "none" || r.Cause == "" || strings.Contains(r.Reason, "not started yet") {
				t.Errorf("%s: %s -> %s because of %q: %q", name, r.From, r.To, r.Cause, r.Reason)
			}
		}
		calls := strings.Join(g.took(), "; ")
		if !strings.Contains(calls, "forget 7; ") || !strings.Contains(calls, "listen ") {
			t.Errorf("%s: no new sockets: %s", name, calls)
		}
		g.post(ready(in.Index, vrrp.IPv4))
		g.wait(5 * s)
		if got := g.state("web"); got != "active" {
			t.Errorf("%s: the router is %s", name, got)
		}
		if w := g.wants[len(g.wants)-1]; len(w.Addresses) == 0 || w.Addresses[0].Link != in.Index {
			t.Errorf("%s: Active on interface %d, but the last wish is for %v", name, in.Index, w.Addresses)
		}
	}
}

// Sockets that could not be opened are tried again, not at once and not in a loop.
func TestSocketRetry(t *testing.T) {
	g := newRig(t, web())
	g.post(level())
	g.took()
	for range 3 {
		begin := g.now
		g.post(ready(eth0, vrrp.IPv4, "no such device"))
		g.wantCalls()
		if g.next != begin+5*s {
			t.Fatalf("tries again at +%v, want +5s", g.next-begin)
		}
		g.wait(5 * s)
		g.wantCalls("listen 7 ipv4")
		if g.next != vrrp.Never {
			t.Errorf("still wants to be woken at +%v while the sockets are being opened", g.next-begin)
		}
	}
	g.post(ready(eth0, vrrp.IPv4))
	if g.state("web") != "backup" {
		t.Error("not started although the socket is there")
	}
	if n := len(g.linesFrom(8)); n != 3 {
		t.Errorf("%d error lines for 3 failures", n)
	}
}

// Two routers on one link share its sockets; the last one closes them.
func TestSocketsAreShared(t *testing.T) {
	g := newRig(t, web(named("a", 1, 11)), web(named("b", 2, 12)))
	g.post(level())
	g.wantCalls("watch eth0", "listen 7 ipv4")
	g.post(ready(eth0, vrrp.IPv4))
	g.took()
	g.reload(web(named("b", 2, 12)))
	if c := strings.Join(g.took(), "; "); strings.Contains(c, "forget") {
		t.Errorf("closed the sockets of the other router: %s", c)
	}
	g.reload()
	if c := strings.Join(g.took(), "; "); !strings.Contains(c, "forget 7") {
		t.Errorf("left the sockets open: %s", c)
	}
}

// A renamed interface: the news of the new name may come before that of the
// old one. Neither name may take the other's index or sockets away.
func TestInterfaceRenamedBetweenTwoNames(t *testing.T) {
	other := web(named("other", 2, 12), func(c *daemon.RouterConfig) { c.Interface = "eth1" })
	g := newRig(t, web(), other).up()
	for range 3 {
		g.post(level(func(k *actions.LinkChanged) { k.Name = "eth1" }), actions.LinkChanged{Name: "eth0"})
		g.post(ready(eth0, vrrp.IPv4))
		if a, b := g.state("web"), g.state("other"); a != "initialize" || b != "backup" {
			t.Fatalf("as eth1: web is %s, other is %s: %s", a, b, g.status("other").Routers[0].FaultDetail)
		}
		g.post(level(), actions.LinkChanged{Name: "eth1"})
		g.post(ready(eth0, vrrp.IPv4))
		if a, b := g.state("web"), g.state("other"); a != "backup" || b != "initialize" {
			t.Fatalf("as eth0 again: web is %s, other is %s: %s", a, b, g.status("web").Routers[0].FaultDetail)
		}
	}
}

// Another MAC on a running Active: no transition, but the neighbours, and the
// refresh that would go on announcing the dead one, must hear of it at once.
func TestNewMACIsAnnounced(t *testing.T) {
	g := newRig(t, web()).active()
	g.took()
	g.post(level(func(k *actions.LinkChanged) { k.MAC = [6]byte{2, 17, 34, 51, 68, 85} }))
	calls := g.took()
	if !slices.ContainsFunc(calls, func(c string) bool { return strings.HasPrefix(c, "announce 1.") && strings.HasSuffix(c, "once=false") }) {
		t.Errorf("port calls %q, want an announcement", calls)
	}
	if got := g.state("web"); got != "active" {
		t.Errorf("the router is %s", got)
	}
}

// A reload that makes an address virtual which another router sends from: that
// one looks for another source at once, not at the next change of the link.
func TestReloadTakesAnothersSource(t *testing.T) {
	g := newRig(t, web(), web(named("x", 2, 12)))
	g.turn()
	g.post(level(addresses("10.0.0.1/24", "10.0.0.2/24")), ready(eth0, vrrp.IPv4))
	if src := g.status("web").Routers[0].PrimaryIPAddr; src != "10.0.0.1" {
		t.Fatalf("sends from %s", src)
	}
	g.reload(web(), web(named("x", 2, 1)))
	if src := g.status("web").Routers[0].PrimaryIPAddr; src != "10.0.0.2" {
		t.Errorf("sends from %s, which is virtual now", src)
	}
}
