package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ICMP types (RFC 792, RFC 4443).
const (
	echoRequest4 = 8
	echoReply4   = 0
	echoRequest6 = 128
	echoReply6   = 129
)

// ProbeSpec says what a client does: it sends an echo request to Target every
// Interval (default 500 µs, which is the resolution of all that is measured).
// The kernel finds the neighbour, as it would for any other program.
type ProbeSpec struct {
	Target   netip.Addr
	Interval time.Duration
}

// Probe is a running client.
type Probe struct {
	lab     *Lab
	spec    ProbeSpec
	id      uint16
	capture *capture
	stop    chan struct{}
	done    sync.WaitGroup

	mu sync.Mutex
	// sends[n] is request n; answers are in the order in which they came.
	sends   []sent
	answers []answer
	once    sync.Once
}

// sent is one request: when it left and how late that was.
type sent struct {
	at, late time.Duration
	answered bool
}

// answer is one reply and who gave it.
type answer struct {
	at  time.Duration
	mac [6]byte
}

// Probe starts a client on the host. Stop ends it; Close of the lab does too.
func (h *Host) Probe(spec ProbeSpec) (*Probe, error) {
	if spec.Interval == 0 {
		spec.Interval = 500 * time.Microsecond
	}
	p := &Probe{lab: h.lab, spec: spec, id: uint16(Now()), stop: make(chan struct{})}
	fd, err := h.echoSocket(spec.Target)
	if err != nil {
		return nil, err
	}
	if p.capture, err = openCapture(h.space, onlyEchoReplies); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	p.done.Add(2)
	go func() {
		defer p.done.Done()
		p.capture.run(p.stop, p.receive)
		p.capture.close()
	}()
	go func() {
		defer p.done.Done()
		p.send(fd)
		_ = unix.Close(fd)
	}()
	h.lab.atClose(p.Stop)
	return p, nil
}

// echoSocket opens a raw socket to send requests from; it receives nothing of interest.
func (h *Host) echoSocket(target netip.Addr) (fd int, err error) {
	family, proto := unix.AF_INET, unix.IPPROTO_ICMP
	if target.Is6() {
		family, proto = unix.AF_INET6, unix.IPPROTO_ICMPV6
	}
	h.do(func() { fd, err = unix.Socket(family, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, proto) })
	if err != nil {
		return -1, fmt.Errorf("open a raw socket on %s: %w", h.Name, err)
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 1)
	return fd, nil
}

// send is the sender's thread: absolute deadlines, no allocation of note.
func (p *Probe) send(fd int) {
	runtime.LockOSThread()
	to := sockaddr(p.spec.Target)
	message := make([]byte, 16)
	due := Now()
	for {
		select {
		case <-p.stop:
			return
		default:
		}
		now := Now()
		p.mu.Lock()
		n := len(p.sends)
		p.sends = append(p.sends, sent{at: now, late: now - due})
		p.mu.Unlock()
		fillEcho(message, p.spec.Target.Is6(), p.id, uint64(n))
		_ = unix.Sendto(fd, message, unix.MSG_DONTWAIT, to) // what cannot be sent is not answered
		// A stall is not made up for by a burst: the grid moves on.
		if due += p.spec.Interval; due < now {
			due = now + p.spec.Interval
		}
		sleepUntil(due)
	}
}

func sockaddr(a netip.Addr) unix.Sockaddr {
	if a.Is6() {
		return &unix.SockaddrInet6{Addr: a.As16()}
	}
	return &unix.SockaddrInet4{Addr: a.As4()}
}

// fillEcho writes an echo request of 16 bytes: id, and n as the payload. The
// kernel fills the checksum in for IPv6 only.
func fillEcho(b []byte, v6 bool, id uint16, n uint64) {
	clear(b)
	b[0] = echoRequest4
	binary.BigEndian.PutUint16(b[4:], id)
	binary.BigEndian.PutUint16(b[6:], uint16(n))
	binary.BigEndian.PutUint64(b[8:], n)
	if v6 {
		b[0] = echoRequest6
		return
	}
	binary.BigEndian.PutUint16(b[2:], ^sum(0, b))
}

// receive takes one frame that the filter let through.
func (p *Probe) receive(f captured) {
	ip, icmp := f.data[14:], 14+20
	if p.spec.Target.Is6() {
		icmp = 14 + 40
	}
	if f.outgoing || len(f.data) < icmp+16 || p.spec.Target.Is6() != (ip[0]>>4 == 6) {
		return
	}
	e := f.data[icmp:]
	if binary.BigEndian.Uint16(e[4:]) != p.id || !fromTarget(ip, p.spec.Target) {
		return
	}
	n := binary.BigEndian.Uint64(e[8:])
	a := answer{at: f.at, mac: [6]byte(f.data[6:12])}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n < uint64(len(p.sends)) {
		p.sends[n].answered = true
		p.answers = append(p.answers, a)
	}
}

func fromTarget(ip []byte, target netip.Addr) bool {
	src := ip[12:16]
	if target.Is6() {
		src = ip[8:24]
	}
	a, ok := netip.AddrFromSlice(src)
	return ok && a == target
}

// Stop ends the client. It may be called more than once.
func (p *Probe) Stop() {
	p.once.Do(func() { close(p.stop) })
	p.done.Wait()
}

// Answerer is the host that gave the last answer, if one came within the last
// ten intervals or 50 ms, whichever is longer; else "".
func (p *Probe) Answerer() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.answers) == 0 {
		return ""
	}
	last := p.answers[len(p.answers)-1]
	if Now()-last.at > max(10*p.spec.Interval, 50*time.Millisecond) {
		return ""
	}
	return p.lab.byMAC(net.HardwareAddr(last.mac[:]))
}

// Since reports what the client saw from a fault until now.
func (p *Probe) Since(fault time.Duration) Report { return p.Between(fault, Now()) }

// Between reports what the client saw from a fault until an instant.
func (p *Probe) Between(fault, until time.Duration) Report {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := analyse(p.sends, p.answers, fault, until)
	if r.from != nil {
		r.From = p.lab.byMAC(r.from)
	}
	if r.by != nil {
		r.By = p.lab.byMAC(r.by)
	}
	return r
}
