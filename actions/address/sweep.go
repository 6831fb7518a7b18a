package address

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/mdlayher/netlink"

	"github.com/backbeat-ha/backbeat/actions/address/firewall"
	"github.com/backbeat-ha/backbeat/actions/address/macvlan"
)

// Left is something that an earlier process left behind and Sweep removed.
type Left struct {
	// Link and LinkName are an address's interface, or a macvlan's parent's index.
	Link     int
	LinkName string
	// Address is what was removed, if it was an address.
	Address netip.Prefix
	// What names anything else, as actions.Restored does: "route default via
	// 192.0.2.1", "macvlan vr4.61.3", "nftables table backbeat", "sysctls of eth0".
	What string
	// PID is the process that had added it.
	PID int
}

// String names what was removed.
func (l Left) String() string {
	if l.Address.IsValid() {
		return l.Address.String() + " from " + l.LinkName
	}
	return l.What
}

// Sweep removes what the ledger says an earlier process of ours left behind, if
// it is there, and returns it. It is called once, before anything is wanted and
// before Run. An error may come together with what was removed: it then tells
// what could not be read or removed. What belongs to another boot or network
// namespace is not there and is forgotten.
//
// The macvlans go first, since somebody else may be Active by now: with them
// goes everything that answers for the virtual router. The tables go after
// them, or what they silence would speak.
func (k *Keeper) Sweep(ctx context.Context) ([]Left, error) {
	if k.options.Ledger == "" {
		return nil, nil
	}
	l := k.ledger
	if l.open(); l.failed != nil {
		return nil, l.failed
	}
	var errs []error
	if l.damaged > 0 {
		errs = append(errs, fmt.Errorf("reading the ledger %s: %d damaged lines were left out; look for addresses that nobody removes", l.path, l.damaged))
	}
	left, err := l.sweep(ctx, nil)
	l.failed = l.rewrite()
	errs = append(errs, err, l.failed)
	return left, errors.Join(errs...)
}

// Adopt is the start after a process that has handed everything over: the ledger
// is read, and what it speaks of stays where it is. What routers want of it is
// theirs as if this process had added it; Tidy removes the rest. It is called
// once, instead of Sweep.
func (k *Keeper) Adopt() error {
	k.adopted = true
	if k.options.Ledger == "" {
		return nil
	}
	l := k.ledger
	l.open()
	if l.failed == nil && l.damaged > 0 {
		return fmt.Errorf("reading the ledger %s: %d damaged lines were left out; look for addresses that nobody removes", l.path, l.damaged)
	}
	return l.failed
}

// Tidy removes what an earlier process has left and no router wants, and tells
// report, if there was anything. It returns at once and may be called from any goroutine.
func (k *Keeper) Tidy(report func([]Left, error)) {
	k.mu.Lock()
	k.inbox.tidy = report
	k.mu.Unlock()
	poke(k.wake)
}

// tidy sweeps around what is held.
func (a *applier) tidy(report func([]Left, error)) {
	keep := make(map[place]bool, len(a.holdings))
	for at := range a.holdings {
		keep[at] = true
	}
	for _, o := range a.routers { // on their way
		for at := range o.places {
			keep[at] = true
		}
	}
	for id := range a.virtuals {
		keep[id.place()] = true
	}
	for link := range a.parents {
		keep[place{kind: aParent, link: link}] = true
	}
	keep[tableFact] = a.walled
	wanted := func(at place) bool { return keep[at] }
	left, err := a.ledger.sweep(context.Background(), wanted)
	if len(left) > 0 || err != nil {
		report(left, err)
	}
}

// broom is one sweep.
type broom struct {
	// wanted says what stays; nil: nothing.
	wanted func(place) bool
	ledger *ledger
	kernel *rtnl
	ask    *netlink.Conn
	maker  *macvlan.Maker
	left   []Left
	errs   []error
}

func (l *ledger) sweep(ctx context.Context, wanted func(place) bool) ([]Left, error) {
	stray := 0
	for at := range l.entries {
		if wanted == nil || !wanted(at) {
			stray++
		}
	}
	if stray == 0 {
		return nil, nil
	}
	kern, err := dialKernel()
	if err != nil {
		return nil, err
	}
	defer kern.close()
	questions, err := dialQuestions()
	if err != nil {
		return nil, err
	}
	defer questions.Close()
	maker, err := macvlan.Dial()
	if err != nil {
		return nil, err
	}
	defer maker.Close()
	b := &broom{wanted: wanted, ledger: l, kernel: kern, ask: questions, maker: maker}
	for _, part := range []func(){b.macvlans, b.addresses, b.routing, b.tables, b.parents} {
		if ctx.Err() != nil {
			b.errs = append(b.errs, ctx.Err())
			break
		}
		part()
	}
	return b.left, errors.Join(b.errs...)
}

func (b *broom) failed(err error) {
	if err != nil {
		b.errs = append(b.errs, err)
	}
}

// found books something as removed.
func (b *broom) found(at place, left Left) {
	left.PID = b.ledger.entries[at].pid
	b.left = append(b.left, left)
	b.ledger.gone(at)
}

