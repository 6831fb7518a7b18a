package sim_test

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/sim"
)

var (
	histories = flag.Int("histories", 0, "how many random histories to live (default 2000, 150 with the race detector or -short)")
	seed      = flag.Uint64("seed", 0, "live this one history and print its transcript")
	firstSeed = flag.Uint64("first-seed", 1, "seed of the first history; the others follow")
	shard     = flag.String("shard", "1/1", "live only this part of the histories, \"2/8\" the second of eight")
	skipped   = flag.String("skip", "", "leave out these faults of the history of -seed, as a failure says: \"0,3,4\"")
	most      = flag.Int("failures", 1, "stop after so many failures")
)

// Whatever happens, the laws of package sim hold at every step and at rest.
//
//	go test ./test/sim -run RandomHistories -histories 1000000 -first-seed 1000000 -shard 1/4 -timeout 0
//	go test ./test/sim -run RandomHistories -seed 4711 -v
func TestRandomHistories(t *testing.T) {
	if *seed != 0 {
		var skip []int
		for _, n := range strings.FieldsFunc(*skipped, func(r rune) bool { return r == ',' }) {
			i, err := strconv.Atoi(n)
			if err != nil {
				t.Fatalf("-skip %q", *skipped)
			}
			skip = append(skip, i)
		}
		lan, err := live(*seed, true, skip...)
		t.Log(lan.Transcript())
		if err != nil {
			t.Fatalf("seed %d: %v", *seed, err)
		}
		return
	}
	seeds := chosen(t)
	t.Logf("%d seeds from %d to %d", len(seeds), seeds[0], seeds[len(seeds)-1])
	liveAll(t, seeds).judge(t, len(seeds))
}

// chosen are the seeds of this run.
func chosen(t *testing.T) (seeds []uint64) {
	count := *histories
	if count == 0 {
		if count = 2000; underRace || testing.Short() {
			count = 150
		}
	}
	var part, of uint64
	if n, err := fmt.Sscanf(*shard, "%d/%d", &part, &of); n != 2 || err != nil || part < 1 || part > of {
		t.Fatalf("-shard %q", *shard)
	}
	for i := uint64(0); i < uint64(count); i++ {
		if i/2%of == part-1 { // even and odd seeds are two kinds
			seeds = append(seeds, *firstSeed+i)
		}
	}
	return seeds
}

// liveAll lives histories, as many at one time as there are processors, and says
// now and then how far it is.
func liveAll(t *testing.T, seeds []uint64) *census {
	// A history lives in a few megabytes: without this the collector never rests.
	defer debug.SetGCPercent(debug.SetGCPercent(3200))
	var next, failures atomic.Int64
	began := time.Now()
	all := &census{times: map[string]int{}, in: map[string]int{}}
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for failures.Load() < int64(*most) {
				i := int(next.Add(1)) - 1
				if i >= len(seeds) {
					return
				}
				if i%2000 == 0 && i > 0 {
					fmt.Printf("%d of %d histories, %d failures, %s\n", i, len(seeds), failures.Load(), time.Since(began).Round(time.Second))
				}
				lan, err := live(seeds[i], false)
				all.add(lan.Tally())
				if err != nil {
					failures.Add(1)
					skip := shrink(seeds[i], err)
					t.Errorf("seed %d: %v\n%s\nagain: go test ./test/sim -run RandomHistories -seed %d -skip %s -v", seeds[i], err, tail(seeds[i], skip...), seeds[i], numbers(skip))
				}
			}
		})
	}
	wg.Wait()
	return all
}

// live turns a panic of the loop into a failure with a seed.
func live(seed uint64, transcript bool, skip ...int) (lan *sim.LAN, err error) {
	h := sim.NewHistory(seed, transcript)
	h.Skip(skip...)
	defer func() {
		if p := recover(); p != nil {
			lan, err = h.LAN(), fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return h.LAN(), h.Run()
}

// shrink looks for faults without which a history breaks the same law as well.
func shrink(seed uint64, failed error) (skip []int) {
	law := lawOf(failed)
	for i := range 24 { // there are not many more
		if _, err := live(seed, false, append(skip, i)...); err != nil && lawOf(err) == law {
			skip = append(skip, i)
		}
	}
	return skip
}

// lawOf is the law that a violation names.
func lawOf(err error) string {
	_, law, _ := strings.Cut(err.Error(), "law ")
	law, _, _ = strings.Cut(law, ":")
	return law
}

func numbers(list []int) string {
	var out []string
	for _, i := range list {
		out = append(out, strconv.Itoa(i))
	}
	return strconv.Quote(strings.Join(out, ","))
}

// tail lives a history again and returns the end of its transcript, without
// the ordinary adverts.
func tail(seed uint64, skip ...int) string {
	lan, _ := live(seed, true, skip...)
	lines := strings.Split(strings.TrimSpace(lan.Transcript()), "\n")
	lines = slices.DeleteFunc(lines, func(l string) bool { return strings.Contains(l, "  advert ") && !strings.HasSuffix(l, "priority 0") })
	return strings.Join(lines[max(0, len(lines)-120):], "\n")
}

// Histories that have shown something once are lived in every run.
func TestSeedsThatHaveShownSomething(t *testing.T) {
	text, err := os.ReadFile("testdata/seeds.txt")
	if err != nil {
		t.Fatal(err)
	}
	var seeds []uint64
	for line := range strings.Lines(string(text)) {
		if n, _, _ := strings.Cut(line, " "); n != "#" {
			s, err := strconv.ParseUint(n, 10, 64)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			seeds = append(seeds, s)
		}
	}
	if len(seeds) == 0 {
		t.Fatal("no seeds")
	}
	liveAll(t, seeds)
}

// The same seed gives the same history, event for event.
func TestDeterminism(t *testing.T) {
	for s := uint64(1); s <= 40; s++ {
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
