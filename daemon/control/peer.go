package control

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// peer is who is at the other end of a connection, as the kernel recorded it
// when the connection was made.
type peer struct {
	uid, gid uint32
	pid      int32
	groups   []uint32 // supplementary
}

func (p peer) member(gid uint32) bool { return p.gid == gid || slices.Contains(p.groups, gid) }

// rules says who may do what.
type rules struct {
	own   uint32 // the daemon's user
	group string // its members may read
	gid   uint32
	// grouped says that the group exists.
	grouped bool
}

// allow returns nil or the refusal. Reading is GET, changing is everything else.
func (r rules) allow(p peer, method string) *Error {
	if p.uid == 0 || p.uid == r.own {
		return nil
	}
	owner := "root"
	if r.own != 0 {
		owner = fmt.Sprintf("root and the daemon's own user (uid %d)", r.own)
	}
	if method != http.MethodGet {
		return &Error{Code: CodeDenied, Message: fmt.Sprintf("only %s may change anything, and this is uid %d: try sudo", owner, p.uid)}
	}
	if !r.grouped {
		return &Error{Code: CodeDenied, Message: fmt.Sprintf(
			"only %s may read, and this is uid %d: try sudo (members of a group %q could, too, but there is none on this host)", owner, p.uid, r.group)}
	}
	if p.member(r.gid) {
		return nil
	}
	return &Error{Code: CodeDenied, Message: fmt.Sprintf(
		"only %s and members of the group %q may read, and this is uid %d: try sudo, or join the group (usermod -aG %s USER) and log in again",
		owner, r.group, p.uid, r.group)}
}

// peerOf asks the kernel who connected.
func peerOf(c *net.UnixConn) (peer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return peer{}, err
	}
	var p peer
	var inner error
	err = raw.Control(func(fd uintptr) {
		var cred *unix.Ucred
		if cred, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED); inner != nil {
			return
		}
		p = peer{uid: cred.Uid, gid: cred.Gid, pid: cred.Pid}
		// Without SO_PEERGROUPS (before Linux 4.13) only the primary group counts.
		p.groups, _ = peerGroups(fd)
	})
	if err := errors.Join(err, inner); err != nil {
		return peer{}, fmt.Errorf("read the peer's credentials: %w", err)
	}
	return p, nil
}

// peerGroups reads SO_PEERGROUPS, for which x/sys has no function. It tells the
// groups the process really has, where a look into /etc/group would tell those
// it gets at the next login.
func peerGroups(fd uintptr) ([]uint32, error) {
	groups := make([]uint32, 64)
	for {
		size := uint32(len(groups) * 4)
		_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, fd, unix.SOL_SOCKET, unix.SO_PEERGROUPS,
			uintptr(unsafe.Pointer(&groups[0])), uintptr(unsafe.Pointer(&size)), 0)
		switch {
		case errno == unix.ERANGE && int(size) > len(groups)*4:
			groups = make([]uint32, size/4) // the kernel said how many there are
		case errno != 0:
			return nil, errno
		default:
			return groups[:size/4], nil
		}
	}
}
