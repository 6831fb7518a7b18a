// Package announce tells the neighbours where virtual addresses are: gratuitous
// ARP for IPv4, unsolicited Neighbor Advertisements for IPv6, repeated as
// scheduled and paced so that thousands of addresses do not flood the link.
//
// A schedule (schedule.go) is a plain value with time as an argument; one
// goroutine (announcer.go) owns it and the sockets (send.go). Frames (frame.go)
// are built once per address and MAC (compose.go). One announcement may concern
// several interfaces; one that is gone does not stop the others.
//
// While an announcement runs, others who claim its addresses are watched for:
// one receive socket per interface, read by a goroutine of its own (watch.go),
// takes ARP and Neighbor Advertisements from the network (claim.go) and posts
// actions.Claimed, at most once per address and second. Our own frames that a
// switch sends back are told apart by their MAC, except a virtual one, which
// every host of the virtual router may use.
//
// Pacing: at most 64 frames leave at a time and at least 1 ms passes until the
// next 64, so 5,000 addresses take about 80 ms and a link sees at most 64,000
// frames per second, 5 % of what 1 Gbit/s carries in small frames. First rounds
// go before all repetitions: what has just moved matters most.
package announce
