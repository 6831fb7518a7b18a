virtual_router "web" {
  interface = "eth0"
