package sim

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// process is one life of the daemon on a host. Its methods are the loop's
// Clock and Wire; kernel.go and hands.go have the other ports.
type process struct {
	host *Host
	loop *daemon.Loop
	cfg  *daemon.Config
	dead bool
	// stopping: asked to leave.
	stopping bool

	turnAt   time.Duration // of the next planned turn, vrrp.Never without
	lastTurn time.Duration
	spins    int // turns at one instant
	inputs   int // posted since the loop was seen to have read all

	sockets map[socket]bool
	rx      []packet
	tx      []frame
	scratch []byte
	watched map[string]bool
	wishes  map[actions.RouterID]*wish

	seen    map[string]*seen // by router name
	speaks  map[key]*seen    // the same by virtual router: the name that had a transition last
	holds   map[key]*wish    // wishes for addresses in force
	changed bool             // states or wishes since the last look
	keys    map[string]key   // of every router name there ever was; a name keeps its VRID
	lastSeq uint64           // of the journal's records
	pending []promise        // adverts sent on the way to Active
	count   struct{ lines, transitions, failures, reloads int }
}

type socket struct {
	link   int
	family vrrp.Family
}

type packet struct {
	link   int
	family vrrp.Family
	data   []byte
	at     time.Duration
}

type frame struct {
	family vrrp.Family
	data   []byte
}

func newProcess(h *Host, cfg *daemon.Config) *process {
	p := &process{host: h, turnAt: vrrp.Never, lastTurn: -1, sockets: map[socket]bool{}, watched: map[string]bool{},
		wishes: map[actions.RouterID]*wish{}, seen: map[string]*seen{}, keys: map[string]key{}, speaks: map[key]*seen{}, holds: map[key]*wish{}}
	p.learn(cfg)
	return p
}

func (p *process) learn(cfg *daemon.Config) {
	p.cfg = cfg
	for i := range cfg.Routers {
		p.keys[cfg.Routers[i].Name] = keyOf(&cfg.Routers[i])
	}
}

func (p *process) begin() {
	p.loop = daemon.New(p.cfg, daemon.Ports{Clock: p, Wire: p, Addresses: p, Announcer: p, Runner: p, Journal: p, Watch: p.watch})
	p.wake()
}

func (p *process) lan() *LAN { return p.host.lan }

// wake plans a turn for now; schedule for an instant of the LAN's clock.
func (p *process) wake() { p.schedule(p.lan().now) }

func (p *process) schedule(at time.Duration) {
	if p.dead || at >= p.turnAt {
		return
	}
	at += p.lan().between(0, p.lan().opt.WakeDelay)
	if at >= p.turnAt {
		return
	}
	p.turnAt = at
	p.lan().queue.push(at, func() { p.fire(at) })
}

func (p *process) fire(at time.Duration) {
	if p.dead || p.turnAt != at {
		return // replaced by an earlier one
	}
	p.turnAt = vrrp.Never
	if p.host.stalled() {
		p.schedule(p.host.resumeAt)
		return
	}
	p.turn()
}

func (p *process) turn() {
	now := p.lan().now
	if p.spins++; p.lastTurn != now {
		p.spins = 0
	}
	p.lastTurn = now
	if p.spins > 1000 {
		p.lan().violate("turns", "%s turns without getting anywhere", p.host.Name)
		return
	}
	next, finished := p.loop.Turn()
	p.inputs = 0
	p.lan().watch.turned(p)
	if finished {
		p.finished()
		return
	}
	if next != vrrp.Never {
		p.schedule(max(next-p.host.offset, now))
	}
	if len(p.rx) > 0 {
		p.wake()
	}
}

// finished: the daemon has stopped; its work must be done.
func (p *process) finished() {
	p.lan().note(p.host, "has stopped")
	p.lan().watch.left(p)
	p.host.endProcess()
	p.lan().watch.disturb()
}

