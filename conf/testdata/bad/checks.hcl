check "htpp" "a" { url = "http://127.0.0.1/" }
check "https" "b" { url = "https://127.0.0.1/" }
check { }
check "http" { url = "http://127.0.0.1/" }
check "http" "site" {
  url     = "ftp://127.0.0.1/"
  status  = ["20", "200-100", "abc"]
  match   = "(["
  timeout = "5s"
  ca_file = "ca.pem"
}
check "http" "site" { url = "http://me:secret@127.0.0.1/" }
check "exec" "script" {
  command = ["check.sh | grep ok"]
  script  = "x"
}
check "tcp" "db" { }
check "tcp" "two" {
  address = "127.0.0.1"
  unix    = "/x"
}
check "tcp" "port" { address = "127.0.0.1:99999" }
check "file" "n" {
  path    = "/run/n"
  integer = true
  absent  = true
}
check "file" "w" {
  path    = "w"
  integer = true
}
check "process" "p" { }
check "process" "q" {
  name = "/usr/sbin/named"
  max  = 1
  min  = 2
}
check "link" "l" { interface = "a name" }
check "address" "a" { address = "192.0.2.1/24" }
check "load" "l" { }
check "load" "m" { max_1m = -1 }
check "disk" "d" { path = "/var" }
check "disk" "e" {
  path       = "/var"
  min_free   = "5 pounds"
  min_inodes = "0%"
}

virtual_router "web" {
  interface = "eth0"
  vrid      = 61
  priority  = 40
  addresses = ["192.0.2.10/24"]
  depends_on { }
  depends_on {
    check = "http.sight"
    link  = "eth1"
  }
  depends_on { check = "http.sight" }
  depends_on { all = ["http.site"] }
  depends_on {
    check  = check.tcp.db
    weight = 0
  }
  depends_on {
    check  = check.tcp.db
    weight = -20
    effect = "fault"
  }
  depends_on { check = check.file.w }
  depends_on { link = "eth0" }
  track_script { }
}
