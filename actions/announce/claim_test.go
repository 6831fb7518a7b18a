package announce

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"golang.org/x/net/bpf"

	"github.com/backbeat-ha/backbeat/actions"
)

var (
	ownMAC   = [6]byte{2, 0, 0, 0, 0, 1}
	otherMAC = [6]byte{2, 0, 0, 0, 0, 9}
)

// built returns the frame backbeat itself sends for an address.
func built(t testing.TB, address string, mac [6]byte) []byte {
	t.Helper()
	b, err := frame(netip.MustParseAddr(address), mac)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// changed returns a copy of a frame with some bytes replaced.
func changed(b []byte, at int, by ...byte) []byte {
	b = slices.Clone(b)
	copy(b[at:], by)
	return b
}

// resummed returns a copy of a Neighbor Advertisement whose checksum adds up
// again; anything too short for one as it is.
func resummed(b []byte) []byte {
	b = slices.Clone(b)
	if len(b) < ethernetSize+ipv6Size+4 {
		return b
	}
	ip := b[ethernetSize:]
	message := ip[ipv6Size:]
	message = message[:min(len(message), max(4, int(binary.BigEndian.Uint16(ip[4:]))))]
	message[2], message[3] = 0, 0
	binary.BigEndian.PutUint16(message[2:], ^total(ip, message))
	return b
}

func TestClaims(t *testing.T) {
	arp, na := built(t, "192.0.2.1", otherMAC), built(t, "2001:db8::1", otherMAC)
	unsolicited := claim{netip.MustParseAddr("192.0.2.1"), otherMAC, otherMAC}
	neighbor := claim{netip.MustParseAddr("2001:db8::1"), otherMAC, otherMAC}
	via := func(c claim, source [6]byte) claim { c.source = source; return c }
	at := func(c claim, mac [6]byte) claim { c.mac = mac; return c }
	const ip, icmp = ethernetSize, ethernetSize + ipv6Size
	// The same message without its option: shorter by 8 bytes.
	bare := resummed(changed(na[:len(na)-8], ip+4, 0, naSize))
	for _, c := range []struct {
		name  string
		frame []byte
		want  claim
		ok    bool
	}{
		{"gratuitous ARP request", arp, unsolicited, true},
		{"ARP reply", changed(arp, 20, 0, 2), unsolicited, true},
		{"padded to the least frame", append(slices.Clone(arp), make([]byte, 18)...), unsolicited, true},
		{"ARP sent by proxy", changed(arp, 6, ownMAC[:]...), via(unsolicited, ownMAC), true},
		{"ARP for another MAC", changed(arp, 22, ownMAC[:]...), at(unsolicited, ownMAC), true},
		{"ARP probe", changed(arp, 28, 0, 0, 0, 0), claim{}, false},
		{"reverse ARP request", changed(arp, 20, 0, 3), claim{}, false},
		{"ARP of another hardware", changed(arp, 14, 0, 6), claim{}, false},
		{"ARP with longer addresses", changed(arp, 18, 8), claim{}, false},
		{"ARP cut off", arp[:ethernetSize+arpSize-1], claim{}, false},
		{"another protocol", changed(arp, 12, 0x08, 0x00), claim{}, false},
		{"no frame at all", nil, claim{}, false},
		{"neighbor advertisement", na, neighbor, true},
		{"neighbor advertisement, padded", append(slices.Clone(na), 1, 2, 3), neighbor, true},
		{"neighbor advertisement without an option", changed(bare, 6, ownMAC[:]...), claim{neighbor.address, ownMAC, ownMAC}, true},
		{"option for another MAC", resummed(changed(na, icmp+26, ownMAC[:]...)), at(neighbor, ownMAC), true},
		{"unknown option", changed(resummed(changed(na, icmp+24, 200)), 6, ownMAC[:]...), claim{neighbor.address, ownMAC, ownMAC}, true},
		{"option of no length", resummed(changed(na, icmp+25, 0)), claim{}, false},
		{"option beyond the end", resummed(changed(na, icmp+25, 2)), claim{}, false},
		{"routed: hop limit 254", changed(na, ip+7, 254), claim{}, false},
		{"wrong checksum", changed(na, icmp+2, na[icmp+2]^1), claim{}, false},
		{"code 1", resummed(changed(na, icmp+1, 1)), claim{}, false},
		{"neighbor solicitation", resummed(changed(na, icmp, 135)), claim{}, false},
		{"multicast target", resummed(changed(na, icmp+8, 0xff)), claim{}, false},
		{"payload longer than the frame", changed(na, ip+4, 1, 0), claim{}, false},
		{"payload too short", changed(na, ip+4, 0, naSize-1), claim{}, false},
		{"UDP", changed(na, ip+6, 17), claim{}, false},
		{"IP version 4", changed(na, ip, 0x45), claim{}, false},
	} {
		got, ok := parseClaim(c.frame)
		if ok != c.ok || ok && got != c.want {
			t.Errorf("%s: %+v %v, want %+v %v", c.name, got, ok, c.want, c.ok)
		}
	}
}

// The extensions (packet type, VLAN tag) are the kernel's; here they are left
// out, which the jumps allow, and the rest is run on frames.
func TestTheFilterKnowsClaims(t *testing.T) {
	prog, all := bpf.Disassemble(claimFilter())
	if !all {
		t.Fatal("the filter cannot be read back")
	}
	vm, err := bpf.NewVM(prog[4:])
	if err != nil {
		t.Fatal(err)
	}
	arp, na := built(t, "192.0.2.1", otherMAC), built(t, "2001:db8::1", otherMAC)
	for name, c := range map[string]struct {
		frame []byte
		pass  bool
	}{
		"ARP":          {arp, true},
		"NA":           {na, true},
		"IPv4":         {changed(arp, 12, 0x08, 0x00), false},
		"VLAN in ARP":  {changed(arp, 12, 0x81, 0x00), false},
		"UDP":          {changed(na, ethernetSize+6, 17), false},
		"solicitation": {changed(na, ethernetSize+ipv6Size, 135), false},
		"cut off":      {na[:ethernetSize+ipv6Size], false},
	} {
		n, err := vm.Run(c.frame)
		if err != nil || n > 0 != c.pass {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

// held is a schedule's book with one announcement for one address on interface 2.
func held(t *testing.T, mac [6]byte) (*claims, *round) {
	t.Helper()
	c := newClaims()
	r := compose(&actions.Announcement{Router: 7, Term: 3, Targets: []actions.AnnounceTarget{
		{Link: 2, MAC: mac, Addresses: addresses("192.0.2.1")}}})
	c.hold(r)
	return c, r
}

func TestWhoseClaimItIs(t *testing.T) {
	vip := netip.MustParseAddr("192.0.2.1")
	for _, c := range []struct {
		name    string
		mac     [6]byte // announced
		link    int
		found   claim
		foreign bool
	}{
		{"somebody else's", ownMAC, 2, claim{vip, otherMAC, otherMAC}, true},
		{"our own, reflected", ownMAC, 2, claim{vip, ownMAC, ownMAC}, false},
		{"our MAC claimed by another", ownMAC, 2, claim{vip, ownMAC, otherMAC}, true},
		{"another MAC claimed with ours as source", ownMAC, 2, claim{vip, otherMAC, ownMAC}, true},
		{"the virtual MAC: nobody knows whose", virtualMAC, 2, claim{vip, virtualMAC, virtualMAC}, true},
		{"the virtual MAC for IPv6", [6]byte{0, 0, 0x5e, 0, 2, 1}, 2, claim{vip, [6]byte{0, 0, 0x5e, 0, 2, 1}, [6]byte{0, 0, 0x5e, 0, 2, 1}}, true},
		{"another address", ownMAC, 2, claim{vip.Next(), otherMAC, otherMAC}, false},
		{"another interface", ownMAC, 3, claim{vip, otherMAC, otherMAC}, false},
	} {
		book, _ := held(t, c.mac)
		tell, foreign := book.judge(c.link, c.found, start)
		if foreign != c.foreign || (tell != nil) != c.foreign {
			t.Errorf("%s: foreign %v, %+v", c.name, foreign, tell)
		}
		want := actions.Claimed{Router: 7, Term: 3, Link: 2, Address: vip, MAC: c.found.mac, Source: c.found.source}
		if tell != nil && *tell != want {
			t.Errorf("%s: %+v, want %+v", c.name, *tell, want)
		}
	}
}

func TestOneClaimPerAddressAndSecond(t *testing.T) {
	book, r := held(t, ownMAC)
	found := claim{netip.MustParseAddr("192.0.2.1"), otherMAC, otherMAC}
	told := 0
	for ms := range 3000 {
		tell, foreign := book.judge(2, found, start.Add(time.Duration(ms)*time.Millisecond))
		if !foreign {
			t.Fatalf("after %d ms not foreign", ms)
		}
		if tell != nil {
			told++
		}
		// An announcement that answers a claim does not begin the second anew.
		if ms == 500 {
			again := *r
			again.term = 4
			book.hold(&again)
			book.release(r, 2)
			r = &again
		}
		if tell != nil && ms > 500 && tell.Term != 4 {
			t.Errorf("told of term %d", tell.Term)
		}
	}
	if told != 3 {
		t.Errorf("told %d times in three seconds", told)
	}
	book.release(r, 2)
	if book.has(2) {
		t.Error("the interface is still watched")
	}
	if _, foreign := book.judge(2, found, start.Add(time.Hour)); foreign {
		t.Error("a claim of what is not announced any more")
	}
}

func TestAnAnnouncementWithOnceIsNotWatched(t *testing.T) {
	r := newRig()
	a := announcement(1, 1)
	a.Once = true
	r.announce(a)
	if r.claims.has(2) {
		t.Error("watched")
	}
	a.Once, a.Schedule = false, actions.AnnounceSpec{Repeat: 1, Delay: time.Second}
	r.announce(a)
	r.run(500 * time.Millisecond)
	if !r.claims.has(2) {
		t.Error("not watched between the rounds")
	}
	a.Once = true
	r.announce(a)
	r.run(600 * time.Millisecond)
	if !r.claims.has(2) {
		t.Error("not watched after a single round beside the schedule")
	}
	r.run(2 * time.Second)
	if r.claims.has(2) {
		t.Error("watched after the last round")
	}
}

func FuzzParseClaim(f *testing.F) {
	f.Add(built(f, "192.0.2.1", otherMAC))
	f.Add(built(f, "2001:db8::1", otherMAC))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = resummed(b) // otherwise hardly anything gets past the checksum
		c, ok := parseClaim(b)
		if ok && (!c.address.IsValid() || c.address.IsUnspecified() || c.source != [6]byte(b[6:12])) {
			t.Errorf("claim %+v of %x", c, b)
		}
	})
}
