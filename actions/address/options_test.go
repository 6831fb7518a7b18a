package address

import (
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// What ip-address(8) lets one say about an address is what iproute2 shows, on
// two links at once; addresses on a macvlan have the metrics that keep the
// host's own IPv4 traffic on the parent and prefer the macvlan for IPv6.
func TestOptionsAsIPRoute2ShowsThem(t *testing.T) {
	e0, e1 := veth(t, "e0"), veth(t, "e1")
	lab.IP(t, "addr", "add", "192.0.2.254/24", "dev", "e0")
	lab.IP(t, "addr", "add", "2001:db8::fe/64", "dev", "e0", "nodad")
	k, posted := start(t, ledgerPath(t), nil)
	w := actions.Wanted{Router: 1, Term: 1, Active: true,
		VirtualMAC: &actions.VirtualMAC{MAC: [6]byte{0, 0, 0x5e, 0, 1, 9}, Parent: e0, ParentName: "e0", IPv6: true},
		Addresses:  places(e0, "e0", "192.0.2.1/24", "2001:db8::1/64"),
		Routes:     []actions.Route{{Dst: netip.MustParsePrefix("203.0.113.0/24"), Link: e0, Scope: 253}, {Dst: netip.MustParsePrefix("10.0.0.0/8"), Kind: 6}, {Dst: netip.MustParsePrefix("2001:db8:7::/48"), Via: netip.MustParseAddr("2001:db8::9"), Table: 77, Metric: 5}},
		Rules:      []actions.Rule{{IPv6: true, From: netip.MustParsePrefix("2001:db8:7::/48"), Table: 77, Priority: 70}}}
	w.Addresses = append(w.Addresses, actions.Place{Link: e1, LinkName: "e1", Address: actions.Address{Prefix: netip.MustParsePrefix("198.51.100.1/24"),
		Interface: "e1", Label: "e1:web", Scope: 253, Broadcast: netip.MustParseAddr("198.51.100.255"), NoPrefixRoute: true}})
	k.Want(w)
	if a := applied(t, posted, 1, 1); a.Err != "" || a.NoVirtualMAC != "" || a.Note != "" {
		t.Fatalf("%+v", a)
	}
	got := shown(t, "e1", "198.51.100.1")
	for key, want := range map[string]any{"label": "e1:web", "scope": "link", "broadcast": "198.51.100.255", "noprefixroute": true, "prefixlen": 24.0} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
	for _, tt := range [][]string{
		{"route show dev vr4.9." + num(e0), "192.0.2.0/24 proto kernel scope link src 192.0.2.1 metric 1024"},
		{"route show dev vr4.9." + num(e0), "203.0.113.0/24 proto 112 scope link"},
		{"-6 route show dev vr4.9." + num(e0), "2001:db8::/64 proto kernel metric 128"},
		{"route show type blackhole", "blackhole 10.0.0.0/8 proto 112"},
		{"-6 route show table 77", "2001:db8:7::/48 via 2001:db8::9 dev vr4.9." + num(e0) + " proto 112 metric 5"},
		{"-6 rule show pref 70", "from 2001:db8:7::/48 lookup 77 proto 112"},
		{"route get 192.0.2.77", "192.0.2.77 dev e0 src 192.0.2.254"},
		{"-6 route get 2001:db8::77", "dev vr4.9." + num(e0)},
	} {
		if out := lab.IP(t, strings.Fields(tt[0])...); !strings.Contains(strings.Join(strings.Fields(out), " "), tt[1]) {
			t.Errorf("ip %s:\n%s\nwant %s", tt[0], out, tt[1])
		}
	}
	k.Want(actions.Wanted{Router: 1, Term: 2, Final: true})
	if a := applied(t, posted, 1, 2); a.Err != "" {
		t.Errorf("%+v", a)
	}
	for _, what := range []string{"addr show dev e1", "route show type blackhole", "-6 route show table 77", "-6 rule show pref 70"} {
		if out := lab.IP(t, strings.Fields(what)...); strings.Contains(out, "198.51.100.1") || !strings.HasPrefix(what, "addr") && strings.TrimSpace(out) != "" {
			t.Errorf("left: ip %s:\n%s", what, out)
		}
	}
}

func num(n int) string { return strconv.Itoa(n) }

// A bond that fails over says so in the link notice (IFLA_EVENT).
func TestFailoverNotices(t *testing.T) {
	notice := func(event uint32) linkMessage {
		b := make([]byte, unix.SizeofIfInfomsg)
		binary.NativeEndian.PutUint32(b[4:], 7)
		b = binary.NativeEndian.AppendUint16(b, 8)
		b = binary.NativeEndian.AppendUint16(b, unix.IFLA_EVENT)
		b = binary.NativeEndian.AppendUint32(b, event)
		m, err := parseLink(b)
		if err != nil || m.index != 7 {
			t.Fatalf("%+v, %v", m, err)
		}
		return m
	}
	for event, want := range map[uint32]bool{0: false, 1: false, 2: false, 3: true, 4: true, 5: false, 6: false} {
		if m := notice(event); m.movedNeighbours() != want {
			t.Errorf("event %d: %t", event, !want)
		}
	}
}
