package address

import (
	"context"
	"maps"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
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
	// bulkSpacing takes the place of minSpacing while we ourselves add or remove
	// thousands: nobody waits for what is in between.
	bulkSpacing = 250 * time.Millisecond
)

// monitor reads notices and reports links and lost addresses. It is used from
// one goroutine; a second one only reads the socket.
type monitor struct {
	keeper *Keeper
	// ours is the netlink port of the applier, whose changes come back as notices.
	ours    uint32
	events  *netlink.Conn
	ask     *netlink.Conn
	watched map[string]*watchedLink
	witness witness
	// left is what the ledger said of addresses at the start, as long as they are there.
	left map[place]entry
	// nextSync is when everything is compared; failures counts questions in a
	// row that had no answer.
	nextSync time.Time
	failures int
	// unrouted: routes may have gone with their address or link, of which the
	// kernel does not always tell; nextRoutes is when they are looked for.
	unrouted   bool
	nextRoutes time.Time
}

func newMonitor(k *Keeper, ours uint32) (*monitor, error) {
	events, err := dialEvents(k.readBuffer)
	if err != nil {
		return nil, err
	}
	questions, err := dialQuestions()
	if err != nil {
		events.Close()
		return nil, err
	}
	return &monitor{keeper: k, ours: ours, events: events, ask: questions, watched: make(map[string]*watchedLink), left: k.ledger.addresses()}, nil
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

// take handles notices, and after an overrun compares.
func (m *monitor) take(n notices) error {
	now := time.Now()
	for _, msg := range n.messages {
		var err error
		switch msg.Header.Type {
		case unix.RTM_NEWLINK, unix.RTM_DELLINK:
			err = m.linkNotice(msg)
		case unix.RTM_NEWADDR, unix.RTM_DELADDR:
			err = m.addressNotice(msg, now)
		case unix.RTM_DELROUTE, unix.RTM_DELRULE:
			err = m.routingNotice(msg, now)
		}
		if err != nil {
			return err
		}
	}
	if n.overrun {
		return m.resync("unknown (so much happened that the kernel's notice was lost)")
	}
	return nil
}

func (m *monitor) addressNotice(msg netlink.Message, now time.Time) error {
	a, err := parseAddress(msg.Data)
	if err != nil {
		return err
	}
	at, there := a.place(), msg.Header.Type == unix.RTM_NEWADDR
	if m.keeper.notice(at, there) && there && msg.Header.PID == m.ours {
		return nil // we have renewed its lifetime, which happens a thousand times a second
	}
	if !there {
		delete(m.left, at) // what comes there now is somebody else's, or wanted
		if m.keeper.isHeld(at) {
			m.keeper.lost(loss{at, m.witness.culprit(msg.Header.PID, a.prefix.Addr().Is6(), now), now})
		}
		m.suspectRoutes(now)
	}
	for _, w := range m.watched {
		if w.level.Index == a.link {
			w.stale = true
		}
	}
	return nil
}

// routingNotice reports a route or rule of ours that is gone.
func (m *monitor) routingNotice(msg netlink.Message, now time.Time) error {
	var at place
	if msg.Header.Type == unix.RTM_DELROUTE {
		r, err := parseRoute(msg.Data)
		if err != nil {
			return err
		}
		at = r.place()
	} else {
		r, err := parseRule(msg.Data)
		if err != nil || r.proto != mark {
			return err
		}
		at = placeOfRule(r.rule)
	}
	if m.keeper.isHeld(at) {
		m.keeper.lost(loss{at, m.witness.culprit(msg.Header.PID, false, now), now})
	}
	return nil
}

// suspectRoutes has the routes compared soon, but not once for each of many notices.
func (m *monitor) suspectRoutes(now time.Time) {
	if !m.unrouted {
		m.unrouted, m.nextRoutes = true, now.Add(minSpacing)
	}
}

// compareRoutes looks for routes and rules of ours that are gone.
func (m *monitor) compareRoutes(culprit string) error {
	m.unrouted = false
	there := make(map[place]bool)
	if held, err := m.listRouting(there); err != nil || !held {
		return err
	}
	m.reportMissing(there, false, culprit)
	return nil
}

// listRouting adds the routes and rules of ours that are there; held tells
// whether any are wanted.
func (m *monitor) listRouting(there map[place]bool) (held bool, err error) {
	four, six := m.keeper.routing()
	for _, family := range []struct{ held, six bool }{{four, false}, {six, true}} {
		if !family.held {
			continue
		}
		list, err := dumpOurs(m.ask, family.six)
		if err != nil {
			return false, err
		}
		for _, at := range list {
			there[at] = true
		}
	}
	return four || six, nil
}

func (m *monitor) reportMissing(there map[place]bool, addresses bool, culprit string) {
	now := time.Now()
	var losses []loss
	for _, at := range m.keeper.missing(there, addresses) {
		losses = append(losses, loss{at, culprit, now})
	}
	if len(losses) > 0 {
		m.keeper.lost(losses...)
	}
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
	if msg.Header.Type == unix.RTM_NEWLINK && l.flags&unix.IFF_UP != 0 {
		m.keeper.linkUp(l.index)
		if [4]byte(l.mac[:4]) != vrrpPrefix {
			m.keeper.spoilt(l.index)
		}
		return nil
	}
	now := time.Now()
	m.keeper.macvlanLost(macvlanLoss{l.index, m.witness.linkCulprit(msg.Header.PID, now), now})
	m.suspectRoutes(now)
	return nil
}

// due does what the time has come for.
func (m *monitor) due() error {
	now := time.Now()
	if !now.Before(m.nextSync) {
		return m.resync(foundMissing)
	}
	if m.unrouted && !now.Before(m.nextRoutes) {
		if err := m.compareRoutes("the kernel (with its address or link)"); err != nil {
			return err
		}
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
	if m.unrouted && m.nextRoutes.Before(at) {
		at = m.nextRoutes
	}
	for _, w := range m.watched {
		if w.stale && w.nextList.Before(at) {
			at = w.nextList
		}
	}
	return at
}

// resync compares everything with the kernel: the links that are watched and
// what is held.
func (m *monitor) resync(culprit string) error {
	m.nextSync = time.Now().Add(m.keeper.resyncEvery)
	all, err := dumpAddresses(m.ask, 0)
	if err != nil {
		return err
	}
	there := make(map[place]bool, len(all))
	for _, a := range all {
		there[a.place()] = true
	}
	maps.DeleteFunc(m.left, func(at place, _ entry) bool { return !there[at] })
	m.unrouted = false
	if _, err := m.listRouting(there); err != nil {
		return err
	}
	m.reportMissing(there, true, culprit)
	m.keeper.compare()
	for name, w := range m.watched {
		w.stale = true
		w.nextList = time.Time{}
		if err := m.lookAt(name, w); err != nil {
			return err
		}
	}
	return nil
}
