package address

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/test/lab"
)

func vmac(parent int, name string, vrid byte) *actions.VirtualMAC {
	return &actions.VirtualMAC{MAC: [6]byte{0, 0, 0x5e, 0, 1, vrid}, Parent: parent, ParentName: name}
}

func route(dst, via string, link int) actions.Route {
	r := actions.Route{Dst: netip.MustParsePrefix(dst), Link: link}
	if via != "" {
		r.Via = netip.MustParseAddr(via)
	}
	return r
}

func output(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command(args[0], args[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// A reload changes a route's next hop.
func TestNextHopChanges(t *testing.T) {
	link := veth(t, "e0")
	k, posted := start(t, ledgerPath(t), nil)
	w := actions.Wanted{Router: 1, Term: 1, Active: true, Addresses: places(link, "e0", "192.0.2.1/24"), Routes: []actions.Route{route("10.9.0.0/16", "192.0.2.253", 0)}}
	k.Want(w)
	t.Logf("%+v", applied(t, posted, 1, 1))
	w.Term, w.Routes = 2, []actions.Route{route("10.9.0.0/16", "192.0.2.254", 0)}
	k.Want(w)
	t.Logf("%+v", applied(t, posted, 1, 2))
	if got := lab.IP(t, "route", "show", "10.9.0.0/16"); !strings.Contains(got, "via 192.0.2.254") {
		t.Errorf("route is %q", got)
	}
}

// Another route to the same destination is not ours by being there.
func TestRivalRoute(t *testing.T) {
	link := veth(t, "e0")
	lab.IP(t, "addr", "add", "192.0.2.9/24", "dev", "e0")
	lab.IP(t, "route", "add", "10.9.0.0/16", "via", "192.0.2.200")
	k, posted := start(t, ledgerPath(t), nil)
	k.Want(actions.Wanted{Router: 1, Term: 1, Active: true, Addresses: places(link, "e0", "192.0.2.1/24"), Routes: []actions.Route{route("10.9.0.0/16", "192.0.2.254", 0)}})
	if a := applied(t, posted, 1, 1); a.Err == "" {
		t.Errorf("a route that leads elsewhere is taken for ours: %+v", a)
	}
}

func TestBlackhole(t *testing.T) {
	// After the keeper has ended, or it would put them back.
	t.Cleanup(func() {
		_ = exec.Command("ip", "route", "del", "blackhole", "10.66.0.0/16").Run()
		_ = exec.Command("ip", "-6", "route", "del", "blackhole", "2001:db8:66::/48").Run()
	})
	link := veth(t, "e0")
	k, posted := start(t, ledgerPath(t), nil)
	r4, r6 := route("10.66.0.0/16", "", link), route("2001:db8:66::/48", "", link)
	r4.Kind, r6.Kind = 6, 6
	k.Want(actions.Wanted{Router: 1, Term: 1, Active: true, Addresses: places(link, "e0", "192.0.2.1/24"), Routes: []actions.Route{r4, r6}})
	if a := applied(t, posted, 1, 1); a.Err != "" {
		t.Errorf("%+v", a)
	}
}

// A macvlan deleted by somebody comes back with addresses and routes.
func TestMacvlanDeleted(t *testing.T) {
	link := veth(t, "e0")
	lab.IP(t, "addr", "add", "192.0.2.9/24", "dev", "e0")
	k, posted := start(t, ledgerPath(t), nil)
	k.Want(actions.Wanted{Router: 1, Term: 1, VirtualMAC: vmac(link, "e0", 61)})
	applied(t, posted, 1, 1)
	k.Want(actions.Wanted{Router: 1, Term: 2, Active: true, VirtualMAC: vmac(link, "e0", 61), Addresses: places(link, "e0", "192.0.2.1/24"),
		Routes: []actions.Route{route("10.9.0.0/16", "192.0.2.254", link)}})
	if a := applied(t, posted, 1, 2); a.Err+a.NoVirtualMAC != "" {
		t.Fatalf("%+v", a)
	}
	name := fmt.Sprintf("vr4.61.%d", link)
	lab.IP(t, "link", "del", name)
	r := next(t, posted, "Restored", func(r actions.Restored) bool { return strings.HasPrefix(r.What, "macvlan") })
	t.Logf("%+v", r)
	if got := lab.IP(t, "route", "show", "10.9.0.0/16"); !strings.Contains(got, name) {
		t.Errorf("route is %q", got)
	}
}

// Taken down by somebody, it serves nobody.
func TestMacvlanTakenDown(t *testing.T) {
	link := veth(t, "e0")
	k, posted := start(t, ledgerPath(t), nil)
	k.Want(actions.Wanted{Router: 1, Term: 1, Active: true, VirtualMAC: vmac(link, "e0", 61), Addresses: places(link, "e0", "192.0.2.1/32")})
	applied(t, posted, 1, 1)
	name := fmt.Sprintf("vr4.61.%d", link)
	lab.IP(t, "link", "set", name, "down")
	deadline := time.Now().Add(5 * time.Second)
	for !strings.Contains(lab.IP(t, "link", "show", name), ",UP") {
		if time.Now().After(deadline) {
			t.Fatalf("still down after 5 s: %s", lab.IP(t, "link", "show", name))
		}
	}
}

// Router 1 leaves, router 2 takes over its macvlan (a reload that renames it).
func TestRenamedRouter(t *testing.T) {
	link := veth(t, "e0")
	k, posted := start(t, ledgerPath(t), nil)
	k.Want(actions.Wanted{Router: 1, Term: 1, VirtualMAC: vmac(link, "e0", 61)})
	applied(t, posted, 1, 1)
	name := fmt.Sprintf("vr4.61.%d", link)
	// The loop asks for the new one as soon as the old one has been answered;
	// here both wishes are there at once.
	k.Want(actions.Wanted{Router: 1, Term: 2, Final: true})
	k.Want(actions.Wanted{Router: 2, Term: 1, VirtualMAC: vmac(link, "e0", 61)})
	a := applied(t, posted, 2, 1)
	k.Want(actions.Wanted{Router: 3, Term: 1}) // a later wish: router 2's work has ended
	applied(t, posted, 3, 1)
	if a.NoVirtualMAC == "" {
		if _, err := exec.Command("ip", "link", "show", name).CombinedOutput(); err != nil {
			t.Errorf("router 2 was told that its macvlan is there, and it is not")
		}
	}
	out, _ := exec.Command("nft", "list", "table", "netdev", "backbeat").CombinedOutput()
	if !strings.Contains(string(out), "00:00:5e:00:01:3d") {
		t.Errorf("the Backup's MAC is not silent:\n%s", out)
	}
}

// The parent is replaced by another of the same name.
func TestParentRecreated(t *testing.T) {
	link := veth(t, "e0")
	k, posted := start(t, ledgerPath(t), nil)
	k.Want(actions.Wanted{Router: 1, Term: 1, VirtualMAC: vmac(link, "e0", 61)})
	applied(t, posted, 1, 1)
	lab.IP(t, "link", "del", "e0")
	lab.IP(t, "link", "add", "e0", "type", "veth", "peer", "name", "e0p")
	lab.IP(t, "link", "set", "e0", "up")
	lab.IP(t, "link", "set", "e0p", "up")
	again := index(t, "e0")
	k.Want(actions.Wanted{Router: 1, Term: 2, VirtualMAC: vmac(again, "e0", 61)})
	if a := applied(t, posted, 1, 2); a.NoVirtualMAC != "" {
		t.Fatalf("%+v", a)
	}
	k.Want(actions.Wanted{Router: 3, Term: 1})
	applied(t, posted, 3, 1)
	if got := strings.TrimSpace(output(t, "cat", "/proc/sys/net/ipv4/conf/e0/arp_ignore")); got != "1" {
		t.Errorf("arp_ignore of the new parent is %s", got)
	}
	out, _ := exec.Command("nft", "list", "table", "netdev", "backbeat").CombinedOutput()
	if !strings.Contains(string(out), "00:00:5e:00:01:3d") {
		t.Errorf("the Backup's MAC is not silent:\n%s", out)
	}
}

// Nothing is left: the tables go.
func TestTablesAtTheEnd(t *testing.T) {
	link := veth(t, "e0")
	posted := make(chan any, 100)
	k := New(Options{Ledger: ledgerPath(t), Post: func(v any) { posted <- v }})
	stop := run(t, k)
	k.Want(actions.Wanted{Router: 1, Term: 1, Active: true, Refuse: true, VirtualMAC: vmac(link, "e0", 61), Addresses: places(link, "e0", "192.0.2.1/32")})
	applied(t, posted, 1, 1)
	k.Want(actions.Wanted{Router: 1, Term: 2, Final: true})
	applied(t, posted, 1, 2)
	stop()
	if out := output(t, "nft", "list", "tables"); strings.Contains(out, "backbeat") {
		t.Errorf("left behind: %s", out)
	}
}

// While one router gets thousands of addresses, another steps down.
func TestAnotherStepsDownMeanwhile(t *testing.T) {
	link := veth(t, "e0")
	k, posted := start(t, ledgerPath(t), nil)
	k.Want(actions.Wanted{Router: 1, Term: 1, Active: true, VirtualMAC: vmac(link, "e0", 61), Addresses: places(link, "e0", "192.0.2.1/32")})
	applied(t, posted, 1, 1)
	var many []string
	for i := range 3000 {
		many = append(many, fmt.Sprintf("2001:db8::%x:%x/128", i/250, i%250+1))
	}
	k.Want(actions.Wanted{Router: 2, Term: 1, Active: true, Addresses: places(link, "e0", many...)})
	for _, there := present(t, link, many[100]); !there; _, there = present(t, link, many[100]) {
	}
	began := time.Now()
	k.Want(actions.Wanted{Router: 1, Term: 2, VirtualMAC: vmac(link, "e0", 61)})
	a := applied(t, posted, 1, 2)
	_, all := present(t, link, many[2999])
	t.Logf("stepped down after %v, all 3,000 of the other there by then: %v (%s)", time.Since(began), all, a.Err)
	if all {
		t.Error("a Release waited for all additions of another router")
	}
	// Or the end of the test waits for them: the kernel takes seconds for
	// thousands of IPv6 addresses on one link, a busy one tens of seconds.
	k.Want(actions.Wanted{Router: 2, Term: 2})
}

// A wish and the loss of its macvlan arrive together: the wish is answered.
func TestWishAndLossTogether(t *testing.T) {
	r := newRig()
	v := vmac(2, "e0", 61)
	r.keeper.Want(actions.Wanted{Router: 1, Term: 1, VirtualMAC: v})
	r.work()
	r.did()
	r.keeper.Want(actions.Wanted{Router: 1, Term: 2, Active: true, VirtualMAC: v, Addresses: places(2, "e0", "192.0.2.1/24")})
	r.kernel.goneLinks[261] = true
	r.keeper.macvlanLost(macvlanLoss{261, "somebody", r.time})
	r.work()
	log := strings.Join(r.did(), "\n")
	if !strings.Contains(log, "applied 1/2") {
		t.Errorf("term 2 was never answered:\n%s", log)
	}
}

// After a crash nothing remains.
func TestCrash(t *testing.T) {
	link := veth(t, "e0")
	path := ledgerPath(t)
	posted := make(chan any, 100)
	k := New(Options{Ledger: path, Post: func(v any) { posted <- v }})
	stop := run(t, k)
	k.Want(actions.Wanted{Router: 1, Term: 1, Active: true, VirtualMAC: vmac(link, "e0", 61), Addresses: places(link, "e0", "192.0.2.1/24"),
		Routes: []actions.Route{route("10.9.0.0/16", "192.0.2.254", link), route("10.8.0.0/16", "192.0.2.254", 0)},
		Rules:  []actions.Rule{{From: netip.MustParsePrefix("192.0.2.1/32"), Table: 77, Priority: 100}}})
	applied(t, posted, 1, 1)
	stop()
	left, err := New(Options{Ledger: path, Post: func(any) {}}).Sweep(context.Background())
	t.Logf("%v, %v", left, err)
	if got := lab.IP(t, "rule") + lab.IP(t, "route") + lab.IP(t, "link"); strings.Contains(got, "lookup 77") || strings.Contains(got, "10.9.") || strings.Contains(got, "10.8.") || strings.Contains(got, "vr4") {
		t.Errorf("left behind:\n%s", got)
	}
	if out := output(t, "nft", "list", "tables"); strings.Contains(out, "backbeat") {
		t.Errorf("left behind: %s", out)
	}
	if got := strings.TrimSpace(output(t, "cat", "/proc/sys/net/ipv4/conf/e0/arp_ignore")); got != "0" {
		t.Errorf("arp_ignore is %s", got)
	}
}
