package main

import (
	"reflect"
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/daemon/play"
)

const examples = "../../examples/"

// weakWeights is keepalived's classic: a check that fails takes 20 of the 50
// that the other host lacks.
const weakWeights = `check "http" "site" { url = "http://127.0.0.1/" }
virtual_router "web" {
  interface = "eth0"
  vrid      = 61
  priority  = { web1 = 150, web2 = 100 }[node.name]
  addresses = ["192.0.2.10/24"]
  depends_on {
    check  = check.http.site
    weight = -20
  }
  depends_on { link = "eth1" }
}
`

// What people read, for the examples and every kind of fault.
func TestSimulateGolden(t *testing.T) {
	weak := write(t, "weak.hcl", weakWeights)
	for _, tt := range []struct {
		name string
		args []string
		code int
	}{
		{"web-pair", []string{"--node", "web1,web2", examples + "web-pair/web.hcl", "--fail", "web1@10s..20s", "--stop", "web2@80s"}, 0},
		{"two-gateways", []string{"--node", "fw1,fw2", examples + "two-gateways/fw.hcl", "--cut", "fw1-fw2@20s..30s", "--link", "eth1@fw1@50s"}, 0},
		{"checked-web", []string{"--node", "web1,web2", examples + "checked-web/web.hcl", "--check", "site=failing@web1@30s..60s", "--link", "eth1@web2@70s..80s",
			"--check", "drain=failing@*@90s"}, 1},
		{"sync-group", []string{"--node", "gw1,gw2", examples + "gateways-vmac/gw.hcl", "--link", "eth1@gw1@20s..30s", "--all-checks"}, 0},
		{"unicast", []string{"--node", "app1,app2,app3", examples + "unicast-cloud/cloud.hcl", "--kill", "app1@20s", "--freeze", "app2@40s..50s"}, 0},
		{"dual-stack", []string{"--node", "r1,r2", examples + "dual-stack-router/router.hcl", "--remove", "eth1@r1@10s..20s", "--pause", "r1@40s..50s",
			"--loss", "40%@70s..80s", "--delay", "20ms@81s..82s", "--start", "r2@2s"}, 0},
		{"all-checks", []string{"--node", "web1,web2", weak, "--all-checks"}, 1},
		{"all-checks-merged", []string{"--node", "web1,web2", examples + "checked-web/web.hcl", "--all-checks"}, 0},
		{"service-group", []string{"--node", "node1,node2", examples + "apache-drbd/web.hcl", "--stop", "node1@30s..60s"}, 0},
		{"stuck-group", []string{"--node", "node1,node2", examples + "apache-drbd/web.hcl", "--step", "www=stuck@node1@20s", "--standby", "node1@30s"}, 1},
		{"too-short", []string{"--node", "web1", examples + "minimal/backbeat.hcl", "--until", "3s"}, 1},
	} {
		code, out, errs := newBench().run(append([]string{"simulate"}, tt.args...)...)
		if code != tt.code || errs != "" {
			t.Errorf("%s: exit %d, want %d: %s", tt.name, code, tt.code, errs)
		}
		golden(t, "simulate-"+tt.name+".golden", []byte(out))
	}
}

func TestSimulateJSON(t *testing.T) {
	code, out, errs := newBench().run("simulate", "--node", "web1,web2", write(t, "weak.hcl", weakWeights), "--all-checks", "-o", "json",
		"--fail", "web1@10s..20s", "--check", "site=unknown@web2@30s", "--cut", "web1@40s..45s")
	if code != 1 || errs != "" {
		t.Errorf("exit %d: %s", code, errs)
	}
	golden(t, "simulate.json.golden", []byte(out))
}

