package agent

import (
	"bufio"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	godbus "github.com/godbus/dbus/v5"
)

// fakeSystemd is a stand-in for systemd: no test can have the real one, which
// must be process 1. The message bus is the distribution's dbus-daemon, the client
// go-systemd; only who answers at org.freedesktop.systemd1 is ours.
type fakeSystemd struct {
	t    *testing.T
	addr string

	mu      sync.Mutex
	conn    *godbus.Conn
	units   map[string]*fakeUnit
	state   string // SystemState
	jobs    int
	calls   []string
	silent  bool // JobRemoved is lost
	refuses string
}

// fakeUnit is one unit, and what is to become of jobs for it.
type fakeUnit struct {
	load, active, sub, result, file, group, kill, kind string
	remains                                            bool
	pid                                                uint32
	exit                                               int32
	job                                                uint32
	triggers                                           []string
	// start and stop are the results of jobs, "" for one that never ends; the
	// states that they lead to follow from "done" and "failed" unless then is set.
	start, stop string
	then        func(u *fakeUnit)
	// stubborn: a stop ends only after a kill.
	stubborn bool
}

func newFakeSystemd(t *testing.T, b *bench) *fakeSystemd {
	t.Helper()
	needProgram(t, "dbus-daemon", "dbus-daemon")
	socket := filepath.Join(b.dir, "bus")
	conf := filepath.Join(b.dir, "bus.conf")
	b.write("bus.conf", `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path=`+socket+`</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`)
	cmd := exec.Command("dbus-daemon", "--nofork", "--nosyslog", "--print-address", "--config-file="+conf)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("dbus-daemon says no address: %v", err)
	}
	f := &fakeSystemd{t: t, addr: strings.TrimSpace(line), units: map[string]*fakeUnit{}, state: "running"}
	b.units.dial = func(ctx context.Context) (*godbus.Conn, error) { return dialBus(ctx, f.addr) }
	f.arrive()
	t.Cleanup(f.leave)
	return f
}

func dialBus(ctx context.Context, addr string) (*godbus.Conn, error) {
	c, err := godbus.Dial(addr, godbus.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	if err := authenticate(c); err != nil {
		return nil, err
	}
	return c, c.Hello()
}

// arrive connects the stand-in to the bus under systemd's name.
func (f *fakeSystemd) arrive() {
	f.t.Helper()
	c, err := dialBus(context.Background(), f.addr)
	if err != nil {
		f.t.Fatal(err)
	}
	f.mu.Lock()
	f.conn = c
	f.mu.Unlock()
	const object = "/org/freedesktop/systemd1"
	for _, err := range []error{
		c.Export(f, object, "org.freedesktop.systemd1.Manager"),
		c.ExportSubtree(fakeProperties{f}, object, "org.freedesktop.DBus.Properties"),
	} {
		if err != nil {
			f.t.Fatal(err)
		}
	}
	if reply, err := c.RequestName("org.freedesktop.systemd1", godbus.NameFlagDoNotQueue); err != nil || reply != godbus.RequestNameReplyPrimaryOwner {
		f.t.Fatalf("cannot have systemd's name: %v, %v", reply, err)
	}
}

// leave is what clients see of a systemd that re-executes itself.
func (f *fakeSystemd) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conn.Close()
}

func (f *fakeSystemd) unit(name string, u fakeUnit) *fakeUnit {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.units[name] = &u
	return &u
}

func (f *fakeSystemd) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeSystemd) called() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.calls, " ")
}

func (f *fakeSystemd) note(format string, args ...any) {
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
}

func failure(name, text string) *godbus.Error {
	return godbus.NewError("org.freedesktop.systemd1."+name, []any{text})
}

// The methods of org.freedesktop.systemd1.Manager that are used.

func (f *fakeSystemd) Subscribe() *godbus.Error {
	f.set(func() { f.note("Subscribe") })
	return nil
}

func (f *fakeSystemd) Reload() *godbus.Error {
	f.set(func() { f.note("Reload") })
	return nil
}

func (f *fakeSystemd) StartUnit(name, mode string) (godbus.ObjectPath, *godbus.Error) {
	return f.job(name, mode, true)
}

func (f *fakeSystemd) StopUnit(name, mode string) (godbus.ObjectPath, *godbus.Error) {
	return f.job(name, mode, false)
}

