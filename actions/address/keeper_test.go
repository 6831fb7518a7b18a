package address

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// start runs a keeper until the end of the test.
func start(t *testing.T, ledger string, change func(*Keeper)) (*Keeper, chan any) {
	t.Helper()
	posted := make(chan any, 100_000)
	k := New(Options{Ledger: ledger, Post: func(v any) { posted <- v }})
	if change != nil {
		change(k)
	}
	run(t, k)
	return k, posted
}

func run(t *testing.T, k *Keeper) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(longest):
			t.Error("Run did not end")
		}
	}
	t.Cleanup(stop)
	return stop
}

func ledgerPath(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "addresses.ledger")
}

// shown is what `ip -j addr show` says of one address.
func shown(t *testing.T, link, address string) map[string]any {
	t.Helper()
	var links []struct {
		AddrInfo []map[string]any `json:"addr_info"`
	}
	if err := json.Unmarshal([]byte(lab.IP(t, "-j", "addr", "show", "dev", link)), &links); err != nil {
		t.Fatal(err)
	}
	for _, l := range links {
		for _, a := range l.AddrInfo {
			if a["local"] == address {
				return a
			}
		}
	}
	return nil
}

func TestAddressesAsIPRoute2ShowsThem(t *testing.T) {
	link := veth(t, "e0")
	k, posted := start(t, ledgerPath(t), nil)
	k.Want(actions.Wanted{Router: 1, Term: 7, Active: true, Addresses: places(link, "e0", "192.0.2.1/32", "198.51.100.1/24", "2001:db8::1/128", "2001:db8:1::1/64", "fe80::100/64")})
	a := applied(t, posted, 1, 7)
	if !a.Held || a.Err != "" || a.Note != "" || a.Took <= 0 {
		t.Fatalf("answer %+v", a)
	}
	for address, want := range map[string]map[string]any{
		"192.0.2.1":     {"prefixlen": 32.0, "scope": "global", "deprecated": nil, "secondary": nil, "broadcast": nil},
		"198.51.100.1":  {"prefixlen": 24.0, "scope": "global", "broadcast": nil},
		"2001:db8::1":   {"prefixlen": 128.0, "scope": "global", "nodad": true, "deprecated": true, "tentative": nil, "noprefixroute": true, "preferred_life_time": 0.0, "valid_life_time": 4294967295.0},
		"2001:db8:1::1": {"prefixlen": 64.0, "nodad": true, "deprecated": true, "tentative": nil, "noprefixroute": nil},
		"fe80::100":     {"prefixlen": 64.0, "scope": "link", "nodad": true, "deprecated": true, "tentative": nil},
	} {
		got := shown(t, "e0", address)
		if got == nil {
			t.Errorf("%s is not there", address)
			continue
		}
		for key, v := range want {
			if got[key] != v {
				t.Errorf("%s: %s is %v, want %v", address, key, got[key], v)
			}
		}
	}
	if m, _ := present(t, link, "192.0.2.1/32"); m.proto != mark && kernelHasProto(t) {
		t.Errorf("IFA_PROTO is %d, want %d", m.proto, mark)
	}
	routes := lab.IP(t, "route", "show", "dev", "e0") + lab.IP(t, "-6", "route", "show", "dev", "e0")
	for _, r := range []string{"198.51.100.0/24", "2001:db8:1::/64"} {
		if !strings.Contains(routes, r) {
			t.Errorf("no connected route %s in:\n%s", r, routes)
		}
	}
	for _, r := range []string{"192.0.2.1", "2001:db8::1 "} {
		if strings.Contains(routes, r+" ") {
			t.Errorf("a route to the address %s itself in:\n%s", r, routes)
		}
	}

	k.Want(actions.Wanted{Router: 1, Term: 8})
	if a := applied(t, posted, 1, 8); a.Held || a.Err != "" {
		t.Fatalf("answer %+v", a)
	}
	for _, p := range []string{"192.0.2.1/32", "198.51.100.1/24", "2001:db8::1/128", "2001:db8:1::1/64", "fe80::100/64"} {
		if _, there := present(t, link, p); there {
			t.Errorf("%s is still there", p)
		}
	}
}

// kernelHasProto: IFA_PROTO came with Linux 5.18.
func kernelHasProto(t *testing.T) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	var major, minor int
	if _, err := fmt.Sscanf(string(b), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major > 5 || major == 5 && minor >= 18
}

func TestNotOursIsNeverRemoved(t *testing.T) {
	link := veth(t, "e0")
	lab.IP(t, "addr", "add", "192.0.2.9/24", "dev", "e0")
	lab.IP(t, "addr", "add", "2001:db8::9/64", "dev", "e0", "nodad")
	k, posted := start(t, ledgerPath(t), nil)
	k.Want(actions.Wanted{Router: 1, Term: 1, Active: true, Addresses: places(link, "e0", "192.0.2.9/24", "2001:db8::9/64", "192.0.2.10/24")})
	a := applied(t, posted, 1, 1)
	if a.Err != "" || !strings.Contains(a.Note, "192.0.2.9/24 was on e0 already") || !strings.Contains(a.Note, "2001:db8::9/64") || strings.Contains(a.Note, "192.0.2.10") {
		t.Fatalf("answer %+v", a)
	}
	k.Want(actions.Wanted{Router: 1, Term: 2, Final: true})
	applied(t, posted, 1, 2)
	for p, want := range map[string]bool{"192.0.2.9/24": true, "2001:db8::9/64": true, "192.0.2.10/24": false} {
		if _, there := present(t, link, p); there != want {
			t.Errorf("%s there: %v, want %v", p, there, want)
		}
	}
}

