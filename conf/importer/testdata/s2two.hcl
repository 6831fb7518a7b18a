# Made by backbeat import haresources from s2two.haresources. The same file on all hosts.
# s2two.ha.cf:4: not translated: baud 9200: adverts go over the network only
# s2two.ha.cf:5: not translated: serial /dev/ttyS0: adverts go over the network only

# s2two.haresources:1: not translated: ucast eth0: a virtual router sends its adverts on one interface, eth1; a second path needs a bond, or a sync_group
# 100.200.230.1/32, 100.200.230.0/32 of node1
virtual_router "ha" {
  interface = "eth1"
  vrid      = 7
  priority  = { "node1" = 150, "node2" = 100 }[node.name]
  addresses = ["100.200.230.1/32", "100.200.230.0/32"]
  interval  = "130ms" # deadtime 500ms: three of them and the skew
  preempt   = false   # auto_failback off
}

service_group "ha" {
  follows = virtual_router.ha

  step "lsb" "named" {
    script = "named"
  }

  step "lsb" "httpd" {
    script = "httpd"
  }

  step "lsb" "mysqld" {
    script = "mysqld"
  }
}
