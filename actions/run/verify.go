package run

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// maxLinks is the kernel's bound on symbolic links in one path (path_resolution(7)).
const maxLinks = 40

// Verify checks that a command is safe to run as the default account: that
// nobody but root and the user it runs as can change what will be run. The path
// is absolute and leads to an executable regular file; neither it nor any
// directory or link target on the way to it belongs to anybody else, and none
// is writable by its group or by others. A sticky directory such as /tmp is
// refused too: anybody may put a file there under a name that is free.
//
// The same goes for the interpreter that a script's first line names, since who
// can change that can change what is run. A script that is an argument, as in
// ["/bin/sh", "FILE"], is not looked at: run it by itself.
//
// The error names the element and the remedy. The same check is made again
// before every run. Access control lists need no look of their own: whatever
// they grant shows in the group bits, which are their mask.
func Verify(path string) error { return VerifyFor(path, "") }

// VerifyFor is Verify for a command that runs as the named user.
func VerifyFor(path, user string) error {
	who, err := lookup(user)
	if err != nil {
		return err
	}
	return verifyFor(path, who)
}

// VerifyOwn is Verify for a command that runs as the daemon itself (Command.Own),
// or as the named user if there is a name.
func VerifyOwn(path, user string) error {
	who, err := lookupFor(user, true)
	if err != nil {
		return err
	}
	return verifyFor(path, who)
}

func verifyFor(path string, who account) error {
	return policy{owners: []uint32{0, uint32(os.Geteuid()), who.uid}, strangers: !mapped(overflow)}.check(path)
}

// policy says who is trusted with what lies on the way to a command.
type policy struct {
	// owners may own an element.
	owners []uint32
	// strangers: we are in a user namespace that does not map the overflow uid,
	// so an owner shown as 65534 is somebody outside who has no number here: for
	// /usr/bin it is the real root. Who it is cannot be found out from inside. It
	// is accepted because what we run here can do no more than we can, and it was
	// outside that we were given that. Where 65534 is mapped it is the user
	// nobody, and not to be trusted.
	strangers bool
	// below exempts a directory and everything above it, for tests: their
	// directories are in /tmp.
	below string
}

func (p policy) check(path string) error {
	err := p.checkFile(path)
	for script, n := path, 0; err == nil; n++ {
		next := interpreter(script)
		switch {
		case next == "":
			return nil
		case strings.HasSuffix(next, "\r"):
			return fmt.Errorf("refused: the first line of %s ends with a carriage return, as on Windows: sed -i 's/\\r$//' %s", script, script)
		case n == maxInterpreters:
			return fmt.Errorf("refused: %s: more than %d interpreters that are scripts themselves: name the program itself", path, maxInterpreters)
		}
		if err = p.checkFile(next); err != nil {
			return fmt.Errorf("%w (the interpreter that the first line of %s names)", err, script)
		}
		script = next
	}
	return err
}

// maxInterpreters is how often the kernel goes on from a script to its
// interpreter (fs/exec.c, exec_binprm).
const maxInterpreters = 5

