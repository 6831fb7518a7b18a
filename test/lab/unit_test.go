package lab

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
	"time"
)

const ms = time.Millisecond

// TestAnalyse feeds records made by hand: a request each millisecond, answered
// at once, by node 1 before and by node 2 after a hole.
func TestAnalyse(t *testing.T) {
	make := func(from, to time.Duration, node func(at time.Duration) byte) ([]sent, []answer) {
		var s []sent
		var a []answer
		for at := from; at < to; at += ms {
			n := node(at)
			s = append(s, sent{at: at, answered: n != 0})
			if n != 0 {
				a = append(a, answer{at: at, mac: [6]byte{n}})
			}
		}
		return s, a
	}
	tests := []struct {
		name     string
		node     func(time.Duration) byte
		silence  time.Duration
		takeover time.Duration
		lost     int
		changes  int
		answered bool
	}{
		{"nothing happens", func(time.Duration) byte { return 1 }, ms, 0, 0, 0, true},
		{"a hole", func(at time.Duration) byte {
			switch {
			case at < 500*ms:
				return 1
			case at < 800*ms:
				return 0
			}
			return 2
		}, 301 * ms, 300 * ms, 300, 1, true},
		{"no hole, another node", func(at time.Duration) byte {
			if at < 700*ms {
				return 1
			}
			return 2
		}, ms, 200 * ms, 0, 1, true},
		{"nobody comes", func(at time.Duration) byte {
			if at < 500*ms {
				return 1
			}
			return 0
		}, 501 * ms, 0, 480, 0, false},
		{"the same node comes back", func(at time.Duration) byte {
			if at >= 500*ms && at < 600*ms {
				return 0
			}
			return 1
		}, 101 * ms, 0, 100, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, a := make(0, 1000*ms, tt.node)
			r := analyse(s, a, 500*ms, 1000*ms)
			if r.Silence != tt.silence || r.Takeover != tt.takeover || r.Lost != tt.lost ||
				r.Changes != tt.changes || r.Answered != tt.answered {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestAnalyseOfNothing(t *testing.T) {
	r := analyse(nil, nil, 5*ms, 25*ms)
	if r.Silence != 20*ms || r.Answered || r.Sent != 0 {
		t.Errorf("got %+v", r)
	}
}

// TestParseAdvertOfRealPeers decodes what keepalived 2.2.7 and FRR 8.4.4 sent
// (captures, except the one over unicast), and what the lab itself encodes.
func TestParseAdvertOfRealPeers(t *testing.T) {
	four := Advert{Version: 3, Type: 1, VRID: 52, Priority: 200, Interval: time.Second,
		Addresses: []netip.Addr{netip.MustParseAddr("10.0.0.253")}}
	src, dst := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("224.0.0.18")
	for _, form := range []Form{MessageOnly, WithPseudo, BadSum} {
		a, err := parseAdvert(src, dst, four.Encode(src, dst, form))
		if err != nil {
			t.Fatal(err)
		}
		if a.Form != form {
			t.Errorf("encoded with %s, decoded as %s", form, a.Form)
		}
	}
	b := four.Encode(src, dst, MessageOnly)
	if _, err := parseAdvert(src, dst, b[:7]); err == nil {
		t.Error("7 bytes are accepted")
	}
	if _, err := parseAdvert(src, dst, append(b, 0, 0, 0, 0)); err == nil {
		t.Error("trailing bytes are accepted")
	}
	for _, v := range realAdverts {
		raw, err := hex.DecodeString(strings.ReplaceAll(v.hex, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		a, err := parseAdvert(netip.MustParseAddr(v.src), netip.MustParseAddr(v.dst), raw)
		if err != nil {
			t.Fatal(err)
		}
		if a.Form != WithPseudo || a.VRID != v.vrid || a.Priority != v.priority || int(a.Count) != len(a.Addresses) {
			t.Errorf("%s: %+v", v.src, a)
		}
	}
}

func TestRemedy(t *testing.T) {
	for name, want := range map[string]string{
		"kernel/unprivileged_userns_clone":             "sysctl kernel.unprivileged_userns_clone=1",
		"kernel/apparmor_restrict_unprivileged_userns": "apparmor_restrict_unprivileged_userns=0",
		"user/max_user_namespaces":                     "sysctl user.max_user_namespaces=",
		"":                                             "container",
	} {
		value := "0"
		if strings.Contains(name, "apparmor") {
			value = "1"
		}
		got := remedy(func(n string) string {
			if n == name {
				return value
			}
			return ""
		})
		if !strings.Contains(got, want) || !strings.Contains(got, "root") {
			t.Errorf("%s: %q", name, got)
		}
	}
}

var realAdverts = []struct {
	src, dst, hex  string
	vrid, priority uint8
}{
	{"10.0.0.1", "224.0.0.18", "3134c801006410d90a0000fd", 52, 200},
	{"10.0.0.1", "224.0.0.18", "313400010064d8d90a0000fd", 52, 0},
	{"10.0.0.1", "10.0.0.2", "3134c8010064e6e90a0000fd", 52, 200},
	{"fe80::ff:fe00:1", "ff02::12", "3135c8020064dc54fe800000000000000000000000000053 20010db8000000000000000000000053", 53, 200},
	{"fe80::b1:d414:5e6c:c6c6", "ff02::12", "3134c8010064e04220010db8000000000000000000000053", 52, 200},
}
