package firewall

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"
)

// Check compares the kernel's tables with the book: tables, chains, number of
// rules, every element of every set. If they differ, the next Flush makes all
// of it anew. What was queued since the last Flush does not count as a difference.
func (t *Table) Check() (bool, error) {
	if !t.sound {
		return !t.netdev && !t.inet, nil
	}
	same, err := t.same()
	if err != nil {
		t.hangUp()
		t.queued = true
		return false, fmt.Errorf("comparing the nftables tables %s: %w", t.name, explain(err))
	}
	if !same {
		t.sound, t.queued = false, true
	}
	return same, nil
}

func (t *Table) same() (bool, error) {
	tables, err := t.ours()
	if err != nil {
		return false, err
	}
	var netdev, inet bool
	for _, k := range tables {
		netdev = netdev || k.Family == nftables.TableFamilyNetdev
		inet = inet || k.Family == nftables.TableFamilyINet
	}
	if netdev != t.netdev || inet != t.inet {
		return false, nil
	}
	if t.netdev {
		if same, err := t.sameNetdev(); !same || err != nil {
			return false, err
		}
	}
	if t.inet {
		return t.sameInet()
	}
	return true, nil
}

func (t *Table) sameNetdev() (bool, error) {
	table := t.netdevTable()
	rules := make(map[string]int)
	sets := make(map[*nftables.Set]*members)
	for name, p := range t.parents {
		if p.index == 0 {
			continue
		}
		// An interface that has gone is not a difference that making the chains
		// anew would mend.
		index, err := indexOf(name)
		if err != nil {
			return false, err
		}
		if index == 0 {
			continue
		}
		if index != p.index {
			return false, nil
		}
		rules[chainIn(name)], rules[chainOut(name)] = 1, 1
		sets[t.passiveSet(name)] = p.passive
	}
	return t.sameTable(table, rules, sets)
}

func (t *Table) sameInet() (bool, error) {
	sets := make(map[*nftables.Set]*members)
	for i, m := range t.refused {
		sets[t.refusedSet(i)] = m
	}
	return t.sameTable(t.inetTable(), map[string]int{"input": 5, "output": 5, "forward": 3}, sets)
}

// sameTable compares one table: the number of rules by chain, and the sets.
func (t *Table) sameTable(table *nftables.Table, rules map[string]int, sets map[*nftables.Set]*members) (bool, error) {
	if err := t.socket.SetDeadline(time.Now().Add(patience)); err != nil {
		return false, err
	}
	chains, err := t.conn.ListChainsOfTableFamily(table.Family)
	if err != nil {
		return false, err
	}
	missing := len(rules)
	for _, c := range chains {
		if c.Table.Name != table.Name || rules[c.Name] == 0 {
			continue
		}
		missing--
		found, err := t.conn.GetRules(table, c)
		if err != nil {
			return absent(err)
		}
		if len(found) != rules[c.Name] {
			return false, nil
		}
	}
	if missing != 0 {
		return false, nil
	}
	for set, m := range sets {
		elements, err := t.conn.GetSetElements(set)
		if err != nil {
			return absent(err)
		}
		if len(elements) != len(m.booked) {
			return false, nil
		}
		for _, e := range elements {
			if !m.booked[string(e.Key)] {
				return false, nil
			}
		}
	}
	return true, nil
}

// absent tells an absence, which is a difference, from a failure.
func absent(err error) (bool, error) {
	if errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return false, err
}

// Clear deletes both tables, also those that a crashed predecessor with the
// same tag left, closes the socket and empties the book: nothing is silent or
// refused any more, so the links must be gone before. A kernel without nftables
// has nothing to delete.
func (t *Table) Clear() error {
	err := t.dial()
	if err == nil {
		err = t.clear()
	}
	t.hangUp()
	*t = *New("").named(t.name)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EPROTONOSUPPORT) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("deleting the nftables tables %s: %w", t.name, explain(err))
	}
	return nil
}

func (t *Table) named(name string) *Table {
	t.name = name
	return t
}

func (t *Table) clear() error {
	var err error
	for range 3 {
		var tables []*nftables.Table
		if tables, err = t.ours(); err != nil {
			return err
		}
		b := &batch{Table: t}
		if err = b.room(len(tables), 0); err != nil {
			return err
		}
		for _, k := range tables {
			t.conn.DelTable(k)
		}
		// Somebody else may have been quicker.
		if err = b.commit(); !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return err
}
