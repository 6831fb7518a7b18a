package journal

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/daemon"
)

func countLines(t *testing.T, dir string) int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Count(text, []byte("\n"))
}

func TestGrowthIsBounded(t *testing.T) {
	dir := stateDir(t)
	const keep = 5
	j, _ := mustOpen(t, Options{Dir: dir, Keep: keep})
	worst := 0
	for i := range uint64(2000) {
		r := record(i+1, string(rune('a'+i%3)))
		j.history.write([]daemon.Transition{r})
		r.Followed = []daemon.Followup{{What: "addresses"}}
		j.history.write([]daemon.Transition{r})
		worst = max(worst, countLines(t, dir))
	}
	if worst > slack*3*keep || worst < 3*keep {
		t.Errorf("%d lines at most, want %d", worst, slack*3*keep)
	}
	finish(j)
	j, past := mustOpen(t, Options{Dir: dir, Keep: keep})
	var want []uint64
	for i := range uint64(3 * keep) {
		want = append(want, 2000-3*keep+1+i)
	}
	if !slices.Equal(seqs(past), want) || slices.ContainsFunc(past, func(t daemon.Transition) bool { return len(t.Followed) != 1 }) {
		t.Errorf("kept %v\nwant %v", seqs(past), want)
	}
	finish(j)
}

// A batch holds each record once, in its last version.
func TestVersionsOfOneBatchAreWrittenOnce(t *testing.T) {
	dir := stateDir(t)
	j, _ := mustOpen(t, Options{Dir: dir})
	r := record(1, "a")
	for range 10 {
		r.Followed = append(r.Followed, daemon.Followup{What: "hook"})
		j.Transition(r)
	}
	finish(j)
	if n := countLines(t, dir); n != 1 {
		t.Errorf("%d lines", n)
	}
	j, past := mustOpen(t, Options{Dir: dir})
	if len(past) != 1 || len(past[0].Followed) != 10 {
		t.Errorf("read %+v", past)
	}
	finish(j)
}

func TestShelf(t *testing.T) {
	s := newShelf(maxKeep)
	for i := range uint64(5 * maxKeep) {
		s.add(record(i+1, "a"))
		if len(s.records) > 2*maxKeep {
			t.Fatalf("%d records in memory", len(s.records))
		}
	}
	if got := s.trim(); len(got) != maxKeep || got[0].Seq != 4*maxKeep+1 || got[maxKeep-1].Seq != 5*maxKeep {
		t.Errorf("%d kept, from %d", len(got), got[0].Seq)
	}
	// A busy router does not push out a quiet one's past.
	s = newShelf(2)
	s.add(record(1, "quiet"))
	for i := range uint64(100) {
		s.add(record(i+2, "busy"))
	}
	if got := seqs(s.trim()); !slices.Equal(got, []uint64{1, 100, 101}) {
		t.Errorf("kept %v", got)
	}
}

func TestDamage(t *testing.T) {
	whole := func(seq uint64) string { return fmt.Sprintf(`{"seq":%d,"router":"a","to":"Active"}`, seq) }
	for _, c := range []struct {
		name, text string
		want       []uint64
		damaged    int
	}{
		{"torn last line", whole(1) + "\n" + whole(2)[:20], []uint64{1}, 1},
		{"last line without its end, but whole", whole(1) + "\n" + whole(2), []uint64{1, 2}, 0},
		{"rubbish in the middle", whole(1) + "\nrubbish\n\x00\x00\x00\n[1]\n{}\n\n" + whole(2) + "\n", []uint64{1, 2}, 5},
		{"an endless line", whole(1) + "\n" + strings.Repeat("x", 3*maxLine) + "\n" + whole(2) + "\n", []uint64{1, 2}, 1},
		{"only rubbish", strings.Repeat("\xff", 100), nil, 1},
		{"unsorted", whole(3) + "\n" + whole(1) + "\n" + whole(2) + "\n", []uint64{1, 2, 3}, 0},
	} {
		dir := stateDir(t)
		if err := os.WriteFile(filepath.Join(dir, fileName), []byte(c.text), 0o666); err != nil {
			t.Fatal(err)
		}
		var out log
		j, past := mustOpen(t, Options{Dir: dir, Logger: out.logger()})
		if !slices.Equal(seqs(past), c.want) {
			t.Errorf("%s: read %v, want %v", c.name, seqs(past), c.want)
		}
		if said := fmt.Sprintf("damaged lines in the history were skipped count=%d ", c.damaged); strings.Contains(out.String(), said) != (c.damaged > 0) {
			t.Errorf("%s: log %q", c.name, out.String())
		}
		j.Transition(record(9, "a"))
		finish(j)
		out.buf.Reset()
		j, past = mustOpen(t, Options{Dir: dir, Logger: out.logger()})
		if !slices.Equal(seqs(past), append(c.want, 9)) || out.String() != "" {
			t.Errorf("%s: the second time %v, log %q", c.name, seqs(past), out.String())
		}
		if info, err := os.Stat(filepath.Join(dir, fileName)); err != nil || info.Mode().Perm() != fileMode {
			t.Errorf("%s: mode %v, %v", c.name, info.Mode(), err)
		}
		finish(j)
	}
}

