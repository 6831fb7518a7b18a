package address

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
)

// mark is the IFA_PROTO value of our addresses: VRRP's IP protocol number.
const mark = 112

// Attributes and values of rtnetlink(7) that x/sys/unix does not name.
const (
	ifaProto           = 11 // IFA_PROTO, linux/if_addr.h, since 5.18
	promoteSecondaries = 20 // IPV4_DEVCONF_PROMOTE_SECONDARIES, linux/ip.h
	lifetimeForever    = 0xffffffff
)

// requestTimeout bounds one netlink request. The kernel answers in microseconds
// unless somebody holds the RTNL lock (deleting many macvlans takes seconds).
const requestTimeout = 10_000_000_000 // ns

// kernel is what the applier needs of the kernel. Tests have a pretended one.
type kernel interface {
	// add adds an address that must not be there (else unix.EEXIST).
	add(link int, a actions.Address, h how) error
	// remove removes an address.
	remove(link int, p netip.Prefix) error
	// addThing adds a route or rule that must not be there (else unix.EEXIST),
	// removeThing removes one.
	addThing(t thing) error
	removeThing(t thing) error
	// up tells whether the link exists and is administratively up.
	up(link int) bool
}

// how says what an address is for.
type how struct {
	// own: it is the interface's own; mac: it goes on a macvlan.
	own, mac bool
}

// Metrics of the connected routes of addresses on a macvlan, beside the parent's
// (IPv6 256, IPv4 0). IPv6 hosts on the link are reached by the macvlan, so that
// solicitations carry the virtual MAC (RFC 9568 8.2.2); source addresses are not
// concerned, since ours are deprecated. For IPv4 the parent goes first, or the
// host's own connections would come from the virtual address.
const (
	macMetric6 = 128
	macMetric4 = 1024
)

// place is where an address is, as the kernel tells addresses apart: on a link,
// by address and prefix length for IPv4, by address alone for IPv6.
type place struct {
	link   int
	prefix netip.Prefix
}

func placeOf(link int, p netip.Prefix) place {
	if p.Addr().Is6() {
		p = netip.PrefixFrom(p.Addr(), 128)
	}
	return place{link, p}
}

// rtnl is the kernel through one netlink socket. It is used from one goroutine.
type rtnl struct {
	sockets map[int]*nl.SocketHandle
	// promoted are the links on which promote_secondaries is on for sure.
	promoted map[int]bool
	// handle is for routes and rules.
	handle *netlink.Handle
}

func dialKernel() (*rtnl, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening a netlink socket for addresses: %w", err)
	}
	r := &rtnl{
		sockets:  map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: s}},
		promoted: make(map[int]bool),
	}
	timeout := unix.NsecToTimeval(requestTimeout)
	if err := errors.Join(s.SetSendTimeout(&timeout), s.SetReceiveTimeout(&timeout)); err != nil {
		r.close()
		return nil, fmt.Errorf("setting up the netlink socket for addresses: %w", err)
	}
	if r.handle, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		r.close()
		return nil, fmt.Errorf("opening a netlink socket for routes: %w", err)
	}
	if err := r.handle.SetSocketTimeout(requestTimeout); err != nil {
		r.close()
		return nil, fmt.Errorf("setting up the netlink socket for routes: %w", err)
	}
	// The kernel's own words for a refusal; kernels before 4.12 have none.
	_ = s.SetExtAck(true)
	return r, nil
}

func (r *rtnl) close() {
	for _, s := range r.sockets {
		s.Close()
	}
	if r.handle != nil {
		r.handle.Close()
	}
}

func (r *rtnl) request(kind, flags int) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags)
	req.Sockets = r.sockets
	return req
}

