# Made by backbeat import haresources from s2.haresources. The same file on all hosts.

# 100.200.230.1/32 of node1
virtual_router "ha" {
  interface = "eth0"
  vrid      = 51
  priority  = { "node1" = 150, "node2" = 100 }[node.name]
  addresses = ["100.200.230.1/32"]
  interval  = "1.38s" # deadtime 5s: three of them and the skew
  settle    = "15s"   # initdead
}

service_group "ha" {
  follows = virtual_router.ha

  step "systemd" "named" {
    unit = "named.service"
  }

  step "systemd" "httpd" {
    unit = "httpd.service"
  }

  step "systemd" "mysqld" {
    unit = "mysqld.service"
  }
}
