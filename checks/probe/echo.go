package probe

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// echoSize is how much of an answer is read; ours are of 8 + nonceSize bytes.
const (
	echoSize  = 512
	nonceSize = 16
	// echoBuffer is the receive buffer, in bytes; the kernel counts 768 for a small packet.
	echoBuffer = 2 << 20
)

// echoer is the one ICMP socket of a family, which all checks share. It is
// opened at first use, and again after an error.
//
// A ping socket is preferred: it needs no privilege but a group, and the kernel
// hands it the answers to its own requests only. A raw socket (CAP_NET_RAW) sees
// all echo replies of the host.
type echoer struct {
	v6 bool
	// socket opens one: icmp.ListenPacket, but for tests.
	socket func(network, address string) (*icmp.PacketConn, error)

	mu      sync.Mutex
	conn    *icmp.PacketConn
	raw     bool
	id      uint16 // of our requests, on a raw socket; the kernel chooses a ping socket's
	seq     uint16
	waiting map[uint16]*request
}

// request is one echo request that waits for its answer.
type request struct {
	seq    uint16
	target netip.Addr
	nonce  [nonceSize]byte
	// tell gets the request when it is answered, or could not be. It never blocks.
	tell chan<- *request
	// err: the socket broke. other: somebody else answered. Guarded by the echoer's mu until told.
	err   error
	other netip.Addr
}

// errNoSocket says what to do where neither kind of socket may be opened.
var errNoSocket = errors.New("no ICMP socket may be opened: give the daemon CAP_NET_RAW, as its unit does, " +
	"or its group a place in sysctl net.ipv4.ping_group_range")

// open returns the socket. life ends it.
func (e *echoer) open(life context.Context) (*icmp.PacketConn, bool, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn != nil {
		return e.conn, e.raw, nil
	}
	conn, raw, err := e.listen()
	if err != nil {
		return nil, false, err
	}
	var random [4]byte
	_, _ = rand.Read(random[:]) // never fails
	e.conn, e.raw = conn, raw
	e.id, e.seq = binary.BigEndian.Uint16(random[:]), binary.BigEndian.Uint16(random[2:])
	e.waiting = map[uint16]*request{}
	context.AfterFunc(life, func() { _ = conn.Close() })
	go e.read(conn, raw, e.id)
	return conn, raw, nil
}

func (e *echoer) listen() (conn *icmp.PacketConn, raw bool, err error) {
	ping, privileged, all := "udp4", "ip4:icmp", "0.0.0.0"
	if e.v6 {
		ping, privileged, all = "udp6", "ip6:ipv6-icmp", "::"
	}
	if conn, err = e.socket(ping, all); err == nil {
		e.widen(conn)
		return conn, false, nil
	}
	if conn, err = e.socket(privileged, all); err == nil {
		e.onlyReplies(conn)
		e.widen(conn)
		return conn, true, nil
	}
	switch {
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return nil, false, errNoSocket
	case errors.Is(err, syscall.EAFNOSUPPORT):
		return nil, false, errors.New("IPv6 is switched off on this host")
	}
	return nil, false, err
}

// widen gives the socket room for the answers of a thousand checks that are due
// together, as after a stall: the kernel's default holds some 250. More than
// net.core.rmem_max takes CAP_NET_ADMIN.
func (e *echoer) widen(conn *icmp.PacketConn) {
	var inner net.PacketConn
	if e.v6 {
		inner = conn.IPv6PacketConn().PacketConn
	} else {
		inner = conn.IPv4PacketConn().PacketConn
	}
	sc, ok := inner.(syscall.Conn)
	if !ok {
		return
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, echoBuffer) != nil {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, echoBuffer)
		}
	})
}

// onlyReplies keeps what else a raw socket sees in the kernel. Without it, read sorts it out.
func (e *echoer) onlyReplies(conn *icmp.PacketConn) {
	if e.v6 {
		var f ipv6.ICMPFilter
		f.SetAll(true)
		f.Accept(ipv6.ICMPTypeEchoReply)
		_ = conn.IPv6PacketConn().SetICMPFilter(&f)
		return
	}
	var f ipv4.ICMPFilter
	f.SetAll(true)
	f.Accept(ipv4.ICMPTypeEchoReply)
	_ = conn.IPv4PacketConn().SetICMPFilter(&f)
}

