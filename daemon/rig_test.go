package daemon_test

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

const (
	ms = time.Millisecond
	s  = time.Second
	// epoch is where the clock of all tests begins.
	epoch = 90 * s
	eth0  = 7
)

var (
	self4 = netip.MustParseAddr("10.0.0.1")
	peer4 = netip.MustParseAddr("10.0.0.3")
	vip4  = netip.MustParseAddr("10.0.0.53")
	self6 = netip.MustParseAddr("fe80::1")
	wall  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	mac   = [6]byte{2, 0, 0, 0, 0, 1}
)

// rig is a loop whose ports only write down what they are asked for. Answers
// come when the test gives them.
type rig struct {
	t    testing.TB
	now  time.Duration
	loop *daemon.Loop
	next time.Duration // what the last Turn asked for
	done bool          // the last Turn said that everything is over

	calls     []string // every port call but Journal and Stats, in order
	sent      []advert
	paths     []vrrp.Path // of sent
	messages  [][]byte
	left      []string // for a stand-in
	wants     []actions.Wanted
	renewed   []int // how many routers each Renew was for
	jobs      []actions.HookJob
	probes    []checks.Job
	announced []actions.Announcement
	lines     []daemon.Line
	records   []daemon.Transition
	queue     []vrrp.Packet
	reads     int // budget of the last Receive
	onRead    func()
}

type advert struct {
	vrid, priority uint8
	at             time.Duration
}

func newRig(t testing.TB, routers ...daemon.RouterConfig) *rig {
	return newRigWith(t, nil, routers...)
}

// newRigWith has the history of an earlier run.
func newRigWith(t testing.TB, past []daemon.Transition, routers ...daemon.RouterConfig) *rig {
	g := &rig{t: t, now: epoch}
	ports := g.ports()
	ports.Past = past
	g.loop = daemon.New(config(routers...), ports)
	return g
}

func (g *rig) ports() daemon.Ports {
	return daemon.Ports{Clock: g, Wire: g, Addresses: g, Announcer: g, Advertiser: g, Runner: g, Prober: g, Journal: g,
		Watch: func(names []string) { g.call("watch %s", strings.Join(names, ",")) }}
}

func config(routers ...daemon.RouterConfig) *daemon.Config {
	slices.SortFunc(routers, func(a, b daemon.RouterConfig) int { return strings.Compare(a.Name, b.Name) })
	return &daemon.Config{Node: "h1", Routers: routers}
}

// web is a router like a configuration file would make it.
func web(change ...func(*daemon.RouterConfig)) daemon.RouterConfig {
	c := daemon.RouterConfig{Name: "web", Interface: "eth0",
		Spec: vrrp.Spec{VRID: 52, Family: vrrp.IPv4, Priority: 100, Interval: s, Preempt: true, Addresses: []netip.Addr{vip4},
			AnswerLower: true, Farewell: true},
		Addresses: held(netip.PrefixFrom(vip4, 24)), Accept: true}
	for _, f := range change {
		f(&c)
	}
	return c
}

func named(name string, vrid uint8, last byte) func(*daemon.RouterConfig) {
	return func(c *daemon.RouterConfig) {
		c.Name, c.Spec.VRID = name, vrid
		a := netip.AddrFrom4([4]byte{10, 0, 0, last})
		c.Spec.Addresses, c.Addresses = []netip.Addr{a}, held(netip.PrefixFrom(a, 24))
	}
}

// held makes addresses of prefixes.
func held(prefixes ...netip.Prefix) (out []actions.Address) {
	for _, p := range prefixes {
		out = append(out, actions.Address{Prefix: p})
	}
	return out
}

// ready is the answer to a wish for the family's own group.
func ready(link int, f vrrp.Family, err ...string) vrrp.SocketReady {
	return vrrp.SocketReady{Listening: vrrp.Listening{Link: link, Family: f, Group: f.Group()}, Err: strings.Join(err, "")}
}

func priority(p uint8) func(*daemon.RouterConfig) {
	return func(c *daemon.RouterConfig) { c.Spec.Priority = p }
}

func hooked(names ...string) func(*daemon.RouterConfig) {
	return func(c *daemon.RouterConfig) {
		for _, n := range names {
			c.Hooks = append(c.Hooks, actions.HookSpec{Name: n, Command: []string{"/bin/true"}, Timeout: s,
				On: actions.OnActive | actions.OnBackup | actions.OnInitialize | actions.OnFault})
		}
	}
}

