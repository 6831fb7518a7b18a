package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
)

// within bounds every wait of these tests; it is never waited for in full.
const within = 20 * time.Second

// bench is a Runner whose answers come out of a channel and whose scripts may
// be in a directory of the test's.
type bench struct {
	*Runner
	t    *testing.T
	dir  string
	done chan actions.HookDone
	jobs uint64
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, dir: t.TempDir(), done: make(chan actions.HookDone, 100)}
	b.Runner = New(func(v any) { b.done <- v.(actions.HookDone) })
	b.verify = func(path string, who account) error {
		return policy{owners: []uint32{0, uint32(os.Geteuid()), who.uid}, strangers: !mapped(overflow), below: b.dir}.check(path)
	}
	b.patience, b.holdout = 100*time.Millisecond, 50*time.Millisecond
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		b.Close(ctx)
	})
	return b
}

// script writes an executable shell script and returns its path.
func (b *bench) script(lines ...string) string {
	b.t.Helper()
	b.jobs++
	path := filepath.Join(b.dir, fmt.Sprintf("script%d", b.jobs))
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+strings.Join(lines, "\n")+"\n"), 0o700); err != nil {
		b.t.Fatal(err)
	}
	return path
}

// fifo makes a named pipe. Reading it to its end is how a test learns that
// every process that had it open for writing is gone.
func (b *bench) fifo() (path string, file *os.File) {
	b.t.Helper()
	path = filepath.Join(b.dir, "fifo")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		b.t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := file.SetReadDeadline(time.Now().Add(within)); err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { file.Close() })
	return path, file
}

func job(command ...string) actions.HookJob {
	return actions.HookJob{Router: 1, Job: 1, Spec: actions.HookSpec{Name: "test", Command: command, Timeout: within}}
}

func (b *bench) answer() actions.HookDone {
	b.t.Helper()
	select {
	case d := <-b.done:
		return d
	case <-time.After(within):
		b.t.Fatal("no answer")
		return actions.HookDone{}
	}
}

func (b *bench) run(j actions.HookJob) actions.HookDone {
	b.t.Helper()
	b.Run(j)
	return b.answer()
}

func TestEnvironmentIsClean(t *testing.T) {
	t.Setenv("LD_PRELOAD_FOR_TEST", "x")
	b := newBench(t)
	j := job("/usr/bin/env")
	j.Router, j.Job = 7, 99
	j.Env = []string{"BACKBEAT_STATE=Active", "LANG=de_DE.UTF-8"}
	d := b.run(j)
	if d.Router != 7 || d.Job != 99 || d.Exit != 0 || d.Err != "" || d.Took <= 0 {
		t.Errorf("answer %+v", d)
	}
	me := own()
	want := []string{"BACKBEAT_STATE=Active", "HOME=" + me.home, "LANG=de_DE.UTF-8", searchPath, "USER=" + me.name}
	got := strings.Split(d.Output, "\n")
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("environment\n got %q\nwant %q", got, want)
	}
}

func TestNoShellAndOwnGroupAndNoDescriptors(t *testing.T) {
	b := newBench(t)
	held, err := os.Create(filepath.Join(b.dir, "held")) // must not reach the child
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()
	j := job(b.script(`echo "$#:$1:$2"`, `pwd`, `set -- $(cat /proc/$$/stat)`, `[ "$5" = $$ ] && echo leader`,
		`echo oops >&2`, `ls -l /proc/self/fd | grep -c /held`, `exit 0`), "$(id) *", "a b")
	want := "2:$(id) *:a b\n/\nleader\noops\n0"
	if d := b.run(j); d.Output != want || d.Err != "" {
		t.Errorf("output %q, error %q; want %q", d.Output, d.Err, want)
	}
}