// read hands answers to those who wait, until the socket ends.
func (e *echoer) read(conn *icmp.PacketConn, raw bool, id uint16) {
	protocol, reply := 1, icmp.Type(ipv4.ICMPTypeEchoReply)
	if e.v6 {
		protocol, reply = 58, ipv6.ICMPTypeEchoReply
	}
	buf := make([]byte, echoSize)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			e.broke(conn, err)
			return
		}
		m, err := icmp.ParseMessage(protocol, buf[:n])
		if err != nil || m.Type != reply {
			continue
		}
		if echo, ok := m.Body.(*icmp.Echo); ok && (!raw || echo.ID == int(id)) {
			e.answered(conn, uint16(echo.Seq), addrOf(from), echo.Data)
		}
	}
}

// answered ends a wait if the answer is the target's own and to this very
// request: whoever has not seen it cannot know the nonce.
func (e *echoer) answered(conn *icmp.PacketConn, seq uint16, from netip.Addr, data []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	r := e.waiting[seq]
	if e.conn != conn || r == nil || string(data) != string(r.nonce[:]) {
		return
	}
	if from.WithZone("") != r.target.WithZone("") {
		r.other = from
		return
	}
	delete(e.waiting, seq)
	r.tell <- r
}

// broke ends all waits; the next request opens another socket.
func (e *echoer) broke(conn *icmp.PacketConn, err error) {
	_ = conn.Close()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn != conn {
		return
	}
	e.conn = nil
	for _, r := range e.waiting {
		r.err = fmt.Errorf("read from the ICMP socket: %w", err)
		r.tell <- r
	}
	e.waiting = nil
}

// send makes a request and sends it. tell must have room for one value a request.
// After an error there is nothing to wait for.
func (e *echoer) send(life context.Context, target, source netip.Addr, link int, tell chan<- *request) (*request, error) {
	conn, raw, err := e.open(life)
	if err != nil {
		return nil, err
	}
	r := &request{target: target, tell: tell}
	_, _ = rand.Read(r.nonce[:]) // never fails
	id, err := e.register(conn, r)
	if err != nil {
		return nil, err
	}
	kind := icmp.Type(ipv4.ICMPTypeEcho)
	if e.v6 {
		kind = ipv6.ICMPTypeEchoRequest
	}
	b, err := (&icmp.Message{Type: kind, Body: &icmp.Echo{ID: int(id), Seq: int(r.seq), Data: r.nonce[:]}}).Marshal(nil) // the kernel fills the checksum of ICMPv6 in
	if err == nil {
		err = e.write(conn, raw, b, target, source, link)
	}
	if err != nil {
		e.forget(r)
		return nil, err
	}
	return r, nil
}

// register gives the request a number that no other has.
func (e *echoer) register(conn *icmp.PacketConn, r *request) (id uint16, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.conn != conn {
		return 0, errors.New("the ICMP socket was closed")
	}
	for range 1 << 16 {
		e.seq++
		if e.waiting[e.seq] == nil {
			r.seq = e.seq
			e.waiting[r.seq] = r
			return e.id, nil
		}
	}
	return 0, errors.New("65536 echo requests are waiting for an answer")
}

// forget ends a wait without an answer, and returns who else has answered.
func (e *echoer) forget(r *request) (other netip.Addr) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.waiting[r.seq] == r {
		delete(e.waiting, r.seq)
	}
	return r.other
}

// write sends by an interface and from an address, if they are given.
func (e *echoer) write(conn *icmp.PacketConn, raw bool, b []byte, target, source netip.Addr, link int) error {
	ip, zone := net.IP(target.AsSlice()), ""
	if link != 0 && target.IsLinkLocalUnicast() {
		zone = strconv.Itoa(link)
	}
	var to net.Addr = &net.UDPAddr{IP: ip, Zone: zone}
	if raw {
		to = &net.IPAddr{IP: ip, Zone: zone}
	}
	var src net.IP
	if source.IsValid() {
		src = source.AsSlice()
	}
	var err error
	switch {
	case link == 0 && src == nil:
		_, err = conn.WriteTo(b, to)
	case e.v6:
		_, err = conn.IPv6PacketConn().WriteTo(b, &ipv6.ControlMessage{Src: src, IfIndex: link}, to)
	default:
		_, err = conn.IPv4PacketConn().WriteTo(b, &ipv4.ControlMessage{Src: src, IfIndex: link}, to)
	}
	return err
}

func addrOf(a net.Addr) netip.Addr {
	var ip net.IP
	switch v := a.(type) {
	case *net.UDPAddr:
		ip = v.IP
	case *net.IPAddr:
		ip = v.IP
	}
	addr, _ := netip.AddrFromSlice(ip)
	return addr.Unmap()
}
