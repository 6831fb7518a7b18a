package main

import (
	"strings"
	"testing"
)

const commandSteps = `check "http" "site" { url = "http://127.0.0.1/" }
virtual_router "web" {
  interface = "eth0"
  vrid      = 61
  priority  = { web1 = 150, web2 = 100 }[node.name]
  addresses = ["192.0.2.10/24"]
}
service_group "g" {
  follows = virtual_router.web
  step "lsb" "old" { script = "nothere" }
  step "exec" "app" {
    start  = ["/nowhere/app y start"]
    stop   = ["/nowhere/app"]
    status = ["/nowhere/app"]
  }
}
`

// A script that is not there, one string with spaces, and one reason for two
// commands: each is told once and as what it is.
func TestCheckCommands(t *testing.T) {
	_, _, errs := newBench().run("check", write(t, "g.hcl", commandSteps), "--node", "web1")
	for _, want := range []string{"script of step lsb.old would not run", "/etc/init.d/nothere", "start of step exec.app would not run",
		`looks like one string with spaces`, `["/nowhere/app", "y", "start"]`, "stop and status of step exec.app would not run"} {
		if !strings.Contains(errs, want) {
			t.Errorf("no %q in\n%s", want, errs)
		}
	}
	_, _, errs = newBench().run("check", write(t, "g.hcl", commandSteps), "--node", "web1,web2")
	if n := strings.Count(errs, "Nobody depends on this check"); n != 1 {
		t.Errorf("said %d times:\n%s", n, errs)
	}
}
