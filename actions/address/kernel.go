package address

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"sync/atomic"
	"time"
	"unique"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/address/firewall"
	"github.com/backbeat-ha/backbeat/actions/address/macvlan"
)

// mark is the IFA_PROTO value of our addresses and the protocol of our routes
// and rules (rtm_protocol, FRA_PROTOCOL): VRRP's IP protocol number.
const mark = 112

// requestTimeout bounds one netlink request. The kernel answers in microseconds
// unless somebody holds the RTNL lock (deleting many macvlans takes seconds).
const requestTimeout = 10_000_000_000 // ns

// chunk is how many things are added or removed before the applier looks for
// newer wishes.
const chunk = 64

const (
	// together is how many of them are one system call at most. While it adds an address
	// the kernel does not let anybody else run on that processor, and the loop may be
	// wanted there: 8 of them are 0.6 ms, and cost as little for each as 500 together.
	together = 8
	// callTime is what one call is to take at most. The kernel walks through all addresses
	// of the interface for each: the 5,000th takes 200 µs (IPv4), 1 ms (IPv6).
	callTime = time.Millisecond
)

// kernel is what the applier needs of rtnetlink. Tests have a pretended one.
type kernel interface {
	// add adds things that must not be there (else unix.EEXIST), in order; the
	// errors are in the same order.
	add(list []item) []error
	// renew gives addresses that are there the lifetimes of the items.
	renew(list []item) []error
	// remove removes things, in order.
	remove(list []item) []error
	// rival describes the route that is where one is wanted, and whether it
	// leads the same way.
	rival(it item) (text string, same bool)
	// up tells whether the link exists and is administratively up.
	up(link int) bool
	// exists tells whether there is such a link.
	exists(link int) bool
}

// links is what the applier needs of package macvlan.
type links interface {
	Ensure(v actions.VirtualMAC, alias string) (macvlan.Found, bool, error)
	Remove(indexes ...int) error
	List(aliasPrefix string) ([]macvlan.Found, error)
	Parent(name string) (before map[string]string, err error)
	RestoreParent(name string, before map[string]string) error
}

// walls is what the applier needs of package firewall.
type walls interface {
	Silence(parent string, macs ...[6]byte)
	Open(parent string, macs ...[6]byte)
	Refuse(list ...firewall.Refused)
	Accept(list ...firewall.Refused)
	Forget(parent string)
	Flush() error
	Check() (bool, error)
	Clear() error
}

// kind says what is at a place. The last three are in the ledger only.
type kind uint8

const (
	anAddress kind = iota
	aRoute
	aRule
	aMacvlan
	aParent
	aTable
)

// place is where something is, as the kernel tells such things apart: an IPv4
// address by link, address and prefix length, an IPv6 address by link and
// address alone, a route by table, destination and metric, a rule by all of it.
type place struct {
	kind          kind
	link          int
	prefix        netip.Prefix
	table, metric uint32
	rule          ref[actions.Rule]
	mac           [6]byte
}

// ref is a large value that few places have: most of what is held is addresses,
// thousands of them, and has neither a route nor a rule. Two are equal if what they
// stand for is.
type ref[T comparable] struct{ handle unique.Handle[T] }

func refTo[T comparable](v T) ref[T] {
	var none T
	if v == none {
		return ref[T]{}
	}
	return ref[T]{unique.Make(v)}
}

// get is the value, zero where there is none.
func (r ref[T]) get() (v T) {
	if r != (ref[T]{}) {
		v = r.handle.Value()
	}
	return v
}

func placeOf(link int, p netip.Prefix) place {
	if p.Addr().Is6() {
		p = netip.PrefixFrom(p.Addr(), 128)
	}
	return place{link: link, prefix: p}
}

// mainTable is RT_TABLE_MAIN.
const mainTable = 254

// defaultMetric6 is what the kernel makes of metric 0 for IPv6 (IP6_RT_PRIO_USER).
const defaultMetric6 = 1024

func placeOfRoute(r *actions.Route) place {
	at := place{kind: aRoute, prefix: r.Dst.Masked(), table: r.Table, metric: r.Metric}
	if at.table == 0 {
		at.table = mainTable
	}
	if at.metric == 0 && r.Dst.Addr().Is6() {
		at.metric = defaultMetric6
	}
	return at
}

