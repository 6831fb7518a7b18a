package play_test

import (
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/daemon/play"
)

// site is a group with exclusive data that nothing guards but its own good sense.
const site = `virtual_router "web" {
  interface = "eth0"
  vrid = 61
  priority = { a = 150, b = 100 }[node.name]
  addresses = ["192.0.2.10/24"]
}
service_group "site" {
  follows = virtual_router.web
  safety {
    mode = "none"
    accept_split_brain = true
  }
  step "drbd" "data" { resource = "data" }
  step "systemd" "apache" { unit = "apache2.service" }
}
`

// Steps follow the address, one host after the other, and two writers are found.
func TestServiceGroups(t *testing.T) {
	cfgs := load(t, site, "a", "b")
	r := perform(t, cfgs, "stop a@30s")
	rest := story(r)
	for _, want := range []string{"drbd.data is up", "systemd.apache is up", "a   backbeat is asked to stop", "systemd.apache is down", "drbd.data is down",
		"b web active", "drbd.data is up"} {
		_, after, found := strings.Cut(rest, want)
		if !found {
			t.Fatalf("%q does not come in its turn:\n%s", want, story(r))
		}
		rest = after
	}
	if len(r.Findings) > 0 || len(r.Hosts[1].Services) != 1 || r.Hosts[1].Services[0].Up != 2 {
		t.Errorf("%v %+v", r.Findings, r.Hosts[1].Services)
	}

	r = perform(t, cfgs, "cut a-b@30s..60s")
	if len(r.Findings) != 1 || r.Findings[0].Kind != play.FindWriters || !strings.Contains(story(r), "site/drbd.data is up on a and b: two writers") {
		t.Errorf("two writers are not found:\n%s", story(r))
	}

	r = perform(t, cfgs, "step apache=failing@a@30s")
	if got := holders(r); got[0] != "b" || kinds(r) != "group-unfit" {
		t.Errorf("a step that fails does not move the address: %v\n%s", got, story(r))
	}

	r = perform(t, cfgs, "step data=stuck@a@20s", "standby a@30s")
	if !strings.Contains(story(r), "drbd.data") || r.Hosts[0].Services[0].State != "stuck" {
		t.Errorf("%+v\n%s", r.Hosts[0].Services, story(r))
	}
	if kinds(r) != "group-down group-stuck order-unfulfilled" {
		t.Errorf("%s\n%s", kinds(r), story(r))
	}
}

// kinds are those of the findings.
func kinds(r *play.Result) string {
	var out []string
	for _, f := range r.Findings {
		out = append(out, f.Kind)
	}
	return strings.Join(out, " ")
}

// How long a group was up nowhere is counted, from when it was up first.
func TestGroupDowntime(t *testing.T) {
	cfgs := load(t, site, "a", "b")
	r := perform(t, cfgs, "stop a@30s")
	if len(r.Services) != 1 {
		t.Fatalf("%+v", r.Services)
	}
	g := r.Services[0]
	if g.Name != "site" || len(g.UpOn) != 1 || g.UpOn[0] != "b" || g.FirstUp == nil || g.Ups != 2 || g.Nowhere < 1 || g.Nowhere > 10 || g.LongestNowhere != g.Nowhere {
		t.Errorf("%+v", g)
	}
	// It is down from the moment it fails, not from when that is seen; and power takes it away.
	for _, fault := range []string{"step apache=failing@a@30s", "fail a@30s", "pause a@30s"} {
		r = perform(t, cfgs, fault)
		if g := r.Services[0]; g.Nowhere < 3 || g.Nowhere > 20 || g.UpOn[0] != "b" {
			t.Errorf("%s: %+v", fault, g)
		}
	}
	// On both hosts it does not come up: nobody has it.
	r = perform(t, cfgs, "step apache=failing@a@0s", "step apache=failing@b@0s")
	if g := r.Services[0]; g.FirstUp != nil || g.Nowhere != 0 || !strings.Contains(kinds(r), "group-down") || !strings.Contains(story(r), "up nowhere at any time") {
		t.Errorf("%s %+v", kinds(r), g)
	}
}

// A standby or a move that is refused or not carried out is found; one that is, is not.
func TestOrdersFulfilled(t *testing.T) {
	cfgs := load(t, site, "a", "b")
	for _, tt := range []struct{ faults, want string }{
		{"standby a@30s", ""},
		{"standby b@30s", ""},
		{"standby a@30s..60s", ""},
		{"move site@a@30s", ""},
		{"move web@a@30s..70s", ""},
		{"move site@b@30s", "order-unfulfilled"},
		{"kill a@30s,standby a@40s", "order-unfulfilled"},
		{"step data=stuck@a@20s..90s,standby a@30s..60s", "order-unfulfilled"},
		{"step data=stuck@a@20s,move site@a@30s", "group-down group-stuck order-unfulfilled"},
	} {
		if r := perform(t, cfgs, strings.Split(tt.faults, ",")...); kinds(r) != tt.want {
			t.Errorf("%s: %q, want %q\n%s", tt.faults, kinds(r), tt.want, story(r))
		}
	}
}

// A fence takes the power of the other host, which is seen.
func TestFence(t *testing.T) {
	text := strings.Replace(site, `mode = "none"
    accept_split_brain = true`, `mode = "fence"
    fence "ipmi" {
      command = ["/usr/sbin/fence_ipmilan"]
      target  = { a = "b", b = "a" }[node.name]
      delay   = { a = "0s", b = "5s" }[node.name]
    }`, 1)
	r := perform(t, load(t, text, "a", "b"), "start b@20s", "cut a-b@40s")
	if s := story(r); !strings.Contains(s, "a   is switched off by b (fence)") || holders(r)[0] != "b" || len(r.Findings) > 0 {
		t.Errorf("held by %v\n%s", holders(r), s)
	}
}
