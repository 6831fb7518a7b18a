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
	if got := holders(r); got[0] != "b" || len(r.Findings) > 0 {
		t.Errorf("a step that fails does not move the address: %v\n%s", got, story(r))
	}

	r = perform(t, cfgs, "step data=stuck@a@20s", "standby a@30s")
	if !strings.Contains(story(r), "drbd.data") || r.Hosts[0].Services[0].State != "stuck" {
		t.Errorf("%+v\n%s", r.Hosts[0].Services, story(r))
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
