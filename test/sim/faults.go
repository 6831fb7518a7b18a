package sim

import (
	"time"

	"github.com/backbeat-ha/backbeat/checks"
)

// fault does one bad thing, or one that looks like one.
func (h *History) fault() {
	rng := h.lan.Rand()
	host := h.lan.hosts[rng.IntN(len(h.lan.hosts))]
	link := rng.IntN(h.lan.opt.Links)
	later := h.lan.Between(0, 10*h.unit)
	if h.whole && (h.peaceful || rng.IntN(2) == 0) {
		h.event(host, later)
		return
	}
	h.lan.deaf("there were faults")
	switch kind := rng.IntN(28); {
	case kind < 9:
		h.faultOfProcess(kind, host, later)
	case kind >= 24:
		host.Ail(checks.Outcome(rng.IntN(3)))
		if kind == 24 {
			n := h.lan.hosts[rng.IntN(len(h.lan.hosts))]
			h.lan.After(later, func() { n.Ail(checks.Passed) })
		}
	case kind < 15:
		h.faultOfMedium(kind, host, link, later)
	default:
		h.faultOfHost(kind, host, link, later)
	}
}

// event is what happens to the whole daemon. In a peaceful history there is nothing else.
func (h *History) event(host *Host, later time.Duration) {
	switch kind := h.lan.Rand().IntN(20); {
	case kind < 7:
		h.operate(host)
	case kind < 11:
		h.restart(host)
	case kind < 14:
		h.trouble(host, later)
	case kind == 14:
		host.Ail(checks.Failed)
		h.lan.After(later, func() { host.Ail(checks.Passed) })
	case kind < 17:
		h.regroup(host)
		h.reload(host)
	case kind == 17:
		host.Stop(true)
		h.lan.After(later+time.Second, func() { h.reboot(host) })
	case kind == 18 && !h.peaceful:
		h.power(host, later)
	}
}

func (h *History) faultOfProcess(kind int, host *Host, later time.Duration) {
	n, rng := h.lan, h.lan.Rand()
	switch kind {
	case 0, 1:
		host.Crash()
		if rng.IntN(2) == 0 {
			n.After(later, func() { h.reboot(host) })
		}
	case 2, 3:
		host.Stop(rng.IntN(4) > 0)
	case 4, 5:
		h.reboot(host)
	case 6, 7:
		host.Stall(n.Between(h.unit/2, 10*h.unit))
	case 8:
		host.Pause(n.Between(h.unit/2, 10*h.unit))
	}
}

func (h *History) faultOfMedium(kind int, host *Host, link int, later time.Duration) {
	n, rng := h.lan, h.lan.Rand()
	switch kind {
	case 9:
		n.SetLoss([]float64{0.1, 0.5, 1}[rng.IntN(3)])
		n.After(later, func() { n.SetLoss(0) })
	case 10:
		n.SetDuplicates(0.3)
	case 11, 12:
		island := make([]int, len(n.hosts))
		for i := range island {
			island[i] = rng.IntN(2)
		}
		n.Partition(link, island...)
	case 13:
		if other := n.hosts[rng.IntN(len(n.hosts))]; host != other {
			n.Cut(link, host, other)
		}
	case 14:
		n.Heal()
	}
}

func (h *History) faultOfHost(kind int, host *Host, link int, later time.Duration) {
	n, rng := h.lan, h.lan.Rand()
	switch kind {
	case 15, 16:
		host.LinkDown(link)
		n.After(later, func() { host.LinkUp(link) })
	case 17:
		host.Vanish(link)
		n.After(later/2, func() { host.Appear(link) })
	case 18:
		host.Steal()
	case 19:
		host.Claim()
	case 20, 21:
		h.reload(host)
		h.reload(n.hosts[rng.IntN(len(n.hosts))])
	case 22:
		host.StepWall(n.Between(-time.Hour, time.Hour))
		switch rng.IntN(3) {
		case 0:
			host.ChangeMAC(link)
		case 1:
			host.Replace(link)
		case 2:
			host.Failover(link)
		}
	case 23:
		h.broken = true
		sockets := rng.IntN(2) == 0
		host.BreakSockets(sockets)
		host.BreakMACs(!sockets)
		host.Vanish(link)
		n.After(h.unit, func() { host.Appear(link) })
		n.After(later, func() { host.BreakSockets(false); host.BreakMACs(false) })
	}
}
