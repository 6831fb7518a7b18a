package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
)

// debianOCF is where the distribution's agents are: the real thing.
const debianOCF = "/usr/lib/ocf"

func real(t *testing.T, typ string, params ...actions.Option) actions.OCF {
	t.Helper()
	needProgram(t, filepath.Join(debianOCF, "resource.d/heartbeat", typ), "resource-agents")
	return actions.OCF{Root: debianOCF, Provider: "heartbeat", Type: typ, Params: params}
}

// agent writes an agent of the test's own, a stand-in with faults to order: body is
// its shell script, $1 the action.
func (b *bench) agent(body string, params ...actions.Option) actions.OCF {
	b.t.Helper()
	root := filepath.Join(b.dir, "ocf")
	b.script("ocf/resource.d/test/faulty", "#!/bin/sh\nD="+b.dir+"\n"+body+"\n")
	return actions.OCF{Root: root, Provider: "test", Type: "faulty", Params: params}
}

func option(name, value string) actions.Option { return actions.Option{Name: name, Value: value} }

// The distribution's Dummy agent through all it can do.
func TestOCFDummy(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := real(t, "Dummy", option("state", filepath.Join(b.dir, "dummy.state")))
	b.want(actions.Look, a, true, actions.Down, "not running")
	b.want(actions.Prepare, a, true, actions.Unknown, "")
	b.want(actions.Qualify, a, true, actions.Down, "installed")
	b.want(actions.Stop, a, true, actions.Down, "")
	b.want(actions.Start, a, true, actions.Up, "")
	b.want(actions.Start, a, true, actions.Up, "") // harmless
	b.want(actions.Look, a, true, actions.Up, "running")
	b.check(b.monitor(a), true, actions.Up, "running")
	b.want(actions.Qualify, a, true, actions.Up, "although this host does not serve")
	b.want(actions.ForceStop, a, true, actions.Down, "not running")
	b.want(actions.Stop, a, true, actions.Down, "")
}

// Every variable that resource agents are promised, and none of the daemon's own.
// The agent is a stand-in that prints them.
func TestOCFEnvironment(t *testing.T) {
	t.Parallel()
	os.Setenv("BACKBEAT_MUST_NOT_LEAK", "1") // not t.Setenv: the tests are parallel, and it harms none
	b := newBench(t)
	a := b.agent(`env >$D/env.$1.$OCF_RESKEY_CRM_meta_interval; exit 0`, option("configfile", "/etc/x y"), option("Port", "80"))
	a.CheckLevel = 20
	job := b.job(actions.Start, a)
	job.Timeout, job.Name = 8*time.Second, "web/ocf.a:b"
	b.do(job)
	job = b.job(actions.Look, a)
	job.Name = "web/ocf.a:b"
	b.do(job)
	job = b.job(actions.Look, a)
	job.Monitor, job.Interval, job.Name = true, 10*time.Second, "web/ocf.a:b"
	b.do(job)
	job = b.job(actions.Look, a)
	job.Monitor = true // an interval of 0 would make a probe of it
	b.do(job)

	if err := b.Release(context.Background(), a, "web/ocf.a:b"); err != nil {
		t.Error(err)
	}
	start := strings.Split(b.file("env.start.0"), "\n")
	for _, want := range []string{"OCF_ROOT=" + a.Root, "OCF_RA_VERSION_MAJOR=1", "OCF_RA_VERSION_MINOR=1",
		"OCF_RESOURCE_INSTANCE=web.ocf.a_b", "OCF_RESOURCE_TYPE=faulty", "OCF_RESOURCE_PROVIDER=test",
		"OCF_EXIT_REASON_PREFIX=ocf-exit-reason:", "HA_RSCTMP=/run/resource-agents", "OCF_RESKEY_crm_feature_set=3.19.0",
		"OCF_RESKEY_CRM_meta_name=start", "OCF_RESKEY_CRM_meta_on_node=web1", "OCF_RESKEY_CRM_meta_interval=0",
		"OCF_RESKEY_configfile=/etc/x y", "OCF_RESKEY_Port=80", "LC_ALL=C"} {
		if !slices.Contains(start, want) {
			t.Errorf("start lacks %s", want)
		}
	}
	for _, line := range start {
		name, value, _ := strings.Cut(line, "=")
		switch {
		case name == "OCF_RESKEY_CRM_meta_timeout":
			if ms, _ := strconv.Atoi(value); ms < 6000 || ms > 8000 {
				t.Errorf("timeout %s ms, want almost 8000", value)
			}
		case name == "PATH" && !strings.Contains(value, "/usr/sbin"):
			t.Error(line)
		case strings.Contains(name, "LEAK"), strings.Contains(name, "clone"), strings.Contains(name, "master"), strings.Contains(name, "notify"):
			t.Errorf("%s: not for a plain step", line)
		}
	}
	probe, monitor := b.file("env.monitor.0"), b.file("env.monitor.10000")
	if !strings.Contains(probe, "OCF_CHECK_LEVEL=0") || !strings.Contains(monitor, "OCF_CHECK_LEVEL=20") {
		t.Errorf("check levels: probe %q, monitor %q", probe, monitor)
	}
	if info, err := os.Stat("/run/resource-agents"); err != nil || !info.IsDir() {
		t.Error("HA_RSCTMP does not exist")
	}
}

