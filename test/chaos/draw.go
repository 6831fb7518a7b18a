package chaos

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// steppable is a flag here and not in a test file, since it is drawn by.
var steppable = flag.Bool("step-clock", false, "step the wall clock of this machine, too: for the real root, where nobody else needs the time")

// Shape is what a run's hosts are.
type Shape struct {
	Routers    int
	MAC4, MAC6 bool
	Preempt    bool
	// Services: a service group of two exec steps follows the IPv4 router.
	Services bool
}

// String names what is there.
func (s Shape) String() string {
	text := fmt.Sprintf("%d routers", s.Routers)
	for name, on := range map[string]bool{"IPv4 virtual MAC": s.MAC4, "IPv6 virtual MAC": s.MAC6, "preempt": s.Preempt, "service group": s.Services} {
		if on {
			text += ", " + name
		}
	}
	words := strings.Split(text, ", ")
	slices.Sort(words[1:])
	return strings.Join(words, ", ")
}

// Act is one fault as it is drawn.
type Act struct {
	Kind string
	// Rank says which host: 0 is the one that holds the addresses when the round
	// begins, then the others by name.
	Rank int
	// After is from the begin of the round, For how long it lasts.
	After, For time.Duration
	Roll       uint64
}

// Round is what happens at one time.
type Round []Act

// Plan is a whole run.
type Plan struct {
	Seed   uint64
	Shape  Shape
	Rounds []Round
}

// Draw makes the plan of a seed with so many faults.
func Draw(seed uint64, faults int) Plan {
	r := rand.New(rand.NewPCG(seed, 0xc4a05))
	p := Plan{Seed: seed, Shape: Shape{
		Routers: 2 + r.IntN(2), MAC4: r.IntN(2) == 0, MAC6: r.IntN(3) == 0, Preempt: r.IntN(2) == 0, Services: r.IntN(4) == 0,
	}}
	if *steppable { // user-mode Linux has no nftables on interfaces
		p.Shape.MAC4, p.Shape.MAC6 = false, false
	}
	for faults > 0 {
		n := min(faults, []int{1, 1, 1, 2, 2, 3}[r.IntN(6)])
		round := p.drawRound(r, n)
		p.Rounds = append(p.Rounds, round)
		faults -= len(round)
	}
	return p
}

// drawRound draws faults that do not contradict each other: one host has at most
// one fault of its process and one of its cable at a time.
func (p *Plan) drawRound(r *rand.Rand, n int) Round {
	var round Round
	taken := map[string]bool{}
	for len(round) < n {
		k := drawKind(r, p.Shape)
		a := Act{Kind: k.name, Rank: r.IntN(p.Shape.Routers), Roll: r.Uint64()}
		if r.IntN(3) == 0 {
			a.Rank = 0 // whoever is Active is the more interesting one
		}
		a.For = drawSpan(r, k.least, k.most)
		if n > 1 {
			a.After = drawSpan(r, 0, 800*time.Millisecond)
		}
		slot := fmt.Sprintf("%s of %d", k.class, a.Rank)
		if k.class == machine {
			slot = k.name
		}
		if taken[slot] {
			continue
		}
		taken[slot] = true
		round = append(round, a)
	}
	return round
}

// drawSpan prefers short times: most of what goes wrong is near the timers.
func drawSpan(r *rand.Rand, least, most time.Duration) time.Duration {
	x := r.Float64()
	return (least + time.Duration(x*x*float64(most-least))).Round(time.Millisecond)
}

func drawKind(r *rand.Rand, s Shape) *kind {
	sum := 0
	for i := range kinds {
		sum += kinds[i].weightIn(s)
	}
	n := r.IntN(sum)
	for i := range kinds {
		if n -= kinds[i].weightIn(s); n < 0 {
			return &kinds[i]
		}
	}
	panic("chaos: no kind")
}

// weightIn is how often a kind is drawn on such hosts.
func (k *kind) weightIn(s Shape) int {
	if k.services && !s.Services || k.clock && !*steppable || k.whole && *steppable {
		return 0
	}
	return k.weight
}
