# Two web servers that share one IPv4 and one IPv6 address. Copy this file to
# /etc/backbeat/backbeat.hcl on both; they are told apart by their host names,
# web1 and web2. Try it with
#
#     backbeat check --node web1,web2 web.hcl
#
# If your hosts have other names, replace web1 and web2 below.

virtual_router "web" {
  interface = "eth0"
  vrid      = 61

  # web1 serves while it is there, web2 when it is not.
  priority = { web1 = 150, web2 = 100 }[node.name]

  addresses = ["192.168.122.101/24", "2001:db8:122::101/64"]

  # When web1 comes back, it takes over again, but only after half a minute:
  # time for its caches to warm up. With preempt = false it would not at all.
  preempt_delay = "30s"

  # Told when this host takes over and when it cannot take part. There is no
  # shell; the transition is in BACKBEAT_… variables and on standard input.
  hook "log" {
    on      = ["active", "fault"]
    command = ["/usr/bin/logger", "-t", "backbeat", "web pair: look at ${node.name}"]
    timeout = "10s"
  }
}
