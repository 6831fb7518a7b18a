package systemd

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/daemon/control"
)

// The unit as it is installed: systemd finds nothing to say about it, it is ready when the
// daemon says so, and everything it asks for is granted.
func TestStart(t *testing.T) {
	p := newPair(t, web("10ms"))
	if out, err := p.try("systemd-analyze", "verify", "--man=no", "/usr/lib/systemd/system/backbeat.service"); err != nil || out != "" {
		t.Errorf("systemd-analyze verify: %v: %s", err, out)
	}
	p.run()
	if got := p.property("backbeat", "ActiveState") + " " + p.property("backbeat", "Type") + " " + p.property("backbeat", "NRestarts"); got != "active notify 0" {
		t.Errorf("the unit is %s", got)
	}
	p.until("the status line", func() bool { return p.property("backbeat", "StatusText") == "1 virtual router: 1 active" })
	status := p.systemctl("status", "backbeat")
	t.Log(status)
	if !strings.Contains(status, "Status: \"1 virtual router: 1 active\"") || !strings.Contains(status, "Active: active (running)") {
		t.Errorf("systemctl status:\n%s", status)
	}
	for thread, policy := range p.scheduling(p.pid()) {
		if policy != "2 10" && policy != "2 11" { // SCHED_RR, as the unit has it; the loop one above
			t.Errorf("thread %s: policy and priority %s", thread, policy)
		}
	}
	var st control.Status
	p.must(json.Unmarshal([]byte(p.do("backbeat", "status", "-o", "json")), &st))
	if s := st.Scheduling; s == nil || !s.RealTime || s.Policy != "rr" || s.Priority != 10 || !s.MemoryLocked {
		t.Errorf("scheduling %+v", s)
	}
	if text := p.do("backbeat", "status"); strings.Contains(text, "real-time") || strings.Contains(text, "real time") {
		t.Errorf("backbeat status:\n%s", text)
	}
	info, err := os.Stat(p.path("/run/backbeat/control.sock"))
	p.must(err)
	if info.Mode().Perm()&0o007 != 0 || p.do("stat", "-c", "%G", "/run/backbeat/control.sock") != "backbeat" {
		t.Errorf("the socket is %v of group %s", info.Mode(), p.do("stat", "-c", "%G", "/run/backbeat/control.sock"))
	}
	if out := p.do("bash", "-c", ". /usr/share/bash-completion/completions/backbeat && complete -p backbeat"); !strings.Contains(out, "backbeat") {
		t.Errorf("bash completes %q", out)
	}
	p.systemctl("enable", "backbeat")
	if _, err := os.Lstat(p.path("/etc/systemd/system/multi-user.target.wants/backbeat.service")); err != nil {
		t.Error(err)
	}
}

// scheduling is policy and priority of each thread (proc_pid_stat(5), fields 41 and 40).
func (p *pair) scheduling(pid int) map[string]string {
	p.t.Helper()
	list, err := filepath.Glob(p.path(fmt.Sprintf("/proc/%d/task/*/stat", pid)))
	p.must(err)
	found := map[string]string{}
	for _, path := range list {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		f := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
		found[filepath.Base(filepath.Dir(path))] = f[38] + " " + f[37]
	}
	if len(found) == 0 {
		p.t.Errorf("process %d has no threads", pid)
	}
	return found
}
