package vrrp_test

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// The instants of all tests begin here and not at zero, so that nothing works
// by the accident of a small clock. It is a multiple of a millisecond, like
// the advertisement grid.
const epoch = 90 * time.Second

// The cast of reference/vrrp.md 8.0: the device under test and its tester.
var (
	self4  = netip.MustParseAddr("10.0.0.1")
	peer4  = netip.MustParseAddr("10.0.0.3")
	lower4 = netip.MustParseAddr("10.0.0.0")
	vip4   = netip.MustParseAddr("10.0.0.253")
	self6  = netip.MustParseAddr("fe80::ff:fe00:1")
	peer6  = netip.MustParseAddr("fe80::ff:fe00:3")
	lower6 = netip.MustParseAddr("fe80::1")
	vips6  = addrs("fe80::53", "2001:db8::53")
)

const (
	ms = time.Millisecond
	s  = time.Second
)

func addrs(texts ...string) []netip.Addr {
	list := make([]netip.Addr, len(texts))
	for i, text := range texts {
		list[i] = netip.MustParseAddr(text)
	}
	return list
}

// spec4 is the default configuration of section 8.0, with what the daemon's
// configuration turns on for version 3; change what the test is about.
func spec4(change ...func(*vrrp.Spec)) vrrp.Spec {
	sp := vrrp.Spec{VRID: 52, Family: vrrp.IPv4, Priority: 100, Interval: s, Preempt: true, Addresses: []netip.Addr{vip4},
		AnswerLower: true, Farewell: true}
	for _, f := range change {
		f(&sp)
	}
	return sp
}

func spec6(change ...func(*vrrp.Spec)) vrrp.Spec {
	sp := spec4(change...)
	sp.VRID, sp.Family, sp.Addresses = 53, vrrp.IPv6, vips6
	return sp
}

func priority(p uint8) func(*vrrp.Spec)            { return func(sp *vrrp.Spec) { sp.Priority = p } }
func interval(d time.Duration) func(*vrrp.Spec)    { return func(sp *vrrp.Spec) { sp.Interval = d } }
func holdTime(d time.Duration) func(*vrrp.Spec)    { return func(sp *vrrp.Spec) { sp.PreemptDelay = d } }
func sends(p vrrp.ChecksumPolicy) func(*vrrp.Spec) { return func(sp *vrrp.Spec) { sp.Checksum = p } }
func serving(list ...netip.Addr) func(*vrrp.Spec) {
	return func(sp *vrrp.Spec) { sp.Addresses = list }
}
func settling(d time.Duration) func(*vrrp.Spec) { return func(sp *vrrp.Spec) { sp.Settle = d } }
func linkDelay(d time.Duration) func(*vrrp.Spec) {
	return func(sp *vrrp.Spec) { sp.LinkDownDelay = d }
}
func noPreempt(sp *vrrp.Spec)  { sp.Preempt = false }
func noFarewell(sp *vrrp.Spec) { sp.Farewell = false }
func grouped(sp *vrrp.Spec)    { sp.Grouped = true }

// spec2 is the same router in version 2; RFC 3768's own profile, which discards
// losing adverts without an answer.
func spec2(change ...func(*vrrp.Spec)) vrrp.Spec {
	rfc3768 := func(sp *vrrp.Spec) {
		sp.Version, sp.VRID, sp.AnswerLower, sp.Farewell = vrrp.Version2, 51, false, false
	}
	return spec4(append([]func(*vrrp.Spec){rfc3768}, change...)...)
}

func secret(text string) func(*vrrp.Spec) {
	return func(sp *vrrp.Spec) { copy(sp.Secret[:], text) }
}
func verifying(sp *vrrp.Spec) { sp.VerifyAddresses = true }
func unicast(peer netip.Addr, minTTL uint8) func(*vrrp.Spec) {
	return func(sp *vrrp.Spec) { sp.Peers = append(sp.Peers, vrrp.Peer{Addr: peer, MinTTL: minTTL}) }
}

// rig is one router in virtual time. Every step it takes is judged by the
// invariants of invariant_test.go, whatever the test itself is about.
type rig struct {
	t    testing.TB
	r    vrrp.Router
	now  time.Duration
	laws laws
}

// newRig returns a router that is still in Initialize.
func newRig(t testing.TB, sp vrrp.Spec) *rig {
	return &rig{t: t, r: vrrp.New(sp), now: epoch}
}

// started returns a router after its first LinkState: Backup, or Active if owner.
func started(t testing.TB, sp vrrp.Spec) *rig {
	g := newRig(t, sp)
	g.linkUp()
	return g
}

// promoted returns a router that became Active in silence.
func promoted(t testing.TB, sp vrrp.Spec) *rig {
	g := started(t, sp)
	if g.r.State() != vrrp.Active {
		g.until(vrrp.Active)
	}
	// Let the millisecond of the promotion pass, so that the first Adver_Timer
	// does not blur what the test measures.
	g.wait(g.r.Deadline() - g.now)
	return g
}

// heard returns a Backup that has accepted one advertisement of priority 150.
func heard(t testing.TB, sp vrrp.Spec) *rig {
	g := started(t, sp)
	g.recv(g.peer(), 150, s)
	g.state(vrrp.Backup)
	return g
}

func (g *rig) self() netip.Addr { return pick(g, self4, self6) }
func (g *rig) peer() netip.Addr { return pick(g, peer4, peer6) }
func (g *rig) low() netip.Addr  { return pick(g, lower4, lower6) }

func pick(g *rig, v4, v6 netip.Addr) netip.Addr {
	if g.r.Spec().Family == vrrp.IPv4 {
		return v4
	}
	return v6
}

