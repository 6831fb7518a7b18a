package daemon_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"testing"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// crowd is a loop with many routers on 16 links or more (a VRID has 8 bits) and a wire
// that only counts. One packet for every router lies ready.
type crowd struct {
	rig
	routers []daemon.RouterConfig
	adverts []vrrp.Packet
	queued  int // of adverts, not yet read
	counted uint64
	names   map[string]int
}

func (c *crowd) Listen(w vrrp.Listening) {
	c.loop.Post(vrrp.SocketReady{Listening: w})
}
func (c *crowd) Receive(budget int, f func(*vrrp.Packet)) bool {
	for n := 0; c.queued > 0; n++ {
		if n == budget {
			return true
		}
		p := &c.adverts[len(c.adverts)-c.queued]
		p.At = c.now
		c.queued--
		f(p)
	}
	return false
}
func (c *crowd) Send(*vrrp.Path, []byte)       { c.counted++ }
func (c *crowd) Log(daemon.Line)               {}
func (c *crowd) Transition(daemon.Transition)  {}
func (c *crowd) Announce(actions.Announcement) {}
func (c *crowd) Cancel(actions.RouterID)       {}
func (c *crowd) Renew([]actions.RouterID)      {}
func (c *crowd) Want(w actions.Wanted)         { c.wants = append(c.wants, w) }

// crowdLinks is how many links there are at least.
const crowdLinks = 16

// newCrowd brings n routers at 100 ms to Backup.
func newCrowd(tb testing.TB, n int, shared bool) *crowd {
	c := &crowd{rig: rig{t: tb, now: epoch}, names: map[string]int{}}
	links := max(crowdLinks, (n+249)/250)
	for i := range n {
		link := i % links
		if shared {
			link = i / 250 // as full as the VRIDs allow
		}
		a := netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 53})
		r := web(func(r *daemon.RouterConfig) {
			r.Name, r.Interface = fmt.Sprintf("r%05d", i), fmt.Sprintf("eth%d", link)
			r.Spec.VRID, r.Spec.Interval = uint8(i/links%250+1), 100*ms
			if shared {
				r.Spec.VRID = uint8(i%250 + 1)
			}
			r.Spec.Addresses, r.Addresses = []netip.Addr{a}, held(netip.PrefixFrom(a, 32))
		})
		c.routers = append(c.routers, r)
		c.names[r.Interface] = 100 + link
		c.adverts = append(c.adverts, vrrp.Packet{Link: 100 + link, Family: vrrp.IPv4, Data: packet(peer4, r.Spec.VRID, 200, 100*ms, a)})
	}
	ports := c.ports()
	ports.Clock, ports.Wire, ports.Addresses, ports.Announcer, ports.Runner, ports.Journal = c, c, c, c, c, c
	ports.Watch = func([]string) {}
	c.loop = daemon.New(config(c.routers...), ports)
	for name, index := range c.names {
		c.loop.Post(level(func(l *actions.LinkChanged) { l.Name, l.Index = name, index }))
		c.turn()
	}
	return c
}

// promote makes every router Active and answers for the kernel.
func (c *crowd) promote() *crowd {
	c.t.Helper()
	for range 20 { // 20 ms at a time, so that nobody thinks we stalled
		c.wait(20 * ms)
	}
	for _, w := range c.wants {
		c.loop.Post(actions.Applied{Router: w.Router, Term: w.Term, Held: true})
		c.turn()
	}
	if len(c.wants) != len(c.routers) {
		c.t.Fatalf("%d of %d became Active", len(c.wants), len(c.routers))
	}
	return c
}

// hear lets every router receive one advert.
func (c *crowd) hear() {
	c.queued = len(c.adverts)
	c.loop.Turn()
}

// An advert received that changes nothing, and one sent in its turn, allocate nothing.
func TestAdvertsAllocateNothing(t *testing.T) {
	c := newCrowd(t, 100, false)
	c.hear()
	if n := testing.AllocsPerRun(100, func() {
		c.now += 9 * ms
		c.hear()
	}); n != 0 {
		t.Errorf("receiving 100 adverts makes %v allocations", n)
	}
	c = newCrowd(t, 100, false).promote()
	sent := c.counted
	if n := testing.AllocsPerRun(100, func() {
		c.wait(100 * ms)
	}); n != 0 {
		t.Errorf("sending 100 adverts makes %v allocations", n)
	}
	if got := c.counted - sent; got < 100*100 {
		t.Errorf("%d adverts in 100 intervals of 100 routers", got)
	}
}

