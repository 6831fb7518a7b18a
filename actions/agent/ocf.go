package agent

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/run"
)

// The exit codes of OCF agents (resource agent API 1.1), the words for them, and
// whether trying again on this host is of no use. Pacemaker takes 6 for every host;
// we do not, since a missing interface on one would keep the healthy one from serving.
const (
	ocfSuccess          = 0
	ocfNotInstalled     = 5
	ocfUnimplemented    = 3
	ocfNotRunning       = 7
	ocfPromoted         = 8
	ocfFailedPromoted   = 9
	ocfDegraded         = 190
	ocfDegradedPromoted = 191
)

var ocfWords = map[int]string{
	1: "failed", 2: "its parameters are wrong", 3: "the agent does not have this action", 4: "permission denied",
	5: "not installed", 6: "not configured", 7: "not running", 8: "is promoted", 9: "failed while promoted",
	190: "degraded", 191: "promoted, but degraded",
}

// ocfHopeless: trying again on this host does not help until somebody changes something.
func ocfHopeless(code int) bool { return code >= 2 && code <= 6 }

// AgentPath is where an OCF agent is: $OCF_ROOT/resource.d/PROVIDER/TYPE.
func AgentPath(a actions.OCF) string { return filepath.Join(a.Root, "resource.d", a.Provider, a.Type) }

// AgentName is an OCF agent's name as Pacemaker writes it: "ocf:heartbeat:apache".
func AgentName(a actions.OCF) string { return "ocf:" + a.Provider + ":" + a.Type }

// ocf carries out jobs of resource agents.
func (h *Hands) ocf(ctx context.Context, job *actions.Job, a actions.OCF, tell say) actions.Done {
	if err := h.ready(a); err != nil {
		return actions.Done{Detail: err.Error()}
	}
	var err error
	if a.Params, err = reveal(a.Params); err != nil {
		return actions.Done{Detail: err.Error()}
	}
	if a.Promotable {
		return h.promotable(ctx, job, a, tell)
	}
	switch job.Verb {
	case actions.Start:
		return h.ocfStart(ctx, job, a)
	case actions.Stop:
		return h.ocfStop(ctx, job, a)
	case actions.ForceStop:
		return h.ocfForce(ctx, job, a, tell)
	case actions.Prepare:
		return h.ocfFit(a)
	case actions.Qualify:
		if d := h.ocfFit(a); !d.OK {
			return d
		}
		return h.ocfQualify(ctx, job, a)
	default:
		return h.down(ctx, job, ocfLook(job, h.act(ctx, job, a, "monitor", nothing)))
	}
}

// acted is what an action came to.
type acted struct {
	action string
	code   int // -1: it did not exit by itself, or was not run at all
	reason string
	res    run.Result
}

// act runs one action of an agent.
func (h *Hands) act(ctx context.Context, job *actions.Job, a actions.OCF, action string, leaves leaving, extra ...string) acted {
	r := h.perform(ctx, job, call{argv: []string{AgentPath(a), action}, env: h.ocfEnv(ctx, job, a, action, extra...), leaves: leaves})
	r.Output = redact(a.Params, r.Output)
	return acted{action: action, code: r.Exit, reason: lastReason(r.Output), res: r}
}

// lastReason finds what the agent wants an operator to read: the text after the
// last "ocf-exit-reason:", to the end of its line.
func lastReason(output string) string {
	i := strings.LastIndex(output, exitReason)
	if i < 0 {
		return ""
	}
	line, _, _ := strings.Cut(output[i+len(exitReason):], "\n")
	return strings.TrimSpace(line)
}

// why says what went wrong: "start: not configured (exit status 6): …".
func (x acted) why() string {
	word := ocfWords[x.code]
	switch {
	case !x.res.Started, x.code < 0, word == "" && x.reason == "":
		return because(x.action, x.res)
	case word == "":
		return fmt.Sprintf("%s: %s: %s", x.action, x.res.Err, x.reason)
	}
	s := fmt.Sprintf("%s: %s (exit status %d)", x.action, word, x.code)
	if x.reason != "" {
		return s + ": " + x.reason
	}
	return s
}

// done is the answer to a job that rests on one action.
func (x acted) done(state actions.State) actions.Done {
	d := actions.Done{OK: x.code == ocfSuccess, State: state, Output: x.res.Output}
	if !d.OK {
		d.Detail = x.why()
		d.Hopeless = ocfHopeless(x.code) || cannotRun(x.res)
	}
	return d
}

