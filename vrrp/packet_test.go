package vrrp_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// W: what goes on the wire, as far as the message reaches. Vectors are from
// reference/vrrp.md section 9; the captures are of keepalived 2.2.7 and FRR 8.4.4.

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// ones is the folded ones' complement sum, written apart from the package's own.
func ones(b ...[]byte) uint16 {
	var sum uint64
	for i, octet := range slices.Concat(b...) {
		sum += uint64(octet) << (8 * (1 - i%2))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// pseudo is the pseudo-header in front of a message of n bytes.
func pseudo(src, dst netip.Addr, next byte, n int) []byte {
	b := append(src.AsSlice(), dst.AsSlice()...)
	if src.Is4() {
		return binary.BigEndian.AppendUint16(append(b, 0, next), uint16(n))
	}
	return append(binary.BigEndian.AppendUint32(b, uint32(n)), 0, 0, 0, next)
}

func source(f vrrp.Family) netip.Addr {
	if f == vrrp.IPv4 {
		return self4
	}
	return self6
}

// datagram puts a message into an IP packet as a peer would send it.
func datagram(src, dst netip.Addr, msg []byte) []byte {
	if src.Is4() {
		b := []byte{0x45, 0xc0, 0, 0, 0, 1, 0, 0, 255, 112, 0, 0}
		binary.BigEndian.PutUint16(b[2:], uint16(20+len(msg)))
		return slices.Concat(b, src.AsSlice(), dst.AsSlice(), msg)
	}
	b := []byte{0x6c, 0, 0, 0, 0, 0, 112, 255}
	binary.BigEndian.PutUint16(b[4:], uint16(len(msg)))
	return slices.Concat(b, src.AsSlice(), dst.AsSlice(), msg)
}

// encode is what a router of this configuration sends at its priority.
func encode(sp vrrp.Spec) []byte {
	r := vrrp.New(sp)
	a := r.Advert(sp.Priority)
	return a.Append(nil, source(sp.Family), sp.Family.Group(), r.Form())
}

// "The Version field specifies the VRRP protocol version … 3"; type 1; "priority
// values 1-254 decimal"; "the number of IPvX addresses". RFC 9568 5.2.1–5.2.5
func TestW4_VersionTypeVRIDPriorityCount(t *testing.T) {
	msg := encode(spec4())
	if want := []byte{0x31, 0x34, 0x64, 1}; !bytes.Equal(msg[:4], want) {
		t.Errorf("the message begins % x, want % x", msg[:4], want)
	}
	if len(msg) != 12 {
		t.Errorf("length %d, want 8 + 4*1", len(msg))
	}
}

// "The Reserve field MUST be set to zero on transmission"; Max Advertise
// Interval is 12 bits of centiseconds. RFC 9568 5.2.6, 5.2.7
func TestW5_ReserveAndInterval(t *testing.T) {
	if msg := encode(spec4()); msg[4] != 0 || msg[5] != 0x64 {
		t.Errorf("bytes 4-5 are % x, want 00 64", msg[4:6])
	}
	// An interval that 12 bits cannot hold must not spill into Reserve.
	a := vrrp.Advert{VRID: 1, Priority: 1, Interval: 0x1fff * vrrp.IntervalUnit, Addresses: []netip.Addr{vip4}}
	if msg := a.Append(nil, self4, vrrp.IPv4.Group(), vrrp.MessageOnly); msg[4]>>4 != 0 {
		t.Errorf("Reserve is %x, want 0", msg[4]>>4)
	}
}

// For IPv4 the checksum covers the VRRP message alone. RFC 9568 5.2.8
func TestW6_ChecksumOfTheMessageAlone(t *testing.T) {
	for _, policy := range []vrrp.ChecksumPolicy{vrrp.ChecksumRFC9568, vrrp.ChecksumAuto} {
		msg := encode(spec4(sends(policy)))
		if sum := ones(msg); sum != 0xffff {
			t.Errorf("%v: the message sums to %04x, want ffff", policy, sum)
		}
	}
}

// RFC 5798 5.2.8 read literally includes the IPv4 pseudo-header.
func TestW7_ChecksumWithThePseudoHeader(t *testing.T) {
	msg := encode(spec4(sends(vrrp.ChecksumRFC5798)))
	if sum := ones(pseudo(self4, vrrp.IPv4.Group(), 112, len(msg)), msg); sum != 0xffff {
		t.Errorf("with the pseudo-header the message sums to %04x, want ffff", sum)
	}
	if ones(msg) == 0xffff {
		t.Error("the message alone sums to ffff as well: the pseudo-header did not count")
	}
}

// "For IPv6, the first address MUST be the IPv6 link-local address"; length 40. RFC 9568 5.2.9
func TestW10_LinkLocalFirst(t *testing.T) {
	msg := encode(spec6())
	if len(msg) != 40 {
		t.Fatalf("length %d, want 8 + 16*2", len(msg))
	}
	for i, want := range vips6 {
		if got := netip.AddrFrom16([16]byte(msg[8+16*i:])); got != want {
			t.Errorf("address %d is %v, want %v", i, got, want)
		}
	}
}

// For IPv6 the checksum covers the pseudo-header of RFC 8200 8.1 with next header 112. RFC 9568 5.2.8
func TestW11_ChecksumIPv6(t *testing.T) {
	for _, policy := range []vrrp.ChecksumPolicy{vrrp.ChecksumAuto, vrrp.ChecksumRFC9568, vrrp.ChecksumRFC5798} {
		msg := encode(spec6(sends(policy)))
		if sum := ones(pseudo(self6, vrrp.IPv6.Group(), 112, len(msg)), msg); sum != 0xffff {
			t.Errorf("%v: sums to %04x, want ffff", policy, sum)
		}
	}
}

// The interval field reaches from 10 ms to 40.95 s, and the period is what it says. RFC 9568 5.2.7
func TestW14_ShortestAndLongestInterval(t *testing.T) {
	for _, tt := range []struct {
		interval time.Duration
		field    uint16
	}{{vrrp.MinInterval, 1}, {100 * ms, 0x000a}, {vrrp.MaxInterval, 0x0fff}} {
		sp := spec4(interval(tt.interval))
		if got := binary.BigEndian.Uint16(encode(sp)[4:]); got != tt.field {
			t.Errorf("%v: field %04x, want %04x", tt.interval, got, tt.field)
		}
		g := promoted(t, sp)
		at, _ := adverts(g.wait(3 * tt.interval))
		for i, when := range at {
			if want := g.now - time.Duration(2-i)*tt.interval; when != want {
				t.Errorf("%v: advert %d at %v, want %v", tt.interval, i, when, want)
			}
		}
		if len(at) != 3 {
			t.Errorf("%v: %d adverts in three periods", tt.interval, len(at))
		}
	}
}

// The count field is 8 bits: 255 addresses go out in one message of 1028 bytes. RFC 9568 5.2.5
func TestW17_255Addresses(t *testing.T) {
	var list []netip.Addr
	for i := range vrrp.MaxAddresses {
		list = append(list, netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}))
	}
	msg := encode(spec4(serving(list...)))
	if len(msg) != 1028 || msg[3] != 255 || ones(msg) != 0xffff {
		t.Fatalf("length %d, count %d, sum %04x, want 1028, 255, ffff", len(msg), msg[3], ones(msg))
	}
	if len(msg)+20 > 1500 {
		t.Error("does not fit a frame")
	}
	var a vrrp.Advert
	if _, drop := decode(t, vrrp.IPv4, datagram(self4, vrrp.IPv4.Group(), msg), &a); drop != vrrp.Accepted {
		t.Fatalf("our own message is dropped: %v", drop)
	}
	if !slices.Equal(a.Addresses, list) {
		t.Error("the addresses came back changed")
	}
}

