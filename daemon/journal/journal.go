package journal

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
)

const (
	// room is how much each queue holds: one transition of every router of a
	// large host, which all come within the same second.
	room = 4096
	// batch is how many transitions are written with one system call at most.
	batch = 512
	// lastWords bounds the writing after the end of Run's context: a log whose
	// reader hangs must not keep the process from ending.
	lastWords = 3 * time.Second

	// defaultKeep is the number of transitions kept of each router.
	defaultKeep = 200
	// maxKeep bounds the transitions kept of all routers together: some 6 MB.
	maxKeep = 10_000
)

// Options say what a Journal writes where.
type Options struct {
	// Dir is the state directory; empty keeps nothing on disk. It is made if it
	// is missing and the directory above is there.
	Dir string
	// Keep is how many transitions are kept of each router, 200 if it is 0; of
	// all routers together at most 10,000 are kept.
	Keep int
	// Logger takes the lines; nil discards them. See NewLogger.
	Logger *slog.Logger
}

// Journal is the daemon.Journal of the real world. Log and Transition may be
// called from any goroutine; Run is called once.
type Journal struct {
	logger  *slog.Logger
	lines   chan entry
	records chan daemon.Transition
	history *history // nil if nothing is kept on disk; Run's alone
	dropped dropCount
}

var _ daemon.Journal = (*Journal)(nil)

// dropCount counts what did not fit into the queues.
type dropCount struct{ lines, records atomic.Uint64 }

// entry is a line with the time at which it was said, not that of its writing.
type entry struct {
	at   time.Time
	line daemon.Line
}

// Open reads the history and returns it oldest first, at most what Options.Keep
// allows; the largest seq is that of the last element. Damaged lines are
// skipped, counted and logged. The directory is locked against a second daemon.
//
// If the directory cannot be used, because it is missing, in use, or could be
// written by others, the error says so and what to do. The Journal is usable all
// the same, and keeps nothing on disk: whether that is good enough is for the
// caller to decide.
func Open(o Options) (*Journal, []daemon.Transition, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Keep <= 0 {
		o.Keep = defaultKeep
	}
	j := &Journal{logger: o.Logger, lines: make(chan entry, room), records: make(chan daemon.Transition, room)}
	if o.Dir == "" {
		return j, nil, nil
	}
	h, past, err := openHistory(o.Dir, o.Keep, o.Logger)
	j.history = h
	return j, past, err
}

// Log queues a line. It never blocks.
func (j *Journal) Log(l daemon.Line) {
	if !j.logger.Enabled(context.Background(), l.Level) {
		return
	}
	select {
	case j.lines <- entry{time.Now(), l}:
	default:
		j.dropped.lines.Add(1)
	}
}

// Transition queues a record that has begun or has got a follow-up. It never
// blocks. The record is read later: whoever owns it may append to Followed, but
// does not change what is in it already.
func (j *Journal) Transition(t daemon.Transition) {
	select {
	case j.records <- t:
	default:
		j.dropped.records.Add(1)
	}
}

// Dropped returns how many lines and records did not fit.
func (j *Journal) Dropped() uint64 { return j.dropped.lines.Load() + j.dropped.records.Load() }

// Run writes until ctx ends, then what is queued, and closes the history. It
// returns at most 3 s after ctx has ended, even if the log cannot be written.
func (j *Journal) Run(ctx context.Context) {
	var writers sync.WaitGroup
	writers.Go(func() { j.runLog(ctx) })
	writers.Go(func() { j.runHistory(ctx) })
	ended := make(chan struct{})
	go func() {
		writers.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-ctx.Done():
		timer := time.NewTimer(lastWords)
		defer timer.Stop()
		select {
		case <-ended:
		case <-timer.C:
		}
	}
}

func (j *Journal) runLog(ctx context.Context) {
	var told dropCount
	for {
		select {
		case e := <-j.lines:
			j.print(e)
		case <-ctx.Done():
			for {
				select {
				case e := <-j.lines:
					j.print(e)
				default:
					j.tellDrops(&told)
					return
				}
			}
		}
		if len(j.lines) == 0 {
			j.tellDrops(&told)
		}
	}
}

func (j *Journal) print(e entry) {
	r := slog.NewRecord(e.at, e.line.Level, e.line.Text, 0)
	r.AddAttrs(e.line.Attrs...)
	// Where would an error of the log be logged? The next line tries again.
	_ = j.logger.Handler().Handle(context.Background(), r)
}

// tellDrops says what was lost since it was last said.
func (j *Journal) tellDrops(told *dropCount) {
	for _, c := range []struct {
		what      string
		now, told *atomic.Uint64
	}{{"log lines", &j.dropped.lines, &told.lines}, {"history records", &j.dropped.records, &told.records}} {
		if now, before := c.now.Load(), c.told.Load(); now != before {
			c.told.Store(now)
			j.logger.Warn(c.what+" were dropped: they came faster than they could be written", "count", now-before, "total", now)
		}
	}
}

func (j *Journal) runHistory(ctx context.Context) {
	if j.history != nil {
		defer j.history.close()
	}
	pending := make([]daemon.Transition, 0, batch)
	for {
		select {
		case t := <-j.records:
			j.keep(t, pending)
		case <-ctx.Done():
			for {
				select {
				case t := <-j.records:
					j.keep(t, pending)
				default:
					return
				}
			}
		}
	}
}

// keep writes a record together with those that are queued behind it.
func (j *Journal) keep(t daemon.Transition, pending []daemon.Transition) {
	pending = append(pending[:0], t)
	for len(pending) < batch {
		select {
		case t := <-j.records:
			pending = append(pending, t)
			continue
		default:
		}
		break
	}
	if j.history != nil {
		j.history.write(pending)
	}
}
