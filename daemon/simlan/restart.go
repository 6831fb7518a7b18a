package simlan

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
)

const (
	// adopted marks what a process has handed over and the next one has not wanted yet.
	adopted = ^actions.RouterID(0)
	// standStill bounds the wait for a moment in which a process can hand over.
	standStill = 10 * time.Second
	// afterHandover is when the rest of what was handed over is taken off.
	afterHandover = 3 * time.Second
	// handoffAge is how old a handoff may be at all.
	handoffAge = time.Minute
	// historyLength bounds what a host keeps of its history.
	historyLength = 200
)

// HandOver asks the daemon to stand still and to leave everything to the next one,
// as a restart does. When it has, then is called, with true; with false if it
// could not within ten seconds, or has ended otherwise.
func (h *Host) HandOver(then func(handed bool)) {
	h.lan.Fault("%s is asked to hand over", h.Name)
	p := h.Process
	if p == nil || p.handing != nil {
		then(false)
		return
	}
	reply, cancel := make(chan daemon.Handoff, 1), make(chan struct{})
	p.handing, p.handed = reply, then
	p.Post(daemon.HandOver{Reply: reply, Cancel: cancel})
	h.lan.After(standStill, func() {
		if !p.dead && p.handing == reply {
			h.lan.Note(h, "cannot hand over: something has been on its way for %v", standStill)
			close(cancel)
			p.handing = nil
			then(false)
		}
	})
}

// handedOver reports whether a loop that has ended has handed over, and keeps what it left.
func (p *Process) handedOver() bool {
	if p.handing == nil {
		return false
	}
	select {
	case left := <-p.handing:
		p.handing = nil
		text, err := json.Marshal(left)
		if err != nil {
			p.lan().Violate("restart", "%s leaves what cannot be written: %v", p.Host.Name, err)
		}
		p.Host.left, p.Host.leftIn = text, p.Host.lives
		p.standIn()
		return true
	default:
		return false
	}
}

// DamageHandoff makes what the last process has left unreadable, or takes it away.
func (h *Host) DamageHandoff(gone bool) {
	h.lan.Note(h, "what was handed over is damaged")
	if h.left = append([]byte("x"), h.left...); gone {
		h.left = nil
	}
}

// takeHandoff is journal.TakeHandoff: it is good for one start, of this boot.
func (h *Host) takeHandoff() *daemon.Handoff {
	text := h.left
	h.left = nil
	if text == nil || h.leftIn != h.lives {
		return nil
	}
	left := new(daemon.Handoff)
	if err := json.Unmarshal(text, left); err != nil {
		h.lan.Note(h, "handoff refused: it is damaged")
		return nil
	}
	if age := h.lan.now + h.Offset - left.At; age > handoffAge {
		h.lan.Note(h, "handoff refused: it is stale")
		return nil
	}
	return left
}

// adopt is the start after a handoff: what is there stays, until routers want it or
// nobody has for a while.
func (h *Host) adopt(p *Process) {
	for _, n := range h.nics {
		for i := range n.Kernel {
			if n.Kernel[i].Router != 0 {
				n.Kernel[i].Router = adopted
			}
		}
		for id, m := range n.MACVLANs {
			delete(n.MACVLANs, id)
			n.inherited = append(n.inherited, m)
		}
		slices.SortFunc(n.inherited, func(a, b *MACVLAN) int { return slices.Compare(a.MAC[:], b.MAC[:]) })
	}
	h.lan.After(afterHandover, func() {
		if !p.dead {
			h.tidy()
		}
	})
}

// tidy takes off what was handed over and nobody wants.
func (h *Host) tidy() {
	for _, n := range h.nics {
		for _, a := range slices.Clone(n.Kernel) {
			if a.Router == adopted {
				n.remove(a.Prefix)
			}
		}
		n.inherited = nil
	}
}

// take makes an address of the process before the present one's.
func (n *NIC) take(k *Wish, p *actions.Place) {
	for i := range n.Kernel {
		if a := &n.Kernel[i]; a.Router == adopted && a.Prefix == p.Prefix {
			a.Router, a.onMAC = k.Router, k.onMAC(p)
			if k.Lifetime == 0 {
				a.until = 0
			}
		}
	}
}

// inherit returns a macvlan of the process before, nil if it had none with this MAC.
func (n *NIC) inherit(mac [6]byte) *MACVLAN {
	for i, m := range n.inherited {
		if m.MAC == mac {
			n.inherited = slices.Delete(n.inherited, i, i+1)
			return m
		}
	}
	return nil
}

// Keep writes the standing orders down: a host with a disk has them in its next life.
func (p *Process) Keep(list []daemon.Order) {
	p.Host.Ordered = slices.Clone(list)
}

// remember keeps a record of the history for the next life of the daemon.
func (h *Host) remember(t daemon.Transition) {
	if !h.lan.Opt.Disks {
		return
	}
	for i := len(h.past) - 1; i >= 0 && h.past[i].Seq >= t.Seq; i-- {
		if h.past[i].Seq == t.Seq {
			h.past[i] = t
			return
		}
	}
	if len(h.past) >= historyLength {
		h.past = slices.Delete(h.past, 0, len(h.past)-historyLength/2)
	}
	h.past = append(h.past, t)
}

// Footprint is how much of everything the loop keeps.
func (p *Process) Footprint() daemon.Footprint { return p.loop.Footprint() }

// String names a macvlan in violations.
func (m *MACVLAN) String() string { return fmt.Sprintf("%x silent=%t", m.MAC, m.Silent) }
