package simlan

import (
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/daemon"
)

// Announce writes down what the neighbours would be told and answers.
func (p *Process) Announce(a actions.Announcement) {
	p.Witness.Announced(&a, true)
	var list []netip.Addr
	for _, t := range a.Targets {
		list = append(list, t.Addresses...)
	}
	what := "announces"
	if a.Once {
		what = "repeats"
	}
	p.lan().Note(p.Host, "%s %v", what, list)
	if a.Once {
		return
	}
	p.schedules[a.Router] = &a
	p.lan().After(time.Millisecond, func() {
		p.Post(actions.Announced{Router: a.Router, Term: a.Term, ARP: len(list), Took: time.Millisecond})
	})
	p.round(&a, 1)
}

// round plans the next round of a schedule: the repeats, then the refreshes.
func (p *Process) round(a *actions.Announcement, n int) {
	d := a.Schedule.Delay
	if n > a.Schedule.Repeat {
		d = a.Schedule.Refresh
	}
	if d > 0 {
		p.lan().After(max(d, p.Host.ResumeAt-p.lan().now), func() {
			if !p.dead && p.schedules[a.Router] == a && !p.Host.Stalled() {
				p.Witness.Announced(a, false)
				p.round(a, n+1)
			}
		})
	}
}

// Cancel ends a schedule.
func (p *Process) Cancel(r actions.RouterID) { delete(p.schedules, r) }

// Advertise begins Router Advertisements, which are not simulated beyond that.
func (p *Process) Advertise(a actions.RouterAdvert) {
	p.Witness.Advertised(&a)
	p.lan().Note(p.Host, "router advertisements from %s", a.Source)
}

// Withdraw ends them.
func (p *Process) Withdraw(r actions.RouterID) { p.Witness.Withdrawn(r) }

// Run runs a hook for some time, with an end that chance decides.
func (p *Process) Run(job actions.HookJob) {
	p.Witness.Hooked(job)
	p.lan().Note(p.Host, "hook %s: %s %s", job.Spec.Name, Variable(job, "BACKBEAT_ROUTER"), Variable(job, "BACKBEAT_ON"))
	done := actions.HookDone{Router: job.Router, Job: job.Job}
	d := p.lan().Opt.HookDelay
	done.Took = p.lan().Between(d/4, d)
	if p.lan().Chance(p.lan().Opt.HookFailures) {
		done.Exit, done.Err = 3, "exit status 3"
		p.Witness.HookFailed(job)
	}
	p.lan().After(done.Took, func() { p.hookDone(done) })
}

func (p *Process) hookDone(done actions.HookDone) {
	if p.Host.Stalled() {
		p.lan().At(p.Host.ResumeAt, func() { p.hookDone(done) })
		return
	}
	p.Post(done)
}

// Variable returns one of the documented variables of a hook's job.
func Variable(job actions.HookJob, name string) string {
	for _, e := range job.Env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

// Probe makes one run of a check: it takes some time, and finds what is then.
func (p *Process) Probe(job checks.Job) {
	most := job.Timeout / 2
	if f := p.lan().Opt.ProbeDelay; f != nil {
		most = f(&job)
	}
	d := p.lan().Between(0, most)
	p.lan().After(d, func() { p.probed(&job, d) })
}

func (p *Process) probed(job *checks.Job, d time.Duration) {
	switch {
	case p.dead:
	case p.Host.Stalled():
		p.lan().At(p.Host.ResumeAt, func() { p.probed(job, d) })
	default:
		var found checks.Result
		if p.Host.Finds != nil {
			found = p.Host.Finds(job)
		}
		found.Took = d
		p.Post(checks.Done{Check: job.Check, Run: job.Run, Result: found})
	}
}

// Log passes the lines for people on and keeps them in the transcript.
func (p *Process) Log(l daemon.Line) {
	if l.Level < slog.LevelInfo {
		return
	}
	p.Witness.Logged(l)
	p.lan().Note(p.Host, "%s", l.Text)
}

// Transition passes the history on.
func (p *Process) Transition(t daemon.Transition) {
	p.Host.remember(t)
	p.Witness.Transition(t)
}
