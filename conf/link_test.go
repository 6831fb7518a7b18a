package conf

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/vrrp"
)

func router9(lines ...string) string {
	return "virtual_router \"x\" {\n  interface = \"eth0\"\n  vrid = 9\n  " + strings.Join(lines, "\n  ") + "\n}\n"
}

// conformance: 2.15, 2.16, U4
func TestVersionTwo(t *testing.T) {
	cfg, diags := load(t, router9(`version = 2`, `interval = "255s"`, `auth_pass = "secret12"`, `addresses = ["10.0.0.1"]`), Options{Node: "web1"})
	s := cfg.Routers[0].Spec
	if s.Version != 2 || s.Interval != vrrp.MaxInterval2 || s.Secret != vrrp.Secret([]byte("secret12")) || s.AnswerLower || !s.Farewell || diags.Warnings() != 1 {
		t.Errorf("%+v, %d warnings", s, diags.Warnings())
	}
	cfg, _ = load(t, router9(`version = 2`, `answer_lower = true`, `addresses = ["10.0.0.1"]`), Options{Node: "web1"})
	if !cfg.Routers[0].Spec.AnswerLower {
		t.Error("answer_lower = true is not taken")
	}
	for lines, want := range map[string]string{
		`version = 2` + "\n" + `addresses = ["fe80::1"]`: "VRRPv2 is for IPv4",
		`version = 2` + "\n" + `interval = "1500ms"`:     "VRRPv2 counts in whole seconds",
		`version = 2` + "\n" + `interval = "256s"`:       "interval is out of range",
		`peers = []`: "peers is empty",
		`source = "10.9.0.1"` + "\n" + `peers = ["10.9.0.1"]`: "No peer is left",
		`auth_pass = "secret12"`:                              "VRRPv3 has no authentication",
	} {
		if !strings.Contains(lines, "addresses") {
			lines += "\n" + `addresses = ["10.0.0.1"]`
		}
		cfg, diags := Load([]Source{{Name: "t.hcl", Text: []byte(router9(lines))}}, Options{Node: "web1"})
		if cfg != nil || diags.Errors() != 1 || !strings.HasPrefix(diags.List()[0].Summary, want) {
			t.Errorf("%s: want %q\n%s", lines, want, render(t, diags))
		}
	}
}

// One list of peers serves all hosts.
func TestPeers(t *testing.T) {
	for node, want := range map[string]string{"web1": "[{192.0.2.2 254} {192.0.2.3 254}]", "web3": "[{192.0.2.1 254} {192.0.2.2 254}]"} {
		cfg, diags := load(t, router9(`source = { web1 = "192.0.2.1", web3 = "192.0.2.3" }[node.name]`, `peers = ["192.0.2.1", "192.0.2.2", "192.0.2.3"]`,
			`ttl = 64`, `ttl_min = 254`, `addresses = ["10.0.0.1"]`), Options{Node: node})
		r := cfg.Routers[0]
		if got := fmt.Sprint(r.Spec.Peers); got != want || r.Spec.TTL != 64 || !r.Source.IsValid() || len(diags.List()) > 0 {
			t.Errorf("%s: %s, TTL %d, source %s\n%s", node, got, r.Spec.TTL, r.Source, render(t, diags))
		}
	}
}

