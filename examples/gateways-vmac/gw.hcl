# Two gateways, gw1 and gw2, with virtual MACs. Whichever is Active holds the
# gateway address of the office, the address towards the provider, and the
# default route; a sync group moves them together, so traffic never comes in
# by one gateway and leaves by the other.
#
#            provider
#               |  198.51.100.0/29, router .1
#        eth0 --+-- eth0          198.51.100.4    virtual_router "outside"
#         gw1       gw2
#        eth1 --+-- eth1          10.1.0.1        virtual_router "inside"
#               |
#             office
#
# The virtual MAC moves with the addresses, so neighbours learn nothing new at a
# failover. It needs Linux 5.16 and switches that let a host use several MACs:
# physical networks do, most clouds and Wi-Fi do not (see ../unicast-cloud).
# The same file goes to /etc/backbeat/backbeat.hcl on both. Try it with
#
#     backbeat check --node gw1,gw2 gw.hcl

virtual_router "outside" {
  interface   = "eth0"
  vrid        = 52
  priority    = { gw1 = 150, gw2 = 100 }[node.name]
  addresses   = ["198.51.100.4/29"]
  virtual_mac = true

  # Only the Active has the way out. The other gateway may have a default route
  # of its own with a higher metric, for its updates and its clock.
  route "default" {
    via    = "198.51.100.1"
    metric = 10
  }
}

virtual_router "inside" {
  interface   = "eth1"
  vrid        = 51
  priority    = { gw1 = 150, gw2 = 100 }[node.name]
  addresses   = ["10.1.0.1/24"]
  virtual_mac = true

  # Hosts route through the gateway. Its own services are reached by its own
  # addresses: nothing that is sent to 10.1.0.1 itself but ARP is answered.
  accept = false
}

# All members have the same priority, on each host another. When one cable is
# cut, both go to the other gateway.
sync_group "gateway" {
  routers = [virtual_router.outside, virtual_router.inside]
}
