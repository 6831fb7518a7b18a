package stories

import (
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// A pin and a hook that hangs (services.md 7.1, steps 14 and 20): the order is seen, holds
// over a power cycle of the other gateway, and no hook delays a takeover.
func TestGatewayPairPinned(t *testing.T) {
	t.Parallel()
	g := newGateways(t)
	g.fw2.write("/usr/local/lib/backbeat/gateway-conntrack", "#!/bin/sh\nexec sleep 600\n", 0o755)
	g.fw1.start()
	g.fw2.start()
	g.serves(g.fw1)
	g.rests()
	pin := lab.Now()
	g.fw1.do([]string{"(priority 100) is Active now"}, "move", "inside", "--force", "--pin", "--reason", "broken fan")
	g.serves(g.fw2)
	g.saw(pin, "pinned, with a hook that hangs", 0, "fw2")
	g.fw1.do([]string{"broken fan", "backbeat unmove"}, "status")

	off := lab.Now() // the other one fails: this one serves all the same
	g.fw2.off()
	g.serves(g.fw1)
	g.saw(off, "power-off of the other one", 4*gwInterval, "fw1")
	g.fw2.on()
	g.network(g.fw2)
	g.fw2.start()
	g.rests()
	time.Sleep(2 * gwDown)
	g.serves(g.fw1) // with preempt = false fw2 does not take over from a living one, pinned away or not
	g.fw1.do([]string{"order: pin"}, "status")
	g.fw1.do(nil, "unmove", "inside")
	g.rests()
	g.serves(g.fw1)
}