// election = "both": two routers and a group of them.
func TestElectionBoth(t *testing.T) {
	cfg, diags := load(t, `virtual_router "gw" {
  interface       = "eth0"
  vrid            = 9
  election        = "both"
  virtual_mac     = true
  addresses       = ["10.0.0.1/24", "fe80::9/64", "2001:db8::9/64"]
  extra_addresses = ["10.0.0.2/24", "2001:db8::a/64"]
  router_advertisements = "on"
  route "default" { via = "10.0.0.254" }
  route "2001:db8:9::/48" { via = "2001:db8::fe" }
  rule {
    from     = "2001:db8::/32"
    table    = 100
    priority = 5
  }
  hook "h" {
    on      = ["active"]
    command = ["/bin/true"]
  }
}
virtual_router "dmz" {
  interface = "eth1"
  vrid      = 9
  addresses = ["10.0.1.1/24"]
}
sync_group "all" { routers = [virtual_router.gw, "dmz"] }
`, Options{Node: "web1"})
	if len(diags.List()) > 0 {
		t.Error(render(t, diags))
	}
	if g := cfg.Groups; len(g) != 1 || fmt.Sprint(g[0]) != "{all [gw.ipv4 gw.ipv6 dmz]}" {
		t.Fatalf("groups %v", g)
	}
	dmz, four, six := cfg.Routers[0], cfg.Routers[1], cfg.Routers[2]
	for _, r := range cfg.Routers {
		if r.Group != "all" || !r.Spec.Grouped {
			t.Errorf("%s is in group %q", r.Name, r.Group)
		}
	}
	if dmz.Name != "dmz" || four.Name != "gw.ipv4" || six.Name != "gw.ipv6" {
		t.Fatalf("%s %s %s", dmz.Name, four.Name, six.Name)
	}
	same(t, held(netip.MustParsePrefix("10.0.0.1/24"), netip.MustParsePrefix("10.0.0.2/24")), four.Addresses)
	same(t, held(netip.MustParsePrefix("fe80::9/64"), netip.MustParsePrefix("2001:db8::9/64"), netip.MustParsePrefix("2001:db8::a/64")), six.Addresses)
	if len(four.Hooks) != 1 || len(six.Hooks) != 0 || four.RouterAdvert.On || !six.RouterAdvert.On || len(four.Routes) != 1 || len(six.Routes) != 1 || len(four.Rules) != 0 || len(six.Rules) != 1 {
		t.Errorf("%+v\n%+v", four, six)
	}
	same(t, []netip.Prefix{netip.MustParsePrefix("2001:db8::/64")}, six.RouterAdvert.Prefixes)
	// Alone, the two are a group of the block's name.
	cfg, _ = load(t, router9(`election = "both"`, `addresses = ["fe80::9", "10.0.0.1"]`), Options{Node: "web1"})
	if g := cfg.Groups; len(g) != 1 || fmt.Sprint(g[0]) != "{x [x.ipv4 x.ipv6]}" {
		t.Errorf("groups %v", g)
	}
}

func TestRidersRoutesAndRules(t *testing.T) {
	cfg, diags := load(t, router9(`addresses = ["10.0.0.1/24", "2001:db8::1/64"]`, `extra_addresses = ["10.0.0.2/24"]`,
		"address \"198.51.100.10/24\" {\n interface = \"eth1\"\n label = \"eth1:web\"\n scope = \"link\"\n broadcast = \"198.51.100.255\"\n noprefixroute = true\n}",
		"address \"10.0.0.3/24\" { advertise = true }",
		"route \"default\" {\n via = \"198.51.100.1\"\n interface = \"eth1\"\n metric = 5\n}",
		"route \"2001:db8:9::/48\" { kind = \"unreachable\" }",
		"rule {\n from = \"10.0.0.1\"\n fwmark = 3\n table = 254\n priority = 7\n}"), Options{Node: "web1"})
	if len(diags.List()) > 0 {
		t.Error(render(t, diags))
	}
	r := cfg.Routers[0]
	pfx := netip.MustParsePrefix
	same(t, []actions.Address{{Prefix: pfx("10.0.0.1/24")}, {Prefix: pfx("10.0.0.3/24")}, {Prefix: pfx("2001:db8::1/64")},
		{Prefix: pfx("198.51.100.10/24"), Interface: "eth1", Label: "eth1:web", Scope: 253, Broadcast: netip.MustParseAddr("198.51.100.255"), NoPrefixRoute: true},
		{Prefix: pfx("10.0.0.2/24")}}, r.Addresses)
	if fmt.Sprint(r.Spec.Addresses) != "[10.0.0.1 10.0.0.3]" {
		t.Errorf("advertised %v", r.Spec.Addresses)
	}
	if r.Routes[0].String() != "default via 198.51.100.1 dev eth1 metric 5" || r.Routes[1].String() != "unreachable 2001:db8:9::/48" ||
		r.Rules[0].String() != "7: from 10.0.0.1/32 fwmark 0x3 lookup main" {
		t.Errorf("%v %v", r.Routes, r.Rules)
	}
}

