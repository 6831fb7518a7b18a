package systemd

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// `systemctl restart`: the client loses nothing, no host changes its state, and nothing
// of the restart is left behind.
func TestRestart(t *testing.T) {
	for _, interval := range []string{"1s", "100ms", "10ms"} {
		t.Run(interval, func(t *testing.T) {
			p := newRunning(t, web(interval))
			for range 3 {
				p.restarted("systemctl restart at " + interval)
			}
			// What docs/operations.md says that it may log.
			said := p.read("/dev/kmsg")
			if strings.Contains(said, "(exe)") || (interval != "1s") != strings.Contains(said, "(backbeat) in control group while starting unit") {
				t.Errorf("systemd said:\n%s", said)
			}
		})
	}
}

// The same where systemd has control groups of version 2 alone.
func TestRestartWithPureVersion2(t *testing.T) {
	p := newPairIn(t, web("100ms"), true)
	p.run()
	if out := p.do("stat", "-f", "-c", "%T", "/sys/fs/cgroup"); out != "cgroup2fs" {
		t.Fatalf("/sys/fs/cgroup is %s", out)
	}
	p.restarted("systemctl restart")
}

// restarted restarts the daemon; what is left is looked at each time.
func (p *pair) restarted(what string) {
	p.t.Helper()
	p.unnoticed(what, func() {
		before := p.pid()
		p.systemctl("restart", "backbeat")
		if now := p.pid(); now == before {
			p.t.Errorf("%s: still process %d", what, now)
		}
	})
	p.settled() // the stand-in has ended
	p.noTrace()
	p.only("r1")
	if n := p.property("backbeat", "NRestarts"); n != "0" {
		p.t.Errorf("%s: NRestarts=%s", what, n)
	}
}

// Twenty restarts leave no process, no descriptor and no file more than one does.
func TestTwentyRestarts(t *testing.T) {
	p := newRunning(t, web("10ms"))
	// Ten in ten seconds are what the unit allows (StartLimitBurst).
	p.dropIn("backbeat", "often", "[Unit]\nStartLimitIntervalSec=0")
	p.restarted("the first restart")
	fds, files := p.descriptors(), p.runtimeFiles()
	for n := range 20 {
		p.unnoticed(fmt.Sprintf("restart %d", n+2), func() { p.systemctl("restart", "backbeat") })
	}
	p.settled()
	p.noTrace()
	if now := p.descriptors(); now > fds {
		t.Errorf("%d descriptors, %d after the first restart", now, fds)
	}
	if now := p.runtimeFiles(); now != files {
		t.Errorf("in /run/backbeat: %s; after the first restart: %s", now, files)
	}
	if n := strings.Count(p.log(), "as in the process before"); n < 21 {
		t.Errorf("handed over %d times", n)
	}
}

func (p *pair) descriptors() int {
	p.t.Helper()
	list, err := os.ReadDir(p.path(fmt.Sprintf("/proc/%d/fd", p.pid())))
	p.must(err)
	return len(list)
}

func (p *pair) runtimeFiles() string {
	p.t.Helper()
	return p.do("ls", "-A", "/run/backbeat")
}

// An upgrade is another file at /usr/bin/backbeat and a restart: the old program, which
// still runs, says the adverts until the new one does.
func TestUpgrade(t *testing.T) {
	p := newRunning(t, web("10ms"))
	p.unnoticed("upgrade", func() {
		p.do("cp", "/usr/bin/backbeat", "/usr/bin/backbeat.new")
		p.do("sh", "-c", "echo 2 >> /usr/bin/backbeat.new")
		p.do("mv", "/usr/bin/backbeat.new", "/usr/bin/backbeat") // as dpkg does it
		p.systemctl("restart", "backbeat")
	})
	p.settled()
	p.noTrace()
	exe := p.do("stat", "-L", "-c", "%i", fmt.Sprintf("/proc/%d/exe", p.pid()))
	if want := p.do("stat", "-c", "%i", "/usr/bin/backbeat"); exe != want {
		t.Errorf("the daemon is file %s, installed is %s", exe, want)
	}
	if st := p.status(); len(st.Routers) != 1 || st.Routers[0].State != "active" {
		t.Errorf("status %+v", st.Routers)
	}
}

// A stop that overtakes a restart, when the daemon has left everything to its successor
// already and while it is about to: in the end the unit is stopped, the other host has the
// address, and nothing was lost.
func TestStopOvertakesRestart(t *testing.T) {
	p := newRunning(t, web("100ms"))
	t.Run("after the daemon's end", func(*testing.T) {
		// systemd carries these out between the two processes.
		p.dropIn("backbeat", "slow", "[Service]\nExecStopPost=\nExecStopPost=/bin/sleep 0.5\nExecStopPost=-/usr/bin/backbeat release --after-exit")
		from := lab.Now()
		p.systemctl("restart", "--no-block", "backbeat")
		p.until("the daemon's end", func() bool { return p.property("backbeat", "SubState") == "stop-post" })
		if !p.host.Has(vip) {
			t.Error("nothing was left to a successor")
		}
		p.overtaken(from)
		if log := p.log(); !strings.Contains(log, "backbeat.service was stopped while it restarted; stopping in its place") {
			t.Error("release did not say what it does")
		}
		p.must(os.Remove(p.path("/etc/systemd/system/backbeat.service.d/slow.conf")))
		p.systemctl("daemon-reload")
	})
	for _, pause := range []time.Duration{0, 5 * time.Millisecond, 20 * time.Millisecond, 60 * time.Millisecond} {
		t.Run(pause.String()+" behind it", func(*testing.T) {
			p.systemctl("start", "backbeat")
			p.active("r1")
			from := lab.Now()
			p.systemctl("restart", "--no-block", "backbeat")
			time.Sleep(pause)
			p.overtaken(from)
		})
	}
}

// overtaken stops, and judges the end.
func (p *pair) overtaken(from time.Duration) {
	p.t.Helper()
	p.systemctl("stop", "backbeat")
	p.only("r2")
	p.until("r2 to answer", func() bool { return p.probe.Answerer() == "r2" })
	p.lossless("a stop that overtakes a restart", from)
	if got := p.property("backbeat", "ActiveState"); got != "inactive" {
		p.t.Errorf("the unit is %s", got)
	}
	p.clean()
}
