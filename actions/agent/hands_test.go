package agent

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/run"
)

// pool is Hands with agents of the test's own, in the virtual time of synctest.
type pool struct {
	*Hands
	mu       sync.Mutex
	answers  map[uint64][]actions.Done
	progress []actions.Progress
}

// stand is an agent whose work is a function: only for tests of the pool.
type stand struct {
	work func(ctx context.Context, tell say) actions.Done
}

func (stand) Kind() string    { return "stand" }
func (stand) Exclusive() bool { return false }

func newPool() *pool {
	p := &pool{answers: map[uint64][]actions.Done{}}
	p.Hands = New(func(v any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch v := v.(type) {
		case actions.Done:
			p.answers[v.Job] = append(p.answers[v.Job], v)
		case actions.Progress:
			p.progress = append(p.progress, v)
		}
	}, run.New(func(any) {}))
	p.other = func(ctx context.Context, job *actions.Job, tell say) actions.Done {
		return job.Agent.(stand).work(ctx, tell)
	}
	return p
}

// give gives out a job for a step.
func (p *pool) give(job uint64, step int, timeout time.Duration, work func(ctx context.Context, tell say) actions.Done) {
	p.Do(actions.Job{Group: 1, Job: job, Step: step, Agent: stand{work}, Timeout: timeout})
}

// only returns the answer to a job, of which there is one.
func (p *pool) only(t *testing.T, job uint64) actions.Done {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.answers[job]) != 1 {
		t.Fatalf("job %d was answered %d times", job, len(p.answers[job]))
	}
	return p.answers[job][0]
}

func (p *pool) answered(job uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.answers[job]) > 0
}

func good(context.Context, say) actions.Done { return actions.Done{OK: true, State: actions.Up} }

// obedient waits for the end of its context.
func obedient(ctx context.Context, _ say) actions.Done {
	<-ctx.Done()
	return actions.Done{Detail: "ended: " + context.Cause(ctx).Error()}
}

func TestEveryJobIsAnsweredOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool()
		p.give(1, 0, time.Second, good)
		p.give(2, 1, time.Second, obedient)
		p.give(3, 2, time.Second, func(context.Context, say) actions.Done { panic("oh") })
		p.give(4, 3, 0, good) // no timeout is not one of zero
		p.give(5, 4, time.Second, func(_ context.Context, tell say) actions.Done {
			tell("line one\nline %d", 2)
			tell("line one\nline %d", 2)
			return actions.Done{OK: true, Detail: strings.Repeat("é", 1000) + "\n"}
		})
		synctest.Wait()
		if d := p.only(t, 1); !d.OK || d.State != actions.Up || d.Group != 1 {
			t.Errorf("%+v", d)
		}
		if d := p.only(t, 3); d.OK || d.Detail != "internal error: oh" || !strings.Contains(d.Output, "hands_test.go") {
			t.Errorf("%+v", d)
		}
		if d := p.only(t, 4); !d.OK {
			t.Errorf("%+v", d)
		}
		if d := p.only(t, 5); len(d.Detail) > detailSize+3 || !strings.HasSuffix(d.Detail, "é…") {
			t.Errorf("%+v", d)
		}
		if len(p.progress) != 1 || p.progress[0].Text != "line one line 2" || p.progress[0].Job != 5 {
			t.Errorf("progress %+v", p.progress)
		}
		<-time.After(time.Second)
		synctest.Wait()
		if d := p.only(t, 2); d.OK || d.Canceled || d.Took != time.Second {
			t.Errorf("%+v", d)
		}
		p.Close(context.Background())
		p.give(6, 0, time.Second, good)
		synctest.Wait()
		if d := p.only(t, 6); !d.Canceled || d.Detail != "the daemon is leaving" {
			t.Errorf("%+v", d)
		}
	})
}

func TestJobsOfOneStepNeverOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool()
		var mu sync.Mutex
		busy, order := map[int]bool{}, ""
		work := func(job uint64, step int) func(context.Context, say) actions.Done {
			return func(context.Context, say) actions.Done {
				mu.Lock()
				if busy[step] {
					t.Errorf("two jobs of step %d at once", step)
				}
				busy[step] = true
				order += fmt.Sprint(job, " ")
				mu.Unlock()
				<-time.After(time.Second)
				mu.Lock()
				busy[step] = false
				mu.Unlock()
				return actions.Done{OK: true}
			}
		}
		began := time.Now()
		for j := range uint64(6) {
			p.give(j+1, int(j%2), time.Minute, work(j+1, int(j%2)))
			synctest.Wait()
		}
		p.Close(context.Background())
		if took := time.Since(began); took != 3*time.Second {
			t.Errorf("took %v: steps wait for each other, or not for themselves", took)
		}
		for j := range uint64(6) {
			if d := p.only(t, j+1); !d.OK {
				t.Errorf("%+v", d)
			}
		}
		if order[:4] != "1 2 " || len(p.last) != 0 || len(p.running) != 0 {
			t.Errorf("order %s, %d and %d left behind", order, len(p.last), len(p.running))
		}
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool()
		p.give(1, 0, time.Minute, obedient)
		p.give(2, 0, time.Minute, good) // waits
		p.give(3, 0, time.Minute, good)
		p.Cancel(1, 2)
		p.Cancel(1, 99) // nobody
		p.Cancel(7, 1)
		synctest.Wait()
		if d := p.only(t, 2); !d.Canceled || d.Detail != "no longer wanted" {
			t.Errorf("a job that waits is answered at once: %+v", d)
		}
		if p.answered(1) || p.answered(3) {
			t.Error("the wrong job was canceled")
		}
		p.Cancel(1, 1)
		synctest.Wait()
		if d := p.only(t, 1); !d.Canceled || d.OK || d.Detail != "no longer wanted" {
			t.Errorf("%+v", d)
		}
		if d := p.only(t, 3); !d.OK {
			t.Errorf("%+v", d)
		}
		// What was done before the Cancel came is done.
		p.give(4, 0, time.Minute, func(ctx context.Context, _ say) actions.Done {
			<-ctx.Done()
			return actions.Done{OK: true, State: actions.Up}
		})
		synctest.Wait()
		p.Cancel(1, 4)
		synctest.Wait()
		if d := p.only(t, 4); !d.OK || d.Canceled {
			t.Errorf("%+v", d)
		}
		p.Close(context.Background())
	})
}

