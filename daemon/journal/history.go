package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/daemon"
)

const (
	fileName = "history.jsonl"
	// fileMode: root and the group that may ask for status read it.
	fileMode = 0o640
	// slack is how many times as long as what is worth keeping the file may
	// become before it is rewritten. A transition is written some four times,
	// once for each follow-up, so this is about once for every Keep transitions.
	slack = 4
	// full is the multiple at which nothing is appended any more if it cannot be
	// rewritten: the state directory must not fill the disk.
	full = 4 * slack
	// rest is how many writes pass before a failed rewrite is tried again.
	rest = 64
)

// history is the file. It is used from one goroutine.
type history struct {
	path   string
	keep   int
	logger *slog.Logger
	dir    *os.File // holds the lock
	file   *os.File // nil after an error, until the next write opens it again

	lines   int             // in the file
	routers map[string]bool // seen, for the bound
	torn    bool            // the file may end within a line
	resting int             // writes until a failed rewrite is tried again
	ailing  bool            // writing fails, and that has been said
	lost    uint64          // records since then
}

// openHistory takes the directory, reads what is there and makes it fit to be
// appended to.
func openHistory(dir string, keep int, logger *slog.Logger) (*history, []daemon.Transition, error) {
	d, err := takeDir(dir)
	if err != nil {
		return nil, nil, &directoryError{err}
	}
	h := &history{path: filepath.Join(dir, fileName), keep: keep, logger: logger, dir: d, routers: make(map[string]bool)}
	c, err := h.load()
	if err == nil {
		h.note(c.records)
		h.lines, h.torn = c.lines, c.torn
		err = h.open()
	}
	if err != nil {
		h.close()
		return nil, nil, err
	}
	if c.damaged > 0 {
		logger.Warn("damaged lines in the history were skipped", "count", c.damaged, "file", h.path)
	}
	if c.damaged > 0 || c.torn || h.lines > slack*h.worth() {
		if err := h.rewrite(c.records); err != nil {
			h.complain(err, 0)
		}
	}
	return h, c.records, nil
}

// directoryError says that the state directory cannot be used for anything.
type directoryError struct{ error }

func (e *directoryError) Unwrap() error { return e.error }

// DirectoryUsable reports whether an error of Open concerns the history alone,
// so that other things can be kept in the state directory.
func DirectoryUsable(err error) bool {
	var d *directoryError
	return !errors.As(err, &d)
}

// takeDir opens, checks and locks the state directory.
func takeDir(dir string) (*os.File, error) {
	if err := os.Mkdir(dir, 0o750); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make the state directory: %w: make the directories above it, or choose another with --state-dir", err)
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("open the state directory: %w", err)
	}
	if err := checkDir(d); err != nil {
		d.Close()
		return nil, err
	}
	if err := unix.Flock(int(d.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		d.Close()
		return nil, fmt.Errorf("the state directory %s is in use by another daemon: stop it, or give each its own with --state-dir", dir)
	}
	return d, nil
}

func checkDir(d *os.File) error {
	info, err := d.Stat()
	if err != nil {
		return fmt.Errorf("look at the state directory: %w", err)
	}
	switch s, ok := info.Sys().(*syscall.Stat_t); {
	case !info.IsDir():
		return fmt.Errorf("the state directory %s is not a directory: remove it or choose another with --state-dir", d.Name())
	case info.Mode()&0o022 != 0:
		return fmt.Errorf("refused: the state directory %s can be written by others, who could replace the history: chmod go-w %s", d.Name(), d.Name())
	case ok && s.Uid != 0 && int(s.Uid) != os.Geteuid():
		return fmt.Errorf("refused: the state directory %s belongs to uid %d, not to the daemon (uid %d): chown %d %s",
			d.Name(), s.Uid, os.Geteuid(), os.Geteuid(), d.Name())
	}
	return nil
}

// open opens the file for appending.
func (h *history) open() error {
	f, err := openPlain(h.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE)
	if err != nil {
		return fmt.Errorf("open the history: %w", err)
	}
	h.file = f
	return nil
}