// interpreter is what the first line of a script names, as the kernel reads it
// (execve(2)); empty for anything else, and for what we may not read.
func interpreter(path string) string {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	head := make([]byte, 256) // BINPRM_BUF_SIZE
	n, _ := io.ReadFull(f, head)
	line, script := strings.CutPrefix(string(head[:n]), "#!")
	if !script {
		return ""
	}
	line, _, _ = strings.Cut(line, "\n")
	words := strings.FieldsFunc(line, func(r rune) bool { return r == ' ' || r == '\t' })
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

// checkFile judges one path, and the file at its end.
func (p policy) checkFile(path string) error {
	if !filepath.IsAbs(path) {
		return fmt.Errorf("refused: %q is not an absolute path: give the command with its full path, there is no shell to search for it", path)
	}
	var last element
	err := walk(path, func(e element) error {
		last = e
		if p.below != "" && (e.path == p.below || strings.HasPrefix(p.below+"/", strings.TrimSuffix(e.path, "/")+"/")) {
			return nil
		}
		return p.judge(e)
	})
	switch {
	case err != nil:
		return err
	case !last.mode.IsRegular():
		return fmt.Errorf("refused: %s is %s, not a file: name the program itself", last.path, kind(last.mode))
	case last.mode&0o111 == 0:
		return fmt.Errorf("refused: %s is not executable: chmod a+x %s", last.path, last.path)
	}
	return nil
}

func (p policy) judge(e element) error {
	switch {
	case !slices.Contains(p.owners, e.uid) && !(p.strangers && e.uid == overflow):
		return fmt.Errorf("refused: %s belongs to user %s, who could change what is run: chown root %s", e.path, userName(e.uid), e.path)
	case e.mode&0o002 != 0 && e.mode&fs.ModeSticky != 0:
		return fmt.Errorf("refused: %s is writable by everyone: move the command to a directory that only root can write, such as /usr/local/lib/backbeat", e.path)
	case e.mode&0o002 != 0:
		return fmt.Errorf("refused: %s is writable by everyone: chmod go-w %s", e.path, e.path)
	case e.mode&0o020 != 0:
		return fmt.Errorf("refused: %s is writable by group %s: chmod g-w %s", e.path, groupName(e.gid), e.path)
	}
	return nil
}

// element is a directory or a file on the way to a command. Symbolic links are
// no elements: they cannot be changed, only replaced by whoever can write the
// directory they are in.
type element struct {
	path     string // resolved, without links
	mode     fs.FileMode
	uid, gid uint32
}

// bitsFor returns the rwx bits that apply to an account, as the kernel judges
// without capabilities and access control lists.
func (e element) bitsFor(a account) fs.FileMode {
	switch {
	case a.uid == e.uid:
		return e.mode >> 6 & 7
	case a.gid == e.gid || slices.Contains(a.groups, e.gid):
		return e.mode >> 3 & 7
	default:
		return e.mode & 7
	}
}

// walk resolves a path as the kernel does and shows visit every directory and
// file on the way, from / on, those of link targets too. The last one is what
// the path leads to.
func walk(path string, visit func(element) error) error {
	at := "/"
	rest := strings.Split(path, "/")
	e, err := look("/", path)
	if err != nil {
		return err
	}
	if err := visit(e); err != nil {
		return err
	}
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == "" || name == "." {
			continue
		}
		if !e.mode.IsDir() {
			return fmt.Errorf("refused: %s is %s, not a directory (on the way to %s): correct the path", at, kind(e.mode), path)
		}
		next := filepath.Join(at, name) // ".." goes up from where we really are
		if e, err = look(next, path); err != nil {
			return err
		}
		if e.mode&fs.ModeSymlink == 0 {
			at = next
			if err := visit(e); err != nil {
				return err
			}
			continue
		}
		if links++; links > maxLinks {
			return fmt.Errorf("refused: %s: more than %d symbolic links: correct the link at %s", path, maxLinks, next)
		}
		target, err := os.Readlink(next)
		if err != nil {
			return fmt.Errorf("read the symbolic link %s: %w", next, err)
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		if e, err = look(at, path); err != nil {
			return err
		}
		rest = append(strings.Split(target, "/"), rest...)
	}
	return nil
}

// look reads one element on the way to path.
func look(at, path string) (element, error) {
	info, err := os.Lstat(at)
	switch {
	case errors.Is(err, fs.ErrNotExist) && at == path:
		return element{}, fmt.Errorf("refused: %s does not exist: install it or correct the path", at)
	case errors.Is(err, fs.ErrNotExist):
		return element{}, fmt.Errorf("refused: %s does not exist (on the way to %s): install it or correct the path", at, path)
	case errors.Is(err, fs.ErrPermission):
		return element{}, fmt.Errorf("refused: %s cannot be looked at by uid %d: chmod a+x the directories above it", at, os.Geteuid())
	case err != nil:
		return element{}, fmt.Errorf("look at %s: %w", at, err)
	}
	e := element{path: at, mode: info.Mode()}
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		e.uid, e.gid = s.Uid, s.Gid
	}
	return e, nil
}

func kind(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m.IsRegular():
		return "a file"
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	default:
		return "a device"
	}
}

func userName(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}

func groupName(gid uint32) string {
	id := strconv.FormatUint(uint64(gid), 10)
	if g, err := user.LookupGroupId(id); err == nil {
		return g.Name
	}
	return id
}
