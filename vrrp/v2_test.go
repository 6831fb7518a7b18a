package vrrp_test

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// 2: VRRPv2 (RFC 3768), on VRID 51 as in reference/vrrp.md 8.8.

// compatible is the profile of keepalived: what version 3 does, with version 2's packets.
func compatible(sp *vrrp.Spec) { sp.AnswerLower, sp.Farewell = true, true }

// message2 is a tester's advertisement, to be broken by change and sealed again.
func message2(priority uint8, change ...func(m []byte)) []byte {
	a := vrrp.Advert{Version: vrrp.Version2, VRID: 51, Priority: priority, Interval: s, Addresses: []netip.Addr{vip4}}
	msg := a.Append(nil, peer4, vrrp.IPv4.Group(), vrrp.MessageOnly)
	for _, c := range change {
		c(msg)
	}
	return sealed(peer4, vrrp.IPv4.Group(), msg)
}

func packet2(priority uint8, change ...func(m []byte)) []byte {
	return datagram(peer4, vrrp.IPv4.Group(), message2(priority, change...))
}

// refusedBy asserts that a router of this configuration, Active, drops a packet
// that would depose it, counts that, and goes on as if nothing had been.
func refusedBy(t *testing.T, sp vrrp.Spec, packet []byte, want vrrp.Drop) *rig {
	t.Helper()
	g := promoted(t, sp)
	due := g.r.Deadline()
	g.now += 300 * ms
	fx, drop := g.deliver(packet)
	if drop != want {
		t.Fatalf("dropped as %q, want %q", drop, want)
	}
	g.want(fx, "")
	g.state(vrrp.Active)
	if g.r.Deadline() != due {
		t.Fatal("the timer moved")
	}
	if n := g.r.View().Counters.Drops[want]; n > 1 || n == 0 && want != vrrp.DropTTL && want != vrrp.DropVersion && want != vrrp.DropVRID {
		t.Fatalf("%q counted %d times", want, n)
	}
	return g
}

// believedBy asserts that the packet deposes a router of this configuration.
func believedBy(t *testing.T, sp vrrp.Spec, packet []byte) *rig {
	t.Helper()
	g := promoted(t, sp)
	if _, drop := g.deliver(packet); drop != vrrp.Accepted {
		t.Fatalf("dropped as %q", drop)
	}
	g.state(vrrp.Backup)
	return g
}

// The skew of version 2 is (256 - priority) / 256 seconds, whatever the interval. RFC 3768 6.1
func TestT17_Version2SilentStart(t *testing.T) {
	for in, want := range map[time.Duration]time.Duration{s: downAt100, 10 * s: 30609375 * time.Microsecond, 255 * s: 765609375 * time.Microsecond} {
		g := newRig(t, spec2(interval(in)))
		g.step(vrrp.LinkState{Source: self4})
		v := g.r.View()
		if v.ActiveDownInterval != want || v.DownDue-g.now != want || v.SkewTime != 609375*time.Microsecond {
			t.Errorf("%v: down interval %v, skew %v", in, v.ActiveDownInterval, v.SkewTime)
		}
		if in <= 10*s {
			g.took(g.until(vrrp.Active), want)
		}
	}
}

// Priority 0 is followed by that skew, unscaled. RFC 3768 6.1, 6.4.2
func TestT18_Version2SkewIsNotScaled(t *testing.T) {
	g := started(t, spec2(interval(10*s)))
	g.recv(peer4, 150, 10*s)
	g.wait(2 * s)
	g.recv(peer4, 0, 10*s)
	g.took(g.until(vrrp.Active), 609375*time.Microsecond)
	g.cause(vrrp.CauseResigned)
}

// Version, authentication and interval have their places, eight bytes of
// authentication data follow the addresses. RFC 3768 5.3
//
// conformance: 2.1
func TestVersion2Layout(t *testing.T) {
	msg := encode(spec2(serving(addrs("10.0.0.251", "10.0.0.252")...)))
	if len(msg) != 8+2*4+8 {
		t.Fatalf("length %d, want 24", len(msg))
	}
	if msg[0] != 0x21 || msg[1] != 51 || msg[2] != 100 || msg[3] != 2 || msg[4] != 0 || msg[5] != 1 {
		t.Errorf("begins % x", msg[:6])
	}
	if !slices.Equal(msg[16:], make([]byte, 8)) {
		t.Errorf("authentication data % x, want zeros", msg[16:])
	}
	if msg := encode(spec2(interval(255 * s))); msg[5] != 255 {
		t.Errorf("Adver Int %d, want 255", msg[5])
	}
}