// BenchmarkLoop is the cost of one advert through the loop, without sockets:
// parsed, validated, the router stepped, the heap mended; or sent when due.
//
//	go test ./daemon -run NONE -bench Loop
func BenchmarkLoop(b *testing.B) {
	for _, n := range []int{1, 1000, 4000, 65000} {
		b.Run(fmt.Sprintf("receive/%d", n), func(b *testing.B) {
			c := newCrowd(b, n, false)
			c.hear()
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i += n {
				c.now += 9 * ms
				c.hear()
			}
			rate(b)
		})
		b.Run(fmt.Sprintf("send/%d", n), func(b *testing.B) {
			c := newCrowd(b, n, false).promote()
			b.ReportAllocs()
			b.ResetTimer()
			for begin := c.counted; c.counted-begin < uint64(b.N); {
				c.now = max(c.now, c.next)
				c.next, _ = c.loop.Turn()
			}
			rate(b)
		})
	}
}

func rate(b *testing.B) {
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "adverts/s")
}

// BenchmarkMemory is what one router costs in the loop, in live heap.
func BenchmarkMemory(b *testing.B) {
	for _, state := range []string{"backup", "active"} {
		b.Run(state, func(b *testing.B) {
			const n = 4000
			for b.Loop() {
				before := heap()
				c := newCrowd(b, n, false)
				if state == "active" {
					c.promote()
				}
				c.wants, c.calls, c.adverts, c.routers = nil, nil, nil, nil
				b.ReportMetric(float64(heap()-before)/n, "B/router")
				runtime.KeepAlive(c)
			}
		})
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// What happens on the loop's thread besides adverts must not delay them: the
// cost of one report about a full link, of a reload, of a page of status.
func BenchmarkInterruption(b *testing.B) {
	b.Run("link-changed/250-routers-4000-addresses", func(b *testing.B) {
		c := newCrowd(b, 250, true)
		l := full()
		for b.Loop() {
			c.post(l)
		}
	})
	b.Run("reload-unchanged/4000", func(b *testing.B) {
		c := newCrowd(b, 4000, false)
		for b.Loop() {
			c.reload(c.routers...)
		}
	})
	b.Run("status-page/100-of-4000", func(b *testing.B) {
		c := newCrowd(b, 4000, false)
		reply := make(chan daemon.StatusPage, 1)
		for b.Loop() {
			c.post(daemon.StatusQuery{Limit: 100, Reply: reply})
			<-reply
		}
	})
	b.Run("start/4000", func(b *testing.B) {
		c := newCrowd(b, 4000, false)
		for b.Loop() {
			ports := c.ports()
			ports.Wire = c
			daemon.New(config(c.routers...), ports)
		}
	})
	b.Run("takeover-of-all/1000", func(b *testing.B) {
		for b.Loop() {
			b.StopTimer()
			c := newCrowd(b, 1000, false)
			c.now = max(c.now, c.next) // the first is due now, the last 10 ms later
			c.now += 10 * ms
			c.loop.Turn()
			b.StartTimer()
			for len(c.wants) < 1000 {
				c.now += 10 * ms
				c.loop.Turn()
			}
		}
	})
	b.Run("rename-all/1000", func(b *testing.B) {
		c := newCrowd(b, 1000, false)
		for b.Loop() {
			c.reload(c.renamed()...)
		}
	})
}

// full is the level of eth0 with 4000 addresses, the last one its own.
func full() actions.LinkChanged {
	return level(func(l *actions.LinkChanged) {
		l.Name, l.Index, l.Addresses = "eth0", 100, nil
		for i := range 4000 {
			l.Addresses = append(l.Addresses, actions.LinkAddress{Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 8), byte(i), 53}), 32)})
		}
		l.Addresses = append(l.Addresses, actions.LinkAddress{Prefix: netip.PrefixFrom(self4, 24)})
	})
}

// renamed returns the same routers under new names.
func (c *crowd) renamed() []daemon.RouterConfig {
	c.routers = append([]daemon.RouterConfig(nil), c.routers...)
	for i := range c.routers {
		c.routers[i].Name = "x" + c.routers[i].Name
	}
	return c.routers
}
