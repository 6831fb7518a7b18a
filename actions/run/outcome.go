package run

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// outcome turns the end of a process into the Exit and Err of a HookDone. why
// is set if it was ended by us; then it counts as not having exited by itself,
// whatever it made of the TERM.
func outcome(state *os.ProcessState, why string) (exit int, sentence string) {
	if why != "" {
		return -1, why
	}
	status, ok := state.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		s := status.Signal()
		return -1, fmt.Sprintf("ended by signal %d (%s)", int(s), unix.SignalName(s))
	}
	switch code := state.ExitCode(); code {
	case 0:
		return 0, ""
	case 126:
		return code, "exit status 126 (a shell's word for: found, but cannot be run)"
	case 127:
		return code, "exit status 127 (a shell's word for: command not found)"
	default:
		return code, fmt.Sprintf("exit status %d", code)
	}
}

// explain says why a command could not be started and what to do about it.
func explain(path string, who account, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("start %s: the interpreter that its first line names does not exist: install it or correct the line", path)
	case errors.Is(err, fs.ErrPermission):
		return explainDenied(path, who)
	case errors.Is(err, unix.ENOEXEC):
		return fmt.Errorf("start %s: neither a program for this machine nor a script: begin a script with #!/bin/sh", path)
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOMEM):
		return fmt.Errorf("start %s: no room for another process (%w): raise TasksMax or the memory limit of the unit", path, err)
	default:
		return fmt.Errorf("start %s: %w", path, err)
	}
}

// explainDenied names the first element of the path that keeps the account out.
func explainDenied(path string, who account) error {
	blame := ""
	_ = walk(path, func(e element) error {
		if bits := e.bitsFor(who); blame == "" && bits&1 == 0 {
			blame = e.path
		}
		return nil
	})
	switch {
	case blame == "" && who.switches:
		return fmt.Errorf("start %s: permission denied for user %s: the daemon needs CAP_SETUID and CAP_SETGID to become that user, "+
			"and the file system must not be mounted noexec", path, who.name)
	case blame == "":
		return fmt.Errorf("start %s: permission denied for user %s: is its interpreter executable, is its file system mounted noexec?", path, who.name)
	default:
		return fmt.Errorf("start %s: permission denied for user %s at %s: chmod a+x %s", path, who.name, blame, blame)
	}
}
