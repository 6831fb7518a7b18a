package vrrp_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// laws is what holds in every history of a router, whatever happens to it. It
// keeps only what the effects themselves have said so far.
type laws struct {
	held     bool // Hold without Release
	farewell bool // priority 0 sent in this stay in Active, and not taken back
	// until is when what runs must have ended: a yield, and the wait for a lost
	// link; 0 means that none runs.
	yieldUntil, lostUntil time.Duration
	successor             bool // heard during the yield
	asking                bool
}

// longestWait bounds Active_Down_Timer: three intervals (of up to 255 s in
// version 2), the skew of priority 1, and what a shift by SetPriority or a
// grant after a stall may add.
const longestWait = 5 * 255 * s

// judge compares one step with the laws.
func (l *laws) judge(now time.Duration, before *vrrp.View, ev vrrp.Event, fx []vrrp.Effect, r *vrrp.Router) error {
	after := r.View()
	state, term := before.State, before.Term
	l.link(now, before, ev)
	resumed := before.Yielding && !after.Yielding && after.State == vrrp.Active
	if resumed {
		l.farewell = false // what follows is no longer after it
	}
	if err := takesOver(before, &after, ev, fx); err != nil {
		return err
	}
	for i, e := range fx {
		var err error
		switch e.Kind {
		case vrrp.Send:
			if _, late := ev.(vrrp.LetGo); late { // the one word that is said after Active
				err = require(state != vrrp.Active && e.Priority == vrrp.PriorityStop && len(fx) == 1, "let go while Active")
				break
			}
			err = l.sent(e, state, promotes(fx[i+1:]), after.Priority)
		case vrrp.Become:
			err = first(became(e, state, term, after.Priority),
				require(e.To != vrrp.Active || l.lostUntil == 0, "took over on a lost link"))
			if e.To == vrrp.Active || e.From == vrrp.Active {
				l.farewell = false
			}
			state, term = e.To, e.Term
		case vrrp.Hold:
			_, reload := ev.(vrrp.Configure)
			err = first(require(state == vrrp.Active, "hold outside Active"),
				require(!l.held || reload, "hold twice without a reload"), require(e.Term == term, "hold with a stale term"))
			l.held = true
		case vrrp.Release:
			err = first(require(state != vrrp.Active, "release while Active"), require(l.held, "release of nothing"),
				require(e.Term == term, "release with a stale term"))
			l.held = false
		case vrrp.Announce:
			err = first(require(state == vrrp.Active && l.held, "announce without holding"),
				require(e.Term == term, "announce with a stale term"))
		case vrrp.Ready:
			err = first(require(state == vrrp.Backup && after.Ready && after.Spec.Grouped, "ready outside a group's Backup"),
				require(e.Reason.Cause != vrrp.CauseNone, "ready without a cause"), require(l.lostUntil == 0, "ready on a lost link"))
		case vrrp.Tell:
			err = require(e.Notice.Kind > vrrp.NoticeNone && e.Notice.Kind < vrrp.NumNotices, "a notice without a name")
		}
		if err != nil {
			return fmt.Errorf("effect %d (%v): %w", i, e.Kind, err)
		}
	}
	l.bound(now, ev, &after)
	return first(
		require(!resumed || healthy(ev) || before.Asking, "took a yield back for no reason"),
		l.ended(now, ev),
		require(after.State == state, "the state changed without saying so"),
		require(after.Term == term, "the term changed without saying so"),
		require(l.held == (state == vrrp.Active), "addresses held while not Active, or the reverse"),
		require(after.Yielding == (l.farewell && state == vrrp.Active), "yielding without a farewell, or the reverse"),
		require(!before.Stopped || after.Stopped, "a stopped router came back"),
		timersFit(now, ev, &after, r.Deadline(), l.lostUntil != 0),
		require((after.Priority == vrrp.PriorityOwner) == (after.Spec.Priority == vrrp.PriorityOwner) && after.Priority > 0,
			"effective priority is 0, or 255 without ownership"),
	)
}

// link keeps what the router was told of its link.
func (l *laws) link(now time.Duration, before *vrrp.View, ev vrrp.Event) {
	e, ok := ev.(vrrp.LinkState)
	switch {
	case !ok:
	case e.Fault != vrrp.FaultInterfaceDown || before.Spec.LinkDownDelay == 0:
		l.lostUntil = 0
	case l.lostUntil == 0 && before.State != vrrp.Initialize:
		l.lostUntil = now + before.Spec.LinkDownDelay
	}
}