// level is the link as the watcher reports it.
func level(change ...func(*actions.LinkChanged)) actions.LinkChanged {
	l := actions.LinkChanged{Name: "eth0", Index: eth0, Up: true, MAC: mac, MTU: 1500, Addresses: []actions.LinkAddress{
		{Prefix: netip.PrefixFrom(self4, 24)}, {Prefix: netip.PrefixFrom(self6, 64)}}}
	for _, f := range change {
		f(&l)
	}
	return l
}

// up brings link and sockets to where the routers start.
func (g *rig) up() *rig {
	g.post(level(), ready(eth0, vrrp.IPv4), ready(eth0, vrrp.IPv6))
	return g
}

// active lets the Active_Down_Timer run out and the kernel add the addresses.
func (g *rig) active() *rig {
	g.t.Helper()
	g.up()
	g.wait(4 * s)
	if g.status("").Routers[0].State != "active" {
		g.t.Fatalf("not active: %s", g.history())
	}
	g.apply()
	return g
}

// post queues inputs and turns until the loop is content.
func (g *rig) post(in ...daemon.Input) {
	g.t.Helper()
	for _, v := range in {
		g.loop.Post(v)
	}
	g.turn()
}

// turn turns the loop until it wants to sleep.
func (g *rig) turn() {
	g.t.Helper()
	for range 1000 {
		if g.next, g.done = g.loop.Turn(); g.done || g.next > g.now {
			return
		}
	}
	g.t.Fatalf("the loop turns and turns without getting anywhere at %v, wants %v", g.now, g.next)
}

// wait lets time pass, turning the loop exactly when it asks for it.
func (g *rig) wait(d time.Duration) {
	g.t.Helper()
	end := g.now + d
	for g.next <= end && !g.done {
		g.now = max(g.now, g.next)
		g.turn()
	}
	g.now = end
}

// apply answers the newest wish of every router as the kernel would.
func (g *rig) apply() {
	g.t.Helper()
	last := map[actions.RouterID]actions.Wanted{}
	for _, w := range g.wants {
		last[w.Router] = w
	}
	for id := actions.RouterID(0); id < 100; id++ {
		if w, ok := last[id]; ok {
			g.post(actions.Applied{Router: w.Router, Term: w.Term, Held: w.Active, Took: ms})
		}
	}
}

func (g *rig) status(name string) daemon.StatusPage {
	g.t.Helper()
	reply := make(chan daemon.StatusPage, 1)
	g.post(daemon.StatusQuery{Name: name, Limit: 1 << 20, Reply: reply})
	return <-reply
}

func (g *rig) state(name string) string {
	g.t.Helper()
	page := g.status(name)
	if len(page.Routers) == 0 {
		return "none"
	}
	return page.Routers[0].State
}

func (g *rig) reload(routers ...daemon.RouterConfig) daemon.Plan {
	g.t.Helper()
	reply := make(chan daemon.Plan, 1)
	g.post(daemon.Reload{Config: config(routers...), Reply: reply})
	return <-reply
}

// history is the list of transitions, for messages and comparisons.
func (g *rig) history() string {
	var b strings.Builder
	seen := map[uint64]bool{}
	for _, r := range g.records {
		if !seen[r.Seq] {
			fmt.Fprintf(&b, "%s %s->%s %s\n", r.Router, r.From, r.To, r.Cause)
		}
		seen[r.Seq] = true
	}
	return b.String()
}

// took returns the calls since the last took.
func (g *rig) took() []string {
	c := g.calls
	g.calls = nil
	return c
}

func (g *rig) wantCalls(want ...string) {
	g.t.Helper()
	if got := g.took(); !slices.Equal(got, want) {
		g.t.Errorf("port calls\n got %q\nwant %q", got, want)
	}
}

// wantCallsButWatch leaves it to the loop how often it says what it watches.
func (g *rig) wantCallsButWatch(want ...string) {
	g.t.Helper()
	g.calls = slices.DeleteFunc(g.calls, func(c string) bool { return strings.HasPrefix(c, "watch") })
	g.wantCalls(want...)
}

func (g *rig) wantHistory(want string) {
	g.t.Helper()
	if got := g.history(); got != want {
		g.t.Errorf("history\n got %s\nwant %s", got, want)
	}
}

// warnings returns the lines of at least a level.
func (g *rig) linesFrom(level slog.Level) (out []string) {
	for _, l := range g.lines {
		if l.Level >= level {
			out = append(out, l.Text)
		}
	}
	return out
}

// receive hands a peer's advert to the wire; turn reads it.
func (g *rig) receive(vrid, prio uint8) {
	g.queue = append(g.queue, vrrp.Packet{Link: eth0, Family: vrrp.IPv4, At: g.now, Data: packet(peer4, vrid, prio, s, vip4)})
}