// Addresses go out in the configured order. RFC 9568 5.2.9
func TestW19_ConfiguredOrder(t *testing.T) {
	list := addrs("10.0.0.9", "10.0.0.1", "10.0.0.250")
	msg := encode(spec4(serving(list...)))
	for i, want := range list {
		if got := netip.AddrFrom4([4]byte(msg[8+4*i:])); got != want {
			t.Errorf("address %d is %v, want %v", i, got, want)
		}
	}
}

// 0x0000 is a checksum like any other: nothing maps it to 0xFFFF, and 0xFFFF is
// the same number. RFC 1071; vector V6.
//
// conformance: V15
func TestW21_ChecksumZero(t *testing.T) {
	sp := spec4(priority(1), serving(netip.MustParseAddr("10.146.195.1")))
	sp.VRID = 7
	msg := encode(sp)
	if want := "31070101006400000a92c301"; hex.EncodeToString(msg) != want {
		t.Fatalf("sent %x, want %s", msg, want)
	}
	for _, sum := range []uint16{0x0000, 0xffff} {
		binary.BigEndian.PutUint16(msg[6:], sum)
		var a vrrp.Advert
		if form, drop := decode(t, vrrp.IPv4, datagram(peer4, vrrp.IPv4.Group(), msg), &a); drop != vrrp.Accepted || form != vrrp.MessageOnly {
			t.Errorf("checksum %04x: %v, form %v", sum, drop, form)
		}
	}
}

