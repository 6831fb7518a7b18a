package conf

import (
	"strings"
	"testing"
)

// TestPairCasts compares what hosts must have in common to hear each other, and
// what they should.
func TestPairCasts(t *testing.T) {
	const group = "\n}\nvirtual_router \"y\" {\n  interface = \"eth1\"\n  vrid = 9\n  priority = { a = 150, b = 100, c = 50 }[node.name]\n  addresses = [\"10.1.0.1\"]\n}\n"
	for _, c := range []struct {
		name, lines string
		// summary of the diagnostic, and whether it is an error; empty for none.
		want  string
		error bool
	}{
		{"same", `version = 2`, "", false},
		{"version", `version = { a = 2, b = 3 }[node.name]`, "version differs", true},
		{"interval", "version = 2\n  interval = { a = \"1s\", b = \"2s\" }[node.name]", "interval differs", true},
		{"group", `multicast_group = { a = "239.0.0.1", b = "239.0.0.2" }[node.name]`, "multicast_group differs", true},
		{"cast", `peers = { a = ["10.9.0.2"], b = null }[node.name]`, "peers differs", true},
		{"stranger", "source = { a = \"10.9.0.1\", b = \"10.9.0.2\" }[node.name]\n  peers = { a = [\"10.9.0.2\"], b = [\"10.9.0.3\"] }[node.name]", "a is no peer of b", true},
		{"acquainted", "source = { a = \"10.9.0.1\", b = \"10.9.0.2\" }[node.name]\n  peers = [\"10.9.0.1\", \"10.9.0.2\"]", "", false},
		{"same list", `peers = ["10.9.0.2"]`, "a and b have the same peers", false},
		{"other lists", `peers = { a = ["10.9.0.2"], b = ["10.9.0.1"] }[node.name]`, "", false},
		{"ttl", "peers = { a = [\"10.9.0.2\"], b = [\"10.9.0.1\"] }[node.name]\n  ttl = { a = 64, b = 255 }[node.name]", "ttl is below ttl_min", true},
		{"verified", "version = 2\n  verify_addresses = true\n  address \"10.0.0.2\" { advertise = node.name == \"a\" }", "verify_addresses insists", true},
		{"virtual MAC", `virtual_mac = node.name == "a"`, "virtual_mac differs", false},
		{"accept", `accept = node.name == "a"`, "accept differs", false},
		{"route", `route "10.8.0.0/16" { via = { a = "10.0.0.8", b = "10.0.0.9" }[node.name] }`, "route differs", false},
		{"rule", "rule {\n    from = \"10.8.0.0/16\"\n    table = { a = 7, b = 8 }[node.name]\n    priority = 7\n  }", "rule differs", false},
		{"members", "settle = \"0s\"" + group + "virtual_router \"z\" {\n  interface = \"eth2\"\n  vrid = 9\n  priority = { a = 150, b = 100 }[node.name]\n  addresses = [\"10.2.0.1\"]\n}\n" +
			"sync_group \"g\" { routers = concat([virtual_router.x, virtual_router.y], node.name == \"a\" ? [virtual_router.z] : []) }\nvirtual_router \"w\" {\n  interface = \"eth3\"\n  vrid = 9\n  priority = { a = 150, b = 100 }[node.name]\n  addresses = [\"10.3.0.1\"]",
			"sync_group differs", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.TrimSuffix(router9(`priority = { a = 150, b = 100 }[node.name]`, `addresses = ["10.0.0.1"]`, c.lines), "\n")
			d := CheckPair(pairOf(t, text+"\n", "a", "b"))
			said := render(t, d)
			switch {
			case c.want == "" && len(d.List()) > 0:
				t.Error(said)
			case c.want != "" && (!strings.Contains(said, c.want) || d.HasErrors() != c.error):
				t.Errorf("want %q:\n%s", c.want, said)
			}
		})
	}
}

// Equal priorities are worse in a group, and RAs and too few peers are seen.
func TestPairGroupsAndPeers(t *testing.T) {
	both := router9(`election = "both"`, `virtual_mac = true`, `router_advertisements = "on"`, `addresses = ["fe80::9", "10.0.0.1"]`,
		"ra {\n    interval = { a = \"10s\", b = \"20s\" }[node.name]\n  }")
	d := CheckPair(pairOf(t, both, "a", "b"))
	if said := render(t, d); d.Errors() != 2 || strings.Count(said, "equal priorities in a sync group") != 2 || !strings.Contains(said, "router_advertisements differs") {
		t.Errorf("%s", said)
	}
	three := router9(`priority = { a = 150, b = 100, c = 50 }[node.name]`, `peers = { a = ["10.9.0.2"], b = ["10.9.0.1", "10.9.0.3"], c = ["10.9.0.1", "10.9.0.2"] }[node.name]`, `addresses = ["10.0.0.1"]`)
	d = CheckPair(pairOf(t, three, "a", "b", "c"))
	if said := render(t, d); len(d.List()) != 1 || !strings.Contains(said, "too few peers on a") {
		t.Errorf("%s", said)
	}
	// b and c do not know each other, which comparing with a does not show.
	stranger := router9(`priority = { a = 150, b = 100, c = 50 }[node.name]`, `source = { a = "10.9.0.1", b = "10.9.0.2", c = "10.9.0.3" }[node.name]`,
		`peers = { a = ["10.9.0.2", "10.9.0.3"], b = ["10.9.0.1", "10.9.0.4"], c = ["10.9.0.1", "10.9.0.2"] }[node.name]`, `addresses = ["10.0.0.1"]`)
	d = CheckPair(pairOf(t, stranger, "a", "b", "c"))
	if said := render(t, d); d.Errors() != 1 || !strings.Contains(said, "c is no peer of b") {
		t.Errorf("%s", said)
	}
}
