package services

import (
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// A real PostgreSQL of the distribution: a primary and a standby that streams
// from it over unix sockets.

// pgServer is one of the pair.
type pgServer struct {
	t *testing.T
	actions.PostgreSQL
	credential *syscall.Credential
}

// pgBin finds the directory of the newest server of the distribution.
func pgBin(t *testing.T) string {
	t.Helper()
	var bin string
	lab.NeedPeer(t, func() (string, error) {
		all, _ := filepath.Glob("/usr/lib/postgresql/*/bin/pg_ctl")
		if len(all) == 0 {
			return "", fmt.Errorf("no PostgreSQL server is installed: apt-get install postgresql")
		}
		bin = filepath.Dir(all[len(all)-1])
		return bin, nil
	})
	return bin
}

// template is a cluster made by initdb, once.
var template struct {
	once sync.Once
	dir  string
}

// pgPair makes a primary and a standby, both running.
func pgPair(t *testing.T) (*hands, *pgServer, *pgServer) {
	t.Helper()
	h := newHands(t)
	bin := pgBin(t)
	dir := space(t)
	base := pgServer{t: t, PostgreSQL: actions.PostgreSQL{Bin: bin, Host: dir, Role: "boss", Database: "postgres"}}
	if realRoot() {
		base.become("postgres")
		if err := os.Chown(dir, int(base.credential.Uid), int(base.credential.Gid)); err != nil {
			t.Fatal(err)
		}
	} else {
		base.Bin = wrapped(t, bin)
	}
	template.once.Do(func() {
		template.dir = filepath.Join(dir, "template")
		base.tool("initdb", "-D", template.dir, "-U", "boss", "-A", "trust", "-E", "UTF8", "--locale=C", "-N")
		keep := "/run/lab/pgtemplate"
		command(t, "cp", "-a", template.dir, keep)
		template.dir = keep
	})
	a, b := base, base
	a.Data, a.Port = filepath.Join(dir, "a"), 5401
	b.Data, b.Port = filepath.Join(dir, "b"), 5402
	command(t, "cp", "-a", template.dir, a.Data)
	conf := fmt.Sprintf("fsync=off\nlisten_addresses=''\nunix_socket_directories='%s'\nshared_buffers=16MB\nmax_connections=20\nwal_log_hints=on\n"+
		"wal_retrieve_retry_interval=200ms\nlog_line_prefix='%%m '\n", dir)
	a.write("postgresql.conf", conf+"port=5401\n")
	a.up()
	b.tool("pg_basebackup", "-D", b.Data, "-h", dir, "-p", "5401", "-U", "boss", "-R", "-c", "fast", "-N")
	b.write("postgresql.conf", conf+"port=5402\n")
	b.up()
	a.until("SELECT count(*) FROM pg_stat_replication WHERE state='streaming'", "1")
	return h, &a, &b
}

// become makes the programs run as an account.
func (s *pgServer) become(name string) {
	s.t.Helper()
	u, err := user.Lookup(name)
	if err != nil {
		s.t.Fatal(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	s.User, s.credential = name, &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// wrapped are PostgreSQL's programs in a user namespace in which we are not
// root, which they refuse to be.
func wrapped(t *testing.T, bin string) string {
	t.Helper()
	dir := filepath.Join(space(t), "bin")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	programs, _ := filepath.Glob(bin + "/*")
	for _, p := range programs {
		script := fmt.Sprintf("#!/bin/sh\nexec unshare --user --map-user=1000 --map-group=1000 %s \"$@\"\n", p)
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(p)), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (s *pgServer) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.Bin, name), args...)
	cmd.Dir = "/"
	if s.credential != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential}
	}
	return cmd
}

func (s *pgServer) tool(name string, args ...string) string {
	s.t.Helper()
	out, err := s.command(name, args...).CombinedOutput()
	if err != nil {
		log, _ := os.ReadFile(filepath.Join(s.Data, "log"))
		s.t.Fatalf("%s %s: %v\n%s\n%s", name, strings.Join(args, " "), err, out, log)
	}
	return strings.TrimSpace(string(out))
}

