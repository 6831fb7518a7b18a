# Asterisk on two hosts, ha-asterisk-1 and ha-asterisk-2, behind one address that moves
# with it: the address first, then Asterisk, together or not at all. The same file on
# both hosts. The story: docs/stories/asterisk.md. With systemd: asterisk-systemd.hcl.
#
# Nobody else may start it at boot: update-rc.d asterisk disable

virtual_router "pbx" {
  interface = "eth0"
  vrid      = 49
  priority  = { "ha-asterisk-1" = 150, "ha-asterisk-2" = 100 }[node.name]
  addresses = ["44.24.255.49/32"]
  preempt   = false # stay where it is when the other host returns: no second interruption

  # Unicast: nothing is sent by multicast. One list for both; a host leaves itself out.
  source = { "ha-asterisk-1" = "44.24.255.50", "ha-asterisk-2" = "44.24.255.51" }[node.name]
  peers  = ["44.24.255.50", "44.24.255.51"]
}

service_group "pbx" {
  follows        = virtual_router.pbx
  addresses_when = "active" # before the step, which may bind it; and it goes when the step cannot be brought up

  step "lsb" "asterisk" {
    script   = "asterisk"
    restarts = 3
    window   = "10m"
    monitor { interval = "30s" }
  }
}
