package netns

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
	"github.com/backbeat-ha/backbeat/test/lab/fakesystemd"
)

// managed is a scene whose r1 is backbeat.service of a systemd, with a service group.
type managed struct {
	*scene
	systemd *fakesystemd.Systemd
	dir     string // of the step
}

const unit = "backbeat.service"

func newManaged(t *testing.T, interval string) *managed {
	t.Helper()
	lab.Need(t)
	m := &managed{dir: t.TempDir()}
	text := config(web(`interval = "`+interval+`"`), `service_group "site" {
  follows = virtual_router.web
  step "exec" "flag" {
    start  = ["/usr/bin/mkdir", "`+m.dir+`/${node.name}"]
    stop   = ["/usr/bin/rmdir", "`+m.dir+`/${node.name}"]
    status = ["/usr/bin/test", "-d", "`+m.dir+`/${node.name}"]
    user   = "root"
  }
}
`)
	m.scene = newScene(t, text)
	m.systemd = fakesystemd.New(t, t.TempDir())
	m.systemd.UnitOf = func(uint32) string { return unit }
	m.systemd.Unit(unit, fakesystemd.Unit{Load: "loaded", Active: "active", Restart: "on-failure"})
	var err error
	m.r1, err = m.Host("r1").Backbeat(text, "DBUS_SYSTEM_BUS_ADDRESS="+m.systemd.Addr, "NOTIFY_SOCKET=/nowhere", "SERVICE_RESULT=success")
	m.must(err)
	m.start(m.r1, m.r2)
	m.active("r1")
	m.until("the step to be up", func() bool { return m.up("r1") })
	return m
}

func (m *managed) up(node string) bool {
	_, err := os.Stat(filepath.Join(m.dir, node))
	return err == nil
}

// leave lets systemd stop the daemon for a restart, and then have another job.
func (m *managed) leave(then string) {
	m.t.Helper()
	m.systemd.Set(func() { m.systemd.At(unit).JobType = "restart" })
	m.must(m.r1.Stop(m.ctx))
	if !m.Host("r1").Has(vip4) || !m.waits() || !m.up("r1") {
		m.t.Fatalf("nothing was left to a successor:\n%s", m.r1.Log())
	}
	m.systemd.Set(func() { m.systemd.At(unit).JobType = then })
}

// waits reports whether something waits for the next process.
func (m *managed) waits() bool {
	_, err := os.Stat(filepath.Join(m.r1.RuntimeDir(), "handoff.json"))
	return err == nil
}

// stopPost is the unit's ExecStopPost.
func (m *managed) stopPost() (out string, code int) {
	m.t.Helper()
	out, errs, code, err := m.r1.Verb(m.ctx, "release", "--after-exit", "--runtime-dir", m.r1.RuntimeDir(), "--state-dir", m.r1.StateDir(), "-c", m.r1.ConfigFile())
	m.must(err)
	m.t.Logf("release: exit status %d\n%s%s", code, out, errs)
	return out + errs, code
}

// A stop that takes the place of a restart comes when the daemon has left everything
// to a successor that will not be. Then it is an orderly stop all the same.
func TestRestartOvertakenByAStop(t *testing.T) {
	t.Parallel()
	m := newManaged(t, "1s")
	from := lab.Now()
	m.leave("stop")
	if out, code := m.stopPost(); code != 0 || !strings.Contains(out, unit+" was stopped while it restarted") {
		t.Errorf("exit status %d: %s", code, out)
	}
	if m.Host("r1").Has(vip4) || m.waits() || m.up("r1") {
		t.Errorf("left behind: address %v, handoff %v, step %v", m.Host("r1").Has(vip4), m.waits(), m.up("r1"))
	}
	m.active("r2")
	m.until("the other to serve", func() bool { return m.up("r2") })
	if r := m.probe.Since(from); r.Lost > 0 && m.Stall(from) < 10*time.Millisecond {
		t.Errorf("%d of %d lost", r.Lost, r.Sent)
	}
}

// `systemctl restart` at an interval of 10 ms: from the end of the one process to the
// beginning of the next systemd runs ExecStopPost and what else it has to do, here 200 ms
// long. Nobody notices.
func TestRestartAtTenMilliseconds(t *testing.T) {
	t.Parallel()
	m := newManaged(t, "10ms")
	const tries, gap = 5, 200 * time.Millisecond
	for try := 1; ; try++ {
		m.rest(interval)
		before, from := m.transitions(), lab.Now()
		m.leave("restart")
		if out, code := m.stopPost(); code != 0 || out != "" {
			t.Errorf("exit status %d, %q", code, out)
		}
		m.rest(gap)
		m.start(m.r1)
		m.rest(interval)
		now, r, stall := m.transitions(), m.probe.Since(from), m.Stall(from)
		t.Logf("try %d: %v, the machine's worst stall %s", try, r, stall)
		switch {
		case now == before && r.Changes == 0 && r.Lost == 0:
			return
		case stall < hiccup || try == tries:
			t.Fatalf("%v, the machine's worst stall %s; transitions\n%s\nbefore\n%s\nlog\n%s", r, stall, now, before, m.r1.Log())
		}
		m.active("r1")
		m.until("the step to be up", func() bool { return m.up("r1") })
	}
}

// A restart that goes on is left alone.
func TestRestartThatGoesOn(t *testing.T) {
	t.Parallel()
	m := newManaged(t, "1s")
	before := m.transitions()
	m.leave("restart")
	if out, code := m.stopPost(); code != 0 || out != "" || !m.waits() || !m.Host("r1").Has(vip4) {
		t.Errorf("exit status %d, %q, handoff %v, address %v", code, out, m.waits(), m.Host("r1").Has(vip4))
	}
	m.start(m.r1)
	if log := m.r1.Log(); !strings.Contains(log, "as in the process before") {
		t.Errorf("log:\n%s", log)
	}
	if now := m.transitions(); now != before {
		t.Errorf("transitions\n%s\nbefore\n%s", now, before)
	}
}

// Where not even a stop can be begun, since the file is broken by now, what was left
// goes as after a crash, and no later start believes in it.
func TestRestartOvertakenWithABrokenFile(t *testing.T) {
	t.Parallel()
	m := newManaged(t, "1s")
	m.leave("stop")
	m.must(m.r1.Configure("nonsense"))
	if out, code := m.stopPost(); code != 1 || !strings.Contains(out, "removed 10.77.0.100/24") || !strings.Contains(out, "nobody can be told goodbye") {
		t.Errorf("exit status %d: %s", code, out)
	}
	if m.Host("r1").Has(vip4) || m.waits() {
		t.Errorf("left behind: address %v, handoff %v", m.Host("r1").Has(vip4), m.waits())
	}
	m.active("r2")
}
