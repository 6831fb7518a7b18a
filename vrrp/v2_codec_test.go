package vrrp_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// The version 2 messages of reference/vrrp.md 9, bit by bit and back.
//
// conformance: 2.1
func TestVersion2Vectors(t *testing.T) {
	group := vrrp.IPv4.Group()
	for _, tt := range []struct {
		name, want string
		a          vrrp.Advert
		src        netip.Addr
	}{
		{"9.1, keepalived", "2133c802000100d20a0000fb0a0000fc0000000000000000",
			vrrp.Advert{VRID: 51, Priority: 200, Interval: s, Addresses: addrs("10.0.0.251", "10.0.0.252")}, self4},
		{"priority 0", "213300020001c8d20a0000fb0a0000fc0000000000000000",
			vrrp.Advert{VRID: 51, Interval: s, Addresses: addrs("10.0.0.251", "10.0.0.252")}, self4},
		{"FRR frame 5", "2133c80100010bcf0a0000fb0000000000000000",
			vrrp.Advert{VRID: 51, Priority: 200, Interval: s, Addresses: addrs("10.0.0.251")}, self4},
		{"holo", "21331e010001b5c50a0001050000000000000000",
			vrrp.Advert{VRID: 51, Priority: 30, Interval: s, Addresses: addrs("10.0.1.5")}, self4},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.a.Version = vrrp.Version2
			for _, form := range []vrrp.ChecksumForm{vrrp.MessageOnly, vrrp.WithPseudoHeader} { // it knows one only
				if got := hex.EncodeToString(tt.a.Append(nil, tt.src, group, form)); got != tt.want {
					t.Errorf("%v:\n got %s\nwant %s", form, got, tt.want)
				}
			}
			sp := spec2(serving(tt.a.Addresses...))
			var d vrrp.Datagram
			if drop := vrrp.ParseIP(vrrp.IPv4, datagram(tt.src, group, unhex(t, tt.want)), &d); drop != vrrp.Accepted || d.VRID != 51 {
				t.Fatalf("ParseIP: %v, VRID %d", drop, d.VRID)
			}
			var a vrrp.Advert
			form, drop := vrrp.Validate(&d, &sp, &a)
			if drop != vrrp.Accepted || form != vrrp.MessageOnly {
				t.Fatalf("Validate: %v, %v", drop, form)
			}
			if a.Version != 2 || a.VRID != 51 || a.Priority != tt.a.Priority || a.Interval != s || !slices.Equal(a.Addresses, tt.a.Addresses) {
				t.Errorf("decoded %+v", a)
			}
		})
	}
}

// The password goes over the wire in clear, in its eight bytes, and nowhere else.
//
// conformance: 2.6
func TestSecretIsSentAndNeverPrinted(t *testing.T) {
	const word = "Tr0ub4d"
	sp := spec2(secret(word))
	msg := encode(sp)
	if msg[4] != vrrp.AuthSimpleText || string(msg[len(msg)-8:]) != word+"\x00" {
		t.Errorf("type %d, data %q", msg[4], msg[len(msg)-8:])
	}
	r := vrrp.New(sp)
	a := r.Advert(100)
	asJSON, err := json.Marshal([]any{sp, r.View(), a})
	if err != nil {
		t.Fatal(err)
	}
	for how, text := range map[string]string{
		"String": sp.Secret.String(), "GoString": sp.Secret.GoString(), "JSON": string(asJSON),
		"Spec %v": fmt.Sprintf("%v", sp), "Spec %+v": fmt.Sprintf("%+v", sp), "Spec %#v": fmt.Sprintf("%#v", sp), "*Spec %+v": fmt.Sprintf("%+v", &sp),
		"View %+v": fmt.Sprintf("%+v", r.View()), "Advert %v": fmt.Sprintf("%v", a), "Advert %#v": fmt.Sprintf("%#v", a),
		"%8s": fmt.Sprintf("%8s", sp.Secret), "%q": fmt.Sprintf("%q", sp.Secret), "%x": fmt.Sprintf("%x", sp.Secret),
	} {
		bytes := fmt.Sprint([]byte(word))
		if strings.Contains(text, word) || strings.Contains(text, hex.EncodeToString([]byte(word))) || strings.Contains(text, strings.Trim(bytes, "[]")) ||
			strings.Contains(text, fmt.Sprintf("%#x, %#x", word[0], word[1])) {
			t.Errorf("%s tells it: %s", how, text)
		}
	}
	if !strings.Contains(string(asJSON), `"Secret":"(set)"`) {
		t.Errorf("JSON does not say that there is one: %s", asJSON)
	}
	if none := (vrrp.Secret{}); none.String() != "(none)" {
		t.Errorf("no secret prints as %q", none)
	}
	// Version 3 has no place for one.
	three := spec4(secret(word))
	if got := encode(three); len(got) != 12 {
		t.Errorf("version 3 sends %x", got)
	}
}
