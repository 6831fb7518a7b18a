package announce

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"syscall"
	"time"
	"unsafe"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// sendPatience is how long a full interface queue is waited for.
const sendPatience = 50 * time.Millisecond

// errGone says that an interface does not exist (any more).
var errGone = errors.New("the interface is gone")

// sockets are send-only AF_PACKET sockets, one per interface, opened when
// needed. Used from one goroutine.
type sockets struct {
	open map[int]*socket
	// Room for one batch.
	messages [burstFrames]message
	vectors  [burstFrames]unix.Iovec
}

type socket struct {
	conn *packet.Conn
	raw  syscall.RawConn
}

// message is struct mmsghdr of sendmmsg(2), for which x/sys/unix has no name.
type message struct {
	header unix.Msghdr
	length uint32
}

func newSockets() *sockets { return &sockets{open: make(map[int]*socket)} }

// closeUnless closes the sockets of interfaces that are not needed any more, in
// the background: closing a packet socket waits for all processors to have
// passed a quiet point, 20 ms here and seconds on a busy machine, and other
// interfaces' announcements must not wait with it.
func (s *sockets) closeUnless(needed map[int]int) {
	for link, c := range s.open {
		if needed[link] == 0 {
			go func() { _ = c.conn.Close() }() // nothing is waiting in it that could be lost
			delete(s.open, link)
		}
	}
}

// send sends frames on an interface, at most burstFrames of them. It returns nil,
// or an error for each frame that did not leave; errGone if there is no such
// interface.
func (s *sockets) send(link int, frames [][]byte) []error {
	c, err := s.socket(link)
	if err != nil {
		return slices.Repeat([]error{err}, len(frames))
	}
	var errs []error
	fail := func(i int, err error) {
		if errs == nil {
			errs = make([]error, len(frames))
		}
		errs[i] = err
	}
	_ = c.conn.SetWriteDeadline(time.Now().Add(sendPatience))
	for at := 0; at < len(frames); {
		n, err := s.batch(c.raw, frames[at:])
		at += n
		if err != nil { // the frame after those that left is the culprit
			err = explain(err)
			fail(at, err)
			at++
			if errors.Is(err, errGone) {
				for ; at < len(frames); at++ {
					fail(at, err)
				}
			}
		}
	}
	return errs
}

// batch hands frames to the kernel in one call. It returns how many left, and
// why the next one did not.
func (s *sockets) batch(raw syscall.RawConn, frames [][]byte) (int, error) {
	count := min(len(frames), burstFrames)
	for i, frame := range frames[:count] {
		v := &s.vectors[i]
		v.Base = &frame[0]
		v.SetLen(len(frame))
		s.messages[i] = message{header: unix.Msghdr{Iov: v}}
		s.messages[i].header.SetIovlen(1)
	}
	var n uintptr
	var errno syscall.Errno
	err := raw.Write(func(fd uintptr) bool {
		n, _, errno = unix.Syscall6(unix.SYS_SENDMMSG, fd,
			uintptr(unsafe.Pointer(&s.messages[0])), uintptr(count), unix.MSG_DONTWAIT, 0, 0)
		return errno != unix.EAGAIN && errno != unix.EINTR
	})
	clear(s.vectors[:count]) // do not keep frames alive
	switch {
	case err != nil:
		return 0, err
	case errno != 0:
		return 0, errno
	}
	return int(n), nil // fewer than count: the next call tells why
}

func (s *sockets) socket(link int) (*socket, error) {
	if c := s.open[link]; c != nil {
		return c, nil
	}
	// Protocol 0: the socket receives nothing.
	conn, err := packet.Listen(&net.Interface{Index: link}, packet.Raw, 0, nil)
	if err != nil {
		return nil, explain(err)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		conn.Close()
		return nil, fmt.Errorf("opening a packet socket: %w", err)
	}
	c := &socket{conn, raw}
	s.open[link] = c
	return c, nil
}

// explain names the cause and the remedy of the errors that have one.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return errGone
	case errors.Is(err, unix.ENETDOWN):
		return fmt.Errorf("the link is down: %w", unix.ENETDOWN)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("not permitted: announcing needs the capability CAP_NET_RAW "+
			"(run backbeat as root, or give its unit AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW): %w", unix.EPERM)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the interface's queue was full for %v", sendPatience)
	default:
		return err
	}
}
