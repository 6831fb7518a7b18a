package address

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// defaultReadBuffer holds the notices of some 10,000 address changes (about
	// 0.8 KB of kernel memory each) while we are busy elsewhere.
	defaultReadBuffer = 8 << 20
	// defaultResync is the period of the comparison with the kernel: notices are
	// only hints, and one could be missed.
	defaultResync = 30 * time.Second
	// minSpacing is the shortest time between two lists of one link's addresses
	// while addresses are changing; it is longer where listing takes long, so
	// that a takeover of thousands does not spend its time in listing them.
	// Changes of the link itself never wait.
	minSpacing = 5 * time.Millisecond
	// retryAfter is when a question that failed is asked again, maxFailures how
	// often in a row before the monitor gives up.
	retryAfter  = time.Second
	maxFailures = 10
	// largestMessage bounds one read of notices, in bytes; netlink's own buffers
	// end at 32 KiB (NLMSG_GOODSIZE and netlink_dump in the kernel).
	largestMessage = 64 << 10
)

// monitor reads notices and reports links and lost addresses. It is used from
// one goroutine; a second one only reads the socket.
type monitor struct {
	keeper  *Keeper
	events  *netlink.Conn
	ask     *netlink.Conn
	watched map[string]*watchedLink
	witness witness
	// nextSync is when everything is compared; failures counts questions in a
	// row that had no answer.
	nextSync time.Time
	failures int
}

// notices is one read of the event socket.
type notices struct {
	messages []netlink.Message
	// overrun: the kernel threw notices away.
	overrun bool
}

func newMonitor(k *Keeper) (*monitor, error) {
	events, err := dialEvents(k.readBuffer)
	if err != nil {
		return nil, err
	}
	questions, err := dialQuestions()
	if err != nil {
		events.Close()
		return nil, err
	}
	return &monitor{keeper: k, events: events, ask: questions, watched: make(map[string]*watchedLink)}, nil
}

func dialEvents(buffer int) (*netlink.Conn, error) {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{MessageBufferSize: largestMessage})
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket for notices: %w", err)
	}
	if err := setReadBuffer(c, buffer); err != nil {
		c.Close()
		return nil, fmt.Errorf("setting the netlink read buffer: %w", err)
	}
	for _, group := range []uint32{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR} {
		if err := c.JoinGroup(group); err != nil {
			c.Close()
			return nil, fmt.Errorf("subscribing to rtnetlink notices: %w", err)
		}
	}
	return c, nil
}

// setReadBuffer goes beyond net.core.rmem_max where we may (CAP_NET_ADMIN).
func setReadBuffer(c *netlink.Conn, bytes int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var refused error
	if err := raw.Control(func(fd uintptr) {
		refused = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes)
	}); err != nil {
		return err
	}
	if refused == nil {
		return nil
	}
	return c.SetReadBuffer(bytes)
}

// run reports until ctx ends.
func (m *monitor) run(ctx context.Context) error {
	defer m.ask.Close()
	incoming := make(chan notices)
	ended := make(chan error, 1)
	ctx, cancel := context.WithCancel(ctx)
	go func() { ended <- m.read(ctx, incoming) }()
	// The reader has ended when run returns.
	stop := func() error {
		cancel()
		m.events.Close()
		return <-ended
	}
	// Nothing is held yet, and Watch asks by itself: no comparison at the start.
	m.nextSync = time.Now().Add(m.keeper.resyncEvery)
	timer := time.NewTimer(m.keeper.resyncEvery)
	defer timer.Stop()
	for {
		var err error
		select {
		case n := <-incoming:
			err = m.take(n)
		case <-m.keeper.look:
			err = m.lookAtAll()
		case <-timer.C:
		case err := <-ended:
			ended <- nil // for stop
			_ = stop()
			return err
		case <-ctx.Done():
			return stop()
		}
		if err == nil {
			err = m.due()
		}
		if m.failed(err) {
			_ = stop()
			return err
		}
		timer.Reset(time.Until(m.next()))
	}
}