// of returns the places of one kind in the ledger, in a fixed order.
func (b *broom) of(k kind) []place {
	var list []place
	for at := range b.ledger.entries {
		if at.kind == k && (b.wanted == nil || !b.wanted(at)) {
			list = append(list, at)
		}
	}
	slices.SortFunc(list, func(x, y place) int {
		return cmp.Or(cmp.Compare(x.link, y.link), x.prefix.Addr().Compare(y.prefix.Addr()), cmp.Compare(x.prefix.Bits(), y.prefix.Bits()),
			strings.Compare(string(x.mac[:]), string(y.mac[:])), cmp.Compare(x.table, y.table), cmp.Compare(x.metric, y.metric),
			strings.Compare(x.rule.get().String(), y.rule.get().String()))
	})
	return list
}

// macvlans removes all at once. The alias says whose a link is, so a try is enough.
func (b *broom) macvlans() {
	places := b.of(aMacvlan)
	if len(places) == 0 {
		return
	}
	list, err := b.maker.List("backbeat")
	if err != nil {
		b.failed(err)
		return
	}
	there := make(map[place]macvlan.Found, len(list))
	for _, f := range list {
		there[identity{f.Parent, f.MAC}.place()] = f
	}
	var indexes []int
	for _, at := range places {
		if f, ok := there[at]; ok {
			indexes = append(indexes, f.Index)
		}
	}
	if len(indexes) > 0 {
		if err := b.maker.Remove(indexes...); err != nil {
			b.failed(fmt.Errorf("removing virtual MACs left behind: %w", err))
			return
		}
	}
	for _, at := range places {
		if f, ok := there[at]; ok {
			b.found(at, Left{Link: at.link, What: wordMacvlan + " " + f.Name})
		}
		b.ledger.gone(at)
	}
}

func (b *broom) addresses() {
	places := b.of(anAddress)
	if len(places) == 0 {
		return
	}
	there, err := dumpAddresses(b.ask, 0)
	if err != nil {
		b.failed(err)
		return
	}
	byPlace := make(map[place]addressMessage, len(there))
	for _, m := range there {
		byPlace[m.place()] = m
	}
	var list []item
	for _, at := range places {
		e := b.ledger.entries[at]
		m, present := byPlace[at]
		if !present || !e.made(&m) {
			b.ledger.gone(at)
			continue
		}
		it := item{at: at, what: thing{linkName: e.name}}
		it.what.address.Prefix = m.prefix
		list = append(list, it)
	}
	b.removeAll(list)
}

// made reports whether an address that is there is the one we had added. With somebody
// else's mark it is not, nor without a mark if we never knew whether we had added it.
func (e entry) made(m *addressMessage) bool {
	return m.proto == mark || e.sure && m.proto == 0
}

// routing removes routes and rules. The requests carry our mark, so nobody
// else's is hit.
func (b *broom) routing() {
	var list []item
	for _, at := range b.of(aRule) {
		list = append(list, item{at: at})
	}
	for _, at := range b.of(aRoute) {
		// Found by its place alone: the address it prefers as a source may have
		// taken it along, and put back by somebody it may lead another way.
		r := b.ledger.entries[at].route.get()
		r.Via, r.Source = netip.Addr{}, netip.Addr{}
		r.Link, r.MTU, r.OnLink = 0, 0, false
		list = append(list, item{at: at, what: thing{route: refTo(r)}})
	}
	b.removeAll(list)
}

func (b *broom) removeAll(list []item) {
	for i, err := range b.kernel.remove(list) {
		it := &list[i]
		left := Left{Link: it.at.link, LinkName: it.what.linkName, Address: it.what.address.Prefix}
		if it.at.kind != anAddress {
			left.What = it.name()
			if it.at.kind == aRoute {
				r := b.ledger.entries[it.at].route.get()
				left.What = "route " + r.String()
			}
		}
		switch {
		case err == nil:
			b.found(it.at, left)
		case absent(err):
			b.ledger.gone(it.at)
		default:
			b.failed(fmt.Errorf("removing %s, left behind: %s", left, explain(err, it)))
		}
	}
}

func (b *broom) tables() {
	e, ok := b.ledger.entries[tableFact]
	if !ok || b.wanted != nil && b.wanted(tableFact) {
		return
	}
	// What could not be removed is to stay silent.
	if len(b.of(aMacvlan)) > 0 {
		return
	}
	_, tag, _ := strings.Cut(e.name, "-")
	if err := firewall.New(tag).Clear(); err != nil {
		b.failed(err)
		return
	}
	b.found(tableFact, Left{What: "nftables table " + e.name})
}

func (b *broom) parents() {
	for _, at := range b.of(aParent) {
		e := b.ledger.entries[at]
		// Another interface may have the name by now.
		if b.kernel.exists(at.link) {
			if err := b.maker.RestoreParent(e.name, e.settings()); err != nil {
				b.failed(err)
				continue
			}
			if e.before != "" {
				b.found(at, Left{Link: at.link, LinkName: e.name, What: "sysctls of " + e.name})
			}
		}
		b.ledger.gone(at)
	}
}
