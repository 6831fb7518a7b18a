package agent

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/test/lab/fakesystemd"
)

// newFakeSystemd has the bench's hands talk to a stand-in for systemd.
func newFakeSystemd(t *testing.T, b *bench) *fakesystemd.Systemd {
	t.Helper()
	f := fakesystemd.New(t, b.dir)
	b.units.dial = f.Dial
	return f
}

const apacheUnit = "apache2.service"

var web = actions.Systemd{Unit: apacheUnit}

// loaded is a unit that does what it is told.
func loaded() fakesystemd.Unit {
	return fakesystemd.Unit{Load: "loaded", Active: "inactive", Sub: "dead", File: "disabled", Kind: "notify", Kill: "control-group", Start: "done"}
}

func TestSystemdUpAndDown(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newFakeSystemd(t, b)
	u := loaded()
	u.Then = func(u *fakesystemd.Unit) { u.PID = 812 }
	f.Unit(apacheUnit, u)
	b.want(actions.Look, web, true, actions.Down, "inactive (dead)")
	b.want(actions.Qualify, web, true, actions.Down, "loaded")
	b.want(actions.Prepare, web, true, actions.Down, "")
	b.want(actions.Prepare, web, true, actions.Down, "")
	b.want(actions.Start, web, true, actions.Up, "active (running), main pid 812")
	b.want(actions.Start, web, true, actions.Up, "")
	b.check(b.monitor(web), true, actions.Up, "active (running)")
	b.want(actions.Stop, web, true, actions.Down, "inactive (dead)")
	b.want(actions.Stop, web, true, actions.Down, "")
	calls := f.Called()
	if !strings.HasPrefix(calls, "Subscribe ") || strings.Count(calls, "Subscribe") != 1 {
		t.Errorf("subscribed late or often: %s", calls)
	}
	if !strings.Contains(calls, "Start:apache2.service:replace") || strings.Count(calls, "Reload") != 1 {
		t.Errorf("calls %s", calls)
	}
	text, err := os.ReadFile(filepath.Join(b.units.dropIns, "apache2.service.d/50-backbeat.conf"))
	if err != nil || !strings.Contains(string(text), "Before=backbeat.service") || !strings.Contains(string(text), "[Service]\nRestart=no") {
		t.Errorf("drop-in: %q, %v", text, err)
	}
	if err := b.Release(context.Background(), web, "x"); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(b.units.dropIns + "/*"); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestSystemdJobResults(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newFakeSystemd(t, b)
	for _, c := range []struct {
		result, detail string
		hopeless       bool
	}{
		{"failed", "failed: journalctl -u apache2.service; failed (failed), exit-code: exit status 1", false},
		{"canceled", "another job took its place", false},
		{"timeout", "TimeoutStartSec", false},
		{"dependency", "a unit that it requires has failed", false},
		{"skipped", "skipped", false},
		{"assert", "an assertion of the unit does not hold", true},
		{"unsupported", "does not support", true},
		{"collected", `the job ended with "collected"`, false},
		{"once", `the job ended with "once"`, false},
	} {
		u := loaded()
		u.Start = c.result
		f.Unit(apacheUnit, u)
		d := b.want(actions.Start, web, false, actions.Down, c.detail)
		if d.Hopeless != c.hopeless {
			t.Errorf("%s: %+v", c.result, d)
		}
	}
	// One that failed is reset first, or its own start limit would be in the way.
	f.Set(func() { f.Calls = nil; f.At(apacheUnit).Active = "failed"; f.At(apacheUnit).Start = "done" })
	b.want(actions.Start, web, true, actions.Up, "")
	if calls := f.Called(); !strings.HasPrefix(calls, "ResetFailed:apache2.service Start:") {
		t.Errorf("calls %s", calls)
	}
	// Whatever the job to stop it says, the state decides.
	f.Set(func() { f.At(apacheUnit).Stop = "canceled" })
	b.want(actions.Stop, web, true, actions.Down, "another job took its place")
	f.Set(func() { f.At(apacheUnit).Then = func(u *fakesystemd.Unit) { u.Active, u.Sub = "active", "running" } })
	b.want(actions.Stop, web, false, actions.Up, "another job took its place")
}

func TestSystemdUnitsThatCannotBeStarted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newFakeSystemd(t, b)
	for load, detail := range map[string]string{"not-found": "install it", "masked": "systemctl unmask apache2.service",
		"bad-setting": "systemd-analyze verify", "error": "systemd-analyze verify"} {
		u := loaded()
		u.Load = load
		f.Unit(apacheUnit, u)
		for _, v := range []actions.Verb{actions.Qualify, actions.Prepare, actions.Start} {
			if d := b.want(v, web, false, actions.Down, detail); !d.Hopeless {
				t.Errorf("%s: %+v", load, d)
			}
		}
		b.want(actions.Look, web, true, actions.Down, "")
	}
	none := actions.Systemd{Unit: "none.service"}
	b.want(actions.Look, none, true, actions.Down, "there is no such unit")
	b.want(actions.Stop, none, true, actions.Down, "")
	b.want(actions.ForceStop, none, true, actions.Down, "")
	u := loaded()
	u.Then, u.Kind = func(u *fakesystemd.Unit) { u.Active, u.Sub = "inactive", "dead" }, "oneshot"
	f.Unit(apacheUnit, u)
	if d := b.want(actions.Start, web, false, actions.Down, "RemainAfterExit=yes"); !d.Hopeless {
		t.Errorf("%+v", d)
	}
	u.Kind = "simple"
	f.Unit(apacheUnit, u)
	b.want(actions.Start, web, false, actions.Down, "started and ended at once")
	f.Set(func() { f.Refuses = "TransactionIsDestructive" })
	b.want(actions.Start, web, false, actions.Down, "systemd refuses: Operation refused; inactive")
	f.Set(func() { f.Refuses, f.State, f.Calls = "", "stopping", nil })
	b.want(actions.Start, web, false, actions.Down, "the system is stopping")
	b.want(actions.Qualify, web, false, actions.Down, "the system is stopping")
	if calls := f.Called(); strings.Contains(calls, "Start:") {
		t.Errorf("started while the system is stopping: %s", calls)
	}
	b.want(actions.Stop, web, true, actions.Down, "")
}

