package vrrp_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// FuzzParse: whatever arrives, nothing panics, and what is accepted says the
// same when it is written again, but for the Reserve nibble and the two ways
// to write a checksum of zero.
//
// conformance: V29
func FuzzParse(f *testing.F) {
	specs := []vrrp.Spec{spec4(), spec6(), spec2(), spec2(secret("abcdefgh")), spec2(verifying), spec4(unicast(peer4, 255)),
		spec6(unicast(peer6, 1)), spec6(func(sp *vrrp.Spec) { sp.AcceptGlobalFirst = true })}
	f.Add(uint8(0), stimulus(vrrp.IPv4))
	f.Add(uint8(1), stimulus(vrrp.IPv6))
	f.Add(uint8(0), broken(stimulus(vrrp.IPv4), func(b []byte) { b[24] = 0xf0 }))
	f.Add(uint8(0), datagram(peer4, vrrp.IPv4.Group(), encode(spec4(sends(vrrp.ChecksumRFC5798)))))
	f.Add(uint8(0), datagram(peer4, vrrp.IPv4.Group(), []byte{0x21, 52, 100, 1, 0, 1, 0, 0}))
	f.Add(uint8(1), make([]byte, 39))
	for i, sp := range specs[2:] {
		dst := sp.MulticastGroup()
		if sp.Unicast() {
			dst = source(sp.Family)
		}
		r := vrrp.New(sp)
		a := r.Advert(150)
		f.Add(uint8(2+i), datagram(peerOf(sp.Family), dst, a.Append(nil, peerOf(sp.Family), dst, r.Form())))
	}
	f.Fuzz(func(t *testing.T, which uint8, packet []byte) {
		sp := specs[int(which)%len(specs)]
		var d vrrp.Datagram
		if vrrp.ParseIP(sp.Family, packet, &d) != vrrp.Accepted {
			return
		}
		a := vrrp.Advert{Secret: sp.Secret}
		form, drop := vrrp.Validate(&d, &sp, &a)
		r := vrrp.New(sp)
		r.Refuse(&d, drop, epoch) // whatever was refused, remembering it panics as little
		if p := r.Peers(); len(p) == 1 && p[0].Src != d.Src || len(p) > 1 {
			t.Errorf("remembers %+v", p)
		}
		if drop != vrrp.Accepted {
			if form != vrrp.FormUnknown {
				t.Errorf("dropped as %v with form %v", drop, form)
			}
			return
		}
		want, got := slices.Clone(d.Message), a.Append(nil, d.Src, d.Dst, form)
		if sp.V() == vrrp.Version2 && want[4] == vrrp.AuthNone {
			// Data of type 0 is ignored (RFC 3768 5.3.10) and written as zero.
			tail := len(want) - 8
			copy(want[tail:], got[tail:])
			copy(want[6:8], got[6:8])
		}
		if sp.V() == vrrp.Version3 && want[4]>>4 != 0 { // written again, Reserve is zero and the checksum fits it
			want[4] &= 0x0f
			copy(want[6:8], got[6:8])
		}
		if want[6] == 0xff && want[7] == 0xff || want[6] == 0 && want[7] == 0 {
			want[6], want[7] = got[6], got[7]
			if sum := binary.BigEndian.Uint16(got[6:]); sum != 0 && sum != 0xffff {
				t.Errorf("checksum 0 was read and %04x written", sum)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("read  % x\nwrote % x", want, got)
		}
		if sp.V() == vrrp.Version2 && a.Interval != sp.Interval {
			t.Errorf("version 2 took an interval of %v", a.Interval)
		}
		if sp.Unicast() && !sp.HasPeer(d.Src) {
			t.Errorf("%v is no peer", d.Src)
		}
		if a.Interval < vrrp.MinInterval || a.Interval > vrrp.MaxInterval {
			t.Errorf("interval %v", a.Interval)
		}
	})
}

// FuzzStep looks for histories that break a law.
func FuzzStep(f *testing.F) {
	f.Add([]byte{0, 0, 10, 4, 0, 240, 0, 190})
	f.Add([]byte("\x01\x10\x30\x02\x01\xf0\x00\xc0\x10\x00\x10\x00\x10\x80\x02\x05\x05\xff\xff\x00\x00\x00\x00"))
	rng := rand.New(rand.NewPCG(9568, 3768))
	for range 20 {
		data := make([]byte, 400)
		for j := range data {
			data[j] = byte(rng.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { drive(t, data) })
}
