package conf

import (
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/daemon"
)

// TestPairServices compares what takes over with what it takes over from.
func TestPairServices(t *testing.T) {
	const unit = `step "systemd" "s" { unit = "apache2" }`
	fence := func(lines ...string) string {
		return "safety {\n    mode = \"fence\"\n    fence \"f\" {\n      command = [\"/usr/sbin/fence_x\"]\n      " + strings.Join(lines, "\n      ") + "\n    }\n  }\n  step \"drbd\" \"d\" { resource = \"r\" }"
	}
	const target, delay = `target = { a = "b", b = "a" }[node.name]`, `delay = { a = "0s", b = "5s" }[node.name]`
	for _, c := range []struct {
		name, lines, want string
	}{
		{"same", unit, ""},
		{"unit", `step "systemd" "s" { unit = { a = "apache2", b = "httpd" }[node.name] }`, "not the same: unit."},
		{"secret", "step \"ocf\" \"o\" {\n    agent = \"ocf:own:x\"\n    secrets = { a = { a = \"hunter1\", b = \"hunter2\" }[node.name] }\n  }", "not the same: params."},
		{"monitor", "step \"systemd\" \"s\" {\n    unit = \"x\"\n    restarts = { a = 1, b = 2 }[node.name]\n    stop_timeout = { a = \"1s\", b = \"2s\" }[node.name]\n    monitor { interval = { a = \"1s\", b = \"2s\" }[node.name] }\n  }", "not the same: monitor, stop_timeout, restarts."},
		{"when", unit + "\n  addresses_when = { a = \"active\", b = \"ready\" }[node.name]", "addresses_when differs"},
		{"good fence", fence(target, delay), ""},
		{"race", fence(target), "both hosts would fence at the same moment"},
		{"target", fence(`target = { a = "b", b = "c" }[node.name]`, delay), "On b it is c, and the other host is called a."},
		{"action", fence(target, delay, `action = { a = "off", b = "reboot" }[node.name]`), "fence devices differ"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(group9(c.lines), "addresses = [", "priority = { a = 150, b = 100 }[node.name]\n  addresses = [", 1)
			d := CheckPair(pairOf(t, text, "a", "b"))
			said := render(t, d)
			switch {
			case c.want == "" && len(d.List()) > 0:
				t.Error(said)
			case c.want != "" && (!strings.Contains(strings.Join(strings.Fields(said), " "), c.want) || d.HasErrors() || strings.Contains(said, "hunter")):
				t.Errorf("want %q:\n%s", c.want, said)
			}
		})
	}
}

// TestPairServicesOfTwoFiles: what one text for both cannot say.
func TestPairServicesOfTwoFiles(t *testing.T) {
	router := func(vrid, prio string) string {
		return "virtual_router \"v" + vrid + "\" {\n  interface = \"eth0\"\n  vrid = " + vrid + "\n  priority = " + prio + "\n  addresses = [\"10.0.0." + vrid + "/24\"]\n}\n"
	}
	group := func(name, follows string, lines ...string) string {
		return "service_group \"" + name + "\" {\n  follows = virtual_router." + follows + "\n  " + strings.Join(lines, "\n  ") + "\n}\n"
	}
	x, y := `step "systemd" "x" { unit = "x" }`, `step "systemd" "y" { unit = "y" }`
	drbd := `step "drbd" "d" { resource = "r" }`
	fence := "safety {\n    mode = \"fence\"\n    fence \"f\" {\n      command = [\"/usr/sbin/fence_x\"]\n      target = \"a\"\n    }\n  }"
	a := router("1", "150") + router("2", "150") + group("g", "v1", accepted, drbd, x, y) + group("only", "v2", `step "systemd" "z" { unit = "z" }`)
	b := router("1", "100") + router("2", "100") + group("g", "v2", fence, drbd, y, x)
	cfgA, fromA := load(t, a, Options{Override: "a"})
	cfgB, fromB := load(t, b, Options{Override: "b"})
	d := CheckPair([]*daemon.Config{cfgA, cfgB}, []*Diagnostics{fromA, fromB})
	said := render(t, d)
	for _, want := range []string{`service_group "g" follows another virtual router`, "It follows VRID 1 (ipv4) on a and VRID 2 (ipv4) on b", `service_group "g": steps differ`,
		"drbd.d, systemd.x, systemd.y on a and drbd.d, systemd.y, systemd.x on b", "The mode is none on a and fence on b", `service_group "only" is only on a`, "test.hcl:"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	if d.Errors() != 3 || d.Warnings() != 1 {
		t.Errorf("%d errors, %d warnings:\n%s", d.Errors(), d.Warnings(), said)
	}
	if text := render(t, CheckPair([]*daemon.Config{cfgA, cfgB}, nil)); strings.Contains(text, "test.hcl") {
		t.Error(text)
	}
}