// The exit codes of OCF 1.1, as answers to every question. A stand-in agent.
func TestOCFExitCodes(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.agent(`echo "ocf-exit-reason:first" >&2; echo "ocf-exit-reason:why $(cat $D/code)" >&2; echo noise >&2; exit $(cat $D/code)`)
	for _, c := range []struct {
		code            int
		probe, monitor  actions.State // Unknown: not OK
		startHopeless   bool
		monitorDegraded bool
		words           string
	}{
		{0, actions.Up, actions.Up, false, false, ""},
		{1, actions.Neither, actions.Neither, false, false, "failed (exit status 1)"},
		{2, actions.Unknown, actions.Neither, true, false, "its parameters are wrong"},
		{3, actions.Unknown, actions.Up, true, true, "does not have this action"},
		{4, actions.Unknown, actions.Neither, true, false, "permission denied"},
		{5, actions.Down, actions.Neither, true, false, "not installed"},
		{6, actions.Unknown, actions.Neither, true, false, "not configured"},
		{7, actions.Down, actions.Down, false, false, "not running"},
		{8, actions.Neither, actions.Neither, false, false, "is promoted"},
		{9, actions.Neither, actions.Neither, false, false, "failed while promoted"},
		{190, actions.Up, actions.Up, false, true, "degraded"},
		{191, actions.Neither, actions.Neither, false, false, "promoted, but degraded"},
		{255, actions.Neither, actions.Neither, false, false, "exit status 255"},
	} {
		b.write("code", strconv.Itoa(c.code))
		if d := b.run(actions.Look, a); d.State != c.probe || d.OK != (c.probe != actions.Unknown) {
			t.Errorf("%d: probe %+v", c.code, d)
		}
		if d := b.monitor(a); d.State != c.monitor || !d.OK || d.Degraded != c.monitorDegraded {
			t.Errorf("%d: monitor %+v", c.code, d)
		}
		d := b.run(actions.Start, a)
		if d.OK != (c.code == 0) || d.Hopeless != c.startHopeless || !strings.Contains(d.Detail, c.words) {
			t.Errorf("%d: start %+v", c.code, d)
		}
		if why := fmt.Sprintf("why %d", c.code); c.code != 0 && (!strings.HasSuffix(d.Detail, why) || strings.Contains(d.Detail, "first")) {
			t.Errorf("%d: the reason is not the last one: %q", c.code, d.Detail)
		}
		if d := b.run(actions.Stop, a); d.OK != (c.code == 0) || d.Hopeless {
			t.Errorf("%d: stop %+v", c.code, d)
		}
	}
}

// Agents that do what agents must not. All of them are stand-ins.
func TestOCFHostile(t *testing.T) {
	for _, c := range []struct {
		name, body, detail string
		timeout            time.Duration
	}{
		{"hangs", "exec sleep 1000", "timed out after", time.Second},
		{"ignores TERM", "trap '' TERM; while :; do sleep 1000; done", "timed out after", time.Second},
		{"children ignore TERM", "(trap '' TERM; sleep 1000) & wait", "timed out after", time.Second},
		{"prints without end", "while :; do echo ocf-exit-reason:too much >&2; done", "timed out after", time.Second},
		{"prints one line without end", "yes | tr -d '\\n'", "timed out after", time.Second},
		{"stops itself", "kill -STOP $$", "timed out after", time.Second},
		{"forks without end", "f() { for i in 1 2 3; do sh -c 'sleep 1000' & done; while :; do (sleep 0.01) & done; }; f", "timed out after", time.Second},
		{"ends by a signal", "kill -SEGV $$", "ended by signal 11 (SIGSEGV)", within},
		{"no text at all", "exit 1", "start: failed (exit status 1)", within},
		{"a reason of noise", "printf 'ocf-exit-reason:\\377\\000\\033[31m\\n' >&2; exit 1", "exit status 1", within},
		{"a very long reason", "printf 'ocf-exit-reason:%09999d\\n' 7 >&2; exit 1", "exit status 1", within},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			job := b.job(actions.Start, b.agent("echo $$ >$D/pid\n"+c.body))
			job.Timeout = c.timeout
			d := b.do(job)
			if d.OK || d.State != actions.Neither || d.Hopeless || !strings.Contains(d.Detail, c.detail) {
				t.Errorf("%+v", d)
			}
			if d.Took > c.timeout+grace || len(d.Detail) > detailSize+3 || len(d.Output) > outputSize {
				t.Errorf("took %v, %d bytes of detail, %d of output", d.Took, len(d.Detail), len(d.Output))
			}
			pid, err := strconv.Atoi(b.file("pid"))
			if err != nil {
				t.Fatal("it did not begin")
			}
			if err := unix.Kill(-pid, 0); err != unix.ESRCH && !onlyZombies(pid) {
				t.Errorf("something of its process group is left: %v", err)
			}
		})
	}
}

