package simlan

import (
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

const (
	// promoteRetry is the pause between two tries to take what another host still has.
	promoteRetry = 500 * time.Millisecond
	// letGo is how long hands that hang need to notice that they are to stop.
	letGo = 10 * time.Millisecond
)

// Deed is what becomes of a job that does not simply do what it should.
type Deed struct {
	// Fails says why it fails, empty if it does not. What fails to start, or is
	// looked at, is down, or, if Half, neither.
	Fails string
	// Half: it stays, or is found, half up.
	Half bool
	// Hopeless: to try again does not help.
	Hopeless bool
	// Blind: a look finds nothing out.
	Blind bool
	// Lies: a start or a stop says that all is well and does nothing.
	Lies bool
	// Hangs: it is not done before its timeout, unless it is canceled.
	Hangs bool
	// Refused: the hands do not want to, at once.
	Refused bool
}

// work is a job under way.
type work struct {
	group actions.GroupID
	job   uint64
}

// task is a job with what the hands know of it.
type task struct {
	actions.Job
	deed         Deed
	began        time.Duration
	lives        int
	brings, over bool
}

// hands are the loop's Agents.
type hands struct{ *Process }

// Do makes a job of a service group. Steps are names that are up on a host or
// not; they live on when the daemon dies, and end with the power.
func (p hands) Do(job actions.Job) {
	p.Witness.Asked(&job)
	t := &task{Job: job, began: p.lan().now, lives: p.Host.lives, brings: job.Verb == actions.Start}
	p.working[work{job.Group, job.Job}] = t
	d := p.lan().Opt.LookDelay
	switch job.Verb {
	case actions.Start, actions.Stop, actions.ForceStop, actions.Fence:
		d = p.lan().Opt.StepDelay
	}
	d = p.lan().Between(d/4, d)
	for i := range job.Fence {
		d += job.Fence[i].Delay
	}
	if p.Host.Acts != nil {
		t.deed = p.Host.Acts(&t.Job)
	}
	switch {
	case t.deed.Refused:
		t.brings, d = false, letGo
	case t.deed.Hangs:
		d = job.Timeout
	}
	if t.brings {
		p.Host.starting[job.Name]++
	}
	p.lan().After(d, func() { p.work(t) })
}

// Forget is nothing here: the hands leave nothing.
func (p hands) Forget(actions.Agent, string) {}

// Cancel ends a job early; it is answered all the same.
func (p hands) Cancel(group actions.GroupID, job uint64) {
	t := p.working[work{group, job}]
	if t == nil {
		return
	}
	p.working[work{group, job}] = nil
	if t.deed.Hangs {
		p.lan().After(letGo, func() { p.work(t) })
	}
}

// work ends a job, unless its host has lost power since.
func (p *Process) work(t *task) {
	h, k, job := p.Host, work{t.Group, t.Job.Job}, &t.Job
	if h.lives != t.lives || t.over {
		return
	}
	done := actions.Done{Group: job.Group, Job: job.Job, OK: true, Took: p.lan().now - t.began}
	canceled := p.working[k] == nil && !p.dead
	if job.Verb == actions.Start && !canceled && h.contended(job) && done.Took < job.Timeout-promoteRetry {
		p.lan().After(promoteRetry, func() { p.work(t) })
		return
	}
	t.over = true
	delete(p.working, k)
	if t.brings {
		h.starting[job.Name]--
	}
	deed := &t.deed
	if h.Breaks != nil && deed.Fails == "" {
		deed.Fails = h.Breaks(job)
	}
	switch {
	case canceled:
		done.OK, done.Canceled = false, true
		if job.Verb == actions.Start || job.Verb == actions.Stop {
			h.step(job, actions.Neither)
		}
	case deed.Refused:
		done.OK, done.Canceled = false, true
	case job.Verb == actions.Fence && deed.Fails == "" && !deed.Hangs:
		done.OK, done.Detail = h.fences(job)
	case job.Verb == actions.Reboot:
		if h.Reboots != nil {
			h.Reboots()
		}
		return
	case job.Verb == actions.Start && h.contended(job):
		done.OK, done.Detail = false, "another host still has it"
	case deed.Hangs:
		done.OK, done.Detail = false, "timed out"
		if job.Verb == actions.Start {
			h.step(job, actions.Neither)
		}
	case deed.Blind:
		done.OK, done.Detail = job.Verb != actions.Look && deed.Fails == "", deed.Fails
	case deed.Fails != "":
		p.fails(t, &done)
	case deed.Lies:
	case job.Verb == actions.Start:
		h.step(job, actions.Up)
	case job.Verb == actions.Stop || job.Verb == actions.ForceStop:
		h.step(job, actions.Down)
	}
	if done.State = h.Steps[job.Name]; done.State == actions.Unknown {
		done.State = actions.Down
	}
	if job.Verb == actions.Look && h.starting[job.Name] > 0 {
		done.State = actions.Neither // for a daemon that is no more
	}
	if deed.Lies && job.Verb == actions.Start {
		done.State = actions.Up
	}
	p.answer(done)
}

// fails is a job that does not do what it should, and says so.
func (p *Process) fails(t *task, done *actions.Done) {
	done.Detail, done.Hopeless = t.deed.Fails, t.deed.Hopeless
	done.OK = t.Verb == actions.Look
	to := actions.Down
	if t.deed.Half {
		to = actions.Neither
	}
	switch {
	case t.Verb == actions.Start, t.Verb == actions.Look && !t.deed.Half:
		p.Host.step(&t.Job, to)
	case t.Verb == actions.Stop && t.deed.Half:
		p.Host.step(&t.Job, actions.Neither)
	}
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

// Die ends a step by itself, as a process that crashes. It reports whether it was up.
func (h *Host) Die(name string) bool {
	if h.Steps[name] != actions.Up {
		return false
	}
	h.lan.Fault("%s: %s dies", h.Name, name)
	h.Steps[name] = actions.Down
	return true
}

// Has reports whether a step is up on the host, half up, or being brought up.
func (h *Host) Has(name string) bool {
	s := h.Steps[name]
	return s == actions.Up || s == actions.Neither || h.starting[name] > 0
}

// contended reports whether a step with exclusive data is not down on another
// host that can be heard: replicated storage knows, and refuses.
func (h *Host) contended(job *actions.Job) bool {
	if job.Agent == nil || !job.Agent.Exclusive() || h.lan.Opt.Ignorant {
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
