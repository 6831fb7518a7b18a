package address

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// The ledger is an append-only text, one line per fact:
//
//	WORD BOOT NETNS PID IFINDEX ADDRESS/LENGTH INTERFACE
//
// try is written before an address is added, have once we know that the kernel
// took it from us, gone when it is removed or turned out to be somebody else's.
// A crash between try and have leaves it open whose the address is; the sweep
// then asks for our mark on it (IFA_PROTO) and otherwise leaves it alone.
// What is no address (macvlans, settings of their parents, routes, rules) is a
// fact: a text in place of ADDRESS/LENGTH, with "fact:" before it, escaped as in
// a URL, IFINDEX 0 and INTERFACE "-".
// BOOT and NETNS say in which boot and network namespace that was: in any other
// one the addresses do not exist. Lines that say nothing any more are dropped
// by writing the file anew, which is atomic. No fsync: what the ledger speaks of
// does not outlive the kernel either.
const (
	wordTry  = "try"
	wordHave = "have"
	wordGone = "gone"

	// maxLedger bounds what is read of a ledger, in bytes: 5,000 addresses take 0.5 MB.
	maxLedger = 16 << 20
	// spareLines is how many dead lines are tolerated before the file is written anew.
	spareLines = 4096
)

// entry is what the ledger says of one place.
type entry struct {
	prefix netip.Prefix
	name   string
	pid    int
	sure   bool // have, not only try
}

func (e entry) word() string {
	if e.sure {
		return wordHave
	}
	return wordTry
}

// ledger is used from one goroutine at a time: Sweep, then the applier.
type ledger struct {
	path    string
	scope   string // "BOOT NETNS"
	entries map[place]entry
	facts   map[string]bool // and whether it is sure
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
	return &ledger{path: path, entries: make(map[place]entry), facts: make(map[string]bool)}
}

// try says that an address is about to be added.
func (l *ledger) try(at place, p netip.Prefix, name string) {
	e, known := l.entries[at]
	if known && e.prefix == p {
		return
	}
	l.put(at, entry{prefix: p, name: name, pid: os.Getpid(), sure: e.sure})
}

// have says that an address that was tried is ours.
func (l *ledger) have(at place) {
	if e, known := l.entries[at]; known && !e.sure {
		e.sure = true
		l.put(at, e)
	}
}

// gone says that an address is not ours, or not there, any more.
func (l *ledger) gone(at place) {
	if e, known := l.entries[at]; known {
		delete(l.entries, at)
		l.line(wordGone, at, e)
	}
}

// fact says that something else than an address is about to be made, or, if
// sure, has been.
func (l *ledger) fact(text string, sure bool) {
	if was, known := l.facts[text]; known && (was || !sure) {
		return
	}
	l.facts[text] = sure
	word := wordTry
	if sure {
		word = wordHave
	}
	l.factLine(word, text)
}

// noFact says that it is not ours, or not there, any more.
func (l *ledger) noFact(text string) {
	if _, known := l.facts[text]; known {
		delete(l.facts, text)
		l.factLine(wordGone, text)
	}
}

// sure tells whether a fact is one.
func (l *ledger) sure(text string) bool { return l.facts[text] }

const factMark = "fact:"

func (l *ledger) factLine(word, text string) {
	if l.path == "" {
		return
	}
	fmt.Fprintf(&l.buffer, "%s %s %d 0 %s%s -\n", word, l.scope, os.Getpid(), factMark, url.QueryEscape(text))
	l.lines++
}

// ours tells whether the ledger is sure that an address is ours.
func (l *ledger) ours(at place) bool { return l.entries[at].sure }

func (l *ledger) put(at place, e entry) {
	l.entries[at] = e
	l.line(e.word(), at, e)
}

func (l *ledger) line(word string, at place, e entry) {
	if l.path == "" {
		return
	}
	fmt.Fprintf(&l.buffer, "%s %s %d %d %s %s\n", word, l.scope, e.pid, at.link, e.prefix, e.name)
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
	if l.failed != nil || l.file == nil || l.lines > 2*(len(l.entries)+len(l.facts))+spareLines {
		err = l.rewrite()
	} else {
		_, err = l.file.Write(l.buffer.Bytes())
		l.buffer.Reset()
	}
	if l.failed = err; err != nil {
		return fmt.Errorf("the ledger could not be written, after a crash the addresses would stay: %w", err)
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
	for text, sure := range l.facts {
		word := wordTry
		if sure {
			word = wordHave
		}
		l.factLine(word, text)
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

// parse takes in the text of a ledger.
func (l *ledger) parse(text string) {
	lines := strings.Split(text, "\n")
	if last := lines[len(lines)-1]; last != "" {
		l.damaged++ // cut off in the middle of a write
	}
	for _, line := range lines[:len(lines)-1] {
		if word, scope, text, ok := parseFact(line); ok {
			switch {
			case scope != l.scope:
			case word == wordGone:
				delete(l.facts, text)
			default:
				l.facts[text] = word == wordHave
			}
			continue
		}
		word, scope, at, e, ok := parseLine(line)
		switch {
		case !ok:
			l.damaged++
		case scope != l.scope:
			// Another boot or namespace: there is no such address here.
		case word == wordGone:
			delete(l.entries, at)
		default:
			l.entries[at] = e
		}
	}
}

// parseFact reads a line that is not about an address.
func parseFact(line string) (word, scope, text string, ok bool) {
	f := strings.Split(line, " ")
	if len(f) != 7 || !strings.HasPrefix(f[5], factMark) || f[0] != wordTry && f[0] != wordHave && f[0] != wordGone {
		return word, scope, text, false
	}
	text, err := url.QueryUnescape(strings.TrimPrefix(f[5], factMark))
	return f[0], f[1] + " " + f[2], text, err == nil
}

func parseLine(line string) (word, scope string, at place, e entry, ok bool) {
	f := strings.Split(line, " ")
	if len(f) != 7 {
		return word, scope, at, e, false
	}
	pid, errPID := strconv.Atoi(f[3])
	link, errLink := strconv.Atoi(f[4])
	prefix, errPrefix := netip.ParsePrefix(f[5])
	ok = errPID == nil && errLink == nil && errPrefix == nil && link > 0 && f[6] != "" &&
		(f[0] == wordTry || f[0] == wordHave || f[0] == wordGone)
	return f[0], f[1] + " " + f[2], placeOf(link, prefix), entry{prefix, f[6], pid, f[0] == wordHave}, ok
}

// currentScope names this boot and this network namespace.
func currentScope() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("reading the boot id (is /proc mounted?): %w", err)
	}
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		return "", fmt.Errorf("looking up the network namespace (is /proc mounted?): %w", err)
	}
	return fmt.Sprintf("%s %d", strings.TrimSpace(string(boot)), st.Ino), nil
}
