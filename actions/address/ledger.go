package address

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ledger is used from one goroutine at a time: Sweep, then the applier.
type ledger struct {
	path    string
	scope   string // "BOOT NETNS"
	entries map[place]entry
	file    *os.File
	lines   int // in the file
	buffer  bytes.Buffer
	loaded  bool
	// damaged counts lines that could not be understood.
	damaged int
	// failed is why the file is not as it should be; it is then written anew.
	failed error
}

func newLedger(path string) *ledger {
	return &ledger{path: path, entries: make(map[place]entry)}
}

// try says that something is about to be added.
func (l *ledger) try(at place, e entry) {
	known, there := l.entries[at]
	e.pid, e.sure = os.Getpid(), known.sure
	if there && known.fact == e.fact {
		return
	}
	l.put(at, e)
}

// tryItem is try for what a router wants.
func (l *ledger) tryItem(it *item) {
	name := it.what.linkName
	if it.at.kind != anAddress {
		name = ""
	}
	l.try(it.at, entry{fact: fact{prefix: it.what.address.Prefix, name: name, route: it.what.route}})
}

// have says that what was tried is ours.
func (l *ledger) have(at place) {
	if e, known := l.entries[at]; known && !e.sure {
		e.sure = true
		l.put(at, e)
	}
}

// gone says that something is not ours, or not there, any more.
func (l *ledger) gone(at place) {
	if e, known := l.entries[at]; known {
		delete(l.entries, at)
		l.line(wordGone, at, e)
	}
}

// addresses returns what it says of addresses.
func (l *ledger) addresses() map[place]entry {
	list := make(map[place]entry)
	for at, e := range l.entries {
		if at.kind == anAddress {
			list[at] = e
		}
	}
	return list
}

// ours tells whether the ledger is sure that something is ours.
func (l *ledger) ours(at place) bool { return l.entries[at].sure }

func (l *ledger) put(at place, e entry) {
	l.entries[at] = e
	l.line(e.word(), at, e)
}

func (l *ledger) line(word string, at place, e entry) {
	if l.path == "" {
		return
	}
	fmt.Fprintf(&l.buffer, "%s %s %d %s\n", word, l.scope, e.pid, e.text(at))
	l.lines++
}

// open reads the file unless Sweep has done so.
func (l *ledger) open() {
	if !l.loaded {
		l.failed = l.load()
	}
}

// flush writes what has been said since the last flush, in one write. After an
// error the next flush writes everything anew.
func (l *ledger) flush() error {
	if l.path == "" || l.buffer.Len() == 0 && l.failed == nil {
		return nil
	}
	var err error
	if l.failed != nil || l.file == nil || l.lines > 2*len(l.entries)+spareLines {
		err = l.rewrite()
	} else {
		_, err = l.file.Write(l.buffer.Bytes())
		l.buffer.Reset()
	}
	if l.failed = err; err != nil {
		return fmt.Errorf("the ledger could not be written, after a crash what it speaks of would stay: %w", err)
	}
	return nil
}

func (l *ledger) close() {
	if l.file != nil {
		_ = l.file.Close() // what was written does not depend on it
		l.file = nil
	}
}

// load reads the file. A missing one is empty; damaged lines are counted and left out.
func (l *ledger) load() error {
	if l.path == "" {
		return nil
	}
	scope, err := currentScope()
	if err != nil {
		return err
	}
	l.scope, l.loaded = scope, true
	dir, err := l.openDir()
	if err != nil {
		return err
	}
	defer dir.Close()
	fd, err := unix.Openat(int(dir.Fd()), filepath.Base(l.path), unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return nil
	case errors.Is(err, unix.ELOOP):
		return fmt.Errorf("the ledger %s is a symbolic link, which is refused: remove it", l.path)
	case err != nil:
		return fmt.Errorf("opening the ledger %s: %w", l.path, err)
	}
	f := os.NewFile(uintptr(fd), l.path)
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("checking the ledger %s: %w", l.path, err)
	}
	if err := l.trust(&st); err != nil {
		return err
	}
	text, err := io.ReadAll(io.LimitReader(f, maxLedger))
	if err != nil {
		return fmt.Errorf("reading the ledger %s: %w", l.path, err)
	}
	l.parse(string(text))
	return nil
}

// openDir opens the ledger's directory and refuses one in which others could
// exchange the file.
func (l *ledger) openDir() (*os.File, error) {
	path := filepath.Dir(l.path)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the ledger's directory %s (it must exist, mode 0755 or less): %w", path, err)
	}
	dir := os.NewFile(uintptr(fd), path)
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	switch {
	case err != nil:
		err = fmt.Errorf("checking the ledger's directory %s: %w", path, err)
	case st.Mode&0o002 != 0:
		err = fmt.Errorf("the ledger's directory %s is writable by everybody: remove that permission (chmod o-w)", path)
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		err = fmt.Errorf("the ledger's directory %s belongs to user %d: it must belong to us or to root", path, st.Uid)
	default:
		return dir, nil
	}
	dir.Close()
	return nil, err
}

// trust refuses a file that somebody else could have made or changed.
func (l *ledger) trust(st *unix.Stat_t) error {
	switch {
	case st.Mode&unix.S_IFMT == unix.S_IFLNK:
		return fmt.Errorf("the ledger %s is a symbolic link, which is refused: remove it", l.path)
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return fmt.Errorf("the ledger %s is not a regular file: remove it", l.path)
	case st.Mode&0o022 != 0:
		return fmt.Errorf("the ledger %s is writable by others and not trusted: remove it", l.path)
	case int(st.Uid) != os.Geteuid():
		return fmt.Errorf("the ledger %s belongs to user %d and is not trusted: remove it", l.path, st.Uid)
	case st.Size > maxLedger:
		return fmt.Errorf("the ledger %s is larger than %d bytes, which no ledger is: remove it", l.path, maxLedger)
	}
	return nil
}

// rewrite replaces the file by one that holds the entries and nothing else.
func (l *ledger) rewrite() error {
	dir, err := l.openDir()
	if err != nil {
		return err
	}
	defer dir.Close()
	dirFD, base := int(dir.Fd()), filepath.Base(l.path)
	var st unix.Stat_t
	if err := unix.Fstatat(dirFD, base, &st, unix.AT_SYMLINK_NOFOLLOW); err == nil {
		if err := l.trust(&st); err != nil {
			return err
		}
	}
	fresh := "." + base + ".new"
	_ = unix.Unlinkat(dirFD, fresh, 0) // what a crash left; O_EXCL tells if it is still there
	fd, err := unix.Openat(dirFD, fresh, unix.O_WRONLY|unix.O_APPEND|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("creating %s: %w", filepath.Join(dir.Name(), fresh), err)
	}
	f := os.NewFile(uintptr(fd), l.path)
	l.buffer.Reset()
	l.lines = 0
	for at, e := range l.entries {
		l.line(e.word(), at, e)
	}
	_, err = f.Write(l.buffer.Bytes())
	l.buffer.Reset()
	if err == nil {
		err = unix.Renameat(dirFD, fresh, dirFD, base)
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("writing %s: %w", l.path, err)
	}
	l.close()
	l.file = f
	return nil
}
