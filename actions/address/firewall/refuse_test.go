package firewall

import (
	"net"
	"net/netip"
	"os"
	"os/exec"
	"testing"

	"github.com/backbeat-ha/backbeat/test/lab"
)

func lookupInterface(t *testing.T, name string) *net.Interface {
	t.Helper()
	i, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

// TestRefuse: accept mode off. Questions for the link-layer address are
// answered, nothing else is; the host itself reaches its address.
func TestRefuse(t *testing.T) {
	w := newWire(t, "vr0")
	v4, global, local := netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("2001:db8::100"), netip.MustParseAddr("fe80::100")
	mac4, mac6 := vmac(4, 61), vmac(6, 61)
	w.link(mac4, v4.String()+"/24")
	on6 := w.link(mac6, local.String()+"/64", global.String()+"/64")
	list := []Refused{{Addr: v4}, {Addr: global}, {Addr: local, Link: on6.Name}}
	w.table.Refuse(list...)
	w.table.Refuse(list...) // twice does no harm
	w.flush()

	w.arp(v4)
	if n := len(w.answers(arpReply(v4))); n != 1 {
		t.Errorf("ARP: %d replies", n)
	}
	for _, vip := range []netip.Addr{global, local} {
		w.solicit(vip)
		if n := len(w.answers(advertisement(vip))); n != 1 {
			t.Errorf("NS for %s: %d answers", vip, n)
		}
	}
	w.ping(mac4, v4)
	w.none("a ping", echo(v4))
	for _, vip := range []netip.Addr{global, local} {
		w.ping(mac6, vip)
		w.none("a ping to "+vip.String(), echo(vip))
	}
	if out, err := exec.Command("ping", "-c1", "-W2", v4.String()).CombinedOutput(); err != nil {
		t.Errorf("the host does not reach its own virtual address: %v\n%s", err, out)
	}

	w.table.Accept(list...)
	w.table.Accept(Refused{Addr: far4}) // never refused: nothing happens
	w.flush()
	w.ping(mac4, v4)
	w.ping(mac6, global)
	w.ping(mac6, local)
	if n := len(w.answers(func(f frame) bool { return echo(v4)(f) || echo(global)(f) || echo(local)(f) })); n != 3 {
		t.Errorf("%d of 3 addresses answer after Accept", n)
	}
}

// TestLinkLocalElsewhere: the same link-local address on another link is not refused.
func TestLinkLocalElsewhere(t *testing.T) {
	w := newWire(t, "vl0")
	local := netip.MustParseAddr("fe80::100")
	one, two := vmac(6, 1), vmac(6, 2)
	f := w.link(one, "fe80::100/64")
	w.link(two, "fe80::100/64")
	w.table.Refuse(Refused{Addr: local, Link: f.Name})
	w.flush()
	w.ping(one, local)
	w.none("a ping to the refused link", echo(local))
	w.ping(two, local)
	if n := len(w.answers(echo(local))); n != 1 {
		t.Errorf("on the other link: %d answers", n)
	}
}

// TestRefuseForwards: a packet to a refused address that is not held here goes
// no further, another one does.
//
// conformance: H12
func TestRefuseForwards(t *testing.T) {
	w := newWire(t, "vf0")
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("0"), 0o644) })
	spare(t, "vf1")
	// IPv6 would send by itself, and only what is forwarded is to be counted.
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/vf1/disable_ipv6", []byte("1"), 0o644); err != nil {
		t.Fatal(err)
	}
	lab.IP(t, "link", "set", "vf1", "up")
	lab.IP(t, "link", "set", "vf1p", "up")
	lab.AwaitCarrier(t, "vf1")
	vip, other := netip.MustParseAddr("192.0.2.100"), netip.MustParseAddr("192.0.2.101")
	for _, a := range []netip.Addr{vip, other} {
		lab.IP(t, "route", "add", a.String()+"/32", "dev", "vf1")
		lab.IP(t, "neigh", "replace", a.String(), "lladdr", "02:00:00:00:00:01", "dev", "vf1")
	}
	w.table.Refuse(Refused{Addr: vip})
	w.flush()
	before := transmitted(t, "vf1")
	w.ping([6]byte(w.mac), vip)
	w.ping([6]byte(w.mac), own4) // what came before has been dealt with when this is answered
	if len(w.answers(echo(own4))) != 1 {
		t.Fatal("the router does not answer")
	}
	if n := transmitted(t, "vf1") - before; n != 0 {
		t.Errorf("%d packets to the refused address were forwarded", n)
	}
	w.ping([6]byte(w.mac), other)
	w.ping([6]byte(w.mac), own4)
	w.answers(echo(own4))
	if n := transmitted(t, "vf1") - before; n != 1 {
		t.Errorf("%d packets to another address were forwarded, want 1", n)
	}
}
