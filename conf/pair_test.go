package conf

import (
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/daemon"
)

// pairText is one file for hosts a, b and c; host d has a router less.
const pairText = `
virtual_router "same" {
  interface = { a = "eth0", b = "ens3", c = "eth0", d = "eth0" }[node.name]
  vrid      = 1
  priority  = { a = 150, b = 100, c = 50, d = 25 }[node.name]
  addresses = ["10.0.0.1/24"]
}
virtual_router "differs" {
  interface = "eth0"
  vrid      = 2
  priority  = { a = 150, b = 150, c = 100, d = 150 }[node.name]
  interval  = node.name == "b" ? "100ms" : "1s"
  addresses = concat(["10.0.0.2/24", "fd00::2"], node.name == "b" ? ["10.0.0.3/24"] : [], node.name == "c" ? [] : ["10.0.0.4"])
}
virtual_router "owned" {
  interface = "eth0"
  vrid      = 3
  owner     = node.name != "c"
  addresses = ["10.0.0.5/24"]
}
`

// load as several hosts.
func pairOf(t *testing.T, text string, nodes ...string) ([]*daemon.Config, []*Diagnostics) {
	t.Helper()
	var cfgs []*daemon.Config
	var from []*Diagnostics
	for _, n := range nodes {
		cfg, diags := load(t, text, Options{Override: n})
		cfgs, from = append(cfgs, cfg), append(from, diags)
	}
	return cfgs, from
}

func TestPair(t *testing.T) {
	got := CheckPair(pairOf(t, pairText, "a", "b", "c"))
	golden(t, "testdata/pair.txt", render(t, got))
	if got.Errors() != 1 {
		t.Errorf("%d errors, want the one about two owners", got.Errors())
	}
}

func TestPairOfOne(t *testing.T) {
	if d := CheckPair(pairOf(t, pairText, "a")); len(d.List()) > 0 {
		t.Error(render(t, d))
	}
	if d := CheckPair(nil, nil); len(d.List()) > 0 {
		t.Error(render(t, d))
	}
}

func TestPairWithoutPlaces(t *testing.T) {
	cfgs, _ := pairOf(t, pairText, "a", "b", "c")
	d := CheckPair(cfgs, nil)
	if text := render(t, d); !strings.Contains(text, "equal priorities") || strings.Contains(text, "test.hcl") {
		t.Error(text)
	}
}

// TestPairOfOneName: hosts of one name are said once, with the way out, and not
// compared: "is on a and not on a" would be nonsense.
func TestPairOfOneName(t *testing.T) {
	for _, c := range []struct {
		nodes []string
		want  []string
	}{
		{[]string{"a", "a"}, []string{`Two hosts are called "a"`, "number 1 and 2 of the 2 "}},
		{[]string{"b", "a", "a", "b", "a"}, []string{`Two hosts are called "b"`, "number 1 and 4 of the 5 "}},
		{[]string{"c", "a", "a", "b", "a"}, []string{`3 hosts are called "a"`, "number 2, 3 and 5 of the 5 "}},
	} {
		d := CheckPair(pairOf(t, pairText, c.nodes...))
		text := render(t, d)
		if len(d.List()) != 1 || d.Errors() != 1 {
			t.Errorf("%v: want one error and nothing else:\n%s", c.nodes, text)
		}
		for _, want := range append(c.want, "--node fw1,fw2", `node { name = "fw1" }`) {
			if !strings.Contains(text, want) {
				t.Errorf("%v: no %q in\n%s", c.nodes, want, text)
			}
		}
	}
}

// TestPairLonely: a router that only one host has.
func TestPairLonely(t *testing.T) {
	cfgs, from := pairOf(t, pairText, "a", "d")
	cfgs[1].Routers = cfgs[1].Routers[:1] // sorted by name: "differs" stays
	d := CheckPair(cfgs, from)
	text := render(t, d)
	for _, want := range []string{`"owned" is only on a`, `"same" is only on a`, "equal priorities"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

// TestPairSameVRIDTwice: with one VRID on two interfaces, names decide.
func TestPairSameVRIDTwice(t *testing.T) {
	const text = `
virtual_router "inside" {
  interface = "eth0"
  vrid      = 1
  priority  = { a = 150, b = 100 }[node.name]
  addresses = ["10.0.0.1/24"]
}
virtual_router "outside" {
  interface = "eth1"
  vrid      = 1
  priority  = { a = 150, b = 100 }[node.name]
  addresses = ["192.0.2.1/24"]
}
`
	if d := CheckPair(pairOf(t, text, "a", "b")); len(d.List()) > 0 {
		t.Error(render(t, d))
	}
}

// TestPairTorn: one address with two VRIDs is two Actives, said once and with
// both places; it is no virtual router that only one host has.
func TestPairTorn(t *testing.T) {
	const text = `virtual_router "web" {
  interface = "eth0"
  vrid      = %s
  priority  = { a = 150, b = 100, c = 50 }[node.name]
  addresses = ["10.0.0.1/24", "10.0.0.2/24"]
}
`
	one := func(vrid string) string { return strings.Replace(text, "%s", vrid, 1) }
	a, da := Load([]Source{{Name: "a.hcl", Text: []byte(one("61"))}}, Options{Override: "a"})
	b, db := Load([]Source{{Name: "b.hcl", Text: []byte("\n" + one("62"))}}, Options{Override: "b"})
	d := CheckPair([]*daemon.Config{a, b}, []*Diagnostics{da, db})
	said := render(t, d)
	if len(d.List()) != 1 || d.Errors() != 1 {
		t.Errorf("want one error and nothing else:\n%s", said)
	}
	for _, want := range []string{`"web": vrid differs`, "10.0.0.1 is", "VRID 61", "VRID 62", "a.hcl:1", "b.hcl:2", "both hosts would be Active"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	// One of three, and another name.
	d = CheckPair(pairOf(t, one("node.name == \"c\" ? 62 : 61"), "a", "b", "c"))
	if said := render(t, d); len(d.List()) != 1 || d.Errors() != 1 || !strings.Contains(said, "on a (VRID 61") || !strings.Contains(said, "on c (VRID 62") {
		t.Errorf("%s", said)
	}
	// A link-local address may be on every link.
	const local = `virtual_router "x" {
  interface = { a = "eth0", b = "eth1" }[node.name]
  vrid      = { a = 1, b = 2 }[node.name]
  addresses = ["fe80::1/64"]
}
`
	if d := CheckPair(pairOf(t, local, "a", "b")); d.Errors() > 0 {
		t.Error(render(t, d))
	}
}
