package vrrp_test

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"testing"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// V: what is believed. As in reference/vrrp.md 8.7, the router is Active with
// priority 100 and every packet claims 250: accepted, it would depose us.

// The stimulus of this group is good: every refusal below is for what was broken.
func TestStimulusIsValid(t *testing.T) {
	believed(t, vrrp.IPv4, stimulus(vrrp.IPv4))
	believed(t, vrrp.IPv6, stimulus(vrrp.IPv6))
}

// "A VRRP router receiving a packet with the TTL not equal to 255 MUST discard the packet." RFC 9568 5.1.1.3
func TestV1_TTL254(t *testing.T) {
	refused(t, vrrp.IPv4, broken(stimulus(vrrp.IPv4), func(b []byte) { b[8] = 254 }), vrrp.DropTTL)
}

// The same for the values a forwarding host would produce last. RFC 9568 5.1.1.3
func TestV2_TTL1And0(t *testing.T) {
	for ttl := range byte(255) {
		refused(t, vrrp.IPv4, broken(stimulus(vrrp.IPv4), func(b []byte) { b[8] = ttl }), vrrp.DropTTL)
	}
}

// The same for the IPv6 Hop Limit. RFC 9568 5.1.2.3
func TestV3_HopLimit254(t *testing.T) {
	for _, limit := range []byte{0, 1, 64, 254} {
		refused(t, vrrp.IPv6, broken(stimulus(vrrp.IPv6), func(b []byte) { b[7] = limit }), vrrp.DropTTL)
	}
}

// "MUST verify that the VRRP version is 3." RFC 9568 7.1
func TestV4_OtherVersions(t *testing.T) {
	for version := range byte(16) {
		if version == 3 {
			continue
		}
		refused(t, vrrp.IPv4, stimulus(vrrp.IPv4, func(m []byte) { m[0] = version<<4 | 1 }), vrrp.DropVersion)
	}
	// A well-formed version 2 message is 8 bytes longer and still another version.
	v2 := datagram(peer4, vrrp.IPv4.Group(), unhex(t, "2134fa010001d9cb0a0000fd0000000000000000"))
	refused(t, vrrp.IPv4, v2, vrrp.DropVersion)
}

// There is no version 2 over IPv6. RFC 9568 7.1
func TestV5_Version2OverIPv6(t *testing.T) {
	refused(t, vrrp.IPv6, stimulus(vrrp.IPv6, func(m []byte) { m[0] = 0x21 }), vrrp.DropVersion)
	// Known before the VRID is looked up, unlike version 2 over IPv4.
	foreign := func(m []byte) { m[0], m[1] = 0x21, 99 }
	refused(t, vrrp.IPv6, stimulus(vrrp.IPv6, foreign), vrrp.DropVersion)
	refused(t, vrrp.IPv4, stimulus(vrrp.IPv4, foreign), vrrp.DropVRID)
}

// "A packet with unknown type MUST be discarded." RFC 9568 5.2.2
func TestV6_UnknownTypes(t *testing.T) {
	for kind := range byte(16) {
		if kind == vrrp.TypeAdvertisement {
			continue
		}
		refused(t, vrrp.IPv4, stimulus(vrrp.IPv4, func(m []byte) { m[0] = 0x30 | kind }), vrrp.DropType)
		refused(t, vrrp.IPv6, stimulus(vrrp.IPv6, func(m []byte) { m[0] = 0x30 | kind }), vrrp.DropType)
	}
}

// "MUST verify that the received packet contains the complete VRRP packet." RFC 9568 7.1
func TestV7_ShorterThanTheHeader(t *testing.T) {
	for n := range 8 {
		for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
			whole := stimulus(f)
			head := len(whole) - len(encode(specOf(f)))
			short := datagram(peerOf(f), f.Group(), whole[head:head+n])
			refused(t, f, short, vrrp.DropIncomplete)
			// Padding does not make it complete.
			refused(t, f, append(short, make([]byte, 40)...), vrrp.DropIncomplete)
		}
	}
}

func peerOf(f vrrp.Family) netip.Addr {
	if f == vrrp.IPv4 {
		return peer4
	}
	return peer6
}