func (s *pgServer) write(name, text string) {
	s.t.Helper()
	path := filepath.Join(s.Data, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if s.credential != nil {
		if err := os.Chown(path, int(s.credential.Uid), int(s.credential.Gid)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// up starts a server and has it stopped at the end of the test.
func (s *pgServer) up() {
	s.t.Helper()
	// Not CombinedOutput: the server would keep the pipe.
	cmd := s.command("pg_ctl", "-D", s.Data, "-w", "-s", "-l", filepath.Join(s.Data, "log"), "start")
	if err := cmd.Run(); err != nil {
		log, _ := os.ReadFile(filepath.Join(s.Data, "log"))
		s.t.Fatalf("pg_ctl start: %v\n%s", err, log)
	}
	s.t.Cleanup(func() { _ = s.command("pg_ctl", "-D", s.Data, "-m", "immediate", "-w", "stop").Run() })
}

func (s *pgServer) down(mode string) { s.tool("pg_ctl", "-D", s.Data, "-m", mode, "-w", "stop") }

func (s *pgServer) sql(statement string) string {
	s.t.Helper()
	return s.tool("psql", "-X", "-A", "-t", "-h", s.Host, "-p", strconv.Itoa(s.Port), "-U", "boss", "-d", "postgres", "-c", statement)
}

func (s *pgServer) until(statement, want string) {
	s.t.Helper()
	got := ""
	for range 100 {
		if got = s.sql(statement); got == want {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.t.Fatalf("%s: %s, not %s", statement, got, want)
}

func TestPostgreSQLSwitchover(t *testing.T) {
	h, a, b := pgPair(t)
	h.want(actions.Look, a.PostgreSQL, true, actions.Up, "primary, 1 standby streams")
	h.want(actions.Look, b.PostgreSQL, true, actions.Down, "standby, streaming")
	h.want(actions.Qualify, b.PostgreSQL, true, actions.Down)
	h.want(actions.Stop, b.PostgreSQL, true, actions.Down, "standby, streaming") // is left running
	a.sql("CREATE TABLE t (i int); INSERT INTO t VALUES (42)")

	// While the old primary runs, no second one is made.
	done, told := h.do(actions.Start, b.PostgreSQL, 2*time.Second)
	check(t, actions.Start, done, false, actions.Down, "still runs", "two primaries")
	if len(told) == 0 || !strings.Contains(told[0], "waiting for the primary at") {
		t.Errorf("told %q", told)
	}

	h.want(actions.Stop, a.PostgreSQL, true, actions.Down, "shut down cleanly, 1 standby had everything", "pg_rewind -D "+a.Data)
	h.want(actions.Stop, a.PostgreSQL, true, actions.Down, "not running")
	h.want(actions.Look, a.PostgreSQL, true, actions.Down, "control file: shut down")
	done = h.want(actions.Start, b.PostgreSQL, true, actions.Up, "primary")
	if strings.Contains(done.Detail, "CHECKPOINT") {
		t.Error("no checkpoint was made")
	}
	h.want(actions.Start, b.PostgreSQL, true, actions.Up)
	if got := b.sql("INSERT INTO t VALUES (43) RETURNING (SELECT count(*) FROM t)"); !strings.HasPrefix(got, "1") {
		t.Errorf("the new primary: %q", got)
	}
	// The old one would be a second primary.
	done = h.want(actions.Qualify, a.PostgreSQL, false, actions.Down, "it was a primary")
	done = h.want(actions.Start, a.PostgreSQL, false, actions.Down, "it was a primary")
	if !done.Hopeless {
		t.Error("not hopeless")
	}
}

// The primary's host dies: its standby notices at once here, since the kernel
// closes the socket.
func TestPostgreSQLCrash(t *testing.T) {
	h, a, b := pgPair(t)
	b.MaxAge = time.Hour
	a.sql("CREATE TABLE t (i int)")
	h.want(actions.Qualify, b.PostgreSQL, true, actions.Down, "streaming")
	a.down("immediate")
	h.want(actions.Look, a.PostgreSQL, true, actions.Down, "in production")
	b.until("SELECT count(*) FROM pg_stat_wal_receiver", "0")
	h.want(actions.Qualify, b.PostgreSQL, true, actions.Down, "not streaming")
	old := b.PostgreSQL
	old.MaxAge = time.Millisecond
	h.want(actions.Qualify, old, false, actions.Down, "not streaming for", "max_age")
	h.want(actions.Start, b.PostgreSQL, true, actions.Up)
	h.want(actions.ForceStop, b.PostgreSQL, true, actions.Down, "not shut down cleanly (in production)", "pg_rewind")
}

func TestPostgreSQLPausedAndLagging(t *testing.T) {
	h, a, b := pgPair(t)
	b.sql("SELECT pg_wal_replay_pause()")
	b.until("SELECT pg_get_wal_replay_pause_state()", "paused")
	h.want(actions.Qualify, b.PostgreSQL, false, actions.Down, "pg_wal_replay_resume()")
	h.want(actions.Look, b.PostgreSQL, true, actions.Down, "replay paused")
	b.sql("SELECT pg_wal_replay_resume()")

	// Received, but not replayed: what follows a commit that waits.
	b.write("postgresql.auto.conf", readAll(t, b.Data+"/postgresql.auto.conf")+"recovery_min_apply_delay='1h'\n")
	b.sql("SELECT pg_reload_conf()")
	b.until("SHOW recovery_min_apply_delay", "1h")
	a.sql("CREATE TABLE first (i int)")
	a.sql("CREATE TABLE big AS SELECT generate_series(1, 20000) AS i")
	b.until("SELECT pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) > 100000", "t")
	h.want(actions.Qualify, b.PostgreSQL, true, actions.Down)
	b.MaxLag = 100000
	h.want(actions.Qualify, b.PostgreSQL, false, actions.Down, "still to be replayed", "max_lag")
}

func TestPostgreSQLManaged(t *testing.T) {
	h, a, b := pgPair(t)
	a.Manage, b.Manage = true, true
	b.down("fast")
	h.want(actions.Look, b.PostgreSQL, true, actions.Down, "shut down in recovery")
	h.want(actions.Qualify, b.PostgreSQL, false, actions.Down, "will be started as a standby")
	h.want(actions.Prepare, b.PostgreSQL, true, actions.Down, "standby")
	b.until("SELECT count(*) FROM pg_stat_wal_receiver", "1")
	h.want(actions.Prepare, b.PostgreSQL, true, actions.Down, "standby, streaming")
	h.want(actions.Prepare, a.PostgreSQL, true, actions.Up) // it runs and is a primary: that is for the ladder

	// The trap: an old primary that is just started.
	h.want(actions.Stop, a.PostgreSQL, true, actions.Down)
	done := h.want(actions.Prepare, a.PostgreSQL, false, actions.Down, "it was a primary", "standby.signal")
	if !done.Hopeless {
		t.Error("not hopeless")
	}
	// A standby that does not run is started and promoted.
	b.down("fast")
	h.want(actions.Start, b.PostgreSQL, true, actions.Up, "primary")
	// What is told helps: the old one becomes a standby of the new one.
	a.write("standby.signal", "")
	a.write("postgresql.auto.conf", fmt.Sprintf("primary_conninfo='host=%s port=5402 user=boss'\n", a.Host))
	h.want(actions.Prepare, a.PostgreSQL, true, actions.Down, "standby")
	b.until("SELECT count(*) FROM pg_stat_replication WHERE state='streaming'", "1")
	h.want(actions.Qualify, a.PostgreSQL, true, actions.Down, "streaming")
}

func TestPostgreSQLCannotBeTold(t *testing.T) {
	h, a, b := pgPair(t)
	wrong := a.PostgreSQL
	wrong.Role = "nobodyhere"
	h.want(actions.Look, wrong, false, actions.Unknown, `role "nobodyhere" does not exist`)
	done, _ := h.do(actions.Start, wrong, time.Second)
	check(t, actions.Start, done, false, actions.Unknown, "cannot be told")
	wrong = b.PostgreSQL
	wrong.Role = "nobodyhere"
	h.want(actions.Look, wrong, true, actions.Down, "a standby (in archive recovery) that does not answer")
	done, _ = h.do(actions.Start, wrong, time.Second)
	check(t, actions.Start, done, false, actions.Unknown, "cannot be told")
	h.want(actions.Qualify, wrong, false, actions.Down, "does not answer")

	wrong = a.PostgreSQL
	wrong.Data, wrong.Host = "/nonexistent", "/nonexistent"
	h.want(actions.Look, wrong, true, actions.Down, "no database in /nonexistent")
	done = h.want(actions.Start, wrong, false, actions.Down)
	if !done.Hopeless {
		t.Error("not hopeless")
	}

	// A frozen server: the question is bounded, and the fact is that it is not known.
	pid := strings.Fields(readAll(t, a.Data+"/postmaster.pid"))[0]
	command(t, "kill", "-STOP", pid)
	defer command(t, "kill", "-CONT", pid)
	done, _ = h.do(actions.Look, a.PostgreSQL, 6*time.Second)
	check(t, actions.Look, done, false, actions.Unknown)
}

func readAll(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
