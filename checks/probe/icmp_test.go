package probe

import (
	"context"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/test/lab"
)

func addrs(list ...string) (out []netip.Addr) {
	for _, s := range list {
		out = append(out, netip.MustParseAddr(s))
	}
	return out
}

// bothSockets runs f with each kind of ICMP socket.
func bothSockets(t *testing.T, f func(t *testing.T, b *bench)) {
	for _, name := range []string{"ping", "raw"} {
		t.Run(name, func(t *testing.T) {
			sysctl(t, "ipv4/ping_group_range", "0 0")
			b := newBench(t)
			if name == "raw" {
				b.pool.echo4.socket, b.pool.echo6.socket = noPing, noPing
			}
			f(t, b)
			for _, e := range []*echoer{&b.pool.echo4, &b.pool.echo6} {
				if e.conn != nil && e.raw != (name == "raw") {
					t.Errorf("raw socket: %t", e.raw)
				}
				if len(e.waiting) > 0 {
					t.Errorf("%d requests were not forgotten", len(e.waiting))
				}
			}
		})
	}
}

// noPing is where the group is not in ping_group_range.
func noPing(network, address string) (*icmp.PacketConn, error) {
	if strings.HasPrefix(network, "udp") {
		return nil, syscall.EACCES
	}
	return icmp.ListenPacket(network, address)
}

func TestICMP(t *testing.T) {
	bothSockets(t, func(t *testing.T, b *bench) {
		b.want(checks.ICMP{Targets: addrs("127.0.0.1"), Quorum: 1}, checks.Passed, "answered in ")
		b.want(checks.ICMP{Targets: addrs("::1"), Quorum: 1}, checks.Passed, "answered in ")
		b.want(checks.ICMP{Targets: addrs("127.0.0.1", "::1", "127.0.0.9"), Quorum: 3}, checks.Passed, "3 of 3 answered, wanted 3")
		b.want(checks.ICMP{Targets: addrs("127.0.0.1"), Quorum: 1, Source: addrs("127.0.0.5")[0], Interface: "lo"}, checks.Passed, "answered")
		b.want(checks.ICMP{Targets: addrs("::1"), Quorum: 1, Source: addrs("::1")[0], Interface: "lo"}, checks.Passed, "answered")
		b.want(checks.ICMP{Targets: addrs("203.0.113.7"), Quorum: 1}, checks.Failed, "203.0.113.7: network unreachable")
		b.want(checks.ICMP{Targets: addrs("2001:db8::7"), Quorum: 1}, checks.Failed, "2001:db8::7: network unreachable")
		b.want(checks.ICMP{Targets: addrs("203.0.113.7", "127.0.0.1"), Quorum: 1}, checks.Passed, "1 of 2 answered, wanted 1")
		b.want(checks.ICMP{Targets: addrs("203.0.113.7", "127.0.0.1"), Quorum: 2}, checks.Failed, "1 of 2 answered, wanted 2: 203.0.113.7: network unreachable")
		b.want(checks.ICMP{Targets: addrs("127.0.0.1"), Quorum: 1, Source: addrs("203.0.113.7")[0]}, checks.NotRun, "not on this host")
		b.want(checks.ICMP{Targets: addrs("fe80::1%nosuch0"), Quorum: 1}, checks.Failed, "the interface nosuch0 does not exist")
		b.want(checks.ICMP{Targets: addrs("127.0.0.1"), Quorum: 1, Interface: "nosuch0"}, checks.Failed, "the interface nosuch0 does not exist")
		sysctl(t, "ipv4/icmp_echo_ignore_all", "1")
		if got := b.ask(200*time.Millisecond, checks.ICMP{Targets: addrs("127.0.0.1"), Quorum: 1}); got.Outcome != checks.Failed || got.Detail != "127.0.0.1 does not answer" {
			t.Errorf("silent: %+v", got)
		}
	})
}

