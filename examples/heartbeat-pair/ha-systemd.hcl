# The Heartbeat pair of ha.hcl on hosts with systemd, with two addresses (two name
# servers for one registrar) and auto_failback off:
#
#     node1 IPaddr::100.200.230.1/24 IPaddr::100.200.230.4/24 named httpd mysqld
#
# The names of the units are Debian's; Red Hat's are named, httpd, mariadb. None may be
# enabled: systemctl disable --now named apache2 mariadb, on both.

virtual_router "ha" {
  interface = "eth0"
  vrid      = 51
  priority  = { node1 = 150, node2 = 100 }[node.name]
  addresses = ["100.200.230.1/24", "100.200.230.4/24"]
  interval  = "1s"
  preempt   = false # auto_failback off: services stay where they are until that host fails
}

service_group "ha" {
  follows = virtual_router.ha

  step "systemd" "named" {
    unit = "named.service"
    monitor { interval = "5s" }
  }
  step "systemd" "httpd" {
    unit = "apache2.service"
    monitor { interval = "5s" }
  }
  step "systemd" "mysqld" {
    unit = "mariadb.service"
    monitor { interval = "5s" }
  }
}
