package wire

import (
	"net"
	"net/netip"
	"unsafe"

	"github.com/backbeat-ha/backbeat/vrrp"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// rawSocket opens the socket that sends to peers: the kernel's routing and
// neighbour tables find the next hop, on this interface only. Packets come with
// their own IP header, so that source, TTL and checksum are ours. It receives
// nothing.
func rawSocket(ifi *net.Interface, family vrrp.Family) (int, error) {
	af, level, hdrincl := unix.AF_INET, unix.IPPROTO_IP, unix.IP_HDRINCL
	if family == vrrp.IPv6 {
		af, level, hdrincl = unix.AF_INET6, unix.IPPROTO_IPV6, unix.IPV6_HDRINCL
	}
	// IPPROTO_RAW receives nothing and includes the header.
	fd, err := unix.Socket(af, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.IPPROTO_RAW)
	if err != nil {
		return -1, err
	}
	set := func(err *error, e error) {
		if *err == nil {
			*err = e
		}
	}
	set(&err, unix.SetsockoptInt(fd, level, hdrincl, 1))
	set(&err, unix.BindToDevice(fd, ifi.Name))
	set(&err, deaf(fd))
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_PRIORITY, 7)
	return fd, nil
}

// deaf lets no packet in, should the kernel ever deliver one.
func deaf(fd int) error {
	prog, err := bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: 0}})
	if err != nil {
		return err
	}
	f := unix.SockFilter{Code: prog[0].Op, K: prog[0].K}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: 1, Filter: &f})
}

// names are the destinations of one batch, in storage that does not move while
// the kernel reads it.
type names struct {
	four []unix.RawSockaddrInet4
	six  []unix.RawSockaddrInet6
	to   []netip.Addr
}

func (n *names) reset() { n.to = n.to[:0] }

// point sets the destination of message i of a batch.
func (n *names) point(i, link int, h *unix.Msghdr) {
	a := n.to[i]
	if a.Is4() {
		n.four[i] = unix.RawSockaddrInet4{Family: unix.AF_INET, Addr: a.As4()}
		h.Name, h.Namelen = (*byte)(unsafe.Pointer(&n.four[i])), unix.SizeofSockaddrInet4
		return
	}
	n.six[i] = unix.RawSockaddrInet6{Family: unix.AF_INET6, Addr: a.As16()}
	if a.IsLinkLocalUnicast() {
		n.six[i].Scope_id = uint32(link)
	}
	h.Name, h.Namelen = (*byte)(unsafe.Pointer(&n.six[i])), unix.SizeofSockaddrInet6
}

// grow makes room for a batch of n.
func (n *names) grow(count int) {
	for len(n.four) < count {
		n.four, n.six = append(n.four, unix.RawSockaddrInet4{}), append(n.six, unix.RawSockaddrInet6{})
	}
}
