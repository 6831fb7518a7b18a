package probe

import (
	"context"
	"encoding/pem"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/checks"
)

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func TestFile(t *testing.T) {
	b := newBench(t)
	dir := t.TempDir()
	at := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	b.want(checks.File{Path: at("a", "")}, checks.Passed, "exists")
	b.want(checks.File{Path: dir + "/none"}, checks.NotRun, "no such file")
	b.want(checks.File{Path: dir + "/none", Absent: true}, checks.Passed, "does not exist")
	b.want(checks.File{Path: dir + "/a", Absent: true}, checks.Failed, "exists")
	b.want(checks.File{Path: dir + "/a/b", Absent: true}, checks.NotRun, "not a directory")
	b.want(checks.File{Path: dir}, checks.NotRun, "no regular file")
	b.want(checks.File{Path: at("m", "state=up\n"), Match: "state=up"}, checks.Passed, "matches")
	b.want(checks.File{Path: at("m", "state=down\n"), Match: "state=up"}, checks.Failed, "does not match state=up")
	old := at("old", "x")
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(-time.Hour)); err != nil {
		t.Fatal(err)
	}
	b.want(checks.File{Path: old, MaxAge: time.Minute}, checks.Failed, "was written 1h0m0s ago, wanted at most 1m0s")
	if err := os.Chtimes(old, time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	b.want(checks.File{Path: old, MaxAge: time.Minute}, checks.Passed, "exists") // from the future
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	b.want(checks.File{Path: pipe}, checks.NotRun, "no regular file")
}

// keepalived takes a missing, an empty and an unreadable number for 0, and 0 for healthy.
func TestFileInteger(t *testing.T) {
	b := newBench(t)
	path := filepath.Join(t.TempDir(), "n")
	for text, want := range map[string]checks.Result{
		"17\n":        {Outcome: checks.Passed, Value: 17},
		" -5 ":        {Outcome: checks.Passed, Value: -5},
		"0":           {Outcome: checks.Passed},
		"":            {Outcome: checks.NotRun},
		"up":          {Outcome: checks.NotRun},
		"1 2":         {Outcome: checks.NotRun},
		"0x10":        {Outcome: checks.NotRun},
		"99999999999": {Outcome: checks.NotRun},
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := b.ask(time.Second, checks.File{Path: path, Integer: true}); got.Outcome != want.Outcome || got.Value != want.Value {
			t.Errorf("%q: %+v", text, got)
		}
	}
	if got := b.ask(time.Second, checks.File{Path: path + "x", Integer: true}); got.Outcome != checks.NotRun {
		t.Errorf("missing: %+v", got)
	}
}

// A look that hangs is answered in time, and not repeated while it hangs; it
// counts by its path, and two looks at one path that does not hang disturb nobody.
func TestFileSystemThatHangs(t *testing.T) {
	var p patience
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	hold, looked := make(chan struct{}), make(chan struct{})
	first := p.look(ctx, "/nfs", func() checks.Result { defer close(looked); <-hold; return passed("late") })
	again := p.look(context.Background(), "/nfs", func() checks.Result { t.Error("looked again"); return passed("") })
	other := p.look(context.Background(), "/home", func() checks.Result { return passed("there") })
	for _, c := range []struct {
		got    checks.Result
		detail string
	}{{first, "the file system of /nfs does not answer"}, {again, "the last look still hangs: the file system of /nfs does not answer"}, {other, "there"}} {
		if c.got.Detail != c.detail {
			t.Errorf("%+v, want %q", c.got, c.detail)
		}
	}
	close(hold)
	<-looked
	for deadline := time.Now().Add(10 * time.Second); ; runtime.Gosched() {
		if got := p.look(context.Background(), "/nfs", func() checks.Result { return passed("back") }); got.Detail == "back" {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("%+v", got)
		}
	}
	b := newBench(t)
	for i := range uint64(200) {
		b.pool.Probe(checks.Job{Check: 1, Run: i, Timeout: 10 * time.Second, Probe: checks.Disk{Path: "/proc", Writable: true}})
	}
	for range 200 {
		if d := <-b.got; d.Outcome != checks.Passed {
			t.Fatalf("%+v", d)
		}
	}
}

