package address

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
)

// macWish is a wish of router id with a macvlan on link 2.
func macWish(id actions.RouterID, term uint64, active bool, list ...string) actions.Wanted {
	w := actions.Wanted{Router: id, Term: term, Active: active,
		VirtualMAC: &actions.VirtualMAC{MAC: [6]byte{0, 0, 0x5e, 0, 1, byte(id)}, Parent: 2, ParentName: "e0"}}
	if active {
		w.Addresses = places(2, "e0", list...)
	}
	return w
}

func (r *rig) wish(list ...actions.Wanted) {
	for _, w := range list {
		r.keeper.Want(w)
	}
	r.work()
}

// Silence comes before the macvlan is made and before the addresses go, opening
// before they come; removal at the end of it all.
func TestLifeOfAMacvlan(t *testing.T) {
	r := newRig()
	r.wish(macWish(1, 1, false))
	r.expect(t, "flush [silence 1]", "parent e0", "ensure 1 on 2", "applied 1/1")
	r.wish(macWish(1, 2, true, "192.0.2.1/24"))
	r.expect(t, "flush [open 1]", "add 201 192.0.2.1/24 mac", "applied 1/2")
	r.wish(macWish(1, 3, false))
	r.expect(t, "flush [silence 1]", "remove 201 192.0.2.1/24", "applied 1/3")
	r.wish(actions.Wanted{Router: 1, Term: 4, Final: true})
	r.expect(t, "flush [silence 1]", "applied 1/4", "unmake [201]", "restore parent e0 map[arp_ignore:0]", "flush [open 1, forget e0]")
	if len(r.macOf)+len(r.parents)+len(r.ledger.facts)+len(r.holdings) > 0 {
		t.Errorf("left: %v %v %v %v", r.macOf, r.parents, r.ledger.facts, r.holdings)
	}
}

// Many routers are one transaction, and a parent is restored with the last of them.
func TestManyMacvlansTogether(t *testing.T) {
	r := newRig()
	r.wish(macWish(1, 1, false), macWish(2, 1, false), macWish(3, 1, false))
	r.expect(t, "flush [silence 1, silence 2, silence 3]", "parent e0", "ensure 1 on 2", "ensure 2 on 2", "ensure 3 on 2",
		"applied 1/1", "applied 2/1", "applied 3/1")
	r.wish(macWish(1, 2, true, "192.0.2.1/32"), macWish(2, 2, true, "192.0.2.2/32"))
	r.expect(t, "flush [open 1, open 2]", "add 201 192.0.2.1/32 mac", "applied 1/2", "add 202 192.0.2.2/32 mac", "applied 2/2")
	r.wish(actions.Wanted{Router: 1, Term: 3, Final: true}, actions.Wanted{Router: 2, Term: 3, Final: true})
	r.expect(t, "flush [silence 1, silence 2]", "remove 201 192.0.2.1/32", "applied 1/3", "remove 202 192.0.2.2/32", "applied 2/3",
		"unmake [201 202]", "flush [open 1, open 2]")
}

// Why there is no macvlan is told apart from everything else, and the next wish
// begins anew.
func TestNoMacvlan(t *testing.T) {
	r := newRig()
	r.kernel.failMAC = errors.New("macvlan x on e0 has the virtual MAC already")
	r.wish(macWish(1, 1, false))
	r.expect(t, "flush [silence 1]", "parent e0", "ensure 1 on 2", "restore parent e0 map[arp_ignore:0]",
		"applied 1/1 macvlan x on e0 has the virtual MAC already")
	if a := r.posted[0].(actions.Applied); a.NoVirtualMAC == "" || a.Err != "" {
		t.Errorf("%+v", a)
	}
	r.kernel.failMAC, r.kernel.failVeil = nil, errors.New("the kernel has no nf_tables")
	r.wish(macWish(1, 2, false))
	if a := r.posted[1].(actions.Applied); a.NoVirtualMAC != "the kernel has no nf_tables" {
		t.Errorf("%+v", a)
	}
	r.kernel.failVeil = nil
	r.did()
	r.wish(macWish(1, 3, false))
	if got := r.did(); !slices.Contains(got, "ensure 1 on 2") || !slices.Contains(got, "applied 1/3") {
		t.Errorf("%q", got)
	}
}

