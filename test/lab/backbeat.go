package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
)

// Backbeat is the real daemon on a host: the binary, a configuration file, a
// runtime and a state directory that stay the same over restarts. Its methods
// are used from one goroutine, except Status, History and Log.
type Backbeat struct {
	host *Host
	dir  string
	env  []string
	proc *Process
	// realTime: under chrt.
	realTime bool
	// logs are those of earlier processes.
	logs []string
	http http.Client
}

// Backbeat prepares a daemon with a configuration; Start starts it. env are
// additional variables, "NAME=value"; BACKBEAT_NODE is the host's name.
func (h *Host) Backbeat(config string, env ...string) (*Backbeat, error) {
	b := &Backbeat{host: h, dir: h.lab.Dir(h.Name), env: append([]string{"BACKBEAT_NODE=" + h.Name}, env...)}
	for _, d := range []string{b.dir, b.RuntimeDir(), b.StateDir()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("make a directory for %s: %w", h.Name, err)
		}
	}
	b.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", b.Socket())
	}}
	return b, b.Configure(config)
}

// RuntimeDir is the daemon's runtime directory.
func (b *Backbeat) RuntimeDir() string { return filepath.Join(b.dir, "run") }

// StateDir is the daemon's state directory.
func (b *Backbeat) StateDir() string { return filepath.Join(b.dir, "state") }

// ConfigFile is the path of the configuration.
func (b *Backbeat) ConfigFile() string { return filepath.Join(b.dir, "backbeat.hcl") }

// Socket is the path of the control socket.
func (b *Backbeat) Socket() string { return filepath.Join(b.RuntimeDir(), "control.sock") }

// Configure writes the configuration file. A running daemon reads it at the next reload.
func (b *Backbeat) Configure(config string) error {
	if err := os.WriteFile(b.ConfigFile(), []byte(config), 0o600); err != nil {
		return fmt.Errorf("write the configuration of %s: %w", b.host.Name, err)
	}
	return nil
}

// RealTime has the daemon scheduled as its unit has it (SCHED_RR, priority 10), where we
// may: a busy machine then does not make a host look dead that is not.
func (b *Backbeat) RealTime() { b.realTime = exec.Command("chrt", "-r", "10", "true").Run() == nil }

// Start starts the daemon and waits until its control socket answers.
func (b *Backbeat) Start(ctx context.Context) error {
	if err := b.Launch(ctx); err != nil {
		return err
	}
	var last error
	err := Until(ctx, "the control socket of "+b.host.Name, func() bool {
		select {
		case <-b.proc.Done():
			return true
		default:
		}
		_, last = b.Status(ctx)
		return last == nil
	})
	if err != nil {
		return fmt.Errorf("%w: %w\n%s", err, last, b.proc.Output())
	}
	if last != nil {
		return fmt.Errorf("backbeat on %s ended at once, exit status %d:\n%s", b.host.Name, b.proc.ExitCode(), b.proc.Output())
	}
	return nil
}

// Launch starts the daemon and does not wait.
func (b *Backbeat) Launch(ctx context.Context) error {
	if b.proc != nil {
		b.logs = append(b.logs, b.proc.Output())
	}
	argv := []string{Binary(), "run", "-c", b.ConfigFile(), "--runtime-dir", b.RuntimeDir(),
		"--state-dir", b.StateDir(), "--log-format", "text", "--log-level", "debug"}
	if b.realTime {
		argv = append([]string{"chrt", "-r", "10"}, argv...)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), b.env...)
	cmd.Dir = b.dir
	var err error
	b.proc, err = b.host.Start(cmd)
	return err
}

// Process is the last process that was started, nil before the first.
func (b *Backbeat) Process() *Process { return b.proc }

// Log is what all its processes have written.
func (b *Backbeat) Log() string {
	all := b.logs
	if b.proc != nil {
		all = append(all[:len(all):len(all)], b.proc.Output())
	}
	return strings.Join(all, "\n-- started again --\n")
}

