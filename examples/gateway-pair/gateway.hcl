# Two gateways, fw1 and fw2, between private servers and the world. One of them has
# both addresses: what the servers inside have as their default gateway, and what
# the world knows. The story: docs/stories/gateway-pair.md.
#
#              the world
#                 |  192.168.122.0/24
#          eth0 --+-- eth0       192.168.122.100   virtual_router "outside"
#           fw1       fw2
#          eth1 --+-- eth1       10.0.0.1          virtual_router "inside"
#                 |  10.0.0.0/24
#          private servers
#
# The same file is /etc/backbeat/backbeat.hcl on both. It expects that `hostname -s`
# prints fw1 or fw2, and that each has addresses of its own on both links.

# Both or none. An address block with another interface in one virtual router would
# move them together, too, but would elect on one link only: if the switch on that link
# died, both gateways would hold both addresses, inside as well. Here each link
# elects, and a gateway serves only if it has won on both.
sync_group "gateway" {
  routers = [virtual_router.outside, virtual_router.inside]
}

virtual_router "outside" {
  interface = "eth0"
  vrid      = 52
  priority  = { fw1 = 150, fw2 = 100 }[node.name]
  addresses = ["192.168.122.100/24"]
  interval  = "250ms" # a dead gateway is replaced within 0.9 s
  preempt   = false   # resource-stickiness=100: stay where it is when the other returns
  settle    = "2s"    # until the switch forwards; 35s where it runs the old spanning tree

  # A provider's router may hold on to old ARP entries: tell it more often.
  announce {
    repeat  = 5
    delay   = "1s"
    refresh = "30s"
  }

  # One hook for both, since they move together.
  hook "conntrack" {
    on      = ["active", "backup", "initialize", "fault"]
    command = ["/usr/local/lib/backbeat/gateway-conntrack"]
    user    = "root"
    timeout = "10s"
  }
}

virtual_router "inside" {
  interface = "eth1"
  vrid      = 51
  priority  = { fw1 = 150, fw2 = 100 }[node.name]
  addresses = ["10.0.0.1/24"]
  interval  = "250ms"
  preempt   = false
  settle    = "2s"
}

# A load balancer that runs where the addresses are (systemctl disable haproxy on both):
#
#   service_group "balancer" {
#     follows = sync_group.gateway
#     step "systemd" "haproxy" { unit = "haproxy.service" }
#   }