func TestExits(t *testing.T) {
	b := newBench(t)
	for _, c := range []struct {
		name, body string
		exit       int
		err        string
	}{
		{"zero", "exit 0", 0, ""},
		{"three", "exit 3", 3, "exit status 3"},
		{"not found", "/no/such/thing", 127, "exit status 127 (a shell's word for: command not found)"},
		{"not executable", "/etc/passwd", 126, "exit status 126 (a shell's word for: found, but cannot be run)"},
		{"signal", "kill -SEGV $$", -1, "ended by signal 11 (SIGSEGV)"},
		{"killed", "kill -KILL $$", -1, "ended by signal 9 (SIGKILL)"},
	} {
		d := b.run(job(b.script("echo before", c.body)))
		if d.Exit != c.exit || d.Err != c.err || !strings.HasPrefix(d.Output, "before") {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
}

func TestCannotStart(t *testing.T) {
	b := newBench(t)
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(b.dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	unknown := job("/bin/sh")
	unknown.Spec.User = "no-such-user"
	nul := job("/bin/sh")
	nul.Env = []string{"A=\x00"}
	for _, c := range []struct {
		name string
		job  actions.HookJob
		want []string
	}{
		{"no command", job(), []string{"no command"}},
		{"relative", job("sh", "-c", "true"), []string{"absolute"}},
		{"missing", job(b.dir + "/missing"), []string{b.dir + "/missing does not exist", "install it"}},
		{"not executable", job(write("plain", "#!/bin/sh\n", 0o600)), []string{"plain is not executable", "chmod a+x"}},
		{"no interpreter", job(write("nointerp", "#!/no/such/sh\n", 0o700)), []string{"interpreter", "first line"}},
		{"no magic", job(write("nomagic", "hello\n", 0o700)), []string{"#!/bin/sh"}},
		{"directory", job("/etc"), []string{"/etc is a directory"}},
		{"unknown user", unknown, []string{"no-such-user", "create it"}},
		{"nul in environment", nul, []string{"NUL"}},
	} {
		d := b.run(c.job)
		for _, w := range c.want {
			if !strings.Contains(d.Err, w) || d.Exit != -1 {
				t.Errorf("%s: %+v, want %q", c.name, d, w)
			}
		}
	}
}

func TestStdin(t *testing.T) {
	b := newBench(t)
	huge := []byte(strings.Repeat("0123456789abcdef", 8<<20/16))
	for _, c := range []struct {
		name, body string
		stdin      []byte
		out        string
	}{
		{"read to the end", "cat", []byte(`{"to":"Active"}`), `{"to":"Active"}`},
		{"none", "cat; echo end", nil, "end"},
		{"huge, read", "wc -c | tr -d ' '", huge, "8388608"},
		{"huge, ignored", "echo deaf", huge, "deaf"},
		{"huge, closed", "exec <&-; echo closed", huge, "closed"},
		{"huge, one byte", "head -c 1", huge, "0"},
	} {
		j := job(b.script(c.body))
		j.Stdin = c.stdin
		if d := b.run(j); d.Err != "" || d.Output != c.out {
			t.Errorf("%s: %+v", c.name, d)
		}
	}
}

func TestTimeout(t *testing.T) {
	b := newBench(t)
	fifo, end := b.fifo()
	for _, c := range []struct{ name, body string }{
		{"obeys TERM", "exec sleep 1000"},
		{"says goodbye on TERM", "trap 'echo bye; exit 0' TERM; sleep 1000 & wait"},
		{"ignores TERM", "trap '' TERM; sleep 1000"},
		{"children ignore TERM", "(trap '' TERM; sleep 1000) & (trap '' TERM; sleep 1000) & wait"},
		{"reads for ever", "while :; do :; done"},
		{"stopped", "kill -STOP $$"},
	} {
		j := job(b.script("exec 9>"+fifo, c.body))
		j.Spec.Timeout = 300 * time.Millisecond
		d := b.run(j)
		if d.Exit != -1 || d.Err != "timed out after 300ms" || d.Took < j.Spec.Timeout {
			t.Errorf("%s: %+v", c.name, d)
		}
		if c.name == "says goodbye on TERM" && d.Output != "bye" {
			t.Errorf("%s: output %q", c.name, d.Output)
		}
	}
	// Nobody of them is left: the pipe has no writer any more.
	if n, err := end.Read(make([]byte, 1)); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) && err.Error() != "EOF" {
		t.Errorf("read %d, %v", n, err)
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("a process of a timed-out command is still there")
	}
}

func TestLeftoversOfTheGroupAreKilled(t *testing.T) {
	b := newBench(t)
	fifo, end := b.fifo()
	d := b.run(job(b.script("exec 9>"+fifo, "(trap '' TERM HUP; sleep 1000) >/dev/null 2>&1 &", "echo parent", "exit 0")))
	if d.Err != "" || d.Output != "parent" {
		t.Errorf("answer %+v", d)
	}
	if _, err := end.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a child left in the background is still there: %v", err)
	}
}

// A process that left the group and holds our pipes delays the answer by the
// holdout, no more; it is not ours to kill.
func TestEscapedGrandchildDoesNotHang(t *testing.T) {
	b := newBench(t)
	gone := filepath.Join(b.dir, "gone")
	if err := unix.Mkfifo(gone, 0o600); err != nil {
		t.Fatal(err)
	}
	j := job(b.script("setsid sh -c 'echo >"+gone+"; exec sleep 1000' &", "read x <"+gone, "echo $!"))
	j.Stdin = []byte(strings.Repeat("x", 1<<20))
	began := time.Now()
	d := b.run(j)
	if took := time.Since(began); took < b.holdout || took > within/2 {
		t.Errorf("answered after %v", took)
	}
	var pid int
	if _, err := fmt.Sscan(d.Output, &pid); err != nil || d.Err != "" || d.Exit != 0 {
		t.Fatalf("answer %+v", d)
	}
	if err := unix.Kill(pid, unix.SIGKILL); err != nil {
		t.Errorf("the process that left should have been left alone: %v", err)
	}
}

func TestEndlessOutput(t *testing.T) {
	b := newBench(t)
	j := job(b.script("exec yes endless"))
	j.Spec.Timeout = 300 * time.Millisecond
	var before, after unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &before)
	d := b.run(j)
	_ = unix.Getrusage(unix.RUSAGE_SELF, &after)
	if d.Err != "timed out after 300ms" || len(d.Output) > tailSize+len("…") || !strings.HasPrefix(d.Output, "…") ||
		!strings.HasSuffix(d.Output, "endless\nendless") {
		t.Errorf("error %q, %d bytes: %.40q", d.Err, len(d.Output), d.Output)
	}
	cpu := time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano())
	t.Logf("reading 300 ms of endless output cost the daemon %v of CPU", cpu)
	if cpu > d.Took/2 {
		t.Errorf("reading endless output cost %v of CPU in %v", cpu, d.Took)
	}
}

