// Package fakesystemd is a stand-in for systemd: no test can have the real one,
// which must be process 1. The message bus is the distribution's dbus-daemon, the
// client go-systemd; only who answers at org.freedesktop.systemd1 is ours.
package fakesystemd

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	godbus "github.com/godbus/dbus/v5"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// root is the object of systemd itself.
const root = "/org/freedesktop/systemd1"

// Systemd answers for systemd on a message bus of its own. What it is to say is set
// in its units and fields, in Set once somebody has connected.
type Systemd struct {
	// Addr is the message bus, as DBUS_SYSTEM_BUS_ADDRESS names one.
	Addr string
	// State is the manager's SystemState.
	State string
	// Silent loses JobRemoved.
	Silent bool
	// Refuses is the name of the error that every job is refused with.
	Refuses string
	// Calls are the calls so far, in words.
	Calls []string
	// UnitOf names the unit of a process; without it no process belongs to one.
	UnitOf func(pid uint32) string

	t     testing.TB
	mu    sync.Mutex
	conn  *godbus.Conn
	units map[string]*Unit
	jobs  int
}

// New starts a message bus with the stand-in on it, which ends with the test. dir is
// where its socket goes. Where there is no dbus-daemon the test is skipped, naming it.
func New(t testing.TB, dir string) *Systemd {
	t.Helper()
	lab.NeedPeer(t, func() (string, error) {
		path, err := exec.LookPath("dbus-daemon")
		if err != nil {
			err = errors.New("dbus-daemon is missing: apt-get install dbus-daemon")
		}
		return path, err
	})
	socket := filepath.Join(dir, "bus")
	conf := filepath.Join(dir, "bus.conf")
	text := `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>session</type><listen>unix:path=` + socket + `</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>`
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
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
	f := &Systemd{t: t, Addr: strings.TrimSpace(line), units: map[string]*Unit{}, State: "running"}
	f.Arrive()
	t.Cleanup(f.Leave)
	return f
}

// Dial makes a connection to its bus, authenticated.
func (f *Systemd) Dial(ctx context.Context) (*godbus.Conn, error) {
	c, err := godbus.Dial(f.Addr, godbus.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	if err := c.Auth([]godbus.Auth{godbus.AuthExternal(strconv.Itoa(os.Geteuid()))}); err != nil {
		c.Close()
		return nil, err
	}
	return c, c.Hello()
}

// Arrive connects the stand-in to the bus under systemd's name.
func (f *Systemd) Arrive() {
	f.t.Helper()
	c, err := f.Dial(context.Background())
	if err != nil {
		f.t.Fatal(err)
	}
	f.mu.Lock()
	f.conn = c
	f.mu.Unlock()
	for _, err := range []error{
		c.Export(f, root, "org.freedesktop.systemd1.Manager"),
		c.ExportSubtree(properties{f}, root, "org.freedesktop.DBus.Properties"),
	} {
		if err != nil {
			f.t.Fatal(err)
		}
	}
	if reply, err := c.RequestName("org.freedesktop.systemd1", godbus.NameFlagDoNotQueue); err != nil || reply != godbus.RequestNameReplyPrimaryOwner {
		f.t.Fatalf("cannot have systemd's name: %v, %v", reply, err)
	}
}

// Leave is what clients see of a systemd that re-executes itself.
func (f *Systemd) Leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conn.Close()
}

// Unit adds a unit, or replaces it.
func (f *Systemd) Unit(name string, u Unit) *Unit {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.units[name] = &u
	return &u
}

// At is the unit of that name, inside of Set.
func (f *Systemd) At(name string) *Unit { return f.units[name] }

// Set changes what it is to say; clients may be connected.
func (f *Systemd) Set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// Called returns Calls.
func (f *Systemd) Called() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.Calls, " ")
}
