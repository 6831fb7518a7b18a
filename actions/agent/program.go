package agent

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions/run"
)

const (
	// factTime bounds finding out what became of a step whose job has run out of
	// time. With the 4 s in which a command is ended it is within grace.
	factTime = 1500 * time.Millisecond
	// factPatience bounds it while the job has time left: a loaded host takes seconds
	// for a fork.
	factPatience = 15 * time.Second
)

// ownUser is the account that administrative commands run as: root, where the
// daemon is root; else its own, which will then say what it lacks. Left empty it
// would be the account backbeat, which may neither mount nor promote.
func ownUser() string {
	if os.Geteuid() == 0 {
		return "root"
	}
	return ""
}

// program runs a command with administrative rights until it ends or ctx does,
// its standard output kept apart. It never waits for a command that is stuck in
// the kernel: see run.Runner.Do.
func (h *Hands) program(ctx context.Context, argv ...string) run.Result {
	return h.programAs(ctx, ownUser(), nil, argv...)
}

// programAs is program as another user, with more of an environment.
func (h *Hands) programAs(ctx context.Context, user string, env []string, argv ...string) run.Result {
	if ctx.Err() != nil {
		return run.Result{Exit: -1, Err: "not started: the time was up"}
	}
	limit := 10 * time.Minute
	if end, ok := ctx.Deadline(); ok {
		limit = time.Until(end) + time.Second // ctx ends first, so that there is one reason
	}
	return h.runner.DoContext(ctx, run.Command{Argv: argv, User: user, Env: env, Timeout: limit, Split: true})
}

// said is what a command had to say of its failure: the last line of its
// standard error, or how it ended.
func said(r run.Result) string {
	lines := strings.Split(strings.TrimSpace(r.Output), "\n")
	last := strings.TrimSpace(lines[len(lines)-1])
	switch {
	case last == "":
		return r.Err
	case r.Exit < 0:
		return r.Err + ": " + last
	default:
		return fmt.Sprintf("%s: %s", r.Err, last)
	}
}

// printed is all the output that a failed command is shown with.
func printed(r run.Result) string {
	return strings.TrimSpace(strings.TrimSpace(r.Stdout) + "\n" + r.Output)
}

// pause waits for d and reports whether ctx still goes on.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}

// aftermath is the context for finding out a fact when the job's own may be over,
// or about to be.
func aftermath(ctx context.Context) (context.Context, context.CancelFunc) {
	limit := factTime
	if ctx.Err() == nil {
		limit = min(left(ctx, factTime, factPatience), factPatience)
	}
	return context.WithTimeout(context.WithoutCancel(ctx), limit)
}

// left is the time until the end of ctx, at least min; of one without an end, other.
func left(ctx context.Context, least, other time.Duration) time.Duration {
	end, ok := ctx.Deadline()
	if !ok {
		return other
	}
	return max(least, time.Until(end))
}
