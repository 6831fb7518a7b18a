package vrrp

import (
	"net/netip"
	"slices"
	"time"
)

// The timers of a router. Deadline is their minimum.
type timer uint8

const (
	timerAdver      timer = iota // Active: Adver_Timer
	timerActiveDown              // Backup: Active_Down_Timer
	timerHold                    // Backup: preempt delay
	timerListen                  // Active after a stall: silence before speaking again
	timerYield                   // Active leaving: longest wait for a successor
	timerLinger                  // Active leaving: successor heard, addresses stay a moment
	timerRepeat                  // Active: an announcement that was held back
	timerSettle                  // Initialize: the link has come up, not long enough ago
	timerLink                    // Backup or Active: the link has been lost, not long enough ago
	numTimers
)

const (
	// grid is what advertisement deadlines are rounded up to, so that what is
	// due in the same millisecond leaves in one system call. Intervals are
	// multiples of 10 ms, so the rounding happens once and does not drift.
	grid = time.Millisecond
	// answerGap is the shortest time between two immediate advertisements in
	// answer to a losing one, so that forged ones are not amplified; half an
	// interval if that is shorter (reference/vrrp.md 4.3).
	answerGap = 100 * time.Millisecond
	// consoleGap is the same for answers to priority 0. Backups that hear a
	// resignation take over after Skew_Time unless they hear us, so every one is
	// answered, but not a thousand in a burst.
	consoleGap = time.Millisecond
	// repeatGap is the shortest time between two repeated announcements.
	repeatGap = time.Second
	// yieldSlack and yieldMax bound how long a leaving Active waits. A Backup
	// waits at most one interval (Skew_Time of priority 1 is 255/256 of it).
	yieldSlack = 100 * time.Millisecond
	yieldMax   = 10 * time.Second
	// linger is how long a leaving Active keeps its addresses after the
	// successor's first advertisement. RFC 9568 has the successor advertise
	// first and take the addresses after; a client must find one of us meanwhile.
	linger = 20 * time.Millisecond
)

// Router is the election of one virtual router: RFC 9568 section 6.4 as a
// value. The zero Router is not usable; see New. Used from one goroutine.
type Router struct {
	spec     Spec
	state    State
	priority uint8 // effective; spec.Priority until SetPriority
	source   netip.Addr
	fault    Fault
	detail   string
	over     Fault // the last fault, while what follows from its end is not told yet
	stopped  bool  // after Shutdown: never starts again
	yielding bool
	asking   bool          // the yield is a question: without a better one it ends by itself
	asked    time.Duration // when it began
	leaving  Reason        // of a yield: why, if nobody takes over
	lost     LinkState     // the fault that timerLink waits with
	ready    bool          // won, and the Group decides; won says how
	won      Reason
	aside    bool          // moved away: whoever took over is not preempted
	recalled *Memory       // of the process before, until the link is known
	stalled  time.Duration // length of the stall that timerListen answers

	activeInterval time.Duration // Active_Adver_Interval
	following      bool          // activeInterval has been learned from an Active
	timers         [numTimers]time.Duration
	next           time.Duration // the minimum of timers

	term     uint64
	reason   Reason
	promoted Cause         // of the last promotion
	since    time.Duration // of the last transition
	started  time.Duration // when it left Initialize
	heard    Heard
	before   netip.Addr // who was Active before us, as far as heard
	resigned netip.Addr // who sent priority 0 last, while its Skew_Time runs
	grant    time.Duration
	learned  ChecksumForm
	sent     time.Duration // our last advertisement
	answered time.Duration // our last immediate one, to a losing router
	consoled time.Duration // and to one that gave up
	repeated time.Duration // our last repeated announcement

	peers    []PeerView
	counters Counters
}

// New returns a router in Initialize that waits for its first LinkState. The
// spec must be valid; the configuration has checked it.
func New(spec Spec) Router {
	r := Router{spec: spec, priority: spec.Priority, fault: FaultPending,
		activeInterval: spec.Interval, answered: -answerGap, consoled: -answerGap, repeated: -repeatGap}
	for t := range r.timers {
		r.timers[t] = Never
	}
	r.next = Never
	return r
}

