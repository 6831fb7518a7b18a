package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab/fakesystemd"
)

const ownName = "backbeat.service"

// ownSystemd is a systemd of which this process is backbeat.service.
func ownSystemd(t *testing.T) *fakesystemd.Systemd {
	t.Helper()
	f := fakesystemd.New(t, t.TempDir())
	f.UnitOf = func(pid uint32) string {
		if pid == uint32(os.Getpid()) {
			return ownName
		}
		return "other.service"
	}
	f.Unit(ownName, fakesystemd.Unit{Load: "loaded", Active: "deactivating", Sub: "stop-post", Restart: "on-failure"})
	f.Unit("other.service", fakesystemd.Unit{Load: "loaded", Active: "active", JobType: "stop", Restart: "no"})
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", f.Addr)
	return f
}

// A daemon that gets TERM leaves everything to its successor if that is what systemd
// is going to start, and only then.
func TestRestarting(t *testing.T) {
	f := ownSystemd(t)
	t.Setenv("NOTIFY_SOCKET", "/run/notify")
	for job, want := range map[string]bool{"restart": true, "try-restart": true, "stop": false, "start": false, "": false} {
		f.Set(func() { f.At(ownName).JobType = job })
		if got := restarting(t.Context()); got != want {
			t.Errorf("job %q: %v", job, got)
		}
	}
	f.Set(func() { f.At(ownName).JobType = "restart" })
	t.Setenv("NOTIFY_SOCKET", "")
	if restarting(t.Context()) {
		t.Error("started by hand, it believes to be a unit")
	}
}

// After its end: what it has left waits for somebody only if somebody comes.
func TestSucceeded(t *testing.T) {
	f := ownSystemd(t)
	for _, c := range []struct {
		job, restart, result string
		want                 bool
	}{
		{"restart", "no", "success", true},
		{"start", "no", "success", true}, // the stop is done, or a start has overtaken a stop
		{"stop", "always", "success", false},
		{"stop", "on-failure", "exit-code", false},
		{"", "on-failure", "success", false}, // a stop that somebody has cancelled
		{"", "on-failure", "exit-code", true},
		{"", "on-failure", "watchdog", true},
		{"", "on-failure", "signal", true},
		{"", "on-abnormal", "exit-code", false},
		{"", "on-abnormal", "timeout", true},
		{"", "on-abort", "core-dump", true},
		{"", "on-abort", "watchdog", false},
		{"", "on-watchdog", "watchdog", true},
		{"", "on-success", "success", true},
		{"", "always", "success", true},
		{"", "no", "signal", false},
	} {
		f.Set(func() { f.At(ownName).JobType, f.At(ownName).Restart = c.job, c.restart })
		t.Setenv("SERVICE_RESULT", c.result)
		yes, why := succeeded(t.Context())
		if yes != c.want || yes != (why == "") || !yes && !strings.Contains(why, ownName) {
			t.Errorf("%+v: %v, %q", c, yes, why)
		}
	}
}

// Where systemd does not say, somebody may come: without it, without a bus, and
// from one that accepts and then is silent, which must not hold anybody up.
func TestSucceededWithoutSystemd(t *testing.T) {
	f := ownSystemd(t)
	f.Set(func() { f.At(ownName).JobType = "stop" })
	if yes, _ := succeeded(t.Context()); !yes {
		t.Error("systemd was asked by what it did not start")
	}
	t.Setenv("SERVICE_RESULT", "success")
	if yes, _ := succeeded(t.Context()); yes {
		t.Error("systemd was not asked")
	}
	f.Set(func() { f.UnitOf = nil })
	if yes, _ := succeeded(t.Context()); !yes {
		t.Error("systemd does not know us")
	}
	silent := filepath.Join(t.TempDir(), "bus")
	listener, err := net.Listen("unix", silent)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+silent)
	from := time.Now()
	if yes, _ := succeeded(t.Context()); !yes {
		t.Error("a silent systemd counts as no")
	}
	if took := time.Since(from); took > 10*askSystemd {
		t.Errorf("it took %s", took)
	}
}
