package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
)

const (
	// handoffName is the file in the runtime directory, which does not outlive the boot.
	handoffName = "handoff.json"
	// handoffMost bounds its size: some 2 KB a virtual router, 65,000 of them.
	handoffMost = 256 << 20
	// handoffAge is how old one may be at all; each router judges by its own interval.
	handoffAge = time.Minute
)

// handoffRoom is what CanHandOff asks for: some tens of virtual routers.
const handoffRoom = 64 << 10

// CanHandOff tries whether WriteHandoff could, which nobody can go back behind.
func CanHandOff(dir string) error {
	path := filepath.Join(dir, handoffName+".new")
	err := os.WriteFile(path, make([]byte, handoffRoom), 0o600)
	if rm := os.Remove(path); err == nil {
		err = rm
	}
	if err != nil {
		return fmt.Errorf("no state can be left to the next process: %w", err)
	}
	return nil
}

// WriteHandoff leaves a Handoff to the process that follows. Boot and PID are filled in.
func WriteHandoff(dir string, h daemon.Handoff, version string) error {
	boot, err := bootID()
	if err != nil {
		return err
	}
	h.Boot, h.PID, h.Version = boot, os.Getpid(), version
	text, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("encode the handoff: %w", err)
	}
	path := filepath.Join(dir, handoffName)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return fmt.Errorf("leave the state to the next process: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("leave the state to the next process: %w", err)
	}
	return nil
}

// TakeHandoff returns what the process before has left, and removes it: it is good
// for one start. Without one both results are nil. An error says by name why one
// is refused: damaged, stale, of another boot, of another form, not ours. The
// start is then like one after a crash. now is CLOCK_BOOTTIME.
func TakeHandoff(dir string, now time.Duration) (*daemon.Handoff, error) {
	h, err := readHandoff(filepath.Join(dir, handoffName), now)
	if rm := os.Remove(filepath.Join(dir, handoffName)); rm != nil && !errors.Is(rm, fs.ErrNotExist) && err == nil {
		return nil, fmt.Errorf("handoff refused: it cannot be removed, and would be used twice: %w", rm)
	}
	return h, err
}

// PeekHandoff reports whether a fresh Handoff waits for the next process.
func PeekHandoff(dir string, now time.Duration) bool {
	h, err := readHandoff(filepath.Join(dir, handoffName), now)
	return h != nil && err == nil
}

func readHandoff(path string, now time.Duration) (*daemon.Handoff, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("handoff refused: %w", err)
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o022 != 0 || !ownedByUs(info):
		return nil, fmt.Errorf("handoff refused: %s is not a file of this account's that nobody else may write", path)
	case info.Size() > handoffMost:
		return nil, fmt.Errorf("handoff refused: %s has %d bytes", path, info.Size())
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("handoff refused: %w", err)
	}
	h := new(daemon.Handoff)
	if err := json.Unmarshal(text, h); err != nil {
		return nil, fmt.Errorf("handoff refused: %s is damaged: %w", path, err)
	}
	boot, err := bootID()
	switch {
	case err != nil:
		return nil, fmt.Errorf("handoff refused: %w", err)
	case h.Schema != daemon.HandoffSchema:
		return nil, fmt.Errorf("handoff refused: it has form %d (backbeat %s), and this backbeat reads form %d", h.Schema, h.Version, daemon.HandoffSchema)
	case h.Boot != boot:
		return nil, fmt.Errorf("handoff refused: it is of another boot")
	case h.At > now || now-h.At > handoffAge:
		return nil, fmt.Errorf("handoff refused: it is stale: the process before (pid %d) stood still %s ago", h.PID, (now - h.At).Round(time.Second))
	}
	return h, nil
}

// bootID tells one boot of the machine from another (random(4)).
func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("which boot this is: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

func ownedByUs(info fs.FileInfo) bool {
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && (s.Uid == 0 || int(s.Uid) == os.Geteuid())
}
