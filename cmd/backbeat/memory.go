package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/daemon/control"
)

// memory is what has been arranged with the kernel about this process's memory.
type memory struct{ locked atomic.Bool }

// hasten is called before the configuration is read. Nearly all that reading makes is
// garbage, and settle throws it away at once: collecting it meanwhile would be half of
// the work of a start with thousands of routers.
func hasten() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectWhileReading)
	}
}

// settle is called when everything has been read and built. Reading thousands of
// routers leaves many times their size in garbage, and pages of the program that only
// the start needed: they go back. What is left is locked where that is allowed, page
// by page as it is used, so that no advert ever waits for a disk: for the whole of the
// reserved address space at once it would be a gigabyte.
func (m *memory) settle() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(collectAt)
	}
	debug.FreeOSMemory()
	forgetProgram()
	if mayLock() {
		m.locked.Store(unix.Mlockall(unix.MCL_CURRENT|unix.MCL_FUTURE|unix.MCL_ONFAULT) == nil)
	}
}

const (
	// collectWhileReading is collectAt until settle: for 4,000 routers it is 40 MB
	// more for half a second.
	collectWhileReading = 400
	// collectAt is how much garbage may gather, in percent of what lives (GOGC). Little is
	// made in the steady state, so half of the usual costs nothing and is never touched.
	collectAt = 50
	// returnEvery is how often memory that a start, a reload or a takeover of
	// thousands has left unused is given back, if it is more than returnAbove.
	returnEvery = 15 * time.Second
	returnAbove = 4 << 20
)

// run gives unused memory back until ctx ends. What the start and the first questions
// have left goes in any case; a pool (encoding/json has one: 8 MB after the status of
// 4,000 routers) lets go of it at the second collection only.
func (m *memory) run(ctx context.Context) error {
	tick := time.NewTicker(returnEvery)
	defer tick.Stop()
	free := []metrics.Sample{{Name: "/memory/classes/heap/free:bytes"}}
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if metrics.Read(free); n < 2 || free[0].Value.Kind() == metrics.KindUint64 && free[0].Value.Uint64() > returnAbove {
			debug.FreeOSMemory()
		}
	}
}

// mayLock reports whether no limit applies to locked memory: with one the runtime
// would die of the first memory that it is not given.
func mayLock() bool {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &limit); err == nil && limit.Cur == unix.RLIM_INFINITY {
		return true
	}
	// The capability counts only outside of user namespaces.
	ids, err := os.ReadFile("/proc/self/uid_map")
	if err != nil || strings.Join(strings.Fields(string(ids)), " ") != "0 0 4294967295" {
		return false
	}
	have, err := effective()
	return err == nil && have&(1<<unix.CAP_IPC_LOCK) != 0
}

// forgetProgram gives back the pages of the program itself; those that are used come
// back from the page cache at once.
func forgetProgram() {
	path, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var from, to uintptr
		var rights string
		if _, err := fmt.Sscanf(s.Text(), "%x-%x %s", &from, &to, &rights); err != nil || rights[1] == 'w' || !strings.HasSuffix(s.Text(), " "+path) {
			continue // what has been written to is not in the file
		}
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED) // nothing is lost if it cannot
	}
}

// scheduling is how the kernel treats this process.
func (m *memory) scheduling() control.Scheduling {
	s := control.Scheduling{Policy: "other", SafeInterval: shortInterval, MemoryLocked: m.locked.Load()}
	a, err := unix.SchedGetAttr(0, 0)
	if err != nil {
		return s
	}
	switch a.Policy {
	case unix.SCHED_RR:
		s.Policy = "rr"
	case unix.SCHED_FIFO:
		s.Policy = "fifo"
	}
	if s.Policy != "other" {
		s.RealTime, s.Priority, s.SafeInterval = true, int(a.Priority), shortestSafe
	}
	return s
}
