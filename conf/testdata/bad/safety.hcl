virtual_router "a" {
  interface = "eth0"
  vrid      = 1
  addresses = ["192.0.2.1/24"]
}
virtual_router "b" {
  interface = "eth0"
  vrid      = 2
  addresses = ["192.0.2.2/24"]
}
virtual_router "c" {
  interface = "eth0"
  vrid      = 3
  addresses = ["192.0.2.3/24"]
}
virtual_router "d" {
  interface = "eth0"
  vrid      = 4
  addresses = ["192.0.2.4/24"]
}
virtual_router "e" {
  interface = "eth0"
  vrid      = 5
  addresses = ["192.0.2.5/24"]
}
virtual_router "f" {
  interface = "eth0"
  vrid      = 6
  addresses = ["192.0.2.6/24"]
}
service_group "a" {
  follows = virtual_router.a
  step "systemd" "x" { unit = "a" }
  step "drbd" "a" { resource = "a" }
}
service_group "b" {
  follows = virtual_router.b
  safety { mode = "none" }
  step "filesystem" "b" {
    device = "/dev/sdb1"
    target = "/srv/b"
  }
}
service_group "c" {
  follows = virtual_router.c
  safety { mode = "lease" }
  step "redis" "c" { follow = "192.0.2.3:6379" }
}
service_group "d" {
  follows = virtual_router.d
  safety { mode = "fence" }
  safety { mode = "fense" }
  step "drbd" "d" { resource = "d" }
}
service_group "e" {
  follows = virtual_router.e
  safety {
    mode               = "fence"
    accept_split_brain = true
    fence "one" {
      command = ["fence_ipmilan"]
      target  = "web3"
      action  = "kill"
      delay   = "1h"
      options = { ip = "192.0.2.203", action = "off", passwd = "hunter2", "a b" = 1, ip = "192.0.2.204", x = ["hunter3"] }
      secrets = { ip = "file:/etc/x", password = "file:secret", pin = "hunter2\nhunter2" }
    }
    fence "one" { command = ["/usr/sbin/fence_x"] }
    fence "two" {
      command = ["/usr/sbin/fence_x"]
      target  = "web 2"
      options = "ip=1"
      secrets = "hunter2"
    }
  }
  step "drbd" "e" { resource = "e" }
}
service_group "f" {
  follows = virtual_router.f
  safety {
    mode               = "none"
    accept_split_brain = true
    fence "x" {
      command = ["/usr/sbin/fence_x"]
      target  = "web2"
    }
  }
  step "filesystem" "f" {
    device = "/dev/sdc1"
    target = "/srv/f"
  }
}
