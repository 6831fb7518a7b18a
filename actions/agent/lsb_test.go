package agent

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
)

// initScript is a real init script of a real (if dull) daemon, as Debian's are
// written, with switches for what is wrong with many: files in the bench's directory.
func initScript(b *bench) actions.LSB {
	return actions.LSB{Script: b.script("init.d/sleeper", `#!/bin/sh
### BEGIN INIT INFO
# Provides: sleeper
# Default-Start: 2 3 4 5
### END INIT INFO
D=`+b.dir+`
. /lib/lsb/init-functions 2>/dev/null
running() { [ -s $D/pid ] && grep -q . /proc/$(cat $D/pid)/cmdline 2>/dev/null; }
env >$D/env.$1
[ -e $D/hang.$1 ] && { trap '' TERM; while :; do sleep 1000; done; }
[ -e $D/exit.$1 ] && exit $(cat $D/exit.$1)
case $1 in
  start) running && exit 0
    if [ -e $D/late ]; then (sleep 1; sleep 1000 & echo $! >$D/pid) & exit 0; fi
    sleep 1000 & echo $! >$D/pid; exit 0 ;;
  stop) if ! running; then [ -e $D/strict ] && { echo "sleeper is not running"; exit 1; }; exit 0; fi
    [ -e $D/stubborn ] && exit 1
    kill $(cat $D/pid); rm -f $D/pid; exit 0 ;;
  status) if running; then echo "sleeper is running"; else
      echo "sleeper is not running"; [ -e $D/always0 ] && exit 0; [ -s $D/pid ] && exit 1; exit 3; fi
    exit 0 ;;
  *) exit 2 ;;
esac
`)}
}

func TestLSB(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := initScript(b)
	b.want(actions.Prepare, a, true, actions.Unknown, "")
	b.want(actions.Qualify, a, true, actions.Unknown, "installed")
	b.want(actions.Look, a, true, actions.Down, "not running")
	b.want(actions.Stop, a, true, actions.Down, "")
	b.want(actions.Start, a, true, actions.Up, "running")
	b.want(actions.Start, a, true, actions.Up, "")
	b.check(b.monitor(a), true, actions.Up, "running")
	b.want(actions.Stop, a, true, actions.Down, "not running")
	b.want(actions.Look, a, true, actions.Down, "")
	env := b.file("env.start")
	for _, want := range []string{"SYSTEMCTL_SKIP_REDIRECT=1", "LC_ALL=C", "PWD=/\n"} {
		if !strings.Contains(env+"\n", want) {
			t.Errorf("environment lacks %s:\n%s", want, env)
		}
	}
	if uid := os.Geteuid(); uid == 0 && !strings.Contains(env, "USER=root") {
		t.Errorf("not run as the daemon itself:\n%s", env)
	}
}

func TestLSBStatusCodes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := initScript(b)
	for code, want := range map[int]struct {
		ok    bool
		state actions.State
	}{0: {true, actions.Up}, 1: {true, actions.Down}, 2: {true, actions.Down}, 3: {true, actions.Down},
		4: {false, actions.Unknown}, 5: {false, actions.Unknown}, 150: {false, actions.Unknown}, 255: {false, actions.Unknown}} {
		b.write("exit.status", strconv.Itoa(code))
		if d := b.run(actions.Look, a); d.OK != want.ok || d.State != want.state {
			t.Errorf("%d: %+v", code, d)
		}
	}
}

func TestLSBThatFails(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := initScript(b)
	for code, c := range map[string]struct {
		detail   string
		hopeless bool
	}{"1": {"failed (exit status 1)", false}, "5": {"not installed", true}, "6": {"not configured", true}, "9": {"exit status 9", false}} {
		b.write("exit.start", code)
		if d := b.want(actions.Start, a, false, actions.Neither, c.detail); d.Hopeless != c.hopeless {
			t.Errorf("%s: %+v", code, d)
		}
	}
	// It says that it has started, and has not.
	b.write("exit.start", "0")
	job := b.job(actions.Start, a)
	job.Timeout = 4 * time.Second
	b.check(b.do(job), false, actions.Neither, "start says that it is done, but not running")
	os.Remove(filepath.Join(b.dir, "exit.start"))
	// The pid file comes late.
	b.write("late", "")
	b.want(actions.Start, a, true, actions.Up, "running")
	// It says that it has stopped, and has not.
	b.write("exit.stop", "0")
	b.want(actions.Stop, a, false, actions.Up, "stop says that it is done, but status: running")
	// It does not stop, and says so.
	b.write("exit.stop", "1")
	b.want(actions.Stop, a, false, actions.Up, "stop: failed (exit status 1)")
	b.write("hang.stop", "")
	job = b.job(actions.Stop, a)
	job.Timeout = time.Second
	b.check(b.do(job), false, actions.Up, "stop: timed out after 1")
	os.Remove(filepath.Join(b.dir, "hang.stop"))
	os.Remove(filepath.Join(b.dir, "exit.stop"))
	// Killed from outside: a pid file is left.
	pid, _ := strconv.Atoi(b.file("pid"))
	_ = unix.Kill(pid, unix.SIGKILL)
	b.check(b.monitor(a), true, actions.Down, "dead, and has left its pid file")
	// The stop of a stopped one fails, as many do: status knows better.
	b.write("strict", "")
	b.want(actions.Stop, a, true, actions.Down, "stop: failed (exit status 1); sleeper is not running; but status: dead")
	b.write("hang.status", "")
	job = b.job(actions.Look, a)
	job.Timeout = time.Second
	b.check(b.do(job), true, actions.Neither, "status: timed out")
}

func TestLSBForce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := initScript(b)
	b.want(actions.Start, a, true, actions.Up, "")
	b.write("stubborn", "")
	b.want(actions.Stop, a, false, actions.Up, "stop: failed")
	job := b.job(actions.ForceStop, a)
	if _, err := b.cgroup(&job); err != nil {
		t.Skip(err)
	}
	b.check(b.do(job), true, actions.Down, "dead, and has left its pid file")
}

// A script whose status always says 0 is judged by its words.
func TestLSBStatusText(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := initScript(b)
	b.write("always0", "")
	b.want(actions.Look, a, true, actions.Up, "")
	a.StatusText = "running"
	b.want(actions.Look, a, true, actions.Down, `status does not say "running"`)
	b.want(actions.Start, a, true, actions.Up, "")
	b.want(actions.Look, a, true, actions.Up, "running")
	b.want(actions.Stop, a, true, actions.Down, "")
	for output, is := range map[string]bool{"X is Running...": true, "not running": false, "X is stopped": false, "": false, "running\nstopped": false} {
		if says(output, "running") != is {
			t.Errorf("%q: %v", output, !is)
		}
	}
	if !says("it is stopped", "Stopped") || !says("OK", "ok") {
		t.Error("words of the configuration's own")
	}
}

func TestLSBThatCannotBeRun(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := actions.LSB{Script: filepath.Join(b.dir, "init.d/none")}
	for _, v := range []actions.Verb{actions.Qualify, actions.Start} {
		if d := b.run(v, a); d.OK || !d.Hopeless {
			t.Errorf("%v: %+v", v, d)
		}
	}
	b.want(actions.Look, a, false, actions.Unknown, "does not exist")
	a = initScript(b)
	a.User = "nobody-of-that-name"
	if d := b.run(actions.Start, a); d.OK || !d.Hopeless || !strings.Contains(d.Detail, "is not known here") {
		t.Errorf("%+v", d)
	}
}
