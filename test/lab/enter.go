package lab

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The environment carries what the program inside must know, since there is no
// state in the package: it is set by the parent (or by Main, where nothing
// could be entered) and read by Unavailable and Binary.
const (
	envInside      = "BACKBEAT_LAB_INSIDE"
	envUnavailable = "BACKBEAT_LAB_UNAVAILABLE"
	// EnvBinary names a backbeat binary to test instead of one built from the sources.
	EnvBinary = "BACKBEAT_BINARY"
)

// runDir is where everything of the lab lives: a tmpfs of our own over /run,
// so that sockets, ledgers and scripts lie in directories that nobody else can
// write (the temporary directory is world-writable, which backbeat refuses for
// hooks), and so that a peer daemon cannot meet the machine's own.
const runDir = "/run/lab"

// Options says what the program that calls Main needs.
type Options struct {
	// Binary asks for a backbeat binary, built once from the sources of this
	// module before the namespace is entered.
	Binary bool
	// Root asks for the real root, who alone may use loop devices and other
	// accounts: where the program is that, there is no user namespace. See RealRoot.
	Root bool
}

// Main runs the program again inside namespaces of its own and ends with its
// exit status; inside, it calls run and ends. Where namespaces cannot be had,
// it calls run outside, with Unavailable telling why. It does not return.
func Main(o Options, run func() int) {
	if os.Getenv(envKeeper) != "" {
		keep()
		os.Exit(0)
	}
	if os.Getenv(envInside) != "" {
		os.Exit(inside(run))
	}
	code, err := outside(o)
	var forbidden *ForbiddenError
	switch {
	case errors.As(err, &forbidden):
		os.Setenv(envUnavailable, err.Error())
		os.Exit(run())
	case err != nil:
		fmt.Fprintln(os.Stderr, "lab:", err)
		os.Exit(1)
	}
	os.Exit(code)
}

// Unavailable says why there are no namespaces, with the remedy, or "" if there are.
func Unavailable() string { return os.Getenv(envUnavailable) }

// RealRoot reports whether we are root and not that of a user namespace only.
func RealRoot() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	return err == nil && os.Getuid() == 0 && strings.Join(strings.Fields(string(b)), " ") == "0 0 4294967295"
}

// Binary is the path of the backbeat binary, if Main was asked for one.
func Binary() string { return os.Getenv(EnvBinary) }

// outside builds the binary, starts the program inside and waits for it.
func outside(o Options) (int, error) {
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Args[0] = os.Args[0]
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), envInside+"=1")
	if o.Binary {
		path, remove, err := findBinary()
		if err != nil {
			return 0, err
		}
		defer remove()
		cmd.Env = append(cmd.Env, EnvBinary+"="+path)
	}
	ready, tell, err := os.Pipe()
	if err != nil {
		return 0, fmt.Errorf("make a pipe to the inside: %w", err)
	}
	defer ready.Close()
	cmd.ExtraFiles = []*os.File{tell}
	// The child is told to die with the thread that started it: stay on it.
	runtime.LockOSThread()
	err = startInside(cmd, o.Root && RealRoot())
	tell.Close()
	if err != nil {
		return 0, err
	}
	stop := forwardSignals(cmd.Process)
	defer stop()
	why, _ := io.ReadAll(ready)
	err = cmd.Wait()
	if len(why) > 0 {
		return 0, forbid(errors.New(string(why)))
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return 0, fmt.Errorf("wait for the program inside: %w", err)
	}
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code, nil
	}
	return 1, nil
}

// startInside starts the program in a user, mount and network namespace in
// which it is root; a real root that may not have a user namespace does without.
// The maps are the same for root and for everybody else, so that what passes
// for one passes for the other; but for a program that asks for the real root.
func startInside(cmd *exec.Cmd, real bool) error {
	one := func(id int) []syscall.SysProcIDMap {
		return []syscall.SysProcIDMap{{ContainerID: 0, HostID: id, Size: 1}}
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNET | unix.CLONE_NEWNS,
		UidMappings: one(os.Getuid()),
		GidMappings: one(os.Getgid()),
		Pdeathsig:   syscall.SIGKILL,
	}
	err := error(syscall.EPERM) // as if a user namespace had been refused
	if !real {
		err = cmd.Start()
	}
	if err != nil && os.Getuid() == 0 {
		again := *cmd
		again.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags: unix.CLONE_NEWNET | unix.CLONE_NEWNS,
			Pdeathsig:  syscall.SIGKILL,
		}
		if again.Start() == nil {
			*cmd = again
			return nil
		}
	}
	if err != nil {
		return forbid(err)
	}
	return nil
}

// inside prepares the namespaces, says over descriptor 3 what is missing, and
// calls run.
func inside(run func() int) int {
	tell := os.NewFile(3, "ready")
	if err := prepare(); err != nil {
		fmt.Fprint(tell, err)
		tell.Close()
		return 1
	}
	tell.Close()
	// Neither systemd nor a journal is there for what we start.
	for _, name := range []string{"NOTIFY_SOCKET", "JOURNAL_STREAM", "WATCHDOG_USEC", "WATCHDOG_PID"} {
		os.Unsetenv(name)
	}
	return run()
}

func prepare() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("make the mounts private: %w", err)
	}
	if err := unix.Mount("lab", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("mount a tmpfs on /run: %w", err)
	}
	if err := os.Mkdir(runDir, 0o700); err != nil {
		return fmt.Errorf("make the lab's directory: %w", err)
	}
	// AppArmor on Ubuntu lets the namespace be made and then takes the rights
	// away, so ask for one thing that needs them.
	s, err := newSpace()
	if err != nil {
		return err
	}
	return s.close()
}

// forwardSignals hands what asks us to end to the program inside.
func forwardSignals(p *os.Process) (stop func()) {
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGINT)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case s := <-signals:
				_ = p.Signal(s)
			case <-done:
				return
			}
		}
	}()
	return func() { signal.Stop(signals); close(done) }
}

// findBinary returns the binary that the environment names, or builds one.
func findBinary() (path string, remove func(), err error) {
	if path = os.Getenv(EnvBinary); path != "" {
		path, err = filepath.Abs(path)
		return path, func() {}, err
	}
	dir, err := os.MkdirTemp("", "backbeat-lab")
	if err != nil {
		return "", nil, fmt.Errorf("make a directory for the binary: %w", err)
	}
	path = filepath.Join(dir, "backbeat")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", path, "github.com/backbeat-ha/backbeat/cmd/backbeat")
	if out, err := build.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return "", nil, fmt.Errorf("build the backbeat binary: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return path, func() { os.RemoveAll(dir) }, nil
}
