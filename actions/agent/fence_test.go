package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

func fenceJob(b *bench, v actions.Verb, devices ...actions.FenceSpec) actions.Job {
	job := b.job(v, nil)
	job.Step, job.Fence, job.Name = -1, devices, "site"
	return job
}

// The distribution's fence_dummy, which keeps the power of its only plug in a file.
func TestFenceDummy(t *testing.T) {
	t.Parallel()
	needProgram(t, "/usr/sbin/fence_dummy", "fence-agents")
	b := newBench(t)
	b.write("power", "on")
	d := actions.FenceSpec{Name: "ipmi", Command: []string{"/usr/sbin/fence_dummy"}, Action: "off", Target: "web2", Timeout: within,
		Options: []actions.Option{option("plug", "web2"), option("status_file", filepath.Join(b.dir, "power"))}}
	b.check(b.do(fenceJob(b, actions.Qualify, d)), true, actions.Unknown, "ipmi: ok")
	b.check(b.do(fenceJob(b, actions.Fence, d)), true, actions.Unknown, "ipmi: web2 is off, confirmed after")
	if b.file("power") != "off" {
		t.Errorf("power is %q", b.file("power"))
	}
	b.write("power", "on")
	d.Action = "reboot"
	b.check(b.do(fenceJob(b, actions.Fence, d)), true, actions.Unknown, "web2 is rebooted")
	d.Options, d.Timeout = []actions.Option{option("type", "fail")}, 2*time.Second // of the agent: it tries for 20 s and fails
	if d := b.do(fenceJob(b, actions.Fence, d)); d.OK {
		t.Errorf("%+v", d)
	}
}

// device is a stand-in for a fence agent with the same interface, and faults to order.
func device(b *bench, name, body string, options ...actions.Option) actions.FenceSpec {
	path := b.script("fence_"+name, `#!/bin/sh
D=`+b.dir+`
cat >$D/stdin.`+name+`; action=$(sed -n 's/^action=//p' $D/stdin.`+name+`)
echo "`+name+` $action $*" >>$D/calls
`+body+"\n")
	return actions.FenceSpec{Name: name, Command: []string{path, "-v"}, Action: "off", Target: "web2", Timeout: 2 * time.Second, Options: options}
}

func TestFenceDevicesInTheirOrder(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	dead := device(b, "dead", "echo 'Unable to connect/login to fencing device' >&2; exit 1")
	liar := device(b, "liar", "exit 0") // off succeeds, status says on
	mute := device(b, "mute", "[ $action = off ] && exit 0; exit 1")
	hung := device(b, "hung", "trap '' TERM; sleep 1000")
	good := device(b, "good", "[ $action = status ] && exit 2; exit 0")
	never := device(b, "never", "exit 0")
	job := fenceJob(b, actions.Fence, dead, liar, mute, hung, good, never)
	job.Timeout = time.Minute
	d := b.do(job)
	b.check(d, true, actions.Unknown, "good: web2 is off, confirmed after")
	for _, want := range []string{"dead: off: exit status 1: Unable to connect", "liar: off was accepted, but after 2s status still says on"} {
		if !strings.Contains(d.Detail, want) {
			t.Errorf("%q lacks %q", d.Detail, want)
		}
	}
	told := b.told()
	for _, want := range []string{"dead: asking for off of web2", "mute has not confirmed: off was accepted, but is not confirmed: status: exit status 1", "hung has not confirmed: off: timed out"} {
		if !strings.Contains(told, want) {
			t.Errorf("told lacks %q:\n%s", want, told)
		}
	}
	calls := b.file("calls")
	if !strings.HasPrefix(calls, "dead off -v\nliar off -v\nliar status -v\n") || !strings.HasSuffix(calls, "good off -v\ngood status -v") {
		t.Errorf("calls\n%s", calls)
	}
	d = b.do(fenceJob(b, actions.Fence, dead, mute))
	b.check(d, false, actions.Unknown, "dead: off: exit status 1")
	b.check(b.do(fenceJob(b, actions.Qualify, good, dead)), false, actions.Unknown, "good: ok; dead: exit status 1: Unable to connect")
	if d := b.do(fenceJob(b, actions.Fence)); d.OK || !d.Hopeless {
		t.Errorf("%+v", d)
	}
}

func TestFenceDelayAndCancel(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	good := device(b, "good", "[ $action = status ] && exit 2; exit 0")
	good.Delay = 500 * time.Millisecond
	if d := b.do(fenceJob(b, actions.Fence, good)); !d.OK || d.Took < good.Delay {
		t.Errorf("%+v", d)
	}
	good.Delay = time.Hour
	job := fenceJob(b, actions.Fence, good)
	os.Remove(filepath.Join(b.dir, "calls"))
	b.Do(job)
	time.AfterFunc(200*time.Millisecond, func() { b.Cancel(1, job.Job) })
	if d := b.answer(); d.OK || !d.Canceled || b.file("calls") != "" {
		t.Errorf("%+v, calls %q", d, b.file("calls"))
	}
}

// Secrets are on standard input and nowhere else, whatever the agent prints.
func TestFenceSecrets(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.write("pw", "pa$$ word\n")
	dev := device(b, "chatty", `echo "DEBUG password hunter2 of $(sed -n 's/^file=//p' $D/stdin.chatty)" >&2; cat /proc/$$/cmdline /proc/$$/environ >$D/seen; exit 1`,
		actions.Option{Name: "password", Value: "hunter2", Secret: true}, actions.Option{Name: "file", Value: "file:" + filepath.Join(b.dir, "pw"), Secret: true},
		option("plug", "web2"), option("action", "on"))
	d := b.do(fenceJob(b, actions.Fence, dev))
	b.check(d, false, actions.Unknown, "password *** of ***")
	if text := d.Detail + d.Output + b.told() + b.file("seen"); strings.Contains(text, "hunter2") || strings.Contains(text, "pa$$ word") {
		t.Errorf("a secret is in\n%s", text)
	}
	if got, want := b.file("stdin.chatty"), "password=hunter2\nfile=pa$$ word\nplug=web2\naction=off"; got != want {
		t.Errorf("standard input %q, want %q", got, want)
	}
}
