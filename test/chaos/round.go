package chaos

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// deed is an act that is carried out.
type deed struct {
	*Arena
	Act
	kind *kind
	node *node
	rand *rand.Rand
	// begin and end are when the fault began and when it was healed; active are the
	// routers whose first address the host had at the begin.
	begin, end time.Duration
	wall       time.Time
	active     []virtual
	alone      bool // no other fault in this round
	log        int  // length of the log at the begin
	// note is what the kind wants to remember.
	note string
}

func (d *deed) String() string {
	return fmt.Sprintf("%s on %s for %s", d.Kind, d.node.name, d.For)
}

// was reports whether the host was Active of anything when the fault began.
func (d *deed) was() bool { return len(d.active) > 0 }

// lasted is how long the fault was there.
func (d *deed) lasted() time.Duration { return d.end - d.begin }

// logged reports whether the daemon has logged any of the words since the begin.
func (d *deed) logged(words ...string) bool {
	log := d.node.daemon.Log()
	for _, w := range words {
		if strings.Contains(log[min(d.log, len(log)):], w) {
			return true
		}
	}
	return false
}

// round carries out faults at one time, heals them, waits for rest and judges.
func (a *Arena) round(r Round) {
	order := a.order()
	from := lab.Now()
	var deeds []*deed
	for _, act := range r {
		d := &deed{Arena: a, Act: act, kind: kindOf(act.Kind), node: order[act.Rank%len(order)], alone: len(r) == 1,
			rand: rand.New(rand.NewPCG(act.Roll, 1))}
		deeds = append(deeds, d)
	}
	var wg sync.WaitGroup
	for _, d := range deeds {
		wg.Go(func() {
			time.Sleep(d.After)
			d.carryOut()
		})
	}
	wg.Wait()
	a.mu.Lock()
	for _, d := range deeds {
		a.fell[d.Kind]++
	}
	a.mu.Unlock()
	a.revive()
	healed := lab.Now()
	if !a.rest(healed, fmt.Sprint(deeds)) {
		return
	}
	a.judge(from, healed, deeds)
}

// carryOut begins a fault, lets it last, and heals it.
func (d *deed) carryOut() {
	for _, v := range routers {
		if d.observer.holders(v.addresses[0].Addr()).has(d.node.index) {
			d.active = append(d.active, v)
		}
	}
	d.log = len(d.node.daemon.Log())
	role := "a Backup"
	if d.was() {
		role = "the Active"
	}
	d.begin, d.wall = lab.Now(), time.Now()
	d.say("%s, %s", d, role)
	heal, err := d.kind.do(d)
	if err != nil {
		d.fail("%s: %v", d, err)
	}
	if heal != nil {
		time.Sleep(d.For)
		if err := heal(); err != nil {
			d.fail("%s: heal: %v", d, err)
		}
	}
	d.end = lab.Now()
	if d.note != "" {
		d.say("  %s: %s", d.Kind, d.note)
	}
}

// order are the routers: who holds the IPv4 address first, then by number.
func (a *Arena) order() []*node {
	list := append([]*node(nil), a.nodes...)
	holders := a.observer.holders(routers[0].addresses[0].Addr())
	for i, n := range list {
		if holders.has(n.index) {
			list[0], list[i] = list[i], list[0]
			break
		}
	}
	return list
}

// rest waits until every router is on one host with all of its addresses, and nobody
// else speaks for it; it reports whether that came within its bound.
func (a *Arena) rest(from time.Duration, after string) bool {
	bound := down + lifetime + 4*interval
	if a.Plan.Shape.Services {
		bound += 8 * time.Second // a hold-off, steps that are brought down first
	}
	var since time.Duration
	var unrest string
	err := lab.Until(bounded(a.ctx, bound+20*time.Second), "rest", func() bool {
		now := lab.Now()
		if unrest = a.unrest(now); unrest != "" {
			since = 0
			return false
		}
		if since == 0 {
			since = now
		}
		return now-since >= 2*interval
	})
	if err != nil {
		a.fail("no rest after %s: %s", after, unrest)
		return false
	}
	took := since - from
	a.figure("healed to rest", took)
	if limit := bound + a.slack(from); took > limit {
		a.fail("rest only %s after %s, bound %s", took, after, limit)
		return false
	}
	a.say("rest after %s: %s", took.Round(time.Millisecond), a.where())
	a.memory()
	return true
}

// where says who holds what.
func (a *Arena) where() string {
	var out []string
	for _, v := range routers {
		out = append(out, v.name+" on "+a.observer.names(a.observer.holders(v.addresses[0].Addr())))
	}
	return strings.Join(out, ", ")
}

// unrest says what is not yet as it must be at rest.
func (a *Arena) unrest(now time.Duration) string {
	for _, v := range routers {
		first := a.observer.holders(v.addresses[0].Addr())
		for _, p := range v.addresses {
			if h := a.observer.holders(p.Addr()); h.count() != 1 || h != first {
				return fmt.Sprintf("%s is held by %s, %s by %s", v.addresses[0], a.observer.names(first), p, a.observer.names(h))
			}
		}
		if a.Plan.Shape.Preempt && !first.has(0) {
			return v.name + " is not on the preferred host"
		}
		spoken := 0
		for _, f := range a.witness.adverts(now-2*interval, "") {
			if f.Advert.VRID != v.vrid {
				continue
			}
			if f.Host != a.observer.names(first) {
				return fmt.Sprintf("%s speaks for %s", f.Host, v.name)
			}
			spoken++
		}
		if spoken == 0 {
			return "nobody speaks for " + v.name
		}
	}
	if a.Plan.Shape.Services {
		for _, n := range a.nodes {
			_, err := os.Stat(filepath.Join(a.dir, n.name, "data", "server"))
			if serves := a.observer.holders(routers[0].addresses[0].Addr()).has(n.index); serves != (err == nil) {
				return fmt.Sprintf("%s holds the address: %t, its service is up: %t", n.name, serves, err == nil)
			}
		}
	}
	return ""
}

// memory looks at the daemons, which are at rest.
func (a *Arena) memory() {
	for _, n := range a.nodes {
		if rss, err := n.daemon.Process().RSS(); err == nil {
			a.judgeMemory(n, n.daemon.Process().PID(), rss)
		}
	}
}

// judgeMemory is: memory is flat, from the first rest of a process on.
func (a *Arena) judgeMemory(n *node, pid int, rss int64) {
	n.mu.Lock()
	if n.pid != pid {
		n.pid, n.rss = pid, rss
	}
	grown := rss - n.rss
	n.mu.Unlock()
	a.mu.Lock()
	a.Grown = max(a.Grown, grown)
	a.mu.Unlock()
	if grown > memoryBound {
		a.fail("%s has grown by %d MiB", n.name, grown>>20)
	}
}
