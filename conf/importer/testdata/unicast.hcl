# Made by backbeat import keepalived from unicast.conf.
# It is for this host: the other hosts' files differ in priority and in what is their own. One file for all
# selects by name: priority = { fw1 = 150, fw2 = 100 }[node.name]. Then: backbeat check --node fw1,fw2 FILE

virtual_router "cloud" {
  interface        = "ens5"
  vrid             = 10
  priority         = 200
  interval         = "250ms"
  preempt_delay    = "30s"
  source           = "10.0.0.1"
  peers            = ["10.0.0.2", "10.0.0.3"]
  ttl              = 64
  ttl_min          = 64
  virtual_mac      = true
  virtual_mac_name = "vrrp.10"
  accept           = false
  answer_lower     = false
  addresses        = ["10.0.0.100/24"]

  hook "notify-stop" {
    on      = ["initialize"]
    command = ["/usr/local/bin/stop"]
    user    = "root"
  }
  # unicast.conf:22: not translated: dont_track_primary: the router's own link always counts
  # unicast.conf:23: not translated: down_timer_adverts 5: it is the 3 of the RFC here; a peer with another number waits another time
}

virtual_router "six" {
  interface = "ens5"
  vrid      = 11
  priority  = 100
  interval  = "1s"
  addresses = ["fe80::b/64", "2001:db8::1/64"]
  # unicast.conf:25: not translated: state MASTER without a priority means 255 to keepalived, which is the owner's here: 100 is a guess
}

virtual_router "six2" {
  interface = "ens5"
  vrid      = 12
  owner     = true
  interval  = "1s"
  addresses = ["fe80::c/64", "2001:db8::2/64"]
}

virtual_router "elsewhere" {
  interface    = "ens6"
  vrid         = 13
  priority     = 100
  version      = 2 # keepalived's default; without it 3, on all hosts at one instant
  interval     = "1s"
  answer_lower = true
  addresses    = ["10.3.0.1/24"]
  # unicast.conf:42: not translated: auth_type AH: IPsec AH for VRRP was withdrawn in 2004
  # unicast.conf:39: not translated: keepalived sends its adverts on heartbeat0 and holds the addresses on ens6; here both are on the router's interface, so change all hosts at one instant
}

virtual_router "none" {
  interface    = "ens5"
  vrid         = 14
  priority     = 100
  version      = 2 # keepalived's default; without it 3, on all hosts at one instant
  interval     = "1s"
  answer_lower = true
  # unicast.conf:47: not translated: there is no address that could be translated: write one in place of 192.0.2.1/32
  addresses = ["192.0.2.1/32"]
}
