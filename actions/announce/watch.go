package announce

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
)

// claimPause is how long nothing more is told of an address after a claim: a
// flood must not fill the loop's inbox.
const claimPause = time.Second

// claims are the announced addresses by interface. It may be used from any
// goroutine: the announcer's changes it, the watches look up.
type claims struct {
	mu    sync.Mutex
	links map[int]map[netip.Addr]*stake
}

// stake is one announced address.
type stake struct {
	by  *round
	mac [6]byte
	// told is when a claim was last told.
	told time.Time
}

func newClaims() *claims { return &claims{links: make(map[int]map[netip.Addr]*stake)} }

// hold enters the addresses of an announcement. An address that is there
// already changes hands and keeps its pause.
func (c *claims) hold(r *round) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range r.items {
		it := &r.items[i]
		held := c.links[it.link]
		if held == nil {
			held = make(map[netip.Addr]*stake)
			c.links[it.link] = held
		}
		if s := held[it.address]; s != nil {
			s.by, s.mac = r, it.mac
			continue
		}
		held[it.address] = &stake{by: r, mac: it.mac}
	}
}

// release takes out what is left of an announcement on an interface.
func (c *claims) release(r *round, link int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	held := c.links[link]
	for i := range r.items {
		it := &r.items[i]
		if s := held[it.address]; s != nil && it.link == link && s.by == r {
			delete(held, it.address)
		}
	}
	if len(held) == 0 {
		delete(c.links, link)
	}
}

// judge decides about a claim that came in on an interface: whether it concerns
// an announced address and is somebody else's, and if it is to be told, what.
func (c *claims) judge(link int, found claim, now time.Time) (tell *actions.Claimed, foreign bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.links[link][found.address]
	if s == nil || found.source == s.mac && found.mac == s.mac && !virtual(s.mac) {
		return nil, false // not ours to judge, or our own, sent back by a switch
	}
	if !s.told.IsZero() && now.Sub(s.told) < claimPause {
		return nil, true
	}
	s.told = now
	return &actions.Claimed{Router: s.by.router, Term: s.by.term, Link: link,
		Address: found.address, MAC: found.mac, Source: found.source}, true
}

// watched returns the interfaces with announced addresses.
func (c *claims) watched(f func(link int)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for link := range c.links {
		f(link)
	}
}

// has reports whether an interface has announced addresses.
func (c *claims) has(link int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.links[link] != nil
}

// virtual reports whether a MAC is a virtual router's (RFC 9568 section 7.3),
// which all its hosts share: a frame with it may be anybody's.
func virtual(mac [6]byte) bool {
	return [4]byte(mac[:4]) == [4]byte{0x00, 0x00, 0x5e, 0x00} && (mac[4] == 1 || mac[4] == 2)
}

// heard is what a watch reports: a claim to be told, if any, and what to count.
type heard struct {
	Stats
	claimed *actions.Claimed
}

// watches are the receive sockets, one per interface, each read by a goroutine
// of its own, which also opens and closes it: both may wait for the kernel's
// locks, announcements must not. Used from one goroutine.
type watches struct {
	claims  *claims
	hear    func(heard)
	open    map[int]*watch
	reading sync.WaitGroup
}

func newWatches(c *claims, hear func(heard)) *watches {
	return &watches{claims: c, hear: hear, open: make(map[int]*watch)}
}

// follow opens and closes watches as there are announced addresses.
func (w *watches) follow() {
	for link, one := range w.open {
		if !w.claims.has(link) {
			one.stop()
			delete(w.open, link)
		}
	}
	w.claims.watched(func(link int) {
		if w.open[link] == nil {
			one := &watch{link: link}
			w.open[link] = one
			w.reading.Add(1)
			go func() {
				// Closing can take long and nothing depends on it.
				defer one.close()
				defer w.reading.Done()
				one.read(w.claims, w.hear)
			}()
		}
	})
}

// close ends all watches and returns when nothing will be heard any more.
func (w *watches) close() {
	for _, one := range w.open {
		one.stop()
	}
	w.reading.Wait()
}

// watch is the receive socket of one interface.
type watch struct {
	link int

	mu      sync.Mutex
	conn    *packet.Conn
	stopped bool
}

// stop makes read return; it does not wait.
func (w *watch) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	if w.conn != nil {
		_ = w.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// start opens the socket. It returns nil without an error if there is nothing
// to read: the watch has been stopped, or the link is not an Ethernet.
func (w *watch) start() (*packet.Conn, error) {
	// All protocols: only such a socket sees what a macvlan, bridge or bond on
	// the interface takes away before the protocols.
	conn, err := packet.Listen(&net.Interface{Index: w.link}, packet.Raw, unix.ETH_P_ALL, &packet.Config{Filter: claimFilter()})
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn = conn
	if w.stopped || !ethernet(conn) {
		return nil, nil
	}
	return conn, nil
}

// read opens the socket and judges what comes in until the watch is stopped.
func (w *watch) read(c *claims, hear func(heard)) {
	conn, err := w.start()
	if err != nil {
		hear(heard{Stats: Stats{Unwatched: 1}})
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
		found, ok := parseClaim(buffer[:n])
		if !ok {
			continue
		}
		if tell, foreign := c.judge(w.link, found, time.Now()); foreign {
			hear(heard{Stats{Claims: 1}, tell})
		}
	}
}

func (w *watch) close() {
	w.mu.Lock()
	conn := w.conn
	w.mu.Unlock() // stop must not wait for what follows
	if conn != nil {
		_ = conn.Close()
	}
}

// ethernet reports whether a packet socket is bound to an Ethernet-like link,
// whose frames are as parseClaim reads them.
func ethernet(conn *packet.Conn) bool {
	raw, err := conn.SyscallConn()
	if err != nil {
		return false
	}
	is := false
	err = raw.Control(func(fd uintptr) {
		name, err := unix.Getsockname(int(fd))
		link, ok := name.(*unix.SockaddrLinklayer)
		is = err == nil && ok && link.Hatype == unix.ARPHRD_ETHER
	})
	return err == nil && is
}
