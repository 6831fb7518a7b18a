# Two web servers, web1 and web2: one address, and behind it a DRBD disk, a file
# system and Apache, which run where the address is. The same file on both hosts.
#
# Before the first start: systemctl disable --now apache2 on both, and the DRBD
# resource wwwdata Connected and UpToDate/UpToDate, Secondary on both.

virtual_router "web" {
  interface = "eth0"
  vrid      = 61
  priority  = { web1 = 150, web2 = 100 }[node.name]
  addresses = ["192.0.2.101/24"]
  preempt   = false # stay where it is when the other host returns
}

service_group "site" {
  follows = virtual_router.web

  # What keeps both hosts from writing after a network failure: the other one is
  # switched off first. Without a device that can, in so many words:
  #   safety {
  #     mode               = "none"
  #     accept_split_brain = true
  #   }
  safety {
    mode = "fence"
    fence "ipmi" {
      command = ["/usr/sbin/fence_ipmilan"]
      target  = { web1 = "web2", web2 = "web1" }[node.name]
      options = { ip = { web1 = "198.51.100.2", web2 = "198.51.100.1" }[node.name], username = "backbeat", lanplus = 1 }
      secrets = { password = "file:/etc/backbeat/ipmi.secret" }
      delay   = { web1 = "0s", web2 = "5s" }[node.name] # web1 survives
    }
  }

  # Up in this order, down in the opposite one.
  step "drbd" "wwwdata" { resource = "wwwdata" }
  step "filesystem" "www" {
    drbd   = "wwwdata"
    target = "/var/www/html"
    type   = "ext4"
  }
  step "systemd" "apache" {
    unit     = "apache2.service"
    restarts = 3
    window   = "10m"
    monitor { interval = "10s" }
  }
}
