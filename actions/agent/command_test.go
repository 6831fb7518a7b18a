package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

func TestCommand(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	script := b.script("step", `#!/bin/sh
D=`+b.dir+`
echo "$1 $BACKBEAT_STEP $BACKBEAT_NODE $BACKBEAT_VERB" >>$D/calls
case $1 in
  start) touch $D/up; [ -e $D/bad ] && { echo "cannot"; exit 4; }; exit 0 ;;
  stop) [ -e $D/bad ] && exit 1; rm -f $D/up ;;
  status) [ -e $D/code ] && exit $(cat $D/code); [ -e $D/up ] && exit 0; exit 3 ;;
esac
`)
	a := actions.Command{Start: []string{script, "start"}, Stop: []string{script, "stop"}, Status: []string{script, "status"}}
	b.want(actions.Prepare, a, true, actions.Unknown, "")
	b.want(actions.Qualify, a, true, actions.Unknown, "can be run")
	b.want(actions.Look, a, true, actions.Down, "not running (exit status 3)")
	b.want(actions.Start, a, true, actions.Up, "")
	b.check(b.monitor(a), true, actions.Up, "running")
	b.want(actions.Stop, a, true, actions.Down, "")
	for code, state := range map[string]actions.State{"0": actions.Up, "7": actions.Down, "3": actions.Down, "1": actions.Down, "4": actions.Neither, "255": actions.Neither} {
		b.write("code", code)
		b.want(actions.Look, a, true, state, "")
	}
	b.write("bad", "")
	b.want(actions.Start, a, false, actions.Neither, "start: exit status 4: cannot")
	b.want(actions.Stop, a, false, actions.Neither, "stop: exit status 1")
	job := b.job(actions.Look, a)
	if want := "start " + job.Name + " web1 start"; !strings.Contains(b.file("calls"), want) {
		t.Errorf("calls %q, want %q", b.file("calls"), want)
	}
}

// Without a status command the last start or stop is what is known, over a
// restart of the daemon as well.
func TestCommandThatCannotBeAsked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	a := actions.Command{Start: []string{"/bin/true"}, Stop: []string{"/bin/true"}}
	b.want(actions.Look, a, true, actions.Unknown, "nobody knows")
	b.want(actions.Stop, a, true, actions.Down, "")
	b.want(actions.Look, a, true, actions.Down, "as the last start or stop left it")
	b.want(actions.Start, a, true, actions.Up, "")
	other := newBench(t) // another daemon, the same directory
	other.Runtime = b.Runtime
	job := b.job(actions.Look, a)
	other.check(other.do(job), true, actions.Up, "as the last start or stop left it")
	a.Stop = []string{"/bin/false"}
	b.want(actions.ForceStop, a, false, actions.Neither, "stop: exit status 1")
	b.want(actions.Look, a, true, actions.Neither, "")
	a.Stop = nil // nothing to do for it
	b.want(actions.Stop, a, true, actions.Down, "")
}

func TestCommandThatIsNotSafe(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for _, c := range []struct {
		argv   []string
		detail string
	}{
		{[]string{b.dir + "/none"}, "does not exist"},
		{[]string{"true"}, "not an absolute path"},
		{[]string{"/tmp"}, "not a file"},
	} {
		a := actions.Command{Start: c.argv, Stop: []string{"/bin/true"}}
		for _, v := range []actions.Verb{actions.Qualify, actions.Start} {
			if d := b.run(v, a); d.OK || !d.Hopeless || !strings.Contains(d.Detail, "refused") {
				t.Errorf("%v %v: %+v", v, c.argv, d)
			}
		}
	}
	job := b.job(actions.Start, actions.Command{Start: []string{"/bin/sleep", "1000"}})
	job.Timeout = 500 * time.Millisecond
	b.check(b.do(job), false, actions.Neither, "start: timed out")
}
