package lab

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// capture is an AF_PACKET socket of one namespace: all frames of all its
// interfaces, with the kernel's time stamps.
type capture struct {
	fd int
}

// captured is one frame as the kernel handed it over. data is valid until the
// next call of read.
type captured struct {
	at       time.Duration
	link     int
	outgoing bool
	data     []byte
}

// openCapture opens the socket in a namespace. The filter is classic BPF.
func openCapture(s *space, filter []bpf.Instruction) (*capture, error) {
	var fd int
	var err error
	s.do(func() {
		// Protocol 0 receives nothing: the filter must be there before the first frame.
		fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	})
	if err != nil {
		return nil, fmt.Errorf("open a packet socket: %w", err)
	}
	c := &capture{fd: fd}
	if err := c.prepare(filter); err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return c, nil
}

func (c *capture) prepare(filter []bpf.Instruction) error {
	raw, err := bpf.Assemble(filter)
	if err != nil {
		return fmt.Errorf("assemble the filter: %w", err)
	}
	prog := make([]unix.SockFilter, len(raw))
	for i, r := range raw {
		prog[i] = unix.SockFilter{Code: r.Op, Jt: r.Jt, Jf: r.Jf, K: r.K}
	}
	if err := unix.SetsockoptSockFprog(c.fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
		&unix.SockFprog{Len: uint16(len(prog)), Filter: &prog[0]}); err != nil {
		return fmt.Errorf("attach the filter: %w", err)
	}
	// Best effort: without CAP_NET_ADMIN over the machine the kernel caps it.
	_ = unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 8<<20)
	if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return fmt.Errorf("ask for time stamps: %w", err)
	}
	// So that a reader notices that it is to end.
	tv := unix.NsecToTimeval(int64(50 * time.Millisecond))
	if err := unix.SetsockoptTimeval(c.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tv); err != nil {
		return fmt.Errorf("set a time limit on reading: %w", err)
	}
	if err := unix.Bind(c.fd, &unix.SockaddrLinklayer{Protocol: hostToNet(unix.ETH_P_ALL)}); err != nil {
		return fmt.Errorf("bind the packet socket: %w", err)
	}
	return nil
}

func hostToNet(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// run reads frames until stop is closed.
func (c *capture) run(stop <-chan struct{}, frame func(captured)) {
	data, control := make([]byte, 1<<16), make([]byte, 256)
	for {
		select {
		case <-stop:
			return
		default:
		}
		n, nc, _, from, err := unix.Recvmsg(c.fd, data, control, 0)
		if err != nil {
			continue // EAGAIN at the time limit, EINTR, ENETDOWN of a link that went
		}
		f := captured{at: Now(), data: data[:n]}
		if sll, ok := from.(*unix.SockaddrLinklayer); ok {
			f.link, f.outgoing = sll.Ifindex, sll.Pkttype == unix.PACKET_OUTGOING
		}
		if messages, err := unix.ParseSocketControlMessage(control[:nc]); err == nil {
			for _, m := range messages {
				if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16 {
					f.at = fromWall(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
				}
			}
		}
		frame(f)
	}
}

// drops counts the frames for which the kernel had no room since the last call.
func (c *capture) drops() int {
	s, err := unix.GetsockoptTpacketStats(c.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0
	}
	return int(s.Drops)
}

func (c *capture) close() { _ = unix.Close(c.fd) }

// inject sends a whole frame from ethK of the host.
func (h *Host) inject(link int, frame []byte) error {
	eth, err := h.eth(link)
	if err != nil {
		return err
	}
	h.do(func() {
		var fd int
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0); err != nil {
			return
		}
		defer unix.Close(fd)
		to := &unix.SockaddrLinklayer{Ifindex: eth.Attrs().Index, Halen: 6}
		copy(to.Addr[:], frame[:6])
		err = unix.Sendto(fd, frame, 0, to)
	})
	if err != nil {
		return fmt.Errorf("send a frame from %s: %w", h.Name, err)
	}
	return nil
}

// withoutPings keeps everything but ICMP for IPv4 and echoes for IPv6, of which
// a probe makes thousands a second. Offsets are those of an untagged frame.
var withoutPings = []bpf.Instruction{
	0:  bpf.LoadAbsolute{Off: 12, Size: 2},
	1:  bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IP, SkipFalse: 3},
	2:  bpf.LoadAbsolute{Off: 23, Size: 1},
	3:  bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.IPPROTO_ICMP, SkipTrue: 8},
	4:  bpf.RetConstant{Val: 1 << 16},
	5:  bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IPV6, SkipTrue: 5},
	6:  bpf.LoadAbsolute{Off: 20, Size: 1},
	7:  bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_ICMPV6, SkipTrue: 3},
	8:  bpf.LoadAbsolute{Off: 54, Size: 1},
	9:  bpf.JumpIf{Cond: bpf.JumpEqual, Val: echoRequest6, SkipTrue: 2},
	10: bpf.JumpIf{Cond: bpf.JumpEqual, Val: echoReply6, SkipTrue: 1},
	11: bpf.RetConstant{Val: 1 << 16},
	12: bpf.RetConstant{Val: 0},
}

// onlyEchoReplies keeps the answers to a probe.
var onlyEchoReplies = []bpf.Instruction{
	0:  bpf.LoadAbsolute{Off: 12, Size: 2},
	1:  bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.ETH_P_IP, SkipFalse: 4},
	2:  bpf.LoadAbsolute{Off: 23, Size: 1},
	3:  bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_ICMP, SkipTrue: 8},
	4:  bpf.LoadAbsolute{Off: 34, Size: 1},
	5:  bpf.JumpIf{Cond: bpf.JumpEqual, Val: echoReply4, SkipTrue: 5, SkipFalse: 6},
	6:  bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.ETH_P_IPV6, SkipTrue: 5},
	7:  bpf.LoadAbsolute{Off: 20, Size: 1},
	8:  bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.IPPROTO_ICMPV6, SkipTrue: 3},
	9:  bpf.LoadAbsolute{Off: 54, Size: 1},
	10: bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: echoReply6, SkipTrue: 1},
	11: bpf.RetConstant{Val: 1 << 16},
	12: bpf.RetConstant{Val: 0},
}
