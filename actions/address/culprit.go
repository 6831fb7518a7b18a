package address

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// portPIDMask is the part of a netlink port number that libnl fills with the
// process ID; the bits above count the sockets of the process
// (generate_local_port in libnl's socket.c). The kernel's own choice is the
// plain process ID for a process's first socket and a number near 2^32 for
// further ones.
const portPIDMask = 1<<22 - 1

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

func ownerOfPort(port uint32) string {
	for _, pid := range []uint32{port, port & portPIDMask} {
		if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); err == nil {
			return fmt.Sprintf("%s (pid %d)", strings.TrimSpace(string(name)), pid)
		}
	}
	return fmt.Sprintf("a process that has ended (netlink port %d)", port)
}