func (r *rtnl) add(link int, a actions.Address, h how) error {
	p := a.Prefix
	req := r.request(unix.RTM_NEWADDR, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
	addAddress(req, link, p, a.Scope)
	req.AddData(nl.NewRtAttr(ifaProto, []byte{mark}))
	if a.Label != "" {
		req.AddData(nl.NewRtAttr(unix.IFA_LABEL, nl.ZeroTerminated(a.Label)))
	}
	if a.Broadcast.IsValid() {
		req.AddData(nl.NewRtAttr(unix.IFA_BROADCAST, a.Broadcast.AsSlice()))
	}
	if h.mac && p.Bits() < p.Addr().BitLen() {
		metric := uint32(macMetric4)
		if p.Addr().Is6() {
			metric = macMetric6
		}
		req.AddData(nl.NewRtAttr(unix.IFA_RT_PRIORITY, nl.Uint32Attr(metric)))
	}
	flags := uint32(0)
	if a.NoPrefixRoute || p.Addr().Is6() && p.Bits() == 128 {
		flags |= unix.IFA_F_NOPREFIXROUTE
	}
	if p.Addr().Is6() {
		flags |= unix.IFA_F_NODAD
	}
	if flags != 0 {
		req.AddData(nl.NewRtAttr(unix.IFA_FLAGS, nl.Uint32Attr(flags)))
	}
	if p.Addr().Is6() {
		if !h.own {
			life := nl.IfaCacheInfo{IfaCacheinfo: unix.IfaCacheinfo{Valid: lifetimeForever, Prefered: 0}}
			req.AddData(nl.NewRtAttr(unix.IFA_CACHEINFO, life.Serialize()))
		}
	}
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

func (r *rtnl) remove(link int, p netip.Prefix) error {
	if p.Addr().Is4() && p.Bits() < 32 {
		r.promote(link)
	}
	req := r.request(unix.RTM_DELADDR, unix.NLM_F_ACK)
	addAddress(req, link, p, 0)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	return err
}

// promote switches promote_secondaries on for a link, once. Without it the
// kernel removes, together with the first IPv4 address of a subnet, all others
// of that subnet: those of other routers and those that are not ours at all.
// systemd's sysctl.d/50-default.conf switches it on everywhere. A refusal does
// not matter here: the removal that follows would be refused as well.
func (r *rtnl) promote(link int) {
	if r.promoted[link] {
		return
	}
	req := r.request(unix.RTM_SETLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(link)
	req.AddData(msg)
	spec := nl.NewRtAttr(unix.IFLA_AF_SPEC, nil)
	conf := spec.AddRtAttr(unix.AF_INET, nil).AddRtAttr(unix.IFLA_INET_CONF, nil)
	conf.AddRtAttr(promoteSecondaries, nl.Uint32Attr(1))
	req.AddData(spec)
	_, err := req.Execute(unix.NETLINK_ROUTE, 0)
	r.promoted[link] = err == nil
}

func addAddress(req *nl.NetlinkRequest, link int, p netip.Prefix, scope uint8) {
	family := unix.AF_INET
	if p.Addr().Is6() {
		family = unix.AF_INET6
	}
	msg := nl.NewIfAddrmsg(family)
	msg.Index = uint32(link)
	msg.Prefixlen = uint8(p.Bits())
	msg.Scope = scope
	req.AddData(msg)
	ip := p.Addr().AsSlice()
	req.AddData(nl.NewRtAttr(unix.IFA_LOCAL, ip))
	req.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, ip))
}

func (r *rtnl) up(link int) bool {
	req := r.request(unix.RTM_GETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(link)
	req.AddData(msg)
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil || len(answers) == 0 || len(answers[0]) < unix.SizeofIfInfomsg {
		return false
	}
	return nl.DeserializeIfInfomsg(answers[0]).Flags&unix.IFF_UP != 0
}

// absent tells that an address could not be removed because it, or its whole
// interface, is not there: that is as good as removed.
func absent(err error) bool {
	return errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENXIO)
}

// explain names the cause and the remedy of the refusals that have one.
func explain(err error, link string) string {
	switch {
	case errors.Is(err, unix.EPERM):
		return "not permitted: changing addresses needs the capability CAP_NET_ADMIN " +
			"(run backbeat as root, or give its unit AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW)"
	case errors.Is(err, unix.EACCES):
		return "IPv6 is switched off on " + link + " (set net.ipv6.conf." + link + ".disable_ipv6=0)"
	case errors.Is(err, unix.ENODEV), errors.Is(err, unix.ENXIO):
		return "the interface " + link + " is gone"
	case errors.Is(err, unix.EAGAIN):
		return "the kernel did not answer within 10s"
	default:
		return err.Error()
	}
}
