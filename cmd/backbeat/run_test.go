package main

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/daemon/control"
)

// asTool makes the test binary the tool itself: the daemon below is this very
// code, in a process and namespaces of its own.
const asTool = "BACKBEAT_TEST_AS_TOOL"

func TestMain(m *testing.M) {
	if os.Getenv(asTool) != "" {
		main()
	}
	os.Exit(m.Run())
}

// daemonProcess is a `backbeat run` in private user and network namespaces,
// with a stand-in for systemd.
type daemonProcess struct {
	cmd    *exec.Cmd
	log    bytes.Buffer
	notify *net.UnixConn
	socket string
	exited chan error
}

// isolated prepares a command line of the tool in namespaces of its own.
func isolated(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, args...)
	cmd.Env = append(append(os.Environ(), asTool+"=1"), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		Pdeathsig:   syscall.SIGKILL,
	}
	return cmd
}

func needNamespaces(t *testing.T) {
	t.Helper()
	err := isolated(t, nil, "version").Run()
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EACCES) {
		t.Skipf("no user namespaces here (%v); switch them on (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns=0) or run as root", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func startDaemon(t *testing.T, dir, config string) *daemonProcess {
	t.Helper()
	p := &daemonProcess{socket: filepath.Join(dir, "run", "control.sock"), exited: make(chan error, 1)}
	path := filepath.Join(dir, "notify")
	_ = os.Remove(path)
	var err error
	if p.notify, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.notify.Close() })
	p.cmd = isolated(t, []string{"NOTIFY_SOCKET=" + path, "WATCHDOG_USEC=200000"},
		"run", "-c", config, "--runtime-dir", filepath.Join(dir, "run"), "--state-dir", filepath.Join(dir, "state"), "--log-format", "text")
	p.cmd.Stderr = &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.exited <- p.cmd.Wait() }()
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			_ = p.cmd.Process.Kill()
		}
	})
	return p
}

// expect reads messages to systemd until one has the text.
func (p *daemonProcess) expect(t *testing.T, want string) {
	t.Helper()
	var seen []string
	buf := make([]byte, 4096)
	_ = p.notify.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		n, err := p.notify.Read(buf)
		if err != nil {
			t.Fatalf("waiting for %q, got %q: %v", want, seen, err)
		}
		if seen = append(seen, string(buf[:n])); strings.Contains(seen[len(seen)-1], want) {
			return
		}
	}
}

func (p *daemonProcess) wait(t *testing.T) error {
	t.Helper()
	select {
	case err := <-p.exited:
		return err
	case <-time.After(15 * time.Second):
		t.Fatal("the daemon does not end")
		return nil
	}
}

// TestLife is one life of the daemon as systemd sees it: ready, watched,
// reloaded, refused a twin, stopped.
func TestLife(t *testing.T) {
	needNamespaces(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "web.hcl")
	file := strings.Replace(goodFile, "{ web1 = 150, web2 = 100 }[node.name]", "150", 1)
	if err := os.WriteFile(config, []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startDaemon(t, dir, config)
	p.expect(t, "READY=1\nSTATUS=1 virtual router: 1 initialize")
	p.expect(t, "WATCHDOG=1")

	c := control.Dial(p.socket)
	st, err := c.Status(t.Context(), "web")
	if err != nil || st.Routers[0].Fault != "interface-missing" {
		t.Fatalf("status %+v, %v", st, err)
	}

	twin := isolated(t, nil, "run", "-c", config, "--runtime-dir", filepath.Join(dir, "run"), "--state-dir", "")
	out, err := twin.CombinedOutput()
	if twin.ProcessState.ExitCode() != exitNot || !strings.Contains(string(out), "another backbeat is running (pid ") {
		t.Errorf("a second daemon: %v: %s", err, out)
	}

	// A reload by signal, with a second router; then one with an error.
	if err := os.WriteFile(config, []byte(file+strings.NewReplacer(`"web"`, `"mail"`, "61", "62", "192.0.2.10", "192.0.2.11").Replace(file)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "RELOADING=1\nMONOTONIC_USEC=")
	p.expect(t, "READY=1\nSTATUS=2 virtual routers: 2 initialize")
	if err := os.WriteFile(config, []byte("virtual_router {"), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := c.Reload(t.Context())
	if err != nil || r.OK || r.Text == "" {
		t.Errorf("reload of a bad file: %+v, %v", r, err)
	}
	st, err = c.Status(t.Context(), "")
	if err != nil || len(st.Routers) != 2 {
		t.Errorf("after a bad file: %+v, %v", st, err)
	}
	if f := st.Configuration; f == nil || f.Path != config || f.RefusedAt == nil || f.RefusedAt.Before(f.AppliedAt) || !strings.Contains(f.RefusedWhy, "error") {
		t.Errorf("after a bad file the configuration in force is %+v", f)
	}

	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	p.expect(t, "STOPPING=1")
	if err := p.wait(t); err != nil {
		t.Errorf("exit after SIGTERM: %v", err)
	}
	for _, want := range []string{"backbeat ", "1 virtual router from", "reloaded " + config + ": 1 added, 1 unchanged", "stopping: SIGTERM", "ended"} {
		if !strings.Contains(p.log.String(), want) {
			t.Errorf("the log does not say %q:\n%s", want, p.log.String())
		}
	}
	if _, err := os.Lstat(p.socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the socket is still there: %v", err)
	}
}

// A daemon that was killed leaves a socket and a lock file; the next one is not
// put off by them.
func TestRestartAfterKill(t *testing.T) {
	needNamespaces(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "web.hcl")
	if err := os.WriteFile(config, []byte(strings.Replace(goodFile, "{ web1 = 150, web2 = 100 }[node.name]", "150", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startDaemon(t, dir, config)
	p.expect(t, "READY=1")
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := p.wait(t); err == nil {
		t.Error("killed, and exit status 0")
	}
	if _, err := control.Dial(p.socket).Status(t.Context(), ""); err == nil || !strings.Contains(err.Error(), "left over from a daemon that died") {
		t.Errorf("asking the dead: %v", err)
	}
	p = startDaemon(t, dir, config)
	p.expect(t, "READY=1")
	if _, err := control.Dial(p.socket).Status(t.Context(), "web"); err != nil {
		t.Errorf("asking its successor: %v", err)
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := p.wait(t); err != nil {
		t.Errorf("exit after SIGINT: %v\n%s", err, p.log.String())
	}
}
