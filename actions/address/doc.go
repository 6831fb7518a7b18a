// Package address holds virtual addresses on Linux interfaces through
// rtnetlink, and watches the interfaces.
//
// A Keeper takes wishes (actions.Wanted: desired state, the latest wins),
// makes the kernel so and answers with actions.Applied: addresses on any link,
// routes, rules, a macvlan with a virtual MAC, and addresses that are refused
// (packages macvlan and firewall are its hands for these). What somebody else
// removes is put back and reported (actions.Restored). What was there before us
// is used but never removed. A ledger on tmpfs remembers what is ours, so that
// the next start can remove what a crash left behind (Sweep).
//
// A virtual MAC is silent before its macvlan is made or anything on it goes,
// and is opened when everything on it is there.
//
// Two workers, each with netlink sockets of its own:
//
//   - the applier (applier.go, order.go, hold.go, virtual.go, restore.go, mend.go) turns wishes into requests. It uses
//     the request layer of vishvananda/netlink directly, not a Handle: a Handle
//     does not tell its port number, cannot mark an address with IFA_PROTO and
//     cannot say preferred_lft 0 on 32-bit machines.
//   - the monitor (monitor.go, link.go, routing.go) reads notices with mdlayher/netlink,
//     which survives ENOBUFS. Notices are hints: the level that is reported
//     always comes from a fresh question to the kernel, so an old notice
//     cannot make a link flap, and every 30 s everything is compared anyway.
//
// How an address looks:
//
//   - IPv4: as `ip addr add` would add it, with the given prefix length. A /32
//     has no connected route; a shorter prefix gets one.
//   - IPv6: nodad (two routers share the address in turn, and a takeover cannot
//     wait a second for detection) and deprecated, that is preferred_lft 0 (RFC
//     6724 rule 3 then does not choose it as a source). A /128 is noprefixroute
//     as well: the kernel would otherwise add a connected route to the address
//     itself, which says nothing. With a shorter prefix the connected route
//     appears as `ip addr add` would make it.
//   - An address owner's own addresses (Wanted.Own), should they be missing,
//     are added as ordinary, preferred ones.
//   - Before the first removal of an IPv4 address with a shorter prefix, the
//     interface's promote_secondaries is switched on (see rtnl.promote).
//   - All carry IFA_PROTO 112 where the kernel has it (5.18 and later).
package address
