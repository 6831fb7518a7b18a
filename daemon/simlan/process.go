package simlan

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

const (
	// inboxRoom is how many inputs the loop's inbox takes before a sender would
	// have to wait, and drained how many of them one turn takes out of it.
	inboxRoom = 1000
	drained   = 128
)

// Process is one life of the daemon on a host. Its methods are the loop's
// Clock and Wire; kernel.go and hands.go have the other ports.
type Process struct {
	Host *Host
	// Config is what it runs now.
	Config *daemon.Config
	// Handoff is what the process before has handed over, nil if it has not.
	Handoff *daemon.Handoff
	// Witness is never nil.
	Witness Witness
	// Stopping: it was asked to leave.
	Stopping bool
	// Sockets are open; Unread are the packets in them.
	Sockets map[vrrp.Listening]bool
	Unread  []Packet
	Wishes  map[actions.RouterID]*Wish

	handing chan daemon.Handoff // while it is asked to hand over
	handed  func(bool)
	left    []said // for a stand-in

	loop     *daemon.Loop
	dead     bool
	turnAt   time.Duration // of the next planned turn, vrrp.Never without
	lastTurn time.Duration
	spins    int            // turns at one instant
	inputs   int            // in the loop's inbox
	backlog  []daemon.Input // for which there was no room

	fireNow func() // p.fire, made once
	tx      []*frame
	scratch []byte
	packet  vrrp.Packet
	watched map[string]bool
	lastID  actions.RouterID
	working map[work]*task // jobs of service groups; nil: canceled
	// schedules are what the announcer was asked for last.
	schedules map[actions.RouterID]*actions.Announcement
}

// Packet is one that waits in a socket.
type Packet struct {
	Link   int
	Family vrrp.Family
	Data   []byte
	at     time.Duration
}

func newProcess(h *Host, cfg *daemon.Config, left *daemon.Handoff) *Process {
	p := &Process{Host: h, Config: cfg, Handoff: left, Witness: Blind{}, turnAt: vrrp.Never, lastTurn: -1, Sockets: map[vrrp.Listening]bool{}, watched: map[string]bool{},
		Wishes: map[actions.RouterID]*Wish{}, schedules: map[actions.RouterID]*actions.Announcement{}, working: map[work]*task{}}
	p.fireNow = p.fire
	if born := h.lan.Opt.Born; born != nil {
		p.Witness = born(p)
	}
	p.Witness.Configured(cfg)
	return p
}

func (p *Process) begin() {
	ports := daemon.Ports{Clock: p, Wire: p, Addresses: p, Announcer: p, Advertiser: p, Runner: p, Prober: p, Agents: hands{p}, Journal: p, Watch: p.watch, Handoff: p.Handoff,
		StandIn: p.Host.stoodIn(p.Handoff != nil)}
	if p.lan().Opt.Disks {
		ports.Orders, ports.Ordered, ports.Past = p, slices.Clone(p.Host.Ordered), slices.Clone(p.Host.past)
	}
	p.loop = daemon.New(p.Config, ports)
	p.wake()
}

func (p *Process) lan() *LAN { return p.Host.lan }

// wake plans a turn for now; schedule for an instant of the LAN's clock.
func (p *Process) wake() { p.schedule(p.lan().now) }

func (p *Process) schedule(at time.Duration) {
	if p.dead || at >= p.turnAt {
		return
	}
	at += p.lan().Between(0, p.lan().Opt.WakeDelay)
	if at >= p.turnAt {
		return
	}
	p.turnAt = at
	p.lan().At(at, p.fireNow)
}

func (p *Process) fire() {
	if p.dead || p.turnAt != p.lan().now {
		return // replaced by an earlier one
	}
	p.turnAt = vrrp.Never
	if p.Host.Stalled() {
		p.schedule(p.Host.ResumeAt)
		return
	}
	p.turn()
}

func (p *Process) turn() {
	now := p.lan().now
	if p.spins++; p.lastTurn != now {
		p.spins = 0
	}
	p.lastTurn = now
	if p.spins > 1000 {
		p.lan().Violate("turns", "%s turns without getting anywhere", p.Host.Name)
		return
	}
	next, finished := p.loop.Turn()
	p.inputs -= min(p.inputs, drained)
	p.Witness.Turned()
	if finished {
		p.finished()
		return
	}
	p.refill()
	if next != vrrp.Never {
		p.schedule(max(next-p.Host.Offset, now))
	}
	if len(p.Unread) > 0 {
		p.wake()
	}
}

// finished: the daemon has stopped; its work must be done. Its last wishes are
// still carried out.
func (p *Process) finished() {
	if p.handedOver() {
		p.lan().Note(p.Host, "has handed over")
		then := p.handed
		p.handed = nil
		p.Witness.HandedOver()
		p.Host.endProcess()
		p.lan().disturbed()
		then(true)
		return
	}
	p.lan().Note(p.Host, "has stopped")
	for id := actions.RouterID(1); id <= p.lastID; id++ {
		if w := p.Wishes[id]; w != nil && !w.Active {
			p.Host.setSilence(w)
			p.Host.RemoveUnwanted(&Wish{Wanted: actions.Wanted{Router: id}})
		}
	}
	p.Host.tidy() // backbeat release, which systemd runs then
	p.Witness.Left()
	p.Host.endProcess()
	p.lan().disturbed()
}

