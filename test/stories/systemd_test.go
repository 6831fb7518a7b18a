package stories

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

// A stand-in for systemd, which must be process 1 and so cannot be on a host of the lab.
// The message bus is the distribution's dbus-daemon at its usual place, the daemon
// under test does nothing differently; only who answers as org.freedesktop.systemd1 is
// ours. It starts real processes by its units, watches them, and ends them. What it does
// not have: dependencies, Restart=, control groups, sockets, the journal.
//
// A unit is a file /srv/units/NAME.service of a few lines:
//
//	Exec=COMMAND        what runs in the foreground
//	Ready=COMMAND       succeeds as soon as it is ready (Type=notify); none: at once
//	Enabled=yes         it would be started at boot
//	Name=httpd          how it is called in /srv/events
//
// Faults, as for the init scripts: /srv/faults/NAME.start, NAME.stop.

func init() { parts["systemd"] = standInSystemd }

const (
	busSocket   = "/run/dbus/system_bus_socket"
	systemdName = "org.freedesktop.systemd1"
	systemdPath = "/org/freedesktop/systemd1"
	// enabledUnits is where systemctl enable puts its links.
	enabledUnits = "/etc/systemd/system"
)

// systemd starts a message bus and the stand-in on a node: what a boot does. Units that
// are enabled are started.
func (n *node) systemd() {
	n.s.t.Helper()
	n.write("/srv/bus.conf", `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=`+busSocket+`</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`, 0o644)
	n.s.must(os.MkdirAll(n.Path("/run/dbus"), 0o755))
	cmd := exec.Command("dbus-daemon", "--nofork", "--nosyslog", "--nopidfile", "--config-file=/srv/bus.conf")
	bus, err := n.Start(cmd)
	n.s.must(err)
	n.s.until("the message bus of "+n.Name, func() bool { _, err := os.Stat(n.Path(busSocket)); return err == nil })
	p := n.s.part(n.Name, "systemd")
	n.s.until("the stand-in for systemd on "+n.Name, func() bool {
		select {
		case <-p.Done():
			n.s.t.Fatalf("the stand-in ended: %s\n%s", p.Output(), bus.Output())
		default:
		}
		return strings.Contains(p.Output(), "ready")
	})
}

// unit writes a unit of a node, which is called name in its events.
func (n *node) unit(unit, name, command, ready string) {
	n.s.t.Helper()
	n.write("/srv/units/"+unit, fmt.Sprintf("Name=%s\nExec=%s\nReady=%s\n", name, command, ready), 0o644)
}

// enable makes a unit start at boot, as systemctl enable does.
func (n *node) enable(unit string) {
	n.s.t.Helper()
	text, err := os.ReadFile(n.Path("/srv/units/" + unit))
	n.s.must(err)
	n.write("/srv/units/"+unit, string(text)+"Enabled=yes\n", 0o644)
	wants := filepath.Join(enabledUnits, "multi-user.target.wants", unit)
	n.s.must(os.MkdirAll(filepath.Dir(n.Path(wants)), 0o755))
	n.s.must(os.Symlink("/lib/systemd/system/"+unit, n.Path(wants)))
}

// manager is the stand-in.
type manager struct {
	conn  *godbus.Conn
	mu    sync.Mutex
	jobs  uint32
	units map[string]*service
}

// service is a unit that has been started once.
type service struct {
	active, sub, result string
	cmd                 *exec.Cmd
	job                 uint32
	exit                int32
	ended               chan struct{}
}

