package address

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
)

// Routes and rules. The kernel is not asked for notices of them: a border
// router has a million routes that are none of our business. What we hold is
// looked at by adding it again every verifyEvery, and whenever an address or a
// link has come back, with which the kernel drops routes in silence: "it exists"
// costs a few microseconds, and success means that it had been missing.

// verifyEvery is how long a removed route or rule, or a damaged firewall table,
// can stay unnoticed.
const verifyEvery = 2 * time.Second

// thing is a route or a rule. Exactly one of the two is set.
type thing struct {
	Route *actions.Route `json:",omitempty"`
	Rule  *actions.Rule  `json:",omitempty"`
	// Link is where a route leaves: the resolved Route.Link.
	Link int
}

// String is the thing as ip(8) writes it.
func (t thing) String() string {
	if t.Rule != nil {
		return "rule " + t.Rule.String()
	}
	return "route " + t.Route.String()
}

// key tells things apart, and is the fact in the ledger: all that is needed to
// remove it again.
func (t thing) key() string {
	b, err := json.Marshal(t)
	if err != nil {
		panic("address: " + err.Error()) // plain values
	}
	return string(b)
}

func parseThing(key string) (t thing, err error) {
	if err = json.Unmarshal([]byte(key), &t); err != nil {
		return t, fmt.Errorf("reading a route or rule from the ledger: %w", err)
	}
	if (t.Route == nil) == (t.Rule == nil) {
		return t, errors.New("reading a route or rule from the ledger: neither or both")
	}
	return t, nil
}

// holdingThing is a thing that a router wants.
type holdingThing struct {
	thing
	router actions.RouterID
	// foreign: it was there before us; present: it is there as far as we know;
	// troubled: the last attempt failed, which has been said.
	foreign, present, troubled bool
}

// thingsOf lists what an order wants besides addresses, routes in their order,
// then rules: a rule must not lead into a table that is empty yet.
func (a *applier) thingsOf(o *order) (list []thing) {
	for i := range o.Routes {
		r := o.Routes[i]
		link := r.Link
		if r.Interface == "" && o.mac != nil && link == o.mac.want.Parent {
			link = o.mac.index
		}
		list = append(list, thing{Route: &r, Link: link})
	}
	for i := range o.Rules {
		list = append(list, thing{Rule: &o.Rules[i]})
	}
	return list
}

// addThings adds the routes and rules of an order, behind its addresses.
func (a *applier) addThings(o *order) {
	for _, t := range a.thingsOf(o) {
		key := t.key()
		h := a.things[key]
		if h == nil {
			h = &holdingThing{thing: t}
			a.things[key] = h
		}
		h.router = o.Router
		if h.present {
			continue
		}
		if t.Route != nil && t.Link == 0 && (t.Route.Interface != "" || !t.Route.Via.IsValid()) && t.Route.Kind == 0 {
			o.errs.say(fmt.Sprintf("adding %s: the interface does not exist", t))
			continue
		}
		err := a.kernel.addThing(t)
		switch {
		case err == nil:
			h.present, h.foreign = true, false
		case errors.Is(err, unix.EEXIST):
			h.present = true
			if h.foreign = !a.ledger.sure(key); h.foreign {
				a.ledger.noFact(key)
				o.notes = append(o.notes, fmt.Sprintf("%s was there already and is not ours: it is used and will not be removed", t))
			}
		default:
			h.present, h.troubled = false, true
			o.errs.say(fmt.Sprintf("adding %s: %s", t, explainThing(err)))
		}
		if h.present && !h.foreign {
			a.ledger.fact(key, true)
		}
	}
}