// Across a link: the target's answer counts, also from a link-local address, and
// by the interface that was named.
func TestICMPOverALink(t *testing.T) {
	lab.Need(t)
	ns := neighbour(t, "near0", "far0")
	far, err := netlink.NewHandleAt(ns)
	if err != nil {
		t.Fatal(err)
	}
	defer far.Close()
	l, err := far.LinkByName("far0")
	if err != nil {
		t.Fatal(err)
	}
	mac := l.Attrs().HardwareAddr
	local := netip.AddrFrom16([16]byte{0xfe, 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]})
	bothSockets(t, func(_ *testing.T, b *bench) {
		b.want(checks.ICMP{Targets: addrs("10.9.0.2", "fd09::2"), Quorum: 2}, checks.Passed, "2 of 2")
		b.want(checks.ICMP{Targets: addrs("10.9.0.2"), Quorum: 1, Source: addrs("10.9.0.1")[0], Interface: "near0"}, checks.Passed, "answered")
		b.want(checks.ICMP{Targets: []netip.Addr{local.WithZone("near0")}, Quorum: 1}, checks.Passed, "answered")
		b.want(checks.ICMP{Targets: []netip.Addr{local}, Quorum: 1, Interface: "near0"}, checks.Passed, "answered")
		if got := b.ask(300*time.Millisecond, checks.ICMP{Targets: addrs("10.9.0.77"), Quorum: 1}); got.Outcome != checks.Failed {
			t.Errorf("nobody there: %+v", got)
		}
		// By the wrong interface nobody is there.
		if got := b.ask(300*time.Millisecond, checks.ICMP{Targets: addrs("10.9.0.2"), Quorum: 1, Interface: "lo"}); got.Outcome != checks.Failed {
			t.Errorf("by lo: %+v", got)
		}
	})
}

// impostor answers echo requests on the loopback interface as it is told, in the
// place of the kernel.
type impostor struct {
	how atomic.Value // func(c net.PacketConn, target net.IP, echo icmp.Echo)
}

func newImpostor(t *testing.T) *impostor {
	t.Helper()
	sysctl(t, "ipv4/icmp_echo_ignore_all", "1")
	conn, err := icmp.ListenPacket("ip4:icmp", "0.0.0.0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	im := &impostor{}
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			m, err := icmp.ParseMessage(1, buf[:n])
			if err != nil || m.Type != ipv4.ICMPTypeEcho {
				continue
			}
			if how, ok := im.how.Load().(func(net.Addr, icmp.Echo)); ok {
				how(from, *m.Body.(*icmp.Echo))
			}
		}
	}()
	return im
}

// reply sends an echo reply from an address.
func reply(t *testing.T, source string, to net.Addr, kind ipv4.ICMPType, e icmp.Echo) {
	conn, err := icmp.ListenPacket("ip4:icmp", source)
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	b, err := (&icmp.Message{Type: kind, Body: &e}).Marshal(nil)
	if err == nil {
		_, err = conn.WriteTo(b, to)
	}
	if err != nil {
		t.Error(err)
	}
}