// bound notes until when what has begun must end.
func (l *laws) bound(now time.Duration, ev vrrp.Event, after *vrrp.View) {
	if after.State == vrrp.Initialize {
		l.lostUntil = 0
	}
	switch {
	case !after.Yielding:
		l.yieldUntil, l.successor = 0, false
	case l.yieldUntil == 0 && after.Asking:
		l.yieldUntil, l.asking = now+vrrp.MaxInterval, true // the longest Skew_Time
	case l.yieldUntil == 0 || l.asking && !after.Asking && !l.successor:
		l.yieldUntil, l.asking = now+10*s, false // the longest wait
	}
	if _, ok := ev.(vrrp.StepAside); ok && after.Yielding && l.asking && !l.successor {
		l.yieldUntil = max(l.yieldUntil, now+10*s) // moved while it asks, which is waited for anew
	}
	if e, ok := ev.(*vrrp.Received); ok && l.yieldUntil != 0 && !l.successor && e.Advert.Priority != 0 && e.Src != after.Source {
		l.yieldUntil, l.successor = now+20*ms, true // the linger, once
	}
}

// ended: given its time, a yield is over and a lost link given up.
func (l *laws) ended(now time.Duration, ev vrrp.Event) error {
	if _, ok := ev.(vrrp.Timeout); !ok {
		return nil
	}
	return first(require(l.yieldUntil == 0 || now < l.yieldUntil, "yields for ever"),
		require(l.lostUntil == 0 || now < l.lostUntil, "waits for a lost link for ever"))
}

func healthy(ev vrrp.Event) bool {
	e, ok := ev.(vrrp.LinkState)
	return ok && e.Fault == vrrp.FaultNone
}

// takesOver: who becomes Active must have won, and in a group be promoted; who
// says farewell to a better one must be the worse.
func takesOver(before, after *vrrp.View, ev vrrp.Event, fx []vrrp.Effect) error {
	up, down, sent := false, false, false
	for _, e := range fx {
		up = up || e.Kind == vrrp.Become && e.To == vrrp.Active
		down = down || e.Kind == vrrp.Become && e.To == vrrp.Backup
		sent = sent || e.Kind == vrrp.Send
	}
	_, promote := ev.(vrrp.Promote)
	if up && (promote && !before.Ready || after.Spec.Grouped && !promote) {
		return errors.New("became Active without having won, or without its group")
	}
	if e, ok := ev.(*vrrp.Received); ok && down && sent {
		better := e.Advert.Priority > before.Priority || e.Advert.Priority == before.Priority && e.Src.Compare(before.Source) > 0
		return first(require(better, "a farewell that is better than what was heard"), require(before.Spec.Farewell, "a farewell unasked for"))
	}
	return nil
}

// promotes tells whether the rest of the effects makes the router Active.
func promotes(rest []vrrp.Effect) bool {
	for _, e := range rest {
		if e.Kind == vrrp.Become {
			return e.To == vrrp.Active
		}
	}
	return false
}

func (l *laws) sent(e vrrp.Effect, state vrrp.State, promoting bool, own uint8) error {
	if l.farewell {
		return errors.New("sent something after the farewell")
	}
	if e.Priority == vrrp.PriorityStop {
		l.farewell = true
		return require(state == vrrp.Active, "priority 0 from a router that is not Active")
	}
	return first(require(state == vrrp.Active || promoting, "sent while not Active"),
		require(e.Priority == own, "sent a priority that is not the effective one"))
}

func became(e vrrp.Effect, state vrrp.State, term uint64, own uint8) error {
	return first(
		require(e.From == state, "left a state it was not in"),
		require(e.To != e.From, "went where it was"),
		require(e.Term == term+1, "the term did not grow by one"),
		require(e.Reason.Cause != vrrp.CauseNone, "a transition without a cause"),
		require(e.Reason.Priority == own, "the reason names another priority"),
		require(e.Reason.Silence >= 0, "negative silence"),
		require(e.Reason.Cause != vrrp.CausePreempted && e.Reason.Cause != vrrp.CausePreemptHold || e.Reason.PeerPriority < own,
			"preempted one that is not worse"),
	)
}

