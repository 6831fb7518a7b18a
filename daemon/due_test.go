package daemon

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// The heap gives out the earliest deadline, whatever is added, changed and removed.
func TestDueHeap(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	h, all := dueHeap{}, []*slot{}
	for range 20000 {
		switch n := rnd.IntN(4); {
		case n == 0 || len(all) == 0:
			s := &slot{heapIndex: -1, deadline: time.Duration(rnd.IntN(1000))}
			h.add(s)
			all = append(all, s)
		case n == 1 && len(all) > 50:
			i := rnd.IntN(len(all))
			h.remove(all[i])
			if all[i].heapIndex != -1 {
				t.Fatal("removed and still in")
			}
			all = slices.Delete(all, i, i+1)
		default:
			s := all[rnd.IntN(len(all))]
			s.deadline = time.Duration(rnd.IntN(1000))
			h.fix(s)
		}
		least := time.Duration(vrrp.Never)
		for _, s := range all {
			if least = min(least, s.deadline); h.list[s.heapIndex].slot != s || h.list[s.heapIndex].at > s.deadline {
				t.Fatal("a slot does not know where it is")
			}
		}
		if h.next() != least || len(all) > 0 && h.first().deadline != least {
			t.Fatalf("next %d, want %d", h.next(), least)
		}
	}
}
