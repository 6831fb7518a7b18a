package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	sdbus "github.com/coreos/go-systemd/v22/dbus"
)

// askSystemd bounds a question to systemd about ourselves.
const askSystemd = 500 * time.Millisecond

// ownUnit is what systemd says about the unit that this process belongs to.
type ownUnit struct {
	name string
	// job is the type of its job, "" if it has none. While a unit stops for a restart
	// that is "restart"; it becomes "start" when the stop is done. A plain stop has
	// "stop", also one that has taken the place of a restart (systemd's src/core/job.c).
	job string
	// restart is its Restart=.
	restart string
}

// restarting reports whether systemd is about to start this unit again as soon as
// it has stopped.
func restarting(ctx context.Context) bool {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return false // not run by systemd
	}
	u, err := askOwnUnit(ctx)
	return err == nil && (u.job == "restart" || u.job == "try-restart")
}

// succeeded reports, from ExecStopPost of our unit, whether another process is about
// to take the place of the one that has ended; if none is, why. Where systemd is not
// there, or does not say, one is expected.
func succeeded(ctx context.Context) (yes bool, why string) {
	result, stopPost := os.LookupEnv("SERVICE_RESULT")
	if !stopPost {
		return true, "" // called by something else, which starts us again in its own way
	}
	u, err := askOwnUnit(ctx)
	switch {
	case err != nil:
		return true, ""
	case u.job == "stop":
		return false, fmt.Sprintf("%s was stopped while it restarted", u.name)
	case u.job != "":
		return true, "" // restart or start
	case restarts(u.restart, result):
		return true, ""
	}
	return false, fmt.Sprintf("%s has no job, and Restart=%s does not start it after %q", u.name, u.restart, result)
}

// restarts reports whether systemd starts a unit again that has ended by itself: the
// table of Restart= in systemd.service(5), for the values of $SERVICE_RESULT.
func restarts(restart, result string) bool {
	switch restart {
	case "always":
		return result != "exec-condition"
	case "on-success":
		return result == "success"
	case "on-failure":
		return result != "success" && result != "exec-condition"
	case "on-abnormal":
		return result != "success" && result != "exec-condition" && result != "exit-code"
	case "on-abort":
		return result == "signal" || result == "core-dump"
	case "on-watchdog":
		return result == "watchdog"
	default: // no
		return false
	}
}

// askOwnUnit asks systemd for the unit of this process. Connecting cannot be
// interrupted, and a systemd that hangs accepts and then says nothing: so it is done aside.
func askOwnUnit(ctx context.Context) (ownUnit, error) {
	ctx, cancel := context.WithTimeout(ctx, askSystemd)
	defer cancel()
	type answer struct {
		unit ownUnit
		err  error
	}
	answered := make(chan answer, 1)
	go func() {
		u, err := ownUnitOf(ctx, uint32(os.Getpid()))
		answered <- answer{u, err}
	}()
	select {
	case a := <-answered:
		return a.unit, a.err
	case <-ctx.Done():
		return ownUnit{}, errors.New("systemd does not answer")
	}
}

func ownUnitOf(ctx context.Context, pid uint32) (u ownUnit, err error) {
	bus, err := sdbus.NewWithContext(ctx)
	if err != nil {
		return u, fmt.Errorf("connect to systemd: %w", err)
	}
	defer bus.Close()
	if u.name, err = bus.GetUnitNameByPID(ctx, pid); err != nil {
		return u, fmt.Errorf("ask systemd for our unit: %w", err)
	}
	jobs, err := bus.ListJobsContext(ctx)
	if err != nil {
		return u, fmt.Errorf("ask systemd for its jobs: %w", err)
	}
	for _, j := range jobs {
		if j.Unit == u.name {
			u.job = j.JobType
		}
	}
	restart, err := bus.GetUnitTypePropertyContext(ctx, u.name, "Service", "Restart")
	if err != nil {
		return u, fmt.Errorf("ask systemd for Restart= of %s: %w", u.name, err)
	}
	u.restart, _ = restart.Value.Value().(string)
	return u, nil
}
