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
	leaving  bool // and has said that it does

	turnAt   time.Duration // of the next planned turn, vrrp.Never without
	lastTurn time.Duration
	spins    int // turns at one instant
	inputs   int // posted since the loop was seen to have read all

	sockets map[vrrp.Listening]bool
	rx      []packet
	tx      []frame
	scratch []byte
	watched map[string]bool
	lastID  actions.RouterID
	wishes  map[actions.RouterID]*wish
	// schedules and advertised are what the hands were asked for last.
	schedules  map[actions.RouterID]*actions.Announcement
	advertised map[actions.RouterID]key

	seen     map[string]*seen             // by router name
	speaks   map[key]*seen                // the same by virtual router: the name that had a transition last
	holds    map[key]*wish                // wishes for addresses in force
	changed  bool                         // states or wishes since the last look
	keys     map[string]key               // of every router name there ever was; a name keeps its VRID
	grouped  map[key]bool                 // was ever in a sync group: its goodbye can be taken back
	configs  map[key]*daemon.RouterConfig // the last of every virtual router there ever was
	reloaded time.Duration
	mixed    map[string]time.Duration // since when the members of a group have not been of one mind
	lastSeq  uint64                   // of the journal's records
	pending  []promise                // adverts sent on the way to Active
	count    struct{ lines, transitions, failures, reloads int }
}

type packet struct {
	link   int
	family vrrp.Family
	data   []byte
	at     time.Duration
}

func newProcess(h *Host, cfg *daemon.Config) *process {
	p := &process{host: h, turnAt: vrrp.Never, lastTurn: -1, sockets: map[vrrp.Listening]bool{}, watched: map[string]bool{},
		wishes: map[actions.RouterID]*wish{}, schedules: map[actions.RouterID]*actions.Announcement{}, advertised: map[actions.RouterID]key{},
		seen: map[string]*seen{}, speaks: map[key]*seen{}, holds: map[key]*wish{}, keys: map[string]key{},
		grouped: map[key]bool{}, configs: map[key]*daemon.RouterConfig{}, mixed: map[string]time.Duration{}}
	p.learn(cfg)
	return p
}

func (p *process) learn(cfg *daemon.Config) {
	p.cfg = cfg
	for i := range cfg.Routers {
		k := keyOf(&cfg.Routers[i])
		p.keys[cfg.Routers[i].Name], p.configs[k] = k, &cfg.Routers[i]
		p.grouped[k] = p.grouped[k] || cfg.Routers[i].Group != ""
	}
}

func (p *process) begin() {
	p.loop = daemon.New(p.cfg, daemon.Ports{Clock: p, Wire: p, Addresses: p, Announcer: p, Advertiser: p, Runner: p, Prober: p, Journal: p, Watch: p.watch})
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
	p.reloaded = p.lan().now
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
// nothing here may draw from the generator, and no two answers come at one instant.
func (p *process) Listen(l vrrp.Listening) {
	order := time.Duration(l.Family)*time.Microsecond + time.Duration(l.Link-firstIndex)*100*time.Nanosecond
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
		case p.host.nic(l.Link) == nil:
			answer.Err = "no such device"
		case p.host.broken:
			answer.Err = "permission denied: run as root"
		default:
			p.sockets[l] = true
		}
		p.post(answer)
	})
}

// Forget closes the sockets of an interface; what is queued is lost.
func (p *process) Forget(link int) {
	for s := range p.sockets {
		if s.Link == link {
			delete(p.sockets, s)
		}
	}
	p.lose(link)
}

// lose drops what is queued from an interface.
func (p *process) lose(link int) {
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
func (p *process) Send(path *vrrp.Path, message []byte) {
	p.lan().watch.sent(p, path, message)
	if n := p.host.nic(path.Link); n != nil {
		p.tx = append(p.tx, frame{n.link, path.Family, path.Dst, ipPacket(path, message)})
	}
}

// Flush puts what is queued on the medium.
func (p *process) Flush() {
	for _, f := range p.tx {
		p.lan().carry(p.host, f)
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
func ipPacket(path *vrrp.Path, message []byte) []byte {
	if path.Family == vrrp.IPv4 {
		b := make([]byte, 20, 20+len(message))
		b[0], b[1], b[8], b[9] = 0x45, vrrp.TrafficClass, path.TTL, vrrp.ProtocolNumber
		binary.BigEndian.PutUint16(b[2:], uint16(20+len(message)))
		copy(b[12:], path.Src.AsSlice())
		copy(b[16:], path.Dst.AsSlice())
		return append(b, message...)
	}
	b := make([]byte, 40, 40+len(message))
	b[0], b[6], b[7] = 0x60|vrrp.TrafficClass>>4, vrrp.ProtocolNumber, path.TTL
	binary.BigEndian.PutUint16(b[4:], uint16(len(message)))
	copy(b[8:], path.Src.AsSlice())
	copy(b[24:], path.Dst.AsSlice())
	return append(b, message...)
}
