package wire

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// rxSocket receives the adverts of one family on one interface.
type rxSocket struct {
	fd     int
	join   int // a socket whose only purpose is the IGMP or MLD membership
	link   int
	family vrrp.Family

	received, dropped uint64
	newest            time.Duration // arrival of the newest packet
}

// link is the sockets of one interface.
type link struct {
	index  int
	wanted map[vrrp.Family]uint64 // serial of the opener under way, 0 when open
	rx     map[vrrp.Family]*rxSocket
	mac    net.HardwareAddr
	tx     txQueue

	headers map[netip.Addr][]byte // Ethernet and IP header by source address
}

// opened is what an opener hands to the loop.
type opened struct {
	serial uint64
	link   int
	family vrrp.Family
	mac    net.HardwareAddr
	rx     *rxSocket
	tx     int
}

// descriptors lists what is open.
func (o *opened) descriptors() (fds []int) {
	if o.rx != nil {
		fds = append(fds, o.rx.fd, o.rx.join)
	}
	if o.tx >= 0 {
		fds = append(fds, o.tx)
	}
	return fds
}

func (o *opened) close() { closeAll(o.descriptors()) }

// closeAll closes descriptors. It can take seconds: leaving a multicast group
// waits for the kernel's routing lock (RTNL), which others hold for as long as
// they delete interfaces. So the loop never calls it, it starts it.
func closeAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

// discard closes descriptors of the loop's in the background. Their last events
// must not reach the loop any more, so they leave the epoll set first.
func (p *Port) discard(fds ...int) {
	for _, fd := range fds {
		// ENOENT for those that were never watched.
		_ = unix.EpollCtl(p.epfd, unix.EPOLL_CTL_DEL, fd, nil)
		delete(p.socket, int32(fd))
	}
	go closeAll(fds)
}

// Listen opens the sockets of an interface and family in the background;
// vrrp.SocketReady answers. What is open, or on its way, is left alone.
func (p *Port) Listen(index int, family vrrp.Family) {
	l := p.links[index]
	if l == nil {
		l = &link{index: index, wanted: map[vrrp.Family]uint64{}, rx: map[vrrp.Family]*rxSocket{},
			headers: map[netip.Addr][]byte{}, tx: txQueue{fd: -1}}
		p.links[index] = l
	}
	if l.rx[family] != nil {
		post, ready := p.post, vrrp.SocketReady{Link: index, Family: family}
		go post(ready) // never from the loop's goroutine: it could wait for itself
		return
	}
	if l.wanted[family] != 0 {
		return
	}
	p.mu.Lock()
	p.serial++
	serial := p.serial
	p.mu.Unlock()
	l.wanted[family] = serial
	go p.open(serial, index, family)
}

// open runs in a goroutine of its own.
func (p *Port) open(serial uint64, index int, family vrrp.Family) {
	o, err := openSockets(index, family)
	o.serial, o.link, o.family = serial, index, family
	answer := vrrp.SocketReady{Link: index, Family: family}
	if err != nil {
		answer.Err = err.Error()
	}
	p.mu.Lock()
	if p.epfd < 0 {
		o.close()
	} else {
		p.opened = append(p.opened, o)
	}
	p.mu.Unlock()
	p.pending.Store(true)
	p.post(answer)
}

// adopt takes over what openers have finished. Called by the loop.
func (p *Port) adopt() {
	if !p.pending.Swap(false) {
		return
	}
	p.mu.Lock()
	done := p.opened
	p.opened = nil
	p.mu.Unlock()
	for _, o := range done {
		l := p.links[o.link]
		if l == nil || l.wanted[o.family] != o.serial {
			p.discard(o.descriptors()...) // forgotten meanwhile
			continue
		}
		delete(l.wanted, o.family)
		if o.rx == nil {
			continue
		}
		if err := p.watch(o.rx.fd); err != nil {
			p.discard(o.descriptors()...)
			continue
		}
		l.mac, l.rx[o.family] = o.mac, o.rx
		p.socket[int32(o.rx.fd)] = o.rx
		if l.tx.fd < 0 {
			l.tx.fd = o.tx
		} else {
			p.discard(o.tx)
		}
	}
}

// Forget closes the sockets of an interface and forgets its counters.
func (p *Port) Forget(index int) {
	l := p.links[index]
	if l == nil {
		return
	}
	delete(p.links, index)
	for _, s := range l.rx {
		p.discard(s.fd, s.join)
	}
	if l.tx.fd >= 0 {
		p.discard(l.tx.fd)
		l.tx.fd = -1
	}
	l.tx.reset()
}

// Stats returns the counters of an interface's sockets.
func (p *Port) Stats(index int) vrrp.SocketStats {
	l := p.links[index]
	if l == nil {
		return vrrp.SocketStats{}
	}
	st := vrrp.SocketStats{Sent: l.tx.sent, SendErrors: l.tx.failed, LastSendError: l.tx.why}
	for _, s := range l.rx {
		// Reading the kernel's counter clears it.
		if k, err := unix.GetsockoptTpacketStats(s.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS); err == nil {
			s.dropped += uint64(k.Drops)
		}
		st.Received += s.received
		st.KernelDrops += s.dropped
	}
	return st
}

