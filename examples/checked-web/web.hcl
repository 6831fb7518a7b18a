# Two web servers, one address, and checks that decide who serves: the same file
# on both hosts. Healthy always beats degraded; if neither is healthy, the better
# of the two goes on serving.

# What the users see. /server-status needs mod_status.
check "http" "site" {
  url      = "http://127.0.0.1/server-status?auto"
  match    = "BusyWorkers"
  interval = "2s"
  timeout  = "1s"
}

# systemd's own view: it says why when the page does not come.
check "systemd" "apache" { unit = "apache2.service" }

# The way out: one of two hosts beyond the link must answer a ping.
check "icmp" "uplink" { targets = ["192.0.2.1", "198.51.100.1"] }

# The resolver that the site uses.
check "dns" "resolver" {
  name   = "db.example.net"
  server = "192.0.2.53"
}

# What it needs: one of two databases is enough.
check "tcp" "db1" { address = "192.0.2.21:5432" }
check "tcp" "db2" { address = "192.0.2.22:5432" }

# A full or read-only disk is no host to serve from.
check "disk" "var" {
  path     = "/var"
  min_free = "2%"
  writable = true
  interval = "10s"
}

# touch /run/drain takes this host out of the election, without losing a packet.
check "file" "drain" {
  path   = "/run/drain"
  absent = true
  rise   = 1
  fall   = 1
}

virtual_router "web" {
  interface = "eth0"
  vrid      = 61
  priority  = { web1 = 150, web2 = 100 }[node.name]
  addresses = ["192.0.2.10/24"]

  depends_on { all = [check.http.site, check.systemd.apache, check.disk.var] }
  depends_on { all = [check.icmp.uplink, check.dns.resolver] }
  depends_on { any = [check.tcp.db1, check.tcp.db2] }
  depends_on {
    check  = check.file.drain
    effect = "fault"
  }
  depends_on { link = "eth1" }
}
