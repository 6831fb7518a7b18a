package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
)

// mainTable is the routing table "main".
const mainTable = 254

// route carries out the verbs of a route as a step.
func (h *Hands) route(_ context.Context, job *actions.Job, a actions.RouteStep, _ say) actions.Done {
	s := routeAgent{r: a.Route, name: a.Route.String()}
	s.r.Link = 0 // as it is numbered now, below
	if s.r.Table == 0 {
		s.r.Table = mainTable
	}
	if s.r.Interface != "" {
		link, err := netlink.LinkByName(s.r.Interface)
		if err != nil {
			return noInterface(job.Verb, s.r.Interface, err)
		}
		s.r.Link = link.Attrs().Index
	}
	switch job.Verb {
	case actions.Start:
		return s.start()
	case actions.Stop, actions.ForceStop:
		return s.stop()
	default:
		return s.look()
	}
}

type routeAgent struct {
	r actions.Route
	// name is the route as it was configured.
	name string
}

// find returns the route at the wanted place (destination, table, metric), if
// there is one, and whether it leads the wanted way.
func (s *routeAgent) find() (there *netlink.Route, ours bool, err error) {
	filter := &netlink.Route{Table: int(s.r.Table), Type: unix.RTN_UNSPEC}
	all, err := netlink.RouteListFiltered(family(s.r.Dst.Addr()), filter, netlink.RT_FILTER_TABLE)
	if err != nil {
		return nil, false, fmt.Errorf("the routes of table %d cannot be read: %w", s.r.Table, err)
	}
	for i := range all {
		r := &all[i]
		if destination(r, s.r.Dst.Addr()) != s.r.Dst.Masked() || !s.metric(r) {
			continue
		}
		there = r
		if s.leads(r) {
			return r, true, nil
		}
	}
	return there, false, nil
}

func destination(r *netlink.Route, like netip.Addr) netip.Prefix {
	if r.Dst == nil {
		unspecified := netip.IPv4Unspecified()
		if like.Is6() {
			unspecified = netip.IPv6Unspecified()
		}
		return netip.PrefixFrom(unspecified, 0)
	}
	ip, _ := netip.AddrFromSlice(r.Dst.IP)
	bits, _ := r.Dst.Mask.Size()
	if like.Is4() {
		ip = ip.Unmap()
	}
	return netip.PrefixFrom(ip, bits)
}

// metric compares priorities: the kernel makes 1024 of an IPv6 route's 0.
func (s *routeAgent) metric(r *netlink.Route) bool {
	return r.Priority == int(s.r.Metric) || s.r.Metric == 0 && s.r.Dst.Addr().Is6() && r.Priority == 1024
}

func (s *routeAgent) leads(r *netlink.Route) bool {
	if r.Type != int(max(s.r.Kind, unix.RTN_UNICAST)) {
		return false
	}
	if !s.r.Forwards() {
		return true
	}
	if s.r.Link != 0 && r.LinkIndex != s.r.Link {
		return false
	}
	gw, _ := netip.AddrFromSlice(r.Gw)
	if via, ok := r.Via.(*netlink.Via); ok {
		gw, _ = netip.AddrFromSlice(via.Addr)
	}
	return gw.Unmap() == s.r.Via
}

func (s *routeAgent) look() actions.Done {
	there, ours, err := s.find()
	switch {
	case err != nil:
		return actions.Done{Detail: err.Error()}
	case ours:
		return actions.Done{OK: true, State: actions.Up, Detail: s.name}
	case there != nil:
		return actions.Done{OK: true, State: actions.Down, Detail: "another route is in its place: " + shown(there)}
	default:
		return actions.Done{OK: true, State: actions.Down, Detail: s.name + " is not there"}
	}
}

// shown is a route of the kernel's as ip-route(8) writes it.
func shown(r *netlink.Route) string {
	v := actions.Route{Metric: uint32(r.Priority), Kind: uint8(r.Type), Dst: netip.PrefixFrom(netip.IPv4Unspecified(), 0)}
	if r.Dst != nil {
		ip, _ := netip.AddrFromSlice(r.Dst.IP)
		bits, _ := r.Dst.Mask.Size()
		v.Dst = netip.PrefixFrom(ip, bits)
	}
	v.Via, _ = netip.AddrFromSlice(r.Gw)
	if link, err := netlink.LinkByIndex(r.LinkIndex); err == nil {
		v.Interface = link.Attrs().Name
	}
	words := v.String()
	if r.Protocol != 0 {
		words += " of " + r.Protocol.String()
	}
	return words
}

// start adds the route. Another one in its place is not replaced: somebody wants it.
func (s *routeAgent) start() actions.Done {
	if s.r.Forwards() && s.r.Link == 0 && !s.r.Via.IsValid() {
		return actions.Done{Hopeless: true, State: actions.Down, Detail: s.name + ": neither an interface nor a next hop"}
	}
	done := s.look()
	if done.State == actions.Up {
		return done
	}
	err := netlink.RouteAdd(s.message())
	done = s.look()
	done.OK = done.State == actions.Up
	if !done.OK && err != nil {
		done.Detail = fmt.Sprintf("%s cannot be added: %v%s", s.name, err, s.hint(err, done.Detail))
	}
	return done
}

func (s *routeAgent) hint(err error, found string) string {
	switch {
	case errors.Is(err, unix.EEXIST):
		return ": " + found
	case errors.Is(err, unix.ENETUNREACH):
		return ": the next hop is on no connected network: does the address that reaches it come later?"
	case errors.Is(err, unix.ENETDOWN):
		return ": the interface is down"
	default:
		return ""
	}
}

// message is the route as the kernel is told. Its protocol is static, as of one
// that was added by hand: 112 belongs to the routes of virtual routers, which
// package address looks after.
func (s *routeAgent) message() *netlink.Route {
	r := &netlink.Route{Table: int(s.r.Table), Priority: int(s.r.Metric), Protocol: unix.RTPROT_STATIC, Scope: netlink.Scope(s.r.Scope),
		Type: int(max(s.r.Kind, unix.RTN_UNICAST)), MTU: int(s.r.MTU), LinkIndex: s.r.Link}
	dst := s.r.Dst.Masked()
	r.Dst = &net.IPNet{IP: dst.Addr().AsSlice(), Mask: net.CIDRMask(dst.Bits(), dst.Addr().BitLen())}
	six := dst.Addr().Is6()
	switch via := s.r.Via; {
	case !via.IsValid():
		if s.r.Forwards() && !six && s.r.Scope == unix.RT_SCOPE_UNIVERSE {
			r.Scope = unix.RT_SCOPE_LINK // as ip-route(8) does
		}
	case via.Is6() && !six: // RFC 8950: an IPv4 route by an IPv6 next hop
		r.Via = &netlink.Via{AddrFamily: unix.AF_INET6, Addr: via.AsSlice()}
	default:
		r.Gw = via.AsSlice()
	}
	if s.r.Source.IsValid() {
		r.Src = s.r.Source.AsSlice()
	}
	if s.r.OnLink {
		r.Flags = int(netlink.FLAG_ONLINK)
	}
	return r
}

// stop removes the route, if it leads the way of ours.
func (s *routeAgent) stop() actions.Done {
	there, ours, err := s.find()
	if err != nil {
		return actions.Done{Detail: err.Error()}
	}
	if ours {
		if err := netlink.RouteDel(there); err != nil && !errors.Is(err, unix.ESRCH) {
			return actions.Done{State: actions.Up, Detail: fmt.Sprintf("%s cannot be removed: %v", s.name, err)}
		}
	}
	done := s.look()
	done.OK = done.State == actions.Down
	return done
}
