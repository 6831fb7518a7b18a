package chaos

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// node is a router of a run.
type node struct {
	name   string
	index  int
	host   *lab.Host
	daemon *lab.Backbeat
	before []string // the snapshot

	mu sync.Mutex
	// rss is the memory of process pid at its first rest.
	pid int
	rss int64
	// waits are samples of process pidNow, see starved.
	waits  []waited
	pidNow atomic.Int64
}

// Arena is a run under way.
type Arena struct {
	Plan  Plan
	lab   *lab.Lab
	ctx   context.Context
	nodes []*node
	other *lab.Host
	dir   string
	began time.Duration

	observer *observer
	sniffer  *lab.Sniffer
	witness  witness

	mu         sync.Mutex
	transcript []string
	failures   []string
	// granted is what was let pass because the machine stalled.
	granted []string
	// Figures are the worst values by name.
	figures map[string]time.Duration
	// Grown is the largest growth of a daemon's memory.
	Grown int64
	// floods are the rates that were reached.
	floods []float64
	// fell counts the faults of each kind, proven those that were seen to be there.
	fell, proven map[string]int
	// stepped are the steps of the wall clock, see unstepped.
	stepped []time.Duration
}

// diskSize is what a host has for its runtime and state directories.
const diskSize = "4m"

// NewArena builds the hosts of a plan and starts the daemons.
func NewArena(ctx context.Context, p Plan) (*Arena, error) {
	names := []string{"r1", "r2", "r3"}[:p.Shape.Routers]
	l, err := lab.New(lab.Plan{Hosts: append(slices.Clone(names), "other")})
	if err != nil {
		return nil, err
	}
	a := &Arena{Plan: p, lab: l, ctx: ctx, other: l.Host("other"), dir: l.Dir("steps"), began: lab.Now(), figures: map[string]time.Duration{}, fell: map[string]int{}, proven: map[string]int{}}
	if err := a.furnish(names); err != nil {
		return a, err
	}
	if a.sniffer, err = l.SniffAdverts(a.other); err != nil {
		return a, err
	}
	a.witness = a.eyes()
	a.observer = observe(a.nodes)
	for _, n := range a.nodes {
		if err := n.daemon.Start(ctx); err != nil {
			return a, err
		}
		n.pidNow.Store(int64(n.daemon.Process().PID()))
	}
	return a, nil
}

func (a *Arena) furnish(names []string) error {
	if err := os.MkdirAll(a.dir, 0o755); err != nil {
		return fmt.Errorf("make the directory of the steps: %w", err)
	}
	for i, name := range names {
		n := &node{name: name, index: i, host: a.lab.Host(name)}
		a.nodes = append(a.nodes, n)
		disk := a.lab.Dir(name)
		if err := os.MkdirAll(disk, 0o700); err != nil {
			return fmt.Errorf("make the disk of %s: %w", name, err)
		}
		if err := unix.Mount("chaos", disk, "tmpfs", 0, "mode=0700,size="+diskSize); err != nil {
			return fmt.Errorf("mount the disk of %s: %w", name, err)
		}
		var err error
		if n.daemon, err = n.host.Backbeat(a.Plan.Shape.config(a.dir)); err != nil {
			return err
		}
		for file, text := range map[string]string{filepath.Join(a.dir, name+".good"): "good"} {
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				return fmt.Errorf("write a file of the steps: %w", err)
			}
		}
		if err := os.MkdirAll(filepath.Join(a.dir, name), 0o755); err != nil {
			return fmt.Errorf("make a directory of the steps: %w", err)
		}
		if n.before, err = snapshot(a.ctx, n.host); err != nil {
			return err
		}
	}
	return nil
}

// Close ends everything.
func (a *Arena) Close() error {
	if a.observer != nil {
		a.observer.end()
	}
	for _, n := range a.nodes {
		_ = unix.Unmount(a.lab.Dir(n.name), unix.MNT_DETACH)
	}
	return a.lab.Close()
}

// say adds a line to the transcript.
func (a *Arena) say(format string, args ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.transcript = append(a.transcript, fmt.Sprintf("%9.3f  ", (lab.Now()-a.began).Seconds())+fmt.Sprintf(format, args...))
}

// fail notes that a law was broken.
func (a *Arena) fail(format string, args ...any) {
	a.say("! "+format, args...)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failures = append(a.failures, fmt.Sprintf(format, args...))
}

// grant notes what is let pass because of the machine.
func (a *Arena) grant(format string, args ...any) {
	a.say("granted: "+format, args...)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.granted = append(a.granted, fmt.Sprintf("seed %d: ", a.Plan.Seed)+fmt.Sprintf(format, args...))
}

// figure keeps the worst value of a name.
func (a *Arena) figure(name string, d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.figures[name] = max(a.figures[name], d)
}

// Failures are the laws that were broken.
func (a *Arena) Failures() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.failures)
}

// Transcript is what happened.
func (a *Arena) Transcript() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return fmt.Sprintf("seed %d: %s\n%s", a.Plan.Seed, a.Plan.Shape, strings.Join(a.transcript, "\n"))
}

// Logs are the ends of the daemons' logs.
func (a *Arena) Logs() string {
	var b strings.Builder
	for _, n := range a.nodes {
		lines := strings.Split(n.daemon.Log(), "\n")
		fmt.Fprintf(&b, "== end of the log of %s\n%s\n", n.name, strings.Join(lines[max(0, len(lines)-80):], "\n"))
	}
	return b.String()
}

// slack is what the machine may add to anything since an instant.
func (a *Arena) slack(since time.Duration) time.Duration {
	return margin + 10*a.witness.stall(since)
}

// Run carries out the plan. After the first broken law it stops, since what follows
// from it would only hide it.
func (a *Arena) Run() {
	a.say("started")
	if !a.rest(lab.Now(), "the start") {
		return
	}
	for _, r := range a.Plan.Rounds {
		if a.ctx.Err() != nil {
			a.fail("out of time")
			return
		}
		a.round(r)
		if len(a.Failures()) > 0 {
			return
		}
	}
	a.leave()
}

// leave stops all daemons and compares the hosts with what they were.
func (a *Arena) leave() {
	for _, n := range a.nodes {
		if err := n.daemon.Stop(a.ctx); err != nil {
			a.fail("%v", err)
		}
	}
	for _, n := range a.nodes {
		var left []string
		err := lab.Until(bounded(a.ctx, 5*time.Second), "nothing to be left on "+n.name, func() bool {
			after, err := snapshot(a.ctx, n.host)
			if err != nil {
				left = []string{err.Error()}
				return false
			}
			left = append(differences(n.before, after), leftProcesses(n.host)...)
			return len(left) == 0
		})
		if err != nil {
			a.fail("%v: left behind:\n%s", err, strings.Join(left, "\n"))
		}
	}
	a.say("left; nothing is left behind")
}

// bounded is a context for a wait. It ends by itself, so nothing is to be released.
func bounded(ctx context.Context, d time.Duration) context.Context {
	c, cancel := context.WithTimeout(ctx, d)
	context.AfterFunc(c, cancel)
	return c
}

// revive starts the daemons that are not there at the end of a round, as systemd would.
func (a *Arena) revive() {
	for _, n := range a.nodes {
		select {
		case <-n.daemon.Process().Done():
			a.say("%s has ended (exit status %d): started again", n.name, n.daemon.Process().ExitCode())
			if err := n.daemon.Start(bounded(a.ctx, 10*time.Second)); err != nil {
				a.fail("%v", err)
			}
			n.pidNow.Store(int64(n.daemon.Process().PID()))
		default:
		}
	}
}
