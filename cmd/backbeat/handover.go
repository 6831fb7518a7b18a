package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/early"
	"github.com/backbeat-ha/backbeat/daemon/journal"
)

const (
	// standPatience bounds the wait for a moment in which nothing is being moved.
	standPatience = 10 * time.Second
	// afterHandover is when what the process before had and nobody wants any more
	// is taken off: by then every router has said what it wants. With thousands that takes
	// longer, 4,000 need one second.
	afterHandover     = time.Second
	afterHandoverEach = time.Millisecond
)

// successor is how the next process comes to be.
type successor uint8

const (
	bySystemd successor = iota // it starts us again: `systemctl restart`
	ourself                    // we replace ourselves: SIGUSR2
)

// replaceable says why the next process could not go on where this one ends. What it
// would need is tried first, since there is no way back from standing still.
func (s *service) replaceable(to successor) error {
	if err := journal.CanHandOff(s.opt.runtimeDir); err != nil {
		return err
	}
	if to == bySystemd {
		return nil // it starts whatever is there
	}
	path, err := ownProgram()
	if err == nil {
		_, err = exec.LookPath(path)
	}
	if err != nil {
		return fmt.Errorf("the program to be started: %w", err)
	}
	cfg, d, err := s.tool.load(s.opt.config, "")
	if err == nil && cfg == nil {
		err = fmt.Errorf("%s has %s: backbeat check shows them", s.opt.config, plural(d.Errors(), "error"))
	}
	return err
}

// handOver lets the loop stand still and leaves its state to who comes next. It
// reports whether that is so; if not, nothing has happened.
func (s *service) handOver(ctx context.Context, to successor) bool {
	if err := s.replaceable(to); err != nil {
		s.log(slog.LevelError, "cannot be replaced: "+err.Error())
		return false
	}
	s.prepareStandIn(to)
	if !s.standStill(ctx, to) {
		s.standIn.dismiss()
		return false
	}
	return true
}

// standStill asks the loop, and writes down what it leaves.
func (s *service) standStill(ctx context.Context, to successor) bool {
	s.handed.Store(true) // the loop may end at any moment now
	reply, cancel := make(chan daemon.Handoff, 1), make(chan struct{})
	s.next.Store(uint32(to))
	s.post(daemon.HandOver{Reply: reply, Cancel: cancel})
	timer := time.NewTimer(standPatience)
	defer timer.Stop()
	h, told := s.awaitStill(ctx, reply, timer.C)
	if told != "" {
		close(cancel)
		select {
		case left := <-reply: // at the last moment
			h = &left
		case <-time.After(100 * time.Millisecond):
			s.handed.Store(false)
			s.log(slog.LevelWarn, "not replaced: "+told)
			return false
		}
	}
	if h == nil {
		s.handed.Store(false)
		return false
	}
	if err := journal.WriteHandoff(s.opt.runtimeDir, *h, versionText()); err != nil {
		s.log(slog.LevelError, err.Error()+"; the next start is as after a crash")
	}
	return true
}

// awaitStill waits for what the loop leaves. It is nil if the loop has ended for another
// reason; or if it is not to be waited for any longer: then told says why. A stop
// does not wait, and is obeyed after; a HUP comes after, too.
func (s *service) awaitStill(ctx context.Context, reply <-chan daemon.Handoff, late <-chan time.Time) (h *daemon.Handoff, told string) {
	hup := false
	defer func() {
		if hup {
			s.again(syscall.SIGHUP)
		}
	}()
	for {
		select {
		case left := <-reply:
			return &left, ""
		case <-ctx.Done():
			// The loop has ended: by this, or by something else.
			select {
			case left := <-reply:
				return &left, ""
			default:
				return nil, ""
			}
		case <-late:
			return nil, fmt.Sprintf("steps of a service group have been on their way for %s", standPatience)
		case sig := <-s.got:
			switch sig {
			case syscall.SIGHUP:
				hup = true
			case syscall.SIGTERM, syscall.SIGINT:
				s.again(sig)
				return nil, "stopped while it was waited until nothing is being moved"
			}
		}
	}
}

// again lets a signal come once more, if there is room.
func (s *service) again(sig os.Signal) {
	select {
	case s.got <- sig:
	default:
	}
}

// inherit takes what the process before has left, if it has.
func (s *service) inherit(now time.Duration) *daemon.Handoff {
	h, err := journal.TakeHandoff(s.opt.runtimeDir, now)
	if err != nil {
		s.log(slog.LevelError, err.Error())
	}
	return h
}

// ownProgram is the path of the installed program.
func ownProgram() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", fmt.Errorf("which program this is: %w", err)
	}
	// What a package has replaced under us is shown so by /proc.
	return strings.TrimSuffix(path, " (deleted)"), nil
}

// stopEnv tells the program that replaces this process of a stop that came too late for us.
const stopEnv = "BACKBEAT_STOP"

// replace runs the program that is installed now in place of this process. If the
// kernel cannot run that, it is the one that runs here, which goes on. It returns
// only if neither can be done. What came while we made room is not lost: a stop is
// passed on; a HUP has its way anyway, since the configuration is read anew.
func replace(got chan os.Signal, complain func(error)) error {
	path, err := ownProgram()
	if err != nil {
		return err
	}
	// Until the successor listens, these two would end it.
	signal.Ignore(syscall.SIGHUP, syscall.SIGUSR2)
	// From here until it listens (package early), some three milliseconds, a stop is as
	// hard as KILL. Caught by this process, of which nothing is left, it would be lost.
	signal.Stop(got)
	env := append(os.Environ(), early.Env+"=1")
	for more := true; more; {
		select {
		case sig := <-got:
			if sig == syscall.SIGTERM || sig == syscall.SIGINT {
				env = append(env, stopEnv+"=1")
			}
		default:
			more = false
		}
	}
	err = fmt.Errorf("start %s in place of this process: %w", path, syscall.Exec(path, os.Args, env))
	complain(err)
	return errors.Join(err, syscall.Exec("/proc/self/exe", os.Args, env))
}

// inheritProcess takes over what a process has whose program was replaced (SIGUSR2):
// a stop that had come too late, and children, of which nobody else would hear that they have ended.
func inheritProcess(got chan<- os.Signal) {
	if early.Stops != nil {
		os.Unsetenv(early.Env)
		signal.Stop(early.Stops) // got is told of what comes from now on
		for range len(early.Stops) {
			got <- <-early.Stops
		}
	}
	if _, stop := os.LookupEnv(stopEnv); stop {
		os.Unsetenv(stopEnv)
		got <- syscall.SIGTERM
	}
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		text, _ := os.ReadFile(list) // nothing of ours runs yet
		for _, field := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil {
				go func() {
					for {
						if _, err := syscall.Wait4(pid, nil, 0, nil); err != syscall.EINTR {
							return
						}
					}
				}()
			}
		}
	}
}
