package agent

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/run"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// TestMain runs the tests in user, network and mount namespaces of their own, with
// a tmpfs on /run: what agents write there is not the machine's, and scripts lie
// where nobody else can write, which package run insists on.
func TestMain(m *testing.M) { lab.Main(lab.Options{}, m.Run) }

// within bounds every wait of these tests; it is never waited for in full.
const within = 20 * time.Second

// bench is Hands whose answers come out of a channel.
type bench struct {
	*Hands
	t    *testing.T
	dir  string // of the test's own, fit for commands
	done chan actions.Done
	jobs uint64

	mu       sync.Mutex
	progress []string
}

// newBench makes Hands with a directory in the sandbox. Where there is no
// sandbox the test is skipped with the reason; in CI it fails.
func newBench(t *testing.T) *bench {
	t.Helper()
	lab.Need(t)
	dir, err := os.MkdirTemp("/run", "agent")
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, dir: dir, done: make(chan actions.Done, 100)}
	runner := run.New(func(any) {})
	b.Hands = New(func(v any) {
		switch v := v.(type) {
		case actions.Done:
			b.done <- v
		case actions.Progress:
			b.mu.Lock()
			b.progress = append(b.progress, v.Text)
			b.mu.Unlock()
		}
	}, runner)
	b.Runtime = filepath.Join(dir, "runtime")
	b.units.dropIns, b.units.cgroups = filepath.Join(dir, "units"), filepath.Join(dir, "cgroups")
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		b.Close(ctx)
		runner.Close(ctx)
		job := b.job(actions.Look, nil)
		if group, err := b.cgroup(&job); err == nil { // what a failed test has left
			_ = group.Kill()
			emptied(ctx, lingering, func() bool { return !group.Populated() })
			group.Remove()
		}
		os.RemoveAll(dir)
	})
	return b
}

// told is the Progress so far.
func (b *bench) told() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.progress, "\n")
}

// script writes an executable file into the bench's directory and returns its path.
func (b *bench) script(name, text string) string {
	b.t.Helper()
	path := filepath.Join(b.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		b.t.Fatal(err)
	}
	return path
}

func (b *bench) file(name string) string {
	text, _ := os.ReadFile(filepath.Join(b.dir, name))
	return strings.TrimSpace(string(text))
}

func (b *bench) write(name, text string) {
	b.t.Helper()
	if err := os.WriteFile(filepath.Join(b.dir, name), []byte(text), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// job is a job of a step whose name is the test's own.
func (b *bench) job(v actions.Verb, a actions.Agent) actions.Job {
	b.jobs++
	return actions.Job{Group: 1, Job: b.jobs, Verb: v, Agent: a, Node: "web1", Timeout: within,
		Name: strings.ReplaceAll(fmt.Sprintf("%s.%d/%s", b.t.Name(), os.Getpid(), "step"), "/", ".")}
}

func (b *bench) answer() actions.Done {
	b.t.Helper()
	select {
	case d := <-b.done:
		return d
	case <-time.After(3 * within):
		b.t.Fatal("no answer")
		return actions.Done{}
	}
}

func (b *bench) do(job actions.Job) actions.Done {
	b.t.Helper()
	b.Do(job)
	d := b.answer()
	if d.Job != job.Job || d.Group != job.Group {
		b.t.Fatalf("the answer is to job %d of group %d, not %d of %d", d.Job, d.Group, job.Job, job.Group)
	}
	b.t.Logf("%v: ok %v, %v, %q (%v)", job.Verb, d.OK, d.State, d.Detail, d.Took.Round(time.Millisecond))
	return d
}

// run gives out a job and returns its answer.
func (b *bench) run(v actions.Verb, a actions.Agent) actions.Done {
	b.t.Helper()
	return b.do(b.job(v, a))
}

// monitor is a look of the recurring kind.
func (b *bench) monitor(a actions.Agent) actions.Done {
	b.t.Helper()
	j := b.job(actions.Look, a)
	j.Monitor, j.Interval = true, 10*time.Second
	return b.do(j)
}

// want runs a job and fails the test unless it comes out as said. An empty detail
// is not compared.
func (b *bench) want(v actions.Verb, a actions.Agent, ok bool, s actions.State, detail string) actions.Done {
	b.t.Helper()
	d := b.run(v, a)
	b.check(d, ok, s, detail)
	return d
}

func (b *bench) check(d actions.Done, ok bool, s actions.State, detail string) {
	b.t.Helper()
	if d.OK != ok || d.State != s || !strings.Contains(d.Detail, detail) {
		b.t.Errorf("ok %v, %v, %q; want ok %v, %v, …%q…\noutput: %s", d.OK, d.State, d.Detail, ok, s, detail, d.Output)
	}
}

// needProgram skips the test, naming what is missing, if a program or file of the
// distribution is not there; in CI it fails.
func needProgram(t *testing.T, path, debian string) {
	t.Helper()
	_, err := exec.LookPath(path)
	if err == nil {
		return
	}
	if _, err := os.Stat(path); err == nil {
		return
	}
	text := fmt.Sprintf("%s is missing: apt-get install %s", path, debian)
	if os.Getenv("CI") == "true" {
		t.Fatal(text)
	}
	t.Skip(text)
}
