package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/run"
)

// grace is what a job gets beyond its timeout, in which whatever it runs is
// ended: TERM, KILL, and the wait for both (2 s each, actions/run). Whoever takes
// longer is stuck: the job is answered without it.
const grace = 6 * time.Second

// runtimeDir is Hands.Runtime unless changed.
const runtimeDir = "/run/backbeat"

// someTimeout bounds a job that brings no timeout.
const someTimeout = time.Minute

// say tells what a long job waits for.
type say func(format string, args ...any)

// Hands carry out jobs in the background: one goroutine for each job, one job at
// a time on each step.
type Hands struct {
	// Runtime is a directory for what must be gone after a reboot: the state of
	// steps that cannot be asked, the stand-ins for Pacemaker's commands. Set before the
	// first job; /run/backbeat unless changed.
	Runtime string
	// RebootHost carries out actions.Reboot; nil refuses. The wiring of the real
	// daemon gives it the function Reboot, so that no test reboots a machine by accident.
	RebootHost func(ctx context.Context) error

	post    func(any)
	runner  *run.Runner
	units   *systemdBus
	catalog *Catalog
	// other carries out agents that are none of ours, in tests.
	other func(ctx context.Context, job *actions.Job, tell say) actions.Done

	mu      sync.Mutex
	closed  bool
	running map[jobKey]context.CancelCauseFunc
	// last is the job before on a step: the next one waits for its end.
	last map[stepKey]<-chan struct{}
	// all counts the jobs that have not been answered.
	all sync.WaitGroup
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
	errCanceled = errors.New("no longer wanted")
	errLeaving  = errors.New("the daemon is leaving")
)

// New returns Hands that answer every job with one actions.Done, given to post
// from a goroutine of theirs, and tell of long ones with actions.Progress. post
// may wait for its reader, but not for ever. Commands run by runner, which is to be
// closed after the Hands.
func New(post func(any), runner *run.Runner) *Hands {
	return &Hands{
		Runtime: runtimeDir,
		post:    post, runner: runner, units: newSystemdBus(), catalog: NewCatalog(runner),
		running: map[jobKey]context.CancelCauseFunc{}, last: map[stepKey]<-chan struct{}{},
	}
}

// Do accepts a job and returns at once; it may be called from any goroutine.
func (h *Hands) Do(job actions.Job) {
	h.mu.Lock()
	defer h.mu.Unlock()
	key, step := jobKey{job.Group, job.Job}, stepKey{job.Group, job.Step}
	switch {
	case h.closed:
		go h.post(actions.Done{Group: job.Group, Job: job.Job, Canceled: true, Detail: errLeaving.Error()}) // the caller is who reads the posts
		return
	case h.running[key] != nil:
		go h.post(actions.Done{Group: job.Group, Job: job.Job, Detail: "internal error: a job of this number is under way"})
		return
	}
	ctx, cancel := context.WithCancelCause(context.Background())
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
	case <-ctx.Done():
		h.mu.Lock()
		for _, cancel := range h.running {
			cancel(errLeaving)
		}
		h.mu.Unlock()
		<-ended
	}
	h.units.close()
}

// Release undoes what an agent has left for its step where a group is removed for
// good: the drop-in of a systemd unit, the control group, what was remembered. The
// step itself must be down. It is not called when the daemon leaves: the next one
// will want them, and all of it is gone after a reboot. name is Job.Name.
func (h *Hands) Release(ctx context.Context, a actions.Agent, name string) error {
	job := &actions.Job{Name: name}
	if group, err := h.cgroup(job); err == nil {
		group.Remove()
	}
	_ = os.Remove(h.memory(job))
	_ = os.Remove(h.scoreFile(job))
	if s, ok := a.(actions.Systemd); ok {
		return h.units.disown(ctx, s.Unit)
	}
	return nil
}

