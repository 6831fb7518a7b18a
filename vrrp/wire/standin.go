package wire

import (
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
	"golang.org/x/sys/unix"
)

// Between the end of one process and the first advert of the next there are some
// 50 ms, and seconds for thousands of routers: more than Active_Down_Interval where
// intervals are short. A stand-in, a small process of its own that is there before
// the old one ends, says meanwhile what the old one would have said.

// beat is one advert that is said again and again.
type beat struct {
	// Socket is an index into the sockets that are passed on.
	Socket int
	// Frame is complete; a packet for a peer (To) has no Ethernet header.
	Frame []byte
	To    netip.Addr
	Link  int
	// Next is when it is due (CLOCK_BOOTTIME), Every its interval.
	Next, Every time.Duration
}

// standing is what a stand-in is told.
type standing struct {
	Until time.Duration
	Beats []beat
}

const (
	// fdsAtOnce is how many descriptors one message carries (SCM_MAX_FD is 253).
	fdsAtOnce = 200
	// mostSockets bounds what a stand-in accepts: three for each interface.
	mostSockets = 3 * 4096
	// silentFor intervals without an advert, and the others have taken over: whoever
	// has stood still for so long must listen first, which a stand-in cannot.
	silentFor = 3
)

// Leave notes an advert for the stand-in: the next is due at next and then every
// interval. Path and message are copied. What cannot be sent is not noted.
func (p *Port) Leave(path *vrrp.Path, message []byte, next, every time.Duration) {
	q, header := p.way(path)
	if q == nil || q.fd < 0 || every <= 0 {
		return
	}
	b := beat{Socket: q.fd, Frame: appendFrame(nil, header, path, message), Link: path.Link, Next: next, Every: every}
	if !path.Dst.IsMulticast() {
		b.Frame, b.To = b.Frame[ethernetSize:], path.Dst
	}
	p.left = append(p.left, b)
}

// Left is how many adverts have been noted.
func (p *Port) Left() int { return len(p.left) }

// HandOn gives what was left, and the sockets for it, to a stand-in, which says it
// until then (CLOCK_BOOTTIME). It reports how many adverts those are; of none nothing is
// said. To be called when the loop has ended.
func (p *Port) HandOn(to *net.UnixConn, until time.Duration) (int, error) {
	if len(p.left) == 0 {
		return 0, nil
	}
	s := standing{Until: until, Beats: p.left}
	var fds []int
	for i := range s.Beats {
		b := &s.Beats[i]
		at := slices.Index(fds, b.Socket)
		if at < 0 {
			at = len(fds)
			fds = append(fds, b.Socket)
		}
		b.Socket = at
	}
	count := binary.BigEndian.AppendUint32(nil, uint32(len(fds)))
	for len(fds) > 0 {
		n := min(len(fds), fdsAtOnce)
		if _, _, err := to.WriteMsgUnix(count, unix.UnixRights(fds[:n]...), nil); err != nil {
			return 0, fmt.Errorf("pass the sockets on: %w", err)
		}
		fds = fds[n:]
	}
	if err := gob.NewEncoder(to).Encode(&s); err != nil {
		return 0, fmt.Errorf("pass the adverts on: %w", err)
	}
	return len(s.Beats), nil
}

// StandIn says ready (one byte), waits for what HandOn gives, and says it until the
// time is over, nothing is left to say, or its parent is not parent any more (0: whoever it
// is). It returns at once if the other end closes without giving anything. The
// goroutine that calls it keeps its thread.
func StandIn(from *net.UnixConn, parent int) error {
	runtime.LockOSThread()
	if _, err := from.Write([]byte{1}); err != nil {
		return err
	}
	queues, err := takeSockets(from)
	if errors.Is(err, io.EOF) {
		return nil // nobody leaves after all
	}
	if err != nil {
		return err
	}
	var s standing
	if err := gob.NewDecoder(from).Decode(&s); err != nil {
		return fmt.Errorf("what is to be said: %w", err)
	}
	return s.speak(queues, parent)
}

// takeSockets receives descriptors, and makes a queue of each.
func takeSockets(from *net.UnixConn) (queues []*txQueue, err error) {
	count, oob := make([]byte, 4), make([]byte, unix.CmsgSpace(fdsAtOnce*4))
	for first := true; ; first = false {
		n, oobn, _, _, err := from.ReadMsgUnix(count, oob)
		if err == nil && n == 0 {
			err = io.EOF
		}
		if err != nil {
			return nil, err
		}
		total := binary.BigEndian.Uint32(count)
		if n != len(count) || total > mostSockets {
			return nil, fmt.Errorf("%d sockets in %d bytes", total, n)
		}
		msgs, err := unix.ParseSocketControlMessage(oob[:oobn])
		if err != nil {
			return nil, err
		}
		before := len(queues)
		for i := range msgs {
			fds, err := unix.ParseUnixRights(&msgs[i])
			if err != nil {
				return nil, err
			}
			for _, fd := range fds {
				queues = append(queues, &txQueue{fd: fd})
			}
		}
		if len(queues) >= int(total) {
			return queues, nil
		}
		if !first && len(queues) == before {
			return nil, fmt.Errorf("%d of %d sockets", len(queues), total)
		}
	}
}

// speak says what is due when it is due. Everything lies on a grid of milliseconds, so
// there are few wake-ups, and looking at thousands of adverts takes microseconds.
func (s *standing) speak(queues []*txQueue, parent int) error {
	for i := range s.Beats {
		if b := &s.Beats[i]; b.Socket < 0 || b.Socket >= len(queues) || b.Every <= 0 || len(b.Frame) == 0 {
			return fmt.Errorf("advert %d is not one", i)
		}
	}
	for {
		now := boottime()
		if now >= s.Until || parent != 0 && unix.Getppid() != parent {
			return nil
		}
		wake := vrrp.Never
		for i := range s.Beats {
			b := &s.Beats[i]
			if now-b.Next >= (silentFor-1)*b.Every { // the last was one interval before
				b.Next = vrrp.Never
			}
			if b.Next <= now {
				queues[b.Socket].add(b)
				b.Next += b.Every * ((now-b.Next)/b.Every + 1)
			}
			wake = min(wake, b.Next)
		}
		for _, q := range queues {
			if len(q.ends) > 0 {
				q.flush()
			}
		}
		if wake == vrrp.Never {
			return nil
		}
		sleepUntil(min(wake, s.Until))
	}
}

// add queues an advert as it is.
func (q *txQueue) add(b *beat) {
	q.arena = append(q.arena, b.Frame...)
	if b.To.IsValid() {
		q.link = b.Link
		q.names.to = append(q.names.to, b.To)
	}
	q.ends = append(q.ends, len(q.arena))
}

// sleepUntil sleeps until an instant on CLOCK_BOOTTIME, or a signal.
func sleepUntil(t time.Duration) {
	at := unix.NsecToTimespec(int64(t))
	_ = unix.ClockNanosleep(unix.CLOCK_BOOTTIME, unix.TIMER_ABSTIME, &at, nil)
}