func (h *Hands) ocfStart(ctx context.Context, job *actions.Job, a actions.OCF) actions.Done {
	x := h.act(ctx, job, a, "start", service)
	if x.code == ocfSuccess {
		return x.done(actions.Up)
	}
	return x.done(actions.Neither)
}

// ocfStop trusts the exit status for the moment: the fact is looked for after it.
func (h *Hands) ocfStop(ctx context.Context, job *actions.Job, a actions.OCF) actions.Done {
	x := h.act(ctx, job, a, "stop", some)
	if x.code != ocfSuccess {
		d := x.done(actions.Unknown)
		d.Hopeless = false
		return d
	}
	d := x.done(actions.Down)
	if left := h.residue(ctx, job); left != "" {
		d.OK, d.State, d.Detail = false, actions.Neither, "stop says that it is done, but "+left
	}
	return d
}

// ocfForce kills what the agent has started and lets it clean up after that.
func (h *Hands) ocfForce(ctx context.Context, job *actions.Job, a actions.OCF, tell say) actions.Done {
	tell("killing what %s has started", AgentName(a))
	note := h.slay(ctx, job)
	stop := h.act(ctx, job, a, "stop", some)
	after, end := aftermath(ctx)
	defer end()
	if ctx.Err() == nil {
		after = ctx
	}
	d := h.down(after, job, ocfLook(job, h.act(after, job, a, "monitor", nothing)))
	d.Output = stop.res.Output
	if d.OK = d.OK && d.State == actions.Down; !d.OK {
		if stop.code != ocfSuccess {
			note = join(stop.why(), note)
		}
		d.Detail = join(note, d.Detail)
	}
	return d
}

// ocfFit says whether the agent can work here at all.
func (h *Hands) ocfFit(a actions.OCF) actions.Done {
	if instead, needs := actions.NeedsPacemaker(a); needs {
		why := AgentName(a) + " asks Pacemaker's daemons for what only they know, and they are not here"
		if instead != "" {
			why += ": use " + instead
		}
		return actions.Done{Hopeless: true, Detail: why}
	}
	if err := run.VerifyOwn(AgentPath(a), ""); err != nil {
		return actions.Done{Hopeless: true, Detail: fmt.Sprintf("%s: %v", AgentName(a), err)}
	}
	return actions.Done{OK: true, State: actions.Unknown}
}

// ocfQualify asks a probe whether the service is there. Not validate-all: on a
// standby it fails for what is only there while it serves (a mounted directory).
func (h *Hands) ocfQualify(ctx context.Context, job *actions.Job, a actions.OCF) actions.Done {
	probe := *job
	probe.Verb, probe.Monitor = actions.Look, false
	d := ocfLook(&probe, h.act(ctx, &probe, a, "monitor", nothing))
	switch {
	case d.Hopeless || !d.OK:
		d.OK = false
	case d.State == actions.Up:
		d.Detail = "it is running here, although this host does not serve: who has started it?"
	case d.State == actions.Down:
		d.Detail = join("installed", h.untold(job))
	}
	return d
}

// ocfLook judges a monitor of a step that is not promotable. A monitor that does
// not end is a failure like any other: a hung service serves nobody.
func ocfLook(job *actions.Job, x acted) actions.Done {
	d := x.done(actions.Neither)
	d.OK = true
	switch x.code {
	case ocfSuccess:
		d.State, d.Detail = actions.Up, "running"
	case ocfNotRunning:
		d.State, d.Detail = actions.Down, "not running"
		if x.reason != "" {
			d.Detail = x.why()
		}
	case ocfDegraded:
		d.State, d.Degraded, d.Detail = actions.Up, true, x.why()
	case ocfUnimplemented:
		if job.Monitor {
			d.State, d.Degraded, d.Hopeless = actions.Up, true, false
			d.Detail = "the agent has no monitor: it is taken to be up"
			break
		}
		d.OK, d.State = false, actions.Unknown
	case ocfNotInstalled:
		if !job.Monitor {
			d.State = actions.Down // what is not installed does not run
		}
	case 2, 4, 6:
		if !job.Monitor {
			d.OK, d.State = false, actions.Unknown
		}
	case -1:
		if !x.res.Started {
			d.OK, d.State = false, actions.Unknown
		}
	}
	return d
}

// retryPause is the time between two tries to promote.
const retryPause = time.Second
