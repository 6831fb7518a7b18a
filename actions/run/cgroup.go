package run

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Cgroup is a control group (version 2) for what one step starts: a directory
// below the daemon's own group. It tells what is left running, however often it has
// forked, and can end all of it at once. It outlives the daemon, so that the next
// one finds under the same name what this one has started.
type Cgroup struct {
	dir string
}

// cgroupSuffix marks the groups that we make.
const cgroupSuffix = ".step"

// FindCgroup returns the control group of that name. The error says in one
// phrase why there can be none: no version 2 in this kernel, not writable, or not
// ours to divide (under systemd a unit needs Delegate=yes). The directory is made
// when it is first used.
func FindCgroup(name string) (*Cgroup, error) {
	base, err := ownCgroup()
	if err != nil {
		return nil, err
	}
	if err := divisible(base); err != nil {
		return nil, err
	}
	safe := strings.Map(func(r rune) rune {
		if r == '/' || r < ' ' {
			return '.'
		}
		return r
	}, name)
	return &Cgroup{dir: filepath.Join(base, safe+cgroupSuffix)}, nil
}

// ownCgroup finds the directory of the daemon's own control group.
func ownCgroup() (string, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return "", fmt.Errorf("no control groups: %w", err)
	}
	groups, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", fmt.Errorf("no control groups: %w", err)
	}
	root, point := cgroupMount(string(mounts))
	if point == "" {
		return "", errors.New("no control groups: cgroup version 2 is not mounted")
	}
	for line := range strings.Lines(string(groups)) {
		path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::")
		if !ok {
			continue
		}
		if rel, err := filepath.Rel(root, path); err == nil && !strings.HasPrefix(rel, "..") {
			return filepath.Join(point, rel), nil
		}
		return "", fmt.Errorf("no control groups: ours (%s) is outside of what is mounted (%s)", path, root)
	}
	return "", errors.New("no control groups: this process is in none of version 2")
}

// cgroupMount finds the mount of cgroup version 2: which part of the tree it
// shows, and where. See proc_pid_mountinfo(5).
func cgroupMount(mountinfo string) (root, point string) {
	for line := range strings.Lines(mountinfo) {
		left, right, ok := strings.Cut(line, " - ")
		f := strings.Fields(left)
		if ok && strings.HasPrefix(right, "cgroup2 ") && len(f) > 4 {
			return f[3], f[4]
		}
	}
	return "", ""
}

// divisible reports whether we may make groups in a directory: systemd owns the
// tree where it runs, and marks what it has delegated (Delegate= in
// systemd.resource-control(5); the attribute is on cgroups since 236, the one
// without privilege since 251).
func divisible(base string) error {
	if _, err := os.Stat("/run/systemd/system"); err == nil {
		buf, delegated := make([]byte, 8), false
		for _, attr := range []string{"user.delegate", "trusted.delegate"} {
			n, err := unix.Getxattr(base, attr, buf)
			delegated = delegated || err == nil && string(buf[:n]) == "1"
		}
		if !delegated {
			return errors.New("no control groups of our own: systemd has not delegated the daemon's (Delegate=yes in its unit)")
		}
	}
	if err := unix.Access(base, unix.W_OK); err != nil {
		return fmt.Errorf("no control groups of our own: %s is not writable: %w", base, err)
	}
	return nil
}

// open makes the group if it is not there and opens its directory. A nil Cgroup
// is none.
func (c *Cgroup) open() (*os.File, error) {
	if c == nil {
		return nil, fs.ErrInvalid
	}
	if err := os.Mkdir(c.dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	return os.Open(c.dir)
}

// Populated reports whether a process is in the group or below it.
func (c *Cgroup) Populated() bool {
	if c == nil {
		return false
	}
	b, err := os.ReadFile(filepath.Join(c.dir, "cgroup.events"))
	return err == nil && bytes.Contains(b, []byte("populated 1"))
}

// Processes lists the numbers of the processes in the group and below it.
func (c *Cgroup) Processes() []int {
	if c == nil {
		return nil
	}
	return CgroupProcesses(c.dir)
}

// CgroupProcesses lists the numbers of the processes in the control group of a
// directory and below it. A group that is not there has none.
func CgroupProcesses(dir string) (pids []int) {
	_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() != "cgroup.procs" {
			return nil //nolint:nilerr // a group that vanishes meanwhile has no processes
		}
		b, _ := os.ReadFile(path)
		for _, word := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(word); err == nil && pid > 0 { // 0: outside of our pid namespace
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids
}

// Kill sends KILL to every process of the group and below it (cgroup.kill since
// Linux 5.14, one by one before that).
func (c *Cgroup) Kill() error {
	if c == nil {
		return nil
	}
	err := os.WriteFile(filepath.Join(c.dir, "cgroup.kill"), []byte("1"), 0)
	if err == nil || !c.Populated() {
		return nil
	}
	for range 10 { // those that fork meanwhile
		for _, pid := range c.Processes() {
			err = unix.Kill(pid, unix.SIGKILL)
		}
	}
	return err
}

// Remove takes the group away. One with processes stays.
func (c *Cgroup) Remove() {
	if c == nil {
		return
	}
	_ = filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && path != c.dir {
			_ = unix.Rmdir(path) // a group that a command has made below ours
		}
		return nil
	})
	_ = unix.Rmdir(c.dir)
}
