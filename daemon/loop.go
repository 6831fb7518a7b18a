package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/vrrp"
)

const (
	// packetBudget bounds the packets of one turn: some 5 ms of work.
	packetBudget = 4096
	// inputBudget bounds the inputs of one turn, so that a flood of answers
	// does not delay adverts.
	inputBudget = 128
	// sendBatch is after how many expired routers their adverts are flushed, so
	// that the first of a thousand does not wait for the last.
	sendBatch = 64
	// starved is after how many turns with unread packets Backups' deadlines
	// are judged all the same.
	starved = 4
	// socketRetry is the pause before sockets that could not be opened are tried again.
	socketRetry = 5 * time.Second
	// stopWait bounds the wait for the kernel's last answers when leaving.
	stopWait = 3 * time.Second
	// stallFloor is the lateness below which no router can be concerned: the
	// shortest interval there is.
	stallFloor = vrrp.MinInterval
)

// Ports is what the loop needs of the world.
type Ports struct {
	Clock     Clock
	Wire      Wire
	Addresses Addresses
	Announcer Announcer
	// Advertiser may be nil if no router sends Router Advertisements.
	Advertiser Advertiser
	Runner     Runner
	// Prober may be nil if there are no checks.
	Prober Prober
	// Agents may be nil if there are no service groups.
	Agents  Agents
	Journal Journal
	// Orders may be nil: then standing orders end with the process. Ordered are
	// those of earlier runs.
	Orders  Orders
	Ordered []Order
	// Handoff is what the process before has left, nil if it has left nothing.
	Handoff *Handoff
	// StandIn speaks for the routers that Handoff says are spoken for; nil: nobody does.
	StandIn *StandIn
	// Watch names the interfaces whose actions.LinkChanged are wanted.
	Watch func(names []string)
	// Past is the history of earlier runs, oldest first.
	Past []Transition
	// Dropped reports lines the Journal had no room for; may be nil.
	Dropped func() uint64
}

// Loop owns all virtual routers of a host.
type Loop struct {
	ports Ports
	cfg   *Config
	inbox chan Input
	done  chan struct{}

	routers   []*router // sorted by name
	byID      map[actions.RouterID]*router
	lastID    actions.RouterID
	waiting   []*RouterConfig // routers to start once those they clash with have gone
	links     map[string]*link
	groups    map[string]*group
	undecided []*group // groups with a member that changed
	watched   []string // the names the watcher was given last
	byIndex   map[int]*link
	due       dueHeap
	checks    []*check // sorted by name
	byCheck   map[checks.ID]*check
	checkID   checks.ID
	checkDue  dueHeap
	checkFx   []checks.Effect

	services   []*service
	byGroup    map[actions.GroupID]*service
	groupID    actions.GroupID
	serviceDue dueHeap
	unserved   []*service // groups that something may concern
	toEvaluate []*router  // routers whose fault may have changed
	toAssess   []*router  // and whose priority may have
	orders     orderBook
	orderAt    time.Duration // the next order expires
	setAside   []*router     // Backups whose deadline is not judged this turn

	// claims counts who has an address, running or leaving.
	claims map[claim]int
	// untidy: routers have departed; waiting ones may start, links may go.
	untidy bool

	onPacket func(*vrrp.Packet) // l.packet, made once: a method value costs an allocation
	// reading is when this turn began to read: asking the clock costs as much as all
	// the rest of an advert that changes nothing.
	reading  time.Duration
	datagram vrrp.Datagram
	received vrrp.Received
	effects  []vrrp.Effect

	history  history
	since    time.Time
	armed    time.Duration
	lateness time.Duration
	unread   int
	retryAt  time.Duration
	renewAt  time.Duration // signs of life are due
	groupAt  time.Duration // a group's hold-off ends

	stopping bool
	handing  *HandOver
	// handingAt is when that was asked, handBy when hooks are not waited for any longer.
	handingAt, handBy time.Duration
	inherit           inherit
	spoken            spoken
	hasty             bool          // nobody is waited for
	stopAt            time.Duration // give up waiting for last answers

	stats struct {
		turns, stalls, stale uint64
		worst                time.Duration
	}
}

