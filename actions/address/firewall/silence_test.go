package firewall

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"testing"

	"github.com/gopacket/gopacket/layers"
	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/test/lab"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// TestSilence: 250 links up, addresses coming and going, and not one frame with
// a virtual MAC at the far end; so after the tables were lost and made anew.
func TestSilence(t *testing.T) {
	w := newWire(t, "vs0")
	var macs [][6]byte
	for i := range 250 {
		macs = append(macs, vmac(byte(4+2*(i%2)), byte(i+1)))
	}
	w.table.Silence(w.near, macs...)
	w.flush()
	var indexes []int
	for i, m := range macs {
		address := fmt.Sprintf("192.0.2.%d/32", i+2)
		if m[4] == 2 {
			address = fmt.Sprintf("2001:db8::%x/64", 0x100+i)
		}
		f := w.link(m, address)
		indexes = append(indexes, f.Index)
		if i%4 == 1 {
			lab.IP(t, "addr", "del", address, "dev", f.Name)
		}
	}
	if list := w.heard(quiet, 0, virtual); len(list) > 0 {
		t.Fatalf("%d frames with a virtual MAC, the first: %s", len(list), list[0])
	}
	if err := w.maker.Remove(indexes...); err != nil {
		t.Fatal(err)
	}
	if list := w.heard(settle, 0, virtual); len(list) > 0 {
		t.Fatalf("removing sent %d frames with a virtual MAC, the first: %s", len(list), list[0])
	}
}

// TestOpen: H1 and H2 of the conformance list, with every rp_filter a host may
// have; frames to the virtual MAC are dropped while it is silent.
func TestOpen(t *testing.T) {
	vip, mac := netip.MustParseAddr("192.0.2.100"), vmac(4, 61)
	for _, filter := range []string{"0", "1", "2"} {
		for _, bits := range []string{"/32", "/24"} {
			t.Run("rp_filter="+filter+" "+bits, func(t *testing.T) {
				w := newWire(t, "vo0")
				const file = "/proc/sys/net/ipv4/conf/all/rp_filter"
				before, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(filter), 0o644); err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = os.WriteFile(file, before, 0o644) })
				w.table.Silence(w.near, mac)
				w.flush()
				w.link(mac, vip.String()+bits)
				w.arp(vip)
				w.none("ARP while silent", arpReply(vip))
				w.ping(mac, vip)
				w.none("a ping while silent", echo(vip))

				w.table.Open(w.near, mac)
				w.flush()
				w.arp(vip)
				replies := w.answers(arpReply(vip))
				if len(replies) != 1 || !bytes.Equal(replies[0].source(), mac[:]) ||
					!bytes.Equal(replies[0].Layer(layers.LayerTypeARP).(*layers.ARP).SourceHwAddress, mac[:]) {
					t.Errorf("ARP for the virtual address: %d replies, %v", len(replies), replies)
				}
				w.ping(mac, vip)
				if len(w.answers(echo(vip))) != 1 {
					t.Error("the virtual address does not answer pings")
				}
				w.arp(own4)
				replies = w.answers(arpReply(own4))
				if len(replies) != 1 || !bytes.Equal(replies[0].source(), w.mac) {
					t.Errorf("ARP for the interface's own address: %d replies, %v", len(replies), replies)
				}

				w.table.Silence(w.near, mac)
				w.flush()
				w.ping(mac, vip)
				w.none("a ping after it was silenced", echo(vip))
			})
		}
	}
}

// TestSolicitation: NS are answered by the virtual MAC with R, S and O set.
func TestSolicitation(t *testing.T) {
	w := newWire(t, "vn0")
	mac := vmac(6, 62)
	w.link(mac, "fe80::100/64", "2001:db8::100/64")
	for _, vip := range []netip.Addr{netip.MustParseAddr("fe80::100"), netip.MustParseAddr("2001:db8::100")} {
		w.forget()
		w.solicit(vip)
		list := w.answers(advertisement(vip))
		if len(list) != 1 || !bytes.Equal(list[0].source(), mac[:]) {
			t.Fatalf("%s: %d answers, %v", vip, len(list), list)
		}
		na := list[0].Layer(layers.LayerTypeICMPv6NeighborAdvertisement).(*layers.ICMPv6NeighborAdvertisement)
		if na.Flags != 0xe0 {
			t.Errorf("%s: flags %#x, want R, S and O", vip, na.Flags)
		}
	}
}

// TestMarkedFramePasses: the first advert of a takeover leaves before the MAC
// is open, and unmarked frames with the same MAC do not.
func TestMarkedFramePasses(t *testing.T) {
	w := newWire(t, "vm0")
	mac := vmac(4, 63)
	w.table.Silence(w.near, mac)
	w.flush()
	near, err := packet.Listen(lookupInterface(t, w.near), packet.Raw, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer near.Close()
	c, err := near.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for i, mark := range []int{0, vrrp.FrameMark, 1} {
		if err := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_MARK, mark) }); err != nil {
			t.Fatal(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		frame := append([]byte{1, 0, 0x5e, 0, 0, 0x12}, mac[:]...)
		frame = append(frame, 0x88, 0xb5, byte(i)) // a local experimental protocol
		// A dropped frame is told to its sender as "no buffer space".
		if _, err := near.WriteTo(frame, &packet.Addr{HardwareAddr: w.farMAC}); (err == nil) != (mark == vrrp.FrameMark) {
			t.Errorf("mark %#x: %v", mark, err)
		}
	}
	list := w.answers(virtual)
	if len(list) != 1 || list[0].Data()[14] != 1 {
		t.Errorf("%d frames passed: %v", len(list), list)
	}
}
