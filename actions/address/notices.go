package address

import (
	"context"
	"errors"
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

const (
	// defaultReadBuffer holds the notices of some 10,000 address changes (about
	// 0.8 KB of kernel memory each) while we are busy elsewhere.
	defaultReadBuffer = 8 << 20
	// largestMessage bounds one read of notices, in bytes; netlink's own buffers
	// end at 32 KiB (NLMSG_GOODSIZE and netlink_dump in the kernel).
	largestMessage = 64 << 10
)

// groups are the notices read.
var groups = []uint32{unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
	unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE, unix.RTNLGRP_IPV4_RULE, unix.RTNLGRP_IPV6_RULE}

// notices is one read of the event socket.
type notices struct {
	messages []netlink.Message
	// overrun: the kernel threw notices away, at some point before this read ended.
	overrun bool
}

func dialEvents(buffer int) (*netlink.Conn, error) {
	c, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{MessageBufferSize: largestMessage})
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket for notices: %w", err)
	}
	if err := setReadBuffer(c, buffer); err != nil {
		c.Close()
		return nil, fmt.Errorf("setting the netlink read buffer: %w", err)
	}
	filter, err := ownRoutesOnly()
	if err == nil {
		err = c.SetBPF(filter)
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("selecting rtnetlink notices: %w", err)
	}
	for _, group := range groups {
		if err := c.JoinGroup(group); err != nil {
			c.Close()
			return nil, fmt.Errorf("subscribing to rtnetlink notices: %w", err)
		}
	}
	return c, nil
}

// setReadBuffer goes beyond net.core.rmem_max where we may (CAP_NET_ADMIN).
func setReadBuffer(c *netlink.Conn, bytes int) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var refused error
	if err := raw.Control(func(fd uintptr) {
		refused = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, bytes)
	}); err != nil {
		return err
	}
	if refused == nil {
		return nil
	}
	return c.SetReadBuffer(bytes)
}

// read passes notices on until the socket is closed.
func (m *monitor) read(ctx context.Context, out chan<- notices) error {
	for {
		n, err := m.receive()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("reading rtnetlink notices: %w", err)
		}
		select {
		case out <- n:
		case <-ctx.Done():
			return nil
		}
	}
}

// receive reads once. After an overrun it reads on until the queue is empty: only
// then does the kernel add notices again, and until then it drops them without
// another word (NETLINK_S_CONGESTED in net/netlink/af_netlink.c). A comparison
// made earlier would miss what changes after it.
func (m *monitor) receive() (notices, error) {
	var n notices
	for {
		messages, err := m.events.Receive()
		n.messages = append(n.messages, messages...)
		switch {
		case errors.Is(err, unix.ENOBUFS):
			n.overrun = true
		case err != nil:
			return n, err
		}
		if !n.overrun {
			return n, nil
		}
		if empty, err := m.queueEmpty(); empty || err != nil {
			return n, err
		}
	}
}

// queueEmpty tells whether no notice waits to be read. It is asked after an
// overrun, so another one on the way is nothing new.
func (m *monitor) queueEmpty() (bool, error) {
	raw, err := m.events.SyscallConn()
	if err != nil {
		return false, err
	}
	empty := false
	var b [1]byte
	err = raw.Control(func(fd uintptr) {
		for again := true; again; {
			_, _, err := unix.Recvfrom(int(fd), b[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
			empty = err == unix.EAGAIN
			again = err == unix.ENOBUFS || err == unix.EINTR
		}
	})
	return empty, err
}
