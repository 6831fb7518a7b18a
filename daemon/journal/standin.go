package journal

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// standInName is the file in the runtime directory that says who speaks meanwhile.
const standInName = "standin.json"

// StandIn is the process that says adverts between two daemons.
type StandIn struct {
	PID int `json:"pid"`
	// Born is when it began, in the kernel's ticks since the boot (proc_pid_stat(5),
	// starttime): another process with this number is another one.
	Born string `json:"born"`
	// Until is when it stops by itself (CLOCK_BOOTTIME).
	Until time.Duration `json:"until"`
}

// WriteStandIn notes a stand-in for the next process, and for `backbeat release`.
func WriteStandIn(dir string, pid int, until time.Duration) error {
	s := StandIn{PID: pid, Until: until}
	var err error
	if s.Born, err = born(pid); err != nil {
		return err
	}
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	path := filepath.Join(dir, standInName)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// FindStandIn returns the stand-in that speaks at the moment, or nil.
func FindStandIn(dir string, now time.Duration) *StandIn {
	path := filepath.Join(dir, standInName)
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o022 != 0 || !ownedByUs(info) {
		return nil
	}
	text, err := os.ReadFile(path)
	s := new(StandIn)
	if err != nil || json.Unmarshal(text, s) != nil || s.PID <= 1 || now >= s.Until {
		return nil
	}
	if b, err := born(s.PID); err != nil || b != s.Born {
		return nil
	}
	return s
}

// ForgetStandIn removes what WriteStandIn has noted: nobody speaks any more.
func ForgetStandIn(dir string) error {
	err := os.Remove(filepath.Join(dir, standInName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// End ends it. It is not an error that it has ended, or that there is none (nil).
func (s *StandIn) End() error {
	if s == nil {
		return nil
	}
	// The descriptor stays that of this very process, whatever becomes of its number.
	fd, err := unix.PidfdOpen(s.PID, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("end the stand-in (pid %d): %w", s.PID, err)
	}
	defer unix.Close(fd)
	if b, err := born(s.PID); err != nil || b != s.Born {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("end the stand-in (pid %d): %w", s.PID, err)
	}
	return nil
}

// born is the start time of a process that runs, as the kernel tells it.
func born(pid int) (string, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return "", err
	}
	// The name, which may hold anything, is in parentheses; state is the field after
	// it (3), starttime field 22.
	_, rest, ok := strings.Cut(string(text[max(0, strings.LastIndexByte(string(text), ')')):]), ") ")
	fields := strings.Fields(rest)
	if !ok || len(fields) < 20 {
		return "", fmt.Errorf("/proc/%d/stat is not as proc_pid_stat(5) says", pid)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return "", fs.ErrNotExist
	}
	return fields[19], nil
}