// Another parent, another macvlan.
func TestParentIsReplaced(t *testing.T) {
	r := newRig()
	r.wish(macWish(1, 1, true, "192.0.2.1/32"))
	r.did()
	r.wish(actions.Wanted{Router: 1, Term: 2}) // the interface has gone
	r.expect(t, "flush [silence 1]", "remove 201 192.0.2.1/32", "applied 1/2", "unmake [201]", "restore parent e0 map[arp_ignore:0]", "flush [open 1, forget e0]")
	w := macWish(1, 3, false)
	w.VirtualMAC.Parent = 9
	r.wish(w)
	r.expect(t, "flush [silence 1]", "parent e0", "ensure 1 on 9", "applied 1/3")
}

// A macvlan that somebody deletes comes back with all that was on it.
func TestMacvlanIsRestored(t *testing.T) {
	r := newRig()
	r.wish(macWish(1, 1, true, "192.0.2.1/32"))
	r.did()
	delete(r.kernel.there, placeOf(201, netip.MustParsePrefix("192.0.2.1/32")))
	r.keeper.linkGone(201)
	r.keeper.linkGone(999) // somebody else's
	r.work()
	r.expect(t, "flush [silence 1]", "ensure 1 on 2", "flush [open 1]", "add 201 192.0.2.1/32 mac", "restored 1 macvlan vr4.1.2")
}

// Accept mode off: refused before the address comes, accepted after it has gone,
// on the link it is really on.
func TestRefuseAndAccept(t *testing.T) {
	r := newRig()
	w := macWish(1, 1, true, "192.0.2.1/32", "fe80::1/64")
	w.Refuse = true
	r.wish(w)
	r.expect(t, "flush [silence 1]", "parent e0", "ensure 1 on 2", "flush [open 1]", "flush [refuse 192.0.2.1%, refuse fe80::1%vr4.1.2]",
		"add 201 192.0.2.1/32 mac", "add 201 fe80::1/64 mac", "applied 1/1")
	r.wish(macWish(1, 2, false))
	if got := r.did(); got[len(got)-2] != "flush [accept 192.0.2.1%, accept fe80::1%vr4.1.2]" {
		t.Errorf("%q", got)
	}
}

// Damaged tables are rebuilt and told about.
func TestFirewallIsVerified(t *testing.T) {
	r := newRig()
	r.wish(macWish(1, 1, false))
	r.did()
	r.kernel.flushed = true
	r.work()
	r.expect(t)
	r.time = r.time.Add(verifyEvery)
	r.work()
	r.expect(t, "flush []", "restored 1 the nftables tables of backbeat")
	if r.untilNext() > verifyEvery {
		t.Errorf("the next look is in %s", r.untilNext())
	}
}

func routed(term uint64, active bool) actions.Wanted {
	w := actions.Wanted{Router: 1, Term: term, Active: active}
	if active {
		w.Addresses = places(2, "e0", "192.0.2.1/24")
		w.Routes = []actions.Route{{Dst: netip.MustParsePrefix("0.0.0.0/0"), Via: netip.MustParseAddr("192.0.2.9")}}
		w.Rules = []actions.Rule{{From: netip.MustParsePrefix("10.0.0.0/8"), Table: 7, Priority: 5}}
	}
	return w
}

// Routes come behind the addresses, rules behind them, and go the other way.
func TestRoutesAndRules(t *testing.T) {
	r := newRig()
	r.wish(routed(1, true))
	r.expect(t, "add 2 192.0.2.1/24", "add route default via 192.0.2.9 on 0", "add rule 5: from 10.0.0.0/8 lookup 7 on 0", "applied 1/1")
	r.time = r.time.Add(verifyEvery)
	r.work() // they are there: nothing is told
	r.did()
	clear(r.kernel.things)
	r.time = r.time.Add(verifyEvery)
	r.work()
	if got := strings.Join(r.did(), "\n"); strings.Count(got, "restored 1 route") != 1 || strings.Count(got, "restored 1 rule") != 1 {
		t.Errorf("%s", got)
	}
	r.wish(routed(2, false))
	r.expect(t, "remove rule 5: from 10.0.0.0/8 lookup 7 on 0", "remove route default via 192.0.2.9 on 0", "remove 2 192.0.2.1/24", "applied 1/2")
	if len(r.things)+len(r.ledger.facts) > 0 {
		t.Errorf("left: %v %v", r.things, r.ledger.facts)
	}
}

