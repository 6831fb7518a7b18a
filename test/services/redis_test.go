package services

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// Two real Redis servers on the loopback of a network namespace.

type redisServer struct {
	t    *testing.T
	cmd  *exec.Cmd
	port int
	actions.Redis
}

func redisUp(t *testing.T, args ...string) *redisServer {
	t.Helper()
	need(t, "redis-server", "redis-server", "redis-cli")
	lab.Need(t)
	lab.IP(t, "link", "set", "lo", "up")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	s := &redisServer{t: t, port: port, Redis: actions.Redis{Address: fmt.Sprintf("127.0.0.1:%d", port)}}
	s.cmd = exec.Command("redis-server", append([]string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--save", "", "--dir", space(t),
		"--repl-diskless-sync-delay", "0", "--loglevel", "warning"}, args...)...)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	for range 200 {
		if !strings.Contains(s.cli("PING"), "Could not connect") {
			return s
		}
		time.Sleep(25 * time.Millisecond)
	}
	t.Fatal("redis-server does not listen")
	return nil
}

func (s *redisServer) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func (s *redisServer) cli(args ...string) string {
	out, _ := exec.Command("redis-cli", append([]string{"-p", strconv.Itoa(s.port)}, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out))
}

func (s *redisServer) until(command, want string) {
	s.t.Helper()
	got := ""
	for range 200 {
		if got = s.cli(strings.Fields(command)...); strings.Contains(got, want) {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	s.t.Fatalf("%s: %s, not %s", command, got, want)
}

func redisPair(t *testing.T) (*hands, *redisServer, *redisServer) {
	t.Helper()
	h := newHands(t)
	a := redisUp(t)
	b := redisUp(t, "--replicaof", "127.0.0.1 "+strconv.Itoa(a.port))
	a.Follow, b.Follow = b.Address, a.Address
	b.until("INFO replication", "master_link_status:up")
	return h, a, b
}

func TestRedisSwitchover(t *testing.T) {
	h, a, b := redisPair(t)
	h.want(actions.Look, a.Redis, true, actions.Up, "master, 1 replica")
	h.want(actions.Look, b.Redis, true, actions.Down, "in sync")
	h.want(actions.Qualify, b.Redis, true, actions.Down)
	h.want(actions.Prepare, b.Redis, true, actions.Down)
	h.want(actions.Stop, b.Redis, true, actions.Down)
	a.cli("SET", "k", "v1")
	client, err := net.Dial("tcp", a.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()

	h.want(actions.Stop, a.Redis, true, actions.Down, "replica of "+b.Address, "1 of 1 replica had everything")
	h.want(actions.Start, b.Redis, true, actions.Up, "master")
	h.want(actions.Start, b.Redis, true, actions.Up)
	if got := b.cli("GET", "k"); got != "v1" {
		t.Errorf("the new master has %q", got)
	}
	if got := b.cli("SET", "k", "v2"); got != "OK" {
		t.Errorf("the new master: %q", got)
	}
	if err := client.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 1)); err == nil || os.IsTimeout(err) {
		t.Errorf("the client of the old master was not sent away: %v", err)
	}
	a.until("INFO replication", "master_link_status:up")
	h.want(actions.Qualify, a.Redis, true, actions.Down, "in sync")
	if got := a.cli("GET", "k"); got != "v2" {
		t.Errorf("the old master has %q", got)
	}
}

func TestRedisNeverSynced(t *testing.T) {
	h := newHands(t)
	b := redisUp(t, "--replicaof", "127.0.0.1 1")
	h.want(actions.Qualify, b.Redis, false, actions.Down, "empty", "never been in sync")
	done := h.want(actions.Start, b.Redis, false, actions.Down, "would empty the others")
	if !done.Hopeless {
		t.Error("not hopeless")
	}
	// With data of its own of unknown age.
	b.cli("REPLICAOF", "NO", "ONE")
	b.cli("SET", "k", "v")
	b.cli("REPLICAOF", "127.0.0.1", "1")
	h.want(actions.Qualify, b.Redis, true, actions.Down, "not in sync yet")
	b.MaxLag = time.Minute
	h.want(actions.Qualify, b.Redis, false, actions.Down, "not known (max_lag)")
	// As a master that we have just demoted, its age is known.
	b.cli("REPLICAOF", "NO", "ONE")
	b.Follow = "127.0.0.1:1"
	h.want(actions.Stop, b.Redis, true, actions.Down)
	h.want(actions.Qualify, b.Redis, true, actions.Down)
	h.want(actions.Start, b.Redis, true, actions.Up)
}

func TestRedisMasterDies(t *testing.T) {
	h, a, b := redisPair(t)
	a.cli("SET", "k", "v")
	b.until("GET k", "v")
	a.kill()
	b.until("INFO replication", "master_link_status:down")
	h.want(actions.Look, a.Redis, true, actions.Down, "no Redis server runs")
	h.want(actions.Stop, a.Redis, true, actions.Down)
	h.want(actions.Qualify, a.Redis, false, actions.Down, "start redis-server")
	b.MaxLag = time.Minute
	h.want(actions.Qualify, b.Redis, true, actions.Down, "not in sync for")
	short := b.Redis
	short.MaxLag = time.Nanosecond
	b.until("INFO replication", "master_link_down_since_seconds:1")
	h.want(actions.Qualify, short, false, actions.Down, "max_lag")
	h.want(actions.Start, b.Redis, true, actions.Up, "master, 0 replicas")
	h.want(actions.Stop, b.Redis, true, actions.Down, "no replica was connected")
}

// A replica that cannot keep up is told; the way down goes on.
func TestRedisReplicaHangs(t *testing.T) {
	h, a, b := redisPair(t)
	command(t, "kill", "-STOP", strconv.Itoa(b.cmd.Process.Pid))
	defer command(t, "kill", "-CONT", strconv.Itoa(b.cmd.Process.Pid))
	a.cli("SET", "k", "v")
	done := h.want(actions.Stop, a.Redis, true, actions.Down, "0 of 1 replica had everything")
	if done.Took > 5*time.Second {
		t.Errorf("took %v", done.Took)
	}
	done, _ = h.do(actions.Look, b.Redis, time.Second)
	check(t, actions.Look, done, false, actions.Unknown)
	if done.Took > 3*time.Second {
		t.Errorf("a hung server kept us for %v", done.Took)
	}
}

func TestRedisPassword(t *testing.T) {
	h := newHands(t)
	a := redisUp(t, "--requirepass", "s3cret with space")
	h.want(actions.Look, a.Redis, false, actions.Unknown, "NOAUTH")
	a.PasswordFile = filepath.Join(space(t), "password")
	if err := os.WriteFile(a.PasswordFile, []byte("s3cret with space\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	h.want(actions.Look, a.Redis, true, actions.Up)
	if err := os.WriteFile(a.PasswordFile, []byte("s3cret but wrong\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	done := h.want(actions.Look, a.Redis, false, actions.Unknown, "WRONGPASS")
	if strings.Contains(done.Detail+done.Output, "s3cret") {
		t.Error("the password is in the answer")
	}
}

func TestRedisBusyScript(t *testing.T) {
	h := newHands(t)
	a := redisUp(t, "--busy-reply-threshold", "200")
	a.Follow = "127.0.0.1:1"
	script := exec.Command("redis-cli", "-p", strconv.Itoa(a.port), "EVAL", "while true do end", "0")
	if err := script.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = script.Process.Kill(); _ = script.Wait() }()
	a.until("PING", "BUSY")
	h.want(actions.Stop, a.Redis, false, actions.Unknown, "BUSY")
	h.want(actions.ForceStop, a.Redis, true, actions.Down, "replica of 127.0.0.1:1")
}
