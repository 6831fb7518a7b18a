# Made by backbeat import haresources from drbd.haresources. The same file on all hosts.
# drbd.ha.cf:11: not translated: stonith_host: write safety { mode = "fence" … } with a fence device in the service group
# drbd.ha.cf:12: not translated: unknown directive "colour blue"
# drbd.haresources:2: not translated: sshd: it must run on every host
# drbd.haresources:3: not translated: MailTo::root@example.org::web: write a hook that sends mail
# drbd.haresources:4: not translated: the line of web2 has no address, and a virtual router needs one

check "icmp" "reach" {
  targets = ["192.0.2.254"]
}

# 192.0.2.101/24 of web1
virtual_router "ha" {
  interface = "eth0"
  vrid      = 51
  priority  = { "web1" = 150, "web2" = 100 }[node.name]
  addresses = ["192.0.2.101/24"]
  interval  = "2.77s" # deadtime 10s: three of them and the skew
  preempt   = false   # auto_failback off
  peers     = ["192.0.2.1", "192.0.2.2"]
  # Each host's own address, if both are in peers: source = { node1 = "…", node2 = "…" }[node.name]

  depends_on {
    check = check.icmp.reach
  }
}

service_group "ha" {
  follows        = virtual_router.ha
  addresses_when = "ready" # they stand behind the services in haresources

  # As with Heartbeat without STONITH: after a network failure both hosts may write to
  # the same data. mode = "fence" with a fence device prevents that.
  safety {
    mode               = "none"
    accept_split_brain = true
  }

  step "drbd" "wwwdata" {
    resource = "wwwdata"
  }

  step "filesystem" "html" {
    device  = "/dev/drbd1"
    target  = "/var/www/html"
    type    = "ext4"
    options = ["noatime", "nodev"]
  }

  step "systemd" "apache2" {
    unit = "apache2.service"
  }
}

# 192.0.2.102/24 of web2
virtual_router "ha-2" {
  interface = "eth0"
  vrid      = 52
  priority  = { "web1" = 100, "web2" = 150 }[node.name]
  addresses = ["192.0.2.102/24"]
  interval  = "2.77s" # deadtime 10s: three of them and the skew
  preempt   = false   # auto_failback off
  peers     = ["192.0.2.1", "192.0.2.2"]
  # Each host's own address, if both are in peers: source = { node1 = "…", node2 = "…" }[node.name]

  depends_on {
    check = check.icmp.reach
  }
}

service_group "ha-2" {
  follows = virtual_router.ha-2

  step "exec" "mysqld" {
    start  = ["/etc/ha.d/resource.d/mysqld", "main", "start"]
    stop   = ["/etc/ha.d/resource.d/mysqld", "main", "stop"]
    status = ["/etc/ha.d/resource.d/mysqld", "main", "status"]
  }

  step "filesystem" "srv" {
    device = "nas:/export"
    target = "/srv"
    type   = "nfs"
  }
}
