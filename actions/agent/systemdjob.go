package agent

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"
)

// unitJob makes a job for a unit and waits for its end: its result, or "" if it
// ended unheard. The error says why it could not be made, or that ctx ended first:
// then it goes on in systemd, until another takes its place.
func (h *Hands) unitJob(ctx context.Context, name string, up bool, tell say) (result string, err error) {
	return h.unitJobQueued(ctx, name, up, tell, make(chan struct{}))
}

// unitJobQueued is unitJob, and closes queued when the job has been accepted or refused.
func (h *Hands) unitJobQueued(ctx context.Context, name string, up bool, tell say, queued chan struct{}) (result string, err error) {
	began := time.Now()
	var lost <-chan struct{}
	var ended chan string
	once := sync.OnceFunc(func() { close(queued) })
	defer once()
	err = h.units.with(ctx, func(l *systemdLink) error {
		// Buffered: go-systemd sends while it holds the lock that every other job
		// needs. A new one each time: the job of a broken try may still end.
		lost, ended = l.lost, make(chan string, 1)
		if up {
			_, err := l.StartUnitContext(ctx, name, "replace", ended)
			return err
		}
		_, err := l.StopUnitContext(ctx, name, "replace", ended)
		return err
	})
	once()
	switch {
	case !up && named(err, "org.freedesktop.systemd1.NoSuchUnit"):
		return "done", nil
	case err != nil:
		return "", fmt.Errorf("systemd refuses: %s", strings.TrimSuffix(err.Error(), "."))
	}
	timer, early := time.NewTimer(glance), time.NewTimer(heldUp)
	defer timer.Stop()
	defer early.Stop()
	for quiet := 0; ; {
		select {
		case result := <-ended:
			return result, nil
		case <-lost:
			lost = nil // the next looks will tell; with makes a new connection
		case <-ctx.Done():
			return "", fmt.Errorf("not done after %v", time.Since(began).Round(100*time.Millisecond))
		case <-early.C:
			h.letGo(ctx, name, up)
		case <-timer.C:
			h.letGo(ctx, name, up)
			u, err := h.units.unit(ctx, name)
			switch {
			case err != nil:
				quiet = 0
			case u.job == 0 && !u.moves():
				if quiet++; quiet > 1 { // twice: JobRemoved may be on its way
					return "", nil
				}
			default:
				quiet = 0
				tell("waiting for systemd: %s is %s", name, &u)
			}
			timer.Reset(glance)
		}
	}
}

// heldUp is when a job is first looked at for what it waits for.
const heldUp = 20 * time.Millisecond

// ownUnit is what the drop-ins name.
const ownUnit = "backbeat.service"

// letGo lets a job go on that waits for nothing but the daemon's own end. At shutdown
// systemd is to leave our units to us, so they are ordered before ours (dropIn) and stop
// after it; but while a job stops or restarts us, so do the jobs that we make then, and each
// would wait for the other. What else it waits for it goes on waiting for.
func (h *Hands) letGo(ctx context.Context, name string, up bool) {
	_ = h.units.with(ctx, func(l *systemdLink) error {
		jobs, err := l.ListJobsContext(ctx)
		if err != nil {
			return err
		}
		queued, waits := map[string]string{}, false
		for _, j := range jobs {
			queued[j.Unit] = j.JobType
			waits = waits || j.Unit == name && j.Status == "waiting"
		}
		if !waits || !leaves(queued[ownUnit]) {
			return nil
		}
		// As job_is_runnable in systemd's src/core/job.c: of two that are ordered, whoever
		// stops goes first; a start also waits for whatever is to become of those before it.
		for property, held := range map[string]func(job string) bool{"Before": leaves, "After": func(job string) bool { return up && job != "" }} {
			p, err := l.GetUnitPropertyContext(ctx, name, property)
			if err != nil {
				return err
			}
			list, _ := p.Value.Value().([]string)
			for _, other := range list {
				if other != ownUnit && held(queued[other]) {
					return nil
				}
			}
		}
		// It is the same job, which then heeds no order.
		if up {
			_, err = l.StartUnitContext(ctx, name, "ignore-dependencies", nil)
		} else {
			_, err = l.StopUnitContext(ctx, name, "ignore-dependencies", nil)
		}
		return err
	})
}

// leaves reports whether a job of that type stops its unit.
func leaves(job string) bool { return job == "stop" || job == "restart" || job == "try-restart" }
