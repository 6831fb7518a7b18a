package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
)

// searchPath is the PATH of every command: Debian's for root.
const searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// Command is one command to run. There is no shell.
type Command struct {
	// Argv: the first element is an absolute path.
	Argv []string
	// User is the account to run as; empty: the account backbeat if there is one
	// and the daemon is root, else the daemon's own. Own makes an empty User the
	// daemon's own account: the steps of service groups need its rights.
	User string
	Own  bool
	// Env is added to the clean environment; Stdin may be empty.
	Env   []string
	Stdin []byte
	// Timeout is how long it may take before TERM, and 2 s later KILL; 0 means 10 s.
	Timeout time.Duration
	// Split keeps standard output apart, up to 1 MiB of it: Result.Stdout.
	Split bool
	// Leave lets live what the command has left running in its process group
	// when it exits by itself, whatever its exit status: the daemon that it has
	// started. Its output is then not waited for either. A command that is ended by
	// us (timeout, context, Close) takes its group with it all the same.
	Leave bool
	// Cgroup, if not nil, is where the command and what it starts live, if that can
	// be had: Result.Inside tells.
	Cgroup *Cgroup
}

// Result is what became of a Command.
type Result struct {
	// Started is false if it could not be run at all.
	Started bool
	// Exit is the exit status, or -1 if it did not exit by itself.
	Exit int
	// Err is empty for exit status 0, else a sentence.
	Err string
	// Output is the tail of what it printed, 4 KiB at most; of standard error
	// alone if the Command was Split.
	Output string
	// Stdout is the beginning of standard output of a Split command, 1 MiB at most.
	Stdout string
	// Inside: it ran in the Command's Cgroup.
	Inside bool
	Took   time.Duration
}

// do runs one job of a hook.
func (r *Runner) do(job actions.HookJob) actions.HookDone {
	res := r.Do(Command{Argv: job.Spec.Command, User: job.Spec.User, Env: job.Env, Stdin: job.Stdin, Timeout: job.Spec.Timeout})
	return actions.HookDone{Router: job.Router, Job: job.Job, Took: res.Took, Exit: res.Exit, Err: res.Err, Output: res.Output}
}

// Do runs one command to its end, on the caller's goroutine and beside the 64 of
// Run. It always returns: a process that cannot even be killed is left behind,
// reaped whenever it does end, and reported. It may be used from any
// goroutine; Close ends what runs here, too, but does not wait for it.
func (r *Runner) Do(job Command) Result { return r.DoContext(context.Background(), job) }

// DoContext is Do, and ends the command as its timeout would when ctx ends.
func (r *Runner) DoContext(ctx context.Context, job Command) (done Result) {
	began := time.Now()
	done = Result{Exit: -1}
	out, first := new(tail), io.Writer(nil)
	if job.Split {
		kept := new(head)
		first = kept
		defer func() { done.Stdout = kept.String() }()
	}
	cmd, err := r.start(job, out, first)
	done.Inside = cmd != nil && cmd.SysProcAttr.UseCgroupFD
	if err != nil {
		done.Took, done.Err = time.Since(began), err.Error()
		return done
	}
	done.Started = true
	timeout := job.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	ended, why := r.supervise(ctx, cmd.Process.Pid, timeout)
	done.Took = time.Since(began)
	leave := job.Leave && why == ""
	select {
	case <-ended:
		r.reap(cmd, leave)
		done.Exit, done.Err = outcome(cmd.ProcessState, why)
	default:
		go func() {
			<-ended
			r.reap(cmd, false)
		}()
		done.Err = fmt.Sprintf("%s, and process %d cannot be killed: it is stuck in the kernel (ps shows D), "+
			"or the daemon lacks CAP_KILL for its user", why, cmd.Process.Pid)
	}
	done.Output = out.String()
	return done
}

