package vrrp_test

import (
	"testing"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// Decide, exhaustively over groups of up to four: promoted are all or none, and
// nobody is demoted but for a member that has lost.
func TestDecide(t *testing.T) {
	kinds := []vrrp.Member{{State: vrrp.Initialize}, {State: vrrp.Backup}, {State: vrrp.Backup, Ready: true}, {State: vrrp.Active}}
	if v := vrrp.Decide(nil); v != vrrp.Leave {
		t.Errorf("an empty group: %v", v)
	}
	for size := 1; size <= 4; size++ {
		for code := range pow(len(kinds), size) {
			var members []vrrp.Member
			var n [4]int
			for c := code; len(members) < size; c /= len(kinds) {
				members = append(members, kinds[c%len(kinds)])
				n[c%len(kinds)]++
			}
			initialize, lost, ready, active := n[0], n[1], n[2], n[3]
			got := vrrp.Decide(members)
			if (got == vrrp.DemoteAll) != (active > 0 && lost > 0) {
				t.Errorf("%v: %v", members, got)
			}
			if (got == vrrp.PromoteAll) != (ready > 0 && initialize == 0 && lost == 0) {
				t.Errorf("%v: %v", members, got)
			}
			// What it decides leads to a group that it leaves alone.
			for i := range members {
				switch {
				case got == vrrp.PromoteAll && members[i].Ready:
					members[i] = vrrp.Member{State: vrrp.Active}
				case got == vrrp.DemoteAll && members[i].State == vrrp.Active:
					members[i] = vrrp.Member{State: vrrp.Backup}
				}
			}
			if again := vrrp.Decide(members); again != vrrp.Leave {
				t.Errorf("after %v: %v, and it decides %v again", got, members, again)
			}
		}
	}
	// A member that yields is Active still; one in a fault keeps the others waiting.
	if v := vrrp.Decide([]vrrp.Member{{State: vrrp.Active}, {State: vrrp.Initialize}}); v != vrrp.Leave {
		t.Errorf("Active beside a fault: %v", v)
	}
}

func pow(base, n int) int {
	p := 1
	for range n {
		p *= base
	}
	return p
}
