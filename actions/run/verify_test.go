package run

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestVerifyElements(t *testing.T) {
	dir := t.TempDir()
	make := func(path string, mode os.FileMode) {
		t.Helper()
		full := filepath.Join(dir, path)
		if strings.HasSuffix(path, "/") {
			if err := os.Mkdir(full, 0o700); err != nil {
				t.Fatal(err)
			}
		} else if err := os.WriteFile(full, []byte("#!/bin/sh\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(full, mode); err != nil {
			t.Fatal(err)
		}
	}
	script := func(path, interpreter string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, path), []byte("#!"+interpreter+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, path), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	link := func(path, target string) {
		t.Helper()
		if err := os.Symlink(target, filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
	}
	make("good/", 0o755)
	make("good/x", 0o755)
	make("good/plain", 0o644)
	make("good/group", 0o775)
	make("good/world", 0o757)
	make("group/", 0o775)
	make("group/x", 0o755)
	make("group/deep/", 0o755)
	make("group/deep/x", 0o755)
	make("world/", 0o757)
	make("world/x", 0o755)
	make("tmp/", 0o777|os.ModeSticky)
	make("tmp/x", 0o755)
	link("good/link", "x")
	link("good/far", dir+"/good/../good/./x")
	link("good/totmp", "../tmp/x")
	link("good/abstmp", dir+"/tmp/x")
	link("tmp/back", "../good/x")
	link("good/dir", "../group")
	link("good/loop", "loop")
	link("good/dangling", "nowhere")
	link("good/twice", "abstmp")
	script("good/byworld", dir+"/world/x")
	script("good/bygroup", " \t"+dir+"/good/byworld -x")
	script("good/bygood", dir+"/good/x ")
	script("good/windows", dir+"/good/x\r")
	script("good/relative", "sh")
	script("good/none", "")
	script("good/itself", dir+"/good/itself")
	make("good/secret", 0o711) // may be run, and not read by others
	p := policy{owners: []uint32{0, uint32(os.Geteuid())}, below: dir}
	for _, c := range []struct{ path, element, remedy string }{
		{"good/x", "", ""},
		{"good/./x", "", ""},
		{"good//x", "", ""},
		{"good/../good/x", "", ""},
		{"good/link", "", ""},
		{"good/far", "", ""},
		{"good/plain", "good/plain is not executable", "chmod a+x"},
		{"good/group", "good/group is writable by group ", "chmod g-w "},
		{"good/world", "good/world is writable by everyone", "chmod go-w "},
		{"group/x", "group is writable by group ", "chmod g-w "},
		{"group/deep/x", "group is writable by group ", "chmod g-w "},
		{"world/x", "world is writable by everyone", "chmod go-w "},
		{"tmp/x", "tmp is writable by everyone", "move the command"},
		{"good/totmp", "tmp is writable by everyone", "move the command"},
		{"good/abstmp", "tmp is writable by everyone", "move the command"},
		{"good/twice", "tmp is writable by everyone", "move the command"},
		{"tmp/back", "tmp is writable by everyone", "move the command"},
		{"tmp/../good/x", "tmp is writable by everyone", "move the command"},
		{"good/dir/x", "group is writable by group ", "chmod g-w "},
		{"good/loop", "more than 40 symbolic links", "correct the link"},
		{"good/dangling", "good/nowhere does not exist", "install it"},
		{"good/missing", "good/missing does not exist", "install it"},
		{"good/missing/x", "good/missing does not exist", "on the way to"},
		{"good/x/y", "good/x is a file, not a directory", "correct the path"},
		{"good/byworld", "world is writable by everyone", "first line of " + dir + "/good/byworld"},
		{"good/bygroup", "world is writable by everyone", "first line of " + dir + "/good/byworld"},
		{"good/bygood", "", ""},
		{"good/windows", "good/windows ends with a carriage return", `sed -i 's/\r$//'`},
		{"good/relative", "\"sh\" is not an absolute path", "first line of " + dir + "/good/relative"},
		{"good/none", "", ""},
		{"good/itself", "more than 5 interpreters", "name the program itself"},
		{"good/secret", "", ""},
		{"good", "good is a directory, not a file", "name the program"},
	} {
		err := p.check(dir + "/" + c.path)
		switch {
		case c.element == "" && err != nil:
			t.Errorf("%s: %v", c.path, err)
		case c.element != "" && (err == nil || !strings.HasPrefix(err.Error(), "refused: ") ||
			!strings.Contains(err.Error(), c.element) || !strings.Contains(err.Error(), c.remedy)):
			t.Errorf("%s: %v, want %q and %q", c.path, err, c.element, c.remedy)
		}
	}
	// Nobody we trust: the first element already belongs to a stranger.
	p.owners = []uint32{4242}
	want := fmt.Sprintf("good belongs to user %s, who could change what is run: chown root", userName(uint32(os.Geteuid())))
	if err := p.check(dir + "/good/x"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("stranger: %v, want %q", err, want)
	}
}

func TestVerifyThisSystem(t *testing.T) {
	for _, good := range []string{"/bin/sh", "/usr/bin/env"} { // /bin is a link to usr/bin on a merged system
		if err := Verify(good); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	script := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if os.TempDir() == "/tmp" {
		if err := Verify(script); err == nil || !strings.Contains(err.Error(), "refused: /tmp is writable by everyone: move the command") {
			t.Errorf("in /tmp: %v", err)
		}
	}
	for _, relative := range []string{"sh", "./sh", "bin/sh", ""} {
		if err := Verify(relative); err == nil || !strings.Contains(err.Error(), "not an absolute path") {
			t.Errorf("%q: %v", relative, err)
		}
	}
	if err := Verify("/dev/null"); err == nil || !strings.Contains(err.Error(), "/dev/null") {
		t.Errorf("a device: %v", err)
	}
	if err := VerifyFor("/bin/sh", "no such user"); err == nil {
		t.Error("a user that does not exist is accepted")
	}
}

// What the kernel shows in different user namespaces.
func TestUidMap(t *testing.T) {
	for _, c := range []struct {
		name, uidMap string
		uid          uint32
		want         bool
	}{
		{"initial namespace", "         0          0 4294967295\n", overflow, true},
		{"unshare -Ur", "         0       1000          1\n", overflow, false},
		{"unshare -Ur, root", "         0       1000          1\n", 0, true},
		{"container with 65536 ids", "0 100000 65536\n", overflow, true},
		{"podman, rootless", "0 1000 1\n1 100000 65536\n", overflow, true},
		{"two ranges with a hole", "0 1000 1\n65535 100000 10\n", overflow, false},
		{"not mapped at all", "", 0, false},
	} {
		if got := covers(c.uidMap, c.uid); got != c.want {
			t.Errorf("%s: uid %d mapped: %v, want %v", c.name, c.uid, got, c.want)
		}
	}
}

// Inside a user namespace with one uid the system belongs to 65534 if we are
// not root outside, and is accepted; what anybody can write is still refused,
// and the account "nobody" cannot be had.
func TestVerifyInsideUserNamespace(t *testing.T) {
	if os.Getenv("BACKBEAT_TEST_INSIDE") != "" {
		inside()
		return
	}
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	// The owner outside is somebody who is not root there, so that root's files
	// have no number inside. The binary is copied to where he can run it.
	uid, gid := os.Geteuid(), os.Getegid()
	exe := self.Name()
	attr := &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
	if uid == 0 && mapped(overflow) {
		uid, gid = overflow, overflow
		exe = filepath.Join(publicDir(t), "run.test")
		copyFile(t, exe, self)
	}
	attr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
	attr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}}
	attr.Credential = &syscall.Credential{NoSetGroups: true}
	cmd := exec.Command(exe, "-test.run=^TestVerifyInsideUserNamespace$")
	cmd.Dir = "/"
	cmd.Env = []string{"BACKBEAT_TEST_INSIDE=1"}
	cmd.SysProcAttr = attr
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Fatalf("in a user namespace: %v (user namespaces switched off? sysctl kernel.unprivileged_userns_clone=1)\n%s", err, out.String())
	}
	text := out.String()
	for _, want := range []string{"root is 0, /usr is 65534", "sh: <nil>\n", "tmp: refused: /tmp is writable by everyone",
		"default: our own, 0", "nobody: cannot run as user nobody: uid 65534 has no number in this user namespace"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func inside() {
	e, _ := look("/usr", "/usr")
	fmt.Printf("root is %d, /usr is %d\n", os.Geteuid(), e.uid)
	fmt.Printf("sh: %v\n", Verify("/bin/sh"))
	fmt.Printf("tmp: %v\n", Verify("/tmp/x"))
	a, err := lookup("")
	if err == nil && !a.switches {
		fmt.Printf("default: our own, %d\n", a.uid)
	}
	if a, err = lookup(nobody); err == nil {
		_, err = a.credential()
	}
	fmt.Printf("nobody: %v\n", err)
}

func copyFile(t *testing.T, to string, from io.Reader) {
	t.Helper()
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, from); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestTail(t *testing.T) {
	long := strings.Repeat("x", 3*tailSize)
	for _, c := range []struct {
		name   string
		writes []string
		want   string
	}{
		{"nothing", nil, ""},
		{"newline at the end", []string{"a\n", "b\r\n"}, "a\nb"},
		{"exactly full", []string{long[:tailSize]}, long[:tailSize]},
		{"one too many", []string{"y", long[:tailSize]}, "…" + long[:tailSize]},
		{"one long write", []string{long + "end"}, "…" + long[:tailSize-3] + "end"},
		{"invalid bytes", []string{"a\xff\xfeb"}, "a\uFFFDb"},
		{"cut inside a rune", []string{"é" + long[:tailSize-1]}, "…" + long[:tailSize-1]},
	} {
		var w tail
		for _, s := range c.writes {
			if n, err := w.Write([]byte(s)); n != len(s) || err != nil {
				t.Errorf("%s: wrote %d, %v", c.name, n, err)
			}
		}
		if got := w.String(); got != c.want {
			t.Errorf("%s: %d bytes %.20q, want %d bytes %.20q", c.name, len(got), got, len(c.want), c.want)
		}
	}
	var w tail
	for i := range 100_000 {
		w.add(fmt.Appendf(nil, "line %d\n", i))
	}
	if cap(w.buf) > 4*tailSize || !strings.HasSuffix(w.String(), "line 99998\nline 99999") {
		t.Errorf("capacity %d, ends %q", cap(w.buf), w.String()[len(w.String())-30:])
	}
}
