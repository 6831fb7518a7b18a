# Three hosts in a network without multicast, such as a cloud's. Each tells the
# others by name; a hook tells the cloud where the address is now, because there
# gratuitous ARP changes nothing.
#
# One list serves all hosts: the entry that equals source is this host itself
# and is left out. Try it with
#
#     backbeat check --node app1,app2,app3 cloud.hcl

virtual_router "app" {
  interface = "eth0"
  vrid      = 61
  priority  = { app1 = 150, app2 = 125, app3 = 100 }[node.name]
  addresses = ["10.20.0.100/32"]

  source = { app1 = "10.20.0.11", app2 = "10.20.0.12", app3 = "10.20.0.13" }[node.name]
  peers  = ["10.20.0.11", "10.20.0.12", "10.20.0.13"]

  # Many clouds route between hosts of one subnet, and each hop takes one off
  # the TTL. 255, the default of both, proves that the sender is on the link;
  # 254 lets one router in between. Let no other network reach protocol 112.
  ttl_min = 254

  # Write this program for your cloud: it moves the address to this host.
  hook "cloud" {
    on      = ["active"]
    command = ["/usr/local/sbin/claim-address", "10.20.0.100"]
    timeout = "30s"
  }
}
