package control

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func open(t *testing.T, o Options) (*Server, error) {
	t.Helper()
	s := New(o)
	err := s.Open()
	if err == nil {
		t.Cleanup(func() { s.Close() })
	}
	return s, err
}

func TestSecondDaemonIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.sock")
	first, err := open(t, Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	_, err = open(t, Options{Path: path})
	if want := fmt.Sprintf("another backbeat is running (pid %d)", os.Getpid()); err == nil || err.Error() != want {
		t.Fatalf("second daemon: %v, want %q", err, want)
	}
	// The refusal harmed nothing, and after the first has gone there is room.
	if _, err := net.Dial("unix", path); err != nil {
		t.Errorf("the first daemon's socket: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, Options{Path: path}); err != nil {
		t.Errorf("after the first has gone: %v", err)
	}
}

// The lock is another one, but somebody answers on the socket.
func TestLiveSocketIsRefused(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "c.sock")
	if _, err := open(t, Options{Path: path}); err != nil {
		t.Fatal(err)
	}
	_, err := open(t, Options{Path: path, Lock: filepath.Join(dir, "other.lock")})
	if want := fmt.Sprintf("another backbeat is running (pid %d)", os.Getpid()); err == nil || err.Error() != want {
		t.Fatalf("got %v, want %q", err, want)
	}
}

