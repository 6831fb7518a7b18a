package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestTimespan(t *testing.T) {
	for text, want := range map[string]time.Duration{"90": 90 * time.Second, "20s": 20 * time.Second, "1min 30s": 90 * time.Second, "1min30s": 90 * time.Second,
		"2h": 2 * time.Hour, "500ms": 500 * time.Millisecond, "infinity": 0, "1.5 min": 90 * time.Second} {
		if got, ok := timespan(text); !ok || got != want {
			t.Errorf("%s: %v %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "s", "5 parsecs"} {
		if _, ok := timespan(text); ok {
			t.Errorf("%q was read", text)
		}
	}
}

// TestStopLimit: the unit of the first directory, then drop-ins by name.
func TestStopLimit(t *testing.T) {
	a, b := t.TempDir(), t.TempDir()
	write := func(dir, name, text string) {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want := func(d time.Duration) {
		t.Helper()
		if got, at := stopLimit([]string{a, b}); got != d {
			t.Errorf("%v from %s, want %v", got, at, d)
		}
	}
	want(0)
	unit, err := os.ReadFile("../../packaging/backbeat.service")
	if err != nil {
		t.Fatal(err)
	}
	write(b, "backbeat.service", strings.ReplaceAll(string(unit), "TimeoutStopSec", "#TimeoutStopSec"))
	want(90 * time.Second)
	write(b, "backbeat.service", "[Service]\nTimeoutStopSec=20s\n")
	want(20 * time.Second)
	write(b, "backbeat.service.d/z.conf", "[Service]\nTimeoutStopSec=5min\n")
	write(b, "backbeat.service.d/b.conf", "[Service]\nTimeoutStopSec=1min\n")
	want(5 * time.Minute)
	write(a, "backbeat.service.d/z.conf", "[Service]\n TimeoutStopSec = infinity\n")
	want(0)
}

// TestCheckServices: what only this host can tell of a group's steps.
func TestCheckServices(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "backbeat.service"), []byte("[Service]\nTimeoutStopSec=20s\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "multi-user.target.wants"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/lib/systemd/system/apache2.service", filepath.Join(dir, "multi-user.target.wants", "apache2.service")); err != nil {
		t.Fatal(err)
	}
	before := unitDirs
	unitDirs = []string{dir}
	t.Cleanup(func() { unitDirs = before })
	file := filepath.Join(t.TempDir(), "b.hcl")
	const text = `virtual_router "x" {
  interface = "lo"
  vrid      = 1
  addresses = ["10.0.0.1/24"]
}
service_group "g" {
  follows = virtual_router.x
  safety {
    mode = "fence"
    fence "f" {
      command = ["/nowhere/fence_x"]
      target  = "other"
    }
  }
  step "drbd" "d" { resource = "r" }
  step "systemd" "on" { unit = "apache2" }
  step "systemd" "off" { unit = "nginx" }
  step "exec" "e" {
    start = ["/nowhere/start"]
    stop  = ["/nowhere/stop"]
  }
}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	_, out, errs := newBench().run("check", file)
	got := errs + out
	for _, want := range []string{`start of step exec.e would not run`, file + ":19", "apache2.service is enabled at boot", `fence "f" would not run`, "may take longer to stop than systemd waits",
		"300 s together, and TimeoutStopSec is 20 s", "TimeoutStopSec=330"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "nginx") {
		t.Error(got)
	}
}
