virtual_router "web" {
  interface = "eth0"
  vrid      = 61 62
  addresses = ["192.0.2.10/24"]
}
virtual_router "mail" {
  interface = "eth0"
  vrid      = 300
  vrid      = 63
  addresses = ["192.0.2.11/24"
}