// timersFit: every state has the timers that lead out of it, and none else.
func timersFit(now time.Duration, ev vrrp.Event, v *vrrp.View, deadline time.Duration, lost bool) error {
	if _, ok := ev.(vrrp.Timeout); ok && deadline <= now {
		return fmt.Errorf("busy loop: after a timeout at %v the deadline is %v", now, deadline)
	}
	switch v.State {
	case vrrp.Initialize:
		return first(
			require(deadline == v.SettleDue, "a timer runs in Initialize"),
			require(v.Stopped || (v.Fault == vrrp.FaultNone) == (v.SettleDue != vrrp.Never), "stuck in Initialize, or settling on a fault"),
			require(!v.Ready, "ready in Initialize"))
	case vrrp.Backup:
		return first(
			require(v.SettleDue == vrrp.Never, "settles in Backup"),
			require(!v.Ready || v.Spec.Grouped && v.DownDue == vrrp.Never && v.HoldDue == vrrp.Never, "ready, and waits for something else"),
			require(v.Ready || v.DownDue != vrrp.Never && v.DownDue-now <= longestWait, "Backup would wait for ever"),
			require(v.AdverDue == vrrp.Never, "Adver_Timer runs in Backup"),
			require(deadline == min(v.DownDue, v.HoldDue) || lost && deadline < min(v.DownDue, v.HoldDue), "Backup's deadline is neither of its timers"))
	default:
		return first(
			require(v.SettleDue == vrrp.Never && !v.Ready, "settles or is ready as Active"),
			require(deadline != vrrp.Never, "Active without a timer"),
			require(v.DownDue == vrrp.Never && v.HoldDue == vrrp.Never, "a Backup's timer runs in Active"),
			require(!v.Yielding || v.AdverDue == vrrp.Never, "advertises while leaving"),
			require(deadline-now <= v.Spec.Interval+vrrp.MaxInterval, "Active would be silent for ever"))
	}
}

func require(ok bool, otherwise string) error {
	if ok {
		return nil
	}
	return errors.New(otherwise)
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// tape turns bytes into choices; when it is at its end it says 0.
type tape struct{ data []byte }

func (t *tape) next() byte {
	if len(t.data) == 0 {
		return 0
	}
	b := t.data[0]
	t.data = t.data[1:]
	return b
}

func (t *tape) interval() time.Duration {
	choice := []time.Duration{10 * ms, 20 * ms, 100 * ms, 400 * ms, s, 2 * s, vrrp.MaxInterval}
	return choice[int(t.next())%len(choice)]
}

func (t *tape) priority() uint8 {
	choice := []uint8{0, 1, 99, 100, 101, 150, 200, 254, 255}
	if b := t.next(); int(b) < 2*len(choice) {
		return choice[int(b)/2]
	}
	return t.next()
}

func (t *tape) addresses(f vrrp.Family) []netip.Addr {
	list := addrs("10.0.0.253", "10.0.0.252", "10.0.0.251")
	if f == vrrp.IPv6 {
		list = addrs("fe80::53", "2001:db8::53", "2001:db8::54")
	}
	return list[:1+int(t.next())%len(list)]
}

// spec draws a valid configuration. Version and family are the caller's: a
// router does not change them.
func (t *tape) spec(f vrrp.Family, version uint8) vrrp.Spec {
	flags, more := t.next(), t.next()
	sp := vrrp.Spec{Version: version, VRID: 52, Family: f, Priority: max(1, t.priority()), Interval: t.interval(), Preempt: flags&1 == 0,
		PreemptDelay: time.Duration(flags>>4) * 700 * ms * time.Duration(flags>>1&1), Addresses: t.addresses(f),
		Checksum: vrrp.ChecksumPolicy(flags>>2&3) % 3, AnswerLower: more&1 == 0, Farewell: more&2 == 0, Grouped: more&4 != 0}
	if version == vrrp.Version2 {
		sp.Interval = max(s, sp.Interval.Truncate(s))
	}
	if more&8 != 0 {
		sp.Settle = time.Duration(more>>4) * 300 * ms
	}
	if more&16 != 0 {
		sp.LinkDownDelay = sp.Interval * time.Duration(1+more>>5) / 5 // below two intervals
	}
	if flags&0x18 == 0x18 {
		unicast(t.source(f), 255)(&sp)
	}
	return sp
}

func (t *tape) source(f vrrp.Family) netip.Addr {
	last := t.next() % 6 // .1 is the router itself
	if f == vrrp.IPv4 {
		return netip.AddrFrom4([4]byte{10, 0, 0, last})
	}
	return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 11: 0xff, 12: 0xfe, 15: last})
}