// failed counts questions that had no answer and arranges the next try; it
// reports whether to give up.
func (m *monitor) failed(err error) bool {
	if err == nil {
		m.failures = 0
		return false
	}
	m.failures++
	m.nextSync = time.Now().Add(retryAfter)
	return m.failures > maxFailures
}

// read passes notices on until the socket is closed.
func (m *monitor) read(ctx context.Context, out chan<- notices) error {
	for {
		messages, err := m.events.Receive()
		n := notices{messages: messages}
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			if !errors.Is(err, unix.ENOBUFS) {
				return fmt.Errorf("reading rtnetlink notices: %w", err)
			}
			n.overrun = true
		}
		select {
		case out <- n:
		case <-ctx.Done():
			return nil
		}
	}
}

// take handles notices.
func (m *monitor) take(n notices) error {
	if n.overrun {
		return m.resync("unknown (so much happened that the kernel's notice was lost)")
	}
	now := time.Now()
	for _, msg := range n.messages {
		var err error
		switch msg.Header.Type {
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			err = m.linkNotice(msg)
		case unix.RTM_NEWADDR, unix.RTM_DELADDR:
			err = m.addressNotice(msg, now)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (m *monitor) addressNotice(msg netlink.Message, now time.Time) error {
	a, err := parseAddress(msg.Data)
	if err != nil {
		return err
	}
	if msg.Header.Type == unix.RTM_DELADDR {
		if at := a.place(); m.keeper.isHeld(at) {
			m.keeper.lost(loss{at, m.witness.culprit(msg.Header.PID, a.prefix.Addr().Is6(), now), now})
		}
	}
	for _, w := range m.watched {
		if w.level.Index == a.link {
			w.stale = true
		}
	}
	return nil
}

func (m *monitor) linkNotice(msg netlink.Message) error {
	l, err := parseLink(msg.Data)
	if err != nil {
		return err
	}
	for name, w := range m.watched {
		if name == l.name || w.level.Index == l.index {
			if l.movedNeighbours() && w.level.Index == l.index {
				w.failovers++
			}
			if err := m.lookAt(name, w); err != nil {
				return err
			}
		}
	}
	if msg.Header.Type == unix.RTM_DELLINK {
		m.keeper.linkGone(l.index)
	}
	if msg.Header.Type == unix.RTM_NEWLINK && l.flags&unix.IFF_UP != 0 {
		m.keeper.linkUp(l.index)
	}
	return nil
}

// due does what the time has come for.
func (m *monitor) due() error {
	now := time.Now()
	if !now.Before(m.nextSync) {
		return m.resync("unknown (found missing by the periodic comparison)")
	}
	for _, w := range m.watched {
		if w.stale && !now.Before(w.nextList) {
			if err := m.list(w); err != nil {
				return err
			}
		}
	}
	return nil
}

// next returns when due has something to do.
func (m *monitor) next() time.Time {
	at := m.nextSync
	for _, w := range m.watched {
		if w.stale && w.nextList.Before(at) {
			at = w.nextList
		}
	}
	return at
}

// resync compares everything with the kernel: the links that are watched and
// the addresses that are held.
func (m *monitor) resync(culprit string) error {
	m.nextSync = time.Now().Add(m.keeper.resyncEvery)
	now := time.Now()
	all, err := dumpAddresses(m.ask, 0)
	if err != nil {
		return err
	}
	there := make(map[place]bool, len(all))
	for _, a := range all {
		there[a.place()] = true
	}
	var losses []loss
	for _, at := range m.keeper.missing(there) {
		losses = append(losses, loss{at, culprit, now})
	}
	if len(losses) > 0 {
		m.keeper.lost(losses...)
	}
	for name, w := range m.watched {
		w.stale = true
		w.nextList = time.Time{}
		if err := m.lookAt(name, w); err != nil {
			return err
		}
	}
	return nil
}
