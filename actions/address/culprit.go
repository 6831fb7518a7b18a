package address

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// Netlink port numbers (netlink(7), libnl's generate_local_port, netlink_autobind
// in the kernel's af_netlink.c): the first socket of a process usually has the
// process ID. libnl puts the ID into the lower 22 bits and counts the process's
// sockets above them. The kernel's choice for a further socket of a process is
// a random number with the top bit set, which tells nothing.
const (
	portPIDMask = 1<<22 - 1
	portRandom  = 1 << 31
)

// witness finds out who removed an address. A flush sends one notice per
// address, so the last answer is kept for a moment. Used from one goroutine.
type witness struct {
	port uint32
	name string
	at   time.Time
}

// culprit names the owner of the netlink port that asked for a removal. Port 0
// means that no netlink request did; IPv6 notices never tell (inet6_ifa_notify
// in the kernel's net/ipv6/addrconf.c fills in 0).
func (w *witness) culprit(port uint32, v6 bool, now time.Time) string {
	switch {
	case port == 0 && v6:
		return "unknown (the kernel does not tell who removes an IPv6 address)"
	case port == 0:
		return "the kernel (link down or address lifetime)"
	case port == w.port && now.Sub(w.at) < 100*time.Millisecond:
		return w.name
	}
	*w = witness{port, ownerOfPort(port), now}
	return w.name
}

// linkCulprit names the owner of the netlink port that asked for a link to be
// removed or changed.
func (w *witness) linkCulprit(port uint32, now time.Time) string {
	if port == 0 {
		return "unknown (the kernel does not tell who removes this link)"
	}
	return w.culprit(port, false, now)
}

func ownerOfPort(port uint32) string {
	if port >= portRandom {
		return fmt.Sprintf("an unknown process (netlink port %d)", port)
	}
	pid := port & portPIDMask
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return fmt.Sprintf("a process that has ended (netlink port %d)", port)
	}
	return fmt.Sprintf("%s (pid %d)", strings.TrimSpace(string(name)), pid)
}