// pass moves the clock, to or around the deadline or freely.
func (t *tape) pass(g *rig) {
	due := g.r.Deadline()
	switch b := t.next(); {
	case b < 100 && due != vrrp.Never:
		g.now = max(g.now, due)
	case b < 130 && due != vrrp.Never:
		g.now = max(g.now, due-1)
	case b < 150 && due != vrrp.Never:
		g.now = max(g.now, due) + time.Duration(t.next())*37*ms
	case b < 230:
		g.now += time.Duration(b-100) * 100 * time.Microsecond
	default:
		g.now += time.Duration(t.next()) * 173 * ms
	}
}

// drive lets a router live through the history on the tape, judged at every
// step, and returns the number of steps.
func drive(tb testing.TB, data []byte) int {
	t := &tape{data}
	f := vrrp.IPv4
	if t.next()&1 == 1 {
		f = vrrp.IPv6
	}
	version := uint8(vrrp.Version3)
	if f == vrrp.IPv4 && t.next()&1 == 1 {
		version = vrrp.Version2
	}
	g := newRig(tb, t.spec(f, version))
	steps := 0
	for ; len(t.data) > 0; steps++ {
		t.pass(g)
		switch op := t.next(); {
		case op < 75:
			g.step(vrrp.Timeout{})
		case op < 83:
			g.step(vrrp.Promote{})
		case op < 86:
			g.step(vrrp.Demote{Detail: "another member is Backup"})
		case op < 90:
			g.step(vrrp.PeerLeft{Peer: t.source(f)})
		case op < 93:
			g.step(vrrp.Challenged{Address: g.r.Spec().Addresses[0]})
		case op < 95:
			g.step(vrrp.Moved{})
		case op < 97:
			g.step(vrrp.StepAside{})
		case op < 98:
			g.step(vrrp.TakeOver{})
		case op < 99:
			g.step(vrrp.Return{})
		case op < 101:
			g.step(vrrp.LetGo{})
		case op < 180:
			e := g.advert(t.source(f), t.priority(), t.interval())
			if version == vrrp.Version2 {
				e.Advert.Interval = g.r.Spec().Interval // Validate lets no other through
			}
			e.Form = vrrp.MessageOnly + vrrp.ChecksumForm(op&1)
			e.At -= time.Duration(t.next()) * ms * time.Duration(op>>1&1)
			if op >= 170 {
				e.Advert.Addresses = t.addresses(f)
			}
			g.step(e)
		case op < 205:
			g.linkUp()
		case op < 219:
			faults := []vrrp.Fault{vrrp.FaultInterfaceMissing, vrrp.FaultInterfaceDown, vrrp.FaultGroup, vrrp.FaultNoPrimaryAddress,
				vrrp.FaultInterfaceDown, vrrp.FaultCheck, vrrp.FaultSocket, vrrp.FaultVirtualMAC, vrrp.FaultStandby, vrrp.FaultService}
			g.step(vrrp.LinkState{Fault: faults[int(op-205)%len(faults)]})
		case op < 228:
			g.step(vrrp.SetPriority{Priority: t.priority(), Ask: op&1 == 0})
		case op < 237:
			g.step(vrrp.Configure{Spec: t.spec(f, version), Ask: op&1 == 0})
		case op < 250:
			late := time.Duration(t.next()) * 100 * ms
			g.now += late
			g.step(vrrp.Stall{Late: late})
		case op == 255:
			g.step(vrrp.Shutdown{Cause: vrrp.CauseShutdown, Yield: t.next()&1 == 0})
		default:
			g.step(vrrp.Timeout{})
			g.step(vrrp.Timeout{}) // a spurious one
		}
	}
	return steps
}

// Whatever happens to a router, the laws hold: 150,000 random steps.
//
// The seed of a failing history is printed; put it into the call of NewPCG.
func TestRandomHistories(t *testing.T) {
	const histories, length = 600, 1500
	base := rand.Uint64()
	steps := 0
	for i := range uint64(histories) {
		seed := base + i
		ok := t.Run("", func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			data := make([]byte, length)
			for j := range data {
				data[j] = byte(rng.Uint32())
			}
			defer func() {
				if t.Failed() {
					t.Logf("seed %d", seed)
				}
			}()
			steps += drive(t, data)
		})
		if !ok {
			break
		}
	}
	t.Logf("%d steps, seeds from %d", steps, base)
	if !t.Failed() && steps < 100_000 {
		t.Errorf("only %d steps: the generator makes too little of its bytes", steps)
	}
}
