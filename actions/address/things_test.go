package address

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// IFLA_EVENT tells of a bond's failover; there is no bond here, so the bytes of
// a notice are made by hand.
func TestFailoversAreRead(t *testing.T) {
	for event, want := range map[uint32]bool{0: false, 2: false, 3: true, 4: true, 5: false} {
		b := append(make([]byte, unix.SizeofIfInfomsg), 8, 0, unix.IFLA_EVENT, 0, byte(event), 0, 0, 0)
		l, err := parseLink(b)
		if err != nil || l.movedNeighbours() != want {
			t.Errorf("event %d: %v, %v", event, l.movedNeighbours(), err)
		}
	}
}

// Every kind of fact survives the way through the ledger's file.
func TestLedgerKeepsEveryKind(t *testing.T) {
	l := newLedger("x")
	l.scope = "boot 1"
	r := route("10.9.0.0/16", "192.0.2.254", 7)
	r.Metric, r.Table, r.Source = 5, 77, netip.MustParseAddr("192.0.2.1")
	rule := actions.Rule{From: netip.MustParsePrefix("192.0.2.1/32"), In: "e0", Mark: 1, Priority: 100}
	l.tryItem(&item{at: placeOfRoute(&r), what: thing{route: refTo(r)}})
	l.tryItem(&item{at: placeOfRule(rule)})
	l.try(place{kind: aMacvlan, link: 3, mac: [6]byte{0, 0, 0x5e, 0, 1, 61}}, entry{fact: fact{name: "vr4.61.3"}})
	l.try(place{kind: aParent, link: 3}, entry{fact: fact{name: "e0", before: "arp_announce=0,arp_ignore=0"}})
	l.try(place{kind: aParent, link: 4}, entry{fact: fact{name: "e1"}})
	l.try(tableFact, entry{fact: fact{name: "backbeat"}})
	l.tryItem(&item{at: placeOf(3, prefixes("2001:db8::1/64")[0]), what: thing{linkName: "e0", address: actions.Address{Prefix: prefixes("2001:db8::1/64")[0]}}})
	for at := range l.entries {
		l.have(at)
	}
	again := newLedger("")
	again.scope = l.scope
	again.parse(l.buffer.String())
	if again.damaged != 0 || len(again.entries) != len(l.entries) {
		t.Fatalf("%d damaged, %d entries of %d in\n%s", again.damaged, len(again.entries), len(l.entries), l.buffer.String())
	}
	for at, e := range l.entries {
		if again.entries[at] != e {
			t.Errorf("%+v became %+v", e, again.entries[at])
		}
	}
}

func TestVirtualMACsLife(t *testing.T) {
	r := newRig()
	v := vmac(2, "e0", 61)
	r.keeper.Want(actions.Wanted{Router: 1, Term: 1, VirtualMAC: v})
	r.work()
	r.expect(t, "flush [silence 61]", "parent e0", "ensure 61 on 2", "applied 1/1")
	r.keeper.Want(actions.Wanted{Router: 1, Term: 2, Active: true, VirtualMAC: v, Addresses: places(2, "e0", "192.0.2.1/24")})
	r.work()
	r.expect(t, "add 261 192.0.2.1/24 metric 1024", "flush [open 61]", "applied 1/2")
	r.keeper.Want(actions.Wanted{Router: 1, Term: 3, VirtualMAC: v})
	r.work()
	r.expect(t, "flush [silence 61]", "remove 261 192.0.2.1/24", "applied 1/3")
	r.keeper.Want(actions.Wanted{Router: 1, Term: 4, Final: true})
	r.work()
	r.expect(t, "flush [silence 61]", "unmake [261]", "restore parent e0 map[arp_ignore:0]", "flush [open 61, forget e0]", "applied 1/4")
	r.leave()
	r.expect(t, "clear")
}

// All that step down in one turn are silenced in one transaction, ahead of everything.
func TestManyStepDownTogether(t *testing.T) {
	r := newRig()
	for i := range 3 {
		r.keeper.Want(actions.Wanted{Router: actions.RouterID(i), Term: 1, Active: true, VirtualMAC: vmac(2, "e0", byte(i+1)),
			Addresses: places(2, "e0", fmt.Sprintf("192.0.2.%d/32", i+1))})
	}
	r.work()
	if log := r.did(); !slices.Contains(log, "flush [open 1, open 2, open 3]") {
		t.Errorf("not opened together: %q", log)
	}
	for i := range 3 {
		r.keeper.Want(actions.Wanted{Router: actions.RouterID(i), Term: 2, VirtualMAC: vmac(2, "e0", byte(i+1))})
	}
	r.work()
	if log := r.did(); log[0] != "flush [silence 1, silence 2, silence 3]" {
		t.Errorf("not silenced together and first: %q", log)
	}
}

