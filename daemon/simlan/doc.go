// Package simlan is one LAN or several in virtual time: hosts that run a real
// daemon.Loop on simulated ports, with the faults a network, a kernel, an operator
// or a scheduler can think of. Nothing in it waits, and it knows no real clock.
//
//	lan := simlan.New(simlan.Options{Seed: 7, MinDelay: 100 * time.Microsecond, Hosts: []simlan.HostSpec{
//		{Name: "web1", NICs: []simlan.NICSpec{{Name: "eth0", Own: prefixes}}}, …}})
//	for _, h := range lan.Hosts() {
//		h.Boot(config(h))
//	}
//	err := lan.Run(10 * time.Second)
//	lan.Hosts()[0].Crash()
//	err = lan.Run(10 * time.Second)
//
// Everything happens on one goroutine, in the order of a heap of events with a
// sequence number as tie-break, and all chance comes from one seeded
// generator: the same seed gives the same history, event for event.
//
// Parts: queue.go (the heap), lan.go (the media and their faults), host.go (a
// machine: clock, lifecycle), nic.go (one interface: addresses, macvlans, its
// faults), process.go (one life of the daemon: its turns, its wire), kernel.go
// (addresses, macvlans and levels), hands.go (announcements, hooks, checks, the
// journal), agents.go (steps of service groups), restart.go (a
// process that hands over to the next, and disks), witness.go (who looks on), transcript.go.
//
// Two build on it: test/sim has the laws, random histories and scenarios that
// prove the daemon; daemon/play has what `backbeat simulate` shows to people.
//
// Multicast reaches every host of the link that listens to the group, unicast the
// host that has the address. Routed peers are not simulated.
package simlan
