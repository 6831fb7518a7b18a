package wire

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// rxSocket receives the adverts of one family on one interface, whatever they
// were sent to.
type rxSocket struct {
	fd     int
	link   int
	family vrrp.Family

	received, dropped uint64
	newest            time.Duration // arrival of the newest packet
}

// membership is a socket whose only purpose is to be a member of a group: of
// its frames on the interface, and by IGMP or MLD.
type membership struct{ frames, report int }

// ticket is a wish on its way: the serial number of its opener.
type ticket = uint64

// link is the sockets of one interface.
type link struct {
	index  int
	wanted map[vrrp.Listening]ticket // openers under way
	open   map[vrrp.Listening]membership
	rx     map[vrrp.Family]*rxSocket
	mac    net.HardwareAddr
	tx     txQueue                  // frames
	raw    map[vrrp.Family]*txQueue // packets to peers

	headers map[vrrp.Path][]byte // what goes before a message
}

// opened is what an opener hands to the loop. Descriptors that are not there are -1.
type opened struct {
	serial ticket
	at     vrrp.Listening
	mac    net.HardwareAddr
	rx     *rxSocket
	member membership
	tx     int
	raw    int
}

func nothing(at vrrp.Listening) opened {
	return opened{at: at, member: membership{-1, -1}, tx: -1, raw: -1}
}