func TestUnkillableIsReportedAndReapedLater(t *testing.T) {
	b := newBench(t)
	asked := make(chan unix.Signal, 10)
	b.signal = func(_ int, s unix.Signal) error { asked <- s; return unix.EPERM }
	fifo, _ := b.fifo()
	j := job(b.script("exec <"+fifo, "read line"))
	j.Spec.Timeout = 50 * time.Millisecond
	d := b.run(j)
	if d.Exit != -1 || !strings.Contains(d.Err, "timed out after 50ms, and process") || !strings.Contains(d.Err, "CAP_KILL") {
		t.Errorf("answer %+v", d)
	}
	if len(asked) != 2 || <-asked != unix.SIGTERM || <-asked != unix.SIGKILL {
		t.Error("it was not asked with TERM and KILL")
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	b.Close(ctx) // does not wait for it
	if ctx.Err() != nil {
		t.Error("Close waits for a process that cannot be killed")
	}
	w, err := os.OpenFile(fifo, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.Close() // lets it end
	select {
	case <-asked: // the last KILL for the group comes right before reaping
	case <-time.After(within):
		t.Error("nobody reaps it")
	}
}

func TestBoundAndOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var done []uint64
		r := New(func(v any) { done = append(done, v.(actions.HookDone).Job) })
		r.slots = 2
		var inside, most atomic.Int32
		release := make(chan struct{})
		r.verify = func(string, account) error {
			most.Store(max(most.Load(), inside.Add(1)))
			<-release
			inside.Add(-1)
			return errors.New("enough")
		}
		for i := range uint64(6) {
			j := job("/x")
			j.Job = i + 1
			r.Run(j)
		}
		for i := range 6 {
			synctest.Wait()
			if want := int32(min(2, 6-i)); inside.Load() != want {
				t.Errorf("%d jobs run after %d answers, want %d", inside.Load(), i, want)
			}
			release <- struct{}{}
			synctest.Wait()
		}
		if most.Load() != 2 || len(done) != 6 {
			t.Errorf("%d at once, answers %v", most.Load(), done)
		}
		if slices.Max(done[:3]) > 4 {
			t.Errorf("waiting jobs are not started in order: %v", done)
		}
		r.Close(context.Background())
		if r.busy != 0 || len(r.waiting) != 0 {
			t.Errorf("busy %d, waiting %d at the end", r.busy, len(r.waiting))
		}
	})
}

func TestCloseLetsRunningJobsEnd(t *testing.T) {
	b := newBench(t)
	b.slots = 1
	b.Run(job("/bin/echo", "one"))
	b.Run(job("/bin/echo", "two"))
	b.Close(context.Background())
	if one, two := b.answer(), b.answer(); one.Output != "one" || two.Output != "two" {
		t.Errorf("answers %+v, %+v", one, two)
	}
	if d := b.run(job("/bin/echo", "three")); d.Err != "not started: the daemon is leaving" || d.Exit != -1 {
		t.Errorf("after Close: %+v", d)
	}
}

func TestCloseEndsWhatDoesNotEnd(t *testing.T) {
	b := newBench(t)
	b.slots = 1
	fifo, started := b.fifo()
	b.Run(job(b.script("exec 9>"+fifo, "trap '' TERM", "echo >&9", "sleep 1000")))
	waiting := job("/bin/echo", "never")
	waiting.Job = 2
	b.Run(waiting)
	awaitData(t, started)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b.Close(ctx)
	if d := b.answer(); d.Exit != -1 || d.Err != "ended because the daemon is leaving" {
		t.Errorf("running: %+v", d)
	}
	if d := b.answer(); d.Job != 2 || d.Err != "not started: the daemon is leaving" {
		t.Errorf("waiting: %+v", d)
	}
}

// awaitData waits until a pipe, which may not have a writer yet, can be read.
func awaitData(t *testing.T, f *os.File) {
	t.Helper()
	fds := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, int(within.Milliseconds()))
		if err == unix.EINTR {
			continue
		}
		if err != nil || n == 0 {
			t.Fatalf("the script did not begin: %v", err)
		}
		return
	}
}