func standInSystemd([]string) int {
	conn, err := godbus.Dial("unix:path=" + busSocket)
	if err == nil {
		err = errors.Join(conn.Auth([]godbus.Auth{godbus.AuthExternal(fmt.Sprint(os.Geteuid()))}), conn.Hello())
	}
	if err != nil {
		fmt.Println("connect to the bus:", err)
		return 1
	}
	m := &manager{conn: conn, units: map[string]*service{}}
	for _, err := range []error{
		conn.Export(m, systemdPath, systemdName+".Manager"),
		conn.ExportSubtree(properties{m}, systemdPath, "org.freedesktop.DBus.Properties"),
	} {
		if err != nil {
			fmt.Println(err)
			return 1
		}
	}
	if reply, err := conn.RequestName(systemdName, godbus.NameFlagDoNotQueue); err != nil || reply != godbus.RequestNameReplyPrimaryOwner {
		fmt.Println("cannot have systemd's name:", reply, err)
		return 1
	}
	list, _ := filepath.Glob("/srv/units/*.service")
	for _, file := range list {
		if name := filepath.Base(file); setting(name, "Enabled") == "yes" {
			_, _ = m.StartUnit(name, "replace")
		}
	}
	fmt.Println("ready")
	<-context.Background().Done()
	return 0
}

// setting is what a unit's file says.
func setting(unit, key string) string {
	f, err := os.Open("/srv/units/" + unit)
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if k, v, _ := strings.Cut(lines.Text(), "="); k == key {
			return v
		}
	}
	return ""
}

// note writes into the host's list of events.
func note(unit, what string) {
	f, err := os.OpenFile("/srv/events", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return
	}
	defer f.Close()
	host, _ := os.Hostname()
	fmt.Fprintln(f, time.Now().UnixNano(), host, setting(unit, "Name"), what)
}

func faulty(unit, fault string) bool {
	_, err := os.Stat("/srv/faults/" + setting(unit, "Name") + "." + fault)
	return err == nil
}

func exists(unit string) bool { _, err := os.Stat("/srv/units/" + unit); return err == nil }

// Subscribe and what follows are the methods of the manager's interface that are used.
func (m *manager) Subscribe() *godbus.Error { return nil }

// Reload reads drop-ins, of which there is nothing to be read here.
func (m *manager) Reload() *godbus.Error { return nil }

// StartUnit queues a job and returns it; its end is told as JobRemoved.
func (m *manager) StartUnit(name, _ string) (godbus.ObjectPath, *godbus.Error) {
	return m.job(name, m.start)
}

// StopUnit is the other way.
func (m *manager) StopUnit(name, _ string) (godbus.ObjectPath, *godbus.Error) {
	return m.job(name, m.stop)
}

