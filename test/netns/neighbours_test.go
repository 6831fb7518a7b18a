package netns

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
)

func decoded(f *lab.Frame) gopacket.Packet {
	return gopacket.NewPacket(f.Raw, layers.LayerTypeEthernet, gopacket.NoCopy)
}

// routerAdvert is the Router Advertisement in a frame, or nil.
func routerAdvert(f *lab.Frame) *layers.ICMPv6RouterAdvertisement {
	ra, _ := decoded(f).Layer(layers.LayerTypeICMPv6RouterAdvertisement).(*layers.ICMPv6RouterAdvertisement)
	return ra
}

// Router Advertisements come from the virtual link-local address and MAC of the
// Active alone, answer a solicitation, and go on from the same address after a
// failover without a word of farewell.
//
// conformance: B11, H13, H14
func TestRouterAdvertisements(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(routerBlock("web", 61, `addresses = ["fe80::61/64", "fd77::100/64", "10.77.0.100/24"]`, "virtual_mac = true",
		`router_advertisements = "on"`, "ra {\n    interval = \"4s\"\n    lifetime = \"30s\"\n  }")))
	s.conf("client", "ipv6/conf/eth0/accept_ra", "1")
	s.start(s.r1, s.r2)
	s.active("r1")
	adverts := func(host string, from time.Duration) []lab.Frame {
		return s.by(host, from, func(f *lab.Frame) bool { return routerAdvert(f) != nil })
	}
	s.until("a Router Advertisement", func() bool { return len(adverts("r1", 0)) > 0 })
	s.until("the client to use it", func() bool {
		return strings.Contains(s.run("client", "ip", "-6", "route", "show", "default"), "via fe80::61 dev eth0")
	})
	// A host asks: its link comes up, and it may ask now.
	s.conf("client", "ipv6/conf/eth0/router_solicitations", "1")
	s.conf("client", "ipv6/conf/eth0/router_solicitation_delay", "0")
	s.rest(3200 * time.Millisecond) // MIN_DELAY_BETWEEN_RAS
	asked := lab.Now()
	s.run("client", "ip", "link", "set", "eth0", "down")
	s.run("client", "ip", "link", "set", "eth0", "up")
	s.until("an answer to the solicitation", func() bool {
		ask := s.sniffer.Frames(asked, func(f *lab.Frame) bool {
			return f.Host == "client" && decoded(f).Layer(layers.LayerTypeICMPv6RouterSolicitation) != nil
		})
		return len(ask) > 0 && len(adverts("r1", ask[0].At)) > 0
	})
	if n := len(adverts("r2", 0)); n > 0 {
		t.Errorf("the Backup sent %d Router Advertisements", n)
	}
	fault := lab.Now()
	s.must(s.r1.Stop(s.ctx))
	s.until("r2's Router Advertisement", func() bool { return len(adverts("r2", fault)) > 0 })
	for _, f := range slices.Concat(adverts("r1", 0), adverts("r2", 0)) {
		ra := routerAdvert(&f)
		if f.Src != netip.MustParseAddr("fe80::61") || !bytes.Equal(f.SrcMAC, mac6) || f.TTL != 255 || ra.RouterLifetime != 30 {
			t.Fatalf("%s: Router Advertisement from %s (%s), hop limit %d, lifetime %d", f.Host, f.Src, f.SrcMAC, f.TTL, ra.RouterLifetime)
		}
		i := slices.IndexFunc(ra.Options, func(o layers.ICMPv6Option) bool { return o.Type == layers.ICMPv6OptSourceAddress })
		if i < 0 || !bytes.Equal(ra.Options[i].Data, mac6) {
			t.Fatalf("options %v", ra.Options)
		}
	}
}

// What the kernel of the Active says for the addresses carries the virtual MAC:
// the answer to a duplicate address detection, and solicitations for hosts.
//
// conformance: H4, H15
func TestNeighbourDiscoveryOfTheActive(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(macWeb6()))
	s.rest(time.Second)
	s.conf("other", "ipv6/conf/all/accept_dad", "1")
	s.conf("other", "ipv6/conf/eth0/accept_dad", "1")
	from := lab.Now()
	s.run("other", "ip", "addr", "add", vip6.String()+"/64", "dev", "eth0")
	s.until("the detection to fail", func() bool {
		return strings.Contains(s.run("other", "ip", "-6", "addr", "show", "dev", "eth0"), "dadfailed")
	})
	var answers []lab.Frame
	s.until("the answer", func() bool {
		answers = s.by("r1", from, func(f *lab.Frame) bool { return f.Neighbour != nil && f.Neighbour.Target == vip6 })
		return len(answers) > 0
	})
	if f := answers[0]; f.Dst.String() != "ff02::1" || f.Neighbour.Solicited || !bytes.Equal(f.SrcMAC, mac6) || !bytes.Equal(f.Neighbour.MAC, mac6) {
		t.Errorf("answered from %s to %s: %+v", f.SrcMAC, f.Dst, f.Neighbour)
	}

	client := s.Host("client").Addr6(0).Addr()
	s.run("r1", "ip", "-6", "neigh", "flush", "all")
	from = lab.Now()
	s.run("r1", "ping", "-6", "-c", "1", "-W", "2", client.String())
	asked := 0
	for _, f := range s.by("r1", from, func(f *lab.Frame) bool { return true }) {
		ns, ok := decoded(&f).Layer(layers.LayerTypeICMPv6NeighborSolicitation).(*layers.ICMPv6NeighborSolicitation)
		if !ok || !ns.TargetAddress.Equal(client.AsSlice()) {
			continue
		}
		asked++
		for _, o := range ns.Options {
			if o.Type == layers.ICMPv6OptSourceAddress && !bytes.Equal(o.Data, mac6) {
				t.Errorf("asked for the client with source link-layer address %s", net.HardwareAddr(o.Data))
			}
		}
	}
	if asked == 0 {
		t.Error("r1 asked for nobody")
	}
}

