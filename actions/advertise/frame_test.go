package advertise

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/mdlayher/ndp"

	"github.com/backbeat-ha/backbeat/actions"
)

var virtualMAC = [6]byte{0x00, 0x00, 0x5e, 0x00, 0x02, 0x33}

func request(link int) actions.RouterAdvert {
	return actions.RouterAdvert{Router: 1, Term: 1, Link: link, MAC: virtualMAC, Source: netip.MustParseAddr("fe80::1:1"),
		Spec: actions.RouterAdvertSpec{On: true, Interval: 4 * time.Second, Lifetime: 30 * time.Minute,
			Other: true, Preference: "high", HopLimit: 64, MTU: 1480,
			Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:1::1/64"), netip.MustParsePrefix("2001:db8:2::/56")},
			DNS:      []netip.Addr{netip.MustParseAddr("2001:db8:1::53"), netip.MustParseAddr("fe80::53")}}}
}

func decode(t *testing.T, b []byte) (*layers.Ethernet, *layers.IPv6, *ndp.RouterAdvertisement) {
	t.Helper()
	p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
	e, _ := p.LinkLayer().(*layers.Ethernet)
	ip, _ := p.Layer(layers.LayerTypeIPv6).(*layers.IPv6)
	if e == nil || ip == nil || p.Layer(layers.LayerTypeICMPv6RouterAdvertisement) == nil || p.ErrorLayer() != nil {
		t.Fatalf("not a router advertisement: %v", p)
	}
	if int(ip.Length) != len(ip.Payload) || !sound(b[ethernetSize:], ip.Payload) {
		t.Errorf("length or checksum: %v", p)
	}
	m, err := ndp.ParseMessage(ip.Payload)
	if err != nil {
		t.Fatal(err)
	}
	return e, ip, m.(*ndp.RouterAdvertisement)
}

func TestFrame(t *testing.T) {
	w := request(2)
	b, err := frame(&w)
	if err != nil {
		t.Fatal(err)
	}
	e, ip, m := decode(t, b)
	if [6]byte(e.SrcMAC) != virtualMAC || e.DstMAC.String() != "33:33:00:00:00:01" || ip.HopLimit != 255 ||
		ip.SrcIP.String() != "fe80::1:1" || ip.DstIP.String() != "ff02::1" {
		t.Errorf("headers %v %v", e, ip)
	}
	want := &ndp.RouterAdvertisement{CurrentHopLimit: 64, OtherConfiguration: true, RouterSelectionPreference: ndp.High,
		RouterLifetime: 1800 * time.Second, Options: []ndp.Option{
			&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: virtualMAC[:]},
			&ndp.MTU{MTU: 1480},
			&ndp.PrefixInformation{PrefixLength: 64, OnLink: true, AutonomousAddressConfiguration: true,
				ValidLifetime: 2592000 * time.Second, PreferredLifetime: 604800 * time.Second, Prefix: netip.MustParseAddr("2001:db8:1::")},
			&ndp.PrefixInformation{PrefixLength: 56, OnLink: true,
				ValidLifetime: 2592000 * time.Second, PreferredLifetime: 604800 * time.Second, Prefix: netip.MustParseAddr("2001:db8:2::")},
			&ndp.RecursiveDNSServer{Lifetime: 12 * time.Second, Servers: w.Spec.DNS},
		}}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("got %+v, want %+v", m, want)
	}
}

func TestFrameOfAlmostNothing(t *testing.T) {
	w := request(2)
	w.Spec = actions.RouterAdvertSpec{On: true, Interval: time.Minute, Managed: true, Preference: "low"}
	b, err := frame(&w)
	if err != nil {
		t.Fatal(err)
	}
	_, _, m := decode(t, b)
	// No default router has no preference (RFC 4191 section 2.2).
	if !m.ManagedConfiguration || m.OtherConfiguration || m.RouterLifetime != 0 ||
		m.RouterSelectionPreference != ndp.Medium || m.CurrentHopLimit != 0 || len(m.Options) != 1 {
		t.Errorf("got %+v", m)
	}
	w.Spec.Lifetime = time.Minute
	if b, err = frame(&w); err != nil {
		t.Fatal(err)
	}
	if _, _, m = decode(t, b); m.RouterSelectionPreference != ndp.Low {
		t.Errorf("got %+v", m)
	}
}

func TestManyServersTakeSeveralOptions(t *testing.T) {
	w := request(2)
	w.Spec.DNS = nil
	for i := range 200 {
		w.Spec.DNS = append(w.Spec.DNS, netip.AddrFrom16([16]byte{0: 0xfd, 15: byte(i)}))
	}
	b, err := frame(&w)
	if err != nil {
		t.Fatal(err)
	}
	_, _, m := decode(t, b)
	var got []netip.Addr
	for _, o := range m.Options {
		if dns, ok := o.(*ndp.RecursiveDNSServer); ok {
			got = append(got, dns.Servers...)
		}
	}
	if !reflect.DeepEqual(got, w.Spec.DNS) {
		t.Errorf("%d servers", len(got))
	}
}

func TestWhatCannotBeAdvertised(t *testing.T) {
	for want, spoil := range map[string]func(*actions.RouterAdvert){
		"no link-layer address":           func(w *actions.RouterAdvert) { w.MAC = [6]byte{} },
		"link-local addresses only":       func(w *actions.RouterAdvert) { w.Source = netip.MustParseAddr("2001:db8::1") },
		"from invalid IP":                 func(w *actions.RouterAdvert) { w.Source = netip.Addr{} },
		"is not an IPv6 prefix":           func(w *actions.RouterAdvert) { w.Spec.Prefixes[0] = netip.MustParsePrefix("192.0.2.0/24") },
		"has no IPv6 address":             func(w *actions.RouterAdvert) { w.Spec.DNS[0] = netip.MustParseAddr("192.0.2.53") },
		"none of low, medium, high":       func(w *actions.RouterAdvert) { w.Spec.Preference = "highest" },
		"a router lifetime of 18h12m16s:": func(w *actions.RouterAdvert) { w.Spec.Lifetime = 65536 * time.Second },
	} {
		w := request(2)
		spoil(&w)
		if _, err := frame(&w); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", want, err)
		}
	}
}
