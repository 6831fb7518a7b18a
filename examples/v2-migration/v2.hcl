# Coming from VRRPv2, host by host: lb1 and lb2 run keepalived or an appliance
# that speaks version 2 with a password, and are to run backbeat.
#
#   1. lb2 gets this file and replaces the old Backup; watch it with backbeat
#      status. The version, the VRID, the interval, the password and the
#      addresses are those of the old configuration.
#   2. lb1 gets it, too.
#   3. In one go on both: remove the three lines marked below and reload. From
#      then on it is version 3. Hosts of different versions do not hear each
#      other, and for the moment in between both are Active.
#
# VRRPv2 sends the password in clear: it protects against nothing but mistakes,
# and backbeat check says so until it is gone. It comes from the environment
# here. Written into the file, it wants chmod 600. Try it with
#
#     VRRP_PASS=secret backbeat check --node lb1,lb2 v2.hcl

virtual_router "lb" {
  interface = "eth0"
  vrid      = 51
  priority  = { lb1 = 150, lb2 = 100 }[node.name]
  addresses = ["192.0.2.100/24"]

  version   = 2                # remove in step 3
  auth_pass = env("VRRP_PASS") # remove in step 3
  interval  = "1s"             # remove in step 3, or make it shorter

  # keepalived's virtual_ipaddress_excluded: held, not advertised. Version 2
  # has no IPv6, but IPv6 addresses may ride along.
  extra_addresses = ["192.0.2.101/24", "2001:db8::100/64"]
}
