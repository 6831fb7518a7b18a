virtual_router "a" {
  interface     = "eth0.1234567890123"
  vrid          = 0
  priority      = 255
  interval      = "1234ms"
  preempt_delay = "1001s"
  checksum      = "rfc9658"
  addresses     = ["192.0.2.10/24"]
  announce {
    repeat  = -1
    delay   = "1ms"
    refresh = "100ms"
  }
}
virtual_router "b" {
  interface = "eth/0"
  vrid      = 256
  priority  = 0
  interval  = "5ms"
  addresses = ["192.0.2.11/24"]
}
virtual_router "c" {
  interface     = ""
  vrid          = 1.5
  priority      = 300
  interval      = "41s"
  preempt       = "maybe"
  preempt_delay = "soon"
  addresses     = "192.0.2.12/24"
}
virtual_router "d" {
  interface = ["eth0"]
  vrid      = "sixty"
  interval  = 1
  priority  = 1e1000000
  addresses = []
}
virtual_router "e" {
  interface = "eth0"
  vrid      = 61
  interval  = "40.955s"
  priority  = { web1 = 150 }
  addresses = [1, ["192.0.2.1"], null]
}
