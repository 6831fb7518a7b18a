package chaos

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// The wall clock is one for the whole machine, in whatever namespace: it is stepped only
// with -step-clock, by the real root, on a machine that does nothing else. A kernel that
// runs as a process will do, see docs/faults.md.

// steps are how far the clock is set: far enough that no other time of a run could be
// meant, see unstepped.
var steps = []time.Duration{10 * time.Minute, time.Hour, 26 * time.Hour, 400 * 24 * time.Hour}

// stepClock sets the wall clock forwards or backwards, and back again afterwards.
func stepClock(d *deed) (func() error, error) {
	by := steps[d.rand.IntN(len(steps))]
	if d.rand.IntN(2) == 0 {
		by = -by
	}
	d.note = "by " + by.String()
	d.mu.Lock()
	d.stepped = append(d.stepped, by)
	d.mu.Unlock()
	before := time.Now()
	if err := setClock(by); err != nil {
		return nil, err
	}
	// Round takes the monotonic reading off: what is left is what the clock says.
	if moved := time.Now().Round(0).Sub(before.Round(0)) - by; moved < 0 || moved > 10*time.Second {
		return nil, fmt.Errorf("the clock was to be set by %s and is off by %s", by, moved)
	}
	d.proved()
	return func() error { return setClock(-by) }, nil
}

// setClock sets the wall clock by a difference.
func setClock(by time.Duration) error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &now); err != nil {
		return fmt.Errorf("read the wall clock: %w", err)
	}
	then := unix.NsecToTimespec(now.Nano() + int64(by))
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &then); err != nil {
		return fmt.Errorf("set the wall clock (-step-clock needs the real root): %w", err)
	}
	return nil
}

// unstepped are records with the times that they would have had if nobody had set the
// clock: one that is not of this run is of the time of a step.
func (a *Arena) unstepped(list []daemon.Transition) []daemon.Transition {
	a.mu.Lock()
	defer a.mu.Unlock()
	first, last := time.Now().Add(a.began-lab.Now()-time.Minute), time.Now().Add(time.Minute)
	for i := range list {
		for _, by := range a.stepped {
			if at := list[i].At.Add(-by); (list[i].At.Before(first) || list[i].At.After(last)) && at.After(first) && at.Before(last) {
				list[i].At = at
			}
		}
	}
	return list
}
