package conf

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// crossCheck looks for what no router can see alone. Only values that were
// found good take part, so that one mistake is reported once.
func (d *decoder) crossCheck(routers []*router) {
	type election struct {
		link   string
		vrid   uint8
		family vrrp.Family
	}
	names := make(map[string]*router)
	elections := make(map[election][]*router)
	macs := make(map[string]*router)
	links := make(map[string]bool)
	for _, r := range routers {
		links[r.cfg.Interface] = true
	}
	d.others = make(map[string]hcl.Range)
	holders := make(map[heldAddress]holder)
	for _, r := range routers {
		if before, again := names[r.cfg.Name]; again && r.cfg.Name != "" {
			d.errorf(r.sec.nameRange, fmt.Sprintf("Second virtual_router %q", r.cfg.Name),
				"The first one is at %s. Give this one another name.", place(before.sec.header))
		} else {
			names[r.cfg.Name] = r
		}
		vrid := r.sec.get("vrid")
		e := election{r.cfg.Interface, r.cfg.Spec.VRID, r.cfg.Spec.Family}
		if vrid.ok && r.sec.get("interface").ok && e.family != 0 {
			if before := sameEars(elections[e], r); before != nil {
				d.errorf(vrid.at, fmt.Sprintf("VRID %d is taken", e.vrid),
					"virtual_router %q at %s has it on %s for %s already. Choose another number, the same on all hosts of this virtual router.",
					before.cfg.Name, place(before.sec.get("vrid").at), e.link, e.family)
			} else {
				d.oneMAC(r, elections[e])
				elections[e] = append(elections[e], r)
			}
		}
		d.macName(r, macs, links)
		d.routesOnce(r)
		d.addressesOnce(r, holders)
	}
	for _, r := range routers {
		h, taken := holders[heldAddress{"", r.cfg.Source}]
		if r.cfg.Source.IsValid() && taken && h.router != r && !h.router.cfg.Owner {
			d.errorf(r.sec.get("source").at, "source is a virtual address", "virtual_router %q holds %s, which moves between the hosts. Write the address that is this host's own.", h.router.cfg.Name, r.cfg.Source)
		}
	}
}

// macName: a macvlan needs a name of its own.
func (d *decoder) macName(r *router, macs map[string]*router, links map[string]bool) {
	name, at := r.cfg.MACName, r.sec.get("virtual_mac_name").at
	switch {
	case name == "" || !r.cfg.VirtualMAC:
	case macs[name] != nil:
		d.errorf(at, fmt.Sprintf("%s is given twice", name), "virtual_router %q has it already. Give this macvlan another name.", macs[name].cfg.Name)
	case links[name]:
		d.errorf(at, fmt.Sprintf("%s is another interface", name), "A virtual router of this file runs on it. Give this macvlan another name.")
	default:
		macs[name] = r
	}
}

// oneMAC: the virtual router MAC is made of family and VRID alone, and a link
// can carry it once, however different the groups are.
func (d *decoder) oneMAC(r *router, list []*router) {
	if !r.cfg.VirtualMAC {
		return
	}
	for _, o := range list {
		if o.cfg.VirtualMAC {
			d.errorf(r.sec.get("virtual_mac").at, "The virtual MAC is taken", "virtual_router %q at %s has VRID %d on %s too, and so the same MAC. Choose another VRID, or remove virtual_mac from one of the two.",
				o.cfg.Name, place(o.sec.get("vrid").at), o.cfg.Spec.VRID, o.cfg.Interface)
			return
		}
	}
}

// sameEars returns the router that would hear the same advertisements as r: with
// the same group, or with a peer in common.
func sameEars(list []*router, r *router) *router {
	for _, o := range list {
		a, b := &o.cfg.Spec, &r.cfg.Spec
		if a.Unicast() != b.Unicast() || !a.Unicast() && a.MulticastGroup() != b.MulticastGroup() {
			continue
		}
		if !a.Unicast() || slices.ContainsFunc(b.Peers, func(p vrrp.Peer) bool { return a.HasPeer(p.Addr) }) {
			return o
		}
	}
	return nil
}

// routesOnce: the kernel has one of each.
func (d *decoder) routesOnce(r *router) {
	once := func(what string, at hcl.Range) {
		if before, again := d.others[what]; again {
			d.errorf(at, "Given twice", "%s is at %s already.", what, place(before))
			return
		}
		d.others[what] = at
	}
	for i, x := range r.cfg.Routes {
		at := r.sec.header
		if list := r.sec.all("route"); len(list) == len(r.cfg.Routes) {
			at = list[i].nameRange
		}
		once(fmt.Sprintf("route %s table %d metric %d", x.Dst, x.Table, x.Metric), at)
	}
	for i, x := range r.cfg.Rules {
		at := r.sec.header
		if list := r.sec.all("rule"); len(list) == len(r.cfg.Rules) {
			at = list[i].header
		}
		once("rule "+x.String(), at)
	}
}

// heldAddress is what may be held once per host. A link-local address means
// something on its own link only, so every link may have the same one.
type heldAddress struct {
	link string
	addr netip.Addr
}

type holder struct {
	router *router
	at     hcl.Range
}

func (d *decoder) addressesOnce(r *router, holders map[heldAddress]holder) {
	for _, a := range r.addresses {
		h := heldAddress{"", a.Prefix.Addr()}
		if h.addr.IsLinkLocalUnicast() {
			if h.link = a.Interface; h.link == "" {
				h.link = r.cfg.Interface
			}
		}
		before, again := holders[h]
		switch {
		case !again:
			holders[h] = holder{r, a.at}
		case before.router == r:
			d.errorf(a.at, fmt.Sprintf("%s is given twice", h.addr), "It is in this list already, at %s. Remove one of the two.", place(before.at))
		default:
			d.errorf(a.at, fmt.Sprintf("%s is given twice", h.addr),
				"virtual_router %q at %s holds it already, and two elections cannot decide over one address. Remove it from one of the two.",
				before.router.cfg.Name, place(before.at))
		}
	}
}
