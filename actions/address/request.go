package address

import (
	"net/netip"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
)

// Attributes and values of rtnetlink(7) that x/sys/unix does not name.
const (
	ifaRTPriority      = 9  // IFA_RT_PRIORITY, linux/if_addr.h, since 4.18
	ifaProto           = 11 // IFA_PROTO, since 5.18
	promoteSecondaries = 20 // IPV4_DEVCONF_PROMOTE_SECONDARIES, linux/ip.h
	lifetimeForever    = 0xffffffff
)

func familyOf(six bool) uint8 {
	if six {
		return unix.AF_INET6
	}
	return unix.AF_INET
}

// newAddress adds an address that must not be there (NLM_F_CREATE|NLM_F_EXCL), or
// gives one that is there another lifetime (NLM_F_REPLACE).
func newAddress(it *item, flag int) *nl.NetlinkRequest {
	req := addressRequest(unix.RTM_NEWADDR, flag, it)
	a := &it.what.address
	p := a.Prefix
	req.AddData(nl.NewRtAttr(ifaProto, []byte{mark}))
	var flags uint32
	if a.NoPrefixRoute || p.Addr().Is6() && p.Bits() == 128 {
		flags |= unix.IFA_F_NOPREFIXROUTE
	}
	if p.Addr().Is6() {
		flags |= unix.IFA_F_NODAD
		if !it.what.own {
			req.AddData(cacheInfo(it.life, 0))
		}
	} else {
		if it.life != 0 {
			req.AddData(cacheInfo(it.life, it.life))
		}
		if a.Label != "" {
			req.AddData(nl.NewRtAttr(unix.IFA_LABEL, nl.ZeroTerminated(a.Label)))
		}
		if a.Broadcast.Is4() {
			req.AddData(nl.NewRtAttr(unix.IFA_BROADCAST, a.Broadcast.AsSlice()))
		}
	}
	if flags != 0 {
		req.AddData(nl.NewRtAttr(unix.IFA_FLAGS, nl.Uint32Attr(flags)))
	}
	if it.what.metric != 0 && flags&unix.IFA_F_NOPREFIXROUTE == 0 {
		req.AddData(nl.NewRtAttr(ifaRTPriority, nl.Uint32Attr(it.what.metric)))
	}
	return req
}

// cacheInfo are the lifetimes of an address in seconds; valid 0 means for ever.
// An IPv6 address with preferred 0 is deprecated: it is never chosen as a source.
func cacheInfo(valid, preferred uint32) *nl.RtAttr {
	if valid == 0 {
		valid = lifetimeForever
	}
	life := nl.IfaCacheInfo{IfaCacheinfo: unix.IfaCacheinfo{Valid: valid, Prefered: preferred}}
	return nl.NewRtAttr(unix.IFA_CACHEINFO, life.Serialize())
}

// makeRequests makes one request for each address.
func makeRequests(list []item, flag int) []*nl.NetlinkRequest {
	requests := make([]*nl.NetlinkRequest, len(list))
	for i := range list {
		requests[i] = newAddress(&list[i], flag)
	}
	return requests
}

func addressRequest(kind, flags int, it *item) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags|unix.NLM_F_ACK)
	p := it.what.address.Prefix
	msg := nl.NewIfAddrmsg(int(familyOf(p.Addr().Is6())))
	msg.Index = uint32(it.at.link)
	msg.Prefixlen = uint8(p.Bits())
	msg.Scope = it.what.address.Scope
	req.AddData(msg)
	ip := p.Addr().AsSlice()
	req.AddData(nl.NewRtAttr(unix.IFA_LOCAL, ip))
	req.AddData(nl.NewRtAttr(unix.IFA_ADDRESS, ip))
	return req
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