// decode is the way of a packet from the socket to the router.
func decode(t testing.TB, f vrrp.Family, packet []byte, a *vrrp.Advert) (vrrp.ChecksumForm, vrrp.Drop) {
	t.Helper()
	var d vrrp.Datagram
	if drop := vrrp.ParseIP(f, packet, &d); drop != vrrp.Accepted {
		return vrrp.FormUnknown, drop
	}
	if d.Family != f || d.VRID != d.Message[1] {
		t.Fatalf("family %v, VRID %d of a %v packet with VRID %d", d.Family, d.VRID, f, d.Message[1])
	}
	sp := specOf(f)
	return vrrp.Validate(&d, &sp, a)
}

// The messages of section 9 come out of Append bit by bit.
func TestVectorsEncode(t *testing.T) {
	group := vrrp.IPv4.Group()
	vip := []netip.Addr{vip4}
	five := addrs("192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5")
	for _, tt := range []struct {
		name     string
		a        vrrp.Advert
		src, dst netip.Addr
		form     vrrp.ChecksumForm
		want     string
	}{
		{"9.2 conformant", vrrp.Advert{VRID: 52, Priority: 200, Interval: s, Addresses: vip}, self4, group, vrrp.MessageOnly, "3134c8010064fb680a0000fd"},
		{"9.2 as captured", vrrp.Advert{VRID: 52, Priority: 200, Interval: s, Addresses: vip}, self4, group, vrrp.WithPseudoHeader, "3134c801006410d90a0000fd"},
		{"priority 0", vrrp.Advert{VRID: 52, Interval: s, Addresses: vip}, self4, group, vrrp.MessageOnly, "313400010064c3690a0000fd"},
		{"priority 0 as captured", vrrp.Advert{VRID: 52, Interval: s, Addresses: vip}, self4, group, vrrp.WithPseudoHeader, "313400010064d8d90a0000fd"},
		{"unicast pseudo-header", vrrp.Advert{VRID: 52, Priority: 200, Interval: s, Addresses: vip}, self4, netip.MustParseAddr("10.0.0.2"), vrrp.WithPseudoHeader, "3134c8010064e6e90a0000fd"},
		{"five addresses", vrrp.Advert{VRID: 255, Priority: 254, Interval: 100 * ms, Addresses: five}, self4, group, vrrp.MessageOnly, "31fffe05000a05dec0000201c0000202c0000203c0000204c0000205"},
		{"longest interval", vrrp.Advert{VRID: 1, Priority: 1, Interval: vrrp.MaxInterval, Addresses: five[:1]}, self4, group, vrrp.MessageOnly, "310101010ffffbfcc0000201"},
		{"9.3", vrrp.Advert{VRID: 53, Priority: 200, Interval: s, Addresses: vips6}, self6, vrrp.IPv6.Group(), vrrp.WithPseudoHeader, "3135c8020064dc54fe80000000000000000000000000005320010db8000000000000000000000053"},
		{"IPv6 priority 0", vrrp.Advert{VRID: 53, Interval: s, Addresses: vips6}, self6, vrrp.IPv6.Group(), vrrp.WithPseudoHeader, "313500020064a455fe80000000000000000000000000005320010db8000000000000000000000053"},
	} {
		if got := hex.EncodeToString(tt.a.Append(nil, tt.src, tt.dst, tt.form)); got != tt.want {
			t.Errorf("%s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
		// Append appends: what is in front stays and does not enter the checksum.
		if got := tt.a.Append([]byte{0xab}, tt.src, tt.dst, tt.form); hex.EncodeToString(got) != "ab"+tt.want {
			t.Errorf("%s behind another byte: %x", tt.name, got)
		}
	}
}

// The IP packets of the two captures, from the IP header on.
func TestVectorsDecode(t *testing.T) {
	for _, tt := range []struct {
		name     string
		family   vrrp.Family
		packet   string
		drop     vrrp.Drop
		form     vrrp.ChecksumForm
		src      netip.Addr
		vrid     uint8
		priority uint8
		list     []netip.Addr
	}{
		{"keepalived frame 36, version 2", vrrp.IPv4, "45c0002c00010000ff70d08d0a000001e00000122133c802000100d20a0000fb0a0000fc0000000000000000", vrrp.DropVersion, 0, self4, 0, 0, nil},
		{"keepalived frame 39", vrrp.IPv4, "45c0002000010000ff70d0990a000001e00000123134c801006410d90a0000fd", vrrp.Accepted, vrrp.WithPseudoHeader, self4, 52, 200, []netip.Addr{vip4}},
		{"keepalived frame 41", vrrp.IPv6, "6c0f143a002870fffe80000000000000000000fffe000001ff0200000000000000000000000000123135c8020064dc54fe80000000000000000000000000005320010db8000000000000000000000053", vrrp.Accepted, vrrp.WithPseudoHeader, self6, 53, 200, vips6},
		{"keepalived frame 58, shutdown", vrrp.IPv4, "45c0002000050000ff70d0950a000001e0000012313400010064d8d90a0000fd", vrrp.Accepted, vrrp.WithPseudoHeader, self4, 52, 0, []netip.Addr{vip4}},
		{"keepalived frame 59, shutdown", vrrp.IPv6, "6c0f143a002870fffe80000000000000000000fffe000001ff020000000000000000000000000012313500020064a455fe80000000000000000000000000005320010db8000000000000000000000053", vrrp.Accepted, vrrp.WithPseudoHeader, self6, 53, 0, vips6},
		{"FRR frame 5, version 2", vrrp.IPv4, "45c0002887a64000ff7008ec0a000001e00000122133c80100010bcf0a0000fb0000000000000000", vrrp.DropVersion, 0, self4, 0, 0, nil},
		{"FRR frame 7", vrrp.IPv4, "45c0002087a74000ff7008f30a000001e00000123134c801006410d90a0000fd", vrrp.Accepted, vrrp.WithPseudoHeader, self4, 52, 200, []netip.Addr{vip4}},
		{"FRR frame 18, global address first", vrrp.IPv6, "6c0a1a10001870fffe8000000000000000b1d4145e6cc6c6ff0200000000000000000000000000123134c8010064e04220010db8000000000000000000000053", vrrp.DropNotLinkLocal, 0, netip.MustParseAddr("fe80::b1:d414:5e6c:c6c6"), 0, 0, nil},
		{"FRR frame 31, the tester's", vrrp.IPv4, "45c0002000010000ff70d0970a000003e000001231346401006474d70a0000fd", vrrp.Accepted, vrrp.WithPseudoHeader, peer4, 52, 100, []netip.Addr{vip4}},
		{"FRR frame 55, the tester's", vrrp.IPv4, "45c0002000010000ff70d0970a000003e00000123134fa010064c9680a0000fd", vrrp.Accepted, vrrp.MessageOnly, peer4, 52, 250, []netip.Addr{vip4}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var d vrrp.Datagram
			if drop := vrrp.ParseIP(tt.family, unhex(t, tt.packet), &d); drop != vrrp.Accepted {
				t.Fatalf("ParseIP: %v", drop)
			}
			if d.Src != tt.src || d.Dst != tt.family.Group() {
				t.Errorf("from %v to %v", d.Src, d.Dst)
			}
			var a vrrp.Advert
			sp := specOf(tt.family)
			form, drop := vrrp.Validate(&d, &sp, &a)
			if drop != tt.drop || form != tt.form {
				t.Fatalf("Validate: %v, form %v, want %v, %v", drop, form, tt.drop, tt.form)
			}
			if drop != vrrp.Accepted {
				return
			}
			if a.VRID != tt.vrid || a.Priority != tt.priority || a.Interval != s || !slices.Equal(a.Addresses, tt.list) {
				t.Errorf("decoded %+v", a)
			}
		})
	}
}

// What Append writes, ParseIP and Validate read back, for any advertisement.
func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := rapid.SampledFrom([]vrrp.Family{vrrp.IPv4, vrrp.IPv6}).Draw(rt, "family")
		address := func(label string) netip.Addr {
			b := rapid.SliceOfN(rapid.Byte(), f.AddressSize(), f.AddressSize()).Draw(rt, label)
			addr, _ := netip.AddrFromSlice(b)
			return addr
		}
		want := vrrp.Advert{
			VRID:     rapid.Byte().Draw(rt, "vrid"),
			Priority: rapid.Byte().Draw(rt, "priority"),
			Interval: time.Duration(rapid.IntRange(1, 4095).Draw(rt, "cs")) * vrrp.IntervalUnit,
		}
		for range rapid.IntRange(1, vrrp.MaxAddresses).Draw(rt, "count") {
			want.Addresses = append(want.Addresses, address("address"))
		}
		if f == vrrp.IPv6 {
			want.Addresses[0] = netip.MustParseAddr("fe80::53")
		}
		form := vrrp.WithPseudoHeader
		if f == vrrp.IPv4 {
			form = rapid.SampledFrom([]vrrp.ChecksumForm{vrrp.MessageOnly, vrrp.WithPseudoHeader}).Draw(rt, "form")
		}
		src := address("source")
		msg := want.Append(nil, src, f.Group(), form)

		got := vrrp.Advert{Addresses: addrs("192.0.2.99")} // storage that is used again
		read, drop := decode(t, f, append(datagram(src, f.Group(), msg), 0, 0, 0), &got)
		if drop != vrrp.Accepted {
			rt.Fatalf("dropped: %v", drop)
		}
		// Both forms fit at once when the pseudo-header sums to zero.
		if read != form && ones(pseudo(src, f.Group(), 112, len(msg))) != 0xffff {
			rt.Fatalf("form %v, want %v", read, form)
		}
		if got.VRID != want.VRID || got.Priority != want.Priority || got.Interval != want.Interval || !slices.Equal(got.Addresses, want.Addresses) {
			rt.Fatalf("got %+v, want %+v", got, want)
		}
	})
}