// The checksum covers the whole message, and never a pseudo-header. RFC 3768 5.3.8
//
// conformance: 2.2
func TestVersion2Checksum(t *testing.T) {
	for _, policy := range []vrrp.ChecksumPolicy{vrrp.ChecksumAuto, vrrp.ChecksumRFC9568, vrrp.ChecksumRFC5798} {
		if msg := encode(spec2(sends(policy), secret("12345678"))); ones(msg) != 0xffff {
			t.Errorf("%v: sums to %04x", policy, ones(msg))
		}
	}
	packet := datagram(peer4, vrrp.IPv4.Group(), message2(250))
	believedBy(t, spec2(), packet)
	for bit := range 8 { // the authentication data is covered too
		refusedBy(t, spec2(), broken(packet, func(b []byte) { b[len(b)-1] ^= 1 << bit }), vrrp.DropChecksum)
	}
	pseudoForm := broken(packet, func(b []byte) {
		m := b[20:]
		m[6], m[7] = 0, 0
		sum := ^ones(pseudo(peer4, vrrp.IPv4.Group(), 112, len(m)), m)
		m[6], m[7] = byte(sum>>8), byte(sum)
	})
	refusedBy(t, spec2(), pseudoForm, vrrp.DropChecksum)
}

// TTL 255 and nothing else. RFC 3768 5.2.3, 7.1
//
// conformance: 2.3
func TestVersion2TTL(t *testing.T) {
	refusedBy(t, spec2(), broken(packet2(250), func(b []byte) { b[8] = 254 }), vrrp.DropTTL)
}

// "MUST verify the VRRP version is 2". RFC 3768 7.1. The other way, version 2 to
// a router of version 3, is V4.
//
// conformance: 2.4, V4
func TestVersion3ToVersion2(t *testing.T) {
	a := vrrp.Advert{VRID: 51, Priority: 250, Interval: s, Addresses: []netip.Addr{vip4}}
	g := refusedBy(t, spec2(), datagram(peer4, vrrp.IPv4.Group(), a.Append(nil, peer4, vrrp.IPv4.Group(), vrrp.MessageOnly)), vrrp.DropVersion)
	if p := g.r.Peers(); len(p) != 1 || p[0].Version != vrrp.Version3 || p[0].Interval != s {
		t.Errorf("peers %+v", p)
	}
	sp := spec4()
	sp.VRID = 51
	g = refusedBy(t, sp, packet2(250), vrrp.DropVersion)
	if p := g.r.Peers(); len(p) != 1 || p[0].Version != vrrp.Version2 || p[0].Interval != s || p[0].Priority != 250 {
		t.Errorf("peers %+v", p)
	}
	for version := range byte(16) {
		if version != vrrp.Version2 {
			refusedBy(t, spec2(), packet2(250, func(m []byte) { m[0] = version<<4 | 1 }), vrrp.DropVersion)
		}
	}
}

// A message without its authentication trailer is not complete. RFC 3768 7.1
//
// conformance: 2.5
func TestVersion2TrailerMissing(t *testing.T) {
	whole := message2(250)
	for n := 1; n <= 8; n++ {
		msg := sealed(peer4, vrrp.IPv4.Group(), slices.Clone(whole[:len(whole)-n]))
		refusedBy(t, spec2(), datagram(peer4, vrrp.IPv4.Group(), msg), vrrp.DropLength)
	}
	long := sealed(peer4, vrrp.IPv4.Group(), append(slices.Clone(whole), 0, 0, 0, 0))
	refusedBy(t, spec2(), datagram(peer4, vrrp.IPv4.Group(), long), vrrp.DropLength)
}