func TestProcess(t *testing.T) {
	b := newBench(t)
	name := fmt.Sprintf("bbt%d", os.Getpid())
	long := name + "-with-a-name-longer-than-comm"
	dir := t.TempDir()
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("no sleep(1)")
	}
	start := func(name string) *exec.Cmd {
		link := filepath.Join(dir, name)
		if err := os.Symlink(sleep, link); err != nil && !os.IsExist(err) {
			t.Fatal(err)
		}
		c := exec.Command(link, "60")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Process.Kill(); _ = c.Wait() })
		return c
	}
	one := start(name)
	start(long)
	forget()
	b.want(checks.Process{Name: name, Min: 1}, checks.Passed, "1 running")
	b.want(checks.Process{Name: name, Min: 2}, checks.Failed, "1 running, wanted 2")
	b.want(checks.Process{Name: long, Min: 1}, checks.Passed, "1 running")
	b.want(checks.Process{Name: name, Min: 0, Max: 3}, checks.Passed, "1 running")
	b.want(checks.Process{Name: "no-such-process", Min: 1}, checks.Failed, "0 running, wanted 1")
	pidfile := filepath.Join(dir, "pid")
	if err := os.WriteFile(pidfile, fmt.Appendln(nil, one.Process.Pid), 0o600); err != nil {
		t.Fatal(err)
	}
	b.want(checks.Process{PIDFile: pidfile, Name: name}, checks.Passed, "process")
	b.want(checks.Process{PIDFile: pidfile, Name: "named"}, checks.Failed, "wanted named")
	if err := one.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	awaitZombie(t, one.Process.Pid)
	forget()
	b.want(checks.Process{Name: name, Min: 1}, checks.Failed, "0 running") // not reaped yet, but dead
	b.want(checks.Process{PIDFile: pidfile}, checks.Failed, "does not exist")
	b.want(checks.Process{PIDFile: dir + "/none"}, checks.Failed, "does not exist")
	if err := os.WriteFile(pidfile, []byte("soon\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	b.want(checks.Process{PIDFile: pidfile}, checks.NotRun, "no process number")
}

// forget lets the next run look at /proc anew.
func forget() {
	processes.Lock()
	processes.count = nil
	processes.Unlock()
}

// awaitZombie waits until a child has ended, and leaves it unreaped.
func awaitZombie(t *testing.T, pid int) {
	t.Helper()
	if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != nil {
		t.Fatal(err)
	}
}

func TestParseStat(t *testing.T) {
	for text, want := range map[string]string{
		"1 (init) S 0": "init S", "7 (a) b) R) Z 1": "a) b) R Z", "": "", "9 (x": "", "9 (x)": "", "9 (x) ": "",
	} {
		comm, state, ok := parseStat([]byte(text))
		if got := strings.TrimSpace(fmt.Sprintf("%s %c", comm, state)); ok && got != want || !ok && want != "" {
			t.Errorf("%q: %q %t, want %q", text, got, ok, want)
		}
	}
}

// The loopback interface is on every host; links with and without carrier are
// looked at in test/netns.
func TestLinkAndAddress(t *testing.T) {
	b := newBench(t)
	b.want(checks.Link{Interface: "nosuch0"}, checks.Failed, "does not exist")
	lo := netip.MustParseAddr("127.0.0.1")
	b.want(checks.Address{Address: lo, Interface: "nosuch0"}, checks.Failed, "nosuch0 does not exist")
	b.want(checks.Address{Address: lo, Interface: "nosuch0", Absent: true}, checks.Passed, "does not exist")
	b.want(checks.Address{Address: netip.MustParseAddr("203.0.113.77")}, checks.Failed, "is not there")
	b.want(checks.Address{Address: netip.MustParseAddr("2001:db8::77"), Absent: true}, checks.Passed, "is not there")
	if res := b.ask(time.Second, checks.Link{Interface: "lo"}); res.Outcome == checks.Passed { // it may be down in a namespace
		b.want(checks.Address{Address: lo, Interface: "lo"}, checks.Passed, "is there")
		b.want(checks.Address{Address: lo, Absent: true}, checks.Failed, "is there")
		b.want(checks.Link{Interface: "lo", MinSpeed: 1000}, checks.NotRun, "does not tell the speed")
	}
}

func TestRoute(t *testing.T) {
	b := newBench(t)
	none := netip.MustParsePrefix("203.0.113.128/27")
	b.want(checks.Route{Prefix: none}, checks.Failed, "is not there")
	b.want(checks.Route{Prefix: netip.MustParsePrefix("2001:db8:77::/48")}, checks.Failed, "is not there")
	b.want(checks.Route{Prefix: none, Interface: "nosuch0"}, checks.Failed, "nosuch0 does not exist")
	local := checks.Route{Prefix: netip.MustParsePrefix("127.0.0.0/8"), Table: 255}
	if res := b.ask(time.Second, local); res.Outcome == checks.Passed { // not in a namespace whose lo is down
		local.Interface = "lo"
		b.want(local, checks.Passed, "is there")
		local.Via = netip.MustParseAddr("127.0.0.9")
		b.want(local, checks.Failed, "not via 127.0.0.9")
	}
}

func TestLoadAndDisk(t *testing.T) {
	b := newBench(t)
	b.want(checks.Load{Max1: 1e6, Max15: 1e6, PerCPU: true}, checks.Passed, "")
	if load, ok := parseLoad("0.50 1.25 2.00 1/234 5\n"); !ok || load != [3]float64{0.5, 1.25, 2} {
		t.Errorf("%v %t", load, ok)
	}
	for _, bad := range []string{"", "1 2", "a b c", "-1 0 0"} {
		if _, ok := parseLoad(bad); ok {
			t.Errorf("%q was understood", bad)
		}
	}
	b.want(checks.Disk{Path: "/proc", Writable: true}, checks.Passed, "")
	b.want(checks.Disk{Path: "/no/such"}, checks.NotRun, "no such file")
	st := unix.Statfs_t{Bavail: 10, Blocks: 100, Bsize: 1 << 20, Files: 100, Ffree: 3, Flags: unix.ST_RDONLY}
	for want, v := range map[string]checks.Disk{
		"mounted read-only":                {Writable: true},
		"10 MiB free, wanted 11":           {MinFree: 11 << 20},
		"10% free, wanted 11%":             {MinFreePercent: 11},
		"3% of the inodes free, wanted 5%": {MinInodesPercent: 5},
		"10% free":                         {MinFree: 10 << 20, MinFreePercent: 10, MinInodesPercent: 3},
	} {
		if got := judgeDisk(v, &st); got.Detail != want {
			t.Errorf("%+v: %q, want %q", v, got.Detail, want)
		}
	}
}

func FuzzParsers(f *testing.F) {
	f.Add("1 (init) S 0", "0.1 0.2 0.3", "17")
	f.Fuzz(func(_ *testing.T, stat, load, n string) {
		parseStat([]byte(stat))
		parseLoad(load)
		_, _ = integer(n)
		if p := phrase(stat, 50); len(p) > 50 {
			panic(p)
		}
	})
}
