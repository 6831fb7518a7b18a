package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/run"
)

// reboot reboots this host, so that the other may take over what could not be
// brought down here. There is no answer to one that works.
func (h *Hands) reboot(ctx context.Context) actions.Done {
	if h.RebootHost == nil {
		return actions.Done{Hopeless: true, Detail: "this daemon was not given a way to reboot the host"}
	}
	if err := h.RebootHost(ctx); err != nil {
		return actions.Done{Detail: fmt.Sprintf("the host does not reboot: %v. Do it by hand: reboot -f", err)}
	}
	return actions.Done{OK: true, Detail: "the host reboots"}
}

// Reboot reboots the host at once, as `reboot -f` does, but without sync: a sync
// waits for the very storage that may be what is stuck, and what a journalling file
// system has acknowledged is safe without it.
//
// The kernel is asked first (CAP_SYS_BOOT), then the magic SysRq key, then systemd,
// which kills everything and unmounts before: it needs no capability, and may hang.
// In a user namespace it refuses: the machine is somebody else's. It does not return
// if it works.
func Reboot(ctx context.Context) error {
	if text, err := os.ReadFile("/proc/self/uid_map"); err == nil && !wholeMap(string(text)) {
		return errors.New("we are in a user namespace: the machine is not ours to reboot")
	}
	kernel := unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	key := os.WriteFile("/proc/sysrq-trigger", []byte("b"), 0)
	runner := run.New(func(any) {})
	r := runner.DoContext(ctx, run.Command{Argv: []string{"/bin/systemctl", "--force", "reboot"}, User: "root", Timeout: 5 * time.Second})
	if r.Exit == 0 {
		return nil
	}
	return fmt.Errorf("reboot(2): %w (CAP_SYS_BOOT?); sysrq: %w; %s", kernel, key, because("systemctl --force reboot", r))
}

// wholeMap reports whether a uid_map is that of the first user namespace.
func wholeMap(text string) bool {
	var inside, outside, n uint64
	_, err := fmt.Sscan(text, &inside, &outside, &n)
	return err == nil && inside == 0 && outside == 0 && n == 1<<32-1
}
