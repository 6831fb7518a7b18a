// Package sim is a LAN in virtual time: two to five hosts, each running a real
// daemon.Loop on simulated ports, with every fault a network, a kernel, an
// operator or a scheduler can think of, and an observer that judges each step.
//
//	lan := sim.New(sim.Options{Seed: 7, Hosts: 3, MinDelay: 100 * time.Microsecond})
//	for _, h := range lan.Hosts() {
//		h.Boot(config(h))
//	}
//	err := lan.Run(10 * time.Second)
//	lan.Hosts()[0].Crash()
//	err = lan.Run(10 * time.Second)
//	err = lan.CheckRest()
//
// Everything happens on one goroutine, in the order of a heap of events with a
// sequence number as tie-break, and all chance comes from one seeded
// generator: the same seed gives the same history, event for event.
//
// Parts: queue.go (the heap), lan.go (the medium and its faults), host.go (a
// machine: interface, clock, lifecycle), process.go (one life of the daemon:
// its turns, its wire), kernel.go (addresses and levels), hands.go
// (announcements, hooks, the journal), observe.go and laws.go (what must
// always be true), rest.go (what must be true at rest), history.go (random
// histories), transcript.go.
//
// The laws, as violations name them:
//
//	one active    at rest exactly one Active per island and virtual router, and the best where
//	              somebody preempts. Among equal priorities any may be Active: RFC 9568 lets the
//	              address decide only between two that are Active at one time.
//	addresses     at rest exactly the Active holds the addresses; after every turn what a router
//	              wants is what its state says.
//	two actives   in a calm LAN two Actives hear each other within twice the longest interval (an
//	              Active that listens after a stall is silent for one) plus the longest delay, plus
//	              what a yield may take (one interval and 100 ms, and the linger).
//	adverts       only an Active speaks, once more with priority 0 when it leaves, and never more
//	              than its interval and one millisecond of grid apart; without drift.
//	journal       every transition continues the one before, has a cause, a sentence and a term
//	              that is one more; nobody becomes Active with an advert unread; lines are
//	              bounded by what happened.
//	hooks         are told in order, and at rest the last state has been told.
//	turns         the loop does not spin.
package sim
