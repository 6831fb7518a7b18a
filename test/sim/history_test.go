package sim_test

import (
	"flag"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/backbeat-ha/backbeat/test/sim"
)

var (
	histories = flag.Int("histories", 0, "how many random histories to live (default 3000, 150 with the race detector or -short)")
	seed      = flag.Uint64("seed", 0, "live this one history and print its transcript")
	firstSeed = flag.Uint64("first-seed", 1, "seed of the first history; the others follow")
)

// Whatever happens, the laws of package sim hold at every step and at rest.
//
//	go test ./test/sim -run RandomHistories -histories 100000 -first-seed 1000000
//	go test ./test/sim -run RandomHistories -seed 4711 -v
func TestRandomHistories(t *testing.T) {
	if *seed != 0 {
		lan, err := live(*seed, true)
		t.Log(lan.Transcript())
		if err != nil {
			t.Fatalf("seed %d: %v", *seed, err)
		}
		return
	}
	count := *histories
	if count == 0 {
		if count = 3000; underRace || testing.Short() {
			count = 150
		}
	}
	t.Logf("seeds %d to %d", *firstSeed, *firstSeed+uint64(count)-1)
	const workers = 2
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < count && !t.Failed(); i += workers {
				s := *firstSeed + uint64(i)
				if _, err := live(s, false); err != nil {
					t.Errorf("seed %d: %v\n%s\nagain: go test ./test/sim -run RandomHistories -seed %d -v", s, err, tail(s), s)
				}
			}
		})
	}
	wg.Wait()
}

// live turns a panic of the loop into a failure with a seed.
func live(seed uint64, transcript bool) (lan *sim.LAN, err error) {
	h := sim.NewHistory(seed, transcript)
	defer func() {
		if p := recover(); p != nil {
			lan, err = h.LAN(), fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return h.LAN(), h.Run()
}

// tail lives a history again and returns the end of its transcript, without
// the ordinary adverts.
func tail(seed uint64) string {
	lan, _ := live(seed, true)
	lines := strings.Split(strings.TrimSpace(lan.Transcript()), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, "  advert ") && !strings.HasSuffix(l, "priority 0") })
	return strings.Join(lines[max(0, len(lines)-120):], "\n")
}

// The same seed gives the same history, event for event.
func TestDeterminism(t *testing.T) {
	for s := uint64(1); s <= 20; s++ {
		one, _ := live(s, true)
		two, _ := live(s, true)
		if one.Transcript() != two.Transcript() {
			t.Errorf("seed %d: two different histories", s)
		}
		if one.Transcript() == "" {
			t.Errorf("seed %d: an empty history", s)
		}
	}
}
