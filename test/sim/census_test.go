package sim_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/backbeat-ha/backbeat/test/sim"
)

// census is what histories were made of: how often each thing happened, and in how many.
type census struct {
	mu        sync.Mutex
	times, in map[string]int
}

func (c *census) add(t sim.Tally) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for kind, n := range t {
		c.times[kind] += n
		c.in[kind]++
	}
}

// inEvery2000 is what 2,000 histories cannot be without, as parts of kinds. What happens
// less than five times is not in it.
var inEvery2000 = []string{
	"history: 2 hosts", "history: 3 hosts", "history: 5 hosts", "history: two links", "history: peaceful", "history: sync group", "history: unicast", "history: virtual MAC",
	"history: IPv6", "history: version 2", "history: address owner", "history: service group", "history: exclusive data, fence", "history: exclusive data, none",
	"history: a wild medium", "history: storage that refuses", "history: addresses with a lifetime", "history: addresses when ready",
	"crashes", "loses power", "has power", "is asked to hand over", "is asked to stop, yield=true", "is asked to stop, yield=false",
	"the process stalls", "the machine is paused", "reloads", "cut %s to %s", "loss", "duplicates", "islands", "healed", "wall clock steps",
	"sockets broken=true", "macvlans broken=true", "its check is %s", "dies", "fences %s",
	"carrier false", "carrier true", "vanishes", "appears", "is replaced by another", "another MAC address", "the bond fails over",
	"command standby", "command online", "command move", "command unmove", "command clear", "command group-stop", "command group-start", "command group-restart",
	"command maintenance-on", "command maintenance-off", "command fence-confirm",
	"hands: start fails", "hands: start hangs", "hands: start lies", "hands: stop fails", "hands: stop hangs", "hands: stop lies", "hands: force-stop fails",
	"hands: look hangs", "hands: look finds nothing out", "hands: qualify fails", "hands: fence fails",
	"log: exclusive data may be taken: this host held it", "log: exclusive data may be taken: the host that was Active before has let go",
	"log: exclusive data may be taken: the host that was Active before is silent", "log: exclusive data may be taken: the other host was fenced",
	"log: has not said that it let go", "log: is stuck", "log: this host cannot serve", "log: the hold-off is over",
	"log: as in the process before", "log: too long to go on", "log: has expired", "log: did not run for", "log: is failing", "log: is healthy",
	"because of startup", "because of interface-up", "because of owner-startup", "because of no-response", "because of active-resigned", "because of preempted",
	"because of preempt-hold-timeout", "because of higher-priority", "because of higher-address", "because of replaced-in-stall", "because of shutdown",
	"because of nobody-took-over", "because of interface-missing", "because of interface-down", "because of removed",
	"because of sync-group", "because of degraded", "because of check-failed", "because of check-passed", "because of service-group",
	"because of service-group-fit", "because of standby", "because of online", "because of moved", "because of died",
}

// judge says what there was, and complains of what there was not.
func (c *census) judge(t *testing.T, histories int) {
	var lines []string
	for _, kind := range slices.Sorted(maps.Keys(c.times)) {
		lines = append(lines, fmt.Sprintf("%8d in %6d  %s", c.times[kind], c.in[kind], kind))
	}
	t.Logf("what happened in %d histories:\n%s", histories, strings.Join(lines, "\n"))
	if histories < 2000 || t.Failed() {
		return
	}
	for _, want := range inEvery2000 {
		if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, want) }) {
			t.Errorf("nothing of the kind %q happened", want)
		}
	}
}
