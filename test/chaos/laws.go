package chaos

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// memoryBound is how much a daemon may grow from its first rest on: Go's heap
// breathes, and the history is kept in memory.
const memoryBound = 32 << 20

// judge looks back on a round. The bounds are the table of docs/faults.md.
func (a *Arena) judge(from, healed time.Duration, deeds []*deed) {
	slack := a.slack(from)
	for _, v := range routers {
		for _, p := range v.addresses {
			a.judgeHolders(p.Addr(), from, healed, slack, deeds)
		}
		for _, n := range a.nodes {
			a.judgeAdverts(v, n, from, deeds)
		}
	}
	a.judgeCalm(from, slack, deeds)
	for _, n := range a.nodes {
		a.judgeHistory(n, from, deeds)
	}
	for _, d := range deeds {
		if d.kind.trace != nil {
			a.judgeTrace(d)
		}
	}
}

// window is a time in which a fault excuses something.
type window struct{ from, to time.Duration }

// judgeHolders is: never two holders, and never none, but within the bounds of a fault.
func (a *Arena) judgeHolders(addr netip.Addr, from, healed, slack time.Duration, deeds []*deed) {
	var two, none []window
	for _, d := range deeds {
		two = append(two, window{d.begin, d.kind.two(d)})
		none = append(none, window{d.begin, d.kind.none(d)})
		if len(deeds) > 1 && !d.kind.calm {
			none = append(none, window{d.begin, healed + down})
		}
	}
	list, until := a.observer.since(addr, from)
	for i, c := range list {
		end := until
		if i+1 < len(list) {
			end = list[i+1].at
		}
		switch n := c.holders.count(); {
		case n > 1:
			a.excused(fmt.Sprintf("%s held by %s", addr, a.observer.names(c.holders)), "two holders", c.at, end, slack, two, deeds)
		case n == 0:
			a.excused(fmt.Sprintf("%s held by nobody", addr), "no holder", c.at, end, slack, none, deeds)
		}
	}
}

// excused fails if what lasted from one instant to another is not within a window.
func (a *Arena) excused(what, name string, from, to, slack time.Duration, windows []window, deeds []*deed) {
	last := from
	for _, w := range windows {
		if w.from-slack <= from {
			last = max(last, w.to)
		}
	}
	if to <= last {
		a.figure(name+" within the bound, "+kindNames(deeds), to-from)
		return
	}
	a.figure(name+" beyond the protocol's bound, "+kindNames(deeds), to-last)
	if to > last+margin/4 {
		a.grant("%s for %s, %s beyond the bound; the machine stalled for %s; after %v", what, (to - from).Round(time.Millisecond),
			(to - last).Round(time.Millisecond), a.witness.stall(from).Round(time.Millisecond), deeds)
	}
	if to > last+slack {
		a.fail("%s from %.3f s for %s: %s beyond the bound, %s granted; after %v", what, (from - a.began).Seconds(),
			(to - from).Round(time.Millisecond), (to - last).Round(time.Millisecond), slack.Round(time.Millisecond), deeds)
	}
}

func kindNames(deeds []*deed) string {
	var out []string
	for _, d := range deeds {
		out = append(out, d.Kind)
	}
	if len(out) > 1 {
		return "several at once"
	}
	return strings.Join(out, " + ")
}

// judgeAdverts is: the adverts of a healthy Active never pause longer than two intervals.
// A pause ends with the next advert, with the loss of the address, or with the last look.
func (a *Arena) judgeAdverts(v virtual, n *node, from time.Duration, deeds []*deed) {
	list := slices.DeleteFunc(a.witness.adverts(from-2*interval, n.name), func(f lab.Frame) bool { return f.Advert.VRID != v.vrid })
	for i, f := range list {
		if f.Advert.Priority == 0 {
			continue // it leaves, or asks
		}
		held, end := a.observer.heldUntil(n.index, v.addresses[0].Addr(), f.At)
		if i+1 < len(list) {
			end = min(end, list[i+1].At)
		}
		if held && !silenced(deeds, n, f.At, end) {
			a.judgePause(v, n, f.At, end, deeds)
		}
	}
}

// silenced reports whether a fault excuses a host's silence between two instants.
func silenced(deeds []*deed, n *node, from, to time.Duration) bool {
	return slices.ContainsFunc(deeds, func(d *deed) bool {
		return d.kind.silences != nil && d.kind.silences(d, n) && d.begin <= to && d.end+interval >= from
	})
}

