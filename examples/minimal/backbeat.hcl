# The smallest configuration, the same on every host. Everything else has a
# default; with equal priorities the host with the higher address is preferred.
virtual_router "web" {
  interface = "eth0"
  vrid      = 61
  addresses = ["192.0.2.10/24"]
}