// Only the target's answer to this very request counts.
func TestICMPFromSomebodyElse(t *testing.T) {
	bothSockets(t, func(t *testing.T, b *bench) {
		im := newImpostor(t)
		target := checks.ICMP{Targets: addrs("127.0.0.2"), Quorum: 1}
		for name, c := range map[string]struct {
			how    func(to net.Addr, e icmp.Echo)
			detail string
		}{
			"from another address": {func(to net.Addr, e icmp.Echo) { reply(t, "127.0.0.3", to, ipv4.ICMPTypeEchoReply, e) }, "127.0.0.2 does not answer (but 127.0.0.3 does)"},
			"another number":       {func(to net.Addr, e icmp.Echo) { e.Seq++; reply(t, "127.0.0.2", to, ipv4.ICMPTypeEchoReply, e) }, "127.0.0.2 does not answer"},
			"another id":           {func(to net.Addr, e icmp.Echo) { e.ID++; reply(t, "127.0.0.2", to, ipv4.ICMPTypeEchoReply, e) }, "127.0.0.2 does not answer"},
			"guessed": {func(to net.Addr, e icmp.Echo) {
				e.Data = make([]byte, nonceSize)
				reply(t, "127.0.0.2", to, ipv4.ICMPTypeEchoReply, e)
			}, "127.0.0.2 does not answer"},
			"too short": {func(to net.Addr, e icmp.Echo) { e.Data = nil; reply(t, "127.0.0.2", to, ipv4.ICMPTypeEchoReply, e) }, "127.0.0.2 does not answer"},
			"huge": {func(to net.Addr, e icmp.Echo) {
				e.Data = append(e.Data, make([]byte, 20000)...)
				reply(t, "127.0.0.2", to, ipv4.ICMPTypeEchoReply, e)
			}, "127.0.0.2 does not answer"},
		} {
			im.how.Store(c.how)
			if got := b.ask(150*time.Millisecond, target); got.Outcome != checks.Failed || got.Detail != c.detail {
				t.Errorf("%s: %s %q", name, got.Outcome, got.Detail)
			}
		}
		im.how.Store(func(to net.Addr, e icmp.Echo) {
			reply(t, "127.0.0.3", to, ipv4.ICMPTypeEchoReply, e)
			reply(t, "127.0.0.2", to, ipv4.ICMPTypeEchoReply, e)
			reply(t, "127.0.0.2", to, ipv4.ICMPTypeEchoReply, e) // twice is once
		})
		b.want(target, checks.Passed, "answered in ")
	})
}

// A thousand at a time share the socket, and each gets its own answer.
func TestThousandEchoes(t *testing.T) {
	bothSockets(t, func(t *testing.T, b *bench) {
		const n = 1000
		for i := range uint64(n) {
			target := netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)})
			b.pool.Probe(checks.Job{Check: 1, Run: i, Timeout: 2 * time.Second, Probe: checks.ICMP{Targets: []netip.Addr{target}, Quorum: 1}})
		}
		bad := 0
		for range n {
			if d := <-b.got; d.Outcome != checks.Passed {
				bad++
			}
		}
		// A busy machine may drop some in the queue of the loopback interface.
		if bad > n/20 {
			t.Errorf("%d of %d failed", bad, n)
		}
	})
}

// Without privilege and group, the remedy is named, and nothing has failed.
func TestNoICMPSocket(t *testing.T) {
	lab.Need(t)
	got := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlock: the thread has lost its rights
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			got <- err
			return
		}
		e := echoer{socket: noPing}
		_, _, err := e.open(context.Background())
		got <- err
	}()
	err := <-got
	if err == nil || !strings.Contains(err.Error(), "CAP_NET_RAW") || !strings.Contains(err.Error(), "ping_group_range") {
		t.Error(err)
	}
	var c tally
	c.refused(addrs("127.0.0.1")[0], err, netip.Addr{})
	if res := c.judge(checks.ICMP{Targets: addrs("127.0.0.1"), Quorum: 1}, 0); res.Outcome != checks.NotRun || res.Detail != err.Error() {
		t.Errorf("%+v", res)
	}
}

// A socket that breaks is opened again.
func TestICMPSocketThatBreaks(t *testing.T) {
	bothSockets(t, func(_ *testing.T, b *bench) {
		v := checks.ICMP{Targets: addrs("127.0.0.1"), Quorum: 1}
		b.want(v, checks.Passed, "answered")
		b.pool.echo4.mu.Lock()
		old := b.pool.echo4.conn
		b.pool.echo4.mu.Unlock()
		old.Close()
		for deadline := time.Now().Add(10 * time.Second); ; {
			b.pool.echo4.mu.Lock()
			gone := b.pool.echo4.conn != old
			b.pool.echo4.mu.Unlock()
			if gone || time.Now().After(deadline) {
				break
			}
			runtime.Gosched()
		}
		b.want(v, checks.Passed, "answered")
	})
}