// placeOfRule brings a rule into the one form in which the kernel shows it.
func placeOfRule(r actions.Rule) place {
	for _, p := range []*netip.Prefix{&r.From, &r.To} {
		if p.IsValid() && p.Bits() == 0 {
			*p = netip.Prefix{}
		}
		*p = p.Masked()
	}
	if r.Table == 0 {
		r.Table = mainTable
	}
	switch {
	case r.Mark != 0 && r.Mask == 0:
		r.Mask = ^uint32(0)
	case r.Mask != 0:
		r.Mark &= r.Mask
	}
	return place{kind: aRule, rule: refTo(r)}
}

// is6 tells the family.
func (p place) is6() bool {
	if p.kind == aRule {
		return p.rule.get().IPv6
	}
	return p.prefix.Addr().Is6()
}

// thing is what is wanted at a place.
type thing struct {
	address actions.Address
	// linkName is for people.
	linkName string
	// metric is that of the address's connected route; 0 leaves it to the kernel.
	metric uint32
	// own: the address is the interface's own (address owner).
	own bool
	// route's Link is where it really leaves, 0 where the next hop decides.
	route ref[actions.Route]
}

// item is a thing and its place.
type item struct {
	at   place
	what thing
	// life is the lifetime of an address in seconds, 0 for ever.
	life uint32
}

// name is what people call it.
func (it *item) name() string {
	switch it.at.kind {
	case aRoute:
		r := it.what.route.get()
		return "route " + r.String()
	case aRule:
		return "rule " + it.at.rule.get().String()
	default:
		return it.what.address.Prefix.String()
	}
}

// link is the interface without which it cannot be there, 0 if there is none.
func (it *item) link() int {
	if it.at.kind == aRoute {
		return it.what.route.get().Link
	}
	return it.at.link
}

// rtnl is the kernel through one netlink socket. It is used from one goroutine.
type rtnl struct {
	sockets map[int]*nl.SocketHandle
	// promoted are the links on which promote_secondaries is on for sure.
	promoted map[int]bool
	// each is what a request of the last call took.
	each time.Duration
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
	// The kernel's own words for a refusal; kernels before 4.12 have none.
	_ = s.SetExtAck(true)
	return r, nil
}

// port is the number under which the kernel knows the socket of changes.
func (r *rtnl) port() uint32 {
	n, err := r.sockets[unix.NETLINK_ROUTE].Socket.GetPid()
	if err != nil {
		return math.MaxUint32 // nobody's: then every notice counts
	}
	return n
}

func (r *rtnl) close() {
	for _, s := range r.sockets {
		s.Close()
	}
}

func (r *rtnl) request(kind, flags int) *nl.NetlinkRequest {
	req := nl.NewNetlinkRequest(kind, flags)
	req.Sockets = r.sockets
	return req
}

// add carries out additions, chunk by chunk.
func (r *rtnl) add(list []item) []error {
	requests := make([]*nl.NetlinkRequest, len(list))
	for i := range list {
		switch it := &list[i]; it.at.kind {
		case aRoute:
			requests[i] = routeRequest(unix.RTM_NEWROUTE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, it)
		case aRule:
			requests[i] = ruleRequest(unix.RTM_NEWRULE, unix.NLM_F_CREATE|unix.NLM_F_EXCL, it.at.rule.get())
		default:
			requests[i] = newAddress(it, unix.NLM_F_CREATE|unix.NLM_F_EXCL)
		}
	}
	return r.exchange(requests)
}

func (r *rtnl) remove(list []item) []error {
	requests := make([]*nl.NetlinkRequest, len(list))
	for i := range list {
		switch it := &list[i]; it.at.kind {
		case aRoute:
			requests[i] = routeRequest(unix.RTM_DELROUTE, 0, it)
		case aRule:
			requests[i] = ruleRequest(unix.RTM_DELRULE, 0, it.at.rule.get())
		default:
			p := it.what.address.Prefix
			if p.Addr().Is4() && p.Bits() < 32 {
				r.promote(it.at.link)
			}
			requests[i] = addressRequest(unix.RTM_DELADDR, 0, it)
		}
	}
	return r.exchange(requests)
}

