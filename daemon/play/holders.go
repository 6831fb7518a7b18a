package play

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/daemon/simlan"
)

// brief is how long nobody or several may hold an address in passing: an
// ordinary hand-over between two kernels, told in one line.
const brief = 150 * time.Millisecond

// holders follows every virtual address: which hosts answer for it.
type holders struct {
	hosts   []*simlan.Host
	uses    []*use // services in their order, addresses in that of the configuration
	of      map[netip.Addr]*use
	changed []*use
}

// use is the life of one address.
type use struct {
	service *service
	prefix  netip.Prefix
	stays   []stay
	first   time.Duration // when a host had it first, -1: none ever
	dirty   bool
}

// stay is the time in which the same hosts held an address.
type stay struct {
	from  time.Duration
	hosts string // their names, separated by blanks
	count int
}

func (h *holders) init(c *cast) {
	h.of = map[netip.Addr]*use{}
	for _, s := range c.services {
		for _, m := range s.members {
			for _, a := range m.cfg.Addresses {
				if h.of[a.Prefix.Addr()] == nil {
					u := &use{service: s, prefix: a.Prefix, first: -1, stays: []stay{{}}}
					h.of[a.Prefix.Addr()] = u
					h.uses = append(h.uses, u)
				}
			}
		}
	}
}

func (h *holders) knows(a netip.Addr) bool { return h.of[a] != nil }

// moved notes that an address has to be looked at.
func (h *holders) moved(_ *simlan.Host, p netip.Prefix) {
	if u := h.of[p.Addr()]; u != nil && !u.dirty {
		u.dirty = true
		h.changed = append(h.changed, u)
	}
}

// look looks.
func (h *holders) look(now time.Duration) {
	for _, u := range h.changed {
		u.dirty = false
		s := stay{from: now}
		var names []string
		for _, x := range h.hosts {
			if x.Answers(u.prefix.Addr()) {
				names = append(names, x.Name)
			}
		}
		s.hosts, s.count = strings.Join(names, " "), len(names)
		if u.first < 0 && s.count > 0 {
			u.first = now
		}
		last := &u.stays[len(u.stays)-1]
		switch {
		case last.hosts == s.hosts:
		case last.from == now && len(u.stays) > 1:
			*last = s
		default:
			u.stays = append(u.stays, s)
		}
	}
	h.changed = h.changed[:0]
}

// together groups addresses of one service with the same life.
func (h *holders) together() (out [][]*use) {
	for _, u := range h.uses {
		i := slices.IndexFunc(out, func(g []*use) bool { return g[0].service == u.service && slices.Equal(g[0].stays, u.stays) })
		if i < 0 {
			out = append(out, []*use{u})
		} else {
			out[i] = append(out[i], u)
		}
	}
	return out
}

// report turns the lives of all addresses into lines and sums.
func (h *holders) report(end time.Duration) (lines []Event, uses []AddressUse, findings []Finding) {
	for _, g := range h.together() {
		u := g[0]
		a := AddressUse{Router: u.service.name, Holders: split(u.stays[len(u.stays)-1].hosts)}
		for _, x := range g {
			a.Addresses = append(a.Addresses, x.prefix.String())
		}
		if u.first >= 0 {
			at := u.first.Seconds()
			a.FirstHeld = &at
		}
		for i, s := range u.stays {
			long := until(u.stays, i, end) - s.from
			switch {
			case s.count == 0 && u.first >= 0 && s.from >= u.first:
				a.Nobody += long.Seconds()
				a.LongestNobody = max(a.LongestNobody, long.Seconds())
			case s.count > 1:
				a.Several += long.Seconds()
				a.LongestSeveral = max(a.LongestSeveral, long.Seconds())
			}
			if i > 0 && (s.count == 1 || long >= brief) {
				lines = append(lines, line(u, i, a.Addresses))
			}
		}
		uses = append(uses, a)
		findings = append(findings, atRest(&a)...)
	}
	return lines, uses, findings
}

func split(s string) []string {
	if s == "" {
		return []string{}
	}
	return strings.Split(s, " ")
}

func until(stays []stay, i int, end time.Duration) time.Duration {
	if i+1 < len(stays) {
		return stays[i+1].from
	}
	return end
}

// line says that other hosts hold addresses now, and how it was before.
func line(u *use, i int, addresses []string) Event {
	s, before := u.stays[i], u.stays[i-1]
	e := Event{At: s.from.Seconds(), Kind: KindHolders, Router: u.service.name, Addresses: addresses, Holders: split(s.hosts)}
	what := Brief(addresses)
	switch s.count {
	case 0:
		e.Text = fmt.Sprintf("nobody holds %s", what)
	case 1:
		e.Text = fmt.Sprintf("%s is on %s", what, s.hosts)
	default:
		e.Text = fmt.Sprintf("%s is on %s", what, strings.Join(split(s.hosts), " and "))
	}
	if i > 1 && before.count != 1 {
		e.Before, e.BeforeSeconds = &before.count, (s.from - before.from).Seconds()
	}
	return e
}

// Brief names addresses that go together: the first, and how many more.
func Brief(addresses []string) string {
	if len(addresses) == 1 {
		return addresses[0]
	}
	return fmt.Sprintf("%s (+%d)", addresses[0], len(addresses)-1)
}

// atRest finds addresses that nobody or several hold at the end.
func atRest(a *AddressUse) []Finding {
	f := Finding{Router: a.Router, holders: a.Holders}
	switch len(a.Holders) {
	case 0:
		f.Kind, f.Text = FindNobody, fmt.Sprintf("nobody holds %s at the end", Brief(a.Addresses))
	case 1:
		return nil
	default:
		f.Kind, f.Text = FindSeveral, fmt.Sprintf("%s hold %s at the end, at the same time", strings.Join(a.Holders, " and "), Brief(a.Addresses))
	}
	return []Finding{f}
}
