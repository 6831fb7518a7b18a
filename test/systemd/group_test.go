package systemd

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// A service group of a unit and of a command that leaves a process of its own.
const site = `
service_group "site" {
  follows = virtual_router.web
  step "systemd" "app" {
    unit = "site.service"
    monitor { interval = "1s" }
  }
  step "exec" "helper" {
    start  = ["/usr/local/sbin/helper", "start"]
    stop   = ["/usr/local/sbin/helper", "stop"]
    status = ["/usr/local/sbin/helper", "status"]
    user   = "root"
  }
}
`

const helper = `#!/bin/sh
pid=$(cat /run/helper.pid 2>/dev/null)
case $1 in
start)
  setsid sleep 3601 </dev/null >/dev/null 2>&1 &
  echo $! > /run/helper.pid ;;
stop)
  test -z "$pid" || kill "$pid"
  rm -f /run/helper.pid ;;
status)
  test -n "$pid" && test -d "/proc/$pid" || exit 3 ;;
esac
`

// newServing is a pair whose r1 serves the group. r2 takes part in the election only.
func newServing(t *testing.T, interval string) *pair {
	t.Helper()
	p := newPair(t, web(interval))
	p.configure(web(interval, site))
	p.write("/usr/local/sbin/helper", helper)
	p.do("chmod", "0755", "/usr/local/sbin/helper")
	p.write("/etc/systemd/system/site.service", "[Unit]\nDescription=What the pair serves\n[Service]\nExecStart=/bin/sleep 3602\nRestart=always\n")
	p.systemctl("daemon-reload")
	p.run()
	p.serves()
	return p
}

// serves waits until the group is up.
func (p *pair) serves() {
	p.t.Helper()
	p.until("the group to be up", func() bool {
		list := p.status().Services
		return len(list) == 1 && list[0].State == "up"
	})
}

// theirs are the processes of the group: the unit's and the command's.
func (p *pair) theirs() string {
	p.t.Helper()
	return p.property("site", "MainPID") + " " + strings.TrimSpace(p.read("/run/helper.pid"))
}

// The group comes up, lives on through a restart of the daemon with the same processes, is
// repaired, and is down when the daemon has stopped.
func TestServiceGroup(t *testing.T) {
	p := newServing(t, "100ms")
	if got := p.property("site", "ActiveState") + " " + p.property("site", "Restart"); got != "active no" {
		t.Errorf("the unit is %s, Restart= is for the drop-in to say", got)
	}
	if before := p.property("site", "Before"); !strings.Contains(before, "backbeat.service") {
		t.Errorf("Before=%s", before)
	}
	if n := atoi(p.read("/run/helper.pid")); p.members("backbeat.service/site.exec.helper.step")[n] != "sleep 3601" {
		t.Errorf("process %d is not in the step's control group: %v", n, p.members("backbeat.service"))
	}
	served := p.theirs()
	for range 2 {
		p.unnoticed("a restart with a service group", func() { p.systemctl("restart", "backbeat") })
		p.serves()
		if now := p.theirs(); now != served {
			t.Fatalf("processes %s became %s", served, now)
		}
	}
	p.noTrace()

	p.systemctl("kill", "-s", "KILL", "site")
	p.until("the unit to be started again", func() bool {
		now := p.theirs()
		return now != served && !strings.HasPrefix(now, "0 ") && p.property("site", "ActiveState") == "active"
	})
	p.serves()
	if list := p.status().Services; list[0].Steps[0].Restarts != 1 {
		t.Errorf("step %+v", list[0].Steps[0])
	}
	p.only("r1")

	from := lab.Now()
	p.systemctl("stop", "backbeat")
	p.active2()
	p.lossless("systemctl stop with a service group", from)
	if got := p.property("site", "ActiveState"); got != "inactive" {
		t.Errorf("the unit is %s", got)
	}
	if text := p.read("/run/helper.pid"); text != "" {
		t.Errorf("the command was not stopped: %s", text)
	}
	p.clean()
	if p.theirs() != "0 " {
		t.Errorf("left: %s", p.theirs())
	}
}

// A restart while the group is on its way up waits for it, and the group does not wait for
// the restart: it is handed over with what has come up.
func TestRestartWhileTheGroupStarts(t *testing.T) {
	p := newPair(t, web("100ms"))
	var blocks []string
	for _, name := range []string{"one", "two", "three"} {
		p.write("/etc/systemd/system/"+name+".service", "[Service]\nType=exec\nExecStartPre=/bin/sleep 0.3\nExecStart=/bin/sleep 3600\n")
		blocks = append(blocks, fmt.Sprintf("  step \"systemd\" %q {\n    unit = \"%s.service\"\n  }\n", name, name))
	}
	p.configure(web("100ms", "service_group \"site\" {\n  follows = virtual_router.web\n"+strings.Join(blocks, "")+"}\n"))
	p.systemctl("daemon-reload")
	p.run()
	p.until("the first step to be starting", func() bool { return p.property("one", "ActiveState") != "inactive" })
	from := lab.Now()
	p.systemctl("restart", "backbeat")
	t.Logf("restarted in %s", lab.Now()-from)
	p.serves()
	p.lossless("a restart while the group starts", from)
	p.only("r1")
	if log := p.log(); !strings.Contains(log, "as in the process before") || strings.Contains(log, "stepped aside") {
		t.Error("it was not handed over")
	}
}

// After a kill the group runs on until the daemon is back, which brings it down, since the
// other host may have the address by then, and up when it is Active again: never twice.
func TestServiceGroupAfterACrash(t *testing.T) {
	p := newServing(t, "200ms")
	p.must(p.r2.Stop(p.ctx)) // nobody else to serve
	p.dropIn("backbeat", "later", "[Service]\nRestartSec=1s")
	served := p.theirs()
	p.systemctl("kill", "--kill-whom=main", "-s", "KILL", "backbeat")
	p.until("the daemon's end", func() bool { return p.property("backbeat", "SubState") == "auto-restart" })
	if now := p.theirs(); now != served || len(p.members("backbeat.service")) != 1 {
		t.Errorf("processes %s became %s; in the group: %v", served, now, p.members("backbeat.service"))
	}
	p.until("systemd to start it again", func() bool { return p.property("backbeat", "NRestarts") == "1" })
	p.active("r1")
	p.serves()
	if all := p.members("backbeat.service"); len(all) != 2 {
		t.Errorf("in the group: %v", all)
	}
	p.noTrace()
}

// At shutdown systemd stops backbeat first, which brings the steps down in their order:
// the other host has everything, and nothing is lost.
func TestShutdown(t *testing.T) {
	p := newServing(t, "100ms")
	from := lab.Now()
	p.systemd.Signal(syscall.Signal(34 + 4)) // SIGRTMIN+4: poweroff.target, see systemd(1)
	select {
	case <-p.systemd.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the host does not shut down")
	}
	t.Logf("off after %s", lab.Now()-from)
	p.until("r2 to answer", func() bool { return p.probe.Answerer() == "r2" })
	p.lossless("a shutdown", from)
	if p.goodbyes(from) == 0 {
		t.Error("it did not say goodbye")
	}
	if p.host.Has(vip) {
		t.Error("the address is left")
	}
}

func atoi(s string) (n int) {
	_, _ = fmt.Sscan(s, &n)
	return n
}