// What was there before is used and stays; what fails is told once.
func TestForeignAndFailingRoutes(t *testing.T) {
	r := newRig()
	w := routed(1, true)
	foreign := thing{Route: &w.Routes[0]}
	r.kernel.things[foreign.key()] = true
	r.wish(w)
	a := r.posted[0].(actions.Applied)
	if !strings.Contains(a.Note, "route default via 192.0.2.9 was there already and is not ours") {
		t.Errorf("%+v", a)
	}
	r.wish(routed(2, false))
	if !r.kernel.things[foreign.key()] {
		t.Error("somebody else's route was removed")
	}

	r = newRig()
	w = routed(1, true)
	w.Routes[0].Interface = "e7" // which does not exist
	r.wish(w)
	if a := r.posted[0].(actions.Applied); !strings.Contains(a.Err, "dev e7: the interface does not exist") {
		t.Errorf("%+v", a)
	}
	r = newRig()
	r.kernel.before = func(request string) {
		r.kernel.fail = nil
		if strings.Contains(request, "route") {
			r.kernel.fail = unix.ENETUNREACH
		}
	}
	r.wish(routed(1, true))
	if a := r.posted[0].(actions.Applied); !strings.Contains(a.Err, "the next hop cannot be reached") {
		t.Errorf("%+v", a)
	}
	told := len(r.posted)
	for range 5 {
		r.time = r.time.Add(verifyEvery)
		r.work()
	}
	if len(r.posted) != told {
		t.Errorf("a failing route was told again: %+v", r.posted[told:])
	}
}

// Addresses on several links and of a link that does not exist.
func TestPlaces(t *testing.T) {
	r := newRig()
	w := actions.Wanted{Router: 1, Term: 1, Active: true, Addresses: append(places(2, "e0", "192.0.2.1/32"), places(0, "e9", "192.0.2.2/32", "192.0.2.3/32")...)}
	w.Addresses = append(w.Addresses, actions.Place{Address: actions.Address{Prefix: netip.MustParsePrefix("198.51.100.1/24"), Interface: "e1", Label: "e1:x"}, Link: 3, LinkName: "e1"})
	r.wish(w)
	r.expect(t, "add 2 192.0.2.1/32", "add 3 198.51.100.1/24 e1:x", "applied 1/1 adding 192.0.2.2/32, 192.0.2.3/32: the interface e9 does not exist")
	// Another label: the address is made anew.
	w.Term, w.Addresses = 2, slices.Clone(w.Addresses)
	w.Addresses[3].Label = "e1:y"
	r.wish(w)
	if got := r.did(); got[0] != "remove 3 198.51.100.1/24" || got[1] != "add 3 198.51.100.1/24 e1:y" {
		t.Errorf("%q", got)
	}
}

// A release does not wait for thousands of additions.
func TestNewerWishInterruptsAdditions(t *testing.T) {
	r := newRig()
	var list []string
	for i := range 1000 {
		list = append(list, netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i % 250)}).String()+"/32")
	}
	adds := 0
	r.kernel.before = func(request string) {
		if strings.HasPrefix(request, "add") {
			if adds++; adds == 10 {
				r.keeper.Want(actions.Wanted{Router: 1, Term: 2})
			}
		}
	}
	r.keeper.Want(actions.Wanted{Router: 1, Term: 1, Active: true, Addresses: places(2, "e0", list...)})
	r.work()
	if adds >= 2*patience {
		t.Errorf("%d additions after the release", adds-10)
	}
	if len(r.kernel.there) > 0 || len(r.holdings) > 0 {
		t.Errorf("%d addresses left, %d holdings", len(r.kernel.there), len(r.holdings))
	}
	if n := len(r.posted); n != 1 || r.posted[0].(actions.Applied).Term != 2 {
		t.Errorf("answers %+v", r.posted)
	}
}

// Facts live in the ledger beside addresses, through a rewrite as well.
func TestFactsInTheLedger(t *testing.T) {
	path := ledgerPath(t)
	l := newLedger(path)
	l.open()
	w := routed(1, true)
	key := thing{Route: &w.Routes[0]}.key()
	for _, text := range []string{"macvlan vr4.1.2", "parent e0 arp_ignore 0", key, "macvlan gone"} {
		l.fact(text, true)
	}
	l.noFact("macvlan gone")
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	l.failed = errors.New("write it anew")
	if err := l.flush(); err != nil {
		t.Fatal(err)
	}
	l.close()
	again := newLedger(path)
	again.open()
	if again.damaged > 0 || len(again.facts) != 3 || !again.sure("macvlan vr4.1.2") || !again.sure(key) {
		t.Errorf("%d damaged, facts %v", again.damaged, again.facts)
	}
	if x, err := parseThing(key); err != nil || x.String() != "route default via 192.0.2.9" {
		t.Errorf("%v, %v", x, err)
	}
	for _, bad := range []string{"", "{}", "{\"Link\":3}", "route"} {
		if _, err := parseThing(bad); err == nil {
			t.Errorf("%q was understood", bad)
		}
	}
}