func (a *Arena) judgePause(v virtual, n *node, from, to time.Duration, deeds []*deed) {
	gap := to - from
	a.figure("pause between adverts", gap)
	stall, starved := a.witness.stall(from), n.starved(from, to)
	if gap > 2*interval+stall+starved+20*ms {
		a.fail("%s of %s paused for %s, two intervals are %s; the machine stalled for %s, the daemon waited %s for a processor; during %v",
			v.name, n.name, gap, 2*interval, stall, starved, deeds)
	} else if gap > 2*interval {
		a.grant("%s of %s paused for %s; the machine stalled for %s, the daemon waited %s for a processor; during %v", v.name, n.name,
			gap.Round(ms), stall.Round(ms), starved.Round(ms), deeds)
	}
}

// judgeCalm is: faults that touch nothing move nothing.
func (a *Arena) judgeCalm(from, slack time.Duration, deeds []*deed) {
	var planted set
	for _, d := range deeds {
		if !d.kind.calm {
			return
		}
		if d.kind.plants {
			planted |= 1 << d.node.index
		}
	}
	for _, v := range routers {
		list, _ := a.observer.since(v.addresses[0].Addr(), from)
		first := list[0].holders
		for _, c := range list {
			if c.holders&^first&^planted != 0 && slack < 3*margin {
				a.fail("%s moved from %s to %s during %v", v.name, a.observer.names(first), a.observer.names(c.holders), deeds)
			}
		}
	}
}

// judgeHistory is: whoever got an address has a record that says why, or says that
// it has put the address back.
func (a *Arena) judgeHistory(n *node, from time.Duration, deeds []*deed) {
	list, err := a.witness.history(n)
	if err != nil {
		a.fail("history of %s: %v", n.name, err)
		return
	}
	began := time.Now().Add(from - lab.Now())
	for _, v := range routers {
		addr := v.addresses[0].Addr()
		changes, _ := a.observer.since(addr, from)
		for i := 1; i < len(changes); i++ {
			if !changes[i].holders.has(n.index) || changes[i-1].holders.has(n.index) {
				continue
			}
			at := time.Now().Add(changes[i].at - lab.Now())
			named := slices.ContainsFunc(list, func(t daemon.Transition) bool {
				return t.Router == v.name && t.To == "active" && t.Reason != "" && t.At.After(began.Add(-time.Second)) && t.At.Before(at.Add(margin))
			})
			if !named && !a.witness.restored(n, v) && !slices.ContainsFunc(deeds, func(d *deed) bool { return (d.kind.plants || d.kind.takes) && d.node == n }) {
				a.fail("%s got %s and its history does not say why, after %v:%s", n.name, addr, deeds, lastRecords(list))
			}
		}
	}
}

func lastRecords(list []daemon.Transition) string {
	text := ""
	for _, t := range list[max(0, len(list)-6):] {
		text += fmt.Sprintf("\n  %s %s %s -> %s %s: %s", t.At.Format("05.000"), t.Router, t.From, t.To, t.Cause, t.Reason)
	}
	return text
}

// judgeTrace is: the fault is named where it must be.
func (a *Arena) judgeTrace(d *deed) {
	var why error
	err := lab.Until(bounded(a.ctx, 3*time.Second), "an explanation", func() bool { why = d.kind.trace(d); return why == nil })
	if err != nil {
		a.fail("%s is not explained: %v", d, why)
	}
}

// recorded wants a record with one of the causes since the fault.
func (d *deed) recorded(router string, causes ...string) error {
	list, err := d.witness.history(d.node)
	if err != nil {
		return err
	}
	for _, t := range list {
		if t.Router == router && slices.Contains(causes, t.Cause) && t.At.After(d.wall.Add(-time.Second)) {
			return nil
		}
	}
	return fmt.Errorf("no record of %s on %s with %v:%s", router, d.node.name, causes, lastRecords(list))
}

// noticed wants a notice of one of the names since the fault.
func (d *deed) noticed(router string, names ...string) error {
	r, err := d.node.daemon.Router(d.ctx, router)
	if err != nil {
		return err
	}
	ago := (lab.Now() - d.begin + time.Second).Seconds()
	for _, n := range r.Notices {
		if slices.Contains(names, n.Name) && n.AgoSeconds < ago {
			return nil
		}
	}
	return fmt.Errorf("no notice of %s on %s with %v: %v", router, d.node.name, names, r.Notices)
}
