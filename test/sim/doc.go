// Package sim proves the daemon on daemon/simlan: two to five hosts on one LAN or two in
// virtual time, each running a real daemon.Loop on simulated ports, with every fault a
// network, a kernel, an operator or a scheduler can think of, and an observer that judges each step.
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
// The same seed gives the same history, event for event (see package simlan).
//
// Parts: tally.go counts what happens; lan.go, host.go and life.go (a simlan.LAN, its hosts and the daemons on them, as the
// observer sees them), config.go and health.go (what they are configured to do), observe.go,
// laws.go, adverts.go and steps.go (what must always be true), rest.go (what must be true at
// rest), history.go, draw.go and faults.go (random histories); service.go (service groups),
// trouble.go (hands that fail), operator.go and restart.go (what people and packages do).
// Histories with an even seed are about the election alone, those with an odd one about the
// whole daemon; a third of these are peaceful: nothing keeps anybody from hearing what is said.
//
// The laws, as violations name them:
//
//	one active    at rest never two Actives that hear each other, and who could be Active and is
//	              not hears one that is at least as good, or that must not be preempted. Among
//	              equal priorities any may be Active: RFC 9568 lets the address decide only
//	              between two that are Active at one time. In a sync group one of the links on
//	              which it is heard is enough: a group stays Backup while one carries the
//	              Active's adverts.
//	groups        the members of a sync group are Active together or not at all, but for one yield
//	              (below) and the settle time or link_down_delay of a member.
//	addresses     at rest exactly the Active holds the addresses; after every turn what a router
//	              wants is what its state says. Nobody announces what is not there; repeats come
//	              once a second at most. Router Advertisements come from the Active alone.
//	virtual MAC   adverts to a group and announcements carry it exactly where it is configured, and
//	              only from the Active; at rest it is silent on everybody else.
//	two actives   in a calm LAN two Actives hear each other within twice the longest interval (an
//	              Active that listens after a stall is silent for one) plus the longest delay, plus
//	              what a yield may take (one interval and 100 ms, and the linger).
//	adverts       only an Active speaks, once more with priority 0 when it leaves, and never more
//	              than its interval and one millisecond of grid apart; without drift. They have the
//	              headers that were configured, and a receiver with that configuration takes them.
//	              Only a sync group takes a goodbye back.
//	journal       every transition continues the one before, has a cause, a sentence and a term
//	              that is one more; nobody steps down for a worse one, or becomes Active with an
//	              advert unread; lines are bounded by what happened.
//	exclusive     no exclusive step is begun while another host has it, up, half up or being
//	              brought up. With safety = fence: never, whatever happens, as long as a fence
//	              that says "off" means it and a human's word is true. With none: not while
//	              all adverts are heard and the peer lets go within release_timeout, which it does
//	              not if it has left the election in maintenance.
//	fencing       in a peaceful history nobody is fenced who lives and holds nothing (30 s after
//	              its start).
//	steps         start in order and stop in reverse; nothing is moved in maintenance; nothing is
//	              started where a followed router is not Active, in standby, unfit or leaving. An
//	              Active that leaves in peace has no exclusive step up when it says so, but for
//	              what is stuck, a hasty stop and maintenance; LetGo is true. At rest all steps are
//	              up where the routers serve, and none elsewhere; no group is unfit or stuck.
//	orders        at rest who is in standby takes no part.
//	commands      every one is answered in the next turn.
//	restart       by handoff at rest: no change from or to Active anywhere, no step moves, and an
//	              Active is silent for the gap and one interval at most.
//	memory        at rest what a loop keeps follows from its configuration alone.
//	hooks         are told in order, and at rest the last state has been told.
//	turns         the loop does not spin.
package sim
