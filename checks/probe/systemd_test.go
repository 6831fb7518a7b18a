package probe

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// bus is a message bus of the test's with somebody on it who plays systemd.
type bus struct {
	t    *testing.T
	path string
	cmd  *exec.Cmd

	mu    sync.Mutex
	units map[string][3]string // load, active and sub state
	asked int
	hang  chan struct{} // if not nil, answers wait for it
}

// unit is a row of ListUnitsByNames (org.freedesktop.systemd1(5)).
type unit struct {
	Name, Description, Load, Active, Sub, Following string
	Path                                            godbus.ObjectPath
	Job                                             uint32
	JobType                                         string
	JobPath                                         godbus.ObjectPath
}

// ListUnitsByNames is the method that the check calls.
func (b *bus) ListUnitsByNames(names []string) ([]unit, *godbus.Error) {
	b.mu.Lock()
	b.asked++
	hang := b.hang
	var out []unit
	for _, n := range names {
		st, ok := b.units[n]
		if !ok {
			st = [3]string{"not-found", "inactive", "dead"}
		}
		out = append(out, unit{Name: n, Load: st[0], Active: st[1], Sub: st[2], Path: "/x", JobPath: "/"})
	}
	b.mu.Unlock()
	if hang != nil {
		<-hang
	}
	return out, nil
}

func newBus(t *testing.T) *bus {
	t.Helper()
	lab.Need(t)
	lab.NeedPeer(t, func() (string, error) { return lookFor("dbus-daemon", "dbus-daemon") })
	dir := t.TempDir()
	b := &bus{t: t, path: filepath.Join(dir, "socket"), units: map[string][3]string{}}
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+b.path)
	return b
}

// start starts the bus, and systemd on it if it is to be there.
func (b *bus) start(systemd bool) {
	b.t.Helper()
	path, err := lookFor("dbus-daemon", "dbus-daemon")
	if err != nil {
		b.t.Fatal(err)
	}
	_ = os.Remove(b.path)
	conf := b.path + ".conf"
	if err := os.WriteFile(conf, fmt.Appendf(nil, `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>`, b.path), 0o644); err != nil {
		b.t.Fatal(err)
	}
	cmd := exec.Command(path, "--nofork", "--config-file="+conf, "--print-address=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.cmd = cmd
	b.t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	if _, err := out.Read(make([]byte, 256)); err != nil { // it has printed its address: it listens
		b.t.Fatal(err)
	}
	if !systemd {
		return
	}
	conn, err := godbus.Connect("unix:path=" + b.path)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { conn.Close() })
	if err := conn.Export(b, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"); err != nil {
		b.t.Fatal(err)
	}
	if r, err := conn.RequestName("org.freedesktop.systemd1", godbus.NameFlagDoNotQueue); err != nil || r != godbus.RequestNameReplyPrimaryOwner {
		b.t.Fatal(r, err)
	}
}

func (b *bus) stop() {
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait()
}

func (b *bus) set(name string, load, active, sub string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.units[name] = [3]string{load, active, sub}
}

func TestSystemd(t *testing.T) {
	fake := newBus(t)
	fake.start(true)
	b := newBench(t)
	v := checks.Systemd{Unit: "apache2.service"}
	b.want(v, checks.Failed, "there is no such unit")
	for _, c := range []struct {
		load, active, sub, want string
		outcome                 checks.Outcome
		detail                  string
	}{
		{"loaded", "active", "running", "", checks.Passed, "active (running)"},
		{"loaded", "reloading", "reload", "", checks.Passed, "reloading (reload)"},
		{"loaded", "active", "exited", "running", checks.Failed, "active (exited), wanted running"},
		{"loaded", "active", "running", "running", checks.Passed, "active (running)"},
		{"loaded", "activating", "auto-restart", "", checks.Failed, "activating (auto-restart)"},
		{"loaded", "failed", "failed", "", checks.Failed, "failed (failed)"},
		{"loaded", "inactive", "dead", "", checks.Failed, "inactive (dead)"},
		{"masked", "inactive", "dead", "", checks.Failed, "inactive (dead), masked"},
		{"bad-setting", "inactive", "dead", "", checks.Failed, "inactive (dead), bad-setting"},
		{"not-found", "active", "running", "", checks.Passed, "active (running)"}, // its file was removed while it runs
		{"loaded", "active\x1b[31m", "x", "", checks.Failed, "active [31m (x)"},
	} {
		fake.set(v.Unit, c.load, c.active, c.sub)
		v.SubState = c.want
		b.want(v, c.outcome, c.detail)
	}
}

