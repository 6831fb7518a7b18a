package address

import (
	"net/netip"
	"path/filepath"
	"testing"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// What the process before had put on an interface is told apart from the interface's own
// addresses, as long as it is there. The kernel lists link-local ones newest first.
func TestLeftAddressesAreToldApart(t *testing.T) {
	link := veth(t, "e0")
	lab.IP(t, "addr", "add", "192.0.2.9/24", "dev", "e0")
	path := filepath.Join(t.TempDir(), "ledger")
	posted := make(chan any, 1000)
	first := New(Options{Ledger: path, Post: func(v any) { posted <- v }})
	stop := run(t, first)
	first.Want(actions.Wanted{Router: 1, Term: 1, Active: true, Addresses: places(link, "e0", "192.0.2.1/24", "192.0.2.9/24", "fe80::53/64")})
	applied(t, posted, 1, 1)
	stop()

	second := New(Options{Ledger: path, Post: func(v any) { posted <- v }})
	if err := second.Adopt(); err != nil {
		t.Fatal(err)
	}
	run(t, second)
	second.Watch([]string{"e0"})
	want := func(what string, left map[string]bool) {
		t.Helper()
		next(t, posted, what, func(l actions.LinkChanged) bool {
			seen := 0
			for _, a := range l.Addresses {
				is, known := left[a.Prefix.String()]
				if known && is == a.Left {
					seen++
				} else if !known && a.Left {
					return false
				}
			}
			return seen == len(left)
		})
	}
	want("what was left", map[string]bool{"192.0.2.1/24": true, "fe80::53/64": true, "192.0.2.9/24": false})
	lab.IP(t, "addr", "del", "192.0.2.1/24", "dev", "e0")
	lab.IP(t, "addr", "add", "192.0.2.1/24", "dev", "e0") // an administrator gives it to the host
	want("what is the host's own now", map[string]bool{"192.0.2.1/24": false, "fe80::53/64": true, "192.0.2.9/24": false})
	second.Want(actions.Wanted{Router: 7, Term: 1, Active: true, Addresses: places(link, "e0", "fe80::53/64")})
	applied(t, posted, 7, 1)
	second.Want(actions.Wanted{Router: 7, Term: 2})
	applied(t, posted, 7, 2)
	next(t, posted, "nothing left", func(l actions.LinkChanged) bool {
		for _, a := range l.Addresses {
			if a.Left || a.Prefix == netip.MustParsePrefix("fe80::53/64") {
				return false
			}
		}
		return true
	})
}
