package firewall

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Bounds of one transaction. The kernel acknowledges every message of it by an
// answer of some 800 bytes in our receive buffer, of which it grants 208 KiB by
// default; elements of 44 bytes are to fit the send buffer of the same size.
const (
	maxMessages = 100
	maxElements = 2000
	// maxPerMessage keeps the list of elements below the 64 KiB of one attribute.
	maxPerMessage = 1000
)

// patience bounds the wait for the kernel's answer. It comes within
// milliseconds unless another program's transaction of a huge ruleset is before ours.
const patience = 10 * time.Second

// Flush tells the kernel everything that was queued, in one transaction up to
// 2,000 MACs and addresses, so that it takes effect at once and together; what
// is to be silent or refused goes first where there are more. With nothing
// queued nothing is done. Where the kernel turns out to have other tables than
// booked (somebody flushed the ruleset), or after a failure, both are made anew
// from the book; those that a crashed predecessor left are replaced the same
// way, without a gap, so what it had silenced and is to stay silent is to be
// queued before the first Flush. After an error all that was queued remains so.
//
// The effect is there when Flush returns, also the opening of a silenced MAC.
//
// An interface that does not exist is left out; Silence has to be repeated when
// there is one of that name.
func (t *Table) Flush() error {
	if !t.queued {
		return nil
	}
	err := errUnsound
	if t.sound {
		err = t.transact(false)
	}
	for tries := 0; disagrees(err) && tries < 3; tries++ {
		if !errors.Is(err, errUnsound) {
			t.hangUp() // answers may be left on it
		}
		err = t.transact(true)
	}
	if err != nil {
		t.hangUp()
		return fmt.Errorf("nftables table %s: %w", t.name, explain(err))
	}
	t.sound, t.queued = true, false
	return nil
}

var errUnsound = errors.New("the kernel's tables are not known")

// disagrees tells that the kernel's tables are not what the book says.
func disagrees(err error) bool {
	return errors.Is(err, errUnsound) || errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EEXIST) || errors.Is(err, unix.EBUSY)
}

// transact brings the kernel to what is wanted. The book is written on the way;
// a failure leaves it unsound, and then it is not believed.
func (t *Table) transact(anew bool) error {
	if err := t.dial(); err != nil {
		return err
	}
	b := &batch{Table: t}
	t.sound = false
	if anew {
		if err := b.begin(); err != nil {
			return err
		}
	}
	for _, step := range []func() error{b.parentsStep, b.add, b.del} {
		if err := step(); err != nil {
			return err
		}
	}
	if err := b.commit(); err != nil {
		return err
	}
	t.sound = true
	return nil
}

// dial opens the socket. It is kept: closing one makes the kernel wait for the
// readers of what was deleted through it, some 10 ms.
func (t *Table) dial() error {
	if t.conn != nil {
		return nil
	}
	conn, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		t.socket = c
		return nil
	}))
	if err != nil {
		return fmt.Errorf("opening a netfilter socket: %w", err)
	}
	t.conn = conn
	return nil
}

// hangUp closes the socket: after an error, answers may still be under way on it.
func (t *Table) hangUp() {
	if t.conn != nil {
		_ = t.conn.CloseLasting()
	}
	t.conn, t.socket, t.sound = nil, nil, false
}

// batch is a transaction in the making.
type batch struct {
	*Table
	messages, elements int
}

// room ends the transaction if so much more would not fit.
func (b *batch) room(messages, elements int) error {
	if b.messages > 0 && (b.messages+messages > maxMessages || b.elements+elements > maxElements) {
		if err := b.commit(); err != nil {
			return err
		}
	}
	b.messages += messages
	b.elements += elements
	return nil
}

func (b *batch) commit() error {
	if b.messages == 0 {
		return nil
	}
	b.messages, b.elements = 0, 0
	if err := b.socket.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	return b.conn.Flush()
}

// begin deletes what is there of both tables and empties the book.
func (b *batch) begin() error {
	tables, err := b.ours()
	if err != nil {
		return err
	}
	if err := b.room(len(tables), 0); err != nil {
		return err
	}
	for _, t := range tables {
		b.conn.DelTable(t)
	}
	b.netdev, b.inet = false, false
	for name, p := range b.parents {
		p.index, p.stale = 0, false
		p.passive.unbook()
		if len(p.passive.wanted) == 0 {
			delete(b.parents, name)
		}
	}
	for _, m := range b.refused {
		m.unbook()
	}
	return nil
}

