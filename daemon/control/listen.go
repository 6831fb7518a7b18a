package control

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// maxPath is what fits into sockaddr_un with its final zero (unix(7)).
	maxPath = 107
	// dirMode lets the group reach the socket and nobody else look around.
	dirMode = 0o750
	// socketMode lets the group connect; what it may do is decided per request.
	socketMode = 0o660
	// refusalTime bounds what a peer gets that comes when all slots are taken.
	refusalTime = 100 * time.Millisecond
	// maxRefusals is how many are told so at a time; further ones are cut off.
	maxRefusals = 8
	// probeTime bounds the look at a socket that is there already.
	probeTime = time.Second
)

// claim is the exclusive right to be the daemon of a runtime directory: a lock
// that the kernel drops with the process, however that ends.
type claim struct{ file *os.File }

// takeClaim takes the lock or says who has it.
func takeClaim(path string) (*claim, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open the lock file: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		text, _ := io.ReadAll(io.LimitReader(f, 32))
		return nil, alreadyRunning(strings.TrimSpace(string(text)))
	}
	// The number is for the message above; the lock is what counts, so a full
	// file system must not keep a daemon from starting.
	if f.Truncate(0) == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return &claim{f}, nil
}

func (c *claim) release() error { return c.file.Close() }

func alreadyRunning(pid string) error {
	if _, err := strconv.Atoi(pid); err != nil {
		return errors.New("another backbeat is running")
	}
	return fmt.Errorf("another backbeat is running (pid %s)", pid)
}

// lookupGroup returns the number of the group and whether it exists.
func lookupGroup(name string) (gid uint32, ok bool) {
	g, err := user.LookupGroup(name)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(g.Gid, 10, 32)
	return uint32(n), err == nil
}

// makeDir creates the socket's directory if it is missing, and refuses one in
// which others could put a socket of their own in our place.
func makeDir(dir string, r rules) error {
	err := os.Mkdir(dir, dirMode)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("create the runtime directory: %w: run this as root, or choose another with --runtime-dir", err)
	case err != nil && !errors.Is(err, fs.ErrExist):
		return fmt.Errorf("create the runtime directory: %w", err)
	}
	created := err == nil
	info, err := os.Stat(dir)
	if err != nil {
		return fmt.Errorf("look at the runtime directory: %w", err)
	}
	stat := info.Sys().(*syscall.Stat_t)
	owner := stat.Uid
	switch {
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", dir)
	case info.Mode().Perm()&0o002 != 0:
		return fmt.Errorf("%s can be written by everybody, so anybody could pose as the daemon: use a directory of its own, like /run/backbeat", dir)
	case owner != 0 && owner != r.own:
		who := "root"
		if r.own != 0 {
			who = fmt.Sprintf("root or to uid %d", r.own)
		}
		return fmt.Errorf("%s belongs to uid %d, who could pose as the daemon: it must belong to %s; another one can be chosen with --runtime-dir", dir, owner, who)
	}
	if created || owner == r.own {
		admitGroup(dir, info.Mode().Perm(), stat.Gid, created, r)
	}
	return nil
}

// admitGroup lets the group reach the socket in a directory that is ours: a new
// one, one that we made before the group existed, or one that the group was
// given without the right to enter. A directory that somebody closed or gave to
// another group on purpose stays as it is. All of it is best effort: without
// the right to give a directory away, only root and the daemon's user read.
func admitGroup(dir string, mode fs.FileMode, gid uint32, created bool, r rules) {
	made := created || mode == dirMode && gid == uint32(os.Getegid())
	if r.grouped && gid != r.gid && made && os.Chown(dir, -1, int(r.gid)) == nil {
		gid = r.gid
	}
	// The umask may have taken from a new directory what the group needs.
	if created || r.grouped && gid == r.gid && mode&0o050 != 0o050 {
		_ = os.Chmod(dir, mode|dirMode)
	}
}

// listen opens the socket. The caller holds the claim, so that a socket file
// that nobody answers on belongs to a dead daemon.
func listen(path string, r rules) (*net.UnixListener, error) {
	if len(path) > maxPath {
		return nil, fmt.Errorf("the path %s is longer than the %d bytes a unix socket can have: choose a shorter --control or --runtime-dir", path, maxPath)
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("open the control socket: %w", err)
	}
	if r.grouped {
		_ = os.Chown(path, -1, int(r.gid))
	}
	// Until here the umask decided who could connect; who may ask is decided
	// per request, so nothing leaked.
	if err := os.Chmod(path, socketMode); err != nil {
		l.Close()
		return nil, fmt.Errorf("set the mode of the control socket: %w", err)
	}
	return l, nil
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at the control socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is there and is not a socket: remove it, or choose another --control", path)
	}
	c, err := net.DialTimeout("unix", path, probeTime)
	if err == nil {
		defer c.Close()
		who, err := peerOf(c.(*net.UnixConn))
		if err != nil {
			return alreadyRunning("")
		}
		return alreadyRunning(strconv.Itoa(int(who.pid)))
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("find out whether another backbeat uses %s: %w", path, err)
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove the socket of a dead daemon: %w", err)
	}
	return nil
}

// gate is a listener that lets in so many connections at a time and refuses
// the others at once, and notes who comes.
type gate struct {
	*net.UnixListener
	slots    chan struct{}
	refusals chan struct{}
	refusing sync.WaitGroup
}

func newGate(l *net.UnixListener) *gate {
	return &gate{UnixListener: l, slots: make(chan struct{}, maxConnections), refusals: make(chan struct{}, maxRefusals)}
}

// guest is a connection with the credentials of its peer.
type guest struct {
	*net.UnixConn
	who   peer
	err   error // why the credentials are not known
	leave func()
}

// Close frees the slot, once.
func (g *guest) Close() error {
	g.leave()
	return g.UnixConn.Close()
}

// attrs names the peer in the log.
func (g *guest) attrs() []slog.Attr {
	return []slog.Attr{slog.Int("uid", int(g.who.uid)), slog.Int("pid", int(g.who.pid))}
}

// Accept returns the next *guest.
func (g *gate) Accept() (net.Conn, error) {
	for {
		c, err := g.AcceptUnix()
		if err != nil {
			return nil, err
		}
		select {
		case g.slots <- struct{}{}:
		default:
			g.refuse(c)
			continue
		}
		in := &guest{UnixConn: c, leave: sync.OnceFunc(func() { <-g.slots })}
		in.who, in.err = peerOf(c)
		return in, nil
	}
}

// refuse tells a peer that there is no room, without holding up who comes next.
func (g *gate) refuse(c *net.UnixConn) {
	select {
	case g.refusals <- struct{}{}:
	default:
		_ = c.Close()
		return
	}
	g.refusing.Go(func() {
		defer func() { <-g.refusals }()
		defer c.Close()
		body := fmt.Sprintf(`{"schema_version":%d,"error":{"code":%q,"message":"all %d control connections are in use: try again"}}`+"\n",
			SchemaVersion, CodeUnavailable, cap(g.slots))
		// HTTP wants the question before the answer, and unix sockets want it
		// read before they are closed.
		_ = c.SetDeadline(time.Now().Add(refusalTime))
		var question [1 << 10]byte
		if _, err := c.Read(question[:]); err != nil {
			return
		}
		_, _ = fmt.Fprintf(c, "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		_ = c.CloseWrite()
		_, _ = io.Copy(io.Discard, io.LimitReader(c, maxHeader))
	})
}

// lockPath is where the lock is if Options do not say.
func lockPath(socket string) string { return filepath.Clean(socket) + ".lock" }
