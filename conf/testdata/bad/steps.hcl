virtual_router "a" {
  interface = "eth0"
  vrid      = 1
  addresses = ["192.0.2.1/24"]
}
service_group "a" {
  follows = virtual_router.a
  safety {
    mode               = "none"
    accept_split_brain = true
  }
  step "filesystem" "early" {
    drbd   = "r0"
    target = "/srv/r0"
  }
  step "drbd" "r0" { resource = "r0" }
  step "drbd" "r1" { resource = "/dev/drbd1" }
  step "drbd" "again" { resource = "r0" }
  step "filesystem" "gfs" {
    device = "/dev/drbd7"
    drbd   = "r0"
    target = "/var"
    type   = "gfs2"
    fsck   = "yes"
    shared = false
    options = ["noatime,nodev", "a b", ""]
  }
  step "filesystem" "none" { target = "srv" }
  step "filesystem" "odd" {
    device = "sdb1"
    target = "/srv/../odd/"
    volume = 1
  }
  step "filesystem" "loose" {
    device = "/dev/drbd/by-res/r9/0"
    target = "/srv/r9"
  }
  step "systemd" "ssh" { unit = "sshd.service" }
  step "systemd" "net" { unit = "systemd-networkd" }
  step "systemd" "self" { unit = "backbeat.service" }
  step "systemd" "bad" { unit = "apache 2" }
  step "systemd" "template" { unit = "getty@" }
  step "systemd" "slice" { unit = "machine.slice" }
  step "systemd" "wall" { unit = "nftables" }
  step "systemd" "once" {
    unit       = "once"
    on_failure = "failover"
    restarts   = 3
  }
  step "systemd" "twice" { unit = "once.service" }
  step "lsb" "ssh" { script = "ssh" }
  step "lsb" "rel" { script = "init.d/x" }
  step "lsb" "user" {
    script = "/opt/x/init"
    user   = "a b"
  }
  step "ocf" "pm" { agent = "ocf:heartbeat:galera" }
  step "ocf" "drbd" { agent = "ocf:linbit:drbd" }
  step "ocf" "class" { agent = "systemd:apache2" }
  step "ocf" "short" { agent = "apache" }
  step "ocf" "pg" {
    agent      = "ocf:heartbeat:pgsql"
    promotable = true
    exclusive  = false
  }
  step "ocf" "params" {
    agent   = "ocf:heartbeat:mysql"
    params  = { passwd = "hunter2", "1x" = 1, user = null }
    secrets = { passwd = "hunter2" }
    root    = "usr/lib/ocf"
  }
  step "exec" "x" {
    start     = ["x up"]
    stop      = ["/bin/x", "down"]
    exclusive = true
  }
  step "exec" "y" {
    start  = []
    status = "y"
  }
  step "postgresql" "p" {
    data     = "main"
    bin      = "/usr/bin/"
    host     = "localhost"
    port     = 0
    max_lag  = "16MB"
    role     = ""
  }
  step "redis" "r" {
    address = "6379"
    unix    = "/run/redis.sock"
    follow  = "vip"
  }
  step "redis" "s" { address = "127.0.0.1" }
  step "address" "vip" {
    address   = "192.0.2.300"
    interface = "eth0/1"
  }
  step "route" "r" {
    destination = "192.0.2.9/24"
    via         = "fe80::1"
  }
  step "route" "nowhere" { destination = "default" }
}
