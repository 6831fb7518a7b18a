virtual_router "a" {
  interface = "eth0"
  vrid      = 1
  addresses = ["10.0.0.1"]
  route "somewhere" {}
  route "10.1.2.3/8" {}
  route "default" {
    via    = "fe80::1/64"
    source = "10.0.0.1"
  }
  route "10.2.0.0/16" {
    via = "2001:db8::1"
  }
  route "10.3.0.0/16" {
    kind      = "blackhole"
    interface = "eth1"
  }
  route "10.4.0.0/16" {
    on_link = true
  }
  route "10.5.0.0/16" {
    via    = "10.0.0.9"
    table  = 0
    metric = -1
  }
  rule {}
  rule {
    priority = 1
    table    = 7
  }
  rule {
    priority = 2
    table    = 7
    iif      = "eth0"
  }
  rule {
    priority = 3
    table    = 7
    from     = "10.0.0.0/8"
    to       = "2001:db8::/32"
  }
  rule {
    priority = 4
    table    = 7
    from     = "10.0.0.1/8"
  }
}
virtual_router "b" {
  interface = "eth1"
  vrid      = 1
  addresses = ["10.0.1.1"]
  route "10.6.0.0/16" { via = "10.0.1.9" }
  route "10.6.0.0/16" { via = "10.0.1.8" }
  rule {
    priority = 9
    table    = 7
    from     = "10.0.0.0/8"
  }
  rule {
    priority = 9
    table    = 7
    from     = "10.0.0.0/8"
  }
}
