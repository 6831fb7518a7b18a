# Two firewalls, fw1 and fw2, between the Internet and an office network. The
# office's hosts have 10.1.0.1 and fe80::1 as their default gateways; the
# provider routes to 203.0.113.4. Whichever firewall is Active holds them all.
#
#            Internet
#               |  203.0.113.0/29, gateway .1
#        eth0 --+-- eth0          203.0.113.4     virtual_router "outside"
#         fw1       fw2
#        eth1 --+-- eth1          10.1.0.1        virtual_router "inside"
#               |                 fe80::1         virtual_router "inside6"
#        office network
#
# The same file goes to /etc/backbeat/backbeat.hcl on both. It expects that
# `hostname -s` prints fw1 or fw2; otherwise say which it is:
#
#     node { name = "fw1" }
#
# Each virtual router is an election of its own. They have the same priorities,
# so that one firewall normally holds everything; but when one cable is cut,
# only that side moves to the other firewall. Both must therefore know the way
# through each other, or you accept that this needs repair by hand.

virtual_router "outside" {
  interface = "eth0"
  vrid      = 52
  priority  = { fw1 = 150, fw2 = 100 }[node.name]
  addresses = ["203.0.113.4/29"]

  # A provider's router may hold on to old ARP entries: tell it more often.
  announce {
    repeat  = 5
    delay   = "1s"
    refresh = "30s"
  }
}

virtual_router "inside" {
  interface = "eth1"
  vrid      = 51
  priority  = { fw1 = 150, fw2 = 100 }[node.name]
  addresses = ["10.1.0.1/24"]

  hook "log" {
    on      = ["active", "backup", "initialize", "fault"]
    command = ["/usr/bin/logger", "-t", "backbeat", "inside gateway moved, see backbeat history"]
  }
}

# The same VRID is free for IPv6: it is another election. Where IPv6 elects, the
# first address is link-local, and it is what hosts use as their gateway.
virtual_router "inside6" {
  interface = "eth1"
  vrid      = 51
  priority  = { fw1 = 150, fw2 = 100 }[node.name]
  addresses = ["fe80::1/64", "2001:db8:1::1/64"]
}
