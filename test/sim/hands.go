package sim

import (
	"log/slog"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
)

// Announce writes down what the neighbours would be told and answers.
func (p *process) Announce(a actions.Announcement) {
	p.lan().watch.announced(p, &a, true)
	var list []netip.Addr
	for _, t := range a.Targets {
		list = append(list, t.Addresses...)
	}
	what := "announces"
	if a.Once {
		what = "repeats"
	}
	p.lan().note(p.host, "%s %v", what, list)
	if a.Once {
		return
	}
	p.schedules[a.Router] = &a
	p.lan().After(time.Millisecond, func() {
		p.post(actions.Announced{Router: a.Router, Term: a.Term, ARP: len(list), Took: time.Millisecond})
	})
	p.round(&a, 1)
}

// round plans the next round of a schedule: the repeats, then the refreshes.
func (p *process) round(a *actions.Announcement, n int) {
	d := a.Schedule.Delay
	if n > a.Schedule.Repeat {
		d = a.Schedule.Refresh
	}
	if d > 0 {
		p.lan().After(max(d, p.host.resumeAt-p.lan().now), func() {
			if !p.dead && p.schedules[a.Router] == a && !p.host.stalled() {
				p.lan().watch.announced(p, a, false)
				p.round(a, n+1)
			}
		})
	}
}

// Cancel ends a schedule.
func (p *process) Cancel(r actions.RouterID) { delete(p.schedules, r) }

// Advertise begins Router Advertisements, which are not simulated beyond that.
func (p *process) Advertise(a actions.RouterAdvert) {
	p.advertised[a.Router] = p.lan().watch.advertises(p, &a)
	p.lan().note(p.host, "router advertisements from %s", a.Source)
}

// Withdraw ends them.
func (p *process) Withdraw(r actions.RouterID) { delete(p.advertised, r) }

// Run runs a hook for some time, with an end that chance decides.
func (p *process) Run(job actions.HookJob) {
	p.lan().watch.hook(p, job)
	p.lan().note(p.host, "hook %s: %s %s", job.Spec.Name, variable(job, "BACKBEAT_ROUTER"), variable(job, "BACKBEAT_ON"))
	done := actions.HookDone{Router: job.Router, Job: job.Job}
	d := p.lan().opt.HookDelay
	done.Took = p.lan().between(d/4, d)
	if p.lan().chance(p.lan().opt.HookFailures) {
		done.Exit, done.Err = 3, "exit status 3"
		p.count.failures++
	}
	p.lan().After(done.Took, func() { p.hookDone(done) })
}

func (p *process) hookDone(done actions.HookDone) {
	if p.host.stalled() {
		p.lan().queue.push(p.host.resumeAt, func() { p.hookDone(done) })
		return
	}
	p.post(done)
}

// variable returns one of the documented variables of a job.
func variable(job actions.HookJob, name string) string {
	for _, e := range job.Env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

func termOf(job actions.HookJob) uint64 {
	n, err := strconv.ParseUint(variable(job, "BACKBEAT_TERM"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

// Log counts the lines for people and keeps them in the transcript.
func (p *process) Log(l daemon.Line) {
	if l.Level < slog.LevelInfo {
		return
	}
	p.count.lines++
	p.leaving = p.leaving || strings.HasPrefix(l.Text, "stopping: ")
	p.lan().note(p.host, "%s", l.Text)
}

// Transition is judged by the observer.
func (p *process) Transition(t daemon.Transition) { p.lan().watch.transition(p, t) }
