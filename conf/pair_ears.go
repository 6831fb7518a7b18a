package conf

import (
	"cmp"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strconv"

	"github.com/hashicorp/hcl/v2"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// ears compares what two hosts must have in common to hear each other at all.
func (p *pair) ears(a, b member) {
	deaf := func(what, from, to string) {
		p.add(hcl.DiagError, p.at(b), fmt.Sprintf("virtual_router %q: %s differs", b.Name, what),
			fmt.Sprintf("It is %s on %s and %s on %s. The hosts would not believe each other, and both would be Active. Give both the same.", from, p.node(a), to, p.node(b)))
	}
	x, y := &a.Spec, &b.Spec
	switch {
	case x.V() != y.V():
		deaf("version", strconv.Itoa(int(x.V())), strconv.Itoa(int(y.V())))
	case x.Unicast() != y.Unicast():
		deaf("peers", castName(x), castName(y))
	case x.MulticastGroup() != y.MulticastGroup():
		deaf("multicast_group", castName(x), castName(y))
	}
	if x.V() == vrrp.Version2 && y.V() == vrrp.Version2 {
		if x.Secret != y.Secret {
			deaf("auth_pass", x.Secret.String(), "another one, or none")
		}
		if x.Interval != y.Interval {
			deaf("interval", short(x.Interval), short(y.Interval))
		}
	}
	if x.V() == vrrp.Version2 && y.V() == vrrp.Version2 && (x.VerifyAddresses || y.VerifyAddresses) && !sameSet(x.Addresses, y.Addresses) {
		p.add(hcl.DiagError, p.at(b), fmt.Sprintf("virtual_router %q: addresses differ, and verify_addresses insists", b.Name),
			fmt.Sprintf("%s and %s advertise other addresses, so one would not believe the other, and both would be Active. Give both the same, or remove verify_addresses.", p.node(a), p.node(b)))
	}
}

func sameSet(a, b []netip.Addr) bool {
	return slices.Equal(slices.SortedFunc(slices.Values(a), netip.Addr.Compare), slices.SortedFunc(slices.Values(b), netip.Addr.Compare))
}

// acquainted reports that what a sends to its peers would not be believed by b,
// as far as that can be known.
func (p *pair) acquainted(a, b member) {
	x, y := &a.Spec, &b.Spec
	if !x.Unicast() || !y.Unicast() {
		return
	}
	if a.Source.IsValid() && !y.HasPeer(a.Source) {
		p.add(hcl.DiagError, p.at(b), fmt.Sprintf("virtual_router %q: %s is no peer of %s", b.Name, p.node(a), p.node(b)),
			fmt.Sprintf("%s sends from %s, and peers on %s does not name that: it would not be believed, and both would be Active.", p.node(a), a.Source, p.node(b)))
	}
	if sent, least := cmp.Or(x.TTL, vrrp.HopLimit), y.Peers[0].MinTTL; sent < least {
		p.add(hcl.DiagError, p.at(b), fmt.Sprintf("virtual_router %q: ttl is below ttl_min", b.Name),
			fmt.Sprintf("%s sends with ttl = %d, and %s believes nothing below ttl_min = %d: both would be Active. Raise ttl, or lower ttl_min.", p.node(a), sent, p.node(b), least))
	}
}

// numbers warns where lists of peers are too short to name everybody: the hosts
// that are compared are all peers of each other.
func (p *pair) numbers(g []member) {
	for i, m := range g {
		n := len(m.Spec.Peers)
		if !m.Spec.Unicast() {
			continue
		}
		if n < len(g)-1 {
			p.add(hcl.DiagWarning, p.at(m), fmt.Sprintf("virtual_router %q: too few peers on %s", m.Name, p.node(m)),
				fmt.Sprintf("It names %d, and %d other hosts have this virtual router: those it does not name are not believed. Name them all.", n, len(g)-1))
			continue
		}
		for _, o := range g[:i] {
			if n == len(g)-1 && slices.Equal(m.Spec.Peers, o.Spec.Peers) && !m.Source.IsValid() && !o.Source.IsValid() {
				p.add(hcl.DiagWarning, p.at(m), fmt.Sprintf("virtual_router %q: %s and %s have the same peers", m.Name, p.node(o), p.node(m)),
					"Each of the two should name the other and not itself. With one list for all hosts, name every host in it and say source, by which each knows itself: "+
						fmt.Sprintf("source = { %s = \"192.0.2.1\", %s = \"192.0.2.2\" }[node.name].", quoteKey(p.node(o)), quoteKey(p.node(m))))
				break
			}
		}
	}
}

func castName(s *vrrp.Spec) string {
	if s.Unicast() {
		return "unicast"
	}
	return s.MulticastGroup().String()
}

// manners compares what two hosts should have in common.
func (p *pair) manners(a, b member) {
	say := func(differs bool, what, detail string) {
		if differs {
			p.add(hcl.DiagWarning, p.at(b), fmt.Sprintf("virtual_router %q: %s differs", b.Name, what), fmt.Sprintf("Compare %s and %s. %s", p.node(a), p.node(b), detail))
		}
	}
	say(a.VirtualMAC != b.VirtualMAC, "virtual_mac", "It works, but neighbours must learn another MAC at each failover.")
	say(a.Accept != b.Accept, "accept", "The addresses answer on one host and not on the other.")
	say(!slices.Equal(p.company(a), p.company(b)), "sync_group", "It goes with others on one host than on the other, which may part what belongs together.")
	say(!reflect.DeepEqual(a.RouterAdvert, b.RouterAdvert), "router_advertisements", "Hosts are told different things at each failover (RFC 9568 8.2.3).")
	say(!reflect.DeepEqual(written(a.Routes), written(b.Routes)), "route", "The hosts route differently while they are Active.")
	say(!reflect.DeepEqual(written(a.Rules), written(b.Rules)), "rule", "The hosts route differently while they are Active.")
}

// company names who is in a member's group, as other hosts know them.
func (p *pair) company(m member) (out []string) {
	for _, g := range p.cfgs[m.host].Groups {
		if g.Name != m.Group {
			continue
		}
		for i := range p.cfgs[m.host].Routers {
			if r := &p.cfgs[m.host].Routers[i]; slices.Contains(g.Members, r.Name) {
				out = append(out, fmt.Sprintf("%s %d", r.Spec.Family, r.Spec.VRID))
			}
		}
	}
	slices.Sort(out)
	return out
}

func written[T fmt.Stringer](list []T) (out []string) {
	for _, x := range list {
		out = append(out, x.String())
	}
	return out
}