func TestSystemdWarnsOfWhoElseStartsIt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newFakeSystemd(t, b)
	u := loaded()
	u.File = "enabled"
	f.Unit(apacheUnit, u)
	b.want(actions.Qualify, web, true, actions.Down, "systemctl disable apache2.service")
	u.File, u.Triggers = "disabled", []string{"apache2.socket"}
	f.Unit(apacheUnit, u)
	b.want(actions.Qualify, web, true, actions.Down, "systemctl disable --now apache2.socket")
}

func TestSystemdStates(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newFakeSystemd(t, b)
	for _, c := range []struct {
		active, sub string
		state       actions.State
	}{
		{"active", "running", actions.Up}, {"active", "exited", actions.Up}, {"reloading", "reload", actions.Up}, {"refreshing", "x", actions.Up},
		{"inactive", "dead", actions.Down}, {"failed", "failed", actions.Down},
	} {
		u := loaded()
		u.Active, u.Sub = c.active, c.sub
		f.Unit(apacheUnit, u)
		b.want(actions.Look, web, true, c.state, c.active+" ("+c.sub+")")
	}
	// On its way: waited for, for half of the time.
	for _, c := range []struct{ active, then string }{{"activating", "active"}, {"deactivating", "inactive"}, {"activating", ""}, {"maintenance", ""}} {
		u := f.Unit(apacheUnit, loaded())
		f.Set(func() { u.Active = c.active })
		time.AfterFunc(300*time.Millisecond, func() {
			if c.then != "" {
				f.Set(func() { u.Active = c.then })
			}
		})
		job := b.job(actions.Look, web)
		job.Timeout = 2 * time.Second
		d := b.do(job)
		want := map[string]actions.State{"active": actions.Up, "inactive": actions.Down, "": actions.Neither}[c.then]
		if !d.OK || d.State != want {
			t.Errorf("%v: %+v", c, d)
		}
	}
}

