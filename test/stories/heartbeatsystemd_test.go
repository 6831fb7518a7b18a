package stories

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// The same pair on hosts with systemd, two addresses, automatic failback off. systemd
// itself is a stand-in (systemd_test.go); the message bus and the services are real.

var haSecond = netip.MustParseAddr("100.200.230.4")

// newSystemdPair is newPair with units in place of init scripts, and booted.
func newSystemdPair(t *testing.T) *pair {
	t.Helper()
	needBus(t)
	// Where enabled units are told of; any package with a unit makes it.
	if _, err := os.Stat(enabledUnits); err != nil {
		t.Skipf("%v: no unit was ever enabled on this machine", err)
	}
	p := newPair(t, "ha-systemd.hcl", enabledUnits)
	for _, n := range p.nodes {
		n.unit("named.service", "named", "rm -f /run/named.pid; exec /usr/sbin/named -f -n 1 -c /srv/named/named.conf", "test -s /run/named.pid")
		n.unit("apache2.service", "httpd", "rm -f /run/httpd.pid; exec unshare -U --map-user=33 --map-group=33 /usr/sbin/apache2 -f /srv/httpd/httpd.conf -DFOREGROUND",
			"test -s /run/httpd.pid")
		n.unit("mariadb.service", "mysqld", "exec /usr/sbin/mariadbd --defaults-file=/srv/mysqld/my.cnf",
			"mariadb-admin --no-defaults --socket=/run/mysqld.sock -u root ping")
	}
	return p
}

// Steps 3, 5, 7, 8 and 4: the order, power-off, no failback, standby; a unit that is
// enabled at boot.
func TestHeartbeatPairSystemd(t *testing.T) {
	t.Parallel()
	p := newSystemdPair(t)
	p.node2.enable("apache2.service")
	for _, n := range p.nodes {
		n.systemd()
	}
	p.until("the boot to start Apache on node2", func() bool { return len(p.node2.Processes("apache2")) > 0 })
	p.begin()
	p.node1.did(up...)
	p.node2.did("httpd starting", "httpd up", "httpd stopping", "httpd down") // it was brought down
	p.held(haSecond, "node1")
	p.served("client", haSecond.String(), "node1")
	p.node2.do([]string{"apache2.service would be started at boot", "systemctl disable apache2.service"}, "status", "ha")
	for n, want := range map[*node]int{p.node1: 0, p.node2: 1} {
		out, complaints, _, err := n.d.Verb(p.ctx, "check", n.d.ConfigFile())
		p.must(err)
		if got := strings.Count(out+complaints, "is enabled at boot"); got != want || want > 0 && !strings.Contains(complaints+out, "systemctl disable apache2.service") {
			t.Errorf("%s# backbeat check\n%s%s", n.Name, out, complaints)
		}
	}
	if b, err := os.ReadFile(p.node1.Path("/run/systemd/system/mariadb.service.d/50-backbeat.conf")); err != nil || !strings.Contains(string(b), "Restart=no") {
		t.Errorf("the drop-in of mariadb.service: %v\n%s", err, b)
	}

	p.node1.forget()
	crash := lab.Now()
	for _, pid := range p.node1.Processes("apache2") {
		kill(pid)
	}
	p.until("httpd to be repaired", func() bool { return step(p.node1.group("ha"), "httpd").Restarts == 1 })
	p.serves(p.node1)
	p.saw(crash, "httpd killed")
	p.node1.did("httpd died", "mysqld stopping", "mysqld down", "httpd starting", "httpd up", "mysqld starting", "mysqld up")

	p.node2.forget()
	off := lab.Now()
	p.node1.off()
	p.serves(p.node2)
	p.saw(off, "power-off")
	p.node2.did(up...)
	p.held(haSecond, "node2")

	p.node1.on() // auto_failback off
	p.node1.forget()
	p.node1.systemd()
	p.node1.start()
	p.until("node1 to take part", func() bool {
		r, err := p.node1.d.Router(p.ctx, "ha")
		return err == nil && r.State == "backup" && r.Active != nil
	})
	time.Sleep(haDown + time.Second)
	p.serves(p.node2)
	p.node1.did()

	standby := lab.Now()
	p.node2.forget()
	p.node2.do([]string{"is Active now"}, "standby")
	p.serves(p.node1)
	p.saw(standby, "standby")
	p.node2.did(down...)
	p.node1.did(up...)
	p.node2.do(nil, "online")
	p.until("node2 to take part", func() bool { return p.node2.state("ha") == "backup" })
	p.serves(p.node1)
}

// Step 14 with units: one that does not stop until it is killed; and the operator's hand
// on one step, and on all.
func TestHeartbeatPairSystemdFaults(t *testing.T) {
	t.Parallel()
	p := newSystemdPair(t)
	for _, n := range p.nodes {
		n.systemd()
	}
	p.begin()
	p.node1.forget()
	p.node1.do(nil, "group", "restart", "ha/httpd")
	p.serves(p.node1)
	p.node1.did("mysqld stopping", "mysqld down", "httpd stopping", "httpd down", "httpd starting", "httpd up", "mysqld starting", "mysqld up")
	if r := step(p.node1.group("ha"), "httpd").Restarts; r != 0 {
		t.Errorf("a restart by hand counts as %d failures", r)
	}

	p.node1.do(nil, "maintenance", "on", "ha") // work by hand
	for _, pid := range p.node1.Processes("apache2") {
		kill(pid)
	}
	time.Sleep(6 * time.Second) // longer than its monitor's interval
	if len(p.node1.Processes("apache2")) > 0 {
		t.Error("a step was repaired in maintenance")
	}
	p.node1.do(nil, "maintenance", "off", "ha")
	p.serves(p.node1)

	// The file but for one line: nobody waits here for a minute and a half.
	text := strings.Replace(p.read("examples/heartbeat-pair/ha-systemd.hcl"), `unit = "mariadb.service"`, "unit = \"mariadb.service\"\n    stop_timeout = \"1s\"", 1)
	p.must(p.node1.d.Configure(text))
	p.node1.do(nil, "reload")
	p.node1.break_("mysqld", "stop")
	p.node1.forget()
	p.node1.do([]string{"is Active now"}, "standby")
	p.serves(p.node2)
	if got := p.node1.events(); !slices.ContainsFunc(got, func(e event) bool { return e.what == "hangs" }) || slices.ContainsFunc(got, func(e event) bool { return e.service == "mysqld" && e.what == "stopping" }) {
		t.Errorf("on node1: %v", got)
	}
}
