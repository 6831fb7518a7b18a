package simlan

import "time"

// event is something to do at an instant: a packet that arrives at a NIC, or anything
// else. Events of one instant happen in the order in which they were planned.
type event struct {
	at  time.Duration
	seq uint64
	do  func()
	// Packets are half of all events; a closure for each would be most of the garbage.
	nic   *NIC
	frame *frame
}

func (e *event) before(o *event) bool {
	return e.at < o.at || e.at == o.at && e.seq < o.seq
}

// queue is a binary heap of events. It is written out because container/heap
// would box every event.
type queue struct {
	events []event
	seq    uint64
}

// push plans an event; its seq is given here.
func (q *queue) push(x event) {
	q.seq++
	x.seq = q.seq
	q.events = append(q.events, x)
	e := q.events
	i := len(e) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !x.before(&e[up]) {
			break
		}
		e[i] = e[up]
		i = up
	}
	e[i] = x
}

func (q *queue) pop() event {
	e := q.events
	first, n := e[0], len(e)-1
	last := e[n]
	e[n] = event{}
	e = e[:n]
	q.events = e
	if n == 0 {
		return first
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= n {
			break
		}
		if down+1 < n && e[down+1].before(&e[down]) {
			down++
		}
		if !e[down].before(&last) {
			break
		}
		e[i] = e[down]
		i = down
	}
	e[i] = last
	return first
}
