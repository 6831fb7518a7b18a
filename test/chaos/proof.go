package chaos

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

// A fault that did not happen proves nothing. What its effect is seen by, on the host
// itself and not in the daemon's words, is in the functions here; each is asked while the
// fault is there.

// proved counts the fault as one that was seen to be there.
func (d *deed) proved() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.proven[d.Kind]++
}

// proof counts a fault that has no error.
func (d *deed) proof(err error) error {
	if err == nil {
		d.proved()
	}
	return err
}

// killed wants a process that a signal has ended.
func killed(p *lab.Process) error {
	if code := p.ExitCode(); code != -1 {
		return fmt.Errorf("it was not killed, but has ended with exit status %d", code)
	}
	return nil
}

// stopped wants a process that stands still (proc_pid_stat(5): T).
func stopped(d *deed, p *lab.Process) error {
	state := ""
	err := lab.Until(bounded(d.ctx, 2*time.Second), "the process to stand still", func() bool {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
		_, state, _ = strings.Cut(string(b), ") ")
		return strings.HasPrefix(state, "T")
	})
	if err != nil {
		return fmt.Errorf("%w: %.20s", err, state)
	}
	return nil
}

// carrier wants the host's interface to have one, or not to.
func carrier(d *deed, want bool) error {
	return lab.Until(bounded(d.ctx, 2*time.Second), fmt.Sprintf("carrier: %t", want), func() bool {
		is, err := d.node.host.Carrier(0)
		return err == nil && is == want
	})
}

// dropped counts what a table of the switch has dropped.
func dropped(d *deed, table string) (packets int, err error) {
	text, err := d.lab.AskSwitch(d.ctx, "nft", "list", "table", "netdev", table)
	for _, part := range strings.Split(text, "counter packets ")[1:] {
		n := 0
		if _, err := fmt.Sscan(part, &n); err == nil {
			packets += n
		}
	}
	return packets, err
}

// overruns counts the notices that the kernel threw away because the daemon had not read
// those before (netlink sockets of the host that are in groups, /proc/PID/net/netlink).
func overruns(pid int) (drops int, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/netlink", pid))
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		n := 0
		if len(f) > 8 && f[1] == "0" && strings.Trim(f[3], "0") != "" {
			if _, err := fmt.Sscan(f[8], &n); err == nil {
				drops += n
			}
		}
	}
	return drops, err
}

// noRoom wants that nothing can be written where the daemon writes.
func noRoom(d *deed) error {
	var errs []error
	for _, dir := range []string{d.node.daemon.RuntimeDir(), d.node.daemon.StateDir()} {
		file := filepath.Join(dir, "probe")
		if os.WriteFile(file, make([]byte, 8192), 0o600) == nil {
			errs = append(errs, fmt.Errorf("%s can be written to", dir))
		}
		_ = os.Remove(file)
	}
	return errors.Join(errs...)
}
