package journal

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/backbeat-ha/backbeat/daemon"
)

// log is a log that can be read while it is written.
type log struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *log) logger() *slog.Logger { return NewLogger(l, "text", slog.LevelInfo) }

// stateDir is a directory with the mode of a real one, whatever the umask.
func stateDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	return dir
}

func mustOpen(t *testing.T, o Options) (*Journal, []daemon.Transition) {
	t.Helper()
	j, past, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return j, past
}

// finish writes what is queued and closes.
func finish(j *Journal) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	j.Run(ctx)
}

func record(seq uint64, router string) daemon.Transition {
	p := uint8(100)
	return daemon.Transition{Seq: seq, At: time.Date(2026, 11, 21, 7, 0, 0, int(seq), time.UTC), Router: router, Term: seq,
		From: "Backup", To: "Active", Cause: "active-down", Reason: "Active_Down_Timer expired",
		Evidence: daemon.Evidence{Priority: 200, Peer: "10.0.0.2", PeerPriority: &p, Silence: 3.2}}
}

func seqs(ts []daemon.Transition) (s []uint64) {
	for _, t := range ts {
		s = append(s, t.Seq)
	}
	return s
}

func TestHistorySurvives(t *testing.T) {
	dir := filepath.Join(stateDir(t), "state") // made by Open
	j, past := mustOpen(t, Options{Dir: dir})
	if len(past) != 0 {
		t.Fatalf("a new history holds %v", past)
	}
	a, b := record(1, "a"), record(2, "b")
	j.Transition(a)
	j.Transition(b)
	a.Followed = []daemon.Followup{{What: "addresses", After: 0.1, Took: 0.1}}
	j.Transition(a)
	finish(j)

	info, err := os.Stat(filepath.Join(dir, fileName))
	if err != nil || info.Mode() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	j, past = mustOpen(t, Options{Dir: dir})
	if diff := cmp.Diff([]daemon.Transition{a, b}, past); diff != "" {
		t.Errorf("after a restart (-want +got)\n%s", diff)
	}
	// A follow-up that comes after the restart, and a new record.
	a.Followed = append(a.Followed, daemon.Followup{What: "hook x", After: 1, Took: 1, Error: "exit status 1"})
	c := record(past[len(past)-1].Seq+1, "a")
	j.Transition(a)
	j.Transition(c)
	finish(j)
	j, past = mustOpen(t, Options{Dir: dir})
	if diff := cmp.Diff([]daemon.Transition{a, b, c}, past); diff != "" {
		t.Errorf("after the second restart (-want +got)\n%s", diff)
	}
	finish(j)
}

func TestNothingOnDisk(t *testing.T) {
	j, past := mustOpen(t, Options{})
	j.Transition(record(1, "a"))
	j.Log(daemon.Line{Text: "x"})
	finish(j)
	if len(past) != 0 || j.Dropped() != 0 {
		t.Errorf("past %v, dropped %d", past, j.Dropped())
	}
}

func TestLogKeepsTimeLevelAndOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out log
		j, _ := mustOpen(t, Options{Logger: out.logger()})
		said := time.Now()
		j.Log(daemon.Line{Level: slog.LevelDebug, Text: "hidden"})
		j.Log(daemon.Line{Level: slog.LevelInfo, Text: "(a) one", Attrs: []slog.Attr{slog.Int("n", 1)}})
		j.Log(daemon.Line{Level: slog.LevelWarn, Text: "(a) two"})
		<-time.After(time.Hour) // virtual: inside a synctest bubble
		finish(j)
		at := said.Format("2006-01-02T15:04:05.000Z07:00")
		if want := at + " INFO  (a) one n=1\n" + at + " WARN  (a) two\n"; out.String() != want {
			t.Errorf("got %q\nwant %q", out.String(), want)
		}
	})
}

func TestDropsAreCountedAndSaid(t *testing.T) {
	var out log
	j, _ := mustOpen(t, Options{Logger: out.logger()})
	for i := range room + 7 {
		j.Log(daemon.Line{Text: fmt.Sprint("line ", i)})
	}
	for i := range uint64(room + 3) {
		j.Transition(record(i+1, "a"))
	}
	if j.Dropped() != 10 {
		t.Errorf("dropped %d, want 10", j.Dropped())
	}
	finish(j)
	text := out.String()
	for _, want := range []string{"line 0\n", fmt.Sprintf("line %d\n", room-1),
		"log lines were dropped: they came faster than they could be written count=7 total=7\n",
		"history records were dropped: they came faster than they could be written count=3 total=3\n"} {
		if strings.Count(text, want) != 1 {
			t.Errorf("%q is there %d times", want, strings.Count(text, want))
		}
	}
	if n := strings.Count(text, "\n"); n != room+2 {
		t.Errorf("%d lines, want %d", n, room+2)
	}
}

// blocked is a log that nobody reads.
type blocked struct{ until chan struct{} }

func (b blocked) Write(p []byte) (int, error) {
	<-b.until
	return 0, io.ErrClosedPipe
}

func TestBlockedLogHoldsUpNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := stateDir(t)
		b := blocked{make(chan struct{})}
		j, _ := mustOpen(t, Options{Dir: dir, Logger: NewLogger(b, "text", slog.LevelInfo)})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			j.Run(ctx)
			close(ended)
		}()
		began := time.Now()
		for i := range room + 2 {
			j.Log(daemon.Line{Text: "x"})
			if i == 0 {
				synctest.Wait() // the first line is in the stuck Write
			}
		}
		j.Transition(record(1, "a"))
		synctest.Wait()
		if time.Since(began) != 0 || j.Dropped() != 1 {
			t.Errorf("waited %v, dropped %d, want 1", time.Since(began), j.Dropped())
		}
		text, err := os.ReadFile(filepath.Join(dir, fileName))
		if err != nil || !strings.HasPrefix(string(text), `{"seq":1,`) {
			t.Errorf("history %q, %v", text, err)
		}
		cancel()
		<-ended
		if took := time.Since(began); took != lastWords {
			t.Errorf("Run ended after %v, want %v", took, lastWords)
		}
		close(b.until)
	})
}

func TestRunDrains(t *testing.T) {
	var out log
	dir := stateDir(t)
	j, _ := mustOpen(t, Options{Dir: dir, Logger: out.logger(), Keep: 5000})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		j.Run(ctx)
		close(ended)
	}()
	for i := range uint64(3000) {
		j.Log(daemon.Line{Text: fmt.Sprint("line ", i)})
		j.Transition(record(i+1, "a"))
	}
	cancel()
	<-ended
	if !strings.Contains(out.String(), "line 2999\n") || j.Dropped() != 0 {
		t.Errorf("the last line is missing, dropped %d", j.Dropped())
	}
	j, past := mustOpen(t, Options{Dir: dir, Keep: 5000})
	if len(past) != 3000 || past[2999].Seq != 3000 {
		t.Errorf("%d records", len(past))
	}
	finish(j)
}

// Log and Transition are called on the loop's thread.
func BenchmarkLogAndTransition(b *testing.B) {
	j, _, err := Open(Options{Logger: NewLogger(io.Discard, "text", slog.LevelInfo)})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		j.Run(ctx)
		close(ended)
	}()
	r := record(1, "a")
	b.ReportAllocs()
	for b.Loop() {
		j.Log(daemon.Line{Text: "(uplink) Backup -> Active", Attrs: nil})
		j.Transition(r)
	}
	cancel()
	<-ended
}