// Authentication must be what is configured; types 2 and up are nobody's. RFC 3768 5.3.6, 7.1
//
// conformance: 2.6
func TestVersion2AuthenticationTypes(t *testing.T) {
	with := func(kind byte, text string) []byte {
		return packet2(250, func(m []byte) { m[4] = kind; copy(m[len(m)-8:], text) })
	}
	for _, tt := range []struct {
		name   string
		sp     vrrp.Spec
		packet []byte
		want   vrrp.Drop
	}{
		{"a password, none configured", spec2(), with(1, "password"), vrrp.DropAuthMismatch},
		{"an empty password, none configured", spec2(), with(1, ""), vrrp.DropAuthMismatch},
		{"IPsec AH", spec2(), with(2, ""), vrrp.DropAuthType},
		{"a vendor's", spec2(), with(3, ""), vrrp.DropAuthType},
		{"255", spec2(), with(255, ""), vrrp.DropAuthType},
		{"none, one configured", spec2(secret("password")), with(0, "password"), vrrp.DropAuthMismatch},
		{"AH, one configured", spec2(secret("password")), with(2, "password"), vrrp.DropAuthType},
		{"another", spec2(secret("password")), with(1, "passwore"), vrrp.DropAuthFailure},
		{"a prefix", spec2(secret("password")), with(1, "passwor"), vrrp.DropAuthFailure},
		{"a longer one", spec2(secret("pass")), with(1, "password"), vrrp.DropAuthFailure},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := refusedBy(t, tt.sp, tt.packet, tt.want)
			if p := g.r.Peers(); len(p) != 1 || p[0].Auth != tt.packet[24] || p[0].Drop != tt.want || p[0].Refused != 1 {
				t.Errorf("peers %+v", p)
			}
		})
	}
	g := believedBy(t, spec2(secret("password")), with(1, "password"))
	if p := g.r.Peers(); len(p) != 1 || p[0].Auth != vrrp.AuthSimpleText || p[0].Believed != 1 {
		t.Errorf("peers %+v", p)
	}
	believedBy(t, spec2(secret("pass")), with(1, "pass\x00"))
}

// Data of type 0 is "ignored on reception". RFC 3768 5.3.10
//
// conformance: 2.7
func TestVersion2DataOfTypeNone(t *testing.T) {
	believedBy(t, spec2(), packet2(250, func(m []byte) { copy(m[len(m)-8:], "whatever") }))
}

// "MUST verify that the Adver Interval in the packet is the same as the locally
// configured": both sides stay Active. RFC 3768 7.1
//
// conformance: 2.8
func TestVersion2OtherInterval(t *testing.T) {
	for _, seconds := range []byte{0, 2, 255} {
		g := refusedBy(t, spec2(), packet2(250, func(m []byte) { m[5] = seconds }), vrrp.DropInterval)
		g.counts("interval-errors", g.r.View().Counters.IntervalErrors, 1)
		if p := g.r.Peers(); len(p) != 1 || p[0].Interval != time.Duration(seconds)*s {
			t.Errorf("peers %+v", p)
		}
	}
	believedBy(t, spec2(interval(2*s)), packet2(250, func(m []byte) { m[5] = 2 }))
}

func otherList(m []byte) { m[11]-- } // 10.0.0.252

// With verify_addresses, another list is dropped; without, it is told and
// believed as in version 3. RFC 3768 7.1
//
// conformance: 2.9
func TestVersion2OtherAddresses(t *testing.T) {
	g := refusedBy(t, spec2(verifying), packet2(250, otherList), vrrp.DropAddressList)
	g.counts("address-list-errors", g.r.View().Counters.AddressListErrors, 1)
	refusedBy(t, spec2(verifying), packet2(0, otherList), vrrp.DropAddressList)

	g = believedBy(t, spec2(), packet2(250, otherList))
	g.counts("address-list-errors", g.r.View().Counters.AddressListErrors, 1)

	// The order is no difference.
	two := spec2(verifying, serving(addrs("10.0.0.252", "10.0.0.253")...))
	a := vrrp.Advert{Version: vrrp.Version2, VRID: 51, Priority: 250, Interval: s, Addresses: addrs("10.0.0.253", "10.0.0.252")}
	believedBy(t, two, datagram(peer4, vrrp.IPv4.Group(), a.Append(nil, peer4, vrrp.IPv4.Group(), vrrp.MessageOnly)))
}

// "unless the packet was generated by the address owner (Priority equals 255)". RFC 3768 7.1
//
// conformance: 2.10
func TestVersion2ButNotFromAnOwner(t *testing.T) {
	g := believedBy(t, spec2(verifying), packet2(255, otherList))
	g.counts("address-list-errors", g.r.View().Counters.AddressListErrors, 1)
}

