package lab

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// space is a network namespace, held by a thread of its own that runs what is
// to happen inside. Processes started on it are told to die with the thread,
// which lives as long as this process.
type space struct {
	calls chan func()
	ended chan struct{}
	ns    netns.NsHandle
	// nl works in the namespace from any goroutine.
	nl *netlink.Handle
}

func newSpace() (*space, error) {
	s := &space{calls: make(chan func()), ended: make(chan struct{}), ns: netns.None()}
	started := make(chan error)
	go s.run(started)
	if err := <-started; err != nil {
		return nil, err
	}
	nl, err := netlink.NewHandleAt(s.ns, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open netlink in a new namespace: %w", err), s.close())
	}
	s.nl = nl
	lo, err := nl.LinkByName("lo")
	if err == nil {
		err = nl.LinkSetUp(lo)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bring lo up in a new namespace: %w", err), s.close())
	}
	return s, nil
}

// run is the thread. It is never unlocked: the runtime ends a thread whose
// goroutine ends locked, and the namespace goes with it.
func (s *space) run(started chan<- error) {
	runtime.LockOSThread()
	defer close(s.ended)
	err := unix.Unshare(unix.CLONE_NEWNET)
	if err != nil {
		started <- fmt.Errorf("make a network namespace: %w", err)
		return
	}
	if s.ns, err = netns.Get(); err != nil {
		started <- fmt.Errorf("open the new network namespace: %w", err)
		return
	}
	started <- nil
	for f := range s.calls {
		f()
	}
}

// do runs f on the namespace's thread and waits for it. f must not call do of
// the same space, nor end its goroutine (t.Fatal).
func (s *space) do(f func()) {
	done := make(chan struct{})
	s.calls <- func() { defer close(done); f() }
	<-done
}

// sysctl writes a kernel switch of the namespace: /proc/sys/net follows the thread.
func (s *space) sysctl(name, value string) error {
	var err error
	s.do(func() { err = os.WriteFile("/proc/sys/net/"+name, []byte(value), 0o644) })
	if err != nil {
		return fmt.Errorf("set net/%s to %s: %w", name, value, err)
	}
	return nil
}

func (s *space) close() error {
	close(s.calls)
	<-s.ended
	if s.nl != nil {
		s.nl.Close()
	}
	if s.ns.IsOpen() {
		return s.ns.Close()
	}
	return nil
}
