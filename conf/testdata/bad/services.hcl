virtual_router "web" {
  interface = "eth0"
  vrid      = 61
  addresses = ["192.0.2.101/24"]
}
virtual_router "in" {
  interface = "eth1"
  vrid      = 62
  addresses = ["10.0.0.1/24"]
}
virtual_router "out" {
  interface = "eth2"
  vrid      = 62
  addresses = ["10.1.0.1/24"]
}
virtual_router "two" {
  interface = "eth3"
  vrid      = 63
  election  = "both"
  addresses = ["10.2.0.1/24", "fe80::63/64"]
}
sync_group "gw" { routers = [virtual_router.in, virtual_router.out] }

service_group "a" {
  follows      = virtual_router.wbe
  hold_off     = "2m"
  hold_off_max = "1m"
  step "systemd" "x" { unit = "apache2" }
  step "systemd" "x" { unit = "nginx" }
}
service_group "b" { follows = sync_group.wg }
service_group "c" {
  follows = virtual_router.in
  step "mount" "x" {}
  step "exce" "x" {}
  step "exec" {}
  step {}
  mount "x" {}
}
service_group "d" {
  follows = "gw"
  step "systemd" "y" { unit = "apache2.service" }
}
service_group "e" {
  follows = virtual_router.two.ipv4
  step "systemd" "z" { unit = "postfix" }
}
service_group "f" {
  follows = "two.ipv4"
  step "systemd" "z" { unit = "dovecot" }
}
service_group "g" {
  follows = virtual_router.web
  step "systemd" "z" { unit = "a" }
}
service_group "g" {
  follows = virtual_router.web
  on_stuck = "fence"
  hold_of  = "1s"
  step "systemd" "z" {
    unit = "b"
    monitor { interval = 10 }
    monitor { failures = 0 }
    restarts   = -1
    on_fail    = "restart"
    retries    = 101
    stop_timeout = "10ms"
  }
}
service_group "h" { follows = "sync_group.none" }
service_group "i" {
  follows = "none"
  step "address" "vip" { address = "192.0.2.101/24" }
  step "address" "own" { address = "192.0.2.0/24" }
  step "route" "r" { destination = "10.0.0.1/8" }
  step "ocf" "ip" {
    agent  = "ocf:heartbeat:IPaddr2"
    params = { ip = "192.0.2.101" }
  }
}
service_group "j" {
  follows = sync_group.gw
  step "address" "vip" { address = "192.0.2.50/24" }
}
