package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/run"
)

// A step of commands is as good as they are. Without a status command nobody
// can look: what the last start or stop left is remembered in the runtime directory.

func (h *Hands) command(ctx context.Context, job *actions.Job, a actions.Command, tell say) actions.Done {
	switch job.Verb {
	case actions.Start:
		return h.commandStart(ctx, job, a)
	case actions.Stop:
		return h.commandStop(ctx, job, a)
	case actions.ForceStop:
		tell("killing what the start command has left running")
		note := h.slay(ctx, job)
		d := h.commandStop(ctx, job, a)
		if !d.OK {
			d.Detail = join(note, d.Detail)
		}
		return d
	case actions.Prepare, actions.Qualify:
		return h.commandQualify(job, a)
	default:
		return h.down(ctx, job, h.commandLook(ctx, job, a))
	}
}

// commandEnv tells the commands what they are run for.
func commandEnv(job *actions.Job) []string {
	return []string{"BACKBEAT_STEP=" + job.Name, "BACKBEAT_NODE=" + job.Node, "BACKBEAT_VERB=" + job.Verb.String()}
}

func (h *Hands) commandRun(ctx context.Context, job *actions.Job, a actions.Command, argv []string, leaves leaving) run.Result {
	if len(argv) == 0 {
		return run.Result{Started: true} // there is nothing to do for it
	}
	return h.perform(ctx, job, call{argv: argv, user: a.User, env: commandEnv(job), leaves: leaves})
}

func (h *Hands) commandStart(ctx context.Context, job *actions.Job, a actions.Command) actions.Done {
	r := h.commandRun(ctx, job, a, a.Start, service)
	d := actions.Done{OK: r.Exit == 0, State: actions.Up, Output: r.Output, Hopeless: cannotRun(r)}
	if !d.OK {
		d.State, d.Detail = actions.Neither, because("start", r)
	}
	h.remember(job, d.State)
	return d
}

func (h *Hands) commandStop(ctx context.Context, job *actions.Job, a actions.Command) actions.Done {
	r := h.commandRun(ctx, job, a, a.Stop, some)
	d := actions.Done{OK: r.Exit == 0, State: actions.Down, Output: r.Output}
	if !d.OK {
		d.State, d.Detail = actions.Neither, because("stop", r)
	} else if left := h.residue(ctx, job); left != "" {
		d.OK, d.State, d.Detail = false, actions.Neither, "the stop command has succeeded, but "+left
	}
	h.remember(job, d.State)
	return d
}

func (h *Hands) commandLook(ctx context.Context, job *actions.Job, a actions.Command) actions.Done {
	if len(a.Status) == 0 {
		return h.recall(job)
	}
	r := h.commandRun(ctx, job, a, a.Status, nothing)
	d := actions.Done{OK: true, State: actions.Neither, Output: r.Output}
	switch {
	case !r.Started:
		d.OK, d.State, d.Hopeless, d.Detail = false, actions.Unknown, cannotRun(r), because("status", r)
	case r.Exit == 0:
		d.State, d.Detail = actions.Up, "running"
	case r.Exit == 1 || r.Exit == 3 || r.Exit == 7: // LSB's and OCF's words for it, and what test, pgrep and grep say (2 is their word for an error)
		d.State, d.Detail = actions.Down, fmt.Sprintf("not running (exit status %d)", r.Exit)
	default:
		d.Detail = because("status", r)
	}
	return d
}

// commandQualify says whether the commands could be run.
func (h *Hands) commandQualify(job *actions.Job, a actions.Command) actions.Done {
	for _, argv := range [][]string{a.Start, a.Stop, a.Status} {
		if len(argv) == 0 {
			continue
		}
		if err := run.VerifyOwn(argv[0], a.User); err != nil {
			return actions.Done{Hopeless: true, Detail: err.Error()}
		}
	}
	return actions.Done{OK: true, Detail: join("its commands can be run", h.untold(job))}
}

func (h *Hands) memory(job *actions.Job) string {
	return filepath.Join(h.Runtime, "steps", instance(job.Name))
}

// remember notes what a start or stop has left, for a step that cannot be asked.
func (h *Hands) remember(job *actions.Job, s actions.State) {
	path := h.memory(job)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
		err = os.WriteFile(path+".new", []byte(s.String()+"\n"), 0o644)
		if err == nil && os.Rename(path+".new", path) == nil {
			return
		}
	}
	_ = os.Remove(path) // nothing is better than what is no longer so
}

// recall is the fact of a step that cannot be asked: Unknown until it has been
// started or stopped once since the machine has.
func (h *Hands) recall(job *actions.Job) actions.Done {
	b, err := os.ReadFile(h.memory(job))
	d := actions.Done{OK: true, Detail: "as the last start or stop left it: there is no status command"}
	switch strings.TrimSpace(string(b)) {
	case actions.Up.String():
		d.State = actions.Up
	case actions.Down.String():
		d.State = actions.Down
	case actions.Neither.String():
		d.State = actions.Neither
	default:
		d.Detail = "nobody knows: it has not been started or stopped yet, and there is no status command"
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			d.Detail = join(d.Detail, err.Error())
		}
	}
	return d
}
