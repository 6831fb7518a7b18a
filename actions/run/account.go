package run

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// defaultAccount is who commands run as when nothing else was asked for and the
// daemon is root; the package creates it.
const defaultAccount = "backbeat"

// account is who a command runs as.
type account struct {
	name     string
	home     string
	uid, gid uint32
	groups   []uint32
	// switches says that it is not the daemon's own user.
	switches bool
}

// lookup finds an account by its name. An empty name is the account "backbeat"
// if we are root and it exists and has a number here, else our own. It may ask
// a directory service and take its time.
func lookup(name string) (account, error) {
	if name != "" {
		u, err := user.Lookup(name)
		if err != nil {
			return account{}, fmt.Errorf("user %s is not known here: create it, or correct user", name)
		}
		return newAccount(u)
	}
	if os.Geteuid() == 0 {
		if u, err := user.Lookup(defaultAccount); err == nil {
			if a, err := newAccount(u); err == nil && mapped(a.uid) {
				return a, nil
			}
		}
	}
	return own(), nil
}

// lookupFor is lookup, in which an empty name may be the daemon's own account.
func lookupFor(name string, itself bool) (account, error) {
	if name == "" && itself {
		return own(), nil
	}
	return lookup(name)
}

func newAccount(u *user.User) (account, error) {
	uid, err := number(u.Uid)
	if err != nil {
		return account{}, fmt.Errorf("user %s: uid %q: %w", u.Username, u.Uid, err)
	}
	gid, err := number(u.Gid)
	if err != nil {
		return account{}, fmt.Errorf("user %s: gid %q: %w", u.Username, u.Gid, err)
	}
	a := account{name: u.Username, home: u.HomeDir, uid: uid, gid: gid, switches: uid != uint32(os.Geteuid())}
	ids, err := u.GroupIds()
	if err != nil {
		return account{}, fmt.Errorf("user %s: list its groups: %w", u.Username, err)
	}
	for _, id := range ids {
		g, err := number(id)
		if err != nil {
			return account{}, fmt.Errorf("user %s: group %q: %w", u.Username, id, err)
		}
		a.groups = append(a.groups, g)
	}
	return a, nil
}

// own is the daemon's own account. It needs no entry in the user database.
func own() account {
	uid := os.Geteuid()
	a := account{name: strconv.Itoa(uid), home: "/", uid: uint32(uid), gid: uint32(os.Getegid())}
	if u, err := user.LookupId(a.name); err == nil {
		a.name, a.home = u.Username, u.HomeDir
	}
	if groups, err := os.Getgroups(); err == nil {
		for _, g := range groups {
			a.groups = append(a.groups, uint32(g))
		}
	}
	return a
}

func number(s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err
}

// credential returns what the kernel is told to make the child that user: nil
// for our own, which leaves everything as it is and so works in a user namespace
// where setgroups is forbidden.
func (a account) credential() (*syscall.Credential, error) {
	switch {
	case !a.switches:
		return nil, nil
	case !mayswitch():
		return nil, fmt.Errorf("cannot run as user %s: the daemon runs as uid %d without CAP_SETUID and CAP_SETGID: "+
			"run it as root with these capabilities, or leave user out", a.name, os.Geteuid())
	case !mapped(a.uid):
		return nil, fmt.Errorf("cannot run as user %s: uid %d has no number in this user namespace: "+
			"leave user out, or map the uid", a.name, a.uid)
	}
	return &syscall.Credential{Uid: a.uid, Gid: a.gid, Groups: a.groups}, nil
}

// mayswitch reports whether the process may become another user.
func mayswitch() bool {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData // version 3 writes two
	if unix.Capget(&header, &data[0]) != nil {
		return os.Geteuid() == 0
	}
	const need = 1<<unix.CAP_SETUID | 1<<unix.CAP_SETGID
	return data[0].Effective&need == need
}
