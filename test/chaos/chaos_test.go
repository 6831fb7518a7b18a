package chaos

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

var (
	faults    = flag.Int("faults", 50, "how many faults")
	perRun    = flag.Int("per-run", 13, "how many faults fall on the same hosts")
	seed      = flag.Uint64("seed", 0, "repeat this one run and print its transcript")
	firstSeed = flag.Uint64("first-seed", 1, "seed of the first run; the others follow")
	arenas    = flag.Int("arenas", 2, "how many runs at a time")
	budget    = flag.Duration("budget", 0, "begin no further run after this time (default: a minute and two seconds for each fault)")
)

func TestMain(m *testing.M) {
	flag.Parse()
	lab.Main(lab.Options{Binary: true, Root: *steppable}, m.Run)
}

// TestChaos lets faults fall until there were enough of them.
func TestChaos(t *testing.T) {
	lab.Need(t)
	if *seed != 0 {
		s := &sums{}
		s.live(t, Draw(*seed, *perRun), true)
		s.report(t)
		return
	}
	if testing.Short() {
		*faults = min(*faults, *perRun)
	}
	if *budget == 0 {
		*budget = time.Minute + time.Duration(*faults)*2*time.Second
	}
	var plans []Plan
	for left := *faults; left > 0; left -= *perRun {
		plans = append(plans, Draw(*firstSeed+uint64(len(plans)), min(left, *perRun)))
	}
	began := time.Now()
	s := &sums{}
	next := make(chan Plan)
	var wg sync.WaitGroup
	for range *arenas {
		wg.Go(func() {
			for p := range next {
				s.live(t, p, false)
			}
		})
	}
	for _, p := range plans {
		if time.Since(began) > *budget {
			t.Logf("the time is over: seeds from %d on were left out", p.Seed)
			break
		}
		next <- p
	}
	close(next)
	wg.Wait()
	s.report(t)
	t.Logf("%s", time.Since(began).Round(time.Second))
}

// sums gathers the figures of all runs.
type sums struct {
	mu      sync.Mutex
	runs    int
	kinds   map[string]int
	figures map[string]time.Duration
	grown   int64
	floods  []float64
	granted []string
	proven  map[string]int
}

// live is one run.
func (s *sums) live(t *testing.T, p Plan, show bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute+time.Duration(*perRun)*10*time.Second)
	defer cancel()
	a, err := NewArena(ctx, p)
	if a != nil {
		defer func() {
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		}()
	}
	if err != nil {
		t.Errorf("seed %d: %v", p.Seed, err)
		return
	}
	a.Run()
	if list := a.Failures(); len(list) > 0 {
		t.Errorf("seed %d: %s\n%s\n%s\nagain: go test ./test/chaos -run TestChaos -seed %d -per-run %d -v", p.Seed, strings.Join(list, "\n"),
			a.Transcript(), a.Logs(), p.Seed, *perRun)
	} else if show {
		t.Log(a.Transcript())
		if len(a.granted) > 0 {
			t.Log(a.Logs())
		}
	}
	s.add(a)
}

func (s *sums) add(a *Arena) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kinds == nil {
		s.kinds, s.figures, s.proven = map[string]int{}, map[string]time.Duration{}, map[string]int{}
	}
	s.runs++
	for name, n := range a.fell {
		s.kinds[name] += n
	}
	for name, n := range a.proven {
		s.proven[name] += n
	}
	for name, d := range a.figures {
		s.figures[name] = max(s.figures[name], d)
	}
	s.grown = max(s.grown, a.Grown)
	s.floods = append(s.floods, a.floods...)
	s.granted = append(s.granted, a.granted...)
}

// enough faults of a kind, that some must have had an effect: a few come when nothing can
// be taken, moved or dropped.
const enough = 8

func (s *sums) report(t *testing.T) {
	s.mu.Lock()
	defer s.mu.Unlock()
	total, text := 0, ""
	for _, name := range slices.Sorted(maps.Keys(s.kinds)) {
		total += s.kinds[name]
		text += fmt.Sprintf(", %s %d (seen %d)", name, s.kinds[name], s.proven[name])
		if s.kinds[name] >= enough && s.proven[name] == 0 {
			t.Errorf("of %d faults %q none was seen to have an effect", s.kinds[name], name)
		}
	}
	t.Logf("%d faults in %d runs (seen: there was an effect outside of the daemon)%s", total, s.runs, text)
	for _, name := range slices.Sorted(maps.Keys(s.figures)) {
		t.Logf("worst %s: %s", name, s.figures[name].Round(time.Millisecond))
	}
	for _, g := range s.granted {
		t.Logf("granted: %s", g)
	}
	t.Logf("a daemon grew by %.1f MiB at most", float64(s.grown)/(1<<20))
	if len(s.floods) > 0 {
		slices.Sort(s.floods)
		t.Logf("%d floods of %.0f to %.0f forged adverts a second, half of them above %.0f", len(s.floods), s.floods[0], s.floods[len(s.floods)-1], s.floods[len(s.floods)/2])
	}
}
