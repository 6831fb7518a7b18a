// Package wire carries advertisements over the sockets of one host. A Port owns
// one receive socket per interface and family, however many routers there are,
// one send socket per interface, one more per family where there are unicast
// peers, and the one timer the loop waits on.
//
// Everything but sending to peers, whose next hop is the kernel's to find, is
// AF_PACKET. Receiving on the parent with ETH_P_ALL is the only
// way that works in every macvlan mode; sending complete frames decouples the
// election from what addresses and routes the kernel has at the moment. A
// kernel filter lets only VRRP through. Packets are read by recvmmsg with the
// kernel's time of arrival, frames leave by sendmmsg, what is queued in one
// turn of the loop in one call per interface. Nothing is allocated per packet.
//
// A Port belongs to the loop's goroutine, which stays on one thread: Wait,
// Receive, Send, Flush, Listen, Forget and Stats are called from there. Wake,
// Now and Wall may be called from anywhere. Opening sockets takes system calls
// and happens in a goroutine of its own; vrrp.SocketReady answers.
package wire