// start checks who may run what and starts it. The errors are sentences for
// people that name the command, the cause and what to do.
func (r *Runner) start(job Command, out *tail, first io.Writer) (*exec.Cmd, error) {
	if len(job.Argv) == 0 {
		return nil, errors.New("no command: give it one")
	}
	path := job.Argv[0]
	who, err := lookupFor(job.User, job.Own)
	if err != nil {
		return nil, err
	}
	if err := r.verify(path, who); err != nil {
		return nil, err
	}
	cred, err := who.credential()
	if err != nil {
		return nil, err
	}
	build := func() *exec.Cmd { // a Cmd can be started once
		cmd := &exec.Cmd{
			Path:   path,
			Args:   job.Argv,
			Env:    environment(who, job.Env),
			Dir:    "/",
			Stdout: out,
			Stderr: out, // the same writer: one pipe, so the order is the command's
			// Closes our ends of the pipes if somebody else holds the others.
			WaitDelay:   r.holdout,
			SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Credential: cred},
		}
		if job.Leave {
			cmd.WaitDelay = min(r.holdout, parting)
		}
		if first != nil {
			cmd.Stdout = first
		}
		if len(job.Stdin) > 0 {
			// os/exec tolerates EPIPE: a command need not read what it is told.
			cmd.Stdin = bytes.NewReader(job.Stdin)
		}
		return cmd
	}
	cmd, err := startInside(job.Cgroup, build)
	if err != nil {
		return nil, explain(path, who, err)
	}
	lower(cmd.Process.Pid)
	return cmd, nil
}

// startInside starts a command in a cgroup, or, where the kernel or a rule of
// the system does not let us, outside of it.
func startInside(c *Cgroup, build func() *exec.Cmd) (*exec.Cmd, error) {
	if dir, err := c.open(); err == nil {
		defer dir.Close()
		cmd := build()
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
		if cmd.Start() == nil {
			return cmd, nil
		}
	}
	cmd := build()
	return cmd, cmd.Start()
}

// environment is all the environment a command gets. What the job brings wins.
func environment(who account, env []string) []string {
	all := []string{searchPath, "LANG=C.UTF-8", "HOME=" + who.home, "USER=" + who.name}
	return append(all, env...)
}

// supervise waits for the end of a command. It returns a channel that is closed
// once the process has ended (but is not reaped yet), and why it was ended by
// us, if it was. If the channel is not closed the process survived even KILL.
func (r *Runner) supervise(ctx context.Context, pid int, timeout time.Duration) (ended <-chan struct{}, why string) {
	c := make(chan struct{})
	go func() {
		awaitEnd(pid)
		close(c)
	}()
	began, timer := time.Now(), time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-c:
		return c, ""
	case <-timer.C:
		why = fmt.Sprintf("timed out after %v", timeout)
	case <-ctx.Done():
		why = fmt.Sprintf("ended: %v", context.Cause(ctx))
		if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
			why = fmt.Sprintf("timed out after %v", time.Since(began).Round(100*time.Millisecond))
		}
	case <-r.stop:
		why = "ended because the daemon is leaving"
	}
	for _, s := range []unix.Signal{unix.SIGTERM, unix.SIGKILL} {
		_ = r.signal(pid, s) // a failure shows in the process not ending
		timer.Reset(r.patience)
		select {
		case <-c:
			return c, why
		case <-timer.C:
		}
	}
	return c, why
}

// reap ends what is left of the group, unless it may live, and collects the
// process and its pipes. The group goes first: as long as the zombie is there its
// number cannot belong to anybody else.
func (r *Runner) reap(cmd *exec.Cmd, leave bool) {
	if !leave {
		_ = r.signal(cmd.Process.Pid, unix.SIGKILL) // the zombie may be the only one to take it
	}
	_ = cmd.Wait() // the state is in cmd.ProcessState; errors of the pipes are of no interest
}

// awaitEnd blocks until a child has ended and leaves it as a zombie.
func awaitEnd(pid int) {
	for unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil) == unix.EINTR {
	}
}

func signalGroup(group int, s unix.Signal) error { return unix.Kill(-group, s) }

// lower gives a child ordinary scheduling. A child inherits the policy of the
// thread that forked it, and the daemon may run SCHED_RR: a busy script would
// then compete with the adverts. SCHED_RESET_ON_FORK would do it without the
// gap, but also takes it from Go's own new threads (reference/ecosystem.md 3).
// The gap is from exec to here, some tens of microseconds, in which a process
// has barely been loaded and has no children that could inherit.
//
// Lowering needs no privilege over a process of our own user; where the command
// runs as another user and CAP_SYS_NICE is missing it is left as it is.
func lower(pid int) {
	now, err := unix.SchedGetAttr(pid, 0)
	if err != nil {
		return
	}
	switch now.Policy {
	case unix.SCHED_FIFO, unix.SCHED_RR, unix.SCHED_DEADLINE:
	default:
		if now.Nice >= 0 {
			return // ordinary already, or below
		}
	}
	_ = unix.SchedSetAttr(pid, &unix.SchedAttr{Policy: unix.SCHED_NORMAL}, 0)
}
