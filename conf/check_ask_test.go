package conf

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/backbeat-ha/backbeat/checks"
)

// TestAskingChecks: what the file says of whom to ask, and what it leaves out.
func TestAskingChecks(t *testing.T) {
	addr := netip.MustParseAddr
	for text, want := range map[string]checks.Probe{
		`check "icmp" "x" { target = "192.0.2.1" }`: checks.ICMP{Targets: []netip.Addr{addr("192.0.2.1")}, Quorum: 1},
		`check "icmp" "x" {
			targets = ["192.0.2.1", "2001:db8::1", "fe80::1%eth1"]
			quorum = 2
			interface = "eth1"
		}`: checks.ICMP{Targets: []netip.Addr{addr("192.0.2.1"), addr("2001:db8::1"), addr("fe80::1%eth1")}, Quorum: 2, Interface: "eth1"},
		`check "icmp" "x" {
			targets = ["fe80::1"]
			interface = "eth1"
			source = "fe80::2"
		}`: checks.ICMP{Targets: []netip.Addr{addr("fe80::1")}, Quorum: 1, Interface: "eth1", Source: addr("fe80::2")},
		`check "dns" "x" { name = "www.example.net." }`: checks.DNS{Server: netip.MustParseAddrPort("127.0.0.1:53"), Name: "www.example.net", Type: "A", Rcode: "NOERROR", Recursive: true},
		`check "dns" "x" {
			name = "."
			type = "NS"
			server = "2001:db8::53"
			answers = ["A.Root-Servers.net."]
			recursive = false
			authoritative = true
			tcp = true
		}`: checks.DNS{Server: netip.MustParseAddrPort("[2001:db8::53]:53"), Type: "NS", Rcode: "NOERROR", Answers: []string{"a.root-servers.net"}, Authoritative: true, TCP: true},
		`check "dns" "x" {
			name = "example.net"
			type = "AAAA"
			server = "192.0.2.53:5353"
			answers = ["2001:DB8:0::7"]
		}`: checks.DNS{Server: netip.MustParseAddrPort("192.0.2.53:5353"), Name: "example.net", Type: "AAAA", Rcode: "NOERROR", Answers: []string{"2001:db8::7"}, Recursive: true},
		`check "dns" "x" {
			name = "example.net"
			type = "MX"
			answers = ["10  Mail.example.net."]
		}`: checks.DNS{Server: netip.MustParseAddrPort("127.0.0.1:53"), Name: "example.net", Type: "MX", Rcode: "NOERROR", Answers: []string{"10 mail.example.net"}, Recursive: true},
		`check "systemd" "x" { unit = "apache2" }`: checks.Systemd{Unit: "apache2.service"},
		`check "systemd" "x" {
			unit = "srv-my\\x2ddata.mount"
			sub_state = "mounted"
		}`: checks.Systemd{Unit: `srv-my\x2ddata.mount`, SubState: "mounted"},
		`check "systemd" "x" { unit = "postgresql@15-main.service" }`: checks.Systemd{Unit: "postgresql@15-main.service"},
		`check "exec" "x" {
			command = ["/bin/true"]
			environment = ["A=b=c", "EMPTY="]
		}`: checks.Exec{Command: []string{"/bin/true"}, Env: []string{"A=b=c", "EMPTY="}},
	} {
		text += "\nvirtual_router \"web\" {\n  interface = \"eth0\"\n  vrid = 61\n  addresses = [\"192.0.2.10/24\"]\n}\n"
		cfg, diags := Load([]Source{{Name: "x.hcl", Text: []byte(text)}}, Options{Node: "web1"})
		if cfg == nil || len(cfg.Checks) != 1 {
			t.Errorf("%s\n%s", text, render(t, diags))
			continue
		}
		if diff := cmp.Diff(want, cfg.Checks[0].Probe, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b })); diff != "" {
			t.Errorf("%s\n%s", text, diff)
		}
	}
}
