package services

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/agent"
	"github.com/backbeat-ha/backbeat/actions/run"
	"github.com/backbeat-ha/backbeat/test/lab"
)

// envRoot says that we are inside, as the real root.
const envRoot = "BACKBEAT_SERVICES_ROOT"

// TestMain enters mount and network namespaces: as the real root without a user
// namespace, since in one there are no loop devices and no second user; else as the lab does.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(envRoot) != "":
		if err := prepare(); err != nil {
			fmt.Fprintln(os.Stderr, "services:", err)
			os.Exit(1)
		}
		os.Exit(m.Run())
	case os.Getuid() == 0 && initialUsers():
		os.Exit(asRoot())
	default:
		lab.Main(lab.Options{}, m.Run)
	}
}

// initialUsers reports whether root is the real root.
func initialUsers() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && strings.Join(strings.Fields(string(b)), " ") == "0 0 4294967295"
}

func asRoot() int {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), envRoot+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread()
	if err := cmd.Run(); err != nil {
		if code := cmd.ProcessState.ExitCode(); code > 0 {
			return code
		}
		fmt.Fprintln(os.Stderr, "services:", err)
		return 1
	}
	return 0
}

func prepare() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	if err := unix.Mount("services", "/run", "tmpfs", unix.MS_NOSUID, "mode=0755"); err != nil {
		return fmt.Errorf("mount a tmpfs on /run: %w", err)
	}
	return os.Mkdir("/run/lab", 0o755)
}

// realRoot reports whether we may use loop devices and other users' accounts.
func realRoot() bool { return os.Getenv(envRoot) != "" }

// space returns a directory of the test's own that everybody may enter.
func space(t *testing.T) string {
	t.Helper()
	lab.Need(t)
	dir, err := os.MkdirTemp("/run/lab", "t")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// need skips a test where a program is missing; in CI it fails.
func need(t *testing.T, pkg string, programs ...string) {
	t.Helper()
	for _, p := range programs {
		lab.NeedPeer(t, func() (string, error) {
			if filepath.IsAbs(p) {
				_, err := os.Stat(p)
				return p, explain(err, p, pkg)
			}
			path, err := exec.LookPath(p)
			return path, explain(err, p, pkg)
		})
	}
}

func explain(err error, program, pkg string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s is not installed: apt-get install %s", program, pkg)
}

// command runs a program of the test's and fails the test if it fails.
func command(t testing.TB, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(argv, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// hands are Hands with what they posted.
type hands struct {
	t     *testing.T
	h     *agent.Hands
	posts chan any
	jobs  atomic.Uint64
	said  chan string
}

func newHands(t *testing.T) *hands {
	t.Helper()
	lab.Need(t)
	posts := make(chan any, 1000)
	s := &hands{t: t, posts: posts, said: make(chan string, 1000)}
	s.h = agent.New(func(v any) { posts <- v }, run.New(func(any) {}))
	t.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		s.h.Close(ctx)
	})
	return s
}

// do carries out one job and returns its answer and what was told meanwhile.
func (s *hands) do(verb actions.Verb, a actions.Agent, timeout time.Duration) (actions.Done, []string) {
	s.t.Helper()
	id := s.begin(verb, a, timeout)
	return s.wait(id, timeout)
}

// begin gives a job out.
func (s *hands) begin(verb actions.Verb, a actions.Agent, timeout time.Duration) uint64 {
	id := s.jobs.Add(1)
	s.h.Do(actions.Job{Group: 1, Job: id, Verb: verb, Agent: a, Name: "site/" + a.Kind(), Node: "a", Timeout: timeout})
	return id
}

// wait waits for the answer of a job.
func (s *hands) wait(id uint64, timeout time.Duration) (actions.Done, []string) {
	s.t.Helper()
	var told []string
	limit := time.After(timeout + 10*time.Second)
	for {
		select {
		case v := <-s.posts:
			switch v := v.(type) {
			case actions.Progress:
				told = append(told, v.Text)
				select {
				case s.said <- v.Text:
				default:
				}
			case actions.Done:
				if v.Job == id {
					s.t.Logf("job %d: ok=%v hopeless=%v degraded=%v %v: %s (%v)", id, v.OK, v.Hopeless, v.Degraded, v.State, v.Detail, v.Took.Round(time.Millisecond))
					return v, told
				}
			}
		case <-limit:
			s.t.Fatalf("job %d was not answered within its timeout and grace", id)
		}
	}
}

// want carries out a job and checks the answer's main points.
func (s *hands) want(verb actions.Verb, a actions.Agent, ok bool, state actions.State, words ...string) actions.Done {
	s.t.Helper()
	done, _ := s.do(verb, a, 15*time.Second)
	check(s.t, verb, done, ok, state, words...)
	return done
}

func check(t *testing.T, verb actions.Verb, done actions.Done, ok bool, state actions.State, words ...string) {
	t.Helper()
	if done.OK != ok || done.State != state {
		t.Errorf("%v: ok %v, %v, want %v, %v\n%s\n%s", verb, done.OK, done.State, ok, state, done.Detail, done.Output)
	}
	for _, w := range words {
		if !strings.Contains(done.Detail, w) {
			t.Errorf("%v says %q, not %q", verb, done.Detail, w)
		}
	}
}