func TestOwnersAddresses(t *testing.T) {
	link := veth(t, "e0")
	lab.IP(t, "addr", "add", "192.0.2.9/24", "dev", "e0")
	k, posted := start(t, ledgerPath(t), nil)
	k.Want(actions.Wanted{Router: 1, Term: 1, Active: true, Addresses: places(link, "e0", "192.0.2.9/24", "2001:db8::9/64"), Own: true})
	if a := applied(t, posted, 1, 1); a.Err != "" || a.Note != "" {
		t.Fatalf("an owner's address that is there is nothing to talk about: %+v", a)
	}
	if got := shown(t, "e0", "2001:db8::9"); got["deprecated"] != nil || got["nodad"] != true {
		t.Errorf("the owner's missing address was added as %v", got)
	}
	lab.IP(t, "addr", "del", "192.0.2.9/24", "dev", "e0")
	next(t, posted, "Restored", func(actions.Restored) bool { return true })
	k.Want(actions.Wanted{Router: 1, Term: 2, Own: true})
	applied(t, posted, 1, 2)
	if _, there := present(t, link, "192.0.2.9/24"); !there {
		t.Error("the owner's own address was removed")
	}
	if _, there := present(t, link, "2001:db8::9/64"); there {
		t.Error("the address that we had added stayed")
	}
}

func TestErrorsNameCauseAndRemedy(t *testing.T) {
	link := veth(t, "e0")
	lab.IP(t, "link", "set", "e0", "mtu", "1280")
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/e0/disable_ipv6", []byte("1"), 0); err != nil {
		t.Fatal(err)
	}
	k, posted := start(t, "", nil)
	k.Want(actions.Wanted{Router: 1, Term: 1, Active: true, Addresses: places(link, "e0", "2001:db8::1/128", "2001:db8::2/128", "192.0.2.1/32")})
	a := applied(t, posted, 1, 1)
	if want := "adding 2001:db8::1/128, 2001:db8::2/128: IPv6 is switched off on e0 (set net.ipv6.conf.e0.disable_ipv6=0)"; a.Err != want {
		t.Errorf("error %q, want %q", a.Err, want)
	}
	if _, there := present(t, link, "192.0.2.1/32"); !there {
		t.Error("one refused address kept the others away")
	}
	k.Want(actions.Wanted{Router: 2, Term: 1, Active: true, Addresses: places(9999, "nowhere", "192.0.2.2/32")})
	if a := applied(t, posted, 2, 1); a.Err != "adding 192.0.2.2/32: the interface nowhere is gone" {
		t.Errorf("error %q", a.Err)
	}
	// Removing from a link that is gone is done, not an error.
	k.Want(actions.Wanted{Router: 2, Term: 2, Final: true})
	if a := applied(t, posted, 2, 2); a.Err != "" {
		t.Errorf("error %q", a.Err)
	}
}

func TestPrefixLengthChangesInPlace(t *testing.T) {
	link := veth(t, "e0")
	k, posted := start(t, ledgerPath(t), nil)
	k.Want(actions.Wanted{Router: 1, Term: 1, Active: true, Addresses: places(link, "e0", "192.0.2.1/32", "2001:db8::1/128")})
	applied(t, posted, 1, 1)
	k.Want(actions.Wanted{Router: 1, Term: 2, Active: true, Addresses: places(link, "e0", "192.0.2.1/24", "2001:db8::1/64")})
	if a := applied(t, posted, 1, 2); a.Err != "" || a.Note != "" {
		t.Fatalf("answer %+v", a)
	}
	for p, want := range map[string]bool{"192.0.2.1/32": false, "2001:db8::1/128": false, "192.0.2.1/24": true, "2001:db8::1/64": true} {
		if _, there := present(t, link, p); there != want {
			t.Errorf("%s there: %v, want %v", p, there, want)
		}
	}
}

func TestLastWishIsCarriedOutAtTheEnd(t *testing.T) {
	link := veth(t, "e0")
	posted := make(chan any, 100)
	k := New(Options{Post: func(v any) { posted <- v }})
	stop := run(t, k)
	k.Want(actions.Wanted{Router: 1, Term: 1, Active: true, Addresses: places(link, "e0", "192.0.2.1/32")})
	applied(t, posted, 1, 1)
	k.Want(actions.Wanted{Router: 1, Term: 2, Final: true})
	stop()
	if _, there := present(t, link, "192.0.2.1/32"); there {
		t.Error("Run ended with a wish not carried out")
	}
}

func TestThousandAddresses(t *testing.T) {
	link := veth(t, "e0")
	k, posted := start(t, ledgerPath(t), nil)
	k.Watch([]string{"e0"})
	for _, family := range []string{"10.1.%d.%d/32", "2001:db8::%x:%x/128"} {
		for term, want := range []bool{true, false} {
			began := time.Now()
			for i := range 1000 {
				w := actions.Wanted{Router: actions.RouterID(i), Term: uint64(term)}
				if want {
					w.Active, w.Addresses = true, places(link, "e0", fmt.Sprintf(family, i/250, i%250+1))
				}
				k.Want(w)
			}
			wished := time.Since(began)
			answers, levels := 0, 0
			var first time.Duration
			for answers < 1000 {
				switch v := (<-posted).(type) {
				case actions.Applied:
					if v.Err != "" || v.Note != "" {
						t.Fatalf("%+v", v)
					}
					if answers++; answers == 1 {
						first = time.Since(began)
					}
				case actions.LinkChanged:
					levels++
				}
			}
			t.Logf("%s held=%v: 1,000 routers wished in %v, first answer %v, last %v, %d link levels",
				family, want, wished, first, time.Since(began), levels)
		}
	}
}
