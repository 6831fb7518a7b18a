package systemd

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// machine is a host of the lab on which systemd is process 1 and backbeat is installed.
type machine struct {
	t       *testing.T
	ctx     context.Context
	host    *lab.Host
	systemd *lab.Process
	dir     string
	group   string // its control group of version 2, seen from outside
	http    http.Client
}

// installed is what `make install` makes, once for all hosts.
var installed = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("/run/lab", "installed")
	if err != nil {
		return "", err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", err
	}
	cmd := exec.Command("make", "-C", "../..", "install", "DESTDIR="+dir, "BINARY="+lab.Binary(), "VERSION=test")
	cmd.Env = append(os.Environ(), "MAKEFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("make install: %w\n%s", err, out)
	}
	return dir, nil
})

// newMachine boots systemd on a host, with control groups as on this machine or, where
// that has both versions, with version 2 alone if pure.
func newMachine(t *testing.T, ctx context.Context, l *lab.Lab, name string, pure bool) *machine {
	t.Helper()
	m := &machine{t: t, ctx: ctx, host: l.Host(name), dir: l.Dir("systemd-" + name)}
	layer, err := installed()
	m.must(err)
	m.must(os.MkdirAll(m.dir, 0o755))
	g, err := findGroups()
	m.must(err)
	p := plan{Dir: m.dir, Installed: layer, Hybrid: g.named != "" && !pure}
	for _, parent := range []string{g.unified, g.named} {
		if parent == "" || parent == g.named && !p.Hybrid {
			continue
		}
		dir := filepath.Join(parent, fmt.Sprintf("lab-systemd-%d-%s-%d", os.Getpid(), name, lab.Now()))
		m.must(os.Mkdir(dir, 0o755))
		p.Groups = append(p.Groups, dir)
	}
	m.group = p.Groups[0]
	t.Cleanup(func() { m.end(p.Groups) })
	m.must(m.host.Guard(p.Groups...))
	text, err := json.Marshal(p)
	m.must(err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{envBoot + "=" + string(text)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS}
	m.systemd, err = m.host.Start(cmd)
	m.must(err)
	m.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", m.path("/run/backbeat/control.sock"))
	}}
	m.booted()
	return m
}

// booted waits for the end of the boot, and does what the package's installation does
// on a host that runs.
func (m *machine) booted() {
	m.t.Helper()
	m.until("systemd to have booted", func() bool {
		select {
		case <-m.systemd.Done():
			m.t.Fatalf("systemd has ended: %s", m.systemd.Output())
		default:
		}
		if _, err := os.Stat(m.path("/run/systemd/private")); err != nil {
			return false
		}
		out, err := m.host.Run(m.ctx, m.inside("systemctl", "is-active", "basic.target")...)
		return err == nil && strings.TrimSpace(out) == "active"
	})
	m.do("systemd-sysusers")
	m.do("systemd-tmpfiles", "--create", "backbeat.conf")
	m.write("/etc/default/backbeat", "BACKBEAT_NODE="+m.host.Name+"\n")
	m.dropIn("backbeat", "lab", "[Service]\nStandardOutput=append:"+logFile+"\nStandardError=append:"+logFile)
}

// logFile is the daemon's log: there is no journal.
const logFile = "/var/log/backbeat.log"

// end ends everything on the host, and shows what was said if the test failed.
func (m *machine) end(groups []string) {
	if m.t.Failed() && m.systemd != nil {
		status, _ := m.host.Run(context.Background(), m.inside("systemctl", "status", "--no-pager", "backbeat")...)
		m.t.Logf("== systemctl status\n%s\n== systemd\n%s\n== log of %s\n%s", status, m.read("/dev/kmsg"), m.host.Name, m.log())
	}
	if m.systemd != nil {
		m.systemd.Kill() // and with process 1 all others
	}
	for _, g := range groups {
		if err := lab.RemoveCgroup(g); err != nil {
			m.t.Error(err)
		}
	}
}

func (m *machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) until(what string, condition func() bool) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.ctx, 20*time.Second)
	defer cancel()
	m.must(lab.Until(ctx, what, condition))
}