// New makes a loop for a validated configuration. Nothing happens before the
// first Turn.
func New(cfg *Config, ports Ports) *Loop {
	l := &Loop{ports: ports, cfg: &Config{Node: cfg.Node},
		// A thousand answers can come while one turn runs; senders beyond that wait.
		inbox: make(chan Input, 1024), done: make(chan struct{}),
		byID: map[actions.RouterID]*router{}, claims: map[claim]int{}, byCheck: map[checks.ID]*check{}, byGroup: map[actions.GroupID]*service{}, orderAt: vrrp.Never, links: map[string]*link{}, byIndex: map[int]*link{},
		groups: map[string]*group{}, armed: vrrp.Never, retryAt: vrrp.Never, groupAt: vrrp.Never, renewAt: vrrp.Never, stopAt: vrrp.Never, handBy: vrrp.Never, since: ports.Clock.Wall()}
	l.onPacket = l.packet
	l.orders.list = append(l.orders.list, ports.Ordered...)
	l.inherit, l.spoken = newInherit(ports.Handoff), newSpoken(ports.StandIn)
	l.history.load(ports.Past)
	l.reload(ports.Clock.Now(), cfg)
	l.tellGone()
	l.inherit = newInherit(nil) // what a later reload adds has no past
	l.spoken.done = l.spoken.mute == 0
	l.armOrders(ports.Clock.Now())
	return l
}

// Post hands an input to the loop, from any goroutine but the loop's own. It
// waits only while a thousand inputs are queued. After the loop's end it does nothing.
func (l *Loop) Post(in Input) {
	select {
	case l.inbox <- in:
		l.ports.Wire.Wake()
	case <-l.done:
	}
}

// Run turns the loop on the calling goroutine, locked to its thread, until a
// Stop has been carried out (nil) or ctx has ended (its error). On a cancelled
// ctx Actives say goodbye and leave without waiting for a successor.
func (l *Loop) Run(ctx context.Context) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(l.done)
	defer context.AfterFunc(ctx, l.ports.Wire.Wake)()
	for {
		if ctx.Err() != nil && !l.stopping {
			l.stop(l.ports.Clock.Now(), Stop{Detail: "context ended"})
		}
		next, finished := l.Turn()
		if finished {
			return ctx.Err()
		}
		l.ports.Wire.Wait(next)
	}
}

// Turn does everything that can be done now and returns the instant at which
// it wants to be called again at the latest. finished reports that a Stop has
// been carried out: every router has left and every address is off.
func (l *Loop) Turn() (next time.Duration, finished bool) {
	l.stats.turns++
	now := l.ports.Clock.Now()
	l.judgeLateness(now)
	l.reading = now
	if more := l.ports.Wire.Receive(packetBudget, l.onPacket); more {
		l.unread++
	} else {
		l.unread = 0
	}
	now = l.ports.Clock.Now()
	l.expire(now)
	l.conclude(now)
	l.ports.Wire.Flush()
	l.runChecks(now)
	l.runServices(now)
	if now >= l.renewAt {
		l.renew(now)
	}
	if now >= l.orderAt {
		l.expireOrders(now)
	}
	more := l.drainInputs()
	if now >= l.retryAt {
		l.retry(now)
	}
	if l.untidy {
		l.tidy(now)
	}
	l.conclude(now)
	l.ports.Wire.Flush()
	l.dismissStandIn()
	if l.handOver(now) {
		l.ports.Wire.Flush()
		return vrrp.Never, true
	}
	if l.stopping && l.left(now) {
		for _, r := range l.routers {
			if r.cfg.VirtualMAC {
				l.forgetWish(r) // the addresses are off, the macvlan is not
			}
		}
		return vrrp.Never, true
	}
	l.armed = min(l.due.next(), l.checkDue.next(), l.serviceDue.next(), l.orderAt, l.renewAt, l.retryAt, l.groupAt, l.stopAt, l.handBy)
	if more || l.unread > 0 {
		return now, false
	}
	return l.armed, false
}

