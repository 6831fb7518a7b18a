package sim_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/test/sim"
	"github.com/backbeat-ha/backbeat/vrrp"
)

func without(text, mark string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if !strings.Contains(line, mark) {
			b.WriteString(line)
		}
	}
	return b.String()
}

// failover is one LAN at rest, without loss, whose Active is about to go.
type failover struct {
	scene
	interval time.Duration
	delay    time.Duration // of each packet
	best     uint8         // priority of the best Backup
	router   daemon.RouterConfig
}

// newFailover draws hosts, priorities, interval, delays, and the moment.
func newFailover(t *testing.T, seed uint64) *failover {
	rng := rand.New(rand.NewPCG(seed, 1))
	intervals := []time.Duration{20 * ms, 100 * ms, 250 * ms, s, 3 * s}
	f := &failover{interval: intervals[rng.IntN(len(intervals))]}
	f.delay = time.Duration(rng.Int64N(int64(2 * ms)))
	f.scene = *newScene(t, 2+rng.IntN(3), func(o *sim.Options) {
		*o = sim.Options{Seed: seed, Hosts: o.Hosts, MinDelay: f.delay, KernelDelay: 20 * ms, OddClocks: true, Transcript: true}
	})
	family := []vrrp.Family{vrrp.IPv4, vrrp.IPv6}[rng.IntN(2)]
	priorities := rng.Perm(254)[:len(f.h)]
	for i, p := range priorities {
		f.router = sim.Router("r", family, 9, uint8(p+1), f.interval)
		f.boot(i, f.router)
	}
	f.rest(6*f.interval + 100*ms)
	var top, second uint8
	for _, p := range priorities {
		switch p := uint8(p + 1); {
		case p > top:
			top, second = p, top
		case p > second:
			second = p
		}
	}
	f.best = second
	f.run(time.Duration(rng.Int64N(int64(f.interval))))
	for _, a := range f.router.Addresses {
		f.Cover(a.Prefix)
	}
	return f
}

func (f *failover) active() *sim.Host {
	for _, h := range f.h {
		if h.State(&f.router) == "active" {
			return h
		}
	}
	return nil
}

// skew is Skew_Time of the best Backup (RFC 9568 6.1), worked out apart from vrrp.
func (f *failover) skew() time.Duration {
	return f.interval * (256 - time.Duration(f.best)) / 256
}

// successor waits for another Active and returns it, the first if there are
// two, with the instant.
func (f *failover) successor(old *sim.Host) (*sim.Host, time.Duration) {
	f.t.Helper()
	for range 100 {
		var first *sim.Host
		for _, h := range f.h {
			if h != old && h.State(&f.router) == "active" &&
				(first == nil || h.Since(&f.router) < first.Since(&f.router)) {
				first = h
			}
		}
		if first != nil {
			return first, first.Since(&f.router)
		}
		f.run(f.interval / 20)
	}
	f.t.Fatal("nobody took over")
	return nil, 0
}

// After a crash the best Backup takes over one Active_Down_Interval after it
// heard the last advert, to the nanosecond: that is between two and three
// intervals and a skew after the crash.
func TestTakeoverAfterACrash(t *testing.T) {
	for seed := uint64(1); seed <= 300; seed++ {
		f := newFailover(t, seed)
		old := f.active()
		last, crash := old.Spoke(&f.router), f.Now()
		old.Crash()
		_, at := f.successor(old)
		if took, want := at-last, 3*f.interval+f.skew()+f.delay; took != want {
			t.Fatalf("seed %d: took over %v after the last advert, want %v\n%s", seed, took, want, f.Transcript())
		}
		skew := f.skew()
		if gap := at - crash; gap < 2*f.interval+skew-2*ms || gap > 3*f.interval+skew+f.delay {
			t.Fatalf("seed %d: took over %v after the crash, want 2–3 intervals of %v and a skew of %v", seed, gap, f.interval, skew)
		}
		f.rest(4 * f.interval)
	}
}

// Asked to stop, the Active hands over within one skew of the best Backup, and
// its addresses are on some host at every moment: the kernel may take 20 ms,
// as long as the Active lingers.
func TestYieldLeavesNoGap(t *testing.T) {
	for seed := uint64(1); seed <= 300; seed++ {
		f := newFailover(t, seed)
		old, asked := f.active(), f.Now()
		old.Stop(true)
		_, at := f.successor(old)
		if took, want := at-asked, f.skew()+f.delay; took != want {
			t.Fatalf("seed %d: took over after %v, want %v\n%s", seed, took, want, f.Transcript())
		}
		f.rest(4*f.interval + 100*ms)
		for _, a := range f.router.Addresses {
			if bare := f.Uncovered(a.Prefix); bare > 0 {
				t.Fatalf("seed %d: %s was nowhere for %v\n%s", seed, a.Prefix, bare, f.Transcript())
			}
		}
	}
}

// A router removed by a reload yields as one that stops does.
func TestRemovalLeavesNoGap(t *testing.T) {
	for seed := uint64(1); seed <= 100; seed++ {
		f := newFailover(t, seed)
		old := f.active()
		old.Reload(sim.Config(old))
		f.successor(old)
		f.rest(4*f.interval + 100*ms)
		for _, a := range f.router.Addresses {
			if bare := f.Uncovered(a.Prefix); bare > 0 {
				t.Fatalf("seed %d: %s was nowhere for %v\n%s", seed, a.Prefix, bare, f.Transcript())
			}
		}
	}
}

// A better host that comes back takes the addresses without a gap beyond what
// the kernels take: the old Active lets go when it hears the first advert.
func TestPreemptionGap(t *testing.T) {
	for seed := uint64(1); seed <= 100; seed++ {
		f := newFailover(t, seed)
		old := f.active()
		cfg := old.Config()
		old.Crash()
		f.successor(old)
		f.rest(5 * f.interval)
		old.Boot(cfg)
		f.rest(6*f.interval + 100*ms)
		if f.active() != old {
			t.Fatalf("seed %d: the better host did not preempt\n%s", seed, f.Transcript())
		}
		for _, a := range f.router.Addresses {
			if bare := f.Uncovered(a.Prefix); bare > 20*ms {
				t.Fatalf("seed %d: %s was nowhere for %v\n%s", seed, a.Prefix, bare, f.Transcript())
			}
		}
	}
}

// Hundreds of routers on two hosts: all of them are taken over in time.
func TestManyRouters(t *testing.T) {
	c := newScene(t, 2, func(o *sim.Options) { o.Transcript = false })
	var mine, theirs []daemon.RouterConfig
	for v := uint8(1); v <= 200; v++ {
		for _, family := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
			n := fmt.Sprintf("r%03d-%s", v, family)
			mine = append(mine, sim.Router(n, family, v, 150, 100*ms))
			theirs = append(theirs, sim.Router(n, family, v, 100, 100*ms))
		}
	}
	c.boot(0, mine...)
	c.boot(1, theirs...)
	c.rest(2 * s)
	c.h[0].Crash()
	c.rest(vrrp.ActiveDownInterval(100*ms, 100) + 20*ms)
	c.h[1].Stop(true)
	c.run(5 * s)
	if c.h[1].Running() {
		t.Error("the stopped daemon still runs")
	}
}
