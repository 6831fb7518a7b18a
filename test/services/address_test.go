package services

import (
	"net/netip"
	"os/exec"
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/test/lab"
)

func veth(t *testing.T, name string) {
	t.Helper()
	lab.Need(t)
	lab.IP(t, "link", "add", name, "type", "veth", "peer", "name", name+"p")
	t.Cleanup(func() { _ = exec.Command("ip", "link", "del", name).Run() })
	lab.IP(t, "link", "set", name, "up")
	lab.IP(t, "link", "set", name+"p", "up")
}

func TestAddress(t *testing.T) {
	h := newHands(t)
	veth(t, "sv0")
	for _, p := range []string{"192.0.2.7/24", "192.0.2.8/32", "2001:db8::7/64", "2001:db8::8/128"} {
		a := actions.AddressStep{Prefix: netip.MustParsePrefix(p), Interface: "sv0"}
		h.want(actions.Prepare, a, true, actions.Down)
		h.want(actions.Look, a, true, actions.Down, "is not there")
		h.want(actions.Qualify, a, true, actions.Down)
		h.want(actions.Start, a, true, actions.Up, p+" on sv0")
		h.want(actions.Start, a, true, actions.Up)
		if got := lab.IP(t, "addr", "show", "dev", "sv0"); !strings.Contains(got, p) || strings.Contains(got, "scope global tentative") {
			t.Errorf("%s", got)
		}
		h.want(actions.Stop, a, true, actions.Down)
		h.want(actions.ForceStop, a, true, actions.Down)
	}
	missing := actions.AddressStep{Prefix: netip.MustParsePrefix("192.0.2.7/24"), Interface: "nosuch"}
	h.want(actions.Look, missing, true, actions.Down, "nosuch does not exist")
	h.want(actions.Stop, missing, true, actions.Down)
	h.want(actions.Start, missing, false, actions.Down)
	h.want(actions.Qualify, missing, false, actions.Down)
	lab.IP(t, "link", "set", "sv0", "down")
	a := actions.AddressStep{Prefix: netip.MustParsePrefix("192.0.2.7/24"), Interface: "sv0"}
	if done := h.want(actions.Start, a, true, actions.Up, "interface is down"); !done.Degraded {
		t.Error("not degraded")
	}
}

// The first address of a subnet takes the others with it.
func TestAddressLeavesTheOthers(t *testing.T) {
	h := newHands(t)
	veth(t, "sv1")
	command(t, "sysctl", "-q", "-w", "net.ipv4.conf.sv1.promote_secondaries=0", "net.ipv4.conf.all.promote_secondaries=0")
	a := actions.AddressStep{Prefix: netip.MustParsePrefix("192.0.2.7/24"), Interface: "sv1"}
	h.want(actions.Start, a, true, actions.Up)
	lab.IP(t, "addr", "add", "192.0.2.9/24", "dev", "sv1")
	lab.IP(t, "addr", "add", "198.51.100.1/24", "dev", "sv1")
	h.want(actions.Stop, a, true, actions.Down)
	got := lab.IP(t, "addr", "show", "dev", "sv1")
	if strings.Contains(got, "192.0.2.7") || !strings.Contains(got, "192.0.2.9/24") || !strings.Contains(got, "198.51.100.1/24") {
		t.Errorf("%s", got)
	}
}

func TestRoute(t *testing.T) {
	h := newHands(t)
	veth(t, "sv2")
	lab.IP(t, "addr", "add", "192.0.2.1/24", "dev", "sv2")
	lab.IP(t, "addr", "add", "2001:db8::1/64", "dev", "sv2", "nodad")
	prefix, addr := netip.MustParsePrefix, netip.MustParseAddr
	for _, r := range []actions.Route{
		{Dst: prefix("203.0.113.0/24"), Via: addr("192.0.2.254")},
		{Dst: prefix("0.0.0.0/0"), Via: addr("192.0.2.254"), Interface: "sv2", Metric: 50},
		{Dst: prefix("203.0.113.0/24"), Interface: "sv2", Table: 77, Source: addr("192.0.2.1"), MTU: 1400},
		{Dst: prefix("203.0.113.0/24"), Kind: 6, Metric: 9},
		{Dst: prefix("2001:db8:1::/48"), Via: addr("2001:db8::fe"), Interface: "sv2"},
		{Dst: prefix("::/0"), Via: addr("2001:db8::fe"), Interface: "sv2", Metric: 5},
		{Dst: prefix("2001:db8:2::/48"), Kind: 7},
		{Dst: prefix("203.0.113.9/32"), Via: addr("10.9.9.9"), Interface: "sv2", OnLink: true},
	} {
		t.Run(strings.ReplaceAll(r.String(), "/", "_"), func(t *testing.T) {
			h := newHands(t)
			a := actions.RouteStep{Route: r}
			h.want(actions.Look, a, true, actions.Down, "is not there")
			h.want(actions.Start, a, true, actions.Up)
			h.want(actions.Start, a, true, actions.Up)
			h.want(actions.Stop, a, true, actions.Down)
			h.want(actions.Stop, a, true, actions.Down)
		})
	}

	// Somebody else's in its place is left alone.
	lab.IP(t, "route", "add", "203.0.113.0/24", "via", "192.0.2.253")
	a := actions.RouteStep{Route: actions.Route{Dst: prefix("203.0.113.0/24"), Via: addr("192.0.2.254")}}
	h.want(actions.Start, a, false, actions.Down, "cannot be added", "another route is in its place", "192.0.2.253")
	h.want(actions.Stop, a, true, actions.Down)
	if got := lab.IP(t, "route", "show", "203.0.113.0/24"); !strings.Contains(got, "192.0.2.253") {
		t.Errorf("%q", got)
	}
	lost := actions.RouteStep{Route: actions.Route{Dst: prefix("203.0.113.0/25"), Via: addr("10.1.1.1")}}
	h.want(actions.Start, lost, false, actions.Down, "no connected network")
	h.want(actions.Start, actions.RouteStep{Route: actions.Route{Dst: prefix("203.0.113.0/25")}}, false, actions.Down, "neither an interface nor a next hop")
	h.want(actions.Start, actions.RouteStep{Route: actions.Route{Dst: prefix("203.0.113.0/25"), Interface: "nosuch"}}, false, actions.Down, "does not exist")
}
