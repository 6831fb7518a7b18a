package daemon

import (
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

// dueHeap orders routers, checks or service groups by deadline: a heap with four
// children each, and the deadlines in the heap itself, because with 4,000 routers most of
// what container/heap costs is the way to deadlines that are not in the cache. A
// Backup's deadline moves away with every advert; where it is in the heap matters
// only once it comes to the front.
type dueHeap struct{ list []dueEntry }

type dueEntry struct {
	at   time.Duration // the slot's deadline, or an earlier one that it had
	slot *slot
}

const dueChildren = 4

func (h *dueHeap) next() time.Duration {
	for len(h.list) > 0 {
		front := &h.list[0]
		if front.at == front.slot.deadline {
			return front.at
		}
		front.at = front.slot.deadline
		h.down(0)
	}
	return vrrp.Never
}

// first is who is due next, after next has said that there is somebody.
func (h *dueHeap) first() *slot { return h.list[0].slot }

func (h *dueHeap) add(s *slot) {
	h.list = append(h.list, dueEntry{s.deadline, s})
	h.up(len(h.list) - 1)
}

func (h *dueHeap) remove(s *slot) {
	i, last := s.heapIndex, len(h.list)-1
	moved := h.list[last]
	h.list[last] = dueEntry{}
	h.list = h.list[:last]
	if i < last {
		h.put(i, moved)
		h.settle(i)
	}
	s.heapIndex = -1
}

// fix takes note of a deadline that has changed.
func (h *dueHeap) fix(s *slot) {
	if s.deadline < h.list[s.heapIndex].at {
		h.list[s.heapIndex].at = s.deadline
		h.up(s.heapIndex)
	}
}

func (h *dueHeap) put(i int, e dueEntry) {
	h.list[i] = e
	e.slot.heapIndex = i
}

func (h *dueHeap) settle(i int) {
	if i > 0 && h.list[i].at < h.list[(i-1)/dueChildren].at {
		h.up(i)
		return
	}
	h.down(i)
}

func (h *dueHeap) up(i int) {
	e := h.list[i]
	for i > 0 {
		parent := (i - 1) / dueChildren
		if h.list[parent].at <= e.at {
			break
		}
		h.put(i, h.list[parent])
		i = parent
	}
	h.put(i, e)
}

func (h *dueHeap) down(i int) {
	e := h.list[i]
	for {
		least := dueChildren*i + 1
		if least >= len(h.list) {
			break
		}
		for c := least + 1; c < min(dueChildren*i+1+dueChildren, len(h.list)); c++ {
			if h.list[c].at < h.list[least].at {
				least = c
			}
		}
		if h.list[least].at >= e.at {
			break
		}
		h.put(i, h.list[least])
		i = least
	}
	h.put(i, e)
}