// A count that promises more addresses than there are. RFC 9568 7.1
func TestV8_AddressesMissing(t *testing.T) {
	refused(t, vrrp.IPv4, stimulus(vrrp.IPv4, func(m []byte) { m[3] = 3 }), vrrp.DropLength)
	refused(t, vrrp.IPv6, stimulus(vrrp.IPv6, func(m []byte) { m[3] = 3 }), vrrp.DropLength)
	refused(t, vrrp.IPv4, stimulus(vrrp.IPv4, func(m []byte) { m[3] = 255 }), vrrp.DropLength)
}

// Bytes behind the last address: the length must be exact. reference/vrrp.md 5.2 #10
func TestV9_TrailingBytes(t *testing.T) {
	for _, n := range []int{1, 4, 28} {
		msg := append(encode(spec4(priority(250))), make([]byte, n)...)
		refused(t, vrrp.IPv4, datagram(peer4, vrrp.IPv4.Group(), sealed(peer4, vrrp.IPv4.Group(), msg)), vrrp.DropLength)
	}
}

// "If the IPvX Addr Count is 0 the packet MUST be ignored." RFC 9568 5.2.5, erratum 8299
func TestV10_CountZero(t *testing.T) {
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		msg := encode(specOf(f))[:8]
		msg[2], msg[3] = 250, 0
		packet := datagram(peerOf(f), f.Group(), sealed(peerOf(f), f.Group(), msg))
		refused(t, f, packet, vrrp.DropAddrCountZero)

		g := promoted(t, specOf(f))
		g.deliver(packet)
		g.counts("address-list-errors", g.r.View().Counters.AddressListErrors, 1)
	}
}

// "MUST verify the VRRP checksum": every single wrong bit is found. RFC 9568 5.2.8, 7.1
func TestV11_ChecksumWrongByOneBit(t *testing.T) {
	for f, head := range map[vrrp.Family]int{vrrp.IPv4: 20, vrrp.IPv6: 40} {
		good := stimulus(f)
		for bit := (head + 1) * 8; bit < len(good)*8; bit++ { // byte 0 is version and type, V4 and V6
			if bit/8 == head+1 || bit/8 == head+3 { // VRID and count have names of their own
				continue
			}
			packet := broken(good, func(b []byte) { b[bit/8] ^= 0x80 >> (bit % 8) })
			refused(t, f, packet, vrrp.DropChecksum)
		}
	}
}

// RFC 5798's form is accepted from IPv4 peers and counted apart. reference/vrrp.md 1.4
func TestV12_PseudoHeaderForm(t *testing.T) {
	a := vrrp.Advert{VRID: 52, Priority: 250, Interval: s, Addresses: []netip.Addr{vip4}}
	msg := a.Append(nil, peer4, vrrp.IPv4.Group(), vrrp.WithPseudoHeader)
	g := believed(t, vrrp.IPv4, datagram(peer4, vrrp.IPv4.Group(), msg))
	g.counts("checksum-form-other", g.r.View().Counters.ChecksumFormOther, 1)
	g.counts("checksum-errors", g.r.View().Counters.Drops[vrrp.DropChecksum], 0)

	g = believed(t, vrrp.IPv4, stimulus(vrrp.IPv4))
	g.counts("checksum-form-other", g.r.View().Counters.ChecksumFormOther, 0)
}

// For IPv6 the pseudo-header is not optional. RFC 9568 5.2.8
func TestV13_IPv6WithoutPseudoHeader(t *testing.T) {
	packet := broken(stimulus(vrrp.IPv6), func(b []byte) {
		b[46], b[47] = 0, 0
		binary.BigEndian.PutUint16(b[46:], ^ones(b[40:]))
	})
	refused(t, vrrp.IPv6, packet, vrrp.DropChecksum)
}

// Its next header is 112 and nothing else. RFC 9568 5.2.8
func TestV14_IPv6WrongNextHeaderInPseudoHeader(t *testing.T) {
	for _, next := range []byte{0, 58} {
		packet := broken(stimulus(vrrp.IPv6), func(b []byte) {
			b[46], b[47] = 0, 0
			binary.BigEndian.PutUint16(b[46:], ^ones(pseudo(peer6, vrrp.IPv6.Group(), next, len(b)-40), b[40:]))
		})
		refused(t, vrrp.IPv6, packet, vrrp.DropChecksum)
	}
}

