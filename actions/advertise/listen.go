package advertise

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// allRouters is the group hosts solicit (RFC 4291 section 2.7.1), and its
// link-layer form (RFC 2464 section 7).
var (
	allRouters    = netip.IPv6LinkLocalAllRouters()
	allRoutersMAC = net.HardwareAddr{0x33, 0x33, 0, 0, 0, 2}
)

// ears are the receive sockets, one per interface, each read by a goroutine of
// its own, which also opens and closes it: joining and leaving a group wait for
// the kernel's routing lock, advertisements must not. Used from one goroutine.
type ears struct {
	// heard is told of a solicitation, deaf of an interface that cannot be
	// listened on; both are called from the goroutines.
	heard   func(link int)
	deaf    func(err error)
	open    map[int]*ear
	reading sync.WaitGroup
}

// follow listens on the interfaces that are needed and on no others.
func (e *ears) follow(needed func(link int) bool, links func(func(link int))) {
	for link, one := range e.open {
		if !needed(link) {
			one.stop()
			delete(e.open, link)
		}
	}
	links(func(link int) {
		if e.open[link] != nil {
			return
		}
		one := &ear{link: link, group: -1}
		e.open[link] = one
		e.reading.Add(1)
		go func() {
			// Closing can take long and nothing depends on it.
			defer one.close()
			defer e.reading.Done()
			one.read(e.heard, e.deaf)
		}()
	})
}

// close ends all and returns when nothing will be heard any more.
func (e *ears) close() {
	for _, one := range e.open {
		one.stop()
	}
	e.reading.Wait()
}

// ear is the receive socket of one interface.
type ear struct {
	link int

	mu      sync.Mutex
	conn    *packet.Conn
	group   int // a socket whose only purpose is the membership, or -1
	stopped bool
}

// stop makes read return; it does not wait.
func (e *ear) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopped = true
	if e.conn != nil {
		_ = e.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// start opens the socket and joins the group. It returns nil without an error
// if it has been stopped meanwhile.
func (e *ear) start() (*packet.Conn, error) {
	// All protocols: only such a socket sees what a macvlan, bridge or bond on
	// the interface takes away before the protocols.
	conn, err := packet.Listen(&net.Interface{Index: e.link}, packet.Raw, unix.ETH_P_ALL, &packet.Config{Filter: solicitFilter()})
	if err != nil {
		return nil, fmt.Errorf("listen for router solicitations on interface %d: %w", e.link, explain(err))
	}
	// The interface must take up frames to the group, and snooping switches must
	// pass them to us: for that the kernel has to report the membership (MLD).
	// Where it will not, because IPv6 is switched off on the interface, there is
	// at least the frame's.
	joined := conn.JoinGroup(allRoutersMAC)
	group, _ := joinAllRouters(e.link)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.conn, e.group = conn, group
	if joined != nil {
		return nil, fmt.Errorf("receive frames to %s on interface %d: %w", allRoutersMAC, e.link, explain(joined))
	}
	if e.stopped {
		return nil, nil
	}
	return conn, nil
}

// read opens the socket and tells of solicitations until it is stopped.
func (e *ear) read(heard func(int), deaf func(error)) {
	conn, err := e.start()
	if err != nil {
		deaf(err)
	}
	if conn == nil {
		return
	}
	buffer := make([]byte, frameRoom)
	for {
		n, _, err := conn.ReadFrom(buffer)
		if errors.Is(err, unix.ENETDOWN) {
			continue // told once; the socket goes on when the link is up again
		}
		if err != nil {
			return // stopped
		}
		if solicitation(buffer[:n]) {
			heard(e.link)
		}
	}
}

func (e *ear) close() {
	e.mu.Lock()
	conn, group := e.conn, e.group
	e.mu.Unlock() // stop must not wait for what follows
	if conn != nil {
		_ = conn.Close()
	}
	if group >= 0 {
		_ = unix.Close(group)
	}
}

// joinAllRouters makes the host a member of ff02::2 on an interface for as long
// as the returned socket is open.
func joinAllRouters(link int) (int, error) {
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	err = unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP,
		&unix.IPv6Mreq{Multiaddr: allRouters.As16(), Interface: uint32(link)})
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
