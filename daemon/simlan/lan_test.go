package simlan_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/simlan"
	"github.com/backbeat-ha/backbeat/vrrp"
)

const s = time.Second

// pair are two hosts on eth0, of which the first is better, with n routers.
func pair(o simlan.Options, n int) (*simlan.LAN, [2]*daemon.Config) {
	var cfgs [2]*daemon.Config
	for i, node := range []string{"a", "b"} {
		own := netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i + 1)}), 8)
		o.Hosts = append(o.Hosts, simlan.HostSpec{Name: node, NICs: []simlan.NICSpec{{Name: "eth0", Own: []netip.Prefix{own}}}})
		cfgs[i] = &daemon.Config{Node: node}
		for r := range n {
			at := virtual(r)
			cfgs[i].Routers = append(cfgs[i].Routers, daemon.RouterConfig{Name: fmt.Sprintf("r%04d", r), Interface: "eth0",
				Addresses: []actions.Address{{Prefix: netip.PrefixFrom(at, 32)}},
				Spec: vrrp.Spec{VRID: uint8(r%255 + 1), Family: vrrp.IPv4, Priority: uint8(150 - 50*i), Interval: s, Preempt: true, Addresses: []netip.Addr{at},
					Group: netip.AddrFrom4([4]byte{224, 0, 1, byte(r / 255)})}})
		}
	}
	return simlan.New(o), cfgs
}

func virtual(r int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 1, byte(r / 250), byte(r%250 + 1)})
}

// answering is who answers for an address.
func answering(n *simlan.LAN, a netip.Addr) (out string) {
	for _, h := range n.Hosts() {
		if h.Answers(a) {
			out += h.Name
		}
	}
	return out
}

// Power takes everything of a host; what stalls answers on; what is paused does not.
func TestWhoAnswers(t *testing.T) {
	n, cfgs := pair(simlan.Options{MinDelay: time.Millisecond}, 1)
	h := n.Hosts()
	run := func(d time.Duration, want string) {
		t.Helper()
		if err := n.Run(d); err != nil {
			t.Fatal(err)
		}
		if got := answering(n, virtual(0)); got != want {
			t.Errorf("at %v it is on %q, want %q", n.Now(), got, want)
		}
	}
	for i := range h {
		h[i].Boot(cfgs[i])
	}
	run(5*s, "a")
	h[0].PowerOff()
	run(0, "")
	run(5*s, "b")
	h[0].PowerOn()
	run(5*s, "b")
	h[0].Boot(cfgs[0])
	run(5*s, "a")
	h[0].Pause(10 * s)
	run(s, "")
	run(5*s, "b")
	run(10*s, "a")
	h[0].Stall(10 * s)
	run(5*s, "ab")
	run(10*s, "a")
	h[0].Stop(true)
	run(5*s, "b")
	n.Cut(0, h[1], h[0])
	h[0].Boot(cfgs[0])
	run(5*s, "a") // it does not hear b, but b hears it
	n.Mend(0, h[1], h[0])
	run(5*s, "a")
}

// A thousand routers answer more at once than the loop's inbox holds.
func TestFloodOfAnswers(t *testing.T) {
	const routers = 1500
	n, cfgs := pair(simlan.Options{MinDelay: time.Millisecond}, routers)
	n.Hosts()[0].Boot(cfgs[0])
	if err := n.Run(6 * s); err != nil {
		t.Fatal(err)
	}
	for r := range routers {
		if answering(n, virtual(r)) != "a" {
			t.Fatalf("router %d has no address", r)
		}
	}
}