// "MUST verify that the VRID is configured on the receiving interface." The
// lookup is the daemon's; ParseIP names the VRID before anything is computed. RFC 9568 7.1
func TestV16_OtherVRID(t *testing.T) {
	var d vrrp.Datagram
	packet := stimulus(vrrp.IPv4, func(m []byte) { m[1] = 53 })
	packet[26]++ // a wrong checksum: foreign groups must not cost one
	if drop := vrrp.ParseIP(vrrp.IPv4, packet, &d); drop != vrrp.Accepted || d.VRID != 53 {
		t.Fatalf("ParseIP: %v, VRID %d, want accepted, 53", drop, d.VRID)
	}
	refused(t, vrrp.IPv4, packet, vrrp.DropVRID)
}

// A Max Advertise Interval of zero must not be learned. Erratum 8301
func TestV18_IntervalZero(t *testing.T) {
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		for _, reserve := range []byte{0x00, 0xf0} {
			packet := stimulus(f, func(m []byte) { m[4], m[5] = reserve, 0 })
			refused(t, f, packet, vrrp.DropIntervalZero)

			g := promoted(t, specOf(f))
			g.deliver(packet)
			g.counts("interval-errors", g.r.View().Counters.IntervalErrors, 1)
		}
	}
}

// "the receiver SHOULD verify the interval …, log, and not drop": learned and counted. RFC 9568 7.1
func TestV19_OtherInterval(t *testing.T) {
	g := started(t, spec4())
	fx := g.recv(peer4, 150, 2*s)
	if !tells(fx, vrrp.NoticeInterval) {
		t.Errorf("nothing told: %s", brief(fx))
	}
	v := g.r.View()
	g.counts("interval-errors", v.Counters.IntervalErrors, 1)
	g.counts("advertisement-rcvd", v.Counters.AdvertisementRcvd, 1)
	if v.ActiveInterval != 2*s {
		t.Errorf("learned %v, want 2s", v.ActiveInterval)
	}
	// The other polarity: our own interval is nothing to speak of.
	g.want(g.recv(peer4, 150, s), "")
	g.counts("interval-errors", g.r.View().Counters.IntervalErrors, 1)
}

// "The Reserve field … MUST be ignored on reception." RFC 9568 5.2.6
func TestV20_ReserveIgnored(t *testing.T) {
	g := believed(t, vrrp.IPv4, stimulus(vrrp.IPv4, func(m []byte) { m[4] = 0xf0 | m[4] }))
	if got := g.r.View().ActiveInterval; got != s {
		t.Errorf("learned %v, want 1s: the interval is the low 12 bits", got)
	}
	believed(t, vrrp.IPv6, stimulus(vrrp.IPv6, func(m []byte) { m[4] = 0xf0 | m[4] }))
}

// The first IPv6 address must be link-local. RFC 9568 5.2.9, erratum 8300
func TestV21_FirstAddressNotLinkLocal(t *testing.T) {
	packet := stimulus(vrrp.IPv6, func(m []byte) { // the same two, the other way round
		first := slices.Clone(m[8:24])
		copy(m[8:], m[24:40])
		copy(m[24:], first)
	})
	refused(t, vrrp.IPv6, packet, vrrp.DropNotLinkLocal)
	g := promoted(t, spec6())
	g.deliver(packet)
	g.counts("address-list-errors", g.r.View().Counters.AddressListErrors, 1)

	// fe80::/10 reaches to febf.
	believed(t, vrrp.IPv6, stimulus(vrrp.IPv6, func(m []byte) { m[8], m[9] = 0xfe, 0xbf }))
	refused(t, vrrp.IPv6, stimulus(vrrp.IPv6, func(m []byte) { m[8], m[9] = 0xfe, 0xc0 }), vrrp.DropNotLinkLocal)
}