// Thousands of extra addresses load, and trouble with them stays readable.
func TestThousandsOfExtraAddresses(t *testing.T) {
	var list []string
	for i := range 5000 {
		list = append(list, fmt.Sprintf("%q", fmt.Sprintf("10.%d.%d.%d/32", 1+i/62500, i/250%250, i%250+1)))
	}
	cfg, diags := load(t, router9(`addresses = ["10.0.0.1/24"]`, "extra_addresses = ["+strings.Join(list, ",\n")+"]"), Options{Node: "web1"})
	if n := len(cfg.Routers[0].Addresses); n != 5001 || len(diags.List()) > 0 {
		t.Errorf("%d addresses, %d messages", n, len(diags.List()))
	}
	_, diags = Load([]Source{{Name: "t.hcl", Text: []byte(router9("addresses = [" + strings.Join(list[:256], ", ") + "]"))}}, Options{Node: "web1"})
	if out := render(t, diags); diags.Errors() != 1 || !strings.Contains(out, "extra_addresses") || len(out) > 2000 {
		t.Errorf("%d errors, %d bytes", diags.Errors(), len(out))
	}
}

// One reason, thousands of elements: a few are shown, and how many more there are.
func TestThousandsOfMistakes(t *testing.T) {
	bad, twice := strings.Repeat(`"10.0.0.x", `, 5000), strings.Repeat(`"10.0.0.2",`+"\n", 5000)
	for _, list := range []string{bad, twice} {
		_, diags := Load([]Source{{Name: "t.hcl", Text: []byte(router9(`addresses = ["10.0.0.1/24"]`, "extra_addresses = ["+list+"]", `colour = 1`))}}, Options{Node: "web1"})
		out := render(t, diags)
		if diags.Errors() != maxPerList+1 || !strings.Contains(out, "more in this list") || !strings.Contains(out, "colour") || strings.Count(out, "\n") > 10*maxPerList {
			t.Errorf("%d errors, %d lines", diags.Errors(), strings.Count(out, "\n"))
		}
	}
}

// Tables and scopes have names and numbers; hosts forget a router after three
// intervals if nothing is said; no prefixes can be said.
func TestNamedNumbersAndRouterAdverts(t *testing.T) {
	cfg, _ := load(t, router9(`addresses = ["fe80::9/64", "2001:db8::9/64"]`, `virtual_mac = true`, `router_advertisements = "on"`,
		"ra {\n interval = \"4500ms\"\n prefixes = []\n}", "address \"10.0.0.3/24\" { scope = 200 }", "address \"10.0.0.4/24\" { scope = \"host\" }",
		"route \"10.5.0.0/16\" {\n interface = \"eth1\"\n table = 254\n}", "route \"10.6.0.0/16\" {\n interface = \"eth1\"\n table = \"7\"\n scope = 200\n}"), Options{Node: "web1"})
	r := cfg.Routers[0]
	if ra := r.RouterAdvert; ra.Lifetime != 14*time.Second || len(ra.Prefixes) != 0 {
		t.Errorf("%+v", ra)
	}
	if a := r.Addresses; a[2].Scope != 200 || a[3].Scope != 254 {
		t.Errorf("%+v", a)
	}
	if x := r.Routes; x[0].Table != 0 || x[0].Scope != 253 || x[1].Table != 7 || x[1].Scope != 200 {
		t.Errorf("%+v", x)
	}
}