// Kill ends the daemon with SIGKILL: it can do nothing any more.
func (b *Backbeat) Kill() { b.proc.Kill() }

// Leave asks it to leave (SIGTERM) and does not wait.
func (b *Backbeat) Leave() { b.proc.Signal(syscall.SIGTERM) }

// Wait waits for the end of a daemon that was asked to leave; an exit status
// other than 0 is an error.
func (b *Backbeat) Wait(ctx context.Context) error {
	select {
	case <-b.proc.Done():
	case <-ctx.Done():
		return fmt.Errorf("wait for backbeat on %s to end: %w", b.host.Name, ctx.Err())
	}
	if code := b.proc.ExitCode(); code != 0 {
		return fmt.Errorf("backbeat on %s: exit status %d after SIGTERM", b.host.Name, code)
	}
	return nil
}

// Stop is Leave and Wait.
func (b *Backbeat) Stop(ctx context.Context) error {
	b.Leave()
	return b.Wait(ctx)
}

// Freeze stops the process where it is (SIGSTOP), Thaw lets it go on.
func (b *Backbeat) Freeze() { b.proc.Signal(syscall.SIGSTOP) }

// Thaw ends Freeze.
func (b *Backbeat) Thaw() { b.proc.Signal(syscall.SIGCONT) }

// Hangup sends SIGHUP: read the file again.
func (b *Backbeat) Hangup() { b.proc.Signal(syscall.SIGHUP) }

// Verb runs another verb of the same binary on the host and returns what it
// wrote and its exit status.
func (b *Backbeat) Verb(ctx context.Context, args ...string) (stdout, stderr string, code int, err error) {
	var out, complaints output
	cmd := exec.CommandContext(ctx, Binary(), args...)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	cmd.Env = append(os.Environ(), b.env...)
	p, err := b.host.Start(cmd)
	if err != nil {
		return "", "", 0, err
	}
	<-p.Done()
	return out.String(), complaints.String(), p.ExitCode(), nil
}

// Status asks the daemon for everything, over its control socket.
func (b *Backbeat) Status(ctx context.Context) (*daemon.StatusPage, error) {
	var s daemon.StatusPage
	return &s, b.get(ctx, "/v1/status", &s)
}

// Router returns the status of one virtual router.
func (b *Backbeat) Router(ctx context.Context, name string) (*daemon.RouterStatus, error) {
	var s daemon.StatusPage
	if err := b.get(ctx, "/v1/status?router="+url.QueryEscape(name), &s); err != nil {
		return nil, err
	}
	if len(s.Routers) != 1 {
		return nil, fmt.Errorf("status of %s on %s: %d routers", name, b.host.Name, len(s.Routers))
	}
	return &s.Routers[0], nil
}

// State returns the state of a router, "" if the daemon does not answer.
func (b *Backbeat) State(ctx context.Context, name string) string {
	r, err := b.Router(ctx, name)
	if err != nil {
		return ""
	}
	return r.State
}

// History returns the last transitions, oldest first or newest first as the daemon has them.
func (b *Backbeat) History(ctx context.Context) ([]daemon.Transition, error) {
	var h struct {
		Transitions []daemon.Transition `json:"transitions"`
	}
	return h.Transitions, b.get(ctx, "/v1/history", &h)
}

func (b *Backbeat) get(ctx context.Context, path string, into any) error {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://backbeat"+path, nil)
	if err != nil {
		return fmt.Errorf("ask %s: %w", b.host.Name, err)
	}
	resp, err := b.http.Do(req)
	if err != nil {
		return fmt.Errorf("ask %s: %w", b.host.Name, err)
	}
	defer resp.Body.Close()
	err = json.NewDecoder(resp.Body).Decode(into)
	if resp.StatusCode != http.StatusOK {
		return errors.Join(fmt.Errorf("ask %s for %s: %s", b.host.Name, path, resp.Status), err)
	}
	if err != nil {
		return fmt.Errorf("decode the answer of %s: %w", b.host.Name, err)
	}
	return nil
}