// exchange sends requests, chunk by chunk in one system call each, and collects
// the kernel's answers.
func (r *rtnl) exchange(requests []*nl.NetlinkRequest) []error {
	errs := make([]error, 0, len(requests))
	for len(requests) > 0 {
		n := min(fitting(r.each), len(requests))
		began := time.Now()
		errs = append(errs, r.batch(requests[:n])...)
		r.each = time.Since(began) / time.Duration(n)
		requests = requests[n:]
	}
	return errs
}

// fitting is how many requests are one system call if each takes so long.
func fitting(each time.Duration) int {
	return int(min(together, max(1, callTime/max(each, 1))))
}

// batch is one system call. The kernel carries out the messages one after the
// other, whatever becomes of those before, and acknowledges each. After a
// failure of the socket what has no answer has the failure's error.
func (r *rtnl) batch(requests []*nl.NetlinkRequest) []error {
	errs := make([]error, len(requests))
	h := r.sockets[unix.NETLINK_ROUTE]
	waiting := make(map[uint32]int, len(requests))
	var message []byte
	for i, req := range requests {
		req.Seq = atomic.AddUint32(&h.Seq, 1)
		waiting[req.Seq] = i
		message = append(message, req.Serialize()...)
	}
	err := unix.Sendto(h.Socket.GetFd(), message, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	for err == nil && len(waiting) > 0 {
		err = r.answers(h.Socket, waiting, errs)
	}
	for _, i := range waiting {
		errs[i] = err
	}
	return errs
}

// answers reads acknowledgements once. Late ones of an exchange that was given
// up are left out by their number.
func (r *rtnl) answers(s *nl.NetlinkSocket, waiting map[uint32]int, errs []error) error {
	messages, from, err := s.Receive()
	if err != nil {
		return err
	}
	if from.Pid != nl.PidKernel {
		return nil
	}
	for _, m := range messages {
		i, ok := waiting[m.Header.Seq]
		if !ok || m.Header.Type != unix.NLMSG_ERROR || len(m.Data) < 4 {
			continue
		}
		delete(waiting, m.Header.Seq)
		errs[i] = refusal(m.Header.Flags, m.Data)
	}
	return nil
}

// refusal reads struct nlmsgerr and, where there is one, the kernel's own word
// (NLMSGERR_ATTR_MSG): "Nexthop has invalid gateway".
func refusal(flags uint16, data []byte) error {
	code := -int32(binary.NativeEndian.Uint32(data))
	if code == 0 {
		return nil
	}
	err := unix.Errno(code)
	const header = 4 + unix.SizeofNlMsghdr
	if flags&unix.NLM_F_ACK_TLVS == 0 || len(data) < header {
		return err
	}
	// The request is repeated, or with NLM_F_CAPPED its header only.
	skip := header
	if flags&unix.NLM_F_CAPPED == 0 {
		skip = 4 + (int(binary.NativeEndian.Uint32(data[4:]))+3)&^3
	}
	if skip > len(data) {
		return err
	}
	attrs, parseErr := nl.ParseRouteAttr(data[skip:])
	if parseErr != nil {
		return err
	}
	for _, a := range attrs {
		if a.Attr.Type == nl.NLMSGERR_ATTR_MSG {
			return fmt.Errorf("%w: %s", err, unix.ByteSliceToString(a.Value))
		}
	}
	return err
}

func (r *rtnl) up(link int) bool {
	flags, there := r.flags(link)
	return there && flags&unix.IFF_UP != 0
}

func (r *rtnl) exists(link int) bool {
	_, there := r.flags(link)
	return there
}

func (r *rtnl) flags(link int) (flags uint32, there bool) {
	req := r.request(unix.RTM_GETLINK, 0)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(link)
	req.AddData(msg)
	answers, err := req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
	if err != nil || len(answers) == 0 || len(answers[0]) < unix.SizeofIfInfomsg {
		return 0, false
	}
	return nl.DeserializeIfInfomsg(answers[0]).Flags, true
}