// What cannot be silenced is not made, and the loop is told why.
func TestNoMacvlanThatCouldSpeak(t *testing.T) {
	r := newRig()
	r.kernel.failVeil = unix.EPERM
	r.keeper.Want(actions.Wanted{Router: 1, Term: 1, VirtualMAC: vmac(2, "e0", 61)})
	r.work()
	log := strings.Join(r.did(), "; ")
	if strings.Contains(log, "ensure") || !strings.Contains(log, "applied 1/1 operation not permitted") {
		t.Errorf("%s", log)
	}
}

// A route and a rule on two links, taken away by somebody and by the kernel.
func TestRoutesAndRulesAreRestored(t *testing.T) {
	e0, e1 := veth(t, "e0"), veth(t, "e1")
	k, posted := start(t, ledgerPath(t), nil)
	list := append(places(e0, "e0", "192.0.2.1/24"), actions.Place{Address: actions.Address{Prefix: netip.MustParsePrefix("198.51.100.1/24"), Interface: "e1",
		Label: "e1:v", Broadcast: netip.MustParseAddr("198.51.100.255")}, Link: e1, LinkName: "e1"},
		actions.Place{Address: actions.Address{Prefix: netip.MustParsePrefix("203.0.113.1/32"), Interface: "e7"}, LinkName: "e7"})
	r4 := route("0.0.0.0/0", "192.0.2.254", 0)
	r4.Source = netip.MustParseAddr("198.51.100.1")
	w := actions.Wanted{Router: 1, Term: 1, Active: true, Addresses: list, Routes: []actions.Route{r4},
		Rules: []actions.Rule{{From: netip.MustParsePrefix("198.51.100.1/32"), Table: 77, Priority: 100}, {IPv6: true, Mark: 5, Priority: 101}}}
	k.Want(w)
	if a := applied(t, posted, 1, 1); a.Err != "adding 203.0.113.1/32: the interface e7 does not exist" || a.NoVirtualMAC != "" {
		t.Fatalf("%+v", a)
	}
	if got := shown(t, "e1", "198.51.100.1"); got["label"] != "e1:v" || got["broadcast"] != "198.51.100.255" {
		t.Errorf("%v", got)
	}
	there := func(what string) {
		t.Helper()
		r := next(t, posted, what, func(r actions.Restored) bool { return strings.HasPrefix(r.What, what) })
		if r.Err != "" || r.Router != 1 {
			t.Errorf("%+v", r)
		}
		t.Logf("%+v", r)
	}
	lab.IP(t, "route", "del", "default")
	there("route default via 192.0.2.254")
	lab.IP(t, "rule", "del", "prio", "100")
	there("rule 100")
	lab.IP(t, "-6", "rule", "del", "prio", "101")
	there("rule 101")
	lab.IP(t, "addr", "del", "198.51.100.1/24", "dev", "e1") // takes the route along
	there("route default")
	lab.IP(t, "link", "set", "e0", "down") // takes it along in silence
	lab.IP(t, "link", "set", "e0", "up")
	there("route default")
	w = actions.Wanted{Router: 1, Term: 2}
	k.Want(w)
	if a := applied(t, posted, 1, 2); a.Err != "" {
		t.Errorf("%+v", a)
	}
	if got := lab.IP(t, "rule") + lab.IP(t, "-6", "rule") + lab.IP(t, "route"); strings.Contains(got, "proto 112") || strings.Contains(got, "default via") {
		t.Errorf("left behind:\n%s", got)
	}
}

// A table that somebody flushes is made again.
func TestFlushedTablesComeBack(t *testing.T) {
	link := veth(t, "e0")
	k, posted := start(t, ledgerPath(t), func(k *Keeper) { k.resyncEvery = 50 * time.Millisecond })
	k.Want(actions.Wanted{Router: 4, Term: 1, VirtualMAC: vmac(link, "e0", 61)})
	applied(t, posted, 4, 1)
	output(t, "nft", "flush", "ruleset")
	r := next(t, posted, "the tables", func(r actions.Restored) bool { return r.What == "nftables table backbeat" })
	if r.Router != 4 || r.Err != "" || !strings.Contains(output(t, "nft", "list", "ruleset"), "00:00:5e:00:01:3d") {
		t.Errorf("%+v", r)
	}
}

// A system call is kept short, however long the kernel takes for one address.
func TestFitting(t *testing.T) {
	for each, want := range map[time.Duration]int{
		0: together, 5 * time.Microsecond: together, 75 * time.Microsecond: together, 200 * time.Microsecond: 5, 2 * time.Millisecond: 1, time.Minute: 1,
	} {
		if got := fitting(each); got != want {
			t.Errorf("%s each: %d in a call, want %d", each, got, want)
		}
	}
}
