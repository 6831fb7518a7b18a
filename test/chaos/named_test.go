package chaos

import (
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// What a run has found once, by itself: the kernel has no seed, and these happen
// where two moments meet, so each is tried at several.
var named = []struct {
	name string
	plan Plan
}{
	// Addresses whose lifetime had just ended came back to a router that had been woken
	// and had not listened yet (seed 1034; see actions/address: silent).
	{"woken when its addresses have just gone", Plan{Shape: Shape{Routers: 2, MAC4: true}, Rounds: []Round{
		{{Kind: "freeze", For: 1750 * ms}}, {{Kind: "freeze", For: 1850 * ms}}, {{Kind: "freeze", For: 1950 * ms}}, {{Kind: "freeze", For: 2050 * ms}},
	}}},
	// The next process could not start without its runtime directory (seed 1018).
	{"replaced without a runtime directory", Plan{Shape: Shape{Routers: 2}, Rounds: []Round{
		{{Kind: "lost directories", For: 1500 * ms, Roll: 1}, {Kind: "replace", After: 300 * ms}},
		{{Kind: "full disk", For: 1500 * ms}, {Kind: "replace", After: 300 * ms}},
	}}},
	// An address that was taken, put back, and its host killed (seed 16).
	{"robbed and killed", Plan{Shape: Shape{Routers: 3, Services: true}, Rounds: []Round{
		{{Kind: "theft"}, {Kind: "kill and release", For: 300 * ms, After: 250 * ms}},
	}}},
	// A cable that was pulled and put back while nobody looked (seed 90507).
	{"the cable is out while the process is replaced", Plan{Shape: Shape{Routers: 3, MAC4: true}, Rounds: []Round{
		{{Kind: "replace"}, {Kind: "cut", For: 283 * ms}}, {{Kind: "replace"}, {Kind: "cut", For: 283 * ms, After: 30 * ms}},
		{{Kind: "replace"}, {Kind: "cut", For: 283 * ms, After: 60 * ms}}, {{Kind: "replace"}, {Kind: "cut", For: 1000 * ms, After: 30 * ms}},
		{{Kind: "cut", For: 400 * ms}, {Kind: "replace", After: 100 * ms}}, {{Kind: "cut", For: 400 * ms}, {Kind: "replace", After: 350 * ms}},
	}}},
	// An address that was taken while the kernel's notices were lost (seed 92108), and a
	// process that ended before it was killed, having no directory to hand over in (92112).
	{"faults that hide each other", Plan{Shape: Shape{Routers: 2, MAC4: true, Preempt: true}, Rounds: []Round{
		{{Kind: "overrun"}}, {{Kind: "overrun"}, {Kind: "flood", For: 1000 * ms, Rank: 1}}, {{Kind: "overrun"}, {Kind: "deafen", For: 900 * ms, Rank: 1}},
		{{Kind: "replace and kill", For: 36 * ms, Roll: 3}, {Kind: "lost directories", For: 1500 * ms, After: 3 * ms}},
		{{Kind: "replace and kill", For: 400 * ms, Roll: 4}, {Kind: "mute", For: 570 * ms, After: 50 * ms}},
	}}},
	// A file of noise cost the daemon its memory (seed 25; see conf: abridge).
	{"reload of noise", Plan{Shape: Shape{Routers: 2}, Rounds: []Round{
		{{Kind: "bad reload", Roll: 1}}, {{Kind: "bad reload", Roll: 2}}, {{Kind: "bad reload", Roll: 3}}, {{Kind: "bad reload", Roll: 4}},
		{{Kind: "bad reload", Roll: 5}}, {{Kind: "bad reload", Roll: 6}}, {{Kind: "bad reload", Roll: 7}}, {{Kind: "bad reload", Roll: 8}},
	}}},
}

func TestNamed(t *testing.T) {
	lab.Need(t)
	if testing.Short() {
		t.Skip("half a minute")
	}
	slots := make(chan bool, *arenas)
	for _, n := range named {
		t.Run(n.name, func(t *testing.T) {
			t.Parallel()
			slots <- true
			defer func() { <-slots }()
			began := time.Now()
			s := &sums{}
			s.live(t, n.plan, testing.Verbose())
			s.report(t)
			t.Logf("%s", time.Since(began).Round(time.Second))
		})
	}
}
