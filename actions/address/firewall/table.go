package firewall

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
)

// Refused is a virtual address that this host serves to nobody.
type Refused struct {
	Addr netip.Addr
	// Link is the name of the interface that a link-local address is on; others
	// are known by their address alone.
	Link string
}

// Table is what is to be silent, and the book of what the kernel has been told.
// It is used from one goroutine, in the network namespace of the thread that
// calls Flush first.
type Table struct {
	name string
	conn *nftables.Conn
	// socket is the one below conn, for deadlines.
	socket *netlink.Conn

	// parents and refused are the book.
	parents map[string]*parent
	refused [len(refusedSets)]*members
	// netdev and inet: the tables are in the kernel, as booked. sound false
	// means that nothing is known for sure and everything is to be made anew.
	netdev, inet, sound bool
	// queued: something has been asked for since the last good Flush.
	queued bool
}

// parent is one interface with virtual MACs on it.
type parent struct {
	// index is the interface the chains hang on, 0 if they have not been made.
	index int
	// stale: the chains are to be removed, or made anew if anything is wanted.
	stale   bool
	passive *members
}

// New returns an empty book. tag tells two daemons in one namespace apart; it
// may be empty. Nothing is asked of the kernel before the first Flush with
// something to do, Check or Clear.
func New(tag string) *Table {
	t := &Table{name: "backbeat", parents: make(map[string]*parent)}
	if tag != "" {
		t.name += "-" + tag
	}
	for i := range t.refused {
		t.refused[i] = newMembers()
	}
	return t
}

// Silence queues that no frame from or to these MACs passes the interface. All
// of what Silence, Open, Refuse and Accept queue takes effect with Flush; the
// last word on a MAC or address counts, repeating oneself does no harm.
//
// The interface is known by its name. When it is renamed, Forget the old name
// and Silence under the new one in the same Flush: Linux 6.16 and later lifts
// the silence with the renaming (the chains look for the name), earlier ones
// keep it (they hang on the device).
func (t *Table) Silence(parentName string, macs ...[6]byte) {
	if len(macs) == 0 {
		return
	}
	p := t.parents[parentName]
	if p == nil {
		p = &parent{passive: newMembers()}
		t.parents[parentName] = p
	}
	for _, mac := range macs {
		p.passive.want(string(mac[:]), true)
	}
	t.queued = true
}

// Open queues that these MACs are silent no longer.
func (t *Table) Open(parentName string, macs ...[6]byte) {
	p := t.parents[parentName]
	if p == nil {
		return
	}
	for _, mac := range macs {
		p.passive.want(string(mac[:]), false)
	}
	t.queued = true
}

// Forget queues that the interface has gone or carries no virtual MAC any more:
// its chains are removed, and no MAC on it is silent. Silence after Forget
// begins anew, as it must on another interface of the same name.
func (t *Table) Forget(parentName string) {
	p := t.parents[parentName]
	if p == nil {
		return
	}
	p.stale = true
	p.passive.wantNone()
	t.queued = true
}

// Refuse queues that these addresses are not served: packets to them are
// dropped, coming in or passing through, and packets from them going out;
// Neighbor Discovery, ARP and the host's talk to itself excepted.
func (t *Table) Refuse(addrs ...Refused) { t.refuse(addrs, true) }

// Accept queues that these addresses are served.
func (t *Table) Accept(addrs ...Refused) { t.refuse(addrs, false) }

func (t *Table) refuse(addrs []Refused, wanted bool) {
	for _, a := range addrs {
		set, key := keyOf(a)
		t.refused[set].want(key, wanted)
		t.queued = true
	}
}

// members is one set: what is wanted in it, what is in the kernel's, and where
// the two may differ.
type members struct {
	wanted, booked, pending map[string]bool
}

func newMembers() *members {
	return &members{make(map[string]bool), make(map[string]bool), make(map[string]bool)}
}

func (m *members) want(key string, wanted bool) {
	if wanted {
		m.wanted[key] = true
	} else {
		delete(m.wanted, key)
	}
	m.pending[key] = true
}

func (m *members) wantNone() {
	for key := range m.wanted {
		m.want(key, false)
	}
}

// changes are the keys to add and to delete.
func (m *members) changes() (add, del []string) {
	for key := range m.pending {
		switch wanted, booked := m.wanted[key], m.booked[key]; {
		case wanted && !booked:
			add = append(add, key)
		case !wanted && booked:
			del = append(del, key)
		}
	}
	return add, del
}

// unbook says that the kernel's set is empty, or about to be made.
func (m *members) unbook() {
	clear(m.booked)
	for key := range m.wanted {
		m.pending[key] = true
	}
}

// book says that the kernel has followed a change.
func (m *members) book(key string, added bool) {
	if added {
		m.booked[key] = true
	} else {
		delete(m.booked, key)
	}
	delete(m.pending, key)
}
