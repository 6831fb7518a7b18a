package run

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
)

const (
	// atOnce bounds the commands that run at the same time: a host with
	// thousands of routers must survive the moment in which all of them change
	// state. keepalived has no bound and falls behind at 255 (acassen/keepalived#2519).
	atOnce = 64
	// defaultTimeout bounds a job whose specification has no timeout.
	defaultTimeout = 10 * time.Second
	// patience is the time from TERM to KILL, and from KILL to giving up on a
	// process that cannot be killed.
	patience = 2 * time.Second
	// holdout is how long a process that left the group but kept our pipe may
	// delay the answer after the command itself has ended.
	holdout = 500 * time.Millisecond
	// parting is the same for a command that may leave a daemon behind, which
	// keeps our pipe as a rule. Pacemaker's executor does not wait at all, but reads
	// what is there.
	parting = 100 * time.Millisecond
)

// Runner runs jobs in the background, 64 at a time; more wait in the order in
// which they came. That the hooks of one router are in order is the Mailbox's doing.
type Runner struct {
	post func(any)

	// What tests replace.
	verify            func(path string, a account) error
	signal            func(group int, s unix.Signal) error
	patience, holdout time.Duration
	slots             int

	stop    chan struct{} // closed once, when running commands must end
	once    sync.Once
	workers sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	busy    int
	waiting []actions.HookJob
}

// New returns a Runner that answers every job with one actions.HookDone, given
// to post from a goroutine of the Runner's. post may wait for its reader, but
// must not do so for ever: Close waits for it.
func New(post func(any)) *Runner {
	return &Runner{post: post, verify: verifyFor, signal: signalGroup,
		patience: patience, holdout: holdout, slots: atOnce, stop: make(chan struct{})}
}

// Run accepts a job and returns at once. After Close the answer is that it was
// not started. A job without a timeout gets one of 10 s.
func (r *Runner) Run(job actions.HookJob) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		go r.post(notStarted(job)) // not from here: the caller is who reads the posts
	case r.busy >= r.slots:
		r.waiting = append(r.waiting, job)
	default:
		r.busy++
		r.workers.Add(1)
		go r.work(job)
	}
}

// Close takes no new jobs and lets those that were accepted end until ctx does.
// Then running commands get TERM and 2 s later KILL, and those that wait are
// answered as not started. It returns when every job has been answered, which
// takes at most some 5 s from the end of ctx.
func (r *Runner) Close(ctx context.Context) {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		r.workers.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		r.once.Do(func() { close(r.stop) })
		<-ended
	}
}

// work runs a job and then those that wait, until none does.
func (r *Runner) work(job actions.HookJob) {
	defer r.workers.Done()
	for more := true; more; job, more = r.next() {
		select {
		case <-r.stop:
			r.post(notStarted(job))
		default:
			r.post(r.do(job))
		}
	}
}

func (r *Runner) next() (actions.HookJob, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.waiting) == 0 {
		r.waiting = nil
		r.busy--
		return actions.HookJob{}, false
	}
	job := r.waiting[0]
	r.waiting[0] = actions.HookJob{}
	r.waiting = r.waiting[1:]
	return job, true
}

func notStarted(job actions.HookJob) actions.HookDone {
	return actions.HookDone{Router: job.Router, Job: job.Job, Exit: -1, Err: "not started: the daemon is leaving"}
}
