package daemon

import (
	"container/heap"
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// slot is what a router, a check or a service group has in a dueHeap.
type slot struct {
	heapIndex int // -1 outside
	deadline  time.Duration
	router    *router // one of the three
	check     *check
	service   *service
}

// dueHeap orders routers, checks or service groups by deadline.
type dueHeap struct{ slots []*slot }

func (h *dueHeap) next() time.Duration {
	if len(h.slots) == 0 {
		return vrrp.Never
	}
	return h.slots[0].deadline
}

func (h *dueHeap) Len() int { return len(h.slots) }

func (h *dueHeap) Less(i, j int) bool { return h.slots[i].deadline < h.slots[j].deadline }

func (h *dueHeap) Swap(i, j int) {
	h.slots[i], h.slots[j] = h.slots[j], h.slots[i]
	h.slots[i].heapIndex, h.slots[j].heapIndex = i, j
}

func (h *dueHeap) Push(x any) {
	s := x.(*slot)
	s.heapIndex = len(h.slots)
	h.slots = append(h.slots, s)
}

func (h *dueHeap) Pop() any {
	s := h.slots[len(h.slots)-1]
	h.slots = h.slots[:len(h.slots)-1]
	s.heapIndex = -1
	return s
}

func (h *dueHeap) add(s *slot) { heap.Push(h, s) }

func (h *dueHeap) remove(s *slot) { heap.Remove(h, s.heapIndex) }

func (h *dueHeap) fix(s *slot) { heap.Fix(h, s.heapIndex) }
