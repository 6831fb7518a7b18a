virtual_router "web" {
  interface = "eth0"
  vrid      = 61
  addresses = ["192.0.2.10/24"]
  hook "relative" {
    on      = ["active"]
    command = ["page", "now"]
  }
  hook "shell" {
    on      = ["active"]
    command = ["echo hello | mail root"]
  }
  hook "shell" {
    on      = ["master", "activ"]
    command = []
  }
  hook "empty" {
    on      = []
    command = [""]
    user    = "no body"
    timeout = "10ms"
  }
  hook "nul" {
    on      = "active"
    command = ["/bin/true", "a\u0000b"]
  }
  hook "missing" {}
}