// All errors are reported at once, and nothing is played.
func TestSimulateErrors(t *testing.T) {
	b := newBench()
	code, out, errs := b.run("simulate", "--node", "web1,web2", examples+"checked-web/web.hcl", "--fail", "wbe1@10s", "--fail", "web1@10", "--fail", "web1",
		"--check", "sit=failing@web1@4s", "--check", "db1=bad@web1", "--check", "site=failing", "--check", "db1=7@web1", "--cut", "web1-web3@5s", "--cut", "web1-web1@5s",
		"--link", "eth7@web1@4s", "--link", "eth0@4s", "--fail", "web2@10s..30s", "--stop", "web2@20s", "--loss", "200@4s", "--delay", "x@4s", "--start", "web1@20s",
		"--start", "web1@3s..4s", "--stop", "web1@9s..8s", "--freeze", "web1@90s", "--until", "60s", "--check", "site=failing@web2@5s..20s", "--check", "http.site=unknown@web2@15s")
	if code != exitUsage || out != "" {
		t.Errorf("exit %d, output %q", code, out)
	}
	golden(t, "simulate-errors.golden", []byte(errs))

	bad := write(t, "bad.hcl", `virtual_router "web" { vrid = 0 }`)
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{bad}, bad + " has errors, see above"},
		{[]string{"/nonexistent.hcl"}, "/nonexistent.hcl"},
		{[]string{"--node", "a,a", examples + "minimal/backbeat.hcl"}, `two hosts are called "a"`},
		{[]string{"--node", "a,b", bad, bad, bad}, "give one name for each file"},
		{[]string{examples + "minimal/backbeat.hcl", "--until", "soon"}, "--until soon: it is a time like 90s"},
		{[]string{examples + "minimal/backbeat.hcl", "--seed", "x"}, "invalid argument"},
	} {
		if code, _, errs := b.run(append([]string{"simulate"}, tt.args...)...); code != exitUsage || !strings.Contains(errs, tt.want) {
			t.Errorf("%v: exit %d, %q", tt.args, code, errs)
		}
	}
}

// One seed gives one play, another seed another.
func TestSimulateSeed(t *testing.T) {
	play := func(seed string) string {
		_, out, _ := newBench().run("simulate", "--node", "web1,web2", examples+"web-pair/web.hcl", "--loss", "50%@10s..60s", "--seed", seed)
		return out
	}
	one, again := play("7"), play("7")
	if one != again {
		t.Error("one seed, two plays")
	}
	if one == play("8") {
		t.Error("the seed decides nothing")
	}
}

// Colours are for terminals, and so is progress; lines end where they do.
func TestSimulateOnATerminal(t *testing.T) {
	b := newBench()
	b.look.color, b.width = true, 60
	_, out, errs := b.run("simulate", "--node", "web1,web2", examples+"web-pair/web.hcl", "--fail", "web1@10s")
	if !strings.Contains(out, "\x1b[32mActive\x1b[0m") || errs != "" {
		t.Errorf("%s%s", out, errs)
	}
	for line := range strings.Lines(out) {
		if visible(strings.TrimRight(line, "\n")) > 60 && strings.Contains(line, " is ") {
			t.Errorf("too long: %q", line)
		}
	}
	b.errWidth = 80
	show := b.progress()
	show("playing", 1, 100)
	if show("", 0, 0); b.err.Len() > 0 {
		t.Errorf("progress of what takes no time: %q", b.err.String())
	}
}

// docs/json.md is a promise here, too.
func TestSimulationIsDocumented(t *testing.T) {
	sections := documented(t)
	for section, v := range map[string]any{
		"Simulation": simulation{}, "Simulated host": play.HostResult{}, "Simulated interface": play.NICResult{}, "Simulated virtual router": play.RouterResult{},
		"Simulated service group": play.ServiceResult{}, "Service group use": play.GroupUse{},
		"Event":                   play.Event{}, "Address use": play.AddressUse{}, "Finding": play.Finding{}, "Check table": play.CheckedUnit{}, "Check table host": play.UnitHost{},
		"Combination": play.Row{}, "Combination host": play.RowHost{},
	} {
		want, got := fields(reflect.TypeOf(v)), sections[section]
		delete(want, "") // not exported
		for name, optional := range want {
			if row, ok := got[name]; !ok || strings.Contains(row, "optional") != optional {
				t.Errorf("docs/json.md, %s: field %q is missing, or optional=%t is not said", section, name, optional)
			}
		}
		for name := range got {
			if _, ok := want[name]; !ok {
				t.Errorf("docs/json.md, %s: there is no field %q", section, name)
			}
		}
	}
}
