nodde {
  name = "web1"
}
virtual_router "web" {
  interfac  = "eth0"
  vrid      = 61
  addresses = ["192.0.2.10/24"]
  colour    = "red"
  node      = "web1"
  announce = { repeat = 3 }
  addresses {
    ip = "192.0.2.11"
  }
  hock "x" {}
}
vrrp_instance "old" {
  state = "MASTER"
}
virtual_router "keepalived" {
  interface         = "eth0"
  virtual_router_id = 62
  advert_int        = 1
  virtual_ipaddress = ["192.0.2.12"]
}
virtual_router {
  interface = "eth0"
}
virtual_router "two" "names" {}
virtual_router "has blank" {
  interface = "eth0"
  vrid = 77
  addresses = ["192.0.2.13"]
}
color = 7
node "web1" {}
