package agent

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/run"
)

// grace is what a job gets beyond its timeout, in which whatever it runs is
// ended: TERM, KILL, and the wait for both.
const grace = 6 * time.Second

// say tells what a long job waits for.
type say func(format string, args ...any)

// Hands carry out jobs in the background.
type Hands struct {
	post   func(any)
	runner *run.Runner

	mu      sync.Mutex
	closed  bool
	running map[jobKey]context.CancelCauseFunc
	// last is the job before on a step: the next one waits for its end.
	last map[stepKey]<-chan struct{}
	all  sync.WaitGroup
}

type jobKey struct {
	group actions.GroupID
	job   uint64
}

type stepKey struct {
	group actions.GroupID
	step  int
}

// errCanceled is the cause of a job ended by Cancel, errLeaving of one ended by Close.
var (
	errCanceled = fmt.Errorf("no longer wanted")
	errLeaving  = fmt.Errorf("the daemon is leaving")
)

// New returns Hands that answer every job with one actions.Done, given to post
// from a goroutine of theirs, and tell of long ones with actions.Progress. post
// may wait for its reader, but not for ever. Commands run by runner.
func New(post func(any), runner *run.Runner) *Hands {
	return &Hands{post: post, runner: runner, running: map[jobKey]context.CancelCauseFunc{}, last: map[stepKey]<-chan struct{}{}}
}

// Do accepts a job and returns at once; it may be called from any goroutine.
func (h *Hands) Do(job actions.Job) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		go h.post(actions.Done{Group: job.Group, Job: job.Job, Canceled: true, Detail: errLeaving.Error()}) // the caller is who reads the posts
		return
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	key, step := jobKey{job.Group, job.Job}, stepKey{job.Group, job.Step}
	before, ended := h.last[step], make(chan struct{})
	h.running[key], h.last[step] = cancel, ended
	h.all.Add(1)
	go h.work(ctx, cancel, job, before, ended)
}

// Cancel ends a job early; its Done says so. A job that has ended is not concerned.
func (h *Hands) Cancel(group actions.GroupID, job uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if cancel := h.running[jobKey{group, job}]; cancel != nil {
		cancel(errCanceled)
	}
}

// Close takes no new jobs, lets those that run end until ctx does, then ends
// them, and returns when all have been answered.
func (h *Hands) Close(ctx context.Context) {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		h.all.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	h.mu.Lock()
	for _, cancel := range h.running {
		cancel(errLeaving)
	}
	h.mu.Unlock()
	<-ended
}

// work makes one job, after the one before on its step has ended.
func (h *Hands) work(ctx context.Context, cancel context.CancelCauseFunc, job actions.Job, before <-chan struct{}, ended chan struct{}) {
	defer h.all.Done()
	defer cancel(nil)
	if before != nil {
		<-before // bounded: its own timeout and grace
	}
	began := time.Now()
	timed, stop := context.WithTimeout(ctx, job.Timeout)
	done := h.guarded(timed, &job)
	stop()
	done.Group, done.Job, done.Took = job.Group, job.Job, time.Since(began)
	if cause := context.Cause(ctx); cause != nil && !done.OK {
		done.Canceled, done.Detail = true, cause.Error()
	}
	done.Detail = phrase(done.Detail)
	h.mu.Lock()
	delete(h.running, jobKey{job.Group, job.Job})
	if key := (stepKey{job.Group, job.Step}); h.last[key] == ended {
		delete(h.last, key)
	}
	h.mu.Unlock()
	close(ended)
	h.post(done)
}

// guarded keeps a programming error in an agent from ending the daemon.
func (h *Hands) guarded(ctx context.Context, job *actions.Job) (done actions.Done) {
	defer func() {
		if v := recover(); v != nil {
			done = actions.Done{Detail: fmt.Sprintf("internal error: %v", v)}
		}
	}()
	tell := func(format string, args ...any) {
		h.post(actions.Progress{Group: job.Group, Job: job.Job, Text: phrase(fmt.Sprintf(format, args...))})
	}
	return h.carryOut(ctx, job, tell)
}

// carryOut is the table of the kinds.
func (h *Hands) carryOut(ctx context.Context, job *actions.Job, tell say) actions.Done {
	switch job.Verb {
	case actions.Fence:
		return h.fence(ctx, job, tell)
	case actions.Reboot:
		return h.reboot(ctx, job)
	}
	switch a := job.Agent.(type) {
	case actions.Systemd:
		return h.systemd(ctx, job, a, tell)
	case actions.LSB:
		return h.lsb(ctx, job, a, tell)
	case actions.OCF:
		return h.ocf(ctx, job, a, tell)
	case actions.Command:
		return h.command(ctx, job, a, tell)
	case actions.DRBD:
		return h.drbd(ctx, job, a, tell)
	case actions.Filesystem:
		return h.filesystem(ctx, job, a, tell)
	case actions.PostgreSQL:
		return h.postgresql(ctx, job, a, tell)
	case actions.Redis:
		return h.redis(ctx, job, a, tell)
	case actions.AddressStep:
		return h.address(ctx, job, a, tell)
	case actions.RouteStep:
		return h.route(ctx, job, a, tell)
	default:
		return actions.Done{Hopeless: true, Detail: fmt.Sprintf("no agent for %T", a)}
	}
}

// detailSize bounds a Detail, in bytes.
const detailSize = 300

// phrase makes one line of bounded length of a text.
func phrase(s string) string {
	s = strings.Join(strings.FieldsFunc(s, func(r rune) bool { return r < ' ' }), " ")
	if len(s) > detailSize {
		s = strings.ToValidUTF8(s[:detailSize], "") + "…"
	}
	return s
}
