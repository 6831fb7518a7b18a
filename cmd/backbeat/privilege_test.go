package main

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// The loop's thread stands above the others in real time, and only as long as it
// is the loop's; without real time nothing is changed.
func TestUrgent(t *testing.T) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlock: the thread ends with its priority
		is := func(policy, priority uint32) {
			t.Helper()
			a, err := unix.SchedGetAttr(0, 0)
			if err != nil || a.Policy != policy || a.Priority != priority {
				t.Errorf("%+v, %v; want policy %d and priority %d", a, err, policy, priority)
			}
		}
		before, err := unix.SchedGetAttr(0, 0)
		if err != nil {
			t.Error(err)
			return
		}
		if before.Policy == unix.SCHED_NORMAL {
			calm := urgent()
			is(unix.SCHED_NORMAL, 0)
			calm()
		}
		if err := unix.SchedSetAttr(0, &unix.SchedAttr{Policy: unix.SCHED_RR, Priority: 5}, 0); err != nil {
			t.Logf("no real time here: %v", err)
			return
		}
		calm := urgent()
		is(unix.SCHED_RR, 6)
		calm()
		is(unix.SCHED_RR, 5)
	}()
	<-done
}
