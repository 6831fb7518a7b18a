package lab

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// Now is the instant all of the lab's records are on: CLOCK_MONOTONIC.
func Now() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		panic("lab: no monotonic clock: " + err.Error())
	}
	return time.Duration(t.Nano())
}

// fromWall converts a CLOCK_REALTIME stamp of the kernel to Now's clock. The
// offset is taken anew each time. A stamp that is not of the last seconds is of a clock
// that has been set since: the frame has come just now.
func fromWall(sec, nsec int64) time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_REALTIME, &t); err != nil {
		panic("lab: no wall clock: " + err.Error())
	}
	now, ago := Now(), time.Duration(t.Nano()-(sec*1e9+nsec))
	if ago < 0 || ago > 10*time.Second {
		ago = 0
	}
	return now - ago
}

// sleepUntil sleeps on the calling thread. Go's own timers are late by 0.6 ms in
// the median; this is late by about 0.05 ms (ecosystem.md 3.2).
func sleepUntil(at time.Duration) {
	t := unix.NsecToTimespec(int64(at))
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &t, nil) == unix.EINTR {
		continue
	}
}

// Until polls a condition every few milliseconds until it is true or the context ends;
// what names the condition in the error.
func Until(ctx context.Context, what string, condition func() bool) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	began := Now()
	for !condition() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited %s for %s: %w", (Now() - began).Round(time.Millisecond), what, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}