// After a stop that has run out of time the unit is still on its way down, and the ladder
// asks what it has come to: that must not take as long as a restart by hand may, since the
// next try waits for it.
func TestSystemdLookAfterAStop(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newFakeSystemd(t, b)
	u := loaded()
	u.Active, u.Sub = "deactivating", "stop-sigterm"
	f.Unit(apacheUnit, u)
	job := b.job(actions.Look, web)
	job.Timeout = 20 * time.Second
	d := b.do(job)
	b.check(d, true, actions.Neither, "deactivating (stop-sigterm)")
	if d.Took > 5*time.Second {
		t.Errorf("it took %v", d.Took)
	}
}

// Processes left in the unit's control group are a fact, whatever the state says.
// The control group is a stand-in: a file.
func TestSystemdLeftovers(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newFakeSystemd(t, b)
	sleep := exec.Command("sleep", "1000")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sleep.Process.Kill(); _ = sleep.Wait() })
	u := loaded()
	u.Group = "/system.slice/apache2.service"
	f.Unit(apacheUnit, u)
	for _, hierarchy := range []string{"", "systemd"} {
		dir := filepath.Join(b.units.cgroups, hierarchy, u.Group)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		b.write(strings.TrimPrefix(dir, b.dir)+"/cgroup.procs", "")
		b.want(actions.Stop, web, true, actions.Down, "")
		b.write(strings.TrimPrefix(dir, b.dir)+"/cgroup.procs", strconv.Itoa(sleep.Process.Pid)+"\n")
		b.want(actions.Stop, web, false, actions.Neither, "1 process left: "+strconv.Itoa(sleep.Process.Pid)+" (sleep)")
		b.want(actions.Look, web, true, actions.Neither, "1 process left")
		os.RemoveAll(dir)
	}
	u.Kill = "process" // this unit wants its children to stay
	f.Unit(apacheUnit, u)
	b.want(actions.Stop, web, true, actions.Down, "")
}

func TestSystemdTimeoutAndForce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newFakeSystemd(t, b)
	u := loaded()
	u.Start = "never"
	f.Unit(apacheUnit, u)
	job := b.job(actions.Start, web)
	job.Timeout = 2500 * time.Millisecond
	d := b.do(job)
	b.check(d, false, actions.Neither, "not done after 2.5s; activating (start)")
	if told := b.told(); !strings.Contains(told, "waiting for systemd: apache2.service is activating (start)") {
		t.Errorf("told %q", told)
	}
	u = loaded()
	u.Active, u.Stubborn = "active", true
	f.Unit(apacheUnit, u)
	job = b.job(actions.Stop, web)
	job.Timeout = 1500 * time.Millisecond
	b.check(b.do(job), false, actions.Neither, "the unit allows itself 1m30s to stop")
	f.Set(func() { f.Calls = nil })
	b.want(actions.ForceStop, web, true, actions.Down, "killed: inactive (dead)")
	if calls := f.Called(); calls != "Stop:apache2.service:replace Kill:apache2.service:all:9 ResetFailed:apache2.service" {
		t.Errorf("calls %s", calls)
	}
	// A start that is no longer wanted is answered at once.
	u = loaded()
	u.Start = "never"
	f.Unit(apacheUnit, u)
	job = b.job(actions.Start, web)
	b.Do(job)
	time.AfterFunc(300*time.Millisecond, func() { b.Cancel(1, job.Job) })
	if d := b.answer(); !d.Canceled || d.OK || d.Took > 5*time.Second {
		t.Errorf("%+v", d)
	}
}

