package agent

import (
	"context"
	"fmt"
	"hash/crc32"
	"os"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/run"
)

// call is one run of a command of a step, as lsb, ocf and exec do it: with the
// daemon's own rights unless there is a user, a clean environment, no shell.
type call struct {
	argv, env []string
	user      string
	// what the command may leave running.
	leaves leaving
}

// leaving is what a command may leave running when it exits by itself.
type leaving uint8

const (
	// nothing: what is left of its process group is killed (a look).
	nothing leaving = iota
	// some: it is none of our business (a stop may hand things over).
	some
	// service: it is the service. It lives in the step's cgroup.
	service
)

// perform runs a command until it ends or the job does. It never waits for the
// pipes that a daemon has inherited, nor for a process that cannot be killed.
func (h *Hands) perform(ctx context.Context, job *actions.Job, c call) run.Result {
	if ctx.Err() != nil {
		return run.Result{Exit: -1, Err: tooLate + context.Cause(ctx).Error()}
	}
	cmd := run.Command{Argv: c.argv, Env: c.env, User: c.user, Own: true, Leave: c.leaves != nothing,
		Timeout: left(ctx, time.Second, someTimeout) + time.Second} // ctx ends first, so that there is one reason
	if c.leaves == service {
		cmd.Cgroup, _ = h.cgroup(job) // without one there is less to find out, see residue
	}
	return h.runner.DoContext(ctx, cmd)
}

// tooLate begins the Err of a command that was not run because its job was over.
const tooLate = "not run: "

// cannotRun reports whether a command could not be run at all, for what only a
// person can change: it is not there, not safe, not executable.
func cannotRun(r run.Result) bool { return !r.Started && !strings.HasPrefix(r.Err, tooLate) }

// cgroup is where what a step starts lives. The error says why there is none. Two
// daemons on one host (labs) differ in their runtime directories.
func (h *Hands) cgroup(job *actions.Job) (*run.Cgroup, error) {
	name := instance(job.Name)
	if h.Runtime != runtimeDir {
		name += fmt.Sprintf("@%08x", crc32.ChecksumIEEE([]byte(h.Runtime)))
	}
	return run.FindCgroup(name)
}

// untold says why it cannot be told what a step leaves running: "" if it can.
func (h *Hands) untold(job *actions.Job) string {
	if _, err := h.cgroup(job); err != nil {
		return fmt.Sprintf("what it leaves running cannot be told (%v)", err)
	}
	return ""
}

// lingering is how long processes of a stopped step may take to end after the
// command that stopped them, and after KILL.
const lingering = 2 * time.Second

// residue waits for the last process of a stopped step to end and describes what
// is left then: "" is nothing, as far as the step has a cgroup.
func (h *Hands) residue(ctx context.Context, job *actions.Job) string {
	group, _ := h.cgroup(job)
	if emptied(ctx, lingering, func() bool { return !group.Populated() }) {
		group.Remove()
		return ""
	}
	return describe(group.Processes())
}

// down checks an answer that says down: with processes left it is neither,
// whatever the step's own status says.
func (h *Hands) down(ctx context.Context, job *actions.Job, d actions.Done) actions.Done {
	if d.OK && d.State == actions.Down {
		if left := h.residue(ctx, job); left != "" {
			d.State, d.Detail = actions.Neither, join(d.Detail, left)
		}
	}
	return d
}

// emptied waits until a condition holds, at most for limit.
func emptied(ctx context.Context, limit time.Duration, is func() bool) bool {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer stop()
	for wait := time.Millisecond; !is(); wait = min(2*wait, 100*time.Millisecond) {
		if !pause(ctx, wait) {
			return is()
		}
	}
	return true
}

// describe names processes, the first few of them: "2 processes left: 812 (apache2), 813 (apache2)".
func describe(pids []int) string {
	const few = 5
	var names []string
	for _, pid := range pids[:min(few, len(pids))] {
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		names = append(names, fmt.Sprintf("%d (%s)", pid, strings.TrimSpace(string(comm))))
	}
	if len(pids) > few {
		names = append(names, "…")
	}
	return fmt.Sprintf("%s left: %s", count(len(pids), "process", "processes"), strings.Join(names, ", "))
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// slay kills all that a step has started. It says what it could not do.
func (h *Hands) slay(ctx context.Context, job *actions.Job) string {
	group, err := h.cgroup(job)
	if err != nil {
		return fmt.Sprintf("what it started cannot be killed as a whole (%v)", err)
	}
	if err := group.Kill(); err != nil {
		return fmt.Sprintf("killing what it started failed: %v", err)
	}
	return h.residue(ctx, job)
}

// because is what a command had to say of its failure, for people: its own last
// line and how it ended.
func because(what string, r run.Result) string {
	if !r.Started {
		return fmt.Sprintf("%s: %s", what, r.Err)
	}
	lines := strings.Split(strings.TrimSpace(r.Output), "\n")
	if last := strings.TrimSpace(lines[len(lines)-1]); last != "" && r.Err != "" {
		return fmt.Sprintf("%s: %s: %s", what, r.Err, last)
	} else if r.Err == "" {
		return what + ": exit status 0"
	}
	return fmt.Sprintf("%s: %s", what, r.Err)
}

// join puts the phrases that are not empty together.
func join(phrases ...string) string {
	var all []string
	for _, p := range phrases {
		if p != "" {
			all = append(all, p)
		}
	}
	return strings.Join(all, "; ")
}