// work makes one job, after the one before on its step has ended, and answers it.
// ended is closed when nothing of the job is under way any more, which may be long
// after the answer if it is stuck in the kernel.
func (h *Hands) work(ctx context.Context, cancel context.CancelCauseFunc, job actions.Job, before <-chan struct{}, ended chan struct{}) {
	defer h.all.Done()
	defer cancel(nil)
	began := time.Now()
	timed, stop := context.WithTimeout(ctx, timeoutOf(&job))
	defer stop()
	a := &answer{h: h, job: &job}
	begun, result := make(chan struct{}), make(chan actions.Done, 1)
	go func() {
		defer h.endOf(stepKey{job.Group, job.Step}, ended)
		if before != nil {
			<-before
		}
		if timed.Err() == nil {
			close(begun)
			result <- h.guarded(timed, &job, a.tell)
		}
	}()
	done := await(timed, begun, result)
	done.Group, done.Job, done.Took = job.Group, job.Job, time.Since(began)
	if cause := context.Cause(ctx); cause != nil && !done.OK {
		done.Canceled, done.Detail = true, cause.Error()
	}
	done.Detail, done.Output = phrase(done.Detail), clip(done.Output, outputSize)
	h.mu.Lock()
	delete(h.running, jobKey{job.Group, job.Job})
	h.mu.Unlock()
	a.give(done)
}

// timeoutOf is a job's own, or one that makes sense.
func timeoutOf(job *actions.Job) time.Duration {
	if job.Timeout > 0 {
		return job.Timeout
	}
	return someTimeout
}

// await waits for what becomes of a job: as long as it may take, and, once it has
// begun, for the grace in which it is to end after that.
func await(timed context.Context, begun <-chan struct{}, result <-chan actions.Done) actions.Done {
	select {
	case d := <-result:
		return d
	case <-timed.Done():
	}
	select {
	case <-begun:
	default:
		return actions.Done{Detail: "not begun: the job before on this step does not end (is a process stuck in the kernel? ps shows D)"}
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case d := <-result:
		return d
	case <-timer.C:
		return actions.Done{Detail: "timed out and does not end: is a process stuck in the kernel (ps shows D)?"}
	}
}

// endOf lets the next job of a step begin.
func (h *Hands) endOf(key stepKey, ended chan struct{}) {
	h.mu.Lock()
	if h.last[key] == ended {
		delete(h.last, key)
	}
	h.mu.Unlock()
	close(ended)
}

// answer sees to it that a job is answered once, and that nothing is told of it after that.
type answer struct {
	h   *Hands
	job *actions.Job

	mu    sync.Mutex
	given bool
	last  string
}

// tell posts a Progress, if it is news.
func (a *answer) tell(format string, args ...any) {
	text := phrase(fmt.Sprintf(format, args...))
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.given && text != a.last {
		a.last = text
		a.h.post(actions.Progress{Group: a.job.Group, Job: a.job.Job, Text: text})
	}
}

func (a *answer) give(done actions.Done) {
	a.mu.Lock()
	a.given = true
	a.mu.Unlock()
	a.h.post(done)
}

// guarded keeps a programming error in an agent from ending the daemon.
func (h *Hands) guarded(ctx context.Context, job *actions.Job, tell say) (done actions.Done) {
	defer func() {
		if v := recover(); v != nil {
			done = actions.Done{Detail: fmt.Sprintf("internal error: %v", v), Output: string(debug.Stack())}
		}
	}()
	return h.carryOut(ctx, job, tell)
}

// carryOut is the table of the kinds.
func (h *Hands) carryOut(ctx context.Context, job *actions.Job, tell say) actions.Done {
	switch {
	case job.Verb == actions.Fence:
		return h.fence(ctx, job, tell)
	case job.Verb == actions.Reboot:
		return h.reboot(ctx)
	case job.Verb == actions.Qualify && job.Step < 0:
		return h.askFence(ctx, job)
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
		if h.other != nil {
			return h.other(ctx, job, tell)
		}
		return actions.Done{Hopeless: true, Detail: fmt.Sprintf("no agent for %T", a)}
	}
}

const (
	// detailSize bounds a Detail, outputSize an Output, in bytes.
	detailSize = 300
	outputSize = 4 << 10
)

// phrase makes one line of bounded length of a text.
func phrase(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	s = strings.Join(strings.FieldsFunc(s, unicode.IsControl), " ")
	if short := clip(s, detailSize); len(short) < len(s) {
		return short + "…"
	}
	return s
}

// clip shortens a text to at most n bytes, at the end of a character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
