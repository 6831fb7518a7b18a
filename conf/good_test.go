package conf

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// load loads one text that must be good and returns it with its warnings.
func load(t *testing.T, text string, opt Options) (*daemon.Config, *Diagnostics) {
	t.Helper()
	cfg, diags := Load([]Source{{Name: "test.hcl", Text: []byte(text)}}, opt)
	if diags.HasErrors() {
		t.Fatal(render(t, diags))
	}
	return cfg, diags
}

func render(t *testing.T, d *Diagnostics) string {
	t.Helper()
	var b strings.Builder
	if err := d.WriteText(&b, 0, false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// same compares configurations; prefixes and addresses by value.
func same(t *testing.T, want, got any) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(netip.Addr{}, netip.Prefix{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// usual fills in what is the same wherever nothing else is said.
func usual(cfg *daemon.Config) *daemon.Config {
	for i := range cfg.Routers {
		r := &cfg.Routers[i]
		r.Accept, r.Spec.Version, r.Spec.AnswerLower, r.Spec.Farewell = true, 3, true, true
		r.Mortal = !r.Owner
	}
	return cfg
}

// held makes addresses of prefixes.
func held(prefixes ...netip.Prefix) (out []actions.Address) {
	for _, p := range prefixes {
		out = append(out, actions.Address{Prefix: p})
	}
	return out
}

func TestDefaults(t *testing.T) {
	cfg, diags := load(t, `virtual_router "web" {
  interface = "eth0"
  vrid      = 61
  addresses = ["192.0.2.10"]
  hook "h" {
    on      = ["active"]
    command = ["/bin/true"]
  }
}`, Options{Node: "web1"})
	if len(diags.List()) != 0 {
		t.Errorf("warnings:\n%s", render(t, diags))
	}
	same(t, usual(&daemon.Config{Node: "web1", Routers: []daemon.RouterConfig{{
		Name: "web", Interface: "eth0",
		Spec: vrrp.Spec{
			VRID: 61, Family: vrrp.IPv4, Priority: 100, Interval: time.Second, Preempt: true,
			Addresses: []netip.Addr{netip.MustParseAddr("192.0.2.10")}, Checksum: vrrp.ChecksumAuto,
		},
		Addresses: held(netip.MustParsePrefix("192.0.2.10/32")),
		Announce:  actions.AnnounceSpec{Repeat: 3, Delay: time.Second, Refresh: time.Minute},
		Hooks:     []actions.HookSpec{{Name: "h", On: actions.OnActive, Command: []string{"/bin/true"}, Timeout: 10 * time.Second}},
	}}}), cfg)
}

func TestEverythingSaid(t *testing.T) {
	cfg, diags := load(t, `
node { name = lower("WEB2") }
virtual_router "z" {
  interface     = "br-lan.100"
  vrid          = env("VRID")
  priority      = { web1 = 150, web2 = 101 }[node.name]
  interval      = "40.95s"
  preempt       = true
  preempt_delay = "1000s"
  checksum      = "rfc5798"
  addresses     = ["192.0.2.10/24", "2001:db8::10/64", "192.0.2.11", "fe80::10"]
  announce {
    repeat  = 0
    delay   = "10ms"
    refresh = "0s"
  }
  hook "first" {
    on      = ["fault", "active", "fault"]
    command = ["/bin/echo", "node ${node.name}", ""]
    user    = "nobody"
    timeout = "1m"
  }
  hook "second" {
    on      = ["backup", "initialize"]
    command = concat(["/bin/echo"], split(",", "a,b"))
  }
}
virtual_router "a" {
  interface = "eth1"
  vrid      = 255
  owner     = node.name == "web2"
  interval  = "10ms"
  checksum  = null
  addresses = ["fe80::1/64", "2001:db8:1::1/64", "192.0.2.31/31", "2001:db8:2::/127", "169.254.1.1/16"]
}
virtual_router "b" {
  interface = "eth2"
  vrid      = 255
  priority  = 255
  owner     = true
  preempt   = false == true ? true : true
  checksum  = "rfc9568"
  addresses = ["192.0.2.33", format("10.0.%d.1/8", 3)]
}
virtual_router "c" {
  interface = "eth3"
  vrid      = 7
  preempt   = false
  interval  = "1.5s"
  priority  = try({ web1 = 150 }[node.name], 50)
  addresses = ["fe80::1/64"]
}
`, Options{Node: "ignored", Getenv: env(map[string]string{"VRID": "9"})})
	if len(diags.List()) != 0 {
		t.Errorf("warnings:\n%s", render(t, diags))
	}
	addr, pfx := netip.MustParseAddr, netip.MustParsePrefix
	std := actions.AnnounceSpec{Repeat: 3, Delay: time.Second, Refresh: time.Minute}
	same(t, usual(&daemon.Config{Node: "web2", Routers: []daemon.RouterConfig{
		{
			Name: "a", Interface: "eth1", Owner: true, Announce: std,
			Spec: vrrp.Spec{VRID: 255, Family: vrrp.IPv6, Priority: 255, Interval: 10 * time.Millisecond, Preempt: true,
				Addresses: []netip.Addr{addr("fe80::1"), addr("2001:db8:1::1"), addr("2001:db8:2::")}},
			Addresses: held(pfx("fe80::1/64"), pfx("2001:db8:1::1/64"), pfx("2001:db8:2::/127"), pfx("192.0.2.31/31"), pfx("169.254.1.1/16")),
		},
		{
			Name: "b", Interface: "eth2", Owner: true, Announce: std,
			Spec: vrrp.Spec{VRID: 255, Family: vrrp.IPv4, Priority: 255, Interval: time.Second, Preempt: true, Checksum: vrrp.ChecksumRFC9568,
				Addresses: []netip.Addr{addr("192.0.2.33"), addr("10.0.3.1")}},
			Addresses: held(pfx("192.0.2.33/32"), pfx("10.0.3.1/8")),
		},
		{
			Name: "c", Interface: "eth3", Announce: std,
			Spec: vrrp.Spec{VRID: 7, Family: vrrp.IPv6, Priority: 50, Interval: 1500 * time.Millisecond, Preempt: false,
				Addresses: []netip.Addr{addr("fe80::1")}},
			Addresses: held(pfx("fe80::1/64")),
		},
		{
			Name: "z", Interface: "br-lan.100", Announce: actions.AnnounceSpec{Delay: 10 * time.Millisecond},
			Spec: vrrp.Spec{VRID: 9, Family: vrrp.IPv4, Priority: 101, Interval: 40950 * time.Millisecond, Preempt: true,
				PreemptDelay: 1000 * time.Second, Checksum: vrrp.ChecksumRFC5798,
				Addresses: []netip.Addr{addr("192.0.2.10"), addr("192.0.2.11")}},
			Addresses: held(pfx("192.0.2.10/24"), pfx("192.0.2.11/32"), pfx("2001:db8::10/64"), pfx("fe80::10/128")),
			Hooks: []actions.HookSpec{
				{Name: "first", On: actions.OnActive | actions.OnFault, Command: []string{"/bin/echo", "node web2", ""}, User: "nobody", Timeout: time.Minute},
				{Name: "second", On: actions.OnBackup | actions.OnInitialize, Command: []string{"/bin/echo", "a", "b"}, Timeout: 10 * time.Second},
			},
		},
	}}), cfg)
}

// TestSeveralSources: a directory's files are one configuration.
func TestSeveralSources(t *testing.T) {
	src := []Source{
		{Name: "10-routers.hcl", Text: []byte("virtual_router \"web\" {\n  interface = \"eth0\"\n  vrid      = 61\n  priority  = { a = 7 }[node.name]\n  addresses = [\"192.0.2.10\"]\n}\n")},
		{Name: "20-node.hcl", Text: []byte("node { name = \"a\" }\n")},
	}
	cfg, diags := Load(src, Options{Node: "b"})
	if diags.HasErrors() {
		t.Fatal(render(t, diags))
	}
	if cfg.Node != "a" || cfg.Routers[0].Spec.Priority != 7 {
		t.Errorf("node %q, priority %d", cfg.Node, cfg.Routers[0].Spec.Priority)
	}
	if got := diags.Place("web"); got != "10-routers.hcl:1" {
		t.Errorf("Place = %q", got)
	}
	if got := diags.Place("mail"); got != "" {
		t.Errorf("Place of an unknown router = %q", got)
	}
	// The same VRID again, in another file: the first place is in the other one.
	src = append(src, Source{Name: "30-more.hcl", Text: []byte("node {}\nvirtual_router \"mail\" {\n  interface = \"eth0\"\n  vrid      = 61\n  addresses = [\"192.0.2.11\"]\n}\n")})
	_, diags = Load(src, Options{Node: "b"})
	text := render(t, diags)
	for _, want := range []string{"30-more.hcl:1:1", "first is at 20-node.hcl:1", "30-more.hcl:4:15", `"web" at 10-routers.hcl:3`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestNodeName(t *testing.T) {
	const router = "virtual_router \"r\" {\n  interface = \"eth0\"\n  vrid      = 1\n  addresses = [\"10.0.0.1\"]\n}\n"
	for _, c := range []struct {
		name, text string
		opt        Options
		want, err  string
	}{
		{name: "host name", opt: Options{Node: "h1"}, want: "h1"},
		{name: "file wins", text: `node { name = "f1" }`, opt: Options{Node: "h1"}, want: "f1"},
		{name: "override wins", text: `node { name = "f1" }`, opt: Options{Node: "h1", Override: "o1"}, want: "o1"},
		{name: "empty block", text: `node {}`, opt: Options{Node: "h1"}, want: "h1"},
		{name: "null", text: `node { name = null }`, opt: Options{Node: "h1"}, want: "h1"},
		{name: "env default", text: `node { name = env("N", "e1") }`, want: "e1"},
		{name: "no name", err: "This host has no name"},
		{name: "empty", text: `node { name = "" }`, opt: Options{Node: "h1"}, err: "Unusable name"},
		{name: "bad host name", opt: Options{Node: "h 1"}, err: "Unusable name"},
		{name: "number", text: `node { name = 5 }`, want: "5"},
		{name: "list", text: `node { name = ["a"] }`, opt: Options{Node: "h1"}, err: "name must be a string"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg, diags := Load([]Source{{Name: "test.hcl", Text: []byte(router + c.text)}}, c.opt)
			switch {
			case c.err != "" && (diags.Errors() != 1 || !strings.HasPrefix(diags.List()[0].Summary, c.err)):
				t.Errorf("want the one error %q, got\n%s", c.err, render(t, diags))
			case c.err == "" && cfg == nil:
				t.Error(render(t, diags))
			case c.err == "" && cfg.Node != c.want:
				t.Errorf("node %q, want %q", cfg.Node, c.want)
			}
		})
	}
}

// list makes n addresses by format, which takes the two low bytes, in HCL.
func list(n int, format string) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		fmt.Fprintf(&b, "%q, ", fmt.Sprintf(format, i/256, i%256))
	}
	return b.String()
}

func TestManyAddresses(t *testing.T) {
	const v4, v6 = "10.0.%d.%d", "2001:db8::%x:%x"
	for _, c := range []struct {
		name, addresses  string
		errors, warnings int
	}{
		{"255 of IPv4", list(255, v4), 0, 0},
		{"256 of IPv4", list(256, v4), 1, 0},
		{"255 of IPv4 and 300 riding along", list(255, v4) + list(300, v6), 0, 0},
		{"90 of IPv6", `"fe80::1", ` + list(89, v6), 0, 0},
		{"91 of IPv6", `"fe80::1", ` + list(90, v6), 0, 1},
		{"256 of IPv6", `"fe80::1", ` + list(255, v6), 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := "virtual_router \"r\" {\n  interface = \"eth0\"\n  vrid = 1\n  addresses = [" + c.addresses + "]\n}\n"
			cfg, diags := Load([]Source{{Name: "test.hcl", Text: []byte(text)}}, Options{Node: "n"})
			if diags.Errors() != c.errors || diags.Warnings() != c.warnings || (cfg == nil) != (c.errors > 0) {
				t.Errorf("%d errors, %d warnings: %v", diags.Errors(), diags.Warnings(), diags.List())
			}
		})
	}
}

// TestThousands holds the cost of the size that is to be normal.
func TestThousands(t *testing.T) {
	var b strings.Builder
	for i := range 4000 {
		fmt.Fprintf(&b, "virtual_router \"r%d\" {\n  interface = \"eth%d\"\n  vrid      = %d\n  addresses = [\"10.%d.%d.1/24\"]\n}\n",
			i, i/250, i%250+1, i/200, i%200)
	}
	start := time.Now()
	cfg, _ := load(t, b.String(), Options{Node: "n"})
	took := time.Since(start)
	t.Logf("4,000 routers (%d bytes) loaded in %v", b.Len(), took.Round(time.Millisecond))
	if len(cfg.Routers) != 4000 {
		t.Errorf("%d routers", len(cfg.Routers))
	}
	if took > 10*time.Second { // a fraction of a second here; only a wrong order of growth takes this long
		t.Errorf("loading took %v", took)
	}
}

// TestExamples loads every example for every host it is for, without a warning
// (but for the one that a password cannot be without), and checks the hosts
// against each other.
func TestExamples(t *testing.T) {
	for path, nodes := range map[string][]string{
		"../examples/minimal/backbeat.hcl":          {"any"},
		"../examples/demo/demo.hcl":                 {"r1", "r2"},
		"../examples/two-gateways/fw.hcl":           {"fw1", "fw2"},
		"../examples/web-pair/web.hcl":              {"web1", "web2"},
		"../examples/checked-web/web.hcl":           {"web1", "web2"},
		"../examples/apache-drbd/web.hcl":           {"node1", "node2"},
		"../examples/apache-drbd/web-fence.hcl":     {"node1", "node2"},
		"../examples/gateway-pair/gateway.hcl":      {"fw1", "fw2"},
		"../examples/heartbeat-pair/ha.hcl":         {"node1", "node2"},
		"../examples/heartbeat-pair/ha-systemd.hcl": {"node1", "node2"},
		"../examples/asterisk/asterisk.hcl":         {"ha-asterisk-1", "ha-asterisk-2"},
		"../examples/asterisk/asterisk-systemd.hcl": {"ha-asterisk-1", "ha-asterisk-2"},
		"../examples/gateways-vmac/gw.hcl":          {"gw1", "gw2"},
		"../examples/unicast-cloud/cloud.hcl":       {"app1", "app2", "app3"},
		"../examples/v2-migration/v2.hcl":           {"lb1", "lb2"},
		"../examples/dual-stack-router/router.hcl":  {"r1", "r2"},
	} {
		var cfgs []*daemon.Config
		var all []*Diagnostics
		for _, n := range nodes {
			src, err := ReadFiles(path)
			if err != nil {
				t.Fatal(err)
			}
			cfg, diags := Load(src, Options{Node: n, Getenv: env(map[string]string{"BACKBEAT_NODE": n, "VRRP_PASS": "secret"})})
			list := slices.DeleteFunc(diags.List(), func(d Diagnostic) bool { return d.Summary == "The password protects nothing" })
			if len(list) > 0 || (len(diags.List()) > 0) != strings.Contains(path, "v2-migration") {
				t.Errorf("%s on %s:\n%s", path, n, render(t, diags))
				continue
			}
			if cfg.Node != n {
				t.Errorf("%s: node is %q, want %q", path, cfg.Node, n)
			}
			cfgs, all = append(cfgs, cfg), append(all, diags)
		}
		if d := CheckPair(cfgs, all); len(d.List()) > 0 {
			t.Errorf("%s between hosts:\n%s", path, render(t, d))
		}
	}
}

// TestExamplesAreTested finds an example that TestExamples does not know.
func TestExamplesAreTested(t *testing.T) {
	self, err := os.ReadFile("good_test.go")
	if err != nil {
		t.Fatal(err)
	}
	dirs, err := os.ReadDir("../examples")
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if d.IsDir() && !strings.Contains(string(self), "../examples/"+d.Name()+"/") {
			t.Errorf("examples/%s is not loaded by TestExamples", d.Name())
		}
	}
}

func TestDemoInterval(t *testing.T) {
	src, err := ReadFiles("../examples/demo/demo.hcl")
	if err != nil {
		t.Fatal(err)
	}
	cfg, diags := Load(src, Options{Getenv: env(map[string]string{"BACKBEAT_NODE": "r1", "BACKBEAT_INTERVAL": "100ms"})})
	if diags.HasErrors() {
		t.Fatal(render(t, diags))
	}
	r := cfg.Routers[0]
	if r.Spec.Interval != 100*time.Millisecond || r.Spec.VRID != 61 || r.Spec.Priority != 150 || len(r.Addresses) != 2 || len(r.Spec.Addresses) != 1 {
		t.Errorf("%+v", r)
	}
}

// TestMigrationPage: what docs/migration.md shows is a configuration, and the same
// for both hosts.
func TestMigrationPage(t *testing.T) {
	text, err := os.ReadFile("../docs/migration.md")
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(string(text), "```hcl\n")
	if len(parts) != 3 {
		t.Fatalf("%d examples", len(parts)-1)
	}
	for _, p := range parts[1:] {
		example, _, _ := strings.Cut(p, "```")
		if d := CheckPair(pairOf(t, example, "node1", "node2")); len(d.List()) > 0 {
			t.Errorf("%s\n%s", example, render(t, d))
		}
	}
}
