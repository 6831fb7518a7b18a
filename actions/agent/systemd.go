package agent

import (
	"context"
	"fmt"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// A systemd unit is started and stopped by jobs over D-Bus, never by running
// systemctl. That a job was accepted says nothing: its end does (JobRemoved), and
// after that the unit's state.

// glance is how often a job under way is looked at: for Progress, and because a
// JobRemoved may be lost while systemd re-executes itself.
const glance = time.Second

func (h *Hands) systemd(ctx context.Context, job *actions.Job, a actions.Systemd, tell say) actions.Done {
	switch job.Verb {
	case actions.Start:
		return h.startUnit(ctx, a.Unit, tell)
	case actions.Stop:
		return h.stopUnit(ctx, a.Unit, tell)
	case actions.ForceStop:
		return h.killUnit(ctx, a.Unit, tell)
	case actions.Prepare, actions.Qualify:
		return h.qualifyUnit(ctx, job, a.Unit)
	default:
		return h.lookAtUnit(ctx, a.Unit, job.Monitor, tell)
	}
}

// lookAtUnit waits for half of its time if the unit is on its way to
// something: somebody may be restarting it by hand. One that is on its way down while
// it need not be up is most likely what a stop of ours has left: that is waited for
// shortly, because killing it waits for the answer.
func (h *Hands) lookAtUnit(ctx context.Context, name string, monitor bool, tell say) actions.Done {
	began := time.Now()
	until := began.Add(left(ctx, time.Second, someTimeout) / 2)
	for {
		u, err := h.units.unit(ctx, name)
		if err != nil {
			return actions.Done{Detail: err.Error()}
		}
		if short := began.Add(glance); !monitor && u.active == "deactivating" && short.Before(until) {
			until = short
		}
		if !u.moves() || time.Now().After(until) || !pause(ctx, glance/4) {
			return h.judgeUnit(&u)
		}
		tell("waiting: it is %s", &u)
	}
}

func (h *Hands) judgeUnit(u *unit) actions.Done {
	d := actions.Done{OK: true, State: actions.Neither, Detail: u.String()}
	switch {
	case u.runs():
		d.State = actions.Up
	case u.moves():
	default:
		if d.State = actions.Down; h.units.left(u) != "" {
			d.State, d.Detail = actions.Neither, join(u.String(), h.units.left(u))
		}
	}
	return d
}

// qualifyUnit serves Prepare, too, which in addition writes the drop-in.
func (h *Hands) qualifyUnit(ctx context.Context, job *actions.Job, name string) actions.Done {
	u, err := h.units.unit(ctx, name)
	if err != nil {
		return actions.Done{Detail: err.Error()}
	}
	d := h.judgeUnit(&u)
	if why := u.missing(); why != "" {
		return actions.Done{Hopeless: true, State: d.State, Detail: why}
	}
	if h.units.stopping(ctx) {
		return actions.Done{State: d.State, Detail: "the system is stopping: systemd starts nothing any more"}
	}
	if job.Verb == actions.Prepare {
		if err := h.units.adopt(ctx, name); err != nil {
			return actions.Done{State: d.State, Detail: err.Error()}
		}
	}
	d.OK, d.Detail = true, "loaded"
	switch {
	case u.file == "enabled" || u.file == "enabled-runtime":
		d.Detail = fmt.Sprintf("%s would be started at boot, whoever is Active: systemctl disable %s", name, name)
	case len(u.triggers) > 0:
		d.Detail = fmt.Sprintf("%s may start it at any time, whoever is Active: systemctl disable --now %s", u.triggers[0], u.triggers[0])
	}
	return d
}

func (h *Hands) startUnit(ctx context.Context, name string, tell say) actions.Done {
	u, err := h.units.unit(ctx, name)
	if err != nil {
		return actions.Done{Detail: err.Error()}
	}
	if why := u.missing(); why != "" {
		return actions.Done{Hopeless: true, State: h.judgeUnit(&u).State, Detail: why}
	}
	if h.units.stopping(ctx) {
		return actions.Done{State: h.judgeUnit(&u).State, Detail: "the system is stopping: systemd starts nothing any more"}
	}
	note := ""
	if err := h.units.adopt(ctx, name); err != nil {
		note = err.Error() // it runs without, but at shutdown systemd may be first
	}
	if u.active == "failed" {
		h.resetFailed(ctx, name) // or its own start limit would refuse what our retries allow
	}
	result, err := h.unitJob(ctx, name, true, tell)
	d := h.outcomeOfJob(ctx, name, result, err)
	switch {
	case d.State == actions.Up && (result == "done" || result == ""):
		d.OK, d.Detail = true, join(d.Detail, note)
	case result == "done" && d.State == actions.Down:
		d.Hopeless = h.endsByItself(ctx, name)
		if d.Detail = "it started and ended at once: " + d.Detail; d.Hopeless {
			d.Detail = "it runs once and is done: a step must stay, RemainAfterExit=yes would say that it does"
		}
	}
	return d
}

// endsByItself: Type=oneshot without RemainAfterExit.
func (h *Hands) endsByItself(ctx context.Context, name string) bool {
	u, err := h.units.unit(ctx, name)
	return err == nil && u.kind == "oneshot" && !u.remains && u.active == "inactive"
}

func (h *Hands) stopUnit(ctx context.Context, name string, tell say) actions.Done {
	u, err := h.units.unit(ctx, name)
	if err != nil {
		return actions.Done{Detail: err.Error()}
	}
	if u.load == "not-found" && !u.runs() && !u.moves() {
		return h.stopped(&u)
	}
	limit := left(ctx, 0, 0)
	result, err := h.unitJob(ctx, name, false, tell)
	d := h.outcomeOfJob(ctx, name, result, err)
	if d.State == actions.Down {
		d.OK, d.Hopeless = true, false // whatever the job says
	} else if ctx.Err() != nil && u.stopTimeout > limit {
		d.Detail = join(d.Detail, fmt.Sprintf("the unit allows itself %v to stop (TimeoutStopSec), the step %v", u.stopTimeout, limit.Round(100*time.Millisecond)))
	}
	return d
}

// stopped: there is nothing to stop.
func (h *Hands) stopped(u *unit) actions.Done {
	d := h.judgeUnit(u)
	d.OK = d.State == actions.Down
	return d
}

// killUnit tells systemd first that it is to be down, so that it does not come
// back, and then kills what there is.
func (h *Hands) killUnit(ctx context.Context, name string, tell say) actions.Done {
	if u, err := h.units.unit(ctx, name); err == nil && u.load == "not-found" && !u.runs() && !u.moves() {
		return h.stopped(&u)
	}
	type end struct {
		result string
		err    error
	}
	ended := make(chan end, 1)
	queued := make(chan struct{})
	go func() {
		result, err := h.unitJobQueued(ctx, name, false, tell, queued)
		ended <- end{result, err}
	}()
	select {
	case <-queued:
	case <-ctx.Done():
	}
	tell("killing all processes of %s", name)
	killing := h.units.with(ctx, func(l *systemdLink) error {
		return l.KillUnitWithTarget(ctx, name, "all", 9)
	})
	e := <-ended
	h.resetFailed(ctx, name)
	d := h.outcomeOfJob(ctx, name, e.result, e.err)
	switch d.OK = d.State == actions.Down; {
	case d.OK:
		d.Hopeless, d.Detail = false, "killed: "+d.Detail
	case killing != nil:
		d.Detail = join(d.Detail, "kill: "+killing.Error())
	}
	return d
}

func (h *Hands) resetFailed(ctx context.Context, name string) {
	_ = h.units.with(ctx, func(l *systemdLink) error { return l.ResetFailedUnitContext(ctx, name) }) // nothing to reset is no harm
}

// outcomeOfJob reads the fact after a job. Its Detail says what went wrong, OK is
// for the caller to decide.
func (h *Hands) outcomeOfJob(ctx context.Context, name, result string, err error) actions.Done {
	if ctx.Err() != nil {
		var stop context.CancelFunc
		ctx, stop = aftermath(ctx)
		defer stop()
	}
	u, asking := h.units.unit(ctx, name)
	switch {
	case asking != nil && err != nil:
		return actions.Done{Detail: err.Error()}
	case asking != nil:
		return actions.Done{Detail: asking.Error()}
	}
	d := h.judgeUnit(&u)
	d.OK = false
	switch {
	case err != nil:
		d.Detail = join(err.Error(), d.Detail)
	case result != "done" && result != "":
		var why string
		why, d.Hopeless = jobResult(result, name)
		d.Detail = join(why, d.Detail)
	}
	return d
}

// jobResult explains the result of a job that is not "done" (JobRemoved in
// org.freedesktop.systemd1(5)) and says whether trying again is of no use.
func jobResult(result, name string) (why string, hopeless bool) {
	switch result {
	case "canceled":
		return "canceled: another job took its place (did somebody start or stop it by hand, or is the system stopping?)", false
	case "timeout":
		return "systemd's own time for it ran out (JobTimeoutSec, TimeoutStartSec)", false
	case "failed":
		return "failed: journalctl -u " + name, false
	case "dependency":
		return "a unit that it requires has failed: systemctl list-dependencies " + name, false
	case "skipped":
		return "skipped: the job does not apply to the state it is in", false
	case "assert":
		return "an assertion of the unit does not hold: systemctl status " + name, true
	case "unsupported":
		return "systemd does not support units of this type here", true
	default: // collected, once, and what is yet to come
		return fmt.Sprintf("the job ended with %q", result), false
	}
}