// Step lets the router react to one event at the instant now and appends what
// should be done to fx, in order. now never goes backwards.
func (r *Router) Step(now time.Duration, ev Event, fx []Effect) []Effect {
	switch e := ev.(type) {
	case LinkState:
		fx = r.onLink(now, e, fx)
	case SetPriority:
		fx = r.onPriority(now, e, fx)
	case Configure:
		fx = r.onConfigure(now, e, fx)
	case Shutdown:
		fx = r.onShutdown(now, e, fx)
	case Stall:
		fx = r.onStall(now, e, fx)
	case *Received:
		fx = r.received(now, e, fx)
	case Timeout:
		fx = r.timeout(now, fx)
	case Promote:
		if r.ready {
			fx = r.enterActive(now, r.won, fx)
		}
	case Demote:
		fx = r.onDemote(now, e, fx)
	case PeerLeft:
		r.onPeerLeft(now, e)
	case Challenged:
		fx = r.onChallenged(now, e, fx)
	case Moved:
		fx = r.onMoved(now, fx)
	case StepAside:
		fx = r.onStepAside(now, e, fx)
	case TakeOver:
		fx = r.onTakeOver(now, e, fx)
	case Return:
		r.aside = false
	case LetGo:
		fx = r.onLetGo(now, fx)
	}
	r.next = slices.Min(r.timers[:])
	return fx
}

func (r *Router) received(now time.Duration, e *Received, fx []Effect) []Effect {
	fx, ok := r.screen(e, fx)
	if !ok {
		return fx
	}
	fx = r.compare(e, fx)
	if r.state == Backup {
		return r.backupReceived(now, e, fx)
	}
	return r.activeReceived(now, e, fx)
}

func (r *Router) timeout(now time.Duration, fx []Effect) []Effect {
	if r.due(timerLink, now) { // the wait is over, and the link did not come back
		return r.leave(now, Reason{Cause: r.lost.Fault.cause(), Detail: r.lost.Detail}, fx)
	}
	switch r.state {
	case Initialize:
		if r.due(timerSettle, now) {
			fx = r.startup(now, fx)
		}
	case Backup:
		fx = r.backupTimeout(now, fx)
	case Active:
		fx = r.activeTimeout(now, fx)
	}
	return fx
}

// Deadline returns the instant at which the router wants a Timeout, or Never.
func (r *Router) Deadline() time.Duration { return r.next }

func (r *Router) arm(t timer, at time.Duration) { r.timers[t] = at }
func (r *Router) disarm(ts ...timer) {
	for _, t := range ts {
		r.timers[t] = Never
	}
}
func (r *Router) due(t timer, now time.Duration) bool { return r.timers[t] <= now }

// onGrid rounds up to the advertisement grid.
func onGrid(t time.Duration) time.Duration { return (t + grid - 1) / grid * grid }

func (r *Router) become(now time.Duration, to State, why Reason, fx []Effect) []Effect {
	why.Priority = r.priority
	from := r.state
	r.recalled = nil
	r.term++
	r.state, r.reason, r.since = to, why, now
	return append(fx, Effect{Kind: Become, From: from, To: to, Term: r.term, Reason: why})
}

func (r *Router) send(now time.Duration, priority uint8, fx []Effect) []Effect {
	r.sent = now
	r.counters.AdvertisementSent++
	if priority == PriorityStop {
		r.counters.PriorityZeroSent++
	}
	return append(fx, Effect{Kind: Send, Priority: priority})
}

// screen refuses what must not reach the state machine: anything in Initialize,
// and adverts from our own address. Those are ours come back from a reflecting
// switch, or, with any other content, a duplicate address on the link.
func (r *Router) screen(e *Received, fx []Effect) ([]Effect, bool) {
	a := &e.Advert
	switch {
	case r.state == Initialize:
		r.counters.Refuse(DropNotReady)
		if r.fault.Peaceful() && a.Priority != PriorityStop && e.Src != r.source {
			r.remember(e) // for people: who serves while this host may not
		}
		return fx, false
	case e.Src != r.source:
		return fx, true
	case (a.Priority == r.priority || a.Priority == PriorityStop) && a.Interval == r.spec.Interval &&
		slices.Equal(a.Addresses, r.spec.Addresses):
		r.counters.Refuse(DropOwnLooped)
		return fx, false
	}
	r.counters.Refuse(DropDuplicateSource)
	return append(fx, r.tell(NoticeDuplicateSource, e)), false
}

