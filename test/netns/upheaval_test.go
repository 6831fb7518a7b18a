package netns

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// reload gives a running daemon another configuration.
func (s *scene) reload(name, text string) {
	s.t.Helper()
	n := s.node(name)
	s.must(n.Configure(text))
	out, errs, code, err := n.Verb(s.ctx, "reload", "--control", n.Socket())
	s.must(err)
	if code != 0 {
		s.t.Fatalf("reload: %d\n%s%s", code, out, errs)
	}
}

// leftovers is everything a daemon may have made on a host.
func (s *scene) leftovers(host string) string {
	s.t.Helper()
	return strings.TrimSpace(s.run(host, "sh", "-c", "ip -o link show type macvlan; nft list tables; ip -o addr show | grep -e 10.77.0.100 -e fd77::100 -e fe80::61; ip route show proto 112; ip rule show | grep 'proto 112'; true"))
}

// An Active is turned inside out by reloads: virtual MAC on and off, other casts,
// another version, accept mode, extra addresses; at the end everything is as at the start.
func TestReloadTurnsAnActiveInsideOut(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(web()))
	s.v2 = true
	s.start(s.r1)
	s.active("r1")
	for _, lines := range [][]string{
		{"virtual_mac = true"}, {"virtual_mac = true", "accept = false"}, {"virtual_mac = true", "virtual_mac_name = \"vip\""},
		{`multicast_group = "239.1.1.1"`}, {`peers = ["10.77.0.2"]`}, {"version = 2", `interval = "1s"`, `auth_pass = "x"`},
		{`extra_addresses = ["10.77.3.1/32", "10.77.3.2/32"]`, `route "198.51.100.0/24" { via = "10.77.0.4" }`},
		{"virtual_mac = true", `route "198.51.100.0/24" { via = "10.77.0.3" }`}, {"settle = \"300ms\""}, nil,
	} {
		s.reload("r1", config(web(lines...)))
		s.until(fmt.Sprintf("r1 to be Active with %q", lines), func() bool {
			r, err := s.r1.Router(s.ctx, "web")
			return err == nil && r.State == "active" && !r.Yielding && s.Host("r1").Has(vip4) && s.Host("r1").Has(vip6)
		})
	}
	s.must(s.r1.Stop(s.ctx))
	if out := s.leftovers("r1"); out != "" {
		t.Errorf("left behind:\n%s", out)
	}
	if strings.Contains(s.r1.Log(), "panic") || strings.Contains(s.r1.Log(), `auth_pass = "x"`) {
		t.Error("a panic, or a password, in the log")
	}
}

// The interface of an Active with a virtual MAC is renamed, deleted and made
// again, changes its MAC, flickers: each time it comes to rest, and at the end
// nothing is left.
func TestInterfaceUnderAVirtualMAC(t *testing.T) {
	t.Parallel()
	s := newPair(t, config(macWeb()))
	s.run("r1", "sh", "-c", "ip link set eth0 down; ip link set eth0 name away; ip link set away up")
	s.active("r2")
	s.state("r1", "initialize")
	s.rest(time.Second)
	if n := len(s.by("r1", lab.Now()-500*time.Millisecond, virtual)); n > 0 {
		t.Errorf("r1 sent %d frames from the virtual MAC after the interface had another name", n)
	}
	s.run("r1", "sh", "-c", "ip link set away down; ip link set away name eth0; ip link set eth0 up")
	s.run("r1", "sh", "-c", "ip addr show dev eth0 | grep -q 10.77.0.1/ || ip addr add 10.77.0.1/24 dev eth0")
	s.active("r1")
	s.gone("r2")
	for range 20 {
		s.run("r1", "sh", "-c", "ip link set eth0 down; ip link set eth0 up")
	}
	s.active("r1")
	s.gone("r2")
	s.must(s.Host("r1").Unplug())
	s.active("r2")
	s.must(s.Host("r1").Replug())
	s.active("r1")
	s.gone("r2")
	s.r1.Freeze()
	s.active("r2")
	s.r1.Thaw()
	s.active("r1")
	s.gone("r2")
	s.must(s.r1.Stop(s.ctx))
	s.must(s.r2.Stop(s.ctx))
	for _, host := range []string{"r1", "r2"} {
		if out := s.leftovers(host); out != "" {
			t.Errorf("%s: left behind:\n%s", host, out)
		}
	}
}

// Somebody renames the macvlan of an Active, gives it another MAC, takes it
// down: it serves on, with its MAC, and nothing of it stays behind.
func TestMacvlanTamperedWith(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(macWeb()))
	s.start(s.r1)
	s.active("r1")
	link := func() string {
		name, _, _ := strings.Cut(s.run("r1", "sh", "-c", "ip -o link show type macvlan | cut -d' ' -f2"), "@")
		return name
	}
	whole := func() bool {
		return s.Host("r1").Has(vip4) && s.Host("r1").Has(vip6) && link() != "" &&
			strings.Contains(s.run("r1", "ip", "-br", "link", "show", "type", "macvlan"), "00:00:5e:00:01:")
	}
	s.until("the macvlan", whole)
	s.run("r1", "sh", "-c", fmt.Sprintf("ip link set %s down; ip link set %[1]s name mine; ip link set mine up", link()))
	s.until("it serves by another name", func() bool { return link() == "mine" && whole() })
	s.run("r1", "sh", "-c", "ip link set mine address 02:00:00:00:00:99")
	s.until("the virtual MAC is back", whole)
	s.run("r1", "sh", "-c", fmt.Sprintf("ip link set %s down", link()))
	s.until("it is up again", func() bool {
		return whole() && strings.Contains(s.run("r1", "ip", "-br", "link", "show", "type", "macvlan"), "UP")
	})
	s.must(s.r1.Stop(s.ctx))
	if out := s.leftovers("r1"); out != "" {
		t.Errorf("left behind:\n%s", out)
	}
}

// A hundred reloads leak no descriptor and no macvlan.
func TestReloadsLeakNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t, config(macWeb()))
	s.start(s.r1)
	s.active("r1")
	count := func() (fds, links int) {
		list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.r1.Process().PID()))
		s.must(err)
		return len(list), strings.Count(s.run("r1", "ip", "-o", "link", "show", "type", "macvlan"), "\n")
	}
	reloads := func(n int) {
		for i := range n {
			lines := []string{macWeb(), web()}
			s.reload("r1", config(lines[i%2]))
		}
		s.until("rest", func() bool { r, err := s.r1.Router(s.ctx, "web"); return err == nil && r.State == "active" })
		s.rest(2 * time.Second)
	}
	reloads(10)
	fds, links := count()
	reloads(60)
	if f, l := count(); f > fds+3 || l != links {
		t.Errorf("%d descriptors and %d macvlans, before %d and %d", f, l, fds, links)
	}
}
