package wire

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"unsafe"

	"github.com/backbeat-ha/backbeat/vrrp"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"golang.org/x/sys/unix"
)

const ethernetSize = 14

// txQueue holds the frames of one turn for one interface.
type txQueue struct {
	fd      int
	arena   []byte // the frames, one behind the other
	ends    []int
	iovecs  []unix.Iovec
	headers []mmsghdr

	sent, failed uint64
	why          string
	errno        unix.Errno
}

func (q *txQueue) reset() { q.arena, q.ends = q.arena[:0], q.ends[:0] }

// Send queues one VRRP message to the group of its family. The message is
// copied. Without sockets on the interface it counts as a send error.
func (p *Port) Send(index int, family vrrp.Family, src netip.Addr, message []byte) {
	p.adopt()
	l := p.links[index]
	if l == nil {
		return
	}
	if l.tx.fd < 0 {
		l.tx.failed++
		l.tx.why = "the send socket is not open"
		return
	}
	if len(l.tx.ends) == 0 {
		p.dirty = append(p.dirty, l)
	}
	header := l.headers[src]
	if header == nil {
		header = template(l.mac, family, src)
		l.headers[src] = header
	}
	start := len(l.tx.arena)
	l.tx.arena = append(append(l.tx.arena, header...), message...)
	complete(l.tx.arena[start:], family, len(message))
	l.tx.ends = append(l.tx.ends, len(l.tx.arena))
}

// template builds the headers of every advert from one source address, once.
// The frame source is the interface's own MAC: without a macvlan there is no
// virtual MAC (reference/vrrp.md 7.8, no-vMAC mode).
func template(mac net.HardwareAddr, family vrrp.Family, src netip.Addr) []byte {
	eth := &layers.Ethernet{SrcMAC: mac, DstMAC: groupMAC(family)}
	var ip gopacket.SerializableLayer
	if family == vrrp.IPv4 {
		eth.EthernetType = layers.EthernetTypeIPv4
		ip = &layers.IPv4{Version: 4, IHL: 5, TOS: vrrp.TrafficClass, TTL: vrrp.HopLimit,
			Protocol: layers.IPProtocol(vrrp.ProtocolNumber), SrcIP: src.AsSlice(), DstIP: family.Group().AsSlice()}
	} else {
		eth.EthernetType = layers.EthernetTypeIPv6
		ip = &layers.IPv6{Version: 6, TrafficClass: vrrp.TrafficClass, HopLimit: vrrp.HopLimit,
			NextHeader: layers.IPProtocol(vrrp.ProtocolNumber), SrcIP: src.AsSlice(), DstIP: family.Group().AsSlice()}
	}
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{}, eth, ip); err != nil {
		panic("wire: " + err.Error()) // constant layers, valid addresses
	}
	// Serializing pads to the Ethernet minimum; the headers are what we keep.
	size := ethernetSize + 20
	if family == vrrp.IPv6 {
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
	for i, l := range p.dirty {
		l.tx.flush()
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
	start := 0
	for i, end := range q.ends {
		q.iovecs[i].Base = &q.arena[start]
		q.iovecs[i].SetLen(end - start)
		q.headers[i].hdr.Iov = &q.iovecs[i]
		q.headers[i].hdr.SetIovlen(1)
		start = end
	}
}
