virtual_router "a" {
  interface = "eth0"
  vrid      = 1
  version   = 2
  auth_pass = "hunter2hunter2"
  addresses = ["10.0.0.1"]
}
virtual_router "b" {
  interface = "eth0"
  vrid      = 2
  auth_pass = "hunter2"
  addresses = ["10.0.0.2"]
}
virtual_router "c" {
  interface = "eth0"
  vrid      = 3
  version   = 2
  auth_pass = ["hunter2"]
  addresses = ["10.0.0.3"]
}
virtual_router "d" {
  interface = "eth0"
  vrid      = 4
  version   = 2
  auth_pass = <<EOT
hunter2${nobody}
EOT
  addresses = ["10.0.0.4"]
}
virtual_router "e" {
  interface = "eth0"
  vrid      = 5
  version   = 2
  authpass  = "hunter2"
  addresses = ["10.0.0.5"]
}
virtual_router "f" {
  interface = "eth0"
  vrid      = 6
  version   = 2
  auth_pass = "hunter2
  addresses = ["10.0.0.6"]
}
