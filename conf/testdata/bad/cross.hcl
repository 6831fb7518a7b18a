virtual_router "web" {
  interface = "eth0"
  vrid      = 61
  addresses = ["192.0.2.10/24"]
  preempt   = false
  preempt_delay = "10s"
}
virtual_router "web" {
  interface = "eth0"
  vrid      = 61
  addresses = ["192.0.2.11/24"]
}
virtual_router "mail" {
  interface = "eth1"
  vrid      = 61
  addresses = ["198.51.100.1/24", "192.0.2.10/25"]
}
virtual_router "six" {
  interface = "eth0"
  vrid      = 61
  addresses = ["fe80::1/64", "192.0.2.11"]
  checksum  = "rfc9568"
}
virtual_router "six-elsewhere" {
  interface = "eth1"
  vrid      = 61
  addresses = ["fe80::1/64"]
}
virtual_router "six-again" {
  interface = "eth1"
  vrid      = 62
  addresses = ["fe80::1/64"]
}
virtual_router "owner" {
  interface = "eth2"
  vrid      = 1
  owner     = true
  priority  = 200
  addresses = ["192.0.2.12"]
}
virtual_router "owner2" {
  interface     = "eth2"
  vrid          = 2
  owner         = true
  preempt_delay = "1s"
  addresses     = ["192.0.2.13"]
}
virtual_router "owner3" {
  interface = "eth2"
  vrid      = 3
  owner     = true
  preempt   = false
  addresses = ["192.0.2.14"]
}
