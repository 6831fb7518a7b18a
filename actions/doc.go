// Package actions holds the machines that follow the election: today the
// mailbox of hooks, later the ladder of service groups. Like package vrrp it is
// pure: no I/O, no clock, no goroutines; work leaves as effects and results come
// back as events. A machine is used from one goroutine, the daemon's loop.
//
// The hands are in the packages below: address (rtnetlink), announce
// (gratuitous ARP and Neighbor Advertisements), run (processes).
package actions
