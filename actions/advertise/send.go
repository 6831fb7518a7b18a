package advertise

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"
)

// sendPatience is how long a full interface queue is waited for.
const sendPatience = 50 * time.Millisecond

// sockets are send-only AF_PACKET sockets, one per interface, opened when
// needed. Used from one goroutine.
type sockets map[int]*packet.Conn

// send sends a frame on an interface.
func (s sockets) send(link int, frame []byte) error {
	conn := s[link]
	if conn == nil {
		var err error
		// Protocol 0: the socket receives nothing.
		conn, err = packet.Listen(&net.Interface{Index: link}, packet.Raw, 0, nil)
		if err != nil {
			return fmt.Errorf("open a packet socket on interface %d: %w", link, explain(err))
		}
		s[link] = conn
	}
	_ = conn.SetWriteDeadline(time.Now().Add(sendPatience))
	if _, err := conn.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]}); err != nil {
		return fmt.Errorf("send a router advertisement on interface %d: %w", link, explain(err))
	}
	return nil
}

// closeUnless closes the sockets of interfaces that are not needed any more, in
// the background: closing a packet socket can take tens of milliseconds.
func (s sockets) closeUnless(needed func(link int) bool) {
	for link, conn := range s {
		if !needed(link) {
			go func() { _ = conn.Close() }() // nothing is waiting in it that could be lost
			delete(s, link)
		}
	}
}

// explain names the cause and the remedy of the errors that have one.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return errors.New("the interface is gone")
	case errors.Is(err, unix.ENETDOWN):
		return fmt.Errorf("the link is down: %w", unix.ENETDOWN)
	case errors.Is(err, unix.EMSGSIZE):
		return fmt.Errorf("the router advertisement is larger than the link's MTU, advertise fewer prefixes or DNS servers: %w", unix.EMSGSIZE)
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("not permitted: router advertisements need the capability CAP_NET_RAW "+
			"(run backbeat as root, or give its unit AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW): %w", unix.EPERM)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("the interface's queue was full for %v", sendPatience)
	default:
		return err
	}
}
