# What `make demo` runs on both of its routers, r1 and r2. One file serves both:
# each is told its name in the environment, and node.name selects. Without that
# variable the file is an error, so check it like this:
#
#     BACKBEAT_NODE=r1 backbeat check examples/demo/demo.hcl
#     BACKBEAT_NODE=r1 backbeat check --node r1,r2 examples/demo/demo.hcl

node {
  name = env("BACKBEAT_NODE")
}

virtual_router "demo" {
  interface = "eth0"
  vrid      = 61
  priority  = { r1 = 150, r2 = 100 }[node.name]
  interval  = env("BACKBEAT_INTERVAL", "1s")

  # The first address decides: IPv4 elects, and the IPv6 address rides along.
  addresses = ["10.77.0.100/24", "fd77::100/64"]
}
