package control

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAllow(t *testing.T) {
	grouped := rules{own: 990, group: "backbeat", gid: 77, grouped: true}
	alone := rules{own: 0, group: "backbeat"}
	tests := []struct {
		name   string
		rules  rules
		peer   peer
		method string
		want   string // part of the refusal, empty if allowed
	}{
		{"root reads", grouped, peer{uid: 0}, "GET", ""},
		{"root changes", grouped, peer{uid: 0}, "POST", ""},
		{"own user reads", grouped, peer{uid: 990, gid: 5}, "GET", ""},
		{"own user changes", grouped, peer{uid: 990, gid: 5}, "POST", ""},
		{"member by primary group reads", grouped, peer{uid: 1000, gid: 77}, "GET", ""},
		{"member by supplementary group reads", grouped, peer{uid: 1000, gid: 5, groups: []uint32{6, 77}}, "GET", ""},
		{"member may not change", grouped, peer{uid: 1000, gid: 77}, "POST", "only root and the daemon's own user (uid 990) may change anything"},
		{"member may not delete", grouped, peer{uid: 1000, gid: 77}, "DELETE", "may change"},
		{"stranger reads", grouped, peer{uid: 1000, gid: 5}, "GET", `members of the group "backbeat" may read, and this is uid 1000`},
		{"stranger changes", grouped, peer{uid: 1000, gid: 5}, "POST", "may change"},
		{"gid 0 is no member of a group that does not exist", alone, peer{uid: 1000, gid: 0}, "GET", "only root may read, and this is uid 1000"},
		{"nobody in particular", alone, peer{uid: 65534, gid: 65534}, "POST", "only root may change"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e := tt.rules.allow(tt.peer, tt.method)
			switch {
			case tt.want == "" && e != nil:
				t.Errorf("refused: %v", e)
			case tt.want != "" && e == nil:
				t.Error("allowed")
			case tt.want != "" && (e.Code != CodeDenied || !strings.Contains(e.Message, tt.want)):
				t.Errorf("got %q %q, want %q", e.Code, e.Message, tt.want)
			}
		})
	}
}

// The credentials the kernel reports are those of this very process.
func TestPeerOf(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	in, err := l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	p, err := peerOf(in)
	if err != nil {
		t.Fatal(err)
	}
	if int(p.uid) != os.Geteuid() || int(p.gid) != os.Getegid() || int(p.pid) != os.Getpid() {
		t.Errorf("peer %+v, want uid %d gid %d pid %d", p, os.Geteuid(), os.Getegid(), os.Getpid())
	}
	groups, err := os.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range groups {
		if !p.member(uint32(g)) {
			t.Errorf("group %d of this process is missing in %v", g, p.groups)
		}
	}
}

func TestAdmitWithoutCredentials(t *testing.T) {
	s := New(Options{})
	r, err := http.NewRequest(http.MethodGet, "/v1/version", nil)
	if err != nil {
		t.Fatal(err)
	}
	if e := s.admit(r); e == nil || e.Code != CodeDenied {
		t.Errorf("a request without known peer gets %v, want a refusal", e)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"web", "database", "mail-inside", "mail-outside"}
	for typed, want := range map[string]string{
		"wbe": "web", "WEB": "web", "databse": "database", "mail-insid": "mail-inside", "data": "database",
		"mail-": "mail-inside", "x": "", "": "", "firewall": "",
	} {
		if got := nearest(typed, names); got != want {
			t.Errorf("nearest(%q) = %q, want %q", typed, got, want)
		}
	}
}
