package main

import (
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/journal"
	"github.com/backbeat-ha/backbeat/vrrp/wire"
)

const (
	// standInReady bounds the wait for a stand-in to come up, before anything is changed.
	standInReady = 2 * time.Second
	// standInFor is how long it speaks at most: as long as the kernel keeps addresses
	// that nobody renews, if the next process does not come. Thousands of addresses have
	// longer lifetimes (3 ms for each), and the next process with 4,000 routers needs more
	// than one second, so each advert adds a little.
	standInFor     = 2 * time.Second
	standInForEach = time.Millisecond
)

// standInVerb is what the daemon starts for the time between it and its successor.
func (t *tool) standInVerb() *cobra.Command {
	withParent := false
	c := &cobra.Command{
		Use: "stand-in", Hidden: true, Args: none,
		Short: "Say the adverts of a daemon that is being replaced (started by it)",
		RunE: func(*cobra.Command, []string) error {
			// The name under which systemd logs it as left over: else that of the link in
			// /proc by which it is started, "exe".
			_ = os.WriteFile("/proc/self/comm", []byte("backbeat"), 0)
			conn, err := inheritedSocket()
			if err != nil {
				return failed(fmt.Errorf("the daemon starts this, nobody else: %w", err))
			}
			defer conn.Close()
			parent := 0
			if withParent {
				parent = os.Getppid()
			}
			return failed(wire.StandIn(conn, parent))
		},
	}
	c.Flags().BoolVar(&withParent, "with-parent", false, "end when the process that started it has ended")
	return c
}

// inheritedSocket is descriptor 3 if it is a unix socket.
func inheritedSocket() (*net.UnixConn, error) {
	f := os.NewFile(3, "descriptor 3")
	defer f.Close()
	c, err := net.FileConn(f)
	if err != nil {
		return nil, err
	}
	u, ok := c.(*net.UnixConn)
	if !ok {
		c.Close()
		return nil, fmt.Errorf("descriptor 3 is a %s socket", c.LocalAddr().Network())
	}
	return u, nil
}

// standIn is one that has been started and waits. Nil is none.
type standIn struct {
	pid  int
	conn *net.UnixConn
}

// startStandIn starts the program that runs here, which may have been replaced on disk
// already, and waits until it is ready.
func startStandIn(to successor) (*standIn, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "stand-in"), os.NewFile(uintptr(fds[1]), "stand-in")
	defer ours.Close()
	defer theirs.Close()
	c, err := net.FileConn(ours)
	if err != nil {
		return nil, err
	}
	conn := c.(*net.UnixConn) // a pair of AF_UNIX
	// Ordinary commands are lowered (actions/run); this one keeps our scheduling.
	cmd := exec.Command("/proc/self/exe", "stand-in")
	if to == ourself { // this process stays: if it ends all the same, it is missed at once
		cmd.Args = append(cmd.Args, "--with-parent")
	}
	cmd.Args[0], cmd.Env, cmd.Dir = "backbeat", []string{}, "/"
	cmd.Stderr, cmd.ExtraFiles = os.Stderr, []*os.File{theirs}
	// What ends us by a key or a group signal must not end it.
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		conn.Close()
		return nil, err
	}
	go func() { _ = cmd.Wait() }() // if it ends before us
	theirs.Close()
	_ = conn.SetDeadline(time.Now().Add(standInReady))
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		conn.Close() // it ends of that
		return nil, fmt.Errorf("it is not ready: %w", err)
	}
	_ = conn.SetDeadline(time.Time{})
	return &standIn{pid: cmd.Process.Pid, conn: conn}, nil
}

// dismiss lets a stand-in that has been given nothing go.
func (s *standIn) dismiss() {
	if s != nil {
		s.conn.Close()
	}
}

// prepareStandIn has a stand-in ready where intervals are so short that one is needed.
func (s *service) prepareStandIn(to successor) {
	if s.standIn = nil; !s.reloader.needsStandIn() {
		return
	}
	in, err := startStandIn(to)
	if err != nil {
		s.log(slog.LevelWarn, "nobody speaks until the next process does: the stand-in cannot be started: "+err.Error())
		return
	}
	s.standIn = in
}

// speakOn lets the stand-in speak. The loop has ended, and every millisecond counts.
func (s *service) speakOn() {
	if s.standIn == nil {
		return
	}
	until := s.wire.Now() + standInFor + time.Duration(s.wire.Left())*standInForEach
	// First the note: one who speaks and of whom nobody knows would be worse than none.
	err := journal.WriteStandIn(s.opt.runtimeDir, s.standIn.pid, until)
	if err == nil {
		_ = s.standIn.conn.SetDeadline(time.Now().Add(standInReady))
		_, err = s.wire.HandOn(s.standIn.conn, until)
	}
	s.standIn.dismiss() // it knows what it needs
	if err != nil {
		s.log(slog.LevelWarn, "nobody speaks until the next process does: "+err.Error())
	}
}

// stoodIn finds who speaks until this process does. Where this process is not to go
// on from the one before, it speaks for nobody.
func (s *service) stoodIn(inherited bool) *daemon.StandIn {
	in := journal.FindStandIn(s.opt.runtimeDir, s.wire.Now())
	end := func() {
		if err := in.End(); err != nil {
			s.log(slog.LevelWarn, err.Error())
		}
		if err := journal.ForgetStandIn(s.opt.runtimeDir); err != nil {
			s.log(slog.LevelWarn, err.Error())
		}
	}
	if in == nil {
		end() // one that is over may have left its name
		return nil
	}
	if !inherited {
		end()
		return nil
	}
	// Files are not the loop's business.
	return &daemon.StandIn{Until: in.Until, Over: func() { go end() }}
}
