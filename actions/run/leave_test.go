package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// ended reports whether the writer of a fifo has gone, within the time that the
// fifo's deadline allows.
func ended(end *os.File) bool {
	_, err := end.Read(make([]byte, 1))
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

// alive reports whether the writer of a fifo is still there after a while.
func alive(t *testing.T, end *os.File) bool {
	t.Helper()
	if err := end.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	is := !ended(end)
	if err := end.SetReadDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	return is
}

// A daemon that did not leave the process group and keeps our pipes outlives the
// command that started it, and does not delay the answer.
func TestLeave(t *testing.T) {
	b := newBench(t)
	b.holdout = within
	for _, exit := range []int{0, 1} {
		fifo, end := b.fifo()
		d := b.Do(Command{Argv: []string{b.script("exec 9>"+fifo, "sleep 1000 &", "echo $!", fmt.Sprint("exit ", exit))}, Leave: true, Own: true})
		pid, err := strconv.Atoi(d.Output)
		if d.Exit != exit || err != nil || d.Took > 5*time.Second {
			t.Fatalf("answer %+v", d)
		}
		if !alive(t, end) {
			t.Errorf("exit status %d: the daemon was killed", exit)
		}
		_ = unix.Kill(pid, unix.SIGKILL)
		if !ended(end) {
			t.Error("the daemon is not the one that was started")
		}
		os.Remove(fifo)
	}
}

// What a command that timed out has started goes with it, Leave or not.
func TestLeaveEndsWithTheTimeout(t *testing.T) {
	b := newBench(t)
	fifo, end := b.fifo()
	ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	d := b.DoContext(ctx, Command{Argv: []string{b.script("exec 9>"+fifo, "sleep 1000 & sleep 1001")}, Leave: true, Own: true, Timeout: within})
	if d.Exit != -1 || !strings.HasPrefix(d.Err, "timed out after ") {
		t.Errorf("answer %+v", d)
	}
	if !ended(end) {
		t.Error("a process of a timed-out command is still there")
	}
}

func TestOwnIsTheDaemonsAccount(t *testing.T) {
	b := newBench(t)
	if d := b.Do(Command{Argv: []string{"/usr/bin/id", "-u"}, Own: true}); d.Output != strconv.Itoa(os.Geteuid()) {
		t.Errorf("ran as %q, want our own %d: %s", d.Output, os.Geteuid(), d.Err)
	}
}

// Nothing that a command starts leaves its cgroup, and all of it can be ended.
func TestCgroup(t *testing.T) {
	c, err := FindCgroup("test/run." + strconv.Itoa(os.Getpid()))
	if err != nil {
		t.Skip(err) // optional by design: where there is none, that is told
	}
	t.Cleanup(c.Remove)
	b := newBench(t)
	fifo, end := b.fifo()
	if c.Populated() || c.Processes() != nil {
		t.Fatal("populated before it was made")
	}
	d := b.Do(Command{Argv: []string{b.script("exec 9>"+fifo, "setsid sleep 1000 & setsid sh -c 'sleep 1001 & sleep 1002' &")}, Own: true, Cgroup: c, Leave: true})
	if d.Err != "" {
		t.Fatalf("answer %+v", d)
	}
	if !d.Inside {
		t.Skip("the kernel does not start processes in a cgroup of ours")
	}
	if !c.Populated() || len(c.Processes()) < 2 {
		t.Errorf("populated %v, processes %v", c.Populated(), c.Processes())
	}
	if err := c.Kill(); err != nil {
		t.Error(err)
	}
	if !ended(end) {
		t.Error("not all were killed")
	}
	// The kernel takes the dead out of the group after it has closed their files.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for n := 0; c.Populated() && n < 500; n++ {
		<-tick.C
	}
	if c.Populated() {
		t.Error("still populated after 5 s")
	}
	c.Remove()
	if _, err := os.Stat(c.dir); err == nil {
		t.Error("not removed")
	}
}

func TestCgroupMount(t *testing.T) {
	for _, c := range []struct{ name, text, root, point string }{
		{"unified", "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n", "/", "/sys/fs/cgroup"},
		{"hybrid", "1 0 0:1 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n2 0 0:2 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", "/", "/sys/fs/cgroup/unified"},
		{"part", "30 23 0:26 /docker/x /sys/fs/cgroup ro - cgroup2 cgroup rw\n", "/docker/x", "/sys/fs/cgroup"},
		{"none", "1 0 0:1 / / rw - ext4 /dev/sda rw\n", "", ""},
	} {
		if root, point := cgroupMount(c.text); root != c.root || point != c.point {
			t.Errorf("%s: %q, %q", c.name, root, point)
		}
	}
}
