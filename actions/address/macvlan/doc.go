// Package macvlan makes the links that carry a virtual router MAC (RFC 9568
// 7.3) and sets what the kernel must know about them: who answers ARP for what,
// that no address is made up from the MAC, what a Neighbor Advertisement says.
//
// It is mechanism only: package address decides when, and keeps the ledger.
// While a link made here belongs to a Backup, package firewall keeps it silent;
// the link itself is up from Ensure to Remove, because taking a macvlan down or
// deleting it alone costs 13–18 ms under the kernel's global lock.
//
// No sysctl of "all" or "default" is ever written. IPv4 settings travel by
// netlink; those of IPv6 have no netlink and are written below /proc/sys, which
// CAP_NET_ADMIN is allowed to do without being root (net_ctl_permissions in the
// kernel), but which a read-only /proc/sys forbids (see settings.go).
package macvlan
