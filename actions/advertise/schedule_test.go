package advertise

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

var start = time.Unix(1000, 0)

// rig runs a schedule in virtual time and notes what left when.
type rig struct {
	*schedule
	now     time.Time
	left    map[actions.RouterID][]time.Duration
	answers int
	down    bool // nothing can be sent
}

func newRig(random func(least, most time.Duration) time.Duration) *rig {
	return &rig{schedule: newSchedule(random), now: start, left: map[actions.RouterID][]time.Duration{}}
}

func longest(_, most time.Duration) time.Duration   { return most }
func shortest(least, _ time.Duration) time.Duration { return least }

func (r *rig) start(router actions.RouterID, link int, interval time.Duration) {
	r.advertise(&advert{router: router, link: link, interval: interval}, r.now)
}

// run advances time from wake to wake until a moment.
func (r *rig) run(until time.Duration) {
	for {
		for a := r.next(r.now); a != nil; a = r.next(r.now) {
			if r.down {
				r.failed(a, r.now)
				continue
			}
			r.left[a.router] = append(r.left[a.router], r.now.Sub(start))
			if r.leftAt(a, r.now) {
				r.answers++
			}
		}
		at, some := r.wake()
		if !some || at.After(start.Add(until)) {
			r.now = start.Add(until)
			return
		}
		r.now = at
	}
}

func (r *rig) expect(t *testing.T, router actions.RouterID, want ...time.Duration) {
	t.Helper()
	if !slices.Equal(r.left[router], want) {
		t.Errorf("router %d at %v, want %v", router, r.left[router], want)
	}
	delete(r.left, router)
}

func seconds(list ...float64) []time.Duration {
	var out []time.Duration
	for _, s := range list {
		out = append(out, time.Duration(s*float64(time.Second)))
	}
	return out
}

func TestThreeInitialOnesThenTheInterval(t *testing.T) {
	r := newRig(longest)
	r.start(1, 2, 600*time.Second)
	r.run(2000 * time.Second)
	r.expect(t, 1, seconds(0, 16, 32, 632, 1232, 1832)...)
	r = newRig(shortest)
	r.start(1, 2, 600*time.Second)
	r.run(700 * time.Second)
	r.expect(t, 1, seconds(0, 16, 32, 232, 432, 632)...)
	r = newRig(shortest)
	r.start(1, 2, 4*time.Second) // a third of it would be too often
	r.run(10 * time.Second)
	r.expect(t, 1, seconds(0, 3, 6, 9)...)
}

func TestTheIntervalIsRandom(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2))
	r := newRig(func(least, most time.Duration) time.Duration {
		return least + time.Duration(chance.Int64N(int64(most-least)+1))
	})
	r.start(1, 2, 30*time.Second)
	r.run(24 * time.Hour)
	list := r.left[1][initialAdverts-1:]
	var least, most, sum time.Duration = time.Hour, 0, 0
	for i := 1; i < len(list); i++ {
		gap := list[i] - list[i-1]
		least, most, sum = min(least, gap), max(most, gap), sum+gap
	}
	mean := sum / time.Duration(len(list)-1)
	if least < 10*time.Second || least > 11*time.Second || most > 30*time.Second || most < 29*time.Second ||
		mean < 19*time.Second || mean > 21*time.Second {
		t.Errorf("%d gaps from %v to %v, mean %v", len(list)-1, least, most, mean)
	}
}

func TestUniformKeepsItsBounds(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 1000 {
		seen[uniform(3, 5)] = true
	}
	if len(seen) != 3 || !seen[3] || !seen[5] || uniform(7, 7) != 7 {
		t.Errorf("drawn %v", seen)
	}
}

// RFC 4861 section 6.2.6.
func TestSolicitations(t *testing.T) {
	r := newRig(longest)
	r.start(1, 2, 600*time.Second)
	r.start(2, 2, 600*time.Second)
	r.start(3, 3, 600*time.Second)
	r.run(100 * time.Second)
	clear(r.left)
	r.solicit(2, r.now)
	r.run(101 * time.Second)
	r.expect(t, 1, seconds(100.5)...)
	r.expect(t, 2, seconds(100.5)...)
	r.expect(t, 3) // another interface
	// Too soon after the last one: three seconds and the random delay after it.
	r.solicit(2, r.now)
	r.run(102 * time.Second)
	r.solicit(2, r.now) // the same answer is for both
	r.run(110 * time.Second)
	r.expect(t, 1, seconds(104)...)
	if r.answers != 4 {
		t.Errorf("%d answers", r.answers)
	}
	// The answer begins the interval anew.
	r.run(704 * time.Second)
	r.expect(t, 1, seconds(704)...)
	// One that is due sooner anyway is the answer.
	r.run(1303900 * time.Millisecond)
	r.solicit(2, r.now)
	r.run(1310 * time.Second)
	r.expect(t, 1, seconds(1304)...)
	if r.answers != 6 {
		t.Errorf("%d answers", r.answers)
	}
	r.solicit(9, r.now)
	r.run(1320 * time.Second)
	r.expect(t, 1)
}

func TestAFloodOfSolicitationsIsAnsweredEveryThreeSeconds(t *testing.T) {
	r := newRig(shortest)
	r.start(1, 2, 600*time.Second)
	for ms := range 31_000 {
		r.run(time.Duration(ms) * time.Millisecond)
		r.solicit(2, r.now)
	}
	r.expect(t, 1, seconds(0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30)...)
}

func TestWithdrawnIsSilent(t *testing.T) {
	r := newRig(longest)
	r.start(1, 2, 10*time.Second)
	r.start(2, 2, 10*time.Second)
	r.run(5 * time.Second)
	r.solicit(2, r.now)
	r.withdraw(1)
	r.withdraw(1)
	r.withdraw(7)
	r.run(time.Minute)
	r.expect(t, 1, 0)
	if len(r.left[2]) < 5 {
		t.Errorf("the other router at %v", r.left[2])
	}
	r.withdraw(2)
	if _, some := r.wake(); some || len(r.routers) != 0 || len(r.links) != 0 || len(r.queue) != 0 {
		t.Error("left over")
	}
	// Active again: at once, whenever the last one was.
	r = newRig(longest)
	r.start(1, 2, 10*time.Second)
	r.run(time.Second)
	r.withdraw(1)
	r.start(1, 2, 10*time.Second)
	r.run(2 * time.Second)
	r.expect(t, 1, seconds(0, 1)...)
}

func TestAReplacementKeepsThePause(t *testing.T) {
	r := newRig(longest)
	r.start(1, 2, 100*time.Second)
	r.run(time.Second)
	r.start(1, 2, 50*time.Second)
	r.run(20 * time.Second)
	r.expect(t, 1, seconds(0, 3, 19)...)
	r.start(1, 3, 50*time.Second) // another interface
	r.run(21 * time.Second)
	r.expect(t, 1, seconds(20)...)
	if len(r.links) != 1 || r.links[3][1] == nil {
		t.Errorf("links %v", r.links)
	}
	r.run(30 * time.Second)
	r.start(1, 3, 50*time.Second)
	r.run(31 * time.Second)
	r.expect(t, 1, seconds(30)...)
}

func TestWhatCouldNotBeSentIsTriedAgainSoon(t *testing.T) {
	r := newRig(longest)
	r.start(1, 2, 1800*time.Second)
	r.down = true
	r.run(10 * time.Second)
	r.down = false
	r.run(30 * time.Second)
	r.expect(t, 1, seconds(12, 28)...)
}
