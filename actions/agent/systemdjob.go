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
	timer := time.NewTimer(glance)
	defer timer.Stop()
	for quiet := 0; ; {
		select {
		case result := <-ended:
			return result, nil
		case <-lost:
			lost = nil // the next looks will tell; with makes a new connection
		case <-ctx.Done():
			return "", fmt.Errorf("not done after %v", time.Since(began).Round(100*time.Millisecond))
		case <-timer.C:
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