func (f *fakeSystemd) job(name, mode string, up bool) (godbus.ObjectPath, *godbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	verb, result, done, moving := "Stop", "done", "inactive dead", "deactivating stop-sigterm"
	u := f.units[name]
	if up {
		verb, done, moving = "Start", "active running", "activating start"
	}
	f.note("%s:%s:%s", verb, name, mode)
	if u == nil {
		return "/", failure("NoSuchUnit", "Unit "+name+" not loaded.")
	}
	if f.refuses != "" {
		return "/", failure(f.refuses, "Operation refused.")
	}
	if up {
		result = u.start
	} else if u.stop != "" {
		result = u.stop
	}
	f.jobs++
	u.job = uint32(f.jobs)
	path := godbus.ObjectPath(fmt.Sprintf("/org/freedesktop/systemd1/job/%d", f.jobs))
	if result == "never" || !up && u.stubborn {
		u.active, u.sub, _ = strings.Cut(moving, " ")
		return path, nil
	}
	u.active, u.sub, _ = strings.Cut(done, " ")
	switch {
	case u.then != nil:
		u.then(u)
	case result == "failed" && up:
		u.active, u.sub, u.result, u.exit = "failed", "failed", "exit-code", 1
	case result != "done" && up:
		u.active, u.sub = "inactive", "dead"
	}
	f.finish(u, name, result)
	return path, nil
}

// finish ends the job of a unit and tells everybody, from a goroutine: the reply of
// the call goes first, mostly, as with systemd.
func (f *fakeSystemd) finish(u *fakeUnit, name, result string) {
	id := u.job
	u.job = 0
	if f.silent {
		return
	}
	go func() {
		_ = f.conn.Emit("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager.JobRemoved", id,
			godbus.ObjectPath(fmt.Sprintf("/org/freedesktop/systemd1/job/%d", id)), name, result)
	}()
}

func (f *fakeSystemd) KillUnit(name, who string, signal int32) *godbus.Error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("Kill:%s:%s:%d", name, who, signal)
	u := f.units[name]
	if u == nil {
		return failure("NoSuchUnit", "Unit "+name+" not loaded.")
	}
	u.active, u.sub, u.result = "failed", "failed", "signal"
	if u.job != 0 {
		f.finish(u, name, "done")
	}
	return nil
}

func (f *fakeSystemd) ResetFailedUnit(name string) *godbus.Error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("ResetFailed:%s", name)
	if u := f.units[name]; u != nil && u.active == "failed" {
		u.active, u.sub, u.result = "inactive", "dead", "success"
	}
	return nil
}

// fakeProperties are the properties of the manager and of the units.
type fakeProperties struct{ *fakeSystemd }

func (f fakeProperties) Get(iface, property string) (godbus.Variant, *godbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return godbus.MakeVariant(f.state), nil
}

func (f fakeProperties) GetAll(message godbus.Message, _ string) (map[string]godbus.Variant, *godbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	path, _ := message.Headers[godbus.FieldPath].Value().(godbus.ObjectPath)
	u := &fakeUnit{load: "not-found", active: "inactive", sub: "dead"}
	for name, is := range f.units {
		if busPath(name) == string(path) {
			u = is
		}
	}
	all := map[string]godbus.Variant{}
	for key, value := range map[string]any{"LoadState": u.load, "ActiveState": u.active, "SubState": u.sub, "Result": u.result,
		"UnitFileState": u.file, "MainPID": u.pid, "ExecMainCode": int32(1), "ExecMainStatus": u.exit, "ControlGroup": u.group,
		"KillMode": u.kill, "Type": u.kind, "RemainAfterExit": u.remains, "TimeoutStopUSec": uint64(90e6), "TriggeredBy": u.triggers,
		"Job": struct {
			ID   uint32
			Path godbus.ObjectPath
		}{u.job, "/"},
		"LoadError": struct{ Name, Text string }{"", ""}} {
		all[key] = godbus.MakeVariant(value)
	}
	return all, nil
}

// busPath is the object of a unit: what is not a letter or a digit is escaped.
func busPath(name string) string {
	path := "/org/freedesktop/systemd1/unit/"
	for i, c := range []byte(name) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && c >= '0' && c <= '9' {
			path += string(rune(c))
		} else {
			path += fmt.Sprintf("_%02x", c)
		}
	}
	return path
}
