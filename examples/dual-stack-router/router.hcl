# Two routers, r1 and r2, for a network with IPv4 and IPv6. Each family holds an
# election of its own, as RFC 9568 has it, and the two are tied together: both
# go to one router or stay on the other.
#
# Hosts use 10.1.0.1 as their IPv4 gateway. For IPv6 they learn fe80::1 as their
# router and 2001:db8:1::/64 as their network from Router Advertisements, which
# only the Active sends. Let no other daemon (radvd) send any on this interface.
# Try it with
#
#     backbeat check --node r1,r2 router.hcl

virtual_router "lan" {
  interface   = "eth1"
  vrid        = 51
  priority    = { r1 = 150, r2 = 100 }[node.name]
  election    = "both"
  virtual_mac = true

  # The first IPv6 address is link-local: it is what hosts have as their router.
  addresses = ["10.1.0.1/24", "fe80::1/64", "2001:db8:1::1/64"]

  router_advertisements = "on"
  ra {
    interval = "30s"
    dns      = ["2001:db8:1::53"]
  }

  # Told once, not once for each family.
  hook "log" {
    on      = ["active", "backup", "fault"]
    command = ["/usr/bin/logger", "-t", "backbeat", "${node.name}: the LAN's gateway moved"]
  }
}