// "MAY verify the address list …; if not, SHOULD log", but process. RFC 9568 7.1
func TestV22_OtherAddresses(t *testing.T) {
	for _, tt := range []struct {
		list []netip.Addr
		told vrrp.NoticeKind
	}{
		{addrs("10.0.0.253", "10.0.0.250"), vrrp.NoticeAddressList},
		{addrs("10.0.0.253", "10.0.0.253"), vrrp.NoticeAddressList},
		{addrs("10.0.0.250"), vrrp.NoticeForeignGroup}, // none in common: more likely another group with our VRID
	} {
		g := promoted(t, spec4())
		e := g.advert(peer4, 250, s)
		e.Advert.Addresses = tt.list
		fx := g.step(e)
		if !tells(fx, tt.told) {
			t.Errorf("%v: not told: %s", tt.list, brief(fx))
		}
		g.state(vrrp.Backup)
		g.counts("address-list-errors", g.r.View().Counters.AddressListErrors, 1)
	}
}

// The order of addresses is no difference. RFC 9568 5.2.9
func TestV23_OtherOrder(t *testing.T) {
	g := promoted(t, spec4(serving(addrs("10.0.0.251", "10.0.0.252", "10.0.0.253")...)))
	e := g.advert(peer4, 250, s)
	e.Advert.Addresses = addrs("10.0.0.253", "10.0.0.251", "10.0.0.252")
	g.want(g.step(e), "send 100; active>backup higher-priority; release")
	g.counts("address-list-errors", g.r.View().Counters.AddressListErrors, 0)
}

// The VRRP message begins where IHL says. RFC 9568 7.1
func TestV24_IPOptions(t *testing.T) {
	for words := range byte(11) {
		packet := broken(stimulus(vrrp.IPv4), func(b []byte) {
			b[0] += words
			binary.BigEndian.PutUint16(b[2:], uint16(len(b))+4*uint16(words))
		})
		believed(t, vrrp.IPv4, slices.Insert(packet, 20, make([]byte, 4*int(words))...))
	}
	refused(t, vrrp.IPv4, broken(stimulus(vrrp.IPv4), func(b []byte) { b[0] = 0x44 }), vrrp.DropIncomplete)
	refused(t, vrrp.IPv4, broken(stimulus(vrrp.IPv4), func(b []byte) { b[0] = 0x4f }), vrrp.DropIncomplete)
}

// Ethernet pads short frames: the packet ends where its IP header says. reference/vrrp.md 1.5
func TestV25_EthernetPadding(t *testing.T) {
	for f, size := range map[vrrp.Family]int{vrrp.IPv4: 46, vrrp.IPv6: 100} { // an Ethernet payload is at least 46
		for _, filler := range []byte{0x00, 0xff} {
			packet := stimulus(f)
			for len(packet) < size {
				packet = append(packet, filler)
			}
			believed(t, f, packet)
		}
	}
}

// A multicast virtual router listens to the group only. reference/vrrp.md 5.2 #2
func TestV26_SentToUs(t *testing.T) {
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		us := source(f)
		msg := stimulus(f)[map[vrrp.Family]int{vrrp.IPv4: 20, vrrp.IPv6: 40}[f]:]
		refused(t, f, datagram(peerOf(f), us, sealed(peerOf(f), us, msg)), vrrp.DropModeMismatch)
	}
}

// Nothing that is not one whole IP packet of protocol 112. reference/vrrp.md 5.2 #1
func TestV27_FragmentsAndOtherInsanity(t *testing.T) {
	v4 := stimulus(vrrp.IPv4)
	for name, change := range map[string]func(b []byte){
		"more fragments":  func(b []byte) { b[6] = 0x20 },
		"fragment offset": func(b []byte) { b[7] = 1 },
		"last fragment":   func(b []byte) { b[6] = 0x1f },
		"protocol 51":     func(b []byte) { b[9] = 51 },
		"IP version 6":    func(b []byte) { b[0] = 0x65 },
		"total too long":  func(b []byte) { b[3]++ },
		"total < header":  func(b []byte) { b[3] = 19 },
	} {
		t.Run(name, func(t *testing.T) { refused(t, vrrp.IPv4, broken(v4, change), vrrp.DropIncomplete) })
	}
	believed(t, vrrp.IPv4, broken(v4, func(b []byte) { b[6] = 0x40 })) // don't fragment is no fragment
	v6 := stimulus(vrrp.IPv6)
	refused(t, vrrp.IPv6, broken(v6, func(b []byte) { b[6] = 44 }), vrrp.DropIncomplete) // fragment header
	refused(t, vrrp.IPv6, broken(v6, func(b []byte) { b[0] = 0x4c }), vrrp.DropIncomplete)
	refused(t, vrrp.IPv6, broken(v6, func(b []byte) { b[5]++ }), vrrp.DropIncomplete)
}

