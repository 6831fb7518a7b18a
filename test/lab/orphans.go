package lab

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Services that are started on a host become daemons: whoever started them ends,
// and they belong to process 1. Here the test takes the part of process 1: it reaps
// them, so that a dead one is not taken for a living one by its number, and another
// process ends them if the test itself is killed.

// envKeeper makes the program the keeper (see keep).
const envKeeper = "BACKBEAT_LAB_KEEPER"

var orphans struct {
	once   sync.Once
	err    error
	keeper *os.File // what is written here is for the keeper
}

// adoptOrphans makes this process the one that orphans fall to, and reaps them.
func adoptOrphans() error {
	orphans.once.Do(func() {
		if orphans.err = unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); orphans.err != nil {
			return
		}
		ended := make(chan os.Signal, 1)
		signal.Notify(ended, syscall.SIGCHLD)
		go func() {
			for range ended {
				reap()
			}
		}()
		orphans.err = startKeeper()
	})
	return orphans.err
}

// reap takes the exit statuses of children that have ended and are not our own. Our
// own are of our process group, and what exec.Cmd waits for must be left to it; what
// was orphaned has been given a process group by whoever started it.
func reap() {
	ours := unix.Getpgrp()
	list, _ := filepath.Glob("/proc/self/task/*/children")
	for _, file := range list {
		b, _ := os.ReadFile(file)
		for _, f := range strings.Fields(string(b)) {
			pid, err := strconv.Atoi(f)
			if err != nil {
				continue
			}
			if state, group := stat(pid); state == "Z" && group != ours {
				_, _ = unix.Wait4(pid, nil, unix.WNOHANG, nil)
			}
		}
	}
}

// stat returns a process's state and process group, see proc_pid_stat(5).
func stat(pid int) (state string, group int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", 0
	}
	f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	if len(f) < 3 {
		return "", 0
	}
	group, _ = strconv.Atoi(f[2])
	return f[0], group
}

// processesOf are the living processes in a network namespace, by its name in /proc,
// but for this one: a host's thread can be its first, after which /proc names it.
func processesOf(netID string) []int {
	var found []int
	list, _ := filepath.Glob("/proc/[0-9]*/ns/net")
	for _, link := range list {
		if name, err := os.Readlink(link); err == nil && name == netID {
			if pid, err := strconv.Atoi(strings.Split(link, "/")[2]); err == nil && pid != os.Getpid() {
				found = append(found, pid)
			}
		}
	}
	return found
}

// killAllOf ends all processes in a network namespace: first none may go on, so that
// none sees another one end.
func killAllOf(netID string) {
	for range 1000 {
		list := processesOf(netID)
		if len(list) == 0 {
			return
		}
		for _, s := range []syscall.Signal{unix.SIGSTOP, unix.SIGKILL} {
			for _, pid := range list {
				_ = unix.Kill(pid, s)
			}
		}
		time.Sleep(time.Millisecond)
	}
}

// startKeeper starts the process that cleans up if this one cannot.
func startKeeper() error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("make a pipe to the keeper: %w", err)
	}
	defer r.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{envKeeper + "=1"}
	cmd.Stdin = r
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // an interrupt from the keyboard is not for it
	if err := cmd.Start(); err != nil {
		w.Close()
		return fmt.Errorf("start the keeper: %w", err)
	}
	go func() { _ = cmd.Wait() }()
	orphans.keeper = w
	return nil
}

// guard tells the keeper of a host.
func guard(netID string, cgroup *os.File) error {
	path := ""
	if cgroup != nil {
		path = cgroup.Name()
	}
	if _, err := fmt.Fprintf(orphans.keeper, "%s %s\n", netID, path); err != nil {
		return fmt.Errorf("tell the keeper: %w", err)
	}
	return nil
}

// Guard has control groups of a host removed, with everything that runs on the host,
// if the test is killed before it can do so itself. Paths are of directories.
func (h *Host) Guard(cgroups ...string) error {
	if err := adoptOrphans(); err != nil {
		return err
	}
	for _, dir := range cgroups {
		if _, err := fmt.Fprintf(orphans.keeper, "%s %s\n", h.netID(), dir); err != nil {
			return fmt.Errorf("tell the keeper: %w", err)
		}
	}
	return nil
}

// keep is the keeper: when the test is gone, it ends what is left on its hosts.
func keep() {
	var hosts [][2]string
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		id, path, _ := strings.Cut(lines.Text(), " ")
		hosts = append(hosts, [2]string{id, path})
	}
	for _, h := range hosts {
		killAllOf(h[0])
		if h[1] != "" {
			removeCgroup(h[1])
		}
	}
}

// newCgroup makes a control group (version 2) for what runs on a host, below our
// own. It returns nil where that cannot be: none mounted, or not ours to divide.
func newCgroup(host string) *os.File {
	own, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return nil
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil
	}
	path := ""
	for line := range strings.Lines(string(own)) {
		if p, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			path = p
		}
	}
	for line := range strings.Lines(string(mounts)) {
		left, right, _ := strings.Cut(line, " - ")
		f := strings.Fields(left)
		if !strings.HasPrefix(right, "cgroup2 ") || len(f) < 5 {
			continue
		}
		rel, err := filepath.Rel(f[3], path)
		if err != nil || strings.HasPrefix(rel, "..") {
			return nil
		}
		dir := filepath.Join(f[4], rel, fmt.Sprintf("lab-%d-%s-%d", os.Getpid(), host, Now()))
		if os.Mkdir(dir, 0o755) != nil {
			return nil
		}
		if g, err := os.Open(dir); err == nil {
			return g
		}
	}
	return nil
}

// removeCgroup removes a control group and those below it. The kernel lets go of a
// group some time after its last process.
func removeCgroup(dir string) {
	for range 200 {
		var all []string
		_ = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				all = append(all, path)
			}
			return nil //nolint:nilerr // what vanishes meanwhile need not be removed
		})
		for _, d := range slices.Backward(all) {
			_ = unix.Rmdir(d)
		}
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// RemoveCgroup removes a control group without processes and those below it.
func RemoveCgroup(dir string) error {
	removeCgroup(dir)
	if _, err := os.Stat(dir); err == nil {
		return fmt.Errorf("the control group %s cannot be removed", dir)
	}
	return nil
}
