package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Keepalived is the reference peer on a host.
type Keepalived struct {
	host  *Host
	dir   string
	flags []string
	proc  *Process
}

// KeepalivedPath looks for the program, also where an ordinary user's PATH does not lead.
func KeepalivedPath() (string, error) {
	if path, err := exec.LookPath("keepalived"); err == nil {
		return path, nil
	}
	const path = "/usr/sbin/keepalived"
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("keepalived is not installed: apt install keepalived")
	}
	return path, nil
}

// Keepalived prepares one with a configuration and further flags: -D for a
// detailed log, which is not for measuring (it writes a line for each
// announcement, unbuffered, and 1,000 routers take 20 s longer to start).
func (h *Host) Keepalived(config string, flags ...string) (*Keepalived, error) {
	k := &Keepalived{host: h, dir: h.lab.Dir(h.Name + "-keepalived"), flags: flags}
	if err := os.MkdirAll(k.dir, 0o700); err != nil {
		return nil, fmt.Errorf("make a directory for keepalived on %s: %w", h.Name, err)
	}
	return k, k.Configure(config)
}

// Configure writes the configuration file. A running one reads it at Reload.
func (k *Keepalived) Configure(config string) error {
	if err := os.WriteFile(k.file("keepalived.conf"), []byte(config), 0o600); err != nil {
		return fmt.Errorf("write the configuration of keepalived on %s: %w", k.host.Name, err)
	}
	return nil
}

// Reload sends SIGHUP.
func (k *Keepalived) Reload() { k.proc.Signal(syscall.SIGHUP) }

func (k *Keepalived) file(name string) string { return filepath.Join(k.dir, name) }

// Start starts it and returns at once: it has no way to say that it is ready.
func (k *Keepalived) Start() error {
	path, err := KeepalivedPath()
	if err != nil {
		return err
	}
	// A killed worker that nobody has reaped yet would count as running.
	for _, pid := range []string{"pid", "vrrp.pid", "check.pid", "bfd.pid"} {
		_ = os.Remove(k.file(pid))
	}
	// Foreground, log to standard error, VRRP only, own pid files.
	args := append([]string{"-n", "-l", "-P", "-f", k.file("keepalived.conf"),
		"-p", k.file("pid"), "-r", k.file("vrrp.pid"), "-c", k.file("check.pid"), "-b", k.file("bfd.pid")}, k.flags...)
	if k.proc, err = k.host.Start(exec.Command(path, args...)); err != nil {
		return err
	}
	// Its worker would outlive it for as long as a clean end takes.
	k.host.lab.atClose(k.Kill)
	return nil
}

// Process is the supervising process.
func (k *Keepalived) Process() *Process { return k.proc }

// Log is what it has written.
func (k *Keepalived) Log() string { return k.proc.Output() }

// Kill ends supervisor and worker with SIGKILL. The supervisor is stopped first,
// or it would start the worker again; the worker goes next, since at the
// supervisor's death it would get SIGTERM and say goodbye.
func (k *Keepalived) Kill() {
	select {
	case <-k.proc.Done():
		return // its number may be somebody else's by now
	default:
	}
	k.proc.Signal(syscall.SIGSTOP)
	for _, pid := range k.workers() {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	k.proc.Kill()
}

// workers reads the children of the supervisor.
func (k *Keepalived) workers() []int {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", k.proc.PID(), k.proc.PID()))
	if err != nil {
		return nil
	}
	var pids []int
	for _, word := range strings.Fields(string(b)) {
		if pid, err := strconv.Atoi(word); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// RSS is the resident memory of the worker, which does the protocol.
func (k *Keepalived) RSS() (int64, error) {
	for _, pid := range k.workers() {
		return residentMemory(pid)
	}
	return 0, fmt.Errorf("keepalived on %s has no worker", k.host.Name)
}

// Stop asks it to leave.
func (k *Keepalived) Stop(ctx context.Context) error { return k.proc.Terminate(ctx) }