// ours are the tables of our name that the kernel has.
func (t *Table) ours() ([]*nftables.Table, error) {
	if err := t.socket.SetDeadline(time.Now().Add(patience)); err != nil {
		return nil, err
	}
	all, err := t.conn.ListTables()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(k *nftables.Table) bool {
		return k.Name != t.name || k.Family != nftables.TableFamilyNetdev && k.Family != nftables.TableFamilyINet
	}), nil
}

// parentsStep removes the chains of forgotten interfaces and of those that have
// been replaced by another of the same name, and makes those that are missing.
func (b *batch) parentsStep() error {
	for _, name := range slices.Sorted(maps.Keys(b.parents)) {
		p := b.parents[name]
		if !p.stale && len(p.passive.pending) == 0 {
			continue
		}
		index, err := indexOf(name)
		if err != nil {
			return err
		}
		if p.index != 0 && (p.stale || p.index != index) {
			if err := b.room(3, 0); err != nil {
				return err
			}
			b.removeChains(name)
			p.index = 0
			p.passive.unbook()
		}
		p.stale = false
		switch {
		case len(p.passive.wanted) == 0 && p.index == 0:
			delete(b.parents, name)
		case p.index == 0 && index != 0:
			if err := b.makeChains(name); err != nil {
				return err
			}
			p.index = index
		}
	}
	return nil
}

// add and del bring the sets to what is wanted, first what is to be dropped.
func (b *batch) add() error { return b.elementsStep(true) }
func (b *batch) del() error { return b.elementsStep(false) }

func (b *batch) elementsStep(adding bool) error {
	for _, name := range slices.Sorted(maps.Keys(b.parents)) {
		if p := b.parents[name]; p.index != 0 {
			if err := b.change(b.passiveSet(name), p.passive, adding); err != nil {
				return err
			}
		}
	}
	for i, m := range b.refused {
		if len(m.pending) == 0 {
			continue
		}
		if !b.inet && len(m.wanted) > 0 {
			if err := b.makeInet(); err != nil {
				return err
			}
		}
		if err := b.change(b.refusedSet(i), m, adding); err != nil {
			return err
		}
	}
	return nil
}

// change queues one set's additions or deletions and books them.
func (b *batch) change(set *nftables.Set, m *members, adding bool) error {
	add, del := m.changes()
	keys, tell := add, b.conn.SetAddElements
	if !adding {
		keys, tell = del, b.conn.SetDeleteElements
	}
	for chunk := range slices.Chunk(keys, maxPerMessage) {
		if err := b.room(1, len(chunk)); err != nil {
			return err
		}
		elements := make([]nftables.SetElement, len(chunk))
		for i, key := range chunk {
			elements[i].Key = []byte(key)
			m.book(key, adding)
		}
		if err := tell(set, elements); err != nil {
			return err
		}
	}
	if !adding {
		clear(m.pending)
	}
	return nil
}

// indexOf is the index of the interface of that name, 0 if there is none.
func indexOf(name string) (int, error) {
	request, err := unix.NewIfreq(name)
	if err != nil {
		return 0, fmt.Errorf("%q is no interface name: %w", name, err)
	}
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("asking for the index of %s: %w", name, err)
	}
	defer unix.Close(s)
	err = unix.IoctlIfreq(s, unix.SIOCGIFINDEX, request)
	if errors.Is(err, unix.ENODEV) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("asking for the index of %s: %w", name, err)
	}
	return int(request.Uint32()), nil
}

// explain names cause and remedy of the refusals that have one; errors.Is keeps
// finding the kernel's code.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return fmt.Errorf("%w: it needs the capability CAP_NET_ADMIN "+
			"(run backbeat as root, or give its unit AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW)", err)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EAFNOSUPPORT), errors.Is(err, unix.EPROTONOSUPPORT):
		return fmt.Errorf("%w: the kernel is too old or lacks a part of nftables: virtual MACs need Linux 5.16 or later with "+
			"CONFIG_NF_TABLES_NETDEV and CONFIG_NETFILTER_EGRESS, accept = false needs CONFIG_NF_TABLES_INET "+
			"(try modprobe nf_tables; virtual_mac = false and accept = true do without)", err)
	default:
		return err
	}
}