// Proxy ARP and redirects by way of the virtual MAC.
//
// conformance: H17, H18
func TestProxyARPAndRedirects(t *testing.T) {
	t.Parallel()
	s := newForwarding(t, config(macWeb()))
	s.start(s.r1)
	s.active("r1")
	link := s.macOf("r1", "4")
	s.conf("r1", "ipv4/conf/"+link+"/proxy_arp", "1")
	s.conf("r1", "ipv4/neigh/"+link+"/proxy_delay", "0")
	far := netip.MustParseAddr("198.51.100.9")
	s.conf("other", "ipv4/conf/eth0/arp_ignore", "1") // the address is its own, on lo
	answers := s.ask(far)
	if len(answers) != 1 || !bytes.Equal(answers[0].SrcMAC, mac4) || !bytes.Equal(answers[0].ARP.SenderMAC, mac4) {
		t.Errorf("%d answers by proxy: %+v", len(answers), answers)
	}
	s.conf("r1", "ipv4/conf/"+link+"/proxy_arp", "0")

	// The better way to it is now on the client's own link.
	s.run("other", "ip", "route", "replace", "10.77.0.0/24", "dev", "eth0")
	s.run("r1", "ip", "route", "replace", "198.51.100.9", "via", s.Host("other").Addr4(0).Addr().String())
	from := lab.Now()
	s.run("client", "ping", "-c", "3", "-i", "0.2", "-W", "2", far.String())
	for _, f := range s.by("r1", from, func(f *lab.Frame) bool { return true }) {
		if icmp, ok := decoded(&f).Layer(layers.LayerTypeICMPv4).(*layers.ICMPv4); ok && icmp.TypeCode.Type() == layers.ICMPv4TypeRedirect && f.Src != vip4 {
			t.Errorf("a redirect from %s, which is not the virtual address", f.Src)
		}
	}
}

// Every setting of rp_filter by the distribution works, and no global switch is
// changed; a clean exit gives back what was changed on the interface.
//
// conformance: L2, L5
func TestSwitchesOfTheKernel(t *testing.T) {
	t.Parallel()
	for _, filter := range []string{"0", "1", "2"} {
		t.Run("rp_filter "+filter, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, config(macWeb(), routerBlock("six", 61, `addresses = ["fe80::61/64"]`, "virtual_mac = true")))
			s.conf("r1", "ipv4/conf/all/rp_filter", filter)
			s.conf("r1", "ipv4/conf/default/rp_filter", filter)
			all := func() string {
				return s.run("r1", "sh", "-c", "cd /proc/sys/net; grep -r . ipv4/conf/all ipv4/conf/default ipv6/conf/all ipv6/conf/default ipv4/conf/eth0 ipv6/conf/eth0 2>/dev/null | sort")
			}
			before := all()
			s.start(s.r1)
			s.active("r1")
			if a := s.ask(vip4); len(a) != 1 || !bytes.Equal(a[0].SrcMAC, mac4) {
				t.Errorf("%d answers", len(a))
			}
			s.run("client", "ping", "-c", "1", "-W", "2", vip4.String())
			during := strings.Split(all(), "\n")
			for _, line := range strings.Split(before, "\n") {
				if strings.Contains(line, "/eth0/arp_ignore") || strings.Contains(line, "/eth0/arp_announce") {
					continue
				}
				if !slices.Contains(during, line) {
					t.Errorf("changed: %s", line)
				}
			}
			s.must(s.r1.Stop(s.ctx))
			after := strings.Split(all(), "\n")
			for _, line := range strings.Split(before, "\n") {
				if !slices.Contains(after, line) {
					t.Errorf("not as it was: %s", line)
				}
			}
			if links := s.run("r1", "ip", "-o", "link", "show", "type", "macvlan"); links != "" {
				t.Errorf("left behind: %s", links)
			}
			if tables := s.run("r1", "nft", "list", "tables"); strings.TrimSpace(tables) != "" {
				t.Errorf("left behind: %s", tables)
			}
		})
	}
}

// A bridge as the parent: what is below must not matter.
func TestBridgeParent(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(strings.ReplaceAll(macWeb(), `"eth0"`, `"br9"`)))
	own := s.Host("r1").Addr4(0)
	s.run("r1", "sh", "-c", "ip link add br9 address "+s.Host("r1").MAC(0).String()+" type bridge forward_delay 0 && ip link set eth0 master br9 && ip link set br9 up && ip addr flush dev eth0 && ip addr add "+own.String()+" dev br9")
	s.start(s.r1)
	s.active("r1")
	if a := s.ask(vip4); len(a) != 1 || !bytes.Equal(a[0].SrcMAC, mac4) {
		t.Errorf("%d answers: %+v", len(a), a)
	}
	s.must(s.Host("other").Forge(lab.Forgery{Advert: lab.Advert{VRID: 61, Priority: 50, Interval: interval, Addresses: []netip.Addr{vip4}}}))
	s.until("the answer to a losing advert", func() bool { return s.counter("r1", "lower-discarded") > 0 })
}
