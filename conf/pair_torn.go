package conf

import (
	"cmp"
	"fmt"
	"net/netip"

	"github.com/hashicorp/hcl/v2"
)

// torn reports addresses that two hosts would hold at one time because they
// hold two elections about them: the VRIDs differ. It returns the groups for
// which that was said.
func (p *pair) torn(groups [][]member) map[int]bool {
	type holder struct {
		member
		group int
	}
	// A link-local address is one per interface.
	type where struct {
		addr netip.Addr
		link string
	}
	first := make(map[where][]holder)
	said := make(map[[2]int]bool)
	out := make(map[int]bool)
	for n, g := range groups {
		for _, b := range g {
			for i := range b.Addresses {
				w := where{addr: b.Addresses[i].Prefix.Addr()}
				if w.addr.IsLinkLocalUnicast() {
					w.link = cmp.Or(b.Addresses[i].Interface, b.Interface)
				}
				for _, a := range first[w] {
					if a.group == n || a.host == b.host || said[[2]int{a.group, n}] || a.Spec.VRID == b.Spec.VRID && a.Spec.Family == b.Spec.Family {
						continue
					}
					said[[2]int{a.group, n}] = true
					out[a.group], out[n] = true, true
					p.twoElections(a.member, b, w.addr)
				}
				first[w] = append(first[w], holder{b, n})
			}
		}
	}
	return out
}

// twoElections says that two hosts have an address in two elections.
func (p *pair) twoElections(a, b member, addr netip.Addr) {
	what, remedy := "vrid", "Give both the same vrid."
	if a.Spec.VRID == b.Spec.VRID {
		what, remedy = "family", "The first address decides about the family: give both the same."
	}
	p.add(hcl.DiagError, p.at(b), fmt.Sprintf("virtual_router %q: %s differs", b.Name, what),
		fmt.Sprintf("%s is an address of %s and of %s. These are two elections: both hosts would be Active with the one address. %s", addr, p.election(a), p.election(b), remedy))
}

// election names a member with its place: virtual_router "web" of a (VRID 61 for IPv4, a.hcl:3).
func (p *pair) election(m member) string {
	at := ""
	if r := p.at(m); r != nil {
		at = ", " + place(*r)
	}
	return fmt.Sprintf("virtual_router %q on %s (VRID %d for %s%s)", m.Name, p.node(m), m.Spec.VRID, m.Spec.Family, at)
}
