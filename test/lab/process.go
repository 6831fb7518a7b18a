package lab

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Process is a program that runs on a host.
type Process struct {
	cmd  *exec.Cmd
	out  *output
	done chan struct{}
}

// output collects what a process writes, bounded.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// outputLimit is enough for the log of the longest scenario.
const outputLimit = 8 << 20

// Write keeps what fits.
func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.text.Len()+len(b) <= outputLimit {
		o.text.Write(b)
	}
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// Start starts a command on the host: its network is the host's, and it dies
// with the lab. Output that is not already directed elsewhere is collected, and
// namespaces that cmd asks for (SysProcAttr.Cloneflags) are made.
func (h *Host) Start(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, out: &output{}, done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = p.out
	}
	if cmd.Stderr == nil {
		cmd.Stderr = p.out
	}
	// A grandchild that keeps the output open must not keep Wait from returning.
	cmd.WaitDelay = 100 * time.Millisecond
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	if h.machine != nil && h.machine.cgroup != nil {
		cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(h.machine.cgroup.Fd())
	}
	var err error
	h.do(func() { err = cmd.Start() })
	if err != nil {
		return nil, fmt.Errorf("start %s on %s: %w", cmd.Path, h.Name, err)
	}
	go func() { _ = cmd.Wait(); close(p.done) }()
	h.lab.mu.Lock()
	h.lab.procs = append(h.lab.procs, p)
	h.lab.mu.Unlock()
	return p, nil
}

// Run runs a command on the host to its end and returns all that it wrote.
func (h *Host) Run(ctx context.Context, argv ...string) (string, error) {
	p, err := h.Start(exec.CommandContext(ctx, argv[0], argv[1:]...))
	if err != nil {
		return "", err
	}
	<-p.done
	if !p.cmd.ProcessState.Success() {
		return p.Output(), fmt.Errorf("%s on %s: %s: %s", strings.Join(argv, " "), h.Name, p.cmd.ProcessState, strings.TrimSpace(p.Output()))
	}
	return p.Output(), nil
}

// PID is the process's number.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Output is what the process has written so far.
func (p *Process) Output() string { return p.out.String() }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// ExitCode is the exit status of an ended process, -1 if a signal ended it.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Signal sends a signal; to a process that has ended it does nothing.
func (p *Process) Signal(s os.Signal) { _ = p.cmd.Process.Signal(s) }

// Kill sends SIGKILL and waits for the end.
func (p *Process) Kill() {
	p.Signal(syscall.SIGKILL)
	<-p.done
}

// Terminate sends SIGTERM and waits until the process has ended by itself.
func (p *Process) Terminate(ctx context.Context) error {
	p.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for process %d to end after SIGTERM: %w", p.PID(), ctx.Err())
	}
}

// RSS is the memory the process has resident, in bytes.
func (p *Process) RSS() (int64, error) { return residentMemory(p.PID()) }

func residentMemory(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read the memory of process %d: %w", pid, err)
	}
	for line := range strings.Lines(string(b)) {
		var kb int64
		if _, err := fmt.Sscanf(line, "VmRSS: %d kB", &kb); err == nil {
			return kb << 10, nil
		}
	}
	return 0, fmt.Errorf("read the memory of process %d: no VmRSS", pid)
}
