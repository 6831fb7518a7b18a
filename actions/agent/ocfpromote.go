package agent

import (
	"context"
	"fmt"

	"github.com/backbeat-ha/backbeat/actions"
)

// A promotable agent is started where its host takes part (Prepare) and promoted
// where it is Active: up means promoted. Elsewhere it runs unpromoted and publishes a
// score; the stand-ins for Pacemaker's commands keep it.

func (h *Hands) promotable(ctx context.Context, job *actions.Job, a actions.OCF, tell say) actions.Done {
	switch job.Verb {
	case actions.Start:
		return h.promote(ctx, job, a, tell)
	case actions.Stop:
		return h.demote(ctx, job, a)
	case actions.ForceStop:
		return h.promotableForce(ctx, job, a, tell)
	case actions.Prepare:
		if d := h.ocfFit(a); !d.OK {
			return d
		}
		return h.started(ctx, job, a, tell)
	case actions.Qualify:
		return h.qualifyPromotable(ctx, job, a)
	default:
		return lookPromotable(h.act(ctx, job, a, "monitor", nothing))
	}
}

// lookPromotable judges a monitor of a promotable step.
func lookPromotable(x acted) actions.Done {
	d := x.done(actions.Neither)
	d.OK = true
	switch x.code {
	case ocfPromoted:
		d.State, d.Detail = actions.Up, "promoted"
	case ocfDegradedPromoted:
		d.State, d.Degraded, d.Detail = actions.Up, true, x.why()
	case ocfSuccess:
		d.State, d.Detail = actions.Down, "running, not promoted"
	case ocfDegraded:
		d.State, d.Detail = actions.Down, x.why()
	case ocfNotRunning:
		d.State, d.Detail = actions.Down, "not running"
		if x.reason != "" {
			d.Detail = x.why()
		}
	case ocfNotInstalled:
		d.State = actions.Down
	case 2, 3, 4, 6:
		d.OK, d.State = false, actions.Unknown
	case -1:
		if !x.res.Started {
			d.OK, d.State = false, actions.Unknown
		}
	}
	return d
}

// runs reports whether the agent's service is there, promoted or not.
func (x acted) runs() bool {
	switch x.code {
	case ocfSuccess, ocfPromoted, ocfDegraded, ocfDegradedPromoted:
		return true
	default:
		return false
	}
}

// started brings the service up, unpromoted. A failed one is stopped first: a
// plain start over what is left of it would fail as well.
func (h *Hands) started(ctx context.Context, job *actions.Job, a actions.OCF, tell say) actions.Done {
	probe := h.act(ctx, job, a, "monitor", nothing)
	if probe.runs() {
		return lookPromotable(probe)
	}
	if !probe.res.Started || ocfHopeless(probe.code) {
		return probe.done(lookPromotable(probe).State)
	}
	if probe.code != ocfNotRunning {
		tell("stopping what is left: %s", probe.why())
		h.notify(ctx, job, a, "pre", "stop", false)
		if x := h.act(ctx, job, a, "stop", some); x.code != ocfSuccess {
			return x.done(actions.Neither)
		}
	}
	tell("starting %s, not promoted", AgentName(a))
	h.notify(ctx, job, a, "pre", "start", false)
	x := h.act(ctx, job, a, "start", service)
	if x.code != ocfSuccess {
		return x.done(actions.Neither)
	}
	h.notify(ctx, job, a, "post", "start", false)
	d := x.done(actions.Down)
	d.Detail = "running, not promoted"
	return d
}

// promote tries until the job's time is up: the peer may still be demoting.
func (h *Hands) promote(ctx context.Context, job *actions.Job, a actions.OCF, tell say) actions.Done {
	if d := h.started(ctx, job, a, tell); !d.OK || d.State == actions.Up {
		return d
	}
	h.notify(ctx, job, a, "pre", "promote", false)
	for try := 1; ; try++ {
		x := h.act(ctx, job, a, "promote", service)
		switch {
		case x.code == ocfSuccess:
			h.notify(ctx, job, a, "post", "promote", true)
			d := x.done(actions.Up)
			d.Detail = join("promoted", h.scored(job))
			return d
		case ocfHopeless(x.code), !x.res.Started:
			return x.done(actions.Neither)
		}
		tell("promoting, try %d: %s", try+1, x.why())
		if !pause(ctx, retryPause) {
			return x.done(actions.Neither)
		}
	}
}

// demote leaves the service running, unpromoted.
func (h *Hands) demote(ctx context.Context, job *actions.Job, a actions.OCF) actions.Done {
	if d := lookPromotable(h.act(ctx, job, a, "monitor", nothing)); d.OK && d.State == actions.Down {
		return d
	}
	h.notify(ctx, job, a, "pre", "demote", true)
	x := h.act(ctx, job, a, "demote", service)
	if x.code != ocfSuccess && x.code != ocfNotRunning {
		d := x.done(actions.Unknown)
		d.Hopeless = false
		return d
	}
	h.notify(ctx, job, a, "post", "demote", false)
	d := x.done(actions.Down)
	d.OK = true
	return d
}

// promotableForce stops the service altogether.
func (h *Hands) promotableForce(ctx context.Context, job *actions.Job, a actions.OCF, tell say) actions.Done {
	plain := h.ocfForce(ctx, job, a, tell)
	if plain.OK {
		plain.Detail = join("stopped altogether, not just demoted", plain.Detail)
		return plain
	}
	after, end := aftermath(ctx)
	defer end()
	d := lookPromotable(h.act(after, job, a, "monitor", nothing))
	d.OK = d.OK && d.State == actions.Down
	d.Detail, d.Output = join(plain.Detail, d.Detail), plain.Output
	return d
}

// qualifyPromotable: a score is the agent's word that its data is good enough.
func (h *Hands) qualifyPromotable(ctx context.Context, job *actions.Job, a actions.OCF) actions.Done {
	if d := h.ocfFit(a); !d.OK {
		return d
	}
	x := h.act(ctx, job, a, "monitor", nothing)
	d := lookPromotable(x)
	if !x.runs() {
		d.OK = false
		return d
	}
	switch n, known := h.score(job); {
	case !known:
		d.OK, d.Detail = false, join(d.Detail, "it has published no promotion score: it does not say that its data is good")
	case n < 0:
		d.OK, d.Detail = false, join(d.Detail, fmt.Sprintf("its promotion score is %d: it must not be promoted", n))
	default:
		d.Detail = join(d.Detail, h.scored(job))
	}
	return d
}

// scored is the score as people read it, or "".
func (h *Hands) scored(job *actions.Job) string {
	if n, known := h.score(job); known {
		return fmt.Sprintf("promotion score %d", n)
	}
	return ""
}

// notify tells an agent that has the action what happens. What it answers changes
// nothing, as in Pacemaker.
func (h *Hands) notify(ctx context.Context, job *actions.Job, a actions.OCF, when, operation string, promoted bool) {
	if m, err := h.catalog.Metadata(ctx, a); err != nil || !m.Has("notify") {
		return
	}
	h.act(ctx, job, a, "notify", service, notifyEnv(job, when, operation, promoted)...)
}
