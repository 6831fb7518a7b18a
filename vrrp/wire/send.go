package wire

import (
	"encoding/binary"
	"fmt"
	"net"
	"unsafe"

	"github.com/backbeat-ha/backbeat/vrrp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"
)

const ethernetSize = 14

// maxHeaders bounds the headers kept of one interface: there is one for each
// router, family and peer, and old sources must not pile up.
const maxHeaders = 4096

// txQueue holds what one socket is to send in one turn: frames, or packets to
// peers, whose destinations are in names.
type txQueue struct {
	fd      int
	link    int
	arena   []byte // the frames, one behind the other
	ends    []int
	iovecs  []unix.Iovec
	headers []mmsghdr
	names   names

	sent, failed uint64
	why          string
	errno        unix.Errno
}

func (q *txQueue) reset() {
	q.arena, q.ends = q.arena[:0], q.ends[:0]
	q.names.reset()
}

// Send queues one VRRP message. The message is copied. Without a socket for the
// path it counts as a send error.
func (p *Port) Send(path *vrrp.Path, message []byte) {
	q, header := p.way(path)
	if q == nil {
		return
	}
	if q.fd < 0 {
		q.failed++
		q.why = "the send socket is not open"
		return
	}
	if len(q.ends) == 0 {
		p.dirty = append(p.dirty, q)
	}
	start := len(q.arena)
	q.arena = appendFrame(q.arena, header, path, message)
	if !path.Dst.IsMulticast() {
		q.names.to = append(q.names.to, path.Dst)
		q.arena = append(q.arena[:start], q.arena[start+ethernetSize:]...) // the kernel makes the frame
	}
	q.ends = append(q.ends, len(q.arena))
}

// way finds the socket of a path and the headers that go before its messages. It
// is nil for an interface of which nobody knows.
func (p *Port) way(path *vrrp.Path) (q *txQueue, header []byte) {
	p.adopt()
	l := p.links[path.Link]
	if l == nil {
		return nil, nil
	}
	q = &l.tx
	if !path.Dst.IsMulticast() {
		if q = l.raw[path.Family]; q == nil {
			q = &txQueue{fd: -1}
			l.raw[path.Family] = q
		}
		q.link = path.Link
	}
	if header = l.headers[*path]; header == nil {
		if len(l.headers) >= maxHeaders {
			clear(l.headers)
		}
		header = template(l.mac, path)
		l.headers[*path] = header
	}
	return q, header
}

// appendFrame puts a message behind its headers, whose lengths it completes.
func appendFrame(to, header []byte, path *vrrp.Path, message []byte) []byte {
	start := len(to)
	to = append(append(to, header...), message...)
	complete(to[start:], path.Family, len(message))
	return to
}

// template builds the headers of every advert on one path, once. The frame
// source is the virtual router MAC, or the interface's own where the path has none
// (reference/vrrp.md 7.8, no-vMAC mode).
func template(mac net.HardwareAddr, path *vrrp.Path) []byte {
	if path.MAC != [6]byte{} {
		mac = path.MAC[:]
	}
	eth := &layers.Ethernet{SrcMAC: mac, DstMAC: make(net.HardwareAddr, 6)}
	if len(mac) != 6 { // towards a peer no frame is made of it
		eth.SrcMAC = make(net.HardwareAddr, 6)
	}
	if path.Dst.IsMulticast() {
		eth.DstMAC = groupMAC(path.Dst)
	}
	var ip gopacket.SerializableLayer
	if path.Family == vrrp.IPv4 {
		eth.EthernetType = layers.EthernetTypeIPv4
		ip = &layers.IPv4{Version: 4, IHL: 5, TOS: vrrp.TrafficClass, TTL: path.TTL,
			Protocol: layers.IPProtocol(vrrp.ProtocolNumber), SrcIP: path.Src.AsSlice(), DstIP: path.Dst.AsSlice()}
	} else {
		eth.EthernetType = layers.EthernetTypeIPv6
		ip = &layers.IPv6{Version: 6, TrafficClass: vrrp.TrafficClass, HopLimit: path.TTL,
			NextHeader: layers.IPProtocol(vrrp.ProtocolNumber), SrcIP: path.Src.AsSlice(), DstIP: path.Dst.AsSlice()}
	}
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{}, eth, ip); err != nil {
		panic("wire: " + err.Error()) // constant layers, valid addresses
	}
	// Serializing pads to the Ethernet minimum; the headers are what we keep.
	size := ethernetSize + 20
	if path.Family == vrrp.IPv6 {
		size = ethernetSize + 40
	}
	return append([]byte(nil), buf.Bytes()[:size]...)
}

