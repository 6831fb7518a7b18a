package sim

import (
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
)

// restart lets a daemon hand over and the next one start, as systemd or a
// package upgrade does: mostly soon, sometimes too late, or with what was left damaged.
func (h *History) restart(host *Host) {
	n, rng := h.lan, h.lan.Rand()
	if host.Process == nil {
		return
	}
	gap := n.Between(10*time.Millisecond, h.unit)
	kind := rng.IntN(8)
	switch {
	case h.peaceful: // in time, and whole
	case kind == 0:
		gap = n.Between(h.unit, 8*h.unit)
	case kind == 1:
		gap = n.Between(50*time.Second, 70*time.Second)
	}
	host.HandOver(func(handed bool) {
		switch {
		case host.Off():
			return
		case !handed && rng.IntN(2) == 0 && host.Process != nil:
			host.Stop(true)
			return
		case !handed:
			return
		}
		if !h.peaceful && kind == 2 {
			host.DamageHandoff(rng.IntN(2) == 0)
			n.deaf("what was handed over was damaged")
		} else if gap > h.unit {
			n.deaf("a restart took long")
		}
		h.later(gap, func() {
			if host.Process != nil || host.Off() {
				return
			}
			if rng.IntN(5) == 0 {
				h.boot(host) // with another configuration
			} else {
				host.Boot(host.Config())
			}
		})
	})
}

// quietly restarts the daemons of a LAN at rest, one after the other: nobody
// must notice.
func (h *History) quietly() error {
	n := h.lan
	if n.watch.unlooked {
		return nil // the next process would, and bring it up
	}
	before, moves := n.watch.changes, n.watch.moves
	for _, host := range n.hosts {
		if !host.Running() || host.Stalled() || n.Rand().IntN(3) == 0 {
			continue
		}
		p := host.Process
		gap := n.Between(10*time.Millisecond, h.unit)
		host.HandOver(func(handed bool) {
			if handed {
				n.After(gap, func() { host.Boot(host.Config()) })
			}
		})
		if err := n.Run(gap + 4*h.longT + 500*time.Millisecond); err != nil {
			return err
		}
		if host.Process == p || host.Process == nil {
			n.Violate("restart", "%s does not hand over at rest", host.Name)
		}
	}
	if after := n.watch.changes; after != before {
		n.Violate("restart", "%d transitions because of planned restarts", after-before)
	}
	if n.watch.moves != moves && !n.watch.unlooked {
		n.Violate("restart", "%d steps moved because of planned restarts", n.watch.moves-moves)
	}
	return n.Err()
}

// power takes a host's power away, and gives it back later.
func (h *History) power(host *Host, later time.Duration) {
	if host.Off() {
		return
	}
	h.lan.deaf("a host lost power")
	host.PowerOff()
	h.later(later, func() { h.revive(host) })
}

// revive gives a host its power and its daemon back.
func (h *History) revive(host *Host) {
	if host.Off() {
		host.PowerOn()
	}
	h.reboot(host)
}

// HandedOver keeps what the next life goes on with.
func (p *life) HandedOver() {
	h := p.o.lan.hosts[p.Host.ID]
	h.handed = p
	h.handedAt = p.o.lan.Now()
}

// inherit makes a life go on where the one before has been.
func (p *life) inherit() {
	n, h := p.o.lan, p.o.lan.hosts[p.Host.ID]
	if !n.opt.Disks {
		return
	}
	for name, s := range h.before {
		p.before[name] = *s
		p.lastSeq = h.lastSeq
	}
	p.o.silentBy = 0 // they have to go on speaking
	old := h.handed
	if h.handed = nil; old == nil || p.Handoff == nil {
		return
	}
	p.bornAt, p.stoodAt = p.o.lan.Now(), h.handedAt
	for _, s := range old.seen {
		if s.state == active && s.spoke < old.bornAt {
			p.stoodAt = min(p.stoodAt, old.stoodAt) // restarted again before it could speak
		}
	}
	for k, g := range old.grouped {
		p.grouped[k] = g
	}
	for i := range p.Handoff.Routers {
		r := &p.Handoff.Routers[i]
		s := old.seen[r.Name]
		if s == nil {
			continue
		}
		at := slices.IndexFunc(p.Config.Routers, func(c daemon.RouterConfig) bool { return keyOf(&c) == s.key })
		if at < 0 {
			continue
		}
		if p.Config.Routers[at].Name != r.Name && s.state == active && n.Now() > h.handedAt+2*time.Second && n.Now()-s.spoke >= 3*s.interval {
			continue // too late to go on, and under the new name nobody writes that it died
		}
		c := *s
		c.hookRouter, c.repeated = 0, 0                             // the next process does not know when neighbours were told last
		p.seen[p.Config.Routers[at].Name], p.speaks[c.key] = &c, &c // another name is nothing that others see
		p.inherited[c.key] = true
	}
}

// renamed reports whether a router had another name in the process before: if this
// one does not go on with it, that it died is written under that name, if at all.
func (p *life) renamed(name string) bool {
	return p.Handoff != nil && !slices.ContainsFunc(p.Handoff.Routers, func(r daemon.RouterHandoff) bool { return r.Name == name })
}
