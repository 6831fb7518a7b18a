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

  depends_on { all = [check.http.site, check.disk.var] }
  depends_on { any = [check.tcp.db1, check.tcp.db2] }
  depends_on {
    check  = check.file.drain
    effect = "fault"
  }
  depends_on { link = "eth1" }
}