func (g *rig) step(ev vrrp.Event) []vrrp.Effect {
	g.t.Helper()
	before := g.r.View()
	fx := g.r.Step(g.now, ev, nil)
	if err := g.laws.judge(g.now, &before, ev, fx, &g.r); err != nil {
		g.t.Fatalf("at %v, %T %+v: %v\neffects: %s", g.now-epoch, ev, ev, err, brief(fx))
	}
	return fx
}

func (g *rig) linkUp() []vrrp.Effect {
	g.t.Helper()
	return g.step(vrrp.LinkState{Source: g.self()})
}

// advert is a valid advertisement of a peer that is configured like us.
func (g *rig) advert(src netip.Addr, priority uint8, interval time.Duration) *vrrp.Received {
	sp := g.r.Spec()
	return &vrrp.Received{Src: src, At: g.now, Form: g.r.Form(),
		TTL:    vrrp.HopLimit,
		Advert: vrrp.Advert{Version: sp.V(), VRID: sp.VRID, Priority: priority, Interval: interval, Addresses: sp.Addresses}}
}

func (g *rig) recv(src netip.Addr, priority uint8, interval time.Duration) []vrrp.Effect {
	g.t.Helper()
	return g.step(g.advert(src, priority, interval))
}

// stamped is an effect and when it came.
type stamped struct {
	at time.Duration
	vrrp.Effect
}

// wait lets d pass, firing each timer at its very instant.
func (g *rig) wait(d time.Duration) []stamped {
	g.t.Helper()
	return g.advance(g.now+d, true)
}

// advance runs the timers due before end, and those due at end if inclusive.
func (g *rig) advance(end time.Duration, inclusive bool) []stamped {
	g.t.Helper()
	var all []stamped
	for due := g.r.Deadline(); due < end || inclusive && due == end; due = g.r.Deadline() {
		g.now = max(g.now, due)
		for _, e := range g.step(vrrp.Timeout{}) { // judge fails on a deadline not in the future
			all = append(all, stamped{g.now, e})
		}
	}
	g.now = end
	return all
}

// until runs the timers until the state is reached and returns how long it took.
func (g *rig) until(want vrrp.State) time.Duration {
	g.t.Helper()
	from := g.now
	for range 100_000 {
		if g.r.State() == want {
			return g.now - from
		}
		if g.r.Deadline() == vrrp.Never {
			break
		}
		g.now = max(g.now, g.r.Deadline())
		g.step(vrrp.Timeout{})
	}
	g.t.Fatalf("never reached %v: still %v", want, g.r.State())
	return 0
}

func (g *rig) state(want vrrp.State) {
	g.t.Helper()
	if g.r.State() != want {
		g.t.Fatalf("state is %v, want %v (%v)", g.r.State(), want, g.r.View().Reason)
	}
}

func (g *rig) cause(want vrrp.Cause) {
	g.t.Helper()
	if got := g.r.View().Reason.Cause; got != want {
		g.t.Fatalf("the last transition's cause is %v, want %v", got, want)
	}
}

// want compares the effects of a step with their brief form, all of them and in order.
func (g *rig) want(fx []vrrp.Effect, want string) {
	g.t.Helper()
	if got := brief(fx); got != want {
		g.t.Fatalf("effects:\n got %q\nwant %q", got, want)
	}
}

func (g *rig) took(got, want time.Duration) {
	g.t.Helper()
	if got != want {
		g.t.Fatalf("took %v, want exactly %v", got, want)
	}
}

// counts checks one counter.
func (g *rig) counts(name string, got, want uint64) {
	g.t.Helper()
	if got != want {
		g.t.Fatalf("counter %s is %d, want %d", name, got, want)
	}
}

// adverts returns the instants and priorities of what was sent.
func adverts(fx []stamped) (at []time.Duration, priorities []uint8) {
	for _, e := range fx {
		if e.Kind == vrrp.Send {
			at, priorities = append(at, e.at), append(priorities, e.Priority)
		}
	}
	return at, priorities
}

func plain(fx []stamped) []vrrp.Effect {
	list := make([]vrrp.Effect, len(fx))
	for i, e := range fx {
		list[i] = e.Effect
	}
	return list
}

func contains(fx []vrrp.Effect, k vrrp.EffectKind) bool {
	return slices.ContainsFunc(fx, func(e vrrp.Effect) bool { return e.Kind == k })
}

func tells(fx []vrrp.Effect, k vrrp.NoticeKind) bool {
	return slices.ContainsFunc(fx, func(e vrrp.Effect) bool { return e.Kind == vrrp.Tell && e.Notice.Kind == k })
}

// brief is the short form of a list of effects: "send 100; backup>active no-response; hold; announce".
func brief(fx []vrrp.Effect) string {
	parts := make([]string, len(fx))
	for i, e := range fx {
		switch e.Kind {
		case vrrp.Send:
			parts[i] = fmt.Sprintf("send %d", e.Priority)
		case vrrp.Become:
			parts[i] = fmt.Sprintf("%v>%v %v", e.From, e.To, e.Reason.Cause)
		case vrrp.Announce:
			parts[i] = "announce"
			if e.Repeat {
				parts[i] = "announce again"
			}
		case vrrp.Tell:
			parts[i] = "tell " + e.Notice.Kind.String()
		default:
			parts[i] = e.Kind.String()
		}
	}
	return strings.Join(parts, "; ")
}

// bothFamilies runs a test for IPv4 and IPv6: the state machine must not know the difference.
func bothFamilies(t *testing.T, test func(t *testing.T, spec func(...func(*vrrp.Spec)) vrrp.Spec)) {
	t.Run("ipv4", func(t *testing.T) { test(t, spec4) })
	t.Run("ipv6", func(t *testing.T) { test(t, spec6) })
}
