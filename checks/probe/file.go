package probe

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/backbeat-ha/backbeat/checks"
)

// fileSize is how much of a file is looked at.
const fileSize = 64 << 10

// runFile looks at a file. A missing or unreadable one is not known to be
// healthy or failing: it could not be looked at.
func runFile(v checks.File) checks.Result {
	if v.Absent {
		switch _, err := os.Lstat(v.Path); {
		case errors.Is(err, fs.ErrNotExist):
			return passed("does not exist")
		case err != nil:
			return notRun(err.Error())
		}
		return failed("exists")
	}
	// A named pipe would hang without O_NONBLOCK.
	f, err := os.OpenFile(v.Path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return notRun(err.Error())
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return notRun(err.Error())
	case !info.Mode().IsRegular():
		return notRun("is no regular file")
	}
	// A file from the future is new: somebody has set the clock.
	if age := clock().Sub(info.ModTime()); v.MaxAge > 0 && age > v.MaxAge {
		return failed("was written %v ago, wanted at most %v", age.Round(time.Second), v.MaxAge)
	}
	if !v.Integer && v.Match == "" {
		return passed("exists")
	}
	text, err := io.ReadAll(io.LimitReader(f, fileSize))
	if err != nil {
		return notRun(err.Error())
	}
	if v.Integer {
		n, err := integer(string(text))
		if err != nil {
			return notRun(err.Error())
		}
		return checks.Result{Outcome: checks.Passed, Value: n, Detail: strconv.Itoa(n)}
	}
	re, err := compiled(v.Match)
	switch {
	case err != nil:
		return notRun(err.Error())
	case !re.Match(text):
		return failed("does not match %s", v.Match)
	}
	return passed("matches")
}

// integer reads a whole decimal number. keepalived takes anything else for 0, and
// 0 for healthy.
func integer(text string) (int, error) {
	t := strings.TrimSpace(text)
	n, err := strconv.ParseInt(t, 10, 32)
	switch {
	case t == "":
		return 0, errors.New("is empty, wanted a whole number")
	case err != nil:
		return 0, fmt.Errorf("has %q in it, wanted a whole number", phrase(t, 40))
	}
	return int(n), nil
}