// path is where a file of the host is, seen from outside.
func (m *machine) path(path string) string {
	return fmt.Sprintf("/proc/%d/root%s", m.systemd.PID(), path)
}

// inside is a command that is carried out on the host: in a session of its own, so that
// it is reaped (lab's reap) where nsenter is killed; process 1 cannot end before.
func (m *machine) inside(argv ...string) []string {
	return append([]string{"nsenter", "-t", strconv.Itoa(m.systemd.PID()), "-m", "-p", "-C", "-i", "-u", "--", "setsid", "--wait"}, argv...)
}

// try runs a command on the host.
func (m *machine) try(argv ...string) (string, error) {
	return m.host.Run(m.ctx, m.inside(argv...)...)
}

// do is try for what must succeed.
func (m *machine) do(argv ...string) string {
	m.t.Helper()
	out, err := m.try(argv...)
	m.must(err)
	return strings.TrimSpace(out)
}

// systemctl is do.
func (m *machine) systemctl(args ...string) string {
	m.t.Helper()
	return m.do(append([]string{"systemctl", "--no-pager"}, args...)...)
}

// property is one that systemd has of a unit.
func (m *machine) property(unit, name string) string {
	m.t.Helper()
	return m.systemctl("show", "-P", name, unit)
}

func (m *machine) write(path, text string) {
	m.t.Helper()
	m.must(os.MkdirAll(m.path(filepath.Dir(path)), 0o755))
	m.must(os.WriteFile(m.path(path), []byte(text), 0o644))
}

func (m *machine) read(path string) string {
	b, _ := os.ReadFile(m.path(path))
	return string(b)
}

func (m *machine) log() string { return m.read(logFile) }

// dropIn adds one to a unit.
func (m *machine) dropIn(unit, name, text string) {
	m.t.Helper()
	m.write("/etc/systemd/system/"+unit+".service.d/"+name+".conf", text+"\n")
	m.systemctl("daemon-reload")
}

// pid is the daemon's number on the host.
func (m *machine) pid() int {
	m.t.Helper()
	n, err := strconv.Atoi(m.property("backbeat", "MainPID"))
	m.must(err)
	return n
}

// members are the processes in a unit's control group, or another one of system.slice, and
// below it, as the host numbers them, with their command lines.
func (m *machine) members(group string) map[int]string {
	found := map[int]string{}
	_ = filepath.WalkDir(filepath.Join(m.group, "system.slice", group), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.Name() != "cgroup.procs" {
			return nil //nolint:nilerr // a group that vanishes meanwhile has no processes
		}
		b, _ := os.ReadFile(path)
		for _, f := range strings.Fields(string(b)) {
			line, err := os.ReadFile("/proc/" + f + "/cmdline")
			if n := m.numberInside(f); err == nil && len(line) > 0 && n > 0 {
				found[n] = strings.TrimSpace(strings.ReplaceAll(string(line), "\x00", " "))
			}
		}
		return nil
	})
	return found
}

// numberInside is the number that a process has on the host: the last of NSpid in
// proc_pid_status(5).
func (m *machine) numberInside(pid string) int {
	b, _ := os.ReadFile("/proc/" + pid + "/status")
	for line := range strings.Lines(string(b)) {
		if list, ok := strings.CutPrefix(line, "NSpid:"); ok {
			f := strings.Fields(list)
			n, _ := strconv.Atoi(f[len(f)-1])
			return n
		}
	}
	return 0
}

// ask asks the daemon's control socket.
func (m *machine) ask(path string, into any) error {
	ctx, cancel := context.WithTimeout(m.ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://backbeat"+path, nil)
	if err != nil {
		return err
	}
	resp, err := m.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return json.NewDecoder(resp.Body).Decode(into)
}

// status is the daemon's; without routers while nobody answers.
func (m *machine) status() (st daemon.StatusPage) {
	_ = m.ask("/v1/status", &st)
	return st
}

func (m *machine) history() ([]daemon.Transition, error) {
	var h struct {
		Transitions []daemon.Transition `json:"transitions"`
	}
	err := m.ask("/v1/history", &h)
	return h.Transitions, err
}