// An agent that does not end is answered for, its step is not touched again until
// it has, and every job that waits for it is answered all the same.
func TestStuckAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool()
		release := make(chan struct{})
		stuck := func(_ context.Context, tell say) actions.Done {
			<-release
			tell("too late to tell")
			return actions.Done{OK: true}
		}
		p.give(1, 0, time.Second, stuck)
		p.give(2, 0, 10*time.Second, good)
		<-time.After(time.Second + grace)
		synctest.Wait()
		if d := p.only(t, 1); d.OK || !strings.Contains(d.Detail, "does not end") || d.Took != time.Second+grace {
			t.Errorf("%+v", d)
		}
		if p.answered(2) {
			t.Error("a job overlaps with one that is stuck")
		}
		<-time.After(10 * time.Second)
		synctest.Wait()
		if d := p.only(t, 2); d.OK || !strings.Contains(d.Detail, "not begun") {
			t.Errorf("%+v", d)
		}
		p.give(3, 0, time.Minute, good)
		synctest.Wait()
		close(release)
		synctest.Wait()
		if d := p.only(t, 3); !d.OK {
			t.Errorf("%+v", d)
		}
		if p.only(t, 1); len(p.progress) != 0 {
			t.Errorf("told after the answer: %+v", p.progress)
		}
		p.Close(context.Background())
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool()
		p.give(1, 0, time.Hour, func(ctx context.Context, _ say) actions.Done {
			<-time.After(3 * time.Second)
			return actions.Done{OK: true}
		})
		p.give(2, 1, time.Hour, obedient)
		p.give(3, 1, time.Hour, good)
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		began := time.Now()
		p.Close(ctx)
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("took %v", took)
		}
		if d := p.only(t, 1); !d.OK {
			t.Errorf("a job that ends in time is let end: %+v", d)
		}
		for _, j := range []uint64{2, 3} {
			if d := p.only(t, j); !d.Canceled || d.Detail != "the daemon is leaving" {
				t.Errorf("%+v", d)
			}
		}
	})
}

func TestNumberUsedTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool()
		p.give(1, 0, time.Second, obedient)
		p.give(1, 1, time.Second, good)
		synctest.Wait()
		if d := p.only(t, 1); d.OK || !strings.Contains(d.Detail, "internal error") {
			t.Errorf("%+v", d)
		}
		p.Close(context.Background())
	})
}

func TestUnknownAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool()
		p.other = nil
		p.give(1, 0, time.Second, good)
		p.Close(context.Background())
		if d := p.only(t, 1); !d.Hopeless || d.OK {
			t.Errorf("%+v", d)
		}
	})
}

// A reboot is refused unless the wiring has given a way: no test, and no
// daemon in a lab, reboots a machine by accident.
func TestReboot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool()
		p.Do(actions.Job{Group: 1, Job: 1, Step: -1, Verb: actions.Reboot, Timeout: time.Second})
		synctest.Wait()
		if d := p.only(t, 1); d.OK || !d.Hopeless {
			t.Errorf("%+v", d)
		}
		asked := 0
		p.RebootHost = func(context.Context) error {
			if asked++; asked == 1 {
				return fmt.Errorf("operation not permitted")
			}
			return nil
		}
		for j := range uint64(2) {
			p.Do(actions.Job{Group: 1, Job: j + 2, Step: -1, Verb: actions.Reboot, Timeout: time.Second})
		}
		p.Close(context.Background())
		if d := p.only(t, 2); d.OK || !strings.Contains(d.Detail, "reboot -f") {
			t.Errorf("%+v", d)
		}
		if d := p.only(t, 3); !d.OK || asked != 2 {
			t.Errorf("%+v", d)
		}
	})
	for text, whole := range map[string]bool{"         0          0 4294967295\n": true, "0 1000 1\n": false, "0 0 1\n": false, "": false} {
		if wholeMap(text) != whole {
			t.Errorf("%q: %v", text, !whole)
		}
	}
}