// An advertisement is read, judged and written without a heap allocation: at
// 4,000 routers and 100 ms that is 40,000 a second.
func TestNoAllocations(t *testing.T) {
	for _, sp := range []vrrp.Spec{spec4(), spec4(sends(vrrp.ChecksumRFC5798)), spec6()} {
		packet := datagram(source(sp.Family), sp.Family.Group(), encode(sp))
		a := vrrp.Advert{Addresses: make([]netip.Addr, 0, 4)}
		var d vrrp.Datagram
		if n := testing.AllocsPerRun(100, func() {
			if vrrp.ParseIP(sp.Family, packet, &d) != vrrp.Accepted {
				t.Fatal("ParseIP refused it")
			}
			if _, drop := vrrp.Validate(&d, &sp, &a); drop != vrrp.Accepted {
				t.Fatal(drop)
			}
		}); n != 0 {
			t.Errorf("%v: reading allocates %v times", sp.Family, n)
		}
		buf := make([]byte, 0, 64)
		src, dst := source(sp.Family), sp.Family.Group()
		if n := testing.AllocsPerRun(100, func() { buf = a.Append(buf[:0], src, dst, vrrp.WithPseudoHeader) }); n != 0 {
			t.Errorf("%v: writing allocates %v times", sp.Family, n)
		}
	}
}

// Neither the Active's period nor a Backup's listening costs an allocation.
func TestStepAllocatesNothing(t *testing.T) {
	g := promoted(t, spec4())
	fx := make([]vrrp.Effect, 0, 8)
	if n := testing.AllocsPerRun(100, func() { fx = g.r.Step(g.r.Deadline(), vrrp.Timeout{}, fx[:0]) }); n != 0 {
		t.Errorf("an Active's Adver_Timer allocates %v times", n)
	}
	b := heard(t, spec4())
	e, now := b.advert(peer4, 150, s), b.now
	if n := testing.AllocsPerRun(100, func() {
		now += s
		e.At = now
		fx = b.r.Step(now, e, fx[:0])
	}); n != 0 {
		t.Errorf("an advertisement to a Backup allocates %v times", n)
	}
}
