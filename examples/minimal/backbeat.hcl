# The smallest configuration, the same on every host. Everything else has a
# default. The priorities are equal then, and the host with the higher address of
# its own is preferred (`backbeat check --node fw1,fw2` warns about that); say who
# is preferred with
#
#     priority = { fw1 = 150, fw2 = 100 }[node.name]
#
virtual_router "web" {
  interface = "eth0"
  vrid      = 61
  addresses = ["192.0.2.10/24"]
}
