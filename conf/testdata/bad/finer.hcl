virtual_router "typo" {
  interface = "eth0"
  vrid      = 1
  source    = "2001:db8::1"
  addresses = ["fe80::x", "2001:db8::9/64"]
}
virtual_router "vmac" {
  interface        = "eth0"
  vrid             = 2
  virtual_mac      = true
  virtual_mac_name = "eth1"
  addresses        = ["10.0.0.2"]
  address "10.0.0.3" {
    label = "eth0:web"
  }
}
virtual_router "vmac2" {
  interface       = "eth0"
  vrid            = 2
  virtual_mac     = true
  multicast_group = "239.0.0.2"
  peer            = ["10.9.0.1"]
  addresses       = ["10.0.0.4"]
  address "10.0.0.5" {
    label = "eth0:web"
  }
}
virtual_router "routed" {
  interface = "eth1"
  vrid      = 1
  source    = "10.0.0.2"
  addresses = ["10.1.0.1/24"]
  address "10.1.0.2" { scope = 256 }
  route "10.5.0.0/16" {}
  route "10.6.0.0/16" { via = "10.1.0.1" }
  route "10.7.0.0/16" {
    via   = "10.1.0.9"
    table = "local"
    scope = "planet"
  }
  rule {
    from     = "10.0.0.0/8"
    fwmask   = 255
    table    = "mian"
    priority = 7
  }
  unicast_peer {}
  virtual_ipaddress_excluded {}
}
virtual_router "halves" {
  interface = "eth2"
  vrid      = 1
  election  = "both"
  ttl       = 5
  addresses = ["10.2.0.1", "fe80::2"]
}
virtual_router "one-sided" {
  interface = "eth2"
  vrid      = 2
  election  = "both"
  peers     = ["10.9.0.1", "127.0.0.1"]
  addresses = ["10.2.0.2", "fe80::3"]
}
virtual_router "one-sided-too" {
  interface = "eth2"
  vrid      = 3
  election  = "both"
  peers     = ["10.9.0.1"]
  addresses = ["10.2.0.3", "fe80::4"]
}
virtual_router "a-name-that-is-so-long-that-nothing-fits-behind-it-any-more-xyz" {
  interface = "eth2"
  vrid      = 4
  election  = "both"
  addresses = ["10.2.0.4", "fe80::5"]
}
virtual_router "ra" {
  interface             = "eth3"
  vrid                  = 1
  virtual_mac           = true
  router_advertisements = "on"
  addresses             = ["fe80::6"]
  ra {
    interval   = "10m"
    lifetime   = "0s"
    preference = "high"
    prefixes   = ["ff02::/64", "2001:db8::/64", "2001:db8::/64"]
  }
}
virtual_router "own" {
  interface = "eth4"
  vrid      = 1
  owner     = true
  addresses = ["10.4.0.1"]
}
virtual_router "slow" {
  interface = "eth5"
  vrid      = 1
  settle    = "5s"
  addresses = ["10.4.0.2"]
}
virtual_router "quick" {
  interface = "eth6"
  vrid      = 1
  addresses = ["10.4.0.3"]
}
virtual_router "unknown" {
  interface = "eth7"
  vrid      = 1
  priority  = 300
  addresses = ["10.4.0.4"]
}
sync_group "owners" { routers = [virtual_router.own, virtual_router.unknown, virtual_router.routed] }
sync_group "settled" { routers = [virtual_router.slow, virtual_router.quick] }
sync_group "half" { routers = ["halves.ipv4", virtual_router.ra] }
sync_group "typo" { routers = [virtual_router.halfs, virtual_router.ra] }
sync_group "deep" { routers = [virtual_router.halves.ipv4] }
