virtual_router "nobody" {
  interface = "eth0"
  vrid      = 1
  peers     = []
  addresses = ["10.0.0.1"]
}
virtual_router "alone" {
  interface = "eth0"
  vrid      = 2
  source    = "10.9.0.1"
  peers     = ["10.9.0.1"]
  addresses = ["10.0.0.2"]
}
virtual_router "odd" {
  interface = "eth0"
  vrid      = 3
  source    = "10.0.0.3"
  peers     = ["web2", "224.0.0.18", "fe80::1", "10.0.0.3", "10.9.0.2", "10.9.0.2"]
  addresses = ["10.0.0.3"]
}
virtual_router "grouped" {
  interface       = "eth0"
  vrid            = 4
  multicast_group = "10.0.0.9"
  source          = "fe80::1"
  ttl             = 5
  ttl_min         = 5
  addresses       = ["10.0.0.4"]
}
virtual_router "two ways" {
  interface       = "eth0"
  vrid            = 5
  multicast_group = "239.0.0.1"
  peers           = ["10.9.0.2"]
  addresses       = ["10.0.0.5"]
}
virtual_router "other" {
  interface       = "eth0"
  vrid            = 6
  multicast_group = "ff02::99"
  source          = "10.9.0.1/24"
  addresses       = ["10.0.0.6"]
}
virtual_router "again" {
  interface = "eth0"
  vrid      = 10
  peers     = ["10.9.0.2", "10.9.0.3"]
  addresses = ["10.0.0.10"]
}
virtual_router "again2" {
  interface = "eth0"
  vrid      = 10
  peers     = ["10.9.0.3"]
  addresses = ["10.0.0.11"]
}
