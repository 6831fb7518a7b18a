package stories

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// What an operator does (services.md 7.3, steps 2–4, 24): a start, a move and a move
// back, standby and online of the preferred host.
func TestApacheDRBDMoves(t *testing.T) {
	t.Parallel()
	x := newSites(t, "web.hcl")
	x.begin()
	x.node1.moved(0, slices.Concat([]string{"exec.configtest down"}, siteUp)...)
	if page := x.run("client", "wget", "-qO-", "http://192.168.122.101/"); page != "the site\n" {
		t.Errorf("the page is %q", page)
	}
	x.node1.do([]string{"none (accepted)", "drbd.wwwdata", "Primary, Connected, UpToDate/UpToDate"}, "status", site)
	x.writes(x.node1)

	for _, way := range []struct {
		what     string
		from, to *node
		argv     []string
	}{
		{"move", x.node1, x.node2, []string{"move", "web"}},
		{"move back", x.node2, x.node1, []string{"move", "web"}},
		{"standby", x.node1, x.node2, []string{"standby", "--reason", "kernel update"}},
		// The preferred host takes it back.
		{"online", x.node2, x.node1, []string{"online"}},
	} {
		at, down, up := lab.Now(), len(way.from.d.Log()), len(way.to.d.Log())
		on := x.node1
		if way.what == "move back" {
			on = x.node2
		}
		on.do(nil, way.argv...)
		x.serves(way.to)
		// Steps, skew of at most a second, Apache's own graceful stop of a second or two.
		x.saw(at, way.what, way.to, 8*time.Second)
		x.writes(way.to)
		way.from.moved(down, siteDown...)
		way.to.moved(up, siteUp...)
		if way.what != "standby" {
			x.ready(way.from)
		}
	}
	if log := x.node1.d.Log() + x.node2.d.Log(); strings.Contains(log, "wrong medium type") || strings.Contains(log, "read-only") {
		t.Error("a Secondary was mounted")
	}
}

// A crash of the service, work on it, a daemon that is killed, a changed file
// (services.md 7.3, steps 6, 17, 25, 26): nothing moves to the other host.
func TestApacheDRBDStays(t *testing.T) {
	t.Parallel()
	x := newSites(t, "web.hcl")
	x.begin()
	n := x.node1
	restarts := func() uint64 { g := n.group(site); return step(g, "apache").Starts - 1 }

	// kill -9 of the parent: its children are left, and are ended before the next start.
	at, log := lab.Now(), len(n.d.Log())
	if err := unix.Kill(x.apache(n), unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	x.until("Apache to be restarted", func() bool { return restarts() == 1 && n.up() })
	x.saw(at, "kill -9 of Apache's parent", n, 12*time.Second)
	at = lab.Now()
	x.crash(n)
	x.until("Apache to be restarted", func() bool { return restarts() == 2 && n.up() })
	x.saw(at, "service crash", n, 5*time.Second+6*time.Second)
	if got := n.movements(log); slices.Contains(got, "filesystem.www down") || slices.Contains(got, "drbd.wwwdata down") {
		t.Errorf("what is below Apache was moved: %v", got)
	}
	n.do([]string{"restart 2 of 3 within 10m0s"}, "history", "web")

	// Maintenance: Apache is killed, the daemon replaced (systemctl restart); nothing is touched.
	n.do([]string{"maintenance"}, "maintenance", "on", site)
	x.crash(n)
	x.until("the monitor to have seen it", func() bool { g := n.group(site); return step(g, "apache").MonitorFailures > 2 })
	at = lab.Now()
	n.d.Process().Signal(unix.SIGUSR2)
	x.until("the next daemon", func() bool {
		return strings.Contains(n.d.Log(), "as in the process before") && n.state("web") == "active"
	})
	if x.apache(n) != 0 || !x.mounted(n) || !x.primary(n) || !n.Has(drbdAddress) {
		t.Error("touched in maintenance")
	}
	n.do(nil, "maintenance", "off", site)
	x.serves(n)
	x.saw(at, "restart in maintenance, maintenance off", n, 10*time.Second)

	// The daemon is killed and is there again at once.
	at = lab.Now()
	n.d.Kill()
	n.start()
	x.serves(n)
	x.saw(at, "kill -9 of the daemon, and restart", n, 12*time.Second)

	// A reload that adds a step at the end: only that one is moved.
	pid, log := x.apache(n), len(n.d.Log())
	text := x.read("examples/apache-drbd/web.hcl")
	end := strings.LastIndex(text, "}")
	changed := text[:end] + `
  step "exec" "announce" {
    start  = ["/usr/bin/touch", "/srv/announced"]
    stop   = ["/usr/bin/rm", "/srv/announced"]
    status = ["/usr/bin/test", "-e", "/srv/announced"]
  }
}
`
	x.must(n.d.Configure(changed))
	x.must(x.node2.d.Configure(changed))
	n.do([]string{"announce"}, "plan")
	n.do(nil, "reload")
	x.node2.do(nil, "reload")
	x.until("the new step to be up", func() bool { g := n.group(site); return n.up() && step(g, "announce").State == "up" })
	n.moved(log, "exec.announce up")
	if x.apache(n) != pid || !n.exists("/srv/announced") {
		t.Error("Apache was restarted for a step above it")
	}
	// And away again, with another interval of Apache's monitor: still nothing else.
	x.must(n.d.Configure(strings.Replace(text, `interval = "5s"`, `interval = "4s"`, 1)))
	n.do(nil, "reload")
	x.until("the step to be gone", func() bool { return n.up() && !n.exists("/srv/announced") && len(n.group(site).Steps) == 4 })
	if x.apache(n) != pid {
		t.Error("Apache was restarted for its monitor")
	}
	x.nothingLost(n)
	if x.node2.movements(0)[0] != "exec.configtest down" || slices.Contains(x.node2.movements(0), "drbd.wwwdata up") {
		t.Errorf("node2 did something: %v", x.node2.movements(0))
	}
}
