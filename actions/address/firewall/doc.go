// Package firewall keeps silent what must be silent, by nftables: the virtual
// MAC of a Backup (a table of family netdev on the interfaces that carry it)
// and, where accept mode is off, the virtual addresses themselves (a table of
// family inet; RFC 9568 6.1).
//
// It is mechanism only: package address says what, and when. Both tables are
// named "backbeat", with "-TAG" behind it where two daemons share a network
// namespace, and nothing else is touched: `nft delete table netdev backbeat`
// and `nft delete table inet backbeat` remove all of it.
//
//	table netdev backbeat {
//	  set passive-eth0 { type ether_addr; elements = { 00:00:5e:00:01:3d } }
//	  chain in-eth0  { type filter hook ingress device eth0 priority -500; ether daddr @passive-eth0 drop }
//	  chain out-eth0 { type filter hook egress device eth0 priority -500; ether saddr @passive-eth0 mark != 0xbb70 drop }
//	}
//	table inet backbeat {
//	  set refused4 { type ipv4_addr }  set refused6 { type ipv6_addr }  set refused-link { type ipv6_addr . ifname }
//	  chain input   { hook input priority -10; iif lo accept; neighbour discovery accept; daddr in a set: drop }
//	  chain output  { hook output priority -10; oif lo accept; neighbour discovery and MLD accept; saddr in a set: drop }
//	  chain forward { hook forward priority -10; daddr in a set: drop }
//	}
//
// ARP does not pass the hooks of family inet, nor do frames sent from packet
// sockets, as adverts and announcements are; those with vrrp.FrameMark pass the
// silence too.
package firewall