// Every prefix of a valid packet is refused, and nothing panics. More in FuzzParse.
func TestV29_EveryPrefix(t *testing.T) {
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		whole := stimulus(f)
		for n := range whole {
			refused(t, f, whole[:n], vrrp.DropIncomplete)
		}
	}
}

// A bad packet leaves nothing behind that would harm the next good one.
func TestV30_GoodAfterBad(t *testing.T) {
	g := promoted(t, spec4())
	for i := range 1000 {
		g.deliver(broken(stimulus(vrrp.IPv4), func(b []byte) { b[20+i%12] ^= 1 << (i % 8) }))
	}
	g.state(vrrp.Active)
	if _, drop := g.deliver(stimulus(vrrp.IPv4)); drop != vrrp.Accepted {
		t.Fatal(drop)
	}
	g.state(vrrp.Backup)
}

// An owner that hears a lower advertisement says so and answers at once. Erratum 8298
func TestV32_OwnerHearsALowerOne(t *testing.T) {
	g := promoted(t, spec4(priority(255)))
	fx := g.recv(peer4, 200, s)
	if !tells(fx, vrrp.NoticeLowerActive) {
		t.Errorf("nothing told: %s", brief(fx))
	}
	if fx := fx[1:]; len(fx) == 0 || fx[0].Kind != vrrp.Send || fx[0].Priority != 255 {
		t.Errorf("no immediate advert: %s", brief(fx))
	}
	g.state(vrrp.Active)
}

// A packet broken in several ways counts under the first name only. reference/vrrp.md 5.2
func TestV33_TheFirstFaultCounts(t *testing.T) {
	// From the last check to the first: each one hides all above it in the list.
	faults := []struct {
		drop  vrrp.Drop
		spoil func(b []byte)
	}{
		{vrrp.DropIntervalZero, func(b []byte) { b[24], b[25] = 0, 0; sealed(peer4, vrrp.IPv4.Group(), b[20:]) }},
		{vrrp.DropChecksum, func(b []byte) { b[27] ^= 1 }},
		{vrrp.DropLength, func(b []byte) { b[23] = 2 }},
		{vrrp.DropAddrCountZero, func(b []byte) { b[23] = 0 }},
		{vrrp.DropType, func(b []byte) { b[20] = 0x32 }},
		{vrrp.DropVersion, func(b []byte) { b[20] = 0x22 }}, // ours to judge: version 2 is spoken here
		{vrrp.DropModeMismatch, func(b []byte) { b[19] = 1 }},
		{vrrp.DropVRID, func(b []byte) { b[21] = 53 }},
		{vrrp.DropVersion, func(b []byte) { b[20] = 0x42 }}, // nobody's
		{vrrp.DropTTL, func(b []byte) { b[8] = 254 }},
		{vrrp.DropIncomplete, func(b []byte) { b[9] = 51 }},
	}
	packet := stimulus(vrrp.IPv4)
	for _, fault := range faults {
		fault.spoil(packet)
		t.Run(fmt.Sprint(fault.drop), func(t *testing.T) {
			refused(t, vrrp.IPv4, packet, fault.drop)
			g := promoted(t, spec4())
			_, drop := g.deliver(packet)
			if drop != fault.drop {
				t.Fatal(drop)
			}
			total := uint64(0)
			for _, n := range g.r.View().Counters.Drops {
				total += n
			}
			if total > 1 {
				t.Errorf("%d counters grew", total)
			}
		})
	}
}
