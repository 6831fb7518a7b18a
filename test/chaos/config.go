package chaos

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// The interval of all runs and what follows from it (RFC 9568 6.1): priorities are
// 150, 100 and 60, so the last Backup waits longest.
const (
	interval = 200 * time.Millisecond
	down     = 3*interval + interval*196/256
	// lifetime is what addresses have in the kernel at this interval: two seconds at
	// least, which the kernel ends up to 8 % late, and rounds up to a whole one.
	lifetime = 3100 * time.Millisecond
	// margin is what the machine may add to anything, besides its measured stalls.
	margin = 500 * time.Millisecond
)

// virtual is a virtual router of all runs with its addresses, the advertised one first.
type virtual struct {
	name      string
	vrid      uint8
	addresses []netip.Prefix
}

// routers: an IPv4 election that IPv6 addresses ride along with, and the other way round.
var routers = []virtual{
	{"four", 61, prefixes("10.77.0.100/24", "10.77.0.101/24", "fd77::100/64")},
	{"six", 62, prefixes("fe80::62/64", "fd77::102/64", "10.77.0.103/24")},
}

func prefixes(list ...string) (out []netip.Prefix) {
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}

// config is the text for all hosts of a run. dir is where the steps leave their
// marks; lines are added to the router four.
func (s Shape) config(dir string, lines ...string) string {
	var b strings.Builder
	b.WriteString("node {\n  name = env(\"BACKBEAT_NODE\")\n}\n")
	for i, v := range routers {
		fmt.Fprintf(&b, "virtual_router %q {\n  interface = \"eth0\"\n  vrid = %d\n  interval = %q\n", v.name, v.vrid, interval)
		fmt.Fprintf(&b, "  priority = { r1 = 150, r2 = 100, r3 = 60 }[node.name]\n  preempt = %t\n  virtual_mac = %t\n", s.Preempt, []bool{s.MAC4, s.MAC6}[i])
		b.WriteString("  addresses = [")
		for _, a := range v.addresses {
			fmt.Fprintf(&b, "%q, ", a)
		}
		b.WriteString("]\n")
		if i == 0 {
			for _, l := range lines {
				b.WriteString("  " + l + "\n")
			}
		}
		b.WriteString("}\n")
	}
	if s.Services {
		fmt.Fprintf(&b, `service_group "site" {
  follows  = virtual_router.four
  hold_off = "1s"
  step "exec" "data" {
    start  = ["/usr/bin/mkdir", "-p", "%[1]s/${node.name}/data"]
    stop   = ["/usr/bin/rm", "-rf", "%[1]s/${node.name}/data"]
    status = ["/usr/bin/test", "-d", "%[1]s/${node.name}/data"]
    user   = "root"
    monitor { interval = "500ms" }
  }
  step "exec" "server" {
    start  = ["/usr/bin/cp", "%[1]s/${node.name}.good", "%[1]s/${node.name}/data/server"]
    stop   = ["/usr/bin/rm", "-f", "%[1]s/${node.name}/data/server"]
    status = ["/usr/bin/test", "-e", "%[1]s/${node.name}/data/server"]
    user   = "root"
    monitor { interval = "500ms" }
  }
}
`, dir)
	}
	return b.String()
}
