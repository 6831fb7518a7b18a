package address

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"

	"github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
)

// routeMessage is what we read of RTM_NEWROUTE and RTM_DELROUTE (struct rtmsg
// and its attributes, linux/rtnetlink.h).
type routeMessage struct {
	dst           netip.Prefix
	via           netip.Addr
	link          int
	table, metric uint32
	proto, kind   uint8
}

func (m routeMessage) place() place {
	return place{kind: aRoute, prefix: m.dst, table: m.table, metric: m.metric}
}

// leads tells whether it goes the way of a wanted route.
func (m routeMessage) leads(r *actions.Route) bool {
	return m.kind == max(r.Kind, unix.RTN_UNICAST) && (!r.Forwards() || m.via == r.Via && (r.Link == 0 || m.link == r.Link))
}

func (m routeMessage) String() string {
	return actions.Route{Dst: m.dst, Via: m.via, Kind: m.kind, Metric: m.metric}.String()
}

func parseRoute(b []byte) (routeMessage, error) {
	var m routeMessage
	if len(b) < unix.SizeofRtMsg {
		return m, errors.New("reading a route notice: too short")
	}
	m.table, m.proto, m.kind = uint32(b[4]), b[5], b[7]
	attrs, err := netlink.NewAttributeDecoder(b[unix.SizeofRtMsg:])
	if err != nil {
		return m, fmt.Errorf("reading a route notice: %w", err)
	}
	dst := unspecified(b[0])
	for attrs.Next() {
		switch attrs.Type() {
		case unix.RTA_DST:
			dst, _ = netip.AddrFromSlice(attrs.Bytes())
		case unix.RTA_GATEWAY:
			m.via, _ = netip.AddrFromSlice(attrs.Bytes())
		case unix.RTA_VIA:
			if v := attrs.Bytes(); len(v) > 2 {
				m.via, _ = netip.AddrFromSlice(v[2:])
			}
		case unix.RTA_OIF:
			m.link = int(attrs.Uint32())
		case unix.RTA_TABLE:
			m.table = attrs.Uint32()
		case unix.RTA_PRIORITY:
			m.metric = attrs.Uint32()
		}
	}
	if err := attrs.Err(); err != nil {
		return m, fmt.Errorf("reading a route notice: %w", err)
	}
	m.dst = netip.PrefixFrom(dst, int(b[1]))
	return m, nil
}

// unspecified is the address that the kernel leaves out.
func unspecified(family uint8) netip.Addr {
	if family == unix.AF_INET6 {
		return netip.IPv6Unspecified()
	}
	return netip.IPv4Unspecified()
}

// ruleMessage is what we read of RTM_NEWRULE and RTM_DELRULE (struct
// fib_rule_hdr, linux/fib_rules.h), in the form of placeOfRule.
type ruleMessage struct {
	rule  actions.Rule
	proto uint8
}

func parseRule(b []byte) (ruleMessage, error) {
	var m ruleMessage
	if len(b) < unix.SizeofRtMsg {
		return m, errors.New("reading a rule notice: too short")
	}
	r := &m.rule
	r.IPv6 = b[0] == unix.AF_INET6
	r.Table = uint32(b[4])
	attrs, err := netlink.NewAttributeDecoder(b[unix.SizeofRtMsg:])
	if err != nil {
		return m, fmt.Errorf("reading a rule notice: %w", err)
	}
	prefix := func(bits uint8) netip.Prefix {
		a, _ := netip.AddrFromSlice(attrs.Bytes())
		return netip.PrefixFrom(a, int(bits))
	}
	for attrs.Next() {
		switch attrs.Type() {
		case nl.FRA_DST:
			r.To = prefix(b[1])
		case nl.FRA_SRC:
			r.From = prefix(b[2])
		case nl.FRA_IIFNAME:
			r.In = attrs.String()
		case nl.FRA_OIFNAME:
			r.Out = attrs.String()
		case nl.FRA_PRIORITY:
			r.Priority = attrs.Uint32()
		case nl.FRA_TABLE:
			r.Table = attrs.Uint32()
		case nl.FRA_FWMARK:
			r.Mark = attrs.Uint32()
		case nl.FRA_FWMASK:
			r.Mask = attrs.Uint32()
		case nl.FRA_PROTOCOL:
			m.proto = attrs.Uint8()
		}
	}
	if err := attrs.Err(); err != nil {
		return m, fmt.Errorf("reading a rule notice: %w", err)
	}
	return m, nil
}

// dumpOurs returns the places of the routes and rules of one family that carry our mark.
func dumpOurs(c *netlink.Conn, six bool) ([]place, error) {
	var list []place
	// With strict checking the kernel selects routes by protocol, so that a host
	// with a full routing table does not list a million of them.
	body := make([]byte, unix.SizeofRtMsg)
	body[0], body[5] = familyOf(six), mark
	answers, err := dump(c, unix.RTM_GETROUTE, body)
	if err != nil {
		return nil, fmt.Errorf("listing routes: %w", err)
	}
	for _, a := range answers {
		m, err := parseRoute(a.Data)
		if err != nil {
			return nil, err
		}
		if a.Header.Type == unix.RTM_NEWROUTE && m.proto == mark {
			list = append(list, m.place())
		}
	}
	body = make([]byte, unix.SizeofRtMsg)
	body[0] = familyOf(six)
	answers, err = dump(c, unix.RTM_GETRULE, body)
	if err != nil {
		return nil, fmt.Errorf("listing rules: %w", err)
	}
	for _, a := range answers {
		m, err := parseRule(a.Data)
		if err != nil {
			return nil, err
		}
		if a.Header.Type == unix.RTM_NEWRULE && m.proto == mark {
			list = append(list, placeOfRule(m.rule))
		}
	}
	return list, nil
}

// ownRoutesOnly keeps the route notices of others away from the socket: a BGP
// daemon that learns a million routes would else overrun it. The program is run
// by the kernel on each notice, from its nlmsghdr: RTM_NEWROUTE goes, and of
// RTM_DELROUTE what does not carry our mark; the removal of a route that is
// wanted but not ours is found by the periodic comparison.
func ownRoutesOnly() ([]bpf.RawInstruction, error) {
	// nlmsg_type is in the machine's order, a load is big-endian.
	kind := func(k uint16) uint32 {
		return uint32(binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, k)))
	}
	const typeAt, protocolAt = 4, unix.SizeofNlMsghdr + 5
	return bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: typeAt, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: kind(unix.RTM_NEWROUTE), SkipTrue: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: kind(unix.RTM_DELROUTE), SkipTrue: 2},
		bpf.LoadAbsolute{Off: protocolAt, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: mark, SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 30},
		bpf.RetConstant{Val: 0},
	})
}
