virtual_router "web" {
  interface = eth0
  vrid      = env("VRID_OF_NOBODY")
  priority  = { web1 = 150, web2 = 100 }[node.name]
  addresses = ["192.0.2.10/${nodes.len}"]
  checksum  = node.nam
  preempt   = envv("X")
  interval  = format("%s")
  owner     = { a = true }["b"]
}
virtual_router "null" {
  interface = null
  vrid      = 62
  priority  = null
  addresses = [env("A", "B", "C")]
}