// openSockets opens everything one family needs on one interface, or nothing.
func openSockets(index int, family vrrp.Family) (o opened, err error) {
	o.tx = -1
	ifi, err := net.InterfaceByIndex(index)
	if err != nil {
		return o, fmt.Errorf("interface %d has gone: %w", index, err)
	}
	if len(ifi.HardwareAddr) != 6 {
		return o, fmt.Errorf("interface %s has no Ethernet address: VRRP needs an Ethernet-like link", ifi.Name)
	}
	o.mac = ifi.HardwareAddr
	defer func() {
		if err != nil {
			o.close()
			o = opened{tx: -1}
		}
	}()
	if o.tx, err = packetSocket(ifi, packet.Raw, 0, nil, nil); err != nil {
		return o, fmt.Errorf("open send socket on %s: %w", ifi.Name, explain(err))
	}
	// TC_PRIO_CONTROL: ahead of data in the default queueing discipline.
	_ = unix.SetsockoptInt(o.tx, unix.SOL_SOCKET, unix.SO_PRIORITY, 7)
	rx := &rxSocket{fd: -1, join: -1, link: index, family: family}
	if rx.fd, err = packetSocket(ifi, packet.Datagram, unix.ETH_P_ALL, filter(family), groupMAC(family)); err != nil {
		return o, fmt.Errorf("open %s receive socket on %s: %w", family, ifi.Name, explain(err))
	}
	if rx.join, err = joinGroup(index, family); err != nil {
		unix.Close(rx.fd)
		return o, fmt.Errorf("join %s on %s: %w", family.Group(), ifi.Name, err)
	}
	// Thousands of adverts can arrive while the loop is busy for a moment. The
	// forced size needs CAP_NET_ADMIN; without it the system's limit holds.
	if unix.SetsockoptInt(rx.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20) != nil {
		_ = unix.SetsockoptInt(rx.fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
	}
	if err = unix.SetsockoptInt(rx.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		unix.Close(rx.fd)
		unix.Close(rx.join)
		return o, fmt.Errorf("ask for arrival times on %s: %w", ifi.Name, err)
	}
	o.rx = rx
	return o, nil
}

// packetSocket opens an AF_PACKET socket bound to an interface, with its filter
// in place before the first packet, and returns a descriptor of our own. The
// library's Conn registers with the runtime's poller, which would wake a second
// thread for every packet; the duplicate is known to our epoll only.
func packetSocket(ifi *net.Interface, typ packet.Type, proto int, prog []bpf.RawInstruction, group net.HardwareAddr) (int, error) {
	c, err := packet.Listen(ifi, typ, proto, &packet.Config{Filter: prog})
	if err != nil {
		return -1, err
	}
	defer c.Close()
	if group != nil {
		if err := c.JoinGroup(group); err != nil {
			return -1, fmt.Errorf("receive frames to %s: %w", group, err)
		}
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return -1, err
	}
	fd := -1
	var dupErr error
	if err := raw.Control(func(orig uintptr) {
		fd, dupErr = unix.FcntlInt(orig, unix.F_DUPFD_CLOEXEC, 0)
	}); err != nil {
		return -1, err
	}
	return fd, dupErr
}

// joinGroup makes the kernel report the membership (IGMP, MLD), so that
// snooping switches pass the group to us.
func joinGroup(index int, family vrrp.Family) (int, error) {
	af := unix.AF_INET
	if family == vrrp.IPv6 {
		af = unix.AF_INET6
	}
	fd, err := unix.Socket(af, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if family == vrrp.IPv6 {
		err = unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP,
			&unix.IPv6Mreq{Multiaddr: family.Group().As16(), Interface: uint32(index)})
	} else {
		err = unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP,
			&unix.IPMreqn{Multiaddr: family.Group().As4(), Ifindex: int32(index)})
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// groupMAC is the frame destination of the group (RFC 1112 6.4, RFC 2464 7).
func groupMAC(family vrrp.Family) net.HardwareAddr {
	if family == vrrp.IPv4 {
		return net.HardwareAddr{0x01, 0x00, 0x5e, 0x00, 0x00, 0x12}
	}
	return net.HardwareAddr{0x33, 0x33, 0x00, 0x00, 0x00, 0x12}
}

// explain adds the remedy to a refusal.
func explain(err error) error {
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("%w: CAP_NET_RAW is missing: run as root, or give the unit AmbientCapabilities=CAP_NET_RAW CAP_NET_ADMIN", err)
	}
	return err
}

// filter is the kernel filter of a receive socket. A SOCK_DGRAM packet socket
// shows packets from the network header on.
func filter(family vrrp.Family) []bpf.RawInstruction {
	proto, next := uint32(unix.ETH_P_IP), uint32(9)
	if family == vrrp.IPv6 {
		proto, next = unix.ETH_P_IPV6, 6
	}
	prog, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtProto},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: proto, SkipTrue: 7},
		bpf.LoadAbsolute{Off: next, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: vrrp.ProtocolNumber, SkipTrue: 5},
		// A VLAN's frame passes its parent first, with the tag stripped.
		bpf.LoadExtension{Num: bpf.ExtVLANTagPresent},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 3},
		// PACKET_OTHERHOST (3) is for others, PACKET_OUTGOING (4) is ours.
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 1},
		bpf.RetConstant{Val: 0x40000},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		panic("wire: " + err.Error()) // constant program
	}
	return prog
}
