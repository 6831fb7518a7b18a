package conf

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// groups converts the sync_group blocks, and makes one of each block with
// election = "both", whose two elections are tied together anyhow.
func (d *decoder) groups(root *section, routers []*router) (out []daemon.GroupConfig) {
	byBlock := make(map[string][]*router)
	for _, r := range routers {
		byBlock[r.block] = append(byBlock[r.block], r)
	}
	member := make(map[string]hcl.Range) // where a block was named already
	first := make(map[string]hcl.Range)
	for _, s := range root.all("sync_group") {
		if before, again := first[s.name]; again {
			d.errorf(s.nameRange, fmt.Sprintf("Second sync_group %q", s.name), "The first one is at %s. Give this one another name.", place(before))
		}
		first[s.name] = s.nameRange
		list := s.get("routers")
		var members []*router
		for i, name := range list.texts {
			before, again := member[name]
			switch {
			case half(name, byBlock) != "":
				d.errorf(list.each[i], fmt.Sprintf("%s is half of a virtual_router", name), "Its two elections go together (election = \"both\"). Name the block, virtual_router.%s: it stands for both.", half(name, byBlock))
				continue
			case byBlock[name] == nil:
				d.errorf(list.each[i], fmt.Sprintf("No virtual_router %q", name), "A member is one of this file: virtual_router.NAME, or its name as a string.")
				continue
			case again:
				d.errorf(list.each[i], fmt.Sprintf("%s is in a group already", name), "It is named at %s, and a virtual router can follow one group only.", place(before))
				continue
			}
			member[name] = list.each[i]
			members = append(members, byBlock[name]...)
		}
		if list.ok && len(list.texts) == 1 && len(members) == 1 {
			d.errorf(list.at, "A group of one", "There is nobody to go with. Add another virtual router, or remove the group.")
		}
		d.oneMind(s, members)
		out = append(out, tie(s.name, members))
	}
	for _, rs := range byBlock {
		if _, named := member[rs[0].block]; !named && rs[0].both {
			if before, taken := first[rs[0].block]; taken {
				d.errorf(before, fmt.Sprintf("sync_group %q has the name of a virtual_router", rs[0].block),
					"Its two elections are a group of that name already (election = \"both\"). Choose another name.")
			}
			out = append(out, tie(rs[0].block, rs))
		}
	}
	slices.SortFunc(out, func(a, b daemon.GroupConfig) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func tie(name string, members []*router) daemon.GroupConfig {
	g := daemon.GroupConfig{Name: name}
	for _, r := range members {
		r.cfg.Group, r.cfg.Spec.Grouped = name, true
		g.Members = append(g.Members, r.cfg.Name)
	}
	return g
}

// half returns the block that name is one election of, or "".
func half(name string, byBlock map[string][]*router) string {
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		if b, cut := strings.CutSuffix(name, "."+f.String()); cut && byBlock[name] == nil && byBlock[b] != nil && byBlock[b][0].both {
			return b
		}
	}
	return ""
}

// oneMind insists on what keeps a group from swinging: on one host all members
// have the same rank.
func (d *decoder) oneMind(s *section, members []*router) {
	for _, r := range members {
		a := members[0]
		if !a.sec.get("priority").ok || !r.sec.get("priority").ok {
			continue // reported
		}
		if r.cfg.Owner != a.cfg.Owner {
			d.errorf(s.get("routers").at, "Members with and without owner",
				"Of %s and %s one has owner = true, which is Active whenever it runs, and the other may lose its election; then neither could be. Say owner for all members, or for none.",
				a.cfg.Name, r.cfg.Name)
			return
		}
		if r.cfg.Spec.Priority != a.cfg.Spec.Priority {
			d.errorf(s.get("routers").at, "Members have different priorities",
				"%s has %d and %s has %d. If this host won one election and another host the other, neither could have both, and they would try for ever. Give all members of the group the same priority on each host.",
				a.cfg.Name, a.cfg.Spec.Priority, r.cfg.Name, r.cfg.Spec.Priority)
			return
		}
		if r.cfg.Spec.Preempt != a.cfg.Spec.Preempt || r.cfg.Spec.PreemptDelay != a.cfg.Spec.PreemptDelay {
			d.warnf(s.get("routers").at, "Members preempt differently", "%s and %s have other values of preempt or preempt_delay; the group takes over when the last one does.", a.cfg.Name, r.cfg.Name)
			return
		}
		if r.cfg.Spec.Settle != a.cfg.Spec.Settle {
			d.warnf(s.get("routers").at, "Members settle differently", "%s waits %s for its link and %s waits %s; the group takes part when the last one does. Give all the same settle.",
				a.cfg.Name, short(a.cfg.Spec.Settle), r.cfg.Name, short(r.cfg.Spec.Settle))
			return
		}
	}
}
