package stories

import (
	"path/filepath"
	"strings"
	"testing"
)

// Steps 1 and 2 of services.md 7.2: the howto's haresources and ha.cf as they stand, and
// two mistakes with the address.
func TestHeartbeatPairImport(t *testing.T) {
	t.Parallel()
	s := newStory(t, "heartbeat-pair/ha.hcl", []string{"node2"}, nil, 1)
	n := s.node("node2")
	s.address("node2", 0, "100.200.230.3/24")
	dir, err := filepath.Abs("testdata/ha.d")
	s.must(err)
	text, complaints, code, err := n.d.Verb(s.ctx, "import", "haresources", "--lsb", dir)
	s.must(err)
	n.says(complaints, "/100.200.230.6 of 100.200.230.1 is not a gateway", "warntime 10s is not less than deadtime 5s", "authkeys is not needed")
	if order := []int{strings.Index(text, `step "lsb" "named"`), strings.Index(text, `step "lsb" "httpd"`), strings.Index(text, `step "lsb" "mysqld"`)}; code != 0 ||
		order[0] < 0 || order[0] > order[1] || order[1] > order[2] {
		t.Errorf("import: exit status %d\n%s", code, text)
	}
	n.says(text, `interval  = "1.38s"`, `addresses = ["100.200.230.1/32"]`)

	check := func(text string) (string, int) {
		s.must(n.d.Configure(text))
		out, complaints, code, err := n.d.Verb(s.ctx, "check", "--node", "node1,node2", n.d.ConfigFile())
		s.must(err)
		return out + complaints, code
	}
	if out, code := check(text); code != 0 {
		t.Errorf("check of what was imported: exit status %d\n%s", code, out)
	}
	example := s.read("examples/heartbeat-pair/ha.hcl")
	if out, code := check(strings.Replace(example, `["100.200.230.1/24"]`, `["100.200.230.0/24"]`, 1)); code != 1 || !strings.Contains(out, "Network address") {
		t.Errorf("check with .0: exit status %d\n%s", code, out)
	}
	s.must(n.d.Configure(strings.Replace(example, `["100.200.230.1/24"]`, `["100.200.230.3/24"]`, 1)))
	out, complaints, code, err := n.d.Verb(s.ctx, "check", n.d.ConfigFile())
	s.must(err)
	if code != 0 || !strings.Contains(complaints, "100.200.230.3 is on this host already, on eth0") {
		t.Errorf("check with node2's own address: exit status %d\n%s%s", code, out, complaints)
	}
}