// descriptors lists what is open.
func (o *opened) descriptors() (fds []int) {
	all := []int{o.member.frames, o.member.report, o.tx, o.raw}
	if o.rx != nil {
		all = append(all, o.rx.fd)
	}
	for _, fd := range all {
		if fd >= 0 {
			fds = append(fds, fd)
		}
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

// Listen opens the sockets of a listening in the background; vrrp.SocketReady
// answers. What is open is answered again, what is on its way is left alone.
func (p *Port) Listen(at vrrp.Listening) {
	l := p.links[at.Link]
	if l == nil {
		l = &link{index: at.Link, wanted: map[vrrp.Listening]ticket{}, open: map[vrrp.Listening]membership{},
			rx: map[vrrp.Family]*rxSocket{}, raw: map[vrrp.Family]*txQueue{}, headers: map[vrrp.Path][]byte{}, tx: txQueue{fd: -1}}
		p.links[at.Link] = l
	}
	if _, open := l.open[at]; open {
		post, ready := p.post, vrrp.SocketReady{Listening: at}
		go post(ready) // never from the loop's goroutine: it could wait for itself
		return
	}
	if l.wanted[at] != 0 {
		return
	}
	p.mu.Lock()
	p.serial++
	serial := p.serial
	p.mu.Unlock()
	l.wanted[at] = serial
	go p.open(serial, at)
}

// open runs in a goroutine of its own.
func (p *Port) open(serial ticket, at vrrp.Listening) {
	o, err := openSockets(at)
	o.serial = serial
	answer := vrrp.SocketReady{Listening: at}
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
		l := p.links[o.at.Link]
		if l == nil || l.wanted[o.at] != o.serial {
			p.discard(o.descriptors()...) // forgotten meanwhile
			continue
		}
		delete(l.wanted, o.at)
		if o.rx == nil {
			continue
		}
		p.adoptSockets(l, o)
	}
}

// adoptSockets keeps of an opener's sockets what the link has not got yet: there
// is one receive socket for a family, and one to send frames.
func (p *Port) adoptSockets(l *link, o opened) {
	f := o.at.Family
	switch {
	case l.rx[f] != nil:
		p.discard(o.rx.fd)
	default:
		if err := p.watch(o.rx.fd); err != nil {
			p.discard(o.descriptors()...)
			return
		}
		l.rx[f] = o.rx
		p.socket[int32(o.rx.fd)] = o.rx
	}
	l.open[o.at] = o.member
	if o.tx >= 0 {
		if l.mac = o.mac; l.tx.fd < 0 {
			l.tx.fd = o.tx
		} else {
			p.discard(o.tx)
		}
	}
	if o.raw >= 0 {
		if l.raw[f] == nil {
			l.raw[f] = &txQueue{fd: o.raw}
		} else {
			p.discard(o.raw)
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
	var fds []int
	for _, s := range l.rx {
		fds = append(fds, s.fd)
	}
	for _, m := range l.open {
		fds = append(fds, m.frames, m.report)
	}
	for _, q := range append([]*txQueue{&l.tx}, values(l.raw)...) {
		fds = append(fds, q.fd)
		q.fd = -1
		q.reset()
	}
	p.discard(slices.DeleteFunc(fds, func(fd int) bool { return fd < 0 })...)
}

func values(m map[vrrp.Family]*txQueue) (out []*txQueue) {
	for _, q := range m {
		out = append(out, q)
	}
	return out
}

// Stats returns the counters of an interface's sockets.
func (p *Port) Stats(index int) vrrp.SocketStats {
	l := p.links[index]
	if l == nil {
		return vrrp.SocketStats{}
	}
	st := vrrp.SocketStats{Sent: l.tx.sent, SendErrors: l.tx.failed, LastSendError: l.tx.why}
	for _, q := range l.raw {
		st.Sent += q.sent
		st.SendErrors += q.failed
		if q.why != "" {
			st.LastSendError = q.why
		}
	}
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

// openSockets opens everything that a listening needs, or nothing.
func openSockets(at vrrp.Listening) (o opened, err error) {
	o = nothing(at)
	ifi, err := net.InterfaceByIndex(at.Link)
	if err != nil {
		return o, fmt.Errorf("interface %d has gone: %w", at.Link, err)
	}
	o.mac = ifi.HardwareAddr
	defer func() {
		if err != nil {
			o.close()
			o = nothing(at)
		}
	}()
	if at.Group.IsValid() {
		err = o.openGroup(ifi)
	} else if o.raw, err = rawSocket(ifi, at.Family); err != nil {
		err = fmt.Errorf("open %s socket for peers on %s: %w", at.Family, ifi.Name, explain(err))
	}
	if err != nil {
		return o, err
	}
	fd, err := packetSocket(ifi, packet.Datagram, unix.ETH_P_ALL, filter(at.Family), nil)
	if err != nil {
		return o, fmt.Errorf("open %s receive socket on %s: %w", at.Family, ifi.Name, explain(err))
	}
	o.rx = &rxSocket{fd: fd, link: at.Link, family: at.Family}
	// Thousands of adverts can arrive while the loop is busy for a moment. The
	// forced size needs CAP_NET_ADMIN; without it the system's limit holds.
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<20)
	}
	if err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1); err != nil {
		return o, fmt.Errorf("ask for arrival times on %s: %w", ifi.Name, err)
	}
	return o, nil
}

// openGroup opens what a multicast group needs: the socket that sends frames,
// and the membership.
func (o *opened) openGroup(ifi *net.Interface) (err error) {
	if len(ifi.HardwareAddr) != 6 {
		return fmt.Errorf("interface %s has no Ethernet address: VRRP by multicast needs an Ethernet-like link (name peers to do without)", ifi.Name)
	}
	if o.tx, err = packetSocket(ifi, packet.Raw, 0, nil, nil); err != nil {
		return fmt.Errorf("open send socket on %s: %w", ifi.Name, explain(err))
	}
	// TC_PRIO_CONTROL: ahead of data in the default queueing discipline.
	_ = unix.SetsockoptInt(o.tx, unix.SOL_SOCKET, unix.SO_PRIORITY, 7)
	if err = unix.SetsockoptInt(o.tx, unix.SOL_SOCKET, unix.SO_MARK, vrrp.FrameMark); err != nil {
		return fmt.Errorf("mark adverts on %s: %w", ifi.Name, explain(err))
	}
	group := o.at.Group
	if o.member.frames, err = packetSocket(ifi, packet.Raw, 0, nil, groupMAC(group)); err != nil {
		return fmt.Errorf("receive frames to %s on %s: %w", group, ifi.Name, explain(err))
	}
	if o.member.report, err = joinGroup(o.at.Link, group); err != nil {
		return fmt.Errorf("join %s on %s: %w", group, ifi.Name, err)
	}
	return nil
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
func joinGroup(index int, group netip.Addr) (int, error) {
	af := unix.AF_INET
	if group.Is6() {
		af = unix.AF_INET6
	}
	fd, err := unix.Socket(af, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if group.Is6() {
		err = unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, unix.IPV6_JOIN_GROUP,
			&unix.IPv6Mreq{Multiaddr: group.As16(), Interface: uint32(index)})
	} else {
		err = unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP,
			&unix.IPMreqn{Multiaddr: group.As4(), Ifindex: int32(index)})
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// groupMAC is the frame destination of a group: the low 23 bits of an IPv4 group
// (RFC 1112 6.4), the low 32 bits of an IPv6 one (RFC 2464 7).
func groupMAC(group netip.Addr) net.HardwareAddr {
	if group.Is4() {
		b := group.As4()
		return net.HardwareAddr{0x01, 0x00, 0x5e, b[1] & 0x7f, b[2], b[3]}
	}
	b := group.As16()
	return net.HardwareAddr{0x33, 0x33, b[12], b[13], b[14], b[15]}
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
