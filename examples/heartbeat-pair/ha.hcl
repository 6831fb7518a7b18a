# An old Heartbeat pair, node1 and node2, that ran
#
#     node1 IPaddr::100.200.230.1/24 named httpd mysqld
#
# with deadtime 5 and auto_failback on. The same file is /etc/backbeat/backbeat.hcl on
# both; `hostname -s` prints node1 or node2. The story: docs/stories/heartbeat-pair.md.
# With systemd units, without automatic failback, with two addresses: ha-systemd.hcl.

virtual_router "ha" {
  interface = "eth0"
  vrid      = 51
  priority  = { node1 = 150, node2 = 100 }[node.name] # node1 is preferred
  addresses = ["100.200.230.1/24"]
  interval  = "1s" # a dead host is replaced within 3.6 s; deadtime 5 would be 1.38s
  preempt   = true # auto_failback on; false is off
}

service_group "ha" {
  follows = virtual_router.ha

  # Up in this order, down in the opposite one: /etc/init.d/named, httpd, mysqld.
  # None of them may be started at boot: update-rc.d NAME disable, or chkconfig NAME off.
  # On automatic failback those of both hosts overlap for some tenths of a second. What
  # must never run twice gets exclusive = true, and the group a safety block.
  step "lsb" "named" {
    script = "named"
    monitor { interval = "5s" }
  }
  step "lsb" "httpd" {
    script = "httpd"
    monitor { interval = "5s" }
  }
  step "lsb" "mysqld" {
    script = "mysqld"
    monitor { interval = "5s" }
  }
}