// openPlain opens a regular file: no link that leads elsewhere, no pipe that
// would wait for a reader.
func openPlain(path string, flags int) (*os.File, error) {
	f, err := os.OpenFile(path, flags|unix.O_NOFOLLOW|unix.O_NONBLOCK, fileMode)
	if errors.Is(err, unix.ELOOP) {
		return nil, fmt.Errorf("refused: %s is a symbolic link: remove it", path)
	}
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("refused: %s is not a file: remove it", path)
	}
	if err == nil && flags&os.O_CREATE != 0 && info.Mode().Perm() != fileMode {
		err = f.Chmod(fileMode) // made with another umask, or by hand
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// load reads the file; a missing one is an empty history.
func (h *history) load() (contents, error) {
	f, err := openPlain(h.path, os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return contents{}, nil
	}
	if err != nil {
		return contents{}, fmt.Errorf("read the history: %w", err)
	}
	defer f.Close()
	c, err := read(f, h.keep)
	if err != nil {
		return contents{}, fmt.Errorf("read the history: %w", err)
	}
	return c, nil
}

// note remembers which routers there are.
func (h *history) note(records []daemon.Transition) {
	for i := range records {
		h.routers[records[i].Router] = true
	}
}

// worth is how many records are worth keeping, were there enough of each router.
func (h *history) worth() int { return min(h.keep*max(1, len(h.routers)), maxKeep) }

// write appends records; of one that is among them several times only the last.
// It has no error to return: it says what is wrong once, goes on, and says when
// it is well again.
func (h *history) write(records []daemon.Transition) {
	last := make(map[uint64]int, len(records))
	for i := range records {
		last[records[i].Seq] = i
	}
	h.note(records)
	var text []byte
	if h.torn {
		text = append(text, '\n')
	}
	var broken error
	for i := range records {
		if last[records[i].Seq] != i {
			continue
		}
		line, err := json.Marshal(&records[i])
		if err != nil { // a NaN among the seconds
			broken = fmt.Errorf("encode record %d: %w", records[i].Seq, err)
			continue
		}
		text = append(append(text, line...), '\n')
	}
	err := h.append(text, len(last))
	switch {
	case err != nil:
		h.complain(err, uint64(len(last)))
	case h.ailing && h.resting == 0:
		h.logger.Info("the history is written again", "lost", h.lost, "file", h.path)
		h.ailing, h.lost = false, 0
	}
	if broken != nil {
		h.logger.Error("a record cannot be written to the history: " + broken.Error())
	}
	h.compact()
}

// complain says once that the history cannot be written as it should.
func (h *history) complain(err error, lost uint64) {
	if !h.ailing {
		h.logger.Error("the history cannot be written, a restart may lose what is not in the file: "+err.Error(), "file", h.path)
	}
	h.ailing = true
	h.lost += lost
}

// append writes whole lines.
func (h *history) append(text []byte, lines int) error {
	if h.lines > full*h.worth() {
		return fmt.Errorf("it has %d lines and cannot be rewritten: make room and let uid %d write the directory", h.lines, os.Geteuid())
	}
	if h.file != nil {
		// Somebody may have removed or replaced the file under us.
		var s unix.Stat_t
		if err := unix.Fstat(int(h.file.Fd()), &s); err != nil || s.Nlink == 0 {
			h.file.Close()
			h.file, h.lines, h.torn = nil, 0, false
		}
	}
	if h.file == nil {
		if err := h.open(); err != nil {
			return err
		}
	}
	n, err := h.file.Write(text)
	if err == nil {
		h.lines += lines
		h.torn = false
		return nil
	}
	if n > 0 {
		h.torn = true
		h.lines += lines // or fewer; too many only makes the rewrite come earlier
	}
	h.file.Close()
	h.file = nil
	return err
}

// compact rewrites the file when it has become too long.
func (h *history) compact() {
	if h.lines <= slack*h.worth() {
		return
	}
	if h.resting > 0 {
		h.resting--
		return
	}
	c, err := h.load()
	if err == nil {
		err = h.rewrite(c.records)
	}
	if err != nil {
		h.complain(err, 0)
		h.resting = rest
	}
}

// rewrite replaces the file by one that holds only the given records. Either
// the old or the new file is there at every moment, whole.
func (h *history) rewrite(records []daemon.Transition) error {
	fresh := h.path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove an earlier attempt to rewrite the history: %w", err)
	}
	f, err := openPlain(fresh, os.O_WRONLY|os.O_APPEND|os.O_CREATE|os.O_EXCL)
	if err != nil {
		return fmt.Errorf("rewrite the history: %w", err)
	}
	if err = fill(f, records); err == nil {
		err = os.Rename(fresh, h.path)
	}
	if err != nil {
		f.Close()
		os.Remove(fresh)
		return fmt.Errorf("rewrite the history: %w", err)
	}
	_ = h.dir.Sync() // without it a crash may bring the old file back, which is whole too
	if h.file != nil {
		h.file.Close()
	}
	h.file, h.lines, h.torn = f, len(records), false
	clear(h.routers)
	h.note(records)
	return nil
}

// fill writes records and waits until they are on the disk.
func fill(f *os.File, records []daemon.Transition) error {
	var text []byte
	for i := range records {
		line, err := json.Marshal(&records[i])
		if err != nil {
			return err
		}
		text = append(append(text, line...), '\n')
		if len(text) >= 64<<10 || i == len(records)-1 {
			if _, err := f.Write(text); err != nil {
				return err
			}
			text = text[:0]
		}
	}
	return f.Sync()
}

// close ends the use of the directory.
func (h *history) close() {
	if h.file != nil {
		_ = h.file.Sync() // best effort: what is in the page cache outlives us, if not the machine
		h.file.Close()
		h.file = nil
	}
	h.dir.Close()
}
