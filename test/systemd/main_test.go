package systemd

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// Two hosts with a systemd at a time, see test/netns.
func TestMain(m *testing.M) {
	if os.Getenv(envBoot) != "" {
		boot()
	}
	lab.Main(lab.Options{Binary: true, Root: true}, func() int {
		if err := flag.Set("test.parallel", "2"); err != nil {
			panic("systemd: " + err.Error())
		}
		return m.Run()
	})
}

// need skips a test where a real systemd cannot be had, naming what is missing; in CI it fails.
func need(t *testing.T) {
	t.Helper()
	lab.Need(t)
	lab.NeedPeer(t, func() (string, error) { return systemdPath, missing() })
}

func missing() error {
	if !lab.RealRoot() {
		return errors.New("a systemd needs the real root for its control groups: run the tests as root")
	}
	for program, pkg := range map[string]string{systemdPath: "systemd", "systemctl": "systemd", "nsenter": "util-linux", "make": "make"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%s is not installed: apt-get install %s", program, pkg)
		}
	}
	kinds, err := os.ReadFile("/proc/filesystems")
	if err != nil || !strings.Contains(string(kinds), "\toverlay\n") {
		return errors.New("this kernel has no overlayfs: modprobe overlay")
	}
	_, err = findGroups()
	return err
}

// groups are where this process is in the trees of control groups.
type groups struct {
	unified string // version 2
	named   string // version 1, name=systemd; empty where there is none
}

func findGroups() (g groups, err error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return g, fmt.Errorf("no control groups: %w", err)
	}
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return g, fmt.Errorf("no control groups: %w", err)
	}
	where := map[string]string{}
	for line := range strings.Lines(string(own)) {
		if f := strings.SplitN(strings.TrimSpace(line), ":", 3); len(f) == 3 {
			where[f[1]] = f[2]
		}
	}
	for line := range strings.Lines(string(mounts)) {
		left, right, _ := strings.Cut(strings.TrimSpace(line), " - ")
		f := strings.Fields(left)
		name, into := "", &g.unified
		switch {
		case len(f) < 5:
			continue
		case strings.HasPrefix(right, "cgroup2 "):
		case strings.HasPrefix(right, "cgroup ") && strings.HasSuffix(right, "name=systemd"):
			name, into = "name=systemd", &g.named
		default:
			continue
		}
		if rel, err := filepath.Rel(f[3], where[name]); err == nil && !strings.HasPrefix(rel, "..") && *into == "" {
			*into = filepath.Join(f[4], rel)
		}
	}
	if g.unified == "" {
		return g, errors.New("no control groups of version 2 are mounted: mount -t cgroup2 cgroup2 /sys/fs/cgroup (or below it)")
	}
	return g, nil
}