// compare counts and tells what differs from us but must not drop (rows 15, 17,
// 18 of the validation order), and learns the checksum form.
func (r *Router) compare(e *Received, fx []Effect) []Effect {
	a := &e.Advert
	r.counters.AdvertisementRcvd++
	if a.Priority == PriorityStop {
		r.counters.PriorityZeroRcvd++
	}
	if a.Interval != r.spec.Interval {
		r.counters.IntervalErrors++
		fx = append(fx, r.tell(NoticeInterval, e))
	}
	same := sameSet(a.Addresses, r.spec.Addresses)
	if !same {
		r.counters.AddressListErrors++
		kind := NoticeAddressList
		if disjoint(a.Addresses, r.spec.Addresses) {
			kind = NoticeForeignGroup
		}
		fx = append(fx, r.tell(kind, e))
	}
	r.meet(e, same)
	if r.priority == PriorityOwner && a.Priority == PriorityOwner {
		r.counters.OwnerConflicts++
		fx = append(fx, r.tell(NoticeOwnerConflict, e))
	}
	if r.spec.Family == IPv4 && r.spec.V() == Version3 && e.Form != r.Form() {
		r.counters.ChecksumFormOther++
		kind := NoticeChecksumForm
		if r.spec.Checksum != ChecksumAuto || r.learned != FormUnknown {
			kind = NoticeChecksumMixed
		}
		if r.spec.Checksum == ChecksumAuto {
			r.learned = e.Form
		}
		fx = append(fx, r.tell(kind, e))
	} else if r.spec.Checksum == ChecksumAuto {
		r.learned = e.Form
	}
	return fx
}

func (r *Router) tell(k NoticeKind, e *Received) Effect {
	return Effect{Kind: Tell, Notice: Notice{Kind: k, Peer: e.Src, PeerPriority: e.Advert.Priority,
		Interval: e.Advert.Interval, Form: e.Form}}
}

func (r *Router) remember(e *Received) {
	r.heard = Heard{Src: e.Src, Priority: e.Advert.Priority, Interval: e.Advert.Interval, Form: e.Form, At: e.At}
}

func (r *Router) evidence(now time.Duration, why Reason) Reason {
	why.Peer, why.PeerPriority = r.heard.Src, r.heard.Priority
	why.Silence = now - r.started
	if r.heard.Src.IsValid() {
		why.Silence = now - r.heard.At
	}
	return why
}

// preempts: the owner always does (6.1).
func (r *Router) preempts() bool {
	return (r.spec.Preempt || r.priority == PriorityOwner) && !r.aside
}

// skewTime: version 2 does not scale it by the interval (RFC 3768 6.1).
func (r *Router) skewTime() time.Duration {
	if r.spec.V() == Version2 {
		return SkewTime(time.Second, r.priority)
	}
	return SkewTime(r.activeInterval, r.priority)
}

// skewStep is what one step of priority changes of Skew_Time.
func (r *Router) skewStep() time.Duration {
	if r.spec.V() == Version2 {
		return time.Second / 256
	}
	return r.activeInterval / 256
}

func (r *Router) downInterval() time.Duration { return 3*r.activeInterval + r.skewTime() }

// sameSet compares two short address lists regardless of order (7.1: the order
// is a troubleshooting aid, not a condition). The common case, equal order,
// costs one pass and nothing allocates.
func sameSet(a, b []netip.Addr) bool {
	if len(a) != len(b) {
		return false
	}
	if slices.Equal(a, b) {
		return true
	}
	for _, x := range a {
		if !slices.Contains(b, x) {
			return false
		}
	}
	for _, x := range b {
		if !slices.Contains(a, x) {
			return false
		}
	}
	return true
}