// dropThings removes what an order no longer wants, rules before routes.
func (a *applier) dropThings(o *order) {
	for i := len(o.goneThings) - 1; i >= 0; i-- {
		key := o.goneThings[i]
		h := a.things[key]
		if h == nil || h.router != o.Router {
			continue // another router has taken it over
		}
		delete(a.things, key)
		if h.foreign {
			continue
		}
		if err := a.kernel.removeThing(h.thing); err != nil && !absentThing(err) {
			o.errs.say(fmt.Sprintf("removing %s: %s", h.thing, explainThing(err)))
			continue // the ledger remembers it
		}
		a.ledger.noFact(key)
	}
	o.goneThings = nil
}

// verifyThings puts back routes and rules that are missing.
func (a *applier) verifyThings(culprit string) {
	for _, h := range a.things {
		if h.foreign {
			continue
		}
		err := a.kernel.addThing(h.thing)
		if errors.Is(err, unix.EEXIST) {
			h.present, h.troubled = true, false
			continue
		}
		was := h.troubled
		r := actions.Restored{Router: h.router, What: h.thing.String(), Culprit: culprit}
		if h.present, h.troubled = err == nil, err != nil; err != nil {
			r.Err = explainThing(err)
			if was {
				continue // said already
			}
		} else {
			a.ledger.fact(h.thing.key(), true)
		}
		a.keeper.options.Post(r)
	}
}

// absentThing: as good as removed.
func absentThing(err error) bool {
	return errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV) || errors.Is(err, unix.ENETDOWN)
}

func explainThing(err error) string {
	switch {
	case errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.EHOSTUNREACH):
		return "the next hop cannot be reached: no address of its network is here (or say on_link = true)"
	case errors.Is(err, unix.ENETDOWN):
		return "the interface is down"
	case errors.Is(err, unix.EPERM):
		return "not permitted: routes and rules need the capability CAP_NET_ADMIN"
	case errors.Is(err, unix.EINVAL):
		return "the kernel does not take it (invalid argument): compare it with what ip route add, or ip rule add, takes"
	default:
		return err.Error()
	}
}

// addThing adds a route or rule that must not be there (else unix.EEXIST).
func (r *rtnl) addThing(t thing) error {
	if t.Rule != nil {
		return r.handle.RuleAdd(kernelRule(t.Rule))
	}
	return r.handle.RouteAdd(kernelRoute(t))
}

func (r *rtnl) removeThing(t thing) error {
	if t.Rule != nil {
		return r.handle.RuleDel(kernelRule(t.Rule))
	}
	return r.handle.RouteDel(kernelRoute(t))
}

func kernelRoute(t thing) *netlink.Route {
	x := t.Route
	out := &netlink.Route{LinkIndex: t.Link, Dst: ipNet(x.Dst), Protocol: mark, Scope: netlink.Scope(x.Scope), Table: int(x.Table), Priority: int(x.Metric),
		MTU: int(x.MTU), Type: int(x.Kind)}
	if out.Table == 0 {
		out.Table = unix.RT_TABLE_MAIN
	}
	if out.Type == 0 {
		out.Type = unix.RTN_UNICAST
	}
	if x.Via.IsValid() {
		out.Gw = x.Via.AsSlice()
	}
	if x.Source.IsValid() {
		out.Src = x.Source.AsSlice()
	}
	if x.OnLink {
		out.Flags = int(netlink.FLAG_ONLINK)
	}
	return out
}

func kernelRule(x *actions.Rule) *netlink.Rule {
	out := netlink.NewRule()
	out.Family, out.Protocol = unix.AF_INET, mark
	if x.IPv6 {
		out.Family = unix.AF_INET6
	}
	if x.From.IsValid() {
		out.Src = ipNet(x.From)
	}
	if x.To.IsValid() {
		out.Dst = ipNet(x.To)
	}
	out.IifName, out.OifName = x.In, x.Out
	if x.Mark != 0 || x.Mask != 0 {
		mask := x.Mask
		out.Mark, out.Mask = x.Mark, &mask
	}
	if out.Table = int(x.Table); out.Table == 0 {
		out.Table = unix.RT_TABLE_MAIN
	}
	out.Priority = int(x.Priority)
	return out
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
