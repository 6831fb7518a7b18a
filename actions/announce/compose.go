package announce

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/backbeat-ha/backbeat/actions"
)

// Why nothing can be announced, beyond what sending says.
var (
	errNoLink    = errors.New("the interface does not exist")
	errNoMAC     = errors.New("no link-layer address is known for it")
	errNoAddress = errors.New("not an IPv4 or IPv6 address")
)

// compose builds the frames of an announcement. What cannot be announced is
// counted as failed and named; the rest goes out.
func compose(w *actions.Announcement) *round {
	r := &round{router: w.Router, term: w.Term, schedule: w.Schedule, once: w.Once}
	for i := range w.Targets {
		t := &w.Targets[i]
		r.total += len(t.Addresses)
		r.several = r.several || t.Link != w.Targets[0].Link
		switch {
		case len(t.Addresses) == 0:
		case t.Link <= 0:
			r.refuse(len(t.Addresses), named(t.Addresses, errNoLink))
		case t.MAC == [6]byte{}:
			r.refuse(len(t.Addresses), named(t.Addresses, errNoMAC))
		default:
			r.compose(t)
		}
	}
	return r
}

// compose adds the frames of one interface that can be sent from.
func (r *round) compose(t *actions.AnnounceTarget) {
	for _, address := range t.Addresses {
		// An address in a packet has no zone, the interface says it.
		address = address.WithZone("")
		b, err := frame(address, t.MAC)
		if err != nil {
			r.refuse(1, named([]netip.Addr{address}, err))
			continue
		}
		r.items = append(r.items, item{link: t.Link, address: address, mac: t.MAC, frame: b})
	}
}

// named says which addresses an error concerns: the first, and how many more.
func named(list []netip.Addr, why error) string {
	if len(list) == 1 {
		return fmt.Sprintf("%s: %v", list[0], why)
	}
	return fmt.Sprintf("%s and %d more: %v", list[0], len(list)-1, why)
}
