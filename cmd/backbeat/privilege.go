package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/daemon"
)

// need is a capability the daemon cannot do without, and what for.
type need struct {
	bit  uint
	name string
	why  string
}

func needs() []need {
	return []need{
		{unix.CAP_NET_RAW, "CAP_NET_RAW", "to send and receive advertisements"},
		{unix.CAP_NET_ADMIN, "CAP_NET_ADMIN", "to add and remove addresses"},
	}
}

// checkPrivilege says at once what would otherwise come back as a dozen
// "operation not permitted".
func checkPrivilege() error {
	have, err := effective()
	if err != nil {
		return fmt.Errorf("read this process's capabilities: %w", err)
	}
	return missing(have)
}

// missing names the capabilities that are not in the set.
func missing(have uint64) error {
	var names []string
	for _, n := range needs() {
		if have&(1<<n.bit) == 0 {
			names = append(names, fmt.Sprintf("%s (%s)", n.name, n.why))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("this process lacks %s: run it as root or by its systemd unit; without root it can be tried in a namespace and directories (DIR) of its own: unshare --user --net --map-root-user backbeat run -c FILE --runtime-dir DIR --state-dir DIR, then backbeat status --control DIR/control.sock",
		strings.Join(names, " and "))
}

// effective is the effective capability set of this process.
func effective() (uint64, error) {
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // version 3 has two words
	if err := unix.Capget(&hdr, &data[0]); err != nil {
		return 0, err
	}
	return uint64(data[0].Effective) | uint64(data[1].Effective)<<32, nil
}

// realTime reports whether the process runs under SCHED_RR or SCHED_FIFO.
func realTime() bool {
	a, err := unix.SchedGetAttr(0, 0)
	return err == nil && (a.Policy == unix.SCHED_RR || a.Policy == unix.SCHED_FIFO)
}

// shortest returns the shortest interval of a configuration.
func shortest(cfg *daemon.Config) time.Duration {
	least := time.Duration(0)
	for i := range cfg.Routers {
		if d := cfg.Routers[i].Spec.Interval; least == 0 || d < least {
			least = d
		}
	}
	return least
}

// urgent puts the calling thread, which is to be the loop's, before the others of
// the process where that runs in real time: a thousand checks that compute would
// otherwise share the processors with the adverts, in turns of 100 ms. calm
// undoes it, so that a successor that this thread becomes does not climb on.
func urgent() (calm func()) {
	runtime.LockOSThread()
	before, err := unix.SchedGetAttr(0, 0)
	if err != nil || before.Policy != unix.SCHED_RR && before.Policy != unix.SCHED_FIFO || before.Priority >= 99 {
		return runtime.UnlockOSThread
	}
	above := *before
	above.Priority++
	_ = unix.SchedSetAttr(0, &above, 0)
	return func() {
		_ = unix.SchedSetAttr(0, before, 0)
		runtime.UnlockOSThread()
	}
}
