virtual_router "a" {
  interface = "eth0"
  vrid      = 1
  priority  = 150
  addresses = ["10.0.0.1"]
}
virtual_router "b" {
  interface = "eth1"
  vrid      = 1
  preempt   = false
  addresses = ["10.0.1.1"]
}
virtual_router "c" {
  interface = "eth2"
  vrid      = 1
  preempt   = false
  priority  = 150
  addresses = ["10.0.2.1"]
}
virtual_router "two" {
  interface = "eth3"
  vrid      = 1
  election  = "both"
  addresses = ["10.0.3.1", "fe80::3"]
}
sync_group "one" { routers = [virtual_router.a] }
sync_group "none" { routers = [] }
sync_group "odd" { routers = [virtual_router.a, virtual_router.b, "nobody"] }
sync_group "torn" { routers = [virtual_router.nobody, "b"] }
sync_group "two" { routers = ["c", "c"] }
