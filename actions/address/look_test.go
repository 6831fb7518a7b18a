package address

import (
	"testing"

	"github.com/backbeat-ha/backbeat/actions"
)

// Somebody flushes the ruleset: it is noticed at the next look, not only at the
// next comparison of everything, and told.
func TestTablesAreLookedAt(t *testing.T) {
	r := newRig()
	w := actions.Wanted{Router: 1, Term: 1, VirtualMAC: &actions.VirtualMAC{MAC: [6]byte{0, 0, 0x5e, 0, 1, 9}, Parent: 2, ParentName: "e0"}}
	r.keeper.Want(w)
	r.work()
	if r.untilNext() > lookAtWalls {
		t.Errorf("the next look is in %s", r.untilNext())
	}
	r.did()
	r.kernel.flushed = true
	r.work()
	r.time = r.time.Add(lookAtWalls)
	r.work()
	told := 0
	for _, v := range r.posted {
		if x, ok := v.(actions.Restored); ok && x.What == "nftables table backbeat" && x.Router == 1 {
			told++
		}
	}
	if told != 1 || r.kernel.flushed {
		t.Errorf("told %d times, still flushed %t: %q", told, r.kernel.flushed, r.did())
	}
}