// post hands the loop an input. The loop's inbox holds a thousand; a real
// sender would wait, here it would be waiting for itself.
func (p *process) post(in daemon.Input) {
	if p.dead {
		return
	}
	if p.inputs++; p.inputs > 1000 {
		p.lan().violate("turns", "%s has a thousand unread inputs", p.host.Name)
		return
	}
	p.loop.Post(in)
}

func (p *process) reload(cfg *daemon.Config) {
	p.learn(cfg)
	p.count.reloads++
	p.post(daemon.Reload{Config: cfg, Reply: make(chan daemon.Plan, 1)})
}

// Now is the host's monotonic clock.
func (p *process) Now() time.Duration { return p.lan().now + p.host.offset }

// Wall is the host's wall clock.
func (p *process) Wall() time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(p.lan().now + p.host.wall)
}

// Listen opens a socket. The order of two calls in one turn is not defined, so
// nothing here may draw from the generator.
func (p *process) Listen(link int, family vrrp.Family) {
	p.lan().After(socketDelay+time.Duration(family)*time.Microsecond, func() {
		answer := vrrp.SocketReady{Link: link, Family: family}
		switch {
		case p.dead:
			return
		case p.host.index != link:
			answer.Err = "no such device"
		case p.host.broken:
			answer.Err = "permission denied: run as root"
		default:
			p.sockets[socket{link, family}] = true
		}
		p.post(answer)
	})
}

// Forget closes the sockets of an interface; what is queued is lost.
func (p *process) Forget(link int) {
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		delete(p.sockets, socket{link, f})
	}
	p.rx = slices.DeleteFunc(p.rx, func(x packet) bool { return x.link == link })
}

// Receive hands over what is queued. The buffer is overwritten after each
// packet, so that nobody can keep it unnoticed.
func (p *process) Receive(budget int, f func(*vrrp.Packet)) bool {
	for range budget {
		if len(p.rx) == 0 {
			return false
		}
		x := p.rx[0]
		p.rx = p.rx[1:]
		p.scratch = append(p.scratch[:0], x.data...)
		f(&vrrp.Packet{Link: x.link, Family: x.family, Data: p.scratch, At: x.at + p.host.offset})
		for i := range p.scratch {
			p.scratch[i] = 0xaa
		}
	}
	return len(p.rx) > 0
}

// Send queues a complete IP packet around the message.
func (p *process) Send(link int, family vrrp.Family, src netip.Addr, message []byte) {
	p.lan().watch.sent(p, family, src, message)
	if link != p.host.index {
		return
	}
	p.tx = append(p.tx, frame{family, ipPacket(family, src, message)})
}

// Flush puts what is queued on the medium.
func (p *process) Flush() {
	for _, f := range p.tx {
		p.lan().carry(p.host, f.family, f.data)
	}
	p.tx = p.tx[:0]
}

// Wait is not used: the LAN turns the loop.
func (p *process) Wait(time.Duration) { panic("sim: the loop waits for itself") }

// Wake plans a turn at once.
func (p *process) Wake() { p.wake() }

// Stats has nothing to tell.
func (p *process) Stats(int) vrrp.SocketStats { return vrrp.SocketStats{} }

// ipPacket builds what the receiver's socket hands over, from the IP header on.
func ipPacket(family vrrp.Family, src netip.Addr, message []byte) []byte {
	if family == vrrp.IPv4 {
		b := make([]byte, 20, 20+len(message))
		b[0], b[1], b[8], b[9] = 0x45, vrrp.TrafficClass, vrrp.HopLimit, vrrp.ProtocolNumber
		binary.BigEndian.PutUint16(b[2:], uint16(20+len(message)))
		copy(b[12:], src.AsSlice())
		copy(b[16:], family.Group().AsSlice())
		return append(b, message...)
	}
	b := make([]byte, 40, 40+len(message))
	b[0], b[6], b[7] = 0x60|vrrp.TrafficClass>>4, vrrp.ProtocolNumber, vrrp.HopLimit
	binary.BigEndian.PutUint16(b[4:], uint16(len(message)))
	copy(b[8:], src.AsSlice())
	copy(b[24:], family.Group().AsSlice())
	return append(b, message...)
}
