package journal

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"
)

// NewLogger returns a logger that writes one line per record to w, with one
// call of Write each. The formats are
//
//   - "text": time, level, message, then key=value: for terminals and files,
//   - "journal": message, then key=value; time and level are the journal's to
//     keep. If w leads to it (JOURNAL_STREAM) the line begins with the level as
//     <N>, which sd-daemon(3) describes and the journal removes,
//   - "json": slog's own,
//   - anything else, such as "auto": "journal" if w leads to it, else "text".
//
// Control characters in messages and values are written escaped: part of what
// is logged came from the network or out of a hook.
func NewLogger(w io.Writer, format string, level slog.Leveler) *slog.Logger {
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
	}
	prefix := toJournal(w, os.Getenv("JOURNAL_STREAM"))
	h := &lineHandler{out: &output{w: w}, level: level}
	switch {
	case prefix && format != "text":
		h.head = priorityHead
	case format != "journal":
		h.head = timeHead
	}
	return slog.New(h)
}

// toJournal reports whether w is the stream that JOURNAL_STREAM ("device:inode",
// systemd.exec(5)) names. The variable is inherited by processes whose output
// goes elsewhere, so it has to be compared where it can be.
func toJournal(w io.Writer, stream string) bool {
	f, ok := w.(*os.File)
	if stream == "" || !ok {
		return stream != ""
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && stream == fmt.Sprintf("%d:%d", s.Dev, s.Ino)
}

// lineHandler writes a record as one line: head, message, key=value.
type lineHandler struct {
	out    *output
	level  slog.Leveler
	head   func([]byte, slog.Record) []byte // nil: none
	prefix string                           // the open groups, "a.b."
	attrs  []byte                           // given by With, already formatted
}

// output is shared by a handler and those derived from it.
type output struct {
	mu  sync.Mutex
	w   io.Writer
	buf []byte
}

// Enabled implements slog.Handler.
func (h *lineHandler) Enabled(_ context.Context, l slog.Level) bool {
	least := slog.LevelInfo
	if h.level != nil {
		least = h.level.Level()
	}
	return l >= least
}

// Handle implements slog.Handler.
func (h *lineHandler) Handle(_ context.Context, r slog.Record) error {
	h.out.mu.Lock()
	defer h.out.mu.Unlock()
	b := h.out.buf[:0]
	if h.head != nil {
		b = h.head(b, r)
	}
	b = appendPlain(b, r.Message)
	b = append(b, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		if h.prefix != "" || !told(a.Key) {
			b = appendAttr(b, h.prefix, a)
		}
		return true
	})
	b = append(b, '\n')
	h.out.buf = b
	_, err := h.out.w.Write(b)
	return err
}

// told reports whether the sentence of a line says an attribute already. People
// read it once; the JSON form has them all.
func told(key string) bool {
	switch key {
	case "router", "interface", "vrid", "from", "to", "notice", "fault", "hook", "yield":
		return true
	default:
		return false
	}
}

// WithAttrs implements slog.Handler.
func (h *lineHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.attrs = slices.Clip(h.attrs)
	for _, a := range attrs {
		c.attrs = appendAttr(c.attrs, h.prefix, a)
	}
	return &c
}

// WithGroup implements slog.Handler.
func (h *lineHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	c := *h
	c.prefix += name + "."
	return &c
}

func timeHead(b []byte, r slog.Record) []byte {
	if !r.Time.IsZero() {
		b = r.Time.AppendFormat(b, "2006-01-02T15:04:05.000Z07:00 ")
	}
	b = append(b, r.Level.String()...)
	for n := len(r.Level.String()); n < len("ERROR"); n++ {
		b = append(b, ' ')
	}
	return append(b, ' ')
}

// priorityHead is a syslog priority: 3 error, 4 warning, 6 info, 7 debug.
func priorityHead(b []byte, r slog.Record) []byte {
	switch {
	case r.Level >= slog.LevelError:
		return append(b, "<3>"...)
	case r.Level >= slog.LevelWarn:
		return append(b, "<4>"...)
	case r.Level >= slog.LevelInfo:
		return append(b, "<6>"...)
	default:
		return append(b, "<7>"...)
	}
}

// appendAttr appends " key=value", the members of a group one by one.
func appendAttr(b []byte, prefix string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if a.Equal(slog.Attr{}) {
		return b
	}
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, m := range v.Group() {
			b = appendAttr(b, prefix, m)
		}
		return b
	}
	b = append(b, ' ')
	b = appendWord(b, prefix+a.Key)
	b = append(b, '=')
	switch v.Kind() {
	case slog.KindTime:
		return v.Time().AppendFormat(b, time.RFC3339Nano)
	default:
		return appendWord(b, v.String())
	}
}

// appendWord quotes what would not be one word.
func appendWord(b []byte, s string) []byte {
	bare := s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r == ' ' || r == '"' || r == '=' || r == utf8.RuneError || !unicode.IsPrint(r)
	})
	if bare {
		return append(b, s...)
	}
	return strconv.AppendQuote(b, s)
}

// appendPlain appends a sentence, with what is not printable escaped.
func appendPlain(b []byte, s string) []byte {
	if !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }) {
		return append(b, s...)
	}
	for _, r := range s {
		if unicode.IsPrint(r) && r != utf8.RuneError {
			b = utf8.AppendRune(b, r)
			continue
		}
		quoted := strconv.AppendQuoteRune(nil, r)
		b = append(b, quoted[1:len(quoted)-1]...)
	}
	return b
}