// complete fills the fields of the IP header that depend on the length.
func complete(frame []byte, family vrrp.Family, length int) {
	ip := frame[ethernetSize:]
	if family == vrrp.IPv6 {
		binary.BigEndian.PutUint16(ip[4:], uint16(length))
		return
	}
	binary.BigEndian.PutUint16(ip[2:], uint16(20+length))
	binary.BigEndian.PutUint16(ip[10:], 0)
	var sum uint32
	for i := 0; i < 20; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(ip[i:]))
	}
	sum = sum>>16 + sum&0xffff
	binary.BigEndian.PutUint16(ip[10:], ^uint16(sum+sum>>16))
}

// Flush sends what Send queued.
func (p *Port) Flush() {
	for i, q := range p.dirty {
		q.flush()
		p.dirty[i] = nil
	}
	p.dirty = p.dirty[:0]
}

func (q *txQueue) flush() {
	if q.fd < 0 { // forgotten in the same turn
		q.reset()
		return
	}
	q.build()
	for rest := q.headers[:len(q.ends)]; len(rest) > 0; {
		n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, uintptr(q.fd), uintptr(unsafe.Pointer(&rest[0])),
			uintptr(len(rest)), unix.MSG_DONTWAIT, 0, 0)
		switch {
		case errno == unix.EINTR:
		case errno != 0:
			// The first frame of rest is the one refused. An advert that is late
			// is worth nothing, so it is dropped and counted; the next may pass.
			q.refuse(errno)
			rest = rest[1:]
		default:
			q.sent += uint64(n)
			rest = rest[n:]
		}
	}
	q.reset()
}

// refuse counts; the text is made once per kind of error, not per frame.
func (q *txQueue) refuse(errno unix.Errno) {
	q.failed++
	if q.errno == errno && q.why != "" {
		return
	}
	q.errno = errno
	q.why = errno.Error()
	switch errno {
	case unix.ENETDOWN:
		q.why = "the interface is down"
	case unix.ENETUNREACH, unix.EHOSTUNREACH:
		q.why = "no route to a peer on this interface"
	case unix.EPERM:
		q.why = fmt.Sprintf("%v: refused by a local policy (an egress filter or a missing capability)", errno)
	case unix.EAGAIN, unix.ENOBUFS:
		q.why = fmt.Sprintf("%v: the interface's queue is full", errno)
	}
}

// build points the headers at the frames. Only here: while frames are being
// queued the arena may still move.
func (q *txQueue) build() {
	for len(q.headers) < len(q.ends) {
		q.headers = append(q.headers, mmsghdr{})
		q.iovecs = append(q.iovecs, unix.Iovec{})
	}
	if len(q.names.to) > 0 {
		q.names.grow(len(q.ends))
	}
	start := 0
	for i, end := range q.ends {
		q.iovecs[i].Base = &q.arena[start]
		q.iovecs[i].SetLen(end - start)
		q.headers[i].hdr.Iov = &q.iovecs[i]
		q.headers[i].hdr.SetIovlen(1)
		if len(q.names.to) > 0 {
			q.names.point(i, q.link, &q.headers[i].hdr)
		}
		start = end
	}
}
