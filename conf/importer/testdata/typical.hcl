# Made by backbeat import keepalived from typical.conf.
# It is for this host: the other hosts' files differ in priority and in what is their own. One file for all
# selects by name: priority = { fw1 = 150, fw2 = 100 }[node.name]. Then: backbeat check --node fw1,fw2 FILE
# typical.conf:3: not translated: notification_email: write a hook that sends it
# typical.conf:121: not translated: virtual_server 192.0.2.10 80: the load balancer (LVS) is not what backbeat does
# typical.conf:122: not translated: include /etc/keepalived/conf.d/*.conf: import that file as well; of a directory, backbeat reads every *.hcl file as one configuration
# typical.conf:123: not translated: static_routes: what does not move belongs to the host's network configuration

check "process" "chk_haproxy" {
  name     = "haproxy"
  interval = "2s"
  rise     = 1
  fall     = 1
}

check "exec" "chk_own" {
  command  = ["/usr/local/bin/check.sh", "--port", "80"]
  interval = "5s"
  rise     = 2
  fall     = 3
  timeout  = "3s"
  user     = "www-data"
}

check "exec" "chk_pipe" {
  command  = ["/bin/sh", "-c", "curl -s localhost | grep ok"]
  interval = "1s"
  rise     = 1
  fall     = 1
  user     = "nobody"
}

check "file" "chk_maintenance" {
  path     = "/etc/keepalived/down"
  absent   = true
  interval = "1s"
  rise     = 1
  fall     = 1
}

check "tcp" "chk_port" {
  address  = "127.0.0.1:80"
  interval = "1s"
  rise     = 1
  fall     = 1
}

check "systemd" "chk_unit" {
  unit     = "nginx"
  initial  = "failing"
  interval = "1s"
  rise     = 1
  fall     = 1
}

check "process" "named" {
  name = "named"
  min  = 1
  # typical.conf:43: not translated: delay 2 of named
}

check "file" "load" {
  path    = "/run/load"
  integer = true
}

virtual_router "VI_1" {
  interface = "eth0"
  vrid      = 51
  priority  = 101
  version   = 2 # keepalived's default; without it 3, on all hosts at one instant
  # a password protects nothing here; keep the file readable by root alone
  auth_pass       = "s3cret-a"
  interval        = "1s"
  answer_lower    = true
  addresses       = ["192.0.2.10/24", "192.0.2.11/24"]
  extra_addresses = ["2001:db8::10/64"]

  address "192.0.2.12/24" {
    advertise = true
    label     = "eth0:2"
  }

  address "192.0.2.0/32" {
    advertise = true
  }

  address "198.51.100.7/32" {
    interface = "lo"
    scope     = "host"
  }

  route "203.0.113.0/24" {
    source    = "192.0.2.10"
    via       = "192.0.2.254"
    interface = "eth0"
  }

  route "default" {
    via   = "192.0.2.254"
    table = 100
  }

  route "10.66.0.0/16" {
    kind = "blackhole"
  }
  # typical.conf:87: not translated: route 10.1.0.0/16 via 192.0.2.252 or 192.0.2.253: "or" is not translated

  rule {
    from     = "192.0.2.10/32"
    table    = 100
    priority = 100
  }

  rule {
    from     = "192.0.2.11/32"
    table    = 100
    priority = 1001
  }
  # typical.conf:92: not translated: rule to 198.51.100.0/24 goto 200: "goto" is not translated

  announce {
    repeat  = 3
    delay   = "5s"
    refresh = "1m"
  }

  depends_on {
    check  = check.process.chk_haproxy
    weight = 2
  }

  depends_on {
    check  = check.exec.chk_own
    effect = "fault"
  }

  depends_on {
    check  = check.exec.chk_pipe
    weight = -10
  }

  depends_on {
    check  = check.file.chk_maintenance
    weight = -50
  }

  depends_on {
    check  = check.tcp.chk_port
    weight = -5
  }

  depends_on {
    check  = check.systemd.chk_unit
    weight = 5
  }

  depends_on {
    link   = "eth1"
    weight = -20
  }

  depends_on {
    check  = check.process.named
    effect = "fault"
  }

  depends_on {
    check  = check.file.load
    weight = -1
  }

  hook "notify-master" {
    on      = ["active"]
    command = ["/usr/local/bin/to-master.sh", "web"]
    user    = "root"
  }

  hook "notify" {
    on      = ["active", "backup", "initialize", "fault"]
    command = ["/usr/local/bin/notify.sh", "web pair"]
    user    = "nobody"
  }

  hook "notify-fault" {
    on      = ["fault"]
    command = ["/usr/bin/env", "logger", "-t", "keepalived", "fault"]
    user    = "nobody"
  }

  hook "group-notify-backup" {
    on      = ["backup"]
    command = ["/usr/local/bin/group.sh", "back"]
    user    = "nobody"
  }
  # typical.conf:76: not translated: reverse of chk_unit: a negative weight counts while it is bad, a positive one while it is good
  # typical.conf:77: not translated: track_script chk_nobody: no vrrp_script of this name
  # typical.conf:99: not translated: smtp_alert: write a hook that sends mail
  # typical.conf:100: not translated: unknown keyword "frobnicate 7"
  # typical.conf:101: not translated: unknown keyword "auth_pass"
  # typical.conf:119: not translated: smtp_alert of vrrp_sync_group G1: write a hook that sends mail
}

virtual_router "VI_2" {
  interface    = "eth1"
  vrid         = 52
  priority     = 101
  version      = 2 # keepalived's default; without it 3, on all hosts at one instant
  interval     = "1s"
  answer_lower = true
  addresses    = ["10.0.0.1/32"]

  announce {
    refresh = "1m"
  }
}

sync_group "G1" {
  routers = [virtual_router.VI_1, virtual_router.VI_2]
}
