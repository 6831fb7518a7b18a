virtual_router "a" {
  interface             = "eth0"
  vrid                  = 1
  virtual_mac_name      = "m"
  router_advertisements = "on"
  link_down_delay       = "2s"
  addresses             = ["10.0.0.1"]
  extra_addresses       = ["10.0.0.1", "10.0.0.256"]
  address "10.0.0.2" {
    label     = "eth1:x"
    broadcast = "nope"
    scope     = "planet"
  }
  address "fe80::9" {
    interface = "eth0/1"
    label     = "eth0"
    advertise = true
  }
  address "ten" {}
  address {}
}
virtual_router "b" {
  interface        = "eth0"
  vrid             = 2
  virtual_mac      = true
  virtual_mac_name = "much-too-long-a-name"
  owner            = true
  accept           = false
  addresses        = ["10.0.0.20"]
}
virtual_router "c" {
  interface             = "eth0"
  vrid                  = 3
  virtual_mac           = true
  virtual_mac_name      = "m1"
  router_advertisements = "on"
  addresses             = ["fe80::3", "2001:db8::3/64"]
  ra {
    interval = "10s"
    lifetime = "5s"
    mtu      = 1000
    prefixes = ["2001:db8::/48", "2001:db8::1/64", "fe80::/64"]
    dns      = ["192.0.2.1", "dns"]
  }
}
virtual_router "d" {
  interface        = "eth0"
  vrid             = 4
  virtual_mac      = true
  virtual_mac_name = "m1"
  addresses        = ["10.0.0.40"]
  ra {}
}