// conclude carries out what follows from the steps taken: sync groups decide,
// service groups are steered, routers learn what groups allow. Each may concern
// the others, so it goes on until all agree.
func (l *Loop) conclude(now time.Duration) {
	for {
		l.decide(now)
		l.serve(now)
		l.reevaluate(now)
		if len(l.undecided) == 0 && len(l.unserved) == 0 && len(l.toAssess) == 0 {
			return
		}
	}
}

// judgeLateness compares this turn with the deadline it was wanted for. A loop
// that was away for long must not trust its own view (design: the stall rule);
// the routers are told before they see what piled up meanwhile.
func (l *Loop) judgeLateness(now time.Duration) {
	l.lateness = 0
	if now <= l.armed {
		return
	}
	l.lateness = now - l.armed
	l.stats.worst = max(l.stats.worst, l.lateness)
	if l.lateness < stallFloor {
		return
	}
	stalls := uint64(0)
	for _, r := range l.routers {
		before := r.fsm.Stalls()
		l.step(now, r, vrrp.Stall{Late: l.lateness})
		stalls += r.fsm.Stalls() - before
	}
	if stalls > 0 {
		l.stats.stalls++
	}
}

// expire lets every router whose deadline has come react.
func (l *Loop) expire(now time.Duration) {
	batch := 0
	for l.due.next() <= now {
		r := l.due.first().router
		// Adverts that have not been read could be the ones a Backup misses.
		if l.unread > 0 && l.unread < starved && r.fsm.State() == vrrp.Backup {
			l.setAside = append(l.setAside, r)
			l.due.remove(&r.slot)
			continue
		}
		l.step(now, r, vrrp.Timeout{})
		if batch++; batch == sendBatch {
			batch = 0
			l.ports.Wire.Flush()
		}
	}
	for i, r := range l.setAside {
		l.due.add(&r.slot)
		l.setAside[i] = nil
	}
	l.setAside = l.setAside[:0]
}

// step is the only place where a router is stepped.
func (l *Loop) step(now time.Duration, r *router, ev vrrp.Event) {
	l.effects = r.fsm.Step(now, ev, l.effects[:0])
	if d := r.fsm.Deadline(); d != r.deadline {
		r.deadline = d
		if r.heapIndex >= 0 {
			l.due.fix(&r.slot)
		}
	}
	if len(l.effects) > 0 {
		l.carryOut(now, r)
		r.group.changed(l)
		r.service.touch(l)
	}
}

// drainInputs takes what others have posted, up to a bound.
func (l *Loop) drainInputs() (more bool) {
	for range inputBudget {
		select {
		case in := <-l.inbox:
			l.onInput(l.ports.Clock.Now(), in)
		default:
			return false
		}
	}
	return len(l.inbox) > 0
}

func (l *Loop) onInput(now time.Duration, in Input) {
	switch v := in.(type) {
	case actions.LinkChanged:
		l.onLink(now, v)
	case vrrp.SocketReady:
		l.onSocket(now, v)
	case actions.Applied:
		l.onApplied(now, v)
	case actions.Restored:
		l.onRestored(v)
	case actions.Announced:
		l.onAnnounced(now, v)
	case actions.Claimed:
		l.onClaimed(now, v)
	case actions.HookDone:
		l.onHookDone(now, v)
	case checks.Done:
		l.onProbed(now, v)
	case actions.Done:
		l.onStepDone(now, v.Group, v)
	case actions.Progress:
		l.onStepDone(now, v.Group, v)
	case HandOver:
		l.handing, l.handingAt = &v, 0
	case Command:
		v.Reply <- l.command(now, v)
	case Reload:
		v.Reply <- l.reload(now, v.Config)
	case StatusQuery:
		v.Reply <- l.status(now, v)
	case HistoryQuery:
		v.Reply <- l.history.query(v.Name, v.Limit)
	case Ping:
		v.Reply <- struct{}{}
	case Stop:
		l.stop(now, v)
	default:
		panic(fmt.Sprintf("daemon: unknown input %T", in))
	}
}

func (l *Loop) log(level slog.Level, text string, attrs ...slog.Attr) {
	l.ports.Journal.Log(Line{Level: level, Text: text, Attrs: attrs})
}
