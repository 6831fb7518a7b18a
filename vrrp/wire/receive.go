package wire

import (
	"time"
	"unsafe"

	"github.com/backbeat-ha/backbeat/vrrp"
	"golang.org/x/sys/unix"
)

const (
	// batch is the packets read by one recvmmsg: from 64 on nothing is gained
	// (reference/performance.md, raw limits).
	batch = 64
	// bufferSize holds the largest message there can be, 255 IPv6 addresses,
	// with its IP header.
	bufferSize = 4352
	// controlSize holds one SCM_TIMESTAMPNS.
	controlSize = 64
)

// mmsghdr is struct mmsghdr of recvmmsg(2), which x/sys does not have.
type mmsghdr struct {
	hdr unix.Msghdr
	len uint32
	_   [4]byte
}

// receiver is the storage of one recvmmsg call, shared by all sockets.
type receiver struct {
	headers [batch]mmsghdr
	iovecs  [batch]unix.Iovec
	control [batch][controlSize]byte
	buffers []byte
	packet  vrrp.Packet
}

func newReceiver() *receiver {
	r := &receiver{buffers: make([]byte, batch*bufferSize)}
	for i := range r.headers {
		r.iovecs[i].Base = &r.buffers[i*bufferSize]
		r.iovecs[i].SetLen(bufferSize)
		h := &r.headers[i].hdr
		h.Iov = &r.iovecs[i]
		h.SetIovlen(1)
		h.Control = &r.control[i][0]
	}
	return r
}

// drain reads up to budget packets from a socket and returns how many it read.
func (r *receiver) drain(s *rxSocket, budget int, f func(*vrrp.Packet)) (read int) {
	for read < budget {
		want := min(batch, budget-read)
		for i := range want {
			r.headers[i].hdr.SetControllen(controlSize)
			r.headers[i].hdr.Flags = 0
		}
		// It does not wait, and is over in microseconds: the runtime need not know.
		n, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, uintptr(s.fd), uintptr(unsafe.Pointer(&r.headers[0])),
			uintptr(want), unix.MSG_DONTWAIT, 0, 0)
		if errno != 0 {
			// EAGAIN: empty. ENETDOWN and the like are reported by the link
			// watcher, which knows more.
			return read
		}
		now := boottime()
		offset := time.Now().UnixNano() - int64(now)
		for i := range int(n) {
			s.received++
			r.packet = vrrp.Packet{Link: s.link, Family: s.family, At: r.arrival(i, now, offset, s.newest),
				Data: r.buffers[i*bufferSize : i*bufferSize+int(r.headers[i].len)]}
			s.newest = r.packet.At
			f(&r.packet)
		}
		read += int(n)
		if int(n) < want {
			return read
		}
	}
	return read
}

// arrival converts the kernel's time stamp, which is wall-clock time, to the
// loop's clock. A step of the wall clock between arrival and reading must not
// matter, so the result never leaves the span between the newest packet of the
// socket and now.
func (r *receiver) arrival(i int, now time.Duration, offset int64, newest time.Duration) time.Duration {
	h := &r.headers[i].hdr
	const header = unix.SizeofCmsghdr
	if h.Controllen < header+16 {
		return now
	}
	c := (*unix.Cmsghdr)(unsafe.Pointer(&r.control[i][0]))
	if c.Level != unix.SOL_SOCKET || c.Type != unix.SCM_TIMESTAMPNS {
		return now
	}
	ts := (*unix.Timespec)(unsafe.Pointer(&r.control[i][header]))
	at := time.Duration(ts.Nano() - offset)
	if at > now || at < newest {
		return now
	}
	return at
}