func (m *manager) job(name string, do func(string) string) (godbus.ObjectPath, *godbus.Error) {
	if !exists(name) {
		return "/", godbus.NewError(systemdName+".NoSuchUnit", []any{"Unit " + name + " not loaded."})
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.units[name] == nil {
		m.units[name] = &service{active: "inactive", sub: "dead", result: "success"}
	}
	m.jobs++
	id := m.jobs
	m.units[name].job = id
	path := godbus.ObjectPath(fmt.Sprintf("%s/job/%d", systemdPath, id))
	go func() {
		result := do(name)
		m.mu.Lock()
		if m.units[name].job == id {
			m.units[name].job = 0
		}
		m.mu.Unlock()
		_ = m.conn.Emit(systemdPath, systemdName+".Manager.JobRemoved", id, path, name, result)
	}()
	return path, nil
}

func (m *manager) start(name string) string {
	m.mu.Lock()
	u := m.units[name]
	if u.active == "active" {
		m.mu.Unlock()
		return "done"
	}
	u.active, u.sub = "activating", "start"
	if faulty(name, "start") {
		u.active, u.sub, u.result, u.exit = "failed", "failed", "exit-code", 1
		m.mu.Unlock()
		note(name, "refused")
		return "failed"
	}
	note(name, "starting")
	cmd := exec.Command("/bin/sh", "-c", setting(name, "Exec"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	ended := make(chan struct{})
	err := cmd.Start()
	u.cmd, u.ended = cmd, ended
	m.mu.Unlock()
	if err != nil {
		return "failed"
	}
	go m.watch(name, u, cmd, ended)
	for ready := setting(name, "Ready"); ready != ""; time.Sleep(50 * time.Millisecond) {
		select {
		case <-ended:
			return "failed"
		default:
		}
		if exec.Command("/bin/sh", "-c", ready).Run() == nil {
			break
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if u.active != "activating" {
		return "failed"
	}
	u.active, u.sub = "active", "running"
	note(name, "up")
	return "done"
}

// watch waits for the end of a unit's main process.
func (m *manager) watch(name string, u *service, cmd *exec.Cmd, ended chan struct{}) {
	_ = cmd.Wait()
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // KillMode=control-group
	m.mu.Lock()
	defer m.mu.Unlock()
	if u.active == "deactivating" {
		u.active, u.sub, u.result = "inactive", "dead", "success"
		note(name, "down")
	} else {
		u.active, u.sub, u.result = "failed", "failed", "signal"
		note(name, "died")
	}
	close(ended)
}

func (m *manager) stop(name string) string {
	m.mu.Lock()
	u := m.units[name]
	if u.active != "active" && u.active != "activating" && u.active != "deactivating" {
		m.mu.Unlock()
		return "done"
	}
	u.active, u.sub = "deactivating", "stop-sigterm"
	cmd, ended := u.cmd, u.ended
	m.mu.Unlock()
	if faulty(name, "stop") {
		note(name, "hangs")
	} else {
		note(name, "stopping")
		_ = syscall.Kill(cmd.Process.Pid, syscall.SIGTERM)
	}
	<-ended
	return "done"
}

// KillUnit sends a signal to all processes of a unit.
func (m *manager) KillUnit(name, _ string, signal int32) *godbus.Error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if u := m.units[name]; u != nil && u.cmd != nil && u.active != "inactive" && u.active != "failed" {
		_ = syscall.Kill(-u.cmd.Process.Pid, syscall.Signal(signal))
	}
	return nil
}

// ResetFailedUnit forgets that a unit has failed.
func (m *manager) ResetFailedUnit(name string) *godbus.Error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if u := m.units[name]; u != nil && u.active == "failed" {
		u.active, u.sub, u.result = "inactive", "dead", "success"
	}
	return nil
}

// properties are those of the manager and of the units.
type properties struct{ *manager }

// Get is for the manager's SystemState only.
func (p properties) Get(_, _ string) (godbus.Variant, *godbus.Error) {
	return godbus.MakeVariant("running"), nil
}

// GetAll is for units.
func (p properties) GetAll(message godbus.Message, _ string) (map[string]godbus.Variant, *godbus.Error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	path, _ := message.Headers[godbus.FieldPath].Value().(godbus.ObjectPath)
	u, load, file, pid := &service{active: "inactive", sub: "dead", result: "success"}, "not-found", "", uint32(0)
	list, _ := filepath.Glob("/srv/units/*.service")
	for _, f := range list {
		name := filepath.Base(f)
		if unitPath(name) != string(path) {
			continue
		}
		if load, file = "loaded", "disabled"; setting(name, "Enabled") == "yes" {
			file = "enabled"
		}
		if is := p.units[name]; is != nil {
			u = is
		}
	}
	if u.active == "active" {
		pid = uint32(u.cmd.Process.Pid)
	}
	all := map[string]godbus.Variant{}
	for key, value := range map[string]any{"LoadState": load, "ActiveState": u.active, "SubState": u.sub, "Result": u.result,
		"UnitFileState": file, "MainPID": pid, "ExecMainCode": int32(1), "ExecMainStatus": u.exit, "ControlGroup": "",
		"KillMode": "control-group", "Type": "notify", "RemainAfterExit": false, "TimeoutStopUSec": uint64(90e6), "TriggeredBy": []string{},
		"Job": struct {
			ID   uint32
			Path godbus.ObjectPath
		}{u.job, "/"},
		"LoadError": struct{ Name, Text string }{"", ""}} {
		all[key] = godbus.MakeVariant(value)
	}
	return all, nil
}

// unitPath is the object of a unit: what is not a letter or a digit is escaped.
func unitPath(name string) string {
	path := systemdPath + "/unit/"
	for i, c := range []byte(name) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && c >= '0' && c <= '9' {
			path += string(rune(c))
		} else {
			path += fmt.Sprintf("_%02x", c)
		}
	}
	return path
}

// needBus skips a test where there is no dbus-daemon; in CI it fails.
func needBus(t *testing.T) { t.Helper(); need(t, "dbus-daemon", "dbus-daemon") }