// "the local router is not the IP Address owner": an owner hears nobody. RFC 3768 7.1
//
// conformance: 2.11
func TestVersion2OwnerListensToNobody(t *testing.T) {
	for _, p := range []uint8{0, 100, 254, 255} {
		g := refusedBy(t, spec2(priority(255)), packet2(p), vrrp.DropOwner)
		conflicts := uint64(0)
		if p == 255 {
			conflicts = 1 // only another owner is a conflict
		}
		g.counts("owner-conflicts", g.r.View().Counters.OwnerConflicts, conflicts)
		if peers := g.r.Peers(); len(peers) != 1 || peers[0].Priority != p {
			t.Errorf("peers %+v", peers)
		}
	}
}

// Version 2 discards a lower advertisement without a word on the wire; with
// answer_lower (keepalived) it is answered at once. RFC 3768 6.4.3
//
// conformance: 2.12
func TestVersion2LowerIsDiscarded(t *testing.T) {
	g := promoted(t, spec2())
	due := g.r.Deadline()
	g.wait(300 * ms)
	g.want(g.recv(peer4, 50, s), "tell lower-priority-active; announce again")
	g.want(g.recv(lower4, 100, s), "tell lower-priority-active")
	g.state(vrrp.Active)
	if g.r.Deadline() != due {
		t.Error("Adver_Timer moved")
	}
	g.counts("lower-discarded", g.r.View().Counters.LowerDiscarded, 2)

	g = promoted(t, spec2(compatible))
	g.wait(300 * ms)
	g.want(g.recv(peer4, 50, s), "tell lower-priority-active; send 100; announce again")
	g.took(s, g.r.Deadline()-g.now)
}

// Priority 0 is answered in either profile. RFC 3768 6.4.3
//
// conformance: 2.13
func TestVersion2PriorityZeroIsAnswered(t *testing.T) {
	for _, sp := range []vrrp.Spec{spec2(), spec2(compatible)} {
		g := promoted(t, sp)
		g.wait(700 * ms)
		g.want(g.recv(peer4, 0, s), "send 100")
		g.took(s, g.r.Deadline()-g.now)
	}
}

// Equal priority and a higher address win. RFC 3768 6.4.3
//
// conformance: 2.14
func TestVersion2EqualPriorityHigherAddress(t *testing.T) {
	g := promoted(t, spec2())
	g.want(g.recv(peer4, 100, s), "active>backup higher-address; release")
	g.took(g.until(vrrp.Active), downAt100)
	g = promoted(t, spec2(compatible))
	g.want(g.recv(peer4, 100, s), "send 100; active>backup higher-address; release")
	g = promoted(t, spec2())
	g.recv(lower4, 100, s)
	g.state(vrrp.Active)
}

// The election knows no accept mode: in either version an Active holds its
// addresses, and whether they answer is the host's to filter. RFC 3768 6.4.3
//
// conformance: 2.17
func TestVersion2AcceptModeIsNotOfTheElection(t *testing.T) {
	for _, sp := range []vrrp.Spec{spec2(), spec2(compatible)} {
		g := started(t, sp)
		g.want(plain(g.wait(downAt100)), "send 100; backup>active no-response; hold; announce")
	}
}

// In version 2 all routers have one interval, so a reload's is the Active's as
// well; what has run of the timer stays run.
func TestVersion2ConfigureInterval(t *testing.T) {
	g := started(t, spec2())
	for range 60 {
		g.recv(peer4, 150, s)
		g.wait(s)
	}
	g.want(g.step(vrrp.Configure{Spec: spec2(interval(2 * s))}), "")
	if v := g.r.View(); v.ActiveInterval != 2*s {
		t.Errorf("Active_Adver_Interval %v", v.ActiveInterval)
	}
	g.took(s+g.until(vrrp.Active), 6609375*time.Microsecond)

	g = started(t, spec2(interval(10*s)))
	g.recv(peer4, 150, 10*s)
	g.wait(20 * s)
	g.step(vrrp.Configure{Spec: spec2()}) // shorter than what has passed
	g.took(g.until(vrrp.Active), 0)
}
