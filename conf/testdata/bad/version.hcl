virtual_router "six" {
  interface = "eth0"
  vrid      = 1
  version   = 2
  addresses = ["fe80::1/64"]
}
virtual_router "fast" {
  interface = "eth0"
  vrid      = 2
  version   = 2
  interval  = "100ms"
  addresses = ["10.0.0.2"]
}
virtual_router "slow" {
  interface = "eth0"
  vrid      = 3
  version   = 2
  interval  = "256s"
  addresses = ["10.0.0.3"]
}
virtual_router "long" {
  interface = "eth0"
  vrid      = 4
  interval  = "41s"
  addresses = ["10.0.0.4"]
}
virtual_router "four" {
  interface = "eth0"
  vrid      = 5
  version   = 4
  addresses = ["10.0.0.5"]
}
virtual_router "both" {
  interface = "eth0"
  vrid      = 6
  version   = 2
  election  = "both"
  addresses = ["10.0.0.6", "fe80::6"]
}
virtual_router "half" {
  interface = "eth0"
  vrid      = 7
  election  = "both"
  addresses = ["10.0.0.7"]
}
virtual_router "idle" {
  interface        = "eth0"
  vrid             = 8
  version          = 2
  checksum         = "rfc5798"
  verify_addresses = true
  addresses        = ["10.0.0.8"]
}
virtual_router "idle3" {
  interface           = "eth0"
  vrid                = 9
  verify_addresses    = true
  accept_global_first = true
  addresses           = ["10.0.0.9"]
}
