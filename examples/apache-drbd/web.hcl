# Two hosts, node1 and node2: one address, and where it is a DRBD disk, an ext4 on it
# and Apache. node1 is preferred. The same file on both hosts; how to set them up, and
# what was proven: docs/stories/apache-drbd.md.
#
# Nothing here must be started at boot by anybody else:
#   systemctl disable --now apache2
# and DRBD's resource wwwdata must be there on both, Connected, UpToDate/UpToDate.

virtual_router "web" {
  interface = "eth0"
  vrid      = 101
  priority  = { node1 = 150, node2 = 100 }[node.name]
  addresses = ["192.168.122.101/24"]
  # preempt = false # leave it where it is when node1 returns; else it moves back, once node1 is UpToDate
}

service_group "site" {
  follows = virtual_router.web

  # Two hosts without fencing: when they do not hear each other, both serve and both
  # write, and one side's writes are lost afterwards (docs/split-brain.md). With a
  # device that can switch a host off: web-fence.hcl.
  safety {
    mode               = "none"
    accept_split_brain = true
  }

  # Up in this order, down in the opposite one.

  # A mistake in Apache's configuration is found before anything else is touched: the
  # agent below would only try until its start_timeout is over.
  step "exec" "configtest" {
    start = ["/bin/sh", "-c", ". /etc/apache2/envvars; exec /usr/sbin/apache2 -t"]
    stop  = ["/usr/bin/true"]
  }

  step "drbd" "wwwdata" { resource = "wwwdata" }

  step "filesystem" "www" {
    drbd   = "wwwdata"
    target = "/var/www/html"
    type   = "ext4"
  }

  # Up is what /server-status says, and not only that there is a process.
  step "ocf" "apache" {
    agent = "ocf:heartbeat:apache"
    params = {
      configfile = "/etc/apache2/apache2.conf"
      statusurl  = "http://127.0.0.1/server-status"
    }
    start_timeout = "40s"
    restarts      = 3
    window        = "10m"
    monitor { interval = "5s" }
  }
}
