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
	f.Add(false, stimulus(vrrp.IPv4))
	f.Add(true, stimulus(vrrp.IPv6))
	f.Add(false, broken(stimulus(vrrp.IPv4), func(b []byte) { b[24] = 0xf0 }))
	f.Add(false, datagram(peer4, vrrp.IPv4.Group(), encode(spec4(sends(vrrp.ChecksumRFC5798)))))
	f.Add(false, datagram(peer4, vrrp.IPv4.Group(), []byte{0x21, 52, 100, 1, 0, 1, 0, 0}))
	f.Add(true, make([]byte, 39))
	f.Fuzz(func(t *testing.T, six bool, packet []byte) {
		family := vrrp.IPv4
		if six {
			family = vrrp.IPv6
		}
		var d vrrp.Datagram
		if vrrp.ParseIP(family, packet, &d) != vrrp.Accepted {
			return
		}
		var a vrrp.Advert
		form, drop := vrrp.Validate(&d, &a)
		if drop != vrrp.Accepted {
			if form != vrrp.FormUnknown {
				t.Errorf("dropped as %v with form %v", drop, form)
			}
			return
		}
		want, got := slices.Clone(d.Message), a.Append(nil, d.Src, d.Dst, form)
		if want[4]>>4 != 0 { // written again, Reserve is zero and the checksum fits it
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
