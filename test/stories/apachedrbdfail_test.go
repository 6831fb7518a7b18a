package stories

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// Apache that does not stay up, and then cannot be started anywhere (services.md 7.3,
// steps 7–9). The file with 1 s in place of the monitor's 5 s and of the hold-off's
// 30 s, so that four crashes and two rounds do not take minutes.
func TestApacheDRBDServiceFails(t *testing.T) {
	t.Parallel()
	const holdOff = 8 * time.Second
	x := newSites(t, "web.hcl", `interval = "5s"`, `interval = "1s"`, `start_timeout = "40s"`, `start_timeout = "10s"`,
		"follows = virtual_router.web", "follows = virtual_router.web\n  hold_off = \"8s\"")
	x.begin()

	// Four crashes in the window: the fourth one is a failover, and this host is held off.
	at := lab.Now()
	for i := range 4 {
		x.until("Apache to serve", func() bool { return x.client.server() == "node1" && x.apache(x.node1) != 0 && x.node1.up() })
		at = lab.Now()
		x.crash(x.node1)
		if i < 3 {
			x.until("a restart in place", func() bool { return step(x.node1.group(site), "apache").Restarts == i+1 })
		}
	}
	x.until("node1 to be held off", func() bool { return x.node1.group(site).UnfitFor != nil })
	g := x.node1.group(site)
	if g.State != "unfit" || !strings.Contains(g.Unfit, "restarted 3 times within 10m0s already") || g.UnfitFor == nil {
		t.Errorf("node1: %s, %q, %v", g.State, g.Unfit, g.UnfitFor)
	}
	if text, code := x.node1.verb("status", "--check"); code != 1 {
		t.Errorf("status --check: exit status %d: %s", code, text)
	}
	x.node1.do([]string{"cannot serve"}, "why", site)
	x.serves(x.node2)
	x.saw(at, "the fourth crash in the window", x.node2, 9*time.Second)
	// The hold-off ends by itself, and the preferred host takes over again.
	x.until("the hold-off to be over", func() bool { return x.node1.group(site).Unfit == "" })
	x.serves(x.node1)

	// A mistake in the configuration on node2 only, and a move: it fails there in a
	// moment, before anything is promoted, and comes back.
	broken := func(n *node) string { return filepath.Join(n.Path("/etc/apache2/conf-enabled"), "broken.conf") }
	x.must(os.WriteFile(broken(x.node2), []byte("NoSuchDirective on\n"), 0o644))
	at = lab.Now()
	up := len(x.node2.d.Log())
	_, _ = x.node1.verb("move", "web", "--timeout", "30s")
	x.until("node2 to give up, and to say why", func() bool {
		u := x.node2.group(site).Unfit
		return strings.Contains(u, "exec.configtest") && strings.Contains(u, "NoSuchDirective")
	})
	x.serves(x.node1)
	x.saw(at, "a move to a host where Apache's configuration is broken", x.node1, 12*time.Second)
	if slices.Contains(x.node2.movements(up), "drbd.wwwdata up") {
		t.Error("node2 has promoted")
	}

	// On both, and Apache crashes: nobody serves, and nobody tries more often than the
	// hold-off, which grows, allows. The data is taken by nobody.
	x.must(os.WriteFile(broken(x.node1), []byte("NoSuchDirective on\n"), 0o644))
	log1, log2 := len(x.node1.d.Log()), len(x.node2.d.Log())
	x.crash(x.node1)
	x.until("node1 to give up", func() bool { return x.node1.group(site).Unfit != "" })
	began := time.Now()
	for time.Since(began) < holdOff+2*time.Second {
		if x.primary(x.node1) && x.primary(x.node2) {
			t.Fatal("both are Primary")
		}
		time.Sleep(100 * time.Millisecond)
	}
	for n, from := range map[*node]int{x.node1: log1, x.node2: log2} {
		log := n.d.Log()[from:]
		if got, most := strings.Count(log, "this host cannot serve"), 1+int(time.Since(began)/holdOff)+1; got > most {
			t.Errorf("%s has tried %d times in %s, at most %d are allowed", n.Name, got, time.Since(began).Round(time.Second), most)
		}
	}
	if text, code := x.node1.verb("status", "--check"); code == 0 {
		t.Errorf("status --check: all is well? %s", text)
	}
	for _, n := range x.nodes {
		x.must(os.Remove(broken(n)))
	}
	for _, n := range x.nodes {
		n.do(nil, "clear", site)
	}
	x.until("somebody to serve", func() bool { return x.node1.up() != x.node2.up() && x.client.server() != "" })
	n := x.node1
	if x.node2.up() {
		n = x.node2
	}
	x.nothingLost(n)
}

