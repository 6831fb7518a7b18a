package netns

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A step that somebody starts by hand on the Backup is told and left alone, and does not
// get into the way when this host has to serve.
func TestStepStartedByHandOnTheBackup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newPair(t, config(web(), `service_group "site" {
  follows = virtual_router.web
  qualify = "200ms"
  step "exec" "flag" {
    start  = ["/usr/bin/mkdir", "-p", "`+dir+`/${node.name}"]
    stop   = ["/usr/bin/rmdir", "`+dir+`/${node.name}"]
    status = ["/usr/bin/test", "-d", "`+dir+`/${node.name}"]
    user   = "root"
    monitor { interval = "500ms" }
  }
}
`))
	up := func(node string) bool { _, err := os.Stat(filepath.Join(dir, node)); return err == nil }
	stray := func() string {
		page, err := s.r2.Status(s.ctx)
		s.must(err)
		return page.Services[0].Steps[0].Stray
	}
	s.until("the step to be up", func() bool { return up("r1") })
	if stray() != "" {
		t.Errorf("before: %q", stray())
	}
	s.must(os.Mkdir(filepath.Join(dir, "r2"), 0o755))
	s.until("it to be seen", func() bool { return stray() != "" })
	s.rest(down)
	if !up("r2") || s.router("r2").State != "backup" {
		t.Errorf("up %v, %s", up("r2"), s.router("r2").State)
	}
	if out, _, code, err := s.r2.Verb(s.ctx, "status", "--check", "--control", s.r2.Socket()); err != nil || code != 1 || !strings.Contains(out, "somebody else has started it") {
		t.Errorf("status --check: exit status %d, %v: %s", code, err, out)
	}
	s.must(s.r1.Stop(s.ctx))
	s.active("r2")
	s.until("it to be ours", func() bool {
		page, err := s.r2.Status(s.ctx)
		s.must(err)
		return page.Services[0].State == "up" && page.Services[0].Steps[0].Stray == ""
	})
	s.must(s.r2.Stop(s.ctx))
	if up("r2") {
		t.Error("it is not brought down as ours")
	}
}
