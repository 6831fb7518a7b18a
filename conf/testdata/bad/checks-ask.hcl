check "icmp" "whom" { quorum = 1 }
check "icmp" "both" {
  target  = "192.0.2.1"
  targets = ["192.0.2.2"]
}
check "icmp" "name" { target = "gw.example.net" }
check "icmp" "address" { address = "192.0.2.1" }
check "icmp" "many" {
  targets = ["192.0.2.1", "192.0.2.1", "fe80::1", "224.0.0.18", "2001:db8::1"]
  quorum  = 6
  source  = "192.0.2.9"
}
check "icmp" "list" { targets = "192.0.2.1" }
check "dns" "nothing" { }
check "dns" "names" {
  name   = "two..dots"
  type   = "HINFO"
  server = "ns.example.net"
}
check "dns" "records" {
  name    = "example.net"
  answers = ["2001:db8::7", "www.example.net"]
  server  = "[2001:db8::53]:53"
  source  = "192.0.2.9"
}
check "dns" "mx" {
  name    = "example.net"
  type    = "MX"
  answers = ["mail.example.net"]
}
check "dns" "error" {
  name    = "example.net"
  rcode   = "NXDOMAIN"
  answers = ["192.0.2.7"]
}
check "systemd" "none" { }
check "systemd" "path" { unit = "/usr/sbin/apache2" }
check "systemd" "template" { unit = "postgresql@.service" }
check "exec" "variables" {
  command     = ["/bin/true"]
  environment = ["LANG", "=x", "BACKBEAT_CHECK=y"]
}
check "bfd" "peer" { }

virtual_router "web" {
  interface = "eth0"
  vrid      = 61
  addresses = ["192.0.2.10/24"]
}
