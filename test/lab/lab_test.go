package lab

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"
)

func TestMain(m *testing.M) { Main(Options{}, m.Run) }

// newLab makes r1, r2 and client.
func newLab(t *testing.T) (*Lab, context.Context) {
	t.Helper()
	return ForTest(t, Plan{Hosts: []string{"r1", "r2", "client"}}, 30*time.Second)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var vip = netip.MustParsePrefix("10.77.0.100/24")

func TestTwoLabsDoNotMeet(t *testing.T) {
	a, _ := newLab(t)
	b, _ := newLab(t)
	must(t, a.Host("r1").AddAddr(vip))
	if got := b.Holders(vip.Addr()); got != nil {
		t.Errorf("the other lab's holders are %v", got)
	}
	names, err := b.Host("client").WhoHas(vip.Addr(), 100*time.Millisecond)
	must(t, err)
	if names != nil {
		t.Errorf("in the other lab %v answer", names)
	}
}

func TestWhoHasAsksTheWire(t *testing.T) {
	l, ctx := newLab(t)
	for _, p := range []string{"10.77.0.100/24", "fd77::100/64", "fe80::100/64"} {
		p := netip.MustParsePrefix(p)
		var want []string
		for _, host := range []string{"r1", "r2"} {
			must(t, l.Host(host).AddAddr(p))
			want = append(want, host)
			// A kernel worker makes a new IPv6 address answer, a moment later.
			var names []string
			err := Until(ctx, "an answer of "+host, func() bool {
				var err error
				names, err = l.Host("client").WhoHas(p.Addr(), 100*time.Millisecond)
				must(t, err)
				return slices.Contains(names, host)
			})
			if err != nil || !slices.Equal(names, want) {
				t.Errorf("%s: %v answer, want %v (%v)", p, names, want, err)
			}
		}
	}
}

func TestCutTakesTheCarrierAndLoseDoesNot(t *testing.T) {
	l, ctx := newLab(t)
	r1 := l.Host("r1")
	ping := func() bool {
		names, err := l.Host("client").WhoHas(r1.Addr4(0).Addr(), 50*time.Millisecond)
		must(t, err)
		return len(names) > 0
	}
	carrier := func() bool {
		out, err := r1.Run(ctx, "cat", "/proc/thread-self/net/dev")
		must(t, err)
		if !strings.Contains(out, "eth0") {
			t.Fatalf("the command does not run on the host: %s", out)
		}
		eth, err := r1.eth(0)
		must(t, err)
		return eth.Attrs().OperState.String() == "up"
	}
	if !ping() || !carrier() {
		t.Fatal("a new host does not answer")
	}
	must(t, r1.Cut())
	if ping() || carrier() {
		t.Error("after Cut: still there")
	}
	must(t, r1.Heal())
	must(t, Until(ctx, "the host after Heal", func() bool { return carrier() && ping() }))
	must(t, r1.Lose())
	if ping() {
		t.Error("after Lose: it still answers")
	}
	if !carrier() {
		t.Error("after Lose: it has lost its carrier")
	}
	must(t, r1.Unlose())
	must(t, Until(ctx, "the host after Unlose", ping))
	must(t, r1.Unplug())
	if r1.Has(r1.Addr4(0).Addr()) {
		t.Error("after Unplug: eth0 is still there")
	}
	must(t, r1.Replug())
	must(t, Until(ctx, "the host after Replug", ping))
	must(t, r1.Down())
	must(t, r1.Up())
	must(t, Until(ctx, "the host after Up", ping))
}

func TestSnifferDecodesWhatIsForged(t *testing.T) {
	l, ctx := newLab(t)
	s, err := l.Sniff()
	must(t, err)
	from := Now()
	four := Advert{VRID: 61, Priority: 150, Interval: 100 * time.Millisecond, Addresses: []netip.Addr{vip.Addr()}}
	six := four
	six.Addresses = []netip.Addr{netip.MustParseAddr("fe80::61"), netip.MustParseAddr("fd77::100")}
	must(t, l.Host("r1").Forge(Forgery{Advert: four}))
	must(t, l.Host("r1").Forge(Forgery{Advert: four, Sum: WithPseudo, TTL: 254}))
	must(t, l.Host("r2").Forge(Forgery{Advert: six}))
	must(t, l.Host("r2").Forge(Forgery{Advert: six, Sum: BadSum}))
	must(t, l.Host("r2").Forge(Forgery{Advert: four, Message: []byte{0x31, 61, 100, 3, 0, 100, 0, 0}}))
	must(t, Until(ctx, "five adverts", func() bool { return len(s.Adverts(from, ""))+len(s.Malformed()) == 5 }))
	got := s.Adverts(from, "")
	want := []struct {
		host, src string
		ttl       uint8
		form      Form
		n         int
	}{
		{"r1", "10.77.0.1", 255, MessageOnly, 1},
		{"r1", "10.77.0.1", 254, WithPseudo, 1},
		{"r2", l.Host("r2").LinkLocal(0).String(), 255, WithPseudo, 2},
		{"r2", l.Host("r2").LinkLocal(0).String(), 255, BadSum, 2},
	}
	for i, w := range want {
		f := got[i]
		if f.Host != w.host || f.Src.String() != w.src || f.TTL != w.ttl || f.Advert.Form != w.form ||
			len(f.Advert.Addresses) != w.n || f.Advert.VRID != 61 || f.Advert.Priority != 150 ||
			f.Advert.Interval != 100*time.Millisecond || f.TOS != 0xc0 {
			t.Errorf("frame %d is %+v %+v, want %+v", i, f, f.Advert, w)
		}
	}
	var pcap bytes.Buffer
	must(t, s.WritePcap(&pcap))
	if pcap.Len() < 24+5*16 {
		t.Errorf("the capture file has %d bytes", pcap.Len())
	}
}

func TestDeafenStopsAdvertsOnly(t *testing.T) {
	l, ctx := newLab(t)
	a := Advert{VRID: 61, Priority: 150, Interval: time.Second, Addresses: []netip.Addr{vip.Addr()}}
	heard := func() bool {
		c, err := openCapture(l.Host("r2").space, withoutPings)
		must(t, err)
		defer c.close()
		must(t, l.Host("r1").Forge(Forgery{Advert: a}))
		stop, found := make(chan struct{}), false
		timer := time.AfterFunc(100*time.Millisecond, func() { close(stop) })
		defer timer.Stop()
		c.run(stop, func(f captured) { found = found || decodeFrame(f.data).Advert != nil })
		return found
	}
	must(t, Until(ctx, "an advert at r2", heard))
	must(t, l.Host("r2").Deafen())
	if heard() {
		t.Error("a deaf host hears adverts")
	}
	names, err := l.Host("client").WhoHas(l.Host("r2").Addr4(0).Addr(), 100*time.Millisecond)
	must(t, err)
	if !slices.Equal(names, []string{"r2"}) {
		t.Errorf("a deaf host does not answer ARP: %v", names)
	}
	must(t, l.Host("r2").Undeafen())
	if !heard() {
		t.Error("it stays deaf")
	}
}

// TestProbeMeasuresAHandMadeFailover moves an address by hand, with a known
// hole, and finds the same hole in the client's report.
func TestProbeMeasuresAHandMadeFailover(t *testing.T) {
	for _, p := range []string{"10.77.0.100/24", "fd77::100/64"} {
		t.Run(p, func(t *testing.T) {
			l, ctx := newLab(t)
			vip := netip.MustParsePrefix(p)
			must(t, l.Host("r1").AddAddr(vip))
			probe, err := l.Host("client").Probe(ProbeSpec{Target: vip.Addr()})
			must(t, err)
			must(t, Until(ctx, "r1's answer", func() bool { return probe.Answerer() == "r1" }))
			steady := Now()
			time.Sleep(200 * time.Millisecond)
			if r := probe.Since(steady); r.Lost > 0 || r.By != "" || !r.Answered || r.Sent < 100 {
				t.Errorf("nothing happened, but %s", r)
			}
			fault := Now()
			must(t, l.Host("r1").DelAddr(vip))
			time.Sleep(300 * time.Millisecond)
			back := Now()
			must(t, l.Host("r2").AddAddr(vip))
			must(t, l.Host("r2").announceOnce(vip.Addr()))
			must(t, Until(ctx, "r2's answer", func() bool { return probe.Answerer() == "r2" }))
			time.Sleep(50 * time.Millisecond)
			r := probe.Since(fault)
			t.Log(r)
			hole := back - fault
			if r.From != "r1" || r.By != "r2" || r.Changes != 1 || r.Lost == 0 {
				t.Errorf("report %+v", r)
			}
			if off := r.Silence - hole; off < -5*time.Millisecond || off > 100*time.Millisecond {
				t.Errorf("the hole was %s, the client measured %s", hole, r.Silence)
			}
			if off := r.Takeover - r.Silence; off < -5*time.Millisecond-r.WorstStall || off > 5*time.Millisecond+r.WorstStall {
				t.Errorf("silence %s, but takeover %s", r.Silence, r.Takeover)
			}
		})
	}
}

// TestTwoKeepalived shows that the lab measures what is known of keepalived:
// a SIGTERM costs the client one skew, a SIGKILL nothing, and a cut three
// intervals and more (performance.md A).
func TestTwoKeepalived(t *testing.T) {
	NeedPeer(t, KeepalivedPath)
	l, ctx := newLab(t)
	start := func(host, priority string) *Keepalived {
		k, err := l.Host(host).Keepalived(`vrrp_instance v {
  state BACKUP
  interface eth0
  virtual_router_id 61
  version 3
  advert_int 0.2
  priority `+priority+`
  virtual_ipaddress { 10.77.0.100/24 }
}`, "-D")
		must(t, err)
		must(t, k.Start())
		return k
	}
	r1, r2 := start("r1", "150"), start("r2", "100")
	probe, err := l.Host("client").Probe(ProbeSpec{Target: vip.Addr()})
	must(t, err)
	answers := func(host string) {
		t.Helper()
		if err := Until(ctx, host+" to answer", func() bool { return probe.Answerer() == host }); err != nil {
			t.Fatalf("%v\n%s\n%s", err, r1.Log(), r2.Log())
		}
	}
	answers("r1")
	if rss, err := r1.RSS(); err != nil || rss < 1<<20 {
		t.Errorf("it has %d bytes resident, %v", rss, err)
	}
	fault := Now()
	must(t, r1.Stop(ctx))
	answers("r2")
	report := probe.Since(fault)
	t.Log("SIGTERM:", report)
	if report.Takeover < 80*time.Millisecond || report.Takeover > 600*time.Millisecond {
		t.Error("this should have taken a skew of 122 ms")
	}
	must(t, r1.Start())
	answers("r1")
	fault = Now()
	must(t, l.Host("r1").Cut())
	answers("r2")
	report = probe.Since(fault)
	t.Log("link cut:", report)
	if report.Silence < 400*time.Millisecond || report.Silence > 1200*time.Millisecond {
		t.Error("this should have taken 522 to 722 ms")
	}
	must(t, l.Host("r1").Heal())
	answers("r1")
	time.Sleep(300 * time.Millisecond)
	fault = Now()
	r1.Kill()
	answers("r2")
	report = probe.Since(fault)
	t.Log("SIGKILL:", report)
	if report.Silence > 100*time.Millisecond || report.Takeover < 400*time.Millisecond {
		t.Error("the dead host's address should have gone on answering until the takeover")
	}
}

// TestProcessesDieWithTheLab starts a process that ignores SIGTERM.
func TestProcessesDieWithTheLab(t *testing.T) {
	l, ctx := newLab(t)
	p, err := l.Host("r1").Start(exec.Command("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done"))
	must(t, err)
	must(t, Until(ctx, "the process", func() bool { return strings.Contains(p.Output(), "ready") }))
	must(t, l.Close())
	select {
	case <-p.Done():
	default:
		t.Error("it is still there")
	}
}

// announceOnce sends a gratuitous ARP or an unsolicited NA.
func (h *Host) announceOnce(a netip.Addr) error {
	mac := h.MAC(0)
	if a.Is4() {
		f := ethernet(net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, mac, unix.ETH_P_ARP)
		f = append(append(f, 0, 1, 8, 0, 6, 4, 0, 1), mac...)
		f = append(append(f, a.AsSlice()...), 0, 0, 0, 0, 0, 0)
		return h.inject(0, append(f, a.AsSlice()...))
	}
	all := netip.MustParseAddr("ff02::1")
	body, err := ndp.MarshalMessageChecksum(&ndp.NeighborAdvertisement{
		Override: true, TargetAddress: a,
		Options: []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Target, Addr: mac}},
	}, a, all)
	if err != nil {
		return err
	}
	f := ethernet(net.HardwareAddr{0x33, 0x33, 0, 0, 0, 1}, mac, unix.ETH_P_IPV6)
	return h.inject(0, append(ipv6Header(f, a, all, unix.IPPROTO_ICMPV6, 255, len(body)), body...))
}