// Whatever keeps systemd from answering says nothing about the unit; when it
// is back, the check is, too.
func TestSystemdThatDoesNotAnswer(t *testing.T) {
	fake := newBus(t)
	b := newBench(t)
	v := checks.Systemd{Unit: "apache2.service"}
	b.want(v, checks.NotRun, "connect to the system bus: ")
	fake.start(false)
	b.want(v, checks.NotRun, "ask systemd: ")
	fake.stop()
	fake.set(v.Unit, "loaded", "active", "running")
	fake.start(true)
	b.want(v, checks.Passed, "active (running)")
	fake.stop()
	fake.start(true)
	b.want(v, checks.Passed, "active (running)") // the connection was lost without anybody noticing
	fake.mu.Lock()
	hang := make(chan struct{})
	fake.hang = hang
	fake.mu.Unlock()
	if got := b.ask(100*time.Millisecond, v); got.Outcome != checks.NotRun || got.Detail != "systemd does not answer on the system bus" {
		t.Errorf("hanging: %+v", got)
	}
	close(hang)
	fake.mu.Lock()
	fake.hang = nil
	fake.mu.Unlock()
	b.want(v, checks.Passed, "active (running)")
}

// Without a bus, root asks systemd over its own socket, which speaks the same
// without a bus's greeting.
func TestSystemdWithoutABus(t *testing.T) {
	lab.Need(t)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/run/nothing")
	if err := os.MkdirAll("/run/systemd", 0o755); err != nil { // a tmpfs of the test's own
		t.Fatal(err)
	}
	fake := &bus{t: t, path: "/run/systemd/private", units: map[string][3]string{"a.service": {"loaded", "active", "running"}}}
	fake.start(true) // a bus will do: what it makes of a call before the greeting is an answer, too
	b := newBench(t)
	if got := b.ask(time.Second, checks.Systemd{Unit: "a.service"}); got.Outcome != checks.NotRun || strings.Contains(got.Detail, "/run/nothing") {
		t.Errorf("%+v: systemd's own socket was not asked", got)
	}
}

// A thousand share one connection.
func TestSystemdShared(t *testing.T) {
	fake := newBus(t)
	fake.start(true)
	fake.set("a.service", "loaded", "active", "running")
	b := newBench(t)
	const n = 1000
	for i := range uint64(n) {
		b.pool.Probe(checks.Job{Check: 1, Run: i, Timeout: 20 * time.Second, Probe: checks.Systemd{Unit: "a.service"}})
	}
	for range n {
		if d := <-b.got; d.Outcome != checks.Passed {
			t.Fatalf("%+v", d)
		}
	}
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	if len(fds) > 64 {
		t.Errorf("%d descriptors are open", len(fds))
	}
}

// A bus that takes the connection and says nothing holds up nobody but those who ask it.
func TestBusThatIsSilent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+path)
	b := newBench(t)
	for range 2 {
		if got := b.ask(100*time.Millisecond, checks.Systemd{Unit: "a.service"}); got.Outcome != checks.NotRun || !strings.Contains(got.Detail, "does not answer") {
			t.Errorf("%+v", got)
		}
	}
	b.want(checks.Load{Max1: 1e9}, checks.Passed, "")
}
