package run

import (
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

const (
	// tailSize is how much of a command's output is kept, in bytes: the end of
	// it, where the error is.
	tailSize = 4 << 10
	// fluent is how much output is taken at full speed; after that every write
	// costs a breath. The daemon may run SCHED_RR, and a command that prints
	// without end would otherwise buy a core of real-time reading. os/exec copies
	// 32 KiB at a time, so it is some 20 MB/s after the first megabyte.
	fluent = 1 << 20
	breath = time.Millisecond
)

// tail keeps the end of what is written to it and discards the rest. It may be
// read while a process still writes.
type tail struct {
	mu    sync.Mutex
	buf   []byte // at most 2*tailSize
	total int64
}

// Write takes everything and never fails: a command must not die of its output.
func (t *tail) Write(p []byte) (int, error) {
	if t.add(p) > fluent {
		timer := time.NewTimer(breath)
		<-timer.C
	}
	return len(p), nil
}

func (t *tail) add(p []byte) (total int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total += int64(len(p))
	p = p[max(0, len(p)-tailSize):]
	if len(t.buf)+len(p) > 2*tailSize {
		t.buf = append(t.buf[:0], t.buf[len(t.buf)-tailSize:]...)
	}
	t.buf = append(t.buf, p...)
	return t.total
}

// String returns the last 4 KiB as valid UTF-8, without the final newline. If
// something went before, it begins with an ellipsis.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	b := t.buf[max(0, len(t.buf)-tailSize):]
	cut := t.total > int64(len(b))
	for i := 0; cut && i < utf8.UTFMax && len(b) > 0 && !utf8.RuneStart(b[0]); i++ {
		b = b[1:]
	}
	s := strings.TrimRight(strings.ToValidUTF8(string(b), "\uFFFD"), "\r\n")
	if cut {
		s = "…" + s
	}
	return s
}

// headSize is how much of a Split command's standard output is kept, in bytes.
const headSize = 1 << 20

// head keeps the beginning of what is written to it. It may be read while a
// process still writes.
type head struct {
	mu  sync.Mutex
	buf []byte
	tail
}

// Write takes everything and never fails.
func (h *head) Write(p []byte) (int, error) {
	h.mu.Lock()
	h.buf = append(h.buf, p[:min(len(p), headSize-len(h.buf))]...)
	h.mu.Unlock()
	return h.tail.Write(p) // which slows down one that prints without end
}

// String returns what was kept as valid UTF-8.
func (h *head) String() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return strings.ToValidUTF8(string(h.buf), "\uFFFD")
}
