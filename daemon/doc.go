// Package daemon is the loop: the one goroutine that owns every machine of this
// host, decides when each is stepped, and carries their effects to the world
// through ports that never block.
//
//	Turn:  1 drain packets            vrrp.ParseIP → router → vrrp.Validate → Router.Step
//	       2 expire deadlines         heap → Router.Step(Timeout)
//	       3 flush                    what both queued leaves in one call per interface
//	       4 inputs                   link levels, answers, operator's commands
//	Wait:  until a packet, the next deadline, or Wake
//
// Loop is driven either by Run, which waits on the real sockets, or turn by
// turn by the simulated LAN in daemon/simlan, which has its own clock: the loop
// itself reads time only through its Clock port.
//
// Everything here except Post runs on the loop's goroutine. The package imports
// no sockets, no netlink and no HCL; a test enforces it.
package daemon
