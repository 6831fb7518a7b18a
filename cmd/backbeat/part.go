package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
)

// part is something that runs beside the loop.
type part struct {
	name   string
	cancel context.CancelFunc
	done   chan struct{}
	log    logFunc
}

// begin runs a part on a goroutine of its own. If it ends before its context
// does, broke is told why.
func begin(name string, log logFunc, run func(context.Context) error, broke func(error)) *part {
	ctx, cancel := context.WithCancel(context.Background())
	p := &part{name: name, cancel: cancel, done: make(chan struct{}), log: log}
	go func() {
		defer close(p.done)
		err := run(ctx)
		switch {
		case ctx.Err() != nil && err != nil:
			log(slog.LevelWarn, fmt.Sprintf("%s: %v", name, err))
		case ctx.Err() != nil:
		case err != nil:
			broke(fmt.Errorf("%s: %w", name, err))
		default:
			broke(fmt.Errorf("%s ended for no reason", name))
		}
	}()
	return p
}

// start begins a part without which the daemon is not whole: if it ends on its
// own, the daemon steps aside and ends, since another host does better.
func (s *service) start(name string, run func(context.Context) error) *part {
	return begin(name, s.log, run, func(err error) {
		s.log(slog.LevelError, err.Error())
		select {
		case s.broken <- err:
		default: // the first one is the cause
		}
		s.post(daemon.Stop{Yield: true, Detail: err.Error()})
	})
}

// stop ends a part and waits for it, but not forever.
func (p *part) stop() {
	p.cancel()
	t := time.NewTimer(partPatience)
	defer t.Stop()
	select {
	case <-p.done:
	case <-t.C:
		p.log(slog.LevelWarn, p.name+" did not end in time")
	}
}
