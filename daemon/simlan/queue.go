package simlan

import "time"

// event is something to do at an instant. Events of one instant happen in the
// order in which they were planned.
type event struct {
	at  time.Duration
	seq uint64
	do  func()
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

func (q *queue) push(at time.Duration, do func()) {
	q.seq++
	q.events = append(q.events, event{at, q.seq, do})
	e := q.events
	for i := len(e) - 1; i > 0; {
		up := (i - 1) / 2
		if !e[i].before(&e[up]) {
			break
		}
		e[i], e[up] = e[up], e[i]
		i = up
	}
}

func (q *queue) pop() event {
	e := q.events
	first, n := e[0], len(e)-1
	e[0], e[n] = e[n], event{}
	q.events = e[:n]
	for i := 0; ; {
		down := 2*i + 1
		if down >= n {
			return first
		}
		if down+1 < n && e[down+1].before(&e[down]) {
			down++
		}
		if !e[down].before(&e[i]) {
			return first
		}
		e[i], e[down] = e[down], e[i]
		i = down
	}
}