// routeRequest is about one route. Our protocol is in it also when removing, so
// that nobody else's is hit.
func routeRequest(kind, flags int, it *item) *nl.NetlinkRequest {
	route, at := it.what.route.get(), it.at
	r := &route
	req := nl.NewNetlinkRequest(kind, flags|unix.NLM_F_ACK)
	six := at.is6()
	msg := &nl.RtMsg{RtMsg: unix.RtMsg{Family: familyOf(six), Dst_len: uint8(at.prefix.Bits()), Table: unix.RT_TABLE_UNSPEC,
		Protocol: mark, Scope: r.Scope, Type: max(r.Kind, unix.RTN_UNICAST)}}
	if r.Forwards() && !r.Via.IsValid() && r.Scope == unix.RT_SCOPE_UNIVERSE && !six {
		msg.Scope = unix.RT_SCOPE_LINK // as ip-route(8) does
	}
	if kind == unix.RTM_DELROUTE {
		msg.Scope = unix.RT_SCOPE_NOWHERE // matches any
	}
	if r.OnLink {
		msg.Flags |= unix.RTNH_F_ONLINK
	}
	req.AddData(msg)
	if at.prefix.Bits() > 0 {
		req.AddData(nl.NewRtAttr(unix.RTA_DST, at.prefix.Addr().AsSlice()))
	}
	req.AddData(nl.NewRtAttr(unix.RTA_TABLE, nl.Uint32Attr(at.table)))
	if at.metric != 0 {
		req.AddData(nl.NewRtAttr(unix.RTA_PRIORITY, nl.Uint32Attr(at.metric)))
	}
	if r.Forwards() {
		addNextHop(req, r, six)
	}
	if r.Source.IsValid() {
		req.AddData(nl.NewRtAttr(unix.RTA_PREFSRC, r.Source.AsSlice()))
	}
	if r.MTU != 0 {
		metrics := nl.NewRtAttr(unix.RTA_METRICS, nil)
		metrics.AddRtAttr(unix.RTAX_MTU, nl.Uint32Attr(r.MTU))
		req.AddData(metrics)
	}
	return req
}

func addNextHop(req *nl.NetlinkRequest, r *actions.Route, six bool) {
	switch via := r.Via; {
	case !via.IsValid():
	case via.Is6() && !six: // RFC 8950: an IPv4 route by an IPv6 next hop
		req.AddData(nl.NewRtAttr(unix.RTA_VIA, append(nl.Uint16Attr(unix.AF_INET6), via.AsSlice()...)))
	default:
		req.AddData(nl.NewRtAttr(unix.RTA_GATEWAY, via.AsSlice()))
	}
	if r.Link != 0 {
		req.AddData(nl.NewRtAttr(unix.RTA_OIF, nl.Uint32Attr(uint32(r.Link))))
	}
}

// ruleRequest is about one rule, in the form of placeOfRule. The kernel tells
// rules of different protocols apart: another program's equal one stays.
func ruleRequest(kind, flags int, r actions.Rule) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags|unix.NLM_F_ACK)
	// struct fib_rule_hdr has the layout of struct rtmsg; Type is its action.
	msg := &nl.RtMsg{RtMsg: unix.RtMsg{Family: familyOf(r.IPv6), Type: nl.FR_ACT_TO_TBL}}
	req.AddData(msg)
	prefix := func(attr int, p netip.Prefix) uint8 {
		if !p.IsValid() {
			return 0
		}
		req.AddData(nl.NewRtAttr(attr, p.Addr().AsSlice()))
		return uint8(p.Bits())
	}
	msg.Src_len, msg.Dst_len = prefix(nl.FRA_SRC, r.From), prefix(nl.FRA_DST, r.To)
	number := func(attr int, n uint32) {
		if n != 0 {
			req.AddData(nl.NewRtAttr(attr, nl.Uint32Attr(n)))
		}
	}
	number(nl.FRA_PRIORITY, r.Priority)
	number(nl.FRA_TABLE, r.Table)
	if r.Mask != 0 {
		req.AddData(nl.NewRtAttr(nl.FRA_FWMARK, nl.Uint32Attr(r.Mark)))
		req.AddData(nl.NewRtAttr(nl.FRA_FWMASK, nl.Uint32Attr(r.Mask)))
	}
	name := func(attr int, s string) {
		if s != "" {
			req.AddData(nl.NewRtAttr(attr, nl.ZeroTerminated(s)))
		}
	}
	name(nl.FRA_IIFNAME, r.In)
	name(nl.FRA_OIFNAME, r.Out)
	req.AddData(nl.NewRtAttr(nl.FRA_PROTOCOL, []byte{mark}))
	return req
}

// rival looks up the route that is in the way of another.
func (r *rtnl) rival(it item) (text string, same bool) {
	req := r.request(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
	req.AddData(&nl.RtMsg{RtMsg: unix.RtMsg{Family: familyOf(it.at.is6())}})
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE)
	if err != nil && len(answers) == 0 {
		return "another route", false
	}
	text = "another route"
	for _, b := range answers {
		m, err := parseRoute(b)
		if err != nil || m.place() != it.at {
			continue
		}
		if r := it.what.route.get(); m.leads(&r) {
			return m.String(), true
		}
		text = "the route " + m.String()
	}
	return text, false
}
