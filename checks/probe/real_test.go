package probe

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// freePort is one that nobody has; the namespace is the test's own.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// service starts a daemon and waits until a check of it passes.
func service(t *testing.T, b *bench, cmd *exec.Cmd, ready checks.Probe) {
	t.Helper()
	out := new(strings.Builder)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
	for deadline := time.Now().Add(30 * time.Second); ; <-time.After(20 * time.Millisecond) {
		if got := b.ask(time.Second, ready); got.Outcome == checks.Passed {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("%s does not come up: %s", cmd.Path, got.Detail)
		}
	}
}

// The example of docs/checks.md, against the real thing; and the same when it is
// frozen, which no connect alone would notice.
func TestTCPAgainstRedis(t *testing.T) {
	lab.Need(t)
	look := func() (string, error) { return lookFor("redis-server", "redis-server") }
	lab.NeedPeer(t, look)
	path, _ := look()
	b := newBench(t)
	dir := t.TempDir()
	port, socket := freePort(t), filepath.Join(dir, "s")
	ping := checks.TCP{Address: fmt.Sprintf("127.0.0.1:%d", port), Send: "PING\r\n", Expect: `^\+PONG`}
	cmd := exec.Command(path, "--port", fmt.Sprint(port), "--bind", "127.0.0.1", "--unixsocket", socket, "--dir", dir, "--save", "", "--daemonize", "no")
	service(t, b, cmd, ping)
	b.want(checks.TCP{Unix: socket, Send: "PING\r\n", Expect: `^\+PONG`}, checks.Passed, "answered as expected")
	if got := b.ask(300*time.Millisecond, checks.TCP{Address: ping.Address, Send: "GET x\r\n", Expect: `^\+PONG`}); got.Outcome != checks.Failed || got.Detail != `answered "$-1", wanted ^\+PONG` {
		t.Errorf("another answer: %+v", got)
	}
	b.want(checks.Process{Name: "redis-server", Min: 1}, checks.Passed, "running")
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if got := b.ask(300*time.Millisecond, ping); got.Outcome != checks.Failed || got.Detail != "no answer in time" {
		t.Errorf("frozen: %+v", got)
	}
	b.want(checks.TCP{Address: ping.Address}, checks.Passed, "connected") // its kernel still accepts
	_ = cmd.Process.Signal(syscall.SIGCONT)
	b.want(ping, checks.Passed, "answered as expected")
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	b.want(ping, checks.Failed, "connection refused")
	b.want(checks.TCP{Unix: socket}, checks.Failed, "connection refused")
}

// postgresHello is a startup message of protocol 3.0 for the user backbeat; the
// server answers with what authentication it wants (R) or with an error (E).
const postgresHello = "\x00\x00\x00\x17\x00\x03\x00\x00user\x00backbeat\x00\x00"

func TestTCPAgainstPostgreSQL(t *testing.T) {
	lab.Need(t)
	look := func() (string, error) {
		list, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
		if len(list) == 0 {
			return "", fmt.Errorf("PostgreSQL is not installed: apt-get install postgresql")
		}
		slices.Sort(list)
		return filepath.Dir(list[len(list)-1]), nil
	}
	lab.NeedPeer(t, look)
	bin, _ := look()
	b := newBench(t)
	dir := t.TempDir()
	// It does not run as root, not even as the root of a namespace.
	as := func(name string, args ...string) *exec.Cmd {
		c := exec.Command(filepath.Join(bin, name), args...)
		c.Dir = dir
		c.Env = []string{"PATH=" + bin + ":/usr/bin:/bin", "LANG=C.UTF-8"}
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER, Pdeathsig: syscall.SIGKILL,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: 0, Size: 1}}, GidMappings: []syscall.SysProcIDMap{{ContainerID: 1000, HostID: 0, Size: 1}}}
		return c
	}
	data := filepath.Join(dir, "data")
	if out, err := as("initdb", "-D", data, "-U", "backbeat", "-A", "trust", "-N", "--no-instructions").CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	port := freePort(t)
	hello := checks.TCP{Address: fmt.Sprintf("127.0.0.1:%d", port), Send: postgresHello, Expect: "^R"}
	service(t, b, as("postgres", "-D", data, "-k", dir, "-h", "127.0.0.1", "-p", fmt.Sprint(port), "-F"), hello)
	b.want(checks.TCP{Unix: filepath.Join(dir, fmt.Sprintf(".s.PGSQL.%d", port)), Send: postgresHello, Expect: "^R"}, checks.Passed, "answered as expected")
	b.want(checks.File{Path: filepath.Join(data, "postmaster.pid"), Match: fmt.Sprintf("(?m)^%d$", port)}, checks.Passed, "matches")
	b.want(checks.Process{PIDFile: filepath.Join(data, "postmaster.pid")}, checks.NotRun, "no process number")
	nobody := strings.Replace(postgresHello, "backbeat", "stranger", 1)
	b.want(checks.TCP{Address: hello.Address, Send: nobody, Expect: "^[RE]"}, checks.Passed, "answered")
	if err := os.Remove(filepath.Join(data, "postmaster.pid")); err != nil {
		t.Fatal(err)
	}
}
