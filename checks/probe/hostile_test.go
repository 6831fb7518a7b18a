package probe

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// leftovers is a pipe that processes hold open as long as they live: end reads
// its end of file when the last of them is gone.
func leftovers(t *testing.T) (path string, end *os.File) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "alive")
	if err := unix.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	end, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = end.Close() })
	return path, end
}

// allGone waits for the end of file, which comes when the kernel has ended them.
func allGone(t *testing.T, end *os.File) {
	t.Helper()
	if err := end.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := end.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("read %d, %v: somebody is left", n, err)
	}
}

func shell(format string, args ...any) checks.Exec {
	return checks.Exec{Command: []string{"/bin/sh", "-c", fmt.Sprintf(format, args...)}}
}

// What a command leaves behind in its group goes with it, by the hundred, whether
// it ends well or is ended, and whatever signals they ignore.
func TestChildrenLeftBehind(t *testing.T) {
	b := newBench(t)
	const many = `exec 9>%s; trap '' TERM HUP INT; i=0; while [ $i -lt 300 ]; do sleep 1000 >/dev/null 2>&1 & i=$((i+1)); done; echo left $i; %s`
	path, end := leftovers(t)
	if got := b.ask(30*time.Second, shell(many, path, "exit 0")); got.Outcome != checks.Passed || got.Detail != "left 300" {
		t.Errorf("%+v", got)
	}
	allGone(t, end)
	path, end = leftovers(t)
	if got := b.ask(3*time.Second, shell(many, path, "wait")); got.Outcome != checks.Failed || !strings.HasPrefix(got.Detail, "timed out after 3s") {
		t.Errorf("%+v", got)
	}
	allGone(t, end)
	// Grandchildren whose parents are gone are in the group as well.
	path, end = leftovers(t)
	b.want(shell(`exec 9>%s; for i in 1 2 3 4 5 6 7 8 9; do (sh -c 'sleep 1000 & sleep 1000 &' >/dev/null 2>&1 &); done; exit 0`, path), checks.Passed, "")
	allGone(t, end)
}

// A command that prints without end, on either descriptor, is ended in time, and
// only the tail is kept.
func TestOutputFloods(t *testing.T) {
	b := newBench(t)
	for _, script := range []string{"exec yes out", "exec yes err >&2", "yes out & exec yes err >&2", "exec cat /dev/zero", "exec cat /dev/urandom >&2"} {
		got := b.ask(300*time.Millisecond, shell("%s", script))
		if got.Outcome != checks.Failed || !strings.HasPrefix(got.Detail, "timed out after 300ms") || len(got.Detail) > checks.DetailSize ||
			len(got.Output) > 3*checks.OutputSize || strings.ContainsAny(got.Detail, "\x00\x1b\n") {
			t.Errorf("%s: %s %q, %d bytes", script, got.Outcome, got.Detail, len(got.Output))
		}
		if got.Took > 5*time.Second {
			t.Errorf("%s: took %v", script, got.Took)
		}
	}
}

// One policy for all commands: what others could change is not run, which says
// nothing about the service, and the element and the remedy are named.
func TestUnsafeCommands(t *testing.T) {
	b := newBench(t)
	path := filepath.Join(t.TempDir(), "check")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if strings.HasPrefix(path, "/tmp/") {
		b.want(checks.Exec{Command: []string{path}}, checks.NotRun, "refused: /tmp is writable by everyone: move the command to a directory that only root can write")
	}
	b.want(checks.Exec{Command: []string{"sh", "-c", "true"}}, checks.NotRun, "not an absolute path")
}

// The environment is clean but for what the configuration adds.
func TestExecEnvironment(t *testing.T) {
	t.Setenv("SECRET_OF_THE_DAEMON", "x")
	b := newBench(t)
	v := shell(`echo "$PGHOST:$BACKBEAT_CHECK:$SECRET_OF_THE_DAEMON:$LANG"`)
	v.Env = []string{"PGHOST=db", "LANG=C"}
	b.want(v, checks.Passed, "db:x.y::C")
}

// The daemon's descriptors stay with the daemon.
func TestNoDescriptorsInherited(t *testing.T) {
	lab.Need(t)
	b := newBench(t)
	b.want(checks.ICMP{Targets: addrs("127.0.0.1"), Quorum: 1}, checks.Passed, "") // its socket is open now
	got := b.ask(5*time.Second, shell("ls -l /proc/self/fd | grep -c -e socket -e eventpoll -e eventfd"))
	if got.Output != "0" {
		t.Errorf("sockets in the command: %+v", got)
	}
}

// Servers that do everything but answer.
func TestHostileServers(t *testing.T) {
	b := newBench(t)
	slowly := func(first, more string) string {
		return serve(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, first)
			for {
				if _, err := io.WriteString(c, more); err != nil {
					return
				}
				<-time.After(10 * time.Millisecond)
			}
		})
	}
	quickly := func(first, more string) string {
		return serve(t, func(c net.Conn) {
			_, _ = c.Read(make([]byte, 4096))
			_, _ = io.WriteString(c, first)
			for {
				if _, err := io.WriteString(c, more); err != nil {
					return
				}
			}
		})
	}
	page := func(address string) checks.HTTP {
		return checks.HTTP{URL: "http://" + address + "/", Method: "GET", Match: "x{9}"}
	}
	chunk := strings.Repeat("y", 4096)
	for name, c := range map[string]struct {
		probe  checks.Probe
		detail string
	}{
		"status line by bytes": {page(slowly("", "H")), "malformed|no answer in time"},
		"headers by bytes":     {page(slowly("HTTP/1.1 200 OK\r\nX: ", "y")), "no answer in time"},
		"headers without end":  {page(quickly("HTTP/1.1 200 OK\r\n", "X: "+chunk+"\r\n")), "exceeded"},
		"one endless header":   {page(quickly("HTTP/1.1 200 OK\r\nX: ", chunk)), "exceeded"},
		"1xx without end":      {page(quickly("", "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n")), "too many 1xx|exceeded"},
		"body by bytes":        {page(slowly("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", "y")), "no answer in time"},
		"endless chunks":       {page(quickly("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1000\r\n"+chunk+"\r\n")), "does not match"},
		"endless chunk size":   {page(quickly("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "0")), "chunk|line too long"},
		"a lie about the size": {page(quickly("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n", chunk)), "does not match"},
		"tcp by bytes":         {checks.TCP{Address: slowly("", "y"), Send: "x", Expect: "never"}, `answered "y`},
		"tcp without end":      {checks.TCP{Address: quickly("", chunk), Send: "x", Expect: "never"}, "the first 64 KiB do not match never"},
		"tls by bytes":         {checks.TCP{Address: slowly("", "\x16"), Send: "x", TLS: checks.TLS{On: true}}, "tls: |no answer in time"},
	} {
		got := b.ask(400*time.Millisecond, c.probe)
		ok := false
		for _, d := range strings.Split(c.detail, "|") {
			ok = ok || strings.Contains(got.Detail, d)
		}
		if got.Outcome != checks.Failed || !ok || got.Took > 3*time.Second {
			t.Errorf("%s: %s %q after %v, want %q", name, got.Outcome, got.Detail, got.Took, c.detail)
		}
	}
}