// Post hands the loop an input. Where a real sender would wait for room in the
// loop's inbox, the input waits here.
func (p *Process) Post(in daemon.Input) {
	switch {
	case p.dead:
	case p.inputs >= inboxRoom || len(p.backlog) > 0:
		p.backlog = append(p.backlog, in)
	default:
		p.inputs++
		p.loop.Post(in)
	}
}

// refill moves what waits into the inbox.
func (p *Process) refill() {
	for len(p.backlog) > 0 && p.inputs < inboxRoom {
		p.inputs++
		p.loop.Post(p.backlog[0])
		p.backlog = p.backlog[1:]
	}
}

// Ask puts a question to the loop and lets it turn, so that the answer is there.
func (p *Process) Ask(in daemon.Input) {
	p.Post(in)
	p.turn()
}

// Waiting is how many inputs the loop has not read yet.
func (p *Process) Waiting() int { return p.inputs + len(p.backlog) }

func (p *Process) reload(cfg *daemon.Config) {
	p.Config = cfg
	p.Witness.Configured(cfg)
	p.Post(daemon.Reload{Config: cfg, Reply: make(chan daemon.Plan, 1)})
}

// Now is the host's monotonic clock.
func (p *Process) Now() time.Duration { return p.lan().now + p.Host.Offset }

// Wall is the host's wall clock.
func (p *Process) Wall() time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(p.lan().now + p.Host.wall)
}

// Listen opens a socket. The order of two calls in one turn is not defined, so
// nothing here may draw from the generator, and no two answers come at one instant.
func (p *Process) Listen(l vrrp.Listening) {
	at := time.Duration(l.Link - firstIndex)
	order := time.Duration(l.Family)*time.Microsecond + at%10*100*time.Nanosecond + at/10*10*time.Microsecond
	switch l.Group {
	case l.Family.Group():
	case netip.Addr{}:
		order += 25 * time.Nanosecond
	default:
		order += 50 * time.Nanosecond
	}
	p.lan().After(socketDelay+order, func() {
		answer := vrrp.SocketReady{Listening: l}
		switch {
		case p.dead:
			return
		case p.Host.NIC(l.Link) == nil:
			answer.Err = "no such device"
		case p.Host.broken:
			answer.Err = "permission denied: run as root"
		default:
			p.Sockets[l] = true
		}
		p.Post(answer)
	})
}

// Forget closes the sockets of an interface; what is queued is lost.
func (p *Process) Forget(link int) {
	for s := range p.Sockets {
		if s.Link == link {
			delete(p.Sockets, s)
		}
	}
	p.lose(link)
}

// lose drops what is queued from an interface.
func (p *Process) lose(link int) {
	p.Unread = slices.DeleteFunc(p.Unread, func(x Packet) bool { return x.Link == link })
}

// Receive hands over what is queued. The buffer is overwritten after each
// packet, so that nobody can keep it unnoticed.
func (p *Process) Receive(budget int, f func(*vrrp.Packet)) bool {
	room := p.Unread[:0]
	for range budget {
		if len(p.Unread) == 0 {
			p.Unread = room
			return false
		}
		x := p.Unread[0]
		p.Unread = p.Unread[1:]
		p.scratch = append(p.scratch[:0], x.Data...)
		p.packet = vrrp.Packet{Link: x.Link, Family: x.Family, Data: p.scratch, At: x.at + p.Host.Offset}
		f(&p.packet)
		for i := range p.scratch {
			p.scratch[i] = 0xaa
		}
		p.packet = vrrp.Packet{}
	}
	return len(p.Unread) > 0
}

// Send queues a complete IP packet around the message.
func (p *Process) Send(path *vrrp.Path, message []byte) {
	p.Witness.Sent(path, message)
	if n := p.Host.NIC(path.Link); n != nil {
		p.tx = append(p.tx, &frame{n.Link, path.Family, path.Dst, AppendIP(make([]byte, 0, 40+len(message)), path, message)})
	}
}

// Flush puts what is queued on the medium.
func (p *Process) Flush() {
	for _, f := range p.tx {
		p.lan().carry(p.Host, f)
	}
	clear(p.tx)
	p.tx = p.tx[:0]
}

// Wait is not used: the LAN turns the loop.
func (p *Process) Wait(time.Duration) { panic("simlan: the loop waits for itself") }

// Wake plans a turn at once.
func (p *Process) Wake() { p.wake() }

// Stats has nothing to tell.
func (p *Process) Stats(int) vrrp.SocketStats { return vrrp.SocketStats{} }

// AppendIP appends what the receiver's socket hands over, from the IP header on.
func AppendIP(b []byte, path *vrrp.Path, message []byte) []byte {
	at := len(b)
	if path.Family == vrrp.IPv4 {
		src, dst := path.Src.As4(), path.Dst.As4()
		b = append(b, 0x45, vrrp.TrafficClass, 0, 0, 0, 0, 0, 0, path.TTL, vrrp.ProtocolNumber, 0, 0)
		binary.BigEndian.PutUint16(b[at+2:], uint16(20+len(message)))
		b = append(append(b, src[:]...), dst[:]...)
		return append(b, message...)
	}
	src, dst := path.Src.As16(), path.Dst.As16()
	b = append(b, 0x60|vrrp.TrafficClass>>4, 0, 0, 0, 0, 0, vrrp.ProtocolNumber, path.TTL)
	binary.BigEndian.PutUint16(b[at+4:], uint16(len(message)))
	b = append(append(b, src[:]...), dst[:]...)
	return append(b, message...)
}