func TestUnusableDirectories(t *testing.T) {
	at := func(mode os.FileMode, prepare func(file string) error) string {
		dir := stateDir(t)
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if err := prepare(filepath.Join(dir, fileName)); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	none := func(string) error { return nil }
	inUse := at(0o750, none)
	first, _ := mustOpen(t, Options{Dir: inUse})
	defer finish(first)
	for _, c := range []struct {
		name, dir string
		want      []string
	}{
		{"world-writable", at(0o757, none), []string{"refused: ", "can be written by others", "chmod go-w /"}},
		{"like /tmp", at(0o777|os.ModeSticky, none), []string{"refused: ", "chmod go-w /"}},
		{"group-writable", at(0o770, none), []string{"refused: ", "chmod go-w /"}},
		{"no parent", filepath.Join(stateDir(t), "a", "b"), []string{"make the directories above it"}},
		{"a file", "/etc/passwd", []string{"/etc/passwd is not a directory", "--state-dir"}},
		{"in use", inUse, []string{"in use by another daemon", "--state-dir"}},
		{"history is a link", at(0o750, func(f string) error { return os.Symlink("/etc/passwd", f) }), []string{"is a symbolic link: remove it"}},
		{"history is a pipe", at(0o750, func(f string) error { return unix.Mkfifo(f, 0o600) }), []string{"is not a file: remove it"}},
		{"history is a directory", at(0o750, func(f string) error { return os.Mkdir(f, 0o700) }), []string{"history.jsonl"}},
	} {
		j, past, err := Open(Options{Dir: c.dir})
		if err == nil || past != nil {
			t.Errorf("%s: past %v, error %v", c.name, past, err)
			continue
		}
		for _, w := range c.want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q does not say %q", c.name, err, w)
			}
		}
		j.Transition(record(1, "a")) // usable, without a file
		finish(j)
	}
}

func TestWriteErrorIsSaidOnceAndRecovered(t *testing.T) {
	var out log
	dir := stateDir(t)
	j, _ := mustOpen(t, Options{Dir: dir, Logger: out.logger()})
	h := j.history
	write := func(seq uint64) { h.write([]daemon.Transition{record(seq, "a")}) }
	write(1)
	// A full disk.
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	h.file.Close()
	h.file = full
	write(2)
	// The file has been replaced by something that cannot be opened.
	path := filepath.Join(dir, fileName)
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	write(3)
	write(4)
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "no space left on device") {
		t.Errorf("log %q", got)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(5)
	if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "INFO  the history is written again lost=3 ") {
		t.Errorf("log %q", got)
	}
	// Removed while we hold it.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write(6)
	finish(j)
	j, past := mustOpen(t, Options{Dir: dir, Logger: out.logger()})
	if !slices.Equal(seqs(past), []uint64{6}) || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("read %v, log %q", seqs(past), out.String())
	}
	finish(j)
}

func TestRewriteImpossible(t *testing.T) {
	var out log
	dir := stateDir(t)
	const keep = 5
	j, _ := mustOpen(t, Options{Dir: dir, Keep: keep, Logger: out.logger()})
	obstacle := filepath.Join(dir, fileName+".new", "x")
	if err := os.MkdirAll(obstacle, 0o700); err != nil {
		t.Fatal(err)
	}
	seq := uint64(0)
	write := func(n int) {
		for range n {
			seq++
			j.history.write([]daemon.Transition{record(seq, "a")})
		}
	}
	write(1000)
	if n := countLines(t, dir); n > full*keep+1 || n < slack*keep {
		t.Errorf("%d lines", n)
	}
	if n := strings.Count(out.String(), "\n"); n != 1 {
		t.Errorf("said %d times: %s", n, out.String())
	}
	if err := os.RemoveAll(filepath.Dir(obstacle)); err != nil {
		t.Fatal(err)
	}
	write(2 * rest)
	if n := countLines(t, dir); n > slack*keep {
		t.Errorf("%d lines after it was possible again", n)
	}
	if !strings.Contains(out.String(), "the history is written again") || strings.Count(out.String(), "\n") != 2 {
		t.Errorf("log %q", out.String())
	}
	finish(j)
}

// A real full disk: a small tmpfs in a namespace of its own.
func TestFullDisk(t *testing.T) {
	if dir := os.Getenv("BACKBEAT_TEST_SMALL"); dir != "" {
		fillDisk(t, dir)
		return
	}
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestFullDisk$")
	cmd.Env = []string{"BACKBEAT_TEST_SMALL=" + stateDir(t)}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("in a namespace: %v (user namespaces switched off? sysctl kernel.unprivileged_userns_clone=1)\n%s", err, out)
	}
}

func fillDisk(t *testing.T, dir string) {
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k,mode=0750"); err != nil {
		t.Fatal(err)
	}
	var out log
	j, _ := mustOpen(t, Options{Dir: dir, Logger: out.logger()})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 40<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	seq := uint64(0)
	write := func(n int) {
		for range n {
			seq++
			j.history.write([]daemon.Transition{record(seq, "a")})
		}
	}
	write(300)
	if got := out.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "no space left on device") {
		t.Errorf("log %q", got)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	write(10)
	if got := out.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "is written again lost=") {
		t.Errorf("log %q", got)
	}
	finish(j)
	j, past := mustOpen(t, Options{Dir: dir, Logger: out.logger()})
	got := seqs(past)
	if len(got) < 20 || got[0] != 1 || !slices.Equal(got[len(got)-10:], []uint64{301, 302, 303, 304, 305, 306, 307, 308, 309, 310}) {
		t.Errorf("read %v", got)
	}
	if !strings.Contains(out.String(), "damaged lines in the history were skipped count=1 ") {
		t.Errorf("log %q", out.String())
	}
	finish(j)
}
