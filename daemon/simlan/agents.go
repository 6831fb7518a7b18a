package simlan

import (
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// promoteRetry is the pause between two tries to take what another host still has.
const promoteRetry = 500 * time.Millisecond

// work is a job under way.
type work struct {
	group actions.GroupID
	job   uint64
}

// hands are the loop's Agents.
type hands struct{ *Process }

// Do makes a job of a service group. Steps are names that are up on a host or
// not; they live on when the daemon dies, and end with the power.
func (p hands) Do(job actions.Job) {
	p.working[work{job.Group, job.Job}] = true
	d := p.lan().Opt.LookDelay
	switch job.Verb {
	case actions.Start, actions.Stop, actions.ForceStop, actions.Fence:
		d = p.lan().Opt.StepDelay
	}
	d = p.lan().Between(d/4, d)
	for i := range job.Fence {
		d += job.Fence[i].Delay
	}
	began, lives := p.lan().now, p.Host.lives
	p.lan().After(d, func() { p.work(&job, began, lives) })
}

// Forget is nothing here: the hands leave nothing.
func (p hands) Forget(actions.Agent, string) {}

// Cancel ends a job early; it is answered all the same.
func (p hands) Cancel(group actions.GroupID, job uint64) {
	if k := (work{group, job}); p.working[k] {
		p.working[k] = false
	}
}

// work ends a job, unless its host has lost power since.
func (p *Process) work(job *actions.Job, began time.Duration, lives int) {
	h, k := p.Host, work{job.Group, job.Job}
	if h.lives != lives {
		return
	}
	done := actions.Done{Group: job.Group, Job: job.Job, OK: true, Took: p.lan().now - began}
	canceled := !p.working[k] && !p.dead
	if job.Verb == actions.Start && !canceled && h.contended(job) && done.Took < job.Timeout-promoteRetry {
		p.lan().After(promoteRetry, func() { p.work(job, began, lives) })
		return
	}
	delete(p.working, k)
	why := ""
	if h.Breaks != nil {
		why = h.Breaks(job)
	}
	switch {
	case canceled:
		done.OK, done.Canceled = false, true
		if job.Verb == actions.Start || job.Verb == actions.Stop {
			h.step(job, actions.Neither)
		}
	case job.Verb == actions.Fence:
		done.OK, done.Detail = h.fences(job)
	case job.Verb == actions.Reboot:
		if h.Reboots != nil {
			h.Reboots()
		}
		return
	case job.Verb == actions.Start && h.contended(job):
		done.OK, done.Detail = false, "another host still has it"
	case why != "":
		done.Detail = why
		if done.OK = job.Verb == actions.Look; done.OK || job.Verb == actions.Start {
			h.step(job, actions.Down)
		}
	case job.Verb == actions.Start:
		h.step(job, actions.Up)
	case job.Verb == actions.Stop || job.Verb == actions.ForceStop:
		h.step(job, actions.Down)
	}
	if done.State = h.Steps[job.Name]; done.State == actions.Unknown {
		done.State = actions.Down
	}
	p.answer(done)
}

func (p *Process) answer(done actions.Done) {
	switch {
	case p.dead:
	case p.Host.Stalled():
		p.lan().At(p.Host.ResumeAt, func() { p.answer(done) })
	default:
		p.Post(done)
	}
}

// step notes what a step is now.
func (h *Host) step(job *actions.Job, s actions.State) {
	if h.Steps[job.Name] == s {
		return
	}
	h.Steps[job.Name] = s
	if f := h.lan.Opt.Stepped; f != nil {
		f(h, job)
	}
}

// contended reports whether a step with exclusive data is not down on another
// host that can be heard: replicated storage knows, and refuses.
func (h *Host) contended(job *actions.Job) bool {
	if job.Agent == nil || !job.Agent.Exclusive() {
		return false
	}
	for _, o := range h.lan.hosts {
		if s := o.Steps[job.Name]; o != h && !o.off && (s == actions.Up || s == actions.Neither) && h.lan.hear(h, o) {
			return true
		}
	}
	return false
}

// hear reports whether two hosts reach each other on any link, both ways.
func (n *LAN) hear(a, b *Host) bool {
	for link := range n.links {
		if a.nics[link].Wired() && b.nics[link].Wired() && n.Together(link, a, b) && !n.cut[cut{link, a.ID, b.ID}] && !n.cut[cut{link, b.ID, a.ID}] {
			return true
		}
	}
	return false
}

func (h *Host) fences(job *actions.Job) (ok bool, detail string) {
	if h.Shoots == nil {
		return false, "there is nothing to fence with in this simulation"
	}
	return h.Shoots(job)
}
