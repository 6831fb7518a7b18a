package stories

import (
	"strings"
	"testing"
	"time"
)

// Step 6 to the letter: services that must never run on both hosts are marked so,
// and on automatic failback the first one waits for the other host's word.
func TestHeartbeatPairExclusive(t *testing.T) {
	t.Parallel()
	p := newPair(t, "ha.hcl")
	text := strings.Replace(p.read("examples/heartbeat-pair/ha.hcl"), "follows = virtual_router.ha", `follows = virtual_router.ha
  safety {
    mode               = "none"
    accept_split_brain = true
  }`, 1)
	text = strings.Replace(text, `script = "named"`, "script    = \"named\"\n    exclusive = true", 1)
	for _, n := range p.nodes {
		p.must(n.d.Configure(text))
	}
	p.begin()
	p.node1.do(nil, "standby")
	p.serves(p.node2)
	p.node1.forget()
	p.node2.forget()
	p.node1.do(nil, "online") // auto_failback on
	p.serves(p.node1)
	p.node2.did(down...)
	p.node1.did(up...)
	first, last := p.node1.events()[0].at, p.node2.events()[len(down)-1].at
	t.Logf("first start on node1 %s after the last stop on node2", time.Duration(first-last))
	if first < last {
		t.Error("both hosts had a service at one time")
	}
}