// packet is a complete IPv4 packet with one advert.
func packet(src netip.Addr, vrid, prio uint8, interval time.Duration, addresses ...netip.Addr) []byte {
	a := vrrp.Advert{Version: vrrp.Version3, VRID: vrid, Priority: prio, Interval: interval, Addresses: addresses}
	path := &vrrp.Path{Family: vrrp.IPv4, Src: src, Dst: vrrp.IPv4.Group(), TTL: vrrp.HopLimit}
	return datagram(path, a.Append(nil, src, path.Dst, vrrp.MessageOnly))
}

// datagram puts an IPv4 header before a message.
func datagram(path *vrrp.Path, msg []byte) []byte {
	b := make([]byte, 20, 20+len(msg))
	b[0], b[1], b[8], b[9] = 0x45, vrrp.TrafficClass, path.TTL, vrrp.ProtocolNumber
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(msg)))
	copy(b[12:], path.Src.AsSlice())
	copy(b[16:], path.Dst.AsSlice())
	return append(b, msg...)
}

// The ports.

func (g *rig) call(format string, args ...any) {
	g.calls = append(g.calls, fmt.Sprintf(format, args...))
}

func (g *rig) Now() time.Duration { return g.now }
func (g *rig) Wall() time.Time    { return wall.Add(g.now - epoch) }

func (g *rig) Listen(w vrrp.Listening) {
	how := ""
	if w.Group != w.Family.Group() {
		how = " " + w.Group.String()
	}
	g.call("listen %d %s%s", w.Link, w.Family, how)
}
func (g *rig) Forget(link int) { g.call("forget %d", link) }
func (g *rig) Receive(budget int, f func(*vrrp.Packet)) bool {
	g.reads = budget
	for range budget {
		if len(g.queue) == 0 {
			return false
		}
		p := g.queue[0]
		g.queue = g.queue[1:]
		f(&p)
		if g.onRead != nil {
			g.onRead()
		}
	}
	return len(g.queue) > 0
}
func (g *rig) Send(path *vrrp.Path, message []byte) {
	g.sent = append(g.sent, advert{message[1], message[2], g.now})
	g.paths, g.messages = append(g.paths, *path), append(g.messages, slices.Clone(message))
	g.call("send %d %d from %s", message[1], message[2], path.Src)
}
func (g *rig) Flush() {}
func (g *rig) Leave(path *vrrp.Path, message []byte, next, every time.Duration) {
	g.left = append(g.left, fmt.Sprintf("%s %x at %s every %s", path.Dst, message, next, every))
}
func (g *rig) Wait(time.Duration)         {}
func (g *rig) Wake()                      {}
func (g *rig) Stats(int) vrrp.SocketStats { return vrrp.SocketStats{} }

func (g *rig) Want(w actions.Wanted) {
	g.wants = append(g.wants, w)
	final := ""
	if w.Final {
		final = " final"
	}
	prefixes := []netip.Prefix{}
	for _, a := range w.Addresses {
		prefixes = append(prefixes, a.Prefix)
	}
	g.call("want %d.%d %v%s", w.Router, w.Term, prefixes, final)
}
func (g *rig) Renew(routers []actions.RouterID) { g.renewed = append(g.renewed, len(routers)) }
func (g *rig) Announce(a actions.Announcement) {
	var list []netip.Addr
	for _, to := range a.Targets {
		list = append(list, to.Addresses...)
	}
	g.announced = append(g.announced, a)
	g.call("announce %d.%d %v once=%t", a.Router, a.Term, list, a.Once)
}
func (g *rig) Advertise(a actions.RouterAdvert) {
	g.call("advertise %d.%d from %s", a.Router, a.Term, a.Source)
}
func (g *rig) Withdraw(r actions.RouterID) { g.call("withdraw %d", r) }

func (g *rig) Cancel(r actions.RouterID) { g.call("cancel %d", r) }
func (g *rig) Run(j actions.HookJob) {
	g.jobs = append(g.jobs, j)
	g.call("run %s %s", j.Spec.Name, env(j, "BACKBEAT_ON"))
}
func (g *rig) Probe(j checks.Job)             { g.probes = append(g.probes, j) }
func (g *rig) Log(l daemon.Line)              { g.lines = append(g.lines, l) }
func (g *rig) Transition(t daemon.Transition) { g.records = append(g.records, t) }

func env(j actions.HookJob, name string) string {
	for _, e := range j.Env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}
