package main

import (
	"sync"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// tally is a daemon.Journal that counts states on the way, so that the status
// line for systemd costs the loop no question. Its lock is held for a map
// access at most.
type tally struct {
	daemon.Journal

	mu    sync.Mutex
	total int
	last  map[string]seen
	// changed has room for one: somebody should look.
	changed chan struct{}
}

// seen is the latest transition of a router. Sequence numbers tell the order:
// a record comes again with every follow-up.
type seen struct {
	seq uint64
	to  string
}

func newTally(j daemon.Journal) *tally {
	return &tally{Journal: j, last: map[string]seen{}, changed: make(chan struct{}, 1)}
}

// Transition notes the state and passes the record on.
func (t *tally) Transition(r daemon.Transition) {
	t.Journal.Transition(r)
	t.mu.Lock()
	defer t.mu.Unlock()
	if old, ok := t.last[r.Router]; ok && old.seq >= r.Seq {
		return
	}
	t.last[r.Router] = seen{r.Seq, r.To}
	t.poke()
}

// configure takes over a configuration: routers that are gone are forgotten.
func (t *tally) configure(cfg *daemon.Config) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total = len(cfg.Routers)
	names := make(map[string]bool, len(cfg.Routers))
	for i := range cfg.Routers {
		names[cfg.Routers[i].Name] = true
	}
	for n := range t.last {
		if !names[n] {
			delete(t.last, n)
		}
	}
	t.poke()
}

func (t *tally) poke() {
	select {
	case t.changed <- struct{}{}:
	default:
	}
}

// summary is "3 virtual routers: 2 active, 1 backup".
func (t *tally) summary() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	count := map[string]int{}
	for _, s := range t.last {
		count[s.to]++
	}
	// A router that has not had a transition yet is in Initialize.
	rest := t.total - count[vrrp.Active.String()] - count[vrrp.Backup.String()]
	count[vrrp.Initialize.String()] = max(rest, 0)
	return summary(t.total, count)
}
