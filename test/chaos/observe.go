package chaos

import (
	"fmt"
	"math/bits"
	"net/netip"
	"sync"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// look is how often the kernels are asked who has what.
const look = 5 * time.Millisecond

// set is a set of routers, one bit each.
type set uint8

func (s set) has(i int) bool { return s>>i&1 == 1 }
func (s set) count() int     { return bits.OnesCount8(uint8(s)) }

// change is a new set of holders of an address, as it was seen from an instant on.
type change struct {
	at      time.Duration
	holders set
}

// observer asks the kernels of all routers who has which virtual address, all the time.
type observer struct {
	nodes []*node
	stop  chan struct{}
	ended chan struct{}

	mu   sync.Mutex
	seen map[netip.Addr][]change
	// at is the end of the last look; slowest is the longest time between two looks.
	at, slowest time.Duration
}

func observe(nodes []*node) *observer {
	o := &observer{nodes: nodes, stop: make(chan struct{}), ended: make(chan struct{}), seen: map[netip.Addr][]change{}}
	go o.run()
	return o
}

func (o *observer) run() {
	defer close(o.ended)
	tick := time.NewTicker(look)
	defer tick.Stop()
	var sampled time.Duration
	for {
		o.look()
		if now := lab.Now(); now-sampled >= sampleEvery {
			sampled = now
			for _, n := range o.nodes {
				if pid := n.pidNow.Load(); pid != 0 {
					n.sample(int(pid))
				}
			}
		}
		select {
		case <-o.stop:
			return
		case <-tick.C:
		}
	}
}

// look asks once. A host whose kernel cannot be asked keeps what it was seen with.
func (o *observer) look() {
	now := map[netip.Addr]set{}
	for i, n := range o.nodes {
		list, err := n.host.Addresses()
		if err != nil {
			for a := range o.seen {
				now[a] |= o.holders(a) & (1 << i)
			}
			continue
		}
		for _, p := range list {
			now[p.Addr()] |= 1 << i
		}
	}
	at := lab.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, v := range routers {
		for _, p := range v.addresses {
			a := p.Addr()
			if l := o.seen[a]; len(l) == 0 || l[len(l)-1].holders != now[a] {
				o.seen[a] = append(l, change{at, now[a]})
			}
		}
	}
	if o.at != 0 {
		o.slowest = max(o.slowest, at-o.at)
	}
	o.at = at
}

// holders are those of an address at the last look.
func (o *observer) holders(a netip.Addr) set {
	o.mu.Lock()
	defer o.mu.Unlock()
	if l := o.seen[a]; len(l) > 0 {
		return l[len(l)-1].holders
	}
	return 0
}

// since returns the changes of an address from an instant on, the first being what
// was so then, and the time of the last look.
func (o *observer) since(a netip.Addr, from time.Duration) (list []change, until time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, c := range o.seen[a] {
		if c.at <= from {
			list = append(list[:0], change{from, c.holders})
		} else {
			list = append(list, c)
		}
	}
	return list, o.at
}

// end stops it.
func (o *observer) end() {
	close(o.stop)
	<-o.ended
}

// heldUntil reports whether a router had an address at an instant, and when it had it no
// longer, or the last look if it still has.
func (o *observer) heldUntil(i int, a netip.Addr, at time.Duration) (held bool, until time.Duration) {
	list, last := o.since(a, at)
	for k, c := range list {
		if k == 0 && c.at > at || !c.holders.has(i) {
			return k > 0, c.at
		}
	}
	return len(list) > 0, last
}

// names writes a set.
func (o *observer) names(s set) string {
	text := ""
	for i, n := range o.nodes {
		if s.has(i) {
			text += " " + n.name
		}
	}
	if text == "" {
		return "nobody"
	}
	return text[1:]
}

func (o *observer) String() string {
	return fmt.Sprintf("slowest look %s", o.slowest.Round(time.Millisecond))
}