// Who holds the file system is ended, and named; what cannot be ended makes the group
// stuck: nothing below is touched, and it does not move (services.md 7.3, steps 19, 20,
// 23). The file with a stop_timeout of 3 s for the file system.
func TestApacheDRBDStopFails(t *testing.T) {
	t.Parallel()
	x := newSites(t, "web.hcl", `type   = "ext4"`, "type   = \"ext4\"\n    stop_timeout = \"3s\"",
		`step "drbd" "wwwdata" { resource = "wwwdata" }`, "step \"drbd\" \"wwwdata\" {\n    resource = \"wwwdata\"\n    start_timeout = \"8s\"\n  }")
	x.begin()

	// The kernel itself holds it: a loop device whose image is in it. Nobody can end that.
	if x.real {
		x.stuck(x.node1)
	} else {
		t.Log("not the real root: a group that is stuck needs loop devices (sudo make test)")
		x.node1.do([]string{"is Active now"}, "standby")
	}
	x.serves(x.node2)

	// A promotion that hangs: given up in time, and the other host serves again.
	x.drbd.Write("hang.primary", "")
	x.node1.do(nil, "online")
	x.until("node1 to give up", func() bool { return strings.Contains(x.node1.group(site).Unfit, "drbdadm primary hangs") })
	x.drbd.Remove("hang.primary")
	x.serves(x.node2)

	// A process that holds the mount and does not end when it is asked to is killed, and named.
	p := x.part("node2", "hold", docroot)
	x.until("the holder", func() bool { return strings.Contains(p.Output(), "holding") })
	x.node1.do(nil, "clear", site) // and the preferred host takes over
	x.serves(x.node1)
	if log := x.node2.d.Log(); !strings.Contains(log, "is down: not mounted; ended: ") {
		t.Error("nothing is said of the holder")
	}
	select {
	case <-p.Done():
	default:
		t.Error("the holder lives")
	}
	x.nothingLost(x.node1)
}

// stuck makes a node's file system impossible to unmount, sends the node into standby,
// and helps it.
func (x *sites) stuck(n *node) {
	x.t.Helper()
	x.run(n.Name, "truncate", "-s", "64K", docroot+"/image")
	device := strings.TrimSpace(x.run(n.Name, "losetup", "--find", "--show", docroot+"/image"))
	held := true
	x.t.Cleanup(func() {
		if held {
			_ = exec.Command("losetup", "-d", device).Run()
		}
	})
	from, o := len(n.d.Log()), x.other(n)
	text, code := n.verb("standby", "--timeout", "30s")
	x.t.Logf("%s# backbeat standby\n%s", n.Name, text)
	if code == 0 {
		x.t.Error("standby says that it has succeeded")
	}
	x.until(n.Name+" to be stuck", func() bool { return n.group(site).State == "stuck" })
	if !x.mounted(n) || !x.primary(n) || x.primary(o) || o.Has(drbdAddress) {
		x.t.Error("something below was touched, or somebody else has taken the data")
	}
	if got := n.movements(from); !slices.Equal(got, []string{"ocf.apache down"}) {
		x.t.Errorf("moved: %v", got)
	}
	if text, code := n.verb("status", "--check"); code != 2 || !strings.Contains(text, "stuck") {
		x.t.Errorf("status --check: exit status %d: %s", code, text)
	}
	if !strings.Contains(n.d.Log()[from:], "busy: held by the device "+filepath.Base(device)) {
		x.t.Error("nothing is said of what holds it")
	}
	x.run(n.Name, "losetup", "-d", device)
	held = false
	n.do(nil, "clear", site)
}

// A cable that comes and goes does not make two writers, and at its end one host serves.
// Then two hosts that lose power at once.
func TestApacheDRBDFlapping(t *testing.T) {
	t.Parallel()
	x := newSites(t, "web.hcl")
	x.begin()
	for range 6 {
		x.must(x.node1.Cut())
		time.Sleep(400 * time.Millisecond)
		x.must(x.node1.Heal())
		time.Sleep(300 * time.Millisecond)
	}
	x.serves(x.node1)
	x.until("the client to be served", func() bool { return x.client.server() == "node1" })
	x.nothingLost(x.node1)
	if slices.Contains(x.node2.movements(0), "filesystem.www up") {
		t.Log("node2 has served meanwhile")
	}
	for _, n := range x.nodes {
		x.powerOff(n)
	}
	for _, n := range x.nodes {
		x.powerOn(n)
		n.start()
	}
	x.write(x.node1)
	x.serves(x.node1)
	x.writes(x.node1)
	x.nothingLost(x.node1)
}
