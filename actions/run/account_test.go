package run

import (
	"os"
	"os/user"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// nobody is an account every system has.
const nobody = "nobody"

func TestLookup(t *testing.T) {
	a, err := lookup("")
	if err != nil {
		t.Fatal(err)
	}
	if _, missing := user.Lookup(defaultAccount); missing != nil || os.Geteuid() != 0 {
		if a.switches || a.uid != uint32(os.Geteuid()) {
			t.Errorf("the default is %+v, want our own", a)
		}
		if c, err := a.credential(); c != nil || err != nil {
			t.Errorf("our own account needs %v, %v", c, err)
		}
	}
	a, err = lookup(nobody)
	if err != nil {
		t.Fatal(err)
	}
	if a.name != nobody || a.uid != overflow || a.switches != (os.Geteuid() != overflow) {
		t.Errorf("nobody is %+v", a)
	}
	if _, err := lookup("no such user"); err == nil || !strings.Contains(err.Error(), "no such user is not known here: create it") {
		t.Errorf("unknown user: %v", err)
	}
}

func TestOtherUserWithoutPrivilege(t *testing.T) {
	a, err := lookup(nobody)
	if err != nil {
		t.Fatal(err)
	}
	if !a.switches {
		a.switches, a.name = true, "somebody else" // the tests themselves run as nobody
	}
	withoutPrivilege(t, func() {
		c, err := a.credential()
		if c != nil || err == nil || !strings.Contains(err.Error(), "without CAP_SETUID and CAP_SETGID: run it as root") {
			t.Errorf("credential %v, %v", c, err)
		}
	})
}

// withoutPrivilege runs f on a thread that has no capabilities. The thread ends
// with the goroutine, because it is never unlocked.
func withoutPrivilege(t *testing.T, f func()) {
	t.Helper()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread()
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			t.Errorf("drop the capabilities: %v", err)
			return
		}
		f()
	}()
	<-ended
}

func TestRunsAsAnotherUser(t *testing.T) {
	if !mayswitch() || !mapped(overflow) {
		t.Skip("needs root with a full range of uids: run the tests as root to see this one")
	}
	b := newBench(t)
	b.dir = publicDir(t)
	j := job(b.script("id -u", "id -g", "id -G", "echo $USER $HOME"))
	if err := os.Chmod(j.Spec.Command[0], 0o755); err != nil {
		t.Fatal(err)
	}
	j.Spec.User = nobody
	u, err := user.Lookup(nobody)
	if err != nil {
		t.Fatal(err)
	}
	want := u.Uid + "\n" + u.Gid + "\n" + u.Gid + "\n" + nobody + " " + u.HomeDir
	if d := b.run(j); d.Output != want || d.Err != "" {
		t.Errorf("answer %+v, want output %q", d, want)
	}
	// And the message names what keeps it out.
	if err := os.Chmod(j.Spec.Command[0], 0o700); err != nil {
		t.Fatal(err)
	}
	want = "permission denied for user nobody at " + j.Spec.Command[0] + ": chmod a+x"
	if d := b.run(j); !strings.Contains(d.Err, want) {
		t.Errorf("answer %+v, want %q", d, want)
	}
	private := filepath.Join(b.dir, "private")
	if err := os.Mkdir(private, 0o700); err != nil {
		t.Fatal(err)
	}
	inside := filepath.Join(private, "script")
	if err := os.Rename(j.Spec.Command[0], inside); err != nil {
		t.Fatal(err)
	}
	j.Spec.Command[0] = inside
	want = "permission denied for user nobody at " + private + ": chmod a+x"
	if d := b.run(j); !strings.Contains(d.Err, want) {
		t.Errorf("answer %+v, want %q", d, want)
	}
}

// publicDir is a directory other users can search; t.TempDir is in one they cannot.
func publicDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "backbeat-run-test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A child of a thread with real-time scheduling is ordinary.
func TestChildrenAreNotRealTime(t *testing.T) {
	b := newBench(t)
	fifo, _ := b.fifo()
	type result struct {
		before, after *unix.SchedAttr
		skip          bool
		err           error
	}
	got := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // for good: the thread must not be used again
		var r result
		defer func() { got <- r }()
		if err := unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_RR, Priority: 1}, 0); err != nil {
			r.skip, r.err = true, err
			return
		}
		r.before, _ = unix.SchedGetAttr(0, 0)
		cmd, err := b.start(Command{Argv: []string{b.script("read line <" + fifo)}}, new(tail), nil)
		if err != nil {
			r.err = err
			return
		}
		r.after, r.err = unix.SchedGetAttr(cmd.Process.Pid, 0)
		_ = unix.Kill(cmd.Process.Pid, unix.SIGKILL)
		_ = cmd.Wait()
	}()
	r := <-got
	if r.skip {
		t.Skipf("SCHED_RR is refused here (%v): run the tests as root or with CAP_SYS_NICE", r.err)
	}
	if r.err != nil || r.before.Policy != unix.SCHED_RR || r.after.Policy != unix.SCHED_NORMAL || r.after.Nice != 0 {
		t.Errorf("before %+v, after %+v, %v", r.before, r.after, r.err)
	}
}
