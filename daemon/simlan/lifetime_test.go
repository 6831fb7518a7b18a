package simlan_test

import (
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/daemon/simlan"
)

// Addresses with a lifetime outlive their daemon by no more than that, whether it
// was killed or does not run, and come back when it does.
func TestLifetimes(t *testing.T) {
	n, cfgs := pair(simlan.Options{MinDelay: time.Millisecond}, 1)
	h := n.Hosts()
	run := func(d time.Duration, want string) {
		t.Helper()
		if err := n.Run(d); err != nil {
			t.Fatal(err)
		}
		if got := answering(n, virtual(0)); got != want {
			t.Errorf("at %v it is on %q, want %q", n.Now(), got, want)
		}
	}
	for i := range h {
		cfgs[i].Routers[0].Mortal = true
	}
	h[0].Boot(cfgs[0])
	run(10*s, "a")
	h[0].Stall(6 * s)
	run(s, "a")
	run(4*s, "")
	run(5*s, "a")
	h[1].Boot(cfgs[1])
	run(10*s, "a")
	h[0].Crash()
	run(s, "a")
	run(5*s, "b")
	run(10*s, "b")
}