// While systemd stops or restarts the daemon, a job of a step would wait for the daemon's,
// which waits for the step's: it is let go. One that also waits for another unit waits on for
// that. (Found under a real systemd, where `systemctl stop` hung.)
func TestSystemdJobsWhileWeAreStopped(t *testing.T) {
	t.Parallel()
	const stopped, started = "Stop:apache2.service:replace", "Start:apache2.service:replace"
	for name, c := range map[string]struct {
		verb            actions.Verb
		own, later, net string // the jobs of us, of a unit that needs the step, of one that it needs
		ok              bool
		calls           string
	}{
		"stop":                    {actions.Stop, "stop", "", "", true, stopped + " Stop:apache2.service:ignore-dependencies"},
		"stop at shutdown":        {actions.Stop, "stop", "", "stop", true, stopped + " Stop:apache2.service:ignore-dependencies"},
		"stop that waits on":      {actions.Stop, "stop", "stop", "", false, stopped},
		"start while we restart":  {actions.Start, "restart", "", "", true, started + " Start:apache2.service:ignore-dependencies"},
		"start that needs others": {actions.Start, "restart", "", "start", false, started},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			f := newFakeSystemd(t, b)
			u := loaded()
			if c.verb == actions.Stop {
				u.Active, u.Sub = "active", "running"
			}
			u.Before, u.After = []string{"shutdown.target", "portal.service", ownUnit}, []string{"net.service"}
			f.Unit(apacheUnit, u)
			f.Unit("portal.service", fakesystemd.Unit{Load: "loaded", Active: "active", JobType: c.later})
			f.Unit("net.service", fakesystemd.Unit{Load: "loaded", Active: "active", JobType: c.net})
			f.Unit(ownUnit, fakesystemd.Unit{Load: "loaded", Active: "deactivating", JobType: c.own})
			job := b.job(c.verb, web)
			job.Timeout = 500 * time.Millisecond
			began := time.Now()
			d := b.do(job)
			if d.OK != c.ok {
				t.Errorf("after %v: %+v", time.Since(began), d)
			}
			if calls := f.Called(); !strings.HasSuffix(calls, c.calls) {
				t.Errorf("calls %s", calls)
			}
		})
	}
}

// systemd re-executes itself: calls fail, signals are lost, the state is what counts.
func TestSystemdReexec(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	f := newFakeSystemd(t, b)
	u := loaded()
	u.Start = "never"
	f.Unit(apacheUnit, u)
	b.Do(b.job(actions.Start, web))
	deadline := time.After(within)
	for !strings.Contains(f.Called(), "Start:") {
		select {
		case <-deadline:
			t.Fatal("no job was made")
		case <-time.After(10 * time.Millisecond):
		}
	}
	f.Leave()
	time.AfterFunc(700*time.Millisecond, func() {
		f.Set(func() {
			f.At(apacheUnit).Active, f.At(apacheUnit).Sub, f.At(apacheUnit).Job = "active", "running", 0
		})
		f.Arrive()
	})
	b.check(b.answer(), true, actions.Up, "active (running)")
	// The bus itself goes away between two jobs.
	f.Set(func() { f.Silent = true; f.At(apacheUnit).Start = "done" })
	b.units.mu.Lock()
	b.units.link.Close()
	b.units.mu.Unlock()
	b.want(actions.Stop, web, true, actions.Down, "") // and JobRemoved is lost
	b.want(actions.Start, web, true, actions.Up, "")
}

func TestNoSystemd(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.units.dial = func(context.Context) (*godbus.Conn, error) { return nil, errors.New("no such file") }
	d := b.run(actions.Look, web)
	if d.OK || d.State != actions.Unknown || d.Hopeless || !strings.Contains(d.Detail, "connect to systemd: no such file") {
		t.Errorf("%+v", d)
	}
	// One that accepts and says nothing.
	b.units.dial = func(ctx context.Context) (*godbus.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	job := b.job(actions.Start, web)
	job.Timeout = time.Second
	if d := b.do(job); d.OK || d.Took > 3*time.Second || !strings.Contains(d.Detail, "systemd does not answer") {
		t.Errorf("%+v", d)
	}
}

func TestDropInOfWhatIsNoService(t *testing.T) {
	if text := string(dropIn("srv.mount")); strings.Contains(text, "[Service]") || !strings.Contains(text, "Before=backbeat.service") {
		t.Error(text)
	}
}
