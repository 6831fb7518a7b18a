package advertise

import (
	"encoding/binary"
	"net"
	"net/netip"
	"slices"
	"testing"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/bpf"
)

// hostMAC is who asks.
var hostMAC = net.HardwareAddr{2, 0, 0, 0, 0, 7}

// asking is a Router Solicitation as a host sends it.
func asking(t testing.TB, source string, options ...ndp.Option) []byte {
	t.Helper()
	from := netip.MustParseAddr(source)
	body, err := ndp.MarshalMessageChecksum(&ndp.RouterSolicitation{Options: options}, from, allRouters)
	if err != nil {
		t.Fatal(err)
	}
	b := slices.Concat(allRoutersMAC, hostMAC, []byte{0x86, 0xdd, 0x60, 0, 0, 0, 0, byte(len(body)), 58, 255}, from.AsSlice(), allRouters.AsSlice(), body)
	return b
}

// changed returns a copy of a frame with some bytes replaced and, if it is to
// be, a checksum that adds up again.
func changed(b []byte, again bool, at int, by ...byte) []byte {
	b = slices.Clone(b)
	copy(b[at:], by)
	if again {
		resum(b)
	}
	return b
}

// resum makes the checksum of a frame that is long enough for one add up.
func resum(b []byte) {
	if len(b) < ethernetSize+ipv6Size+4 {
		return
	}
	ip := b[ethernetSize:]
	message := ip[ipv6Size:]
	message = message[:min(len(message), max(4, int(binary.BigEndian.Uint16(ip[4:]))))]
	message[2], message[3] = 0, 0
	binary.BigEndian.PutUint16(message[2:], ^total(ip, message))
}

func TestWhichSolicitationsAreValid(t *testing.T) {
	own := &ndp.LinkLayerAddress{Direction: ndp.Source, Addr: hostMAC}
	good := asking(t, "fe80::7", own)
	const ip, icmp = ethernetSize, ethernetSize + ipv6Size
	for _, c := range []struct {
		name  string
		frame []byte
		want  bool
	}{
		{"of a host", good, true},
		{"without options", asking(t, "fe80::7"), true},
		{"without an address yet", asking(t, "::"), true},
		{"from a global address", asking(t, "2001:db8::7", own), true},
		{"padded", append(slices.Clone(good), 1, 2, 3), true},
		{"with an unknown option", changed(good, true, icmp+8, 200), true},
		{"link-layer address of nobody", asking(t, "::", own), false},
		{"from a group", asking(t, "ff02::7"), false},
		{"routed: hop limit 254", changed(good, false, ip+7, 254), false},
		{"wrong checksum", changed(good, false, icmp+2, good[icmp+2]^1), false},
		{"code 1", changed(good, true, icmp+1, 1), false},
		{"an advertisement", changed(good, true, icmp, 134), false},
		{"option of no length", changed(good, true, icmp+9, 0), false},
		{"option beyond the end", changed(good, true, icmp+9, 2), false},
		{"payload longer than the frame", changed(good, false, ip+4, 1), false},
		{"payload too short", changed(good, false, ip+5, 7), false},
		{"UDP", changed(good, false, ip+6, 17), false},
		{"IPv4", changed(good, false, 12, 0x08, 0x00), false},
		{"version 4", changed(good, false, ip, 0x45), false},
		{"cut off", good[:icmp+7], false},
		{"nothing", nil, false},
	} {
		if got := solicitation(c.frame); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

// The extensions (packet type, VLAN tag) are the kernel's and left out here,
// which the jumps allow; the rest is run on frames.
func TestTheFilterKnowsSolicitations(t *testing.T) {
	prog, all := bpf.Disassemble(solicitFilter())
	if !all {
		t.Fatal("the filter cannot be read back")
	}
	vm, err := bpf.NewVM(prog[4:])
	if err != nil {
		t.Fatal(err)
	}
	good := asking(t, "fe80::7")
	for name, c := range map[string]struct {
		frame []byte
		pass  bool
	}{
		"solicitation":  {good, true},
		"advertisement": {changed(good, false, ethernetSize+ipv6Size, 134), false},
		"UDP":           {changed(good, false, ethernetSize+6, 17), false},
		"VLAN":          {changed(good, false, 12, 0x81, 0), false},
		"cut off":       {good[:ethernetSize+ipv6Size], false},
	} {
		if n, err := vm.Run(c.frame); err != nil || n > 0 != c.pass {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
}

func FuzzSolicitation(f *testing.F) {
	f.Add(asking(f, "fe80::7", &ndp.LinkLayerAddress{Direction: ndp.Source, Addr: hostMAC}))
	f.Add(asking(f, "::"))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = slices.Clone(b)
		resum(b) // otherwise hardly anything gets past the checksum
		if solicitation(b) && (len(b) < ethernetSize+ipv6Size+solicitationSize || b[ethernetSize+7] != 255) {
			t.Errorf("valid: %x", b)
		}
	})
}
