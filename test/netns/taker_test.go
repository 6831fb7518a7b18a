package netns

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// A move of a service group to a host that is not there is refused with the reason
// before a step is touched, whichever way it went; one that has come back, silent as
// Backups are, counts as there.
func TestMoveToWhoIsNotThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := newPair(t, config(web(`preempt = false`), `service_group "site" {
  follows = virtual_router.web
  step "exec" "flag" {
    start  = ["/usr/bin/mkdir", "`+dir+`/${node.name}"]
    stop   = ["/usr/bin/rmdir", "`+dir+`/${node.name}"]
    status = ["/usr/bin/test", "-d", "`+dir+`/${node.name}"]
    user   = "root"
  }
}
`))
	up := func(node string) bool { _, err := os.Stat(filepath.Join(dir, node)); return err == nil }
	move := func(b *lab.Backbeat, refused string) {
		t.Helper()
		out, errs, code, err := b.Verb(s.ctx, "move", "web", "--control", b.Socket())
		s.must(err)
		if refused == "" && code != 0 || refused != "" && (code != 1 || !strings.Contains(errs, refused) || !strings.Contains(errs, "--force")) {
			t.Errorf("want %q, exit status %d: %s%s", refused, code, out, errs)
		}
	}
	s.until("the step to be up", func() bool { return up("r1") })
	s.r1.Kill()
	s.active("r2")
	s.rest(6 * interval)
	move(s.r2, "10.77.0.1 fell silent")
	if !up("r2") {
		t.Error("the step was taken down")
	}
	s.start(s.r1)
	s.until("r1 to be Backup", func() bool { return s.router("r1").State == "backup" })
	s.rest(6 * interval)
	move(s.r2, "")
	s.until("r1 to serve", func() bool { return up("r1") && !up("r2") })

	s.must(s.r2.Stop(s.ctx)) // a Backup that leaves says nothing, and cannot be missed
	s.start(s.r2)
	s.until("r2 to be Backup", func() bool { return s.router("r2").State == "backup" })
	s.rest(6 * interval)
	s.must(s.r1.Stop(s.ctx)) // an Active that leaves says goodbye
	s.active("r2")
	s.until("the step to be up", func() bool { return up("r2") })
	s.rest(6 * interval)
	move(s.r2, "10.77.0.1 said goodbye")
}