// onlyZombies reports whether nothing runs in a process group: the children of
// an agent that was killed are reaped by whoever is init here.
func onlyZombies(group int) bool {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		text, _ := os.ReadFile(path)
		_, rest, _ := strings.Cut(string(text), ") ")
		if f := strings.Fields(rest); len(f) > 2 && f[2] == strconv.Itoa(group) && f[0] != "Z" {
			return false
		}
	}
	return true
}

func TestOCFThatCannotBeRun(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	missing := actions.OCF{Root: b.dir, Provider: "test", Type: "nothing"}
	for _, v := range []actions.Verb{actions.Prepare, actions.Qualify, actions.Start} {
		if d := b.run(v, missing); d.OK || !d.Hopeless || !strings.Contains(d.Detail, "does not exist") {
			t.Errorf("%v: %+v", v, d)
		}
	}
	unsafe := b.agent("exit 0")
	if err := os.Chmod(AgentPath(unsafe), 0o777); err != nil {
		t.Fatal(err)
	}
	if d := b.run(actions.Start, unsafe); d.OK || !d.Hopeless || !strings.Contains(d.Detail, "writable by") {
		t.Errorf("%+v", d)
	}
	redis := actions.OCF{Root: debianOCF, Provider: "heartbeat", Type: "redis"}
	if d := b.run(actions.Qualify, redis); d.OK || !d.Hopeless || !strings.Contains(d.Detail, `use step "redis"`) {
		t.Errorf("%+v", d)
	}
}

// The daemon that an agent starts outlives it, in a cgroup of its own where that
// can be had; it is found after a stop that lies, and killed by force.
func TestOCFDaemonOutlivesItsAgent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := b.agent(`case $1 in
  start) sleep 1000 & echo $! >$D/pid; exit 0 ;;
  stop) exit 0 ;;
  monitor) grep -q . /proc/$(cat $D/pid)/cmdline && exit 0; exit 7 ;; # a zombie has none
esac`)
	began := time.Now()
	b.want(actions.Start, a, true, actions.Up, "")
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("waited for the pipe that the daemon keeps: %v", took)
	}
	b.want(actions.Look, a, true, actions.Up, "")
	pid, _ := strconv.Atoi(b.file("pid"))
	t.Cleanup(func() { _ = unix.Kill(pid, unix.SIGKILL) })
	job := b.job(actions.Stop, a)
	if _, err := b.cgroup(&job); err != nil {
		t.Skipf("what a stop has left cannot be found out: %v", err)
	}
	d := b.do(job)
	left := fmt.Sprintf("1 process left: %d (sleep)", pid)
	b.check(d, false, actions.Neither, left)
	b.write("pid", "0")                                                  // the agent has lost sight of it
	b.want(actions.Look, a, true, actions.Neither, "not running; "+left) // whatever the agent says
	b.write("pid", strconv.Itoa(pid))
	b.want(actions.ForceStop, a, true, actions.Down, "")
	if err := unix.Kill(pid, 0); err != unix.ESRCH && !onlyZombies(pid) {
		t.Errorf("the daemon lives: %v", err)
	}
}

// A secret reaches the agent and nobody else, also one that is in a file.
func TestOCFSecrets(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("secret", "hunter2\nmore\n")
	a := b.agent(`echo "ocf-exit-reason:bad password $OCF_RESKEY_password" >&2; exit 1`,
		actions.Option{Name: "password", Value: "file:" + filepath.Join(b.dir, "secret"), Secret: true})
	d := b.run(actions.Start, a)
	b.check(d, false, actions.Neither, "bad password ***")
	if strings.Contains(d.Output, "hunter2") {
		t.Errorf("output %q", d.Output)
	}
	a.Params[0].Value += ".not"
	b.want(actions.Start, a, false, actions.Unknown, "read the secret password")
}
