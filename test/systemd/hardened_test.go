package systemd

import (
	"os"
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// The drop-in for hosts without service groups: everything that is not one works.
func TestHardened(t *testing.T) {
	text := web("10ms")
	hook := `  hook "note" {
    on      = ["active", "initialize"]
    command = ["/usr/local/sbin/note"]
    user    = "root"
  }
}
`
	p := newPair(t, text)
	p.configure(strings.TrimSuffix(text, "}\n") + hook)
	p.write("/usr/local/sbin/note", "#!/bin/sh\n"+
		`{ echo "$BACKBEAT_ON"; grep -E "^(CapEff|Seccomp|NoNewPrivs):" /proc/self/status; touch /usr/bin/x 2>&1; ls /dev; } >> /run/backbeat/noted`+"\n")
	p.do("chmod", "0755", "/usr/local/sbin/note")
	// As its first lines say.
	p.do("install", "-D", "-m", "0644", "/usr/share/doc/backbeat/hardened.conf", "/etc/systemd/system/backbeat.service.d/hardened.conf")
	p.systemctl("daemon-reload")
	if out, err := p.try("systemd-analyze", "verify", "--man=no", "backbeat.service"); err != nil || out != "" {
		t.Errorf("systemd-analyze verify: %v: %s", err, out)
	}
	p.run()
	p.until("the hook to have run", func() bool { return strings.Contains(p.read("/run/backbeat/noted"), "urandom") })
	noted := p.read("/run/backbeat/noted")
	t.Log(noted)
	for _, want := range []string{"active\n", "Seccomp:\t2", "Read-only file system"} {
		if !strings.Contains(noted, want) {
			t.Errorf("the hook does not tell of %q", want)
		}
	}
	if strings.Contains(p.read("/proc/1/status"), "CapEff:\t"+capabilities(noted)) {
		t.Error("the hook has all rights of process 1")
	}
	for thread, policy := range p.scheduling(p.pid()) {
		if policy != "2 10" && policy != "2 11" {
			t.Errorf("thread %s: policy and priority %s", thread, policy)
		}
	}
	for range 2 {
		p.restarted("systemctl restart, hardened")
	}
	p.unnoticed("a reload, hardened", func() { p.systemctl("reload", "backbeat") })
	if log := p.log(); strings.Contains(log, "ERROR") || strings.Contains(log, "WARN") {
		t.Error("the log complains")
	}
	from := lab.Now()
	p.systemctl("stop", "backbeat")
	p.active2()
	p.lossless("systemctl stop, hardened", from)
	p.clean()
	if _, err := os.Stat(p.path("/usr/bin/x")); err == nil {
		t.Error("a hook has written to /usr")
	}
}

// capabilities is the mask in a status.
func capabilities(status string) string {
	_, rest, _ := strings.Cut(status, "CapEff:\t")
	mask, _, _ := strings.Cut(rest, "\n")
	return mask
}
