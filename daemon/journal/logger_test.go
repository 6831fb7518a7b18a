package journal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/slogtest"
	"time"
)

func TestLines(t *testing.T) {
	say := func(l *slog.Logger) {
		l.Debug("not this")
		l.Info("(uplink) Backup -> Active: Active_Down_Timer expired (prio 200)", "term", 3, "router", "uplink")
		l.With("a", "b c").WithGroup("g").Warn("x\ny\x1b[31m\u2028ü", "took", time.Second, "out", "1\n2", "", slog.GroupValue(slog.Int("n", 1)))
		l.Error("broken", "err", os.ErrNotExist)
	}
	for _, c := range []struct{ format, stream, want string }{
		{"journal", "1:2", "<6>(uplink) Backup -> Active: Active_Down_Timer expired (prio 200) term=3\n" +
			`<4>x\ny\x1b[31m\u2028ü a="b c" g.took=1s g.out="1\n2" g.n=1` + "\n" +
			`<3>broken err="file does not exist"` + "\n"},
		{"journal", "", "(uplink) Backup -> Active: Active_Down_Timer expired (prio 200) term=3\n" +
			`x\ny\x1b[31m\u2028ü a="b c" g.took=1s g.out="1\n2" g.n=1` + "\n" +
			`broken err="file does not exist"` + "\n"},
		{"text", "1:2", "TIME INFO  (uplink) Backup -> Active: Active_Down_Timer expired (prio 200) term=3\n" +
			`TIME WARN  x\ny\x1b[31m\u2028ü a="b c" g.took=1s g.out="1\n2" g.n=1` + "\n" +
			`TIME ERROR broken err="file does not exist"` + "\n"},
	} {
		t.Setenv("JOURNAL_STREAM", c.stream)
		var out bytes.Buffer
		say(NewLogger(&out, c.format, slog.LevelInfo))
		got := out.String()
		if c.format == "text" {
			lines := strings.SplitAfter(got, "\n")
			for i, l := range lines[:len(lines)-1] {
				at, rest, _ := strings.Cut(l, " ")
				if when, err := time.Parse("2006-01-02T15:04:05.000Z07:00", at); err != nil || time.Since(when) > time.Minute {
					t.Errorf("time %q: %v", at, err)
				}
				lines[i] = "TIME " + rest
			}
			got = strings.Join(lines, "")
		}
		if got != c.want {
			t.Errorf("%s, JOURNAL_STREAM=%q:\n got %q\nwant %q", c.format, c.stream, got, c.want)
		}
	}
	var out bytes.Buffer
	NewLogger(&out, "json", slog.LevelInfo).Info("a", "b", 1)
	var m map[string]any
	if err := json.Unmarshal(out.Bytes(), &m); err != nil || m["msg"] != "a" || m["b"] != 1.0 {
		t.Errorf("json: %s, %v", out.String(), err)
	}
}

// JOURNAL_STREAM is inherited; it counts only for the stream it names.
func TestJournalStream(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	s := info.Sys().(*syscall.Stat_t)
	for _, c := range []struct {
		stream string
		want   bool
	}{{"", false}, {"1:2", false}, {fmt.Sprintf("%d:%d", s.Dev, s.Ino), true}} {
		if got := toJournal(f, c.stream); got != c.want {
			t.Errorf("JOURNAL_STREAM=%q: %v", c.stream, got)
		}
	}
	for format, want := range map[string]string{"auto": "<6>x\n", "journal": "<6>x\n"} {
		t.Setenv("JOURNAL_STREAM", "1:2")
		var out bytes.Buffer
		NewLogger(&out, format, slog.LevelInfo).Info("x")
		if out.String() != want {
			t.Errorf("%s: %q", format, out.String())
		}
	}
}

// The handler keeps slog's rules.
func TestHandlerContract(t *testing.T) {
	t.Setenv("JOURNAL_STREAM", "")
	var out bytes.Buffer
	h := NewLogger(&out, "text", slog.LevelInfo).Handler()
	err := slogtest.TestHandler(h, func() (all []map[string]any) {
		for line := range strings.Lines(out.String()) {
			all = append(all, parse(t, strings.TrimSuffix(line, "\n")))
		}
		return all
	})
	if err != nil {
		t.Error(err)
	}
}

// parse reads a text line whose message is one word.
func parse(t *testing.T, line string) map[string]any {
	t.Helper()
	m := map[string]any{}
	word := func() (w string) {
		w, line, _ = strings.Cut(strings.TrimLeft(line, " "), " ")
		return w
	}
	w := word()
	if _, err := time.Parse(time.RFC3339Nano, w); err == nil {
		m[slog.TimeKey] = w
		w = word()
	}
	m[slog.LevelKey] = w
	m[slog.MessageKey] = word()
	for line != "" {
		var key string
		key, line, _ = strings.Cut(line, "=")
		value := ""
		if strings.HasPrefix(line, `"`) {
			q, err := strconv.QuotedPrefix(line)
			if err != nil {
				t.Fatal(err)
			}
			value, _ = strconv.Unquote(q)
			line = strings.TrimPrefix(line[len(q):], " ")
		} else {
			value = word()
		}
		at := m
		names := strings.Split(key, ".")
		for _, g := range names[:len(names)-1] {
			if at[g] == nil {
				at[g] = map[string]any{}
			}
			at = at[g].(map[string]any)
		}
		at[names[len(names)-1]] = value
	}
	return m
}
