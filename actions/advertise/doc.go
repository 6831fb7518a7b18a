// Package advertise sends Router Advertisements (RFC 4861 section 6.2) for IPv6
// virtual routers: complete Ethernet frames from the router's MAC and its
// virtual link-local address, so that hosts keep their default router when
// another host becomes Active (RFC 9568 section 8.2.3).
//
// A schedule (schedule.go) is a plain value with time and chance as arguments;
// one goroutine (advertiser.go) owns it and the sockets frames leave by
// (send.go). Frames (frame.go) are built once per request. Router Solicitations
// (solicit.go) come in by a receive socket per interface, however many virtual
// routers there are on it, read by a goroutine of its own (listen.go).
//
// A router that is withdrawn stops without a word. A last Router Advertisement
// with a lifetime of zero, as RFC 4861 section 6.2.5 asks of a router that ends,
// would take the hosts' default route away although the next Active goes on
// from the same address.
package advertise