func TestStaleSocketIsReplaced(t *testing.T) {
	path := filepath.Join(t.TempDir(), "c.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close() // as a killed daemon leaves it
	if err := os.WriteFile(path+".lock", []byte("4711 and garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, Options{Path: path}); err != nil {
		t.Fatalf("stale socket: %v", err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if text, err := os.ReadFile(path + ".lock"); err != nil || string(text) != fmt.Sprintf("%d\n", os.Getpid()) {
		t.Errorf("lock file holds %q, %v", text, err)
	}
}

func TestSocketMode(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	path := filepath.Join(dir, "c.sock")
	if _, err := open(t, Options{Path: path}); err != nil {
		t.Fatal(err)
	}
	for p, want := range map[string]os.FileMode{dir: 0o750, path: 0o660, path + ".lock": 0o600} {
		if info, err := os.Stat(p); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v; want %v", p, info.Mode().Perm(), err, want)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, tt := range []struct {
		name  string
		setup func(t *testing.T, dir string) (path string)
		want  string
	}{
		{"world-writable directory", func(t *testing.T, dir string) string {
			d := filepath.Join(dir, "open")
			if err := errors.Join(os.Mkdir(d, 0o700), os.Chmod(d, 0o1777)); err != nil {
				t.Fatal(err)
			}
			return filepath.Join(d, "s")
		}, "written by everybody"},
		{"no parent", func(_ *testing.T, dir string) string { return filepath.Join(dir, "a/b/s") }, "create the runtime directory"},
		{"a file in the way", func(t *testing.T, dir string) string {
			p := filepath.Join(dir, "s")
			if err := os.WriteFile(p, []byte("precious"), 0o600); err != nil {
				t.Fatal(err)
			}
			return p
		}, "is not a socket"},
		{"a symbolic link in the way", func(t *testing.T, dir string) string {
			p := filepath.Join(dir, "s")
			if err := os.Symlink("/etc/passwd", p); err != nil {
				t.Fatal(err)
			}
			return p
		}, "is not a socket"},
		{"a symbolic link as lock file", func(t *testing.T, dir string) string {
			p := filepath.Join(dir, "s")
			if err := os.Symlink(filepath.Join(dir, "victim"), p+".lock"); err != nil {
				t.Fatal(err)
			}
			return p
		}, "open the lock file"},
		{"a long path", func(_ *testing.T, dir string) string {
			return filepath.Join(dir, strings.Repeat("x", 120))
		}, "longer than the 107 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := tt.setup(t, t.TempDir())
			if _, err := open(t, Options{Path: path}); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

// The group reaches the socket also when the directory is older than the group,
// or was made under a strict umask; what somebody closed stays closed.
func TestDirectoryForTheGroup(t *testing.T) {
	own, group := uint32(os.Geteuid()), uint32(os.Getegid())
	for _, tt := range []struct {
		name    string
		mode    os.FileMode // 0: it is not there
		rules   rules
		want    os.FileMode
		wantGID uint32
		chown   bool // needs the right to give the directory away
	}{
		{"new", 0, rules{own: own}, 0o750, group, false},
		{"new, with a group", 0, rules{own: own, gid: group, grouped: true}, 0o750, group, false},
		{"given to the group and closed", 0o700, rules{own: own, gid: group, grouped: true}, 0o750, group, false},
		{"open", 0o755, rules{own: own, gid: group, grouped: true}, 0o755, group, false},
		{"older than the group", 0o750, rules{own: own, gid: group + 1, grouped: true}, 0o750, group + 1, true},
		{"closed on purpose", 0o700, rules{own: own, gid: group + 1, grouped: true}, 0o700, group, false},
		{"open, of another group", 0o755, rules{own: own, gid: group + 1, grouped: true}, 0o755, group, false},
		{"no group", 0o750, rules{own: own}, 0o750, group, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			if tt.mode != 0 {
				if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, -1, int(group)), os.Chmod(dir, tt.mode)); err != nil {
					t.Fatal(err)
				}
			}
			if tt.chown {
				if err := os.Chown(t.TempDir(), -1, int(tt.wantGID)); err != nil {
					t.Skipf("this process cannot give a directory to group %d (%v); run as root to include this case", tt.wantGID, err)
				}
			}
			if err := makeDir(dir, tt.rules); err != nil {
				t.Fatal(err)
			}
			info, err := os.Stat(dir)
			if err != nil {
				t.Fatal(err)
			}
			if gid := info.Sys().(*syscall.Stat_t).Gid; info.Mode().Perm() != tt.want || gid != tt.wantGID {
				t.Errorf("mode %v, group %d; want %v, %d", info.Mode().Perm(), gid, tt.want, tt.wantGID)
			}
		})
	}
}

func TestDirectoryOfSomebodyElse(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give a directory away; run the tests in a user namespace (unshare -r) to include this one")
	}
	dir := t.TempDir()
	if err := os.Chown(dir, 1, -1); err != nil {
		if errors.Is(err, syscall.EINVAL) {
			t.Skip("this user namespace maps no second user; run as real root to include this test")
		}
		t.Fatal(err)
	}
	if _, err := open(t, Options{Path: filepath.Join(dir, "s")}); err == nil || !strings.Contains(err.Error(), "belongs to uid 1") {
		t.Errorf("got %v", err)
	}
}

func TestClientExplains(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "none.sock")
	_, err := Dial(missing).Status(t.Context(), "")
	if want := "backbeat is not running here (no " + missing + "): systemctl start backbeat"; err == nil || err.Error() != want {
		t.Errorf("got %v, want %q", err, want)
	}
	stale := filepath.Join(dir, "stale.sock")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: stale, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if _, err = Dial(stale).Version(t.Context()); err == nil || !strings.Contains(err.Error(), "left over from a daemon that died") {
		t.Errorf("got %v", err)
	}
	c := Dial("/x/y")
	denied := &os.PathError{Op: "dial", Path: "/x/y", Err: syscall.EACCES}
	if err := c.explain(denied, http.MethodGet); !strings.Contains(err.Error(), `members of the group "backbeat"`) {
		t.Errorf("got %v", err)
	}
	// The group may read; joining it would not help who wants a reload.
	if err := c.explain(denied, http.MethodPost); !strings.Contains(err.Error(), "only root may change anything: try sudo") {
		t.Errorf("got %v", err)
	}
}

func TestDecodeRefusesOtherSchemas(t *testing.T) {
	if _, err := decode[Status]([]byte(`{"schema_version":2}`), 200); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("got %v", err)
	}
	if _, err := decode[Status]([]byte(`<html>`), 200); err == nil {
		t.Error("no error for something that is not JSON")
	}
}
