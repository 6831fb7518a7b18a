package fakesystemd

import (
	"fmt"
	"slices"
	"strings"

	godbus "github.com/godbus/dbus/v5"
)

// The methods of org.freedesktop.systemd1.Manager that are used.

func (f *Systemd) note(format string, args ...any) {
	f.Calls = append(f.Calls, fmt.Sprintf(format, args...))
}

func failure(name, text string) *godbus.Error {
	return godbus.NewError("org.freedesktop.systemd1."+name, []any{text})
}

// Subscribe is a method of systemd: its signals are wanted.
func (f *Systemd) Subscribe() *godbus.Error {
	f.Set(func() { f.note("Subscribe") })
	return nil
}

// Reload is a method of systemd: read unit files anew.
func (f *Systemd) Reload() *godbus.Error {
	f.Set(func() { f.note("Reload") })
	return nil
}

// StartUnit is a method of systemd: it makes a job.
func (f *Systemd) StartUnit(name, mode string) (godbus.ObjectPath, *godbus.Error) {
	return f.job(name, mode, true)
}

// StopUnit is a method of systemd: it makes a job.
func (f *Systemd) StopUnit(name, mode string) (godbus.ObjectPath, *godbus.Error) {
	return f.job(name, mode, false)
}

func (f *Systemd) job(name, mode string, up bool) (godbus.ObjectPath, *godbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	verb, result, done, moving := "Stop", "done", "inactive dead", "deactivating stop-sigterm"
	u := f.units[name]
	if up {
		verb, done, moving = "Start", "active running", "activating start"
	}
	f.note("%s:%s:%s", verb, name, mode)
	if u == nil {
		return "/", failure("NoSuchUnit", "Unit "+name+" not loaded.")
	}
	if f.Refuses != "" {
		return "/", failure(f.Refuses, "Operation refused.")
	}
	if up {
		result = u.Start
	} else if u.Stop != "" {
		result = u.Stop
	}
	if !u.waits { // else they are merged
		f.jobs++
		u.Job = uint32(f.jobs)
	}
	path := godbus.ObjectPath(fmt.Sprintf("/org/freedesktop/systemd1/job/%d", u.Job))
	if u.waits = mode != "ignore-dependencies" && f.held(u, up); u.waits {
		u.waitsType = strings.ToLower(verb)
		return path, nil
	}
	if result == "never" || !up && u.Stubborn {
		u.Active, u.Sub, _ = strings.Cut(moving, " ")
		return path, nil
	}
	u.Active, u.Sub, _ = strings.Cut(done, " ")
	switch {
	case u.Then != nil:
		u.Then(u)
	case result == "failed" && up:
		u.Active, u.Sub, u.Result, u.Exit = "failed", "failed", "exit-code", 1
	case result != "done" && up:
		u.Active, u.Sub = "inactive", "dead"
	}
	f.finish(u, name, result)
	return path, nil
}

// held reports whether a job of a unit waits for that of another one.
func (f *Systemd) held(u *Unit, up bool) bool {
	queued := func(name string) string {
		if other := f.units[name]; other != nil {
			return other.JobType
		}
		return ""
	}
	return slices.ContainsFunc(u.Before, func(name string) bool { return queued(name) == "stop" || queued(name) == "restart" }) ||
		up && slices.ContainsFunc(u.After, func(name string) bool { return queued(name) != "" })
}

// finish ends the job of a unit and tells everybody, from a goroutine: the reply of
// the call goes first, mostly, as with systemd.
func (f *Systemd) finish(u *Unit, name, result string) {
	id := u.Job
	u.Job = 0
	if f.Silent {
		return
	}
	go func() {
		_ = f.conn.Emit("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager.JobRemoved", id,
			godbus.ObjectPath(fmt.Sprintf("/org/freedesktop/systemd1/job/%d", id)), name, result)
	}()
}

// KillUnit is a method of systemd: it ends a job that is stubborn.
func (f *Systemd) KillUnit(name, who string, signal int32) *godbus.Error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("Kill:%s:%s:%d", name, who, signal)
	u := f.units[name]
	if u == nil {
		return failure("NoSuchUnit", "Unit "+name+" not loaded.")
	}
	u.Active, u.Sub, u.Result = "failed", "failed", "signal"
	if u.Job != 0 {
		f.finish(u, name, "done")
	}
	return nil
}

// ResetFailedUnit is a method of systemd.
func (f *Systemd) ResetFailedUnit(name string) *godbus.Error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.note("ResetFailed:%s", name)
	if u := f.units[name]; u != nil && u.Active == "failed" {
		u.Active, u.Sub, u.Result = "inactive", "dead", "success"
	}
	return nil
}

// GetUnitByPID is a method of systemd: the unit that a process belongs to.
func (f *Systemd) GetUnitByPID(pid uint32) (godbus.ObjectPath, *godbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.UnitOf == nil || f.UnitOf(pid) == "" {
		return "/", failure("NoUnitForPID", fmt.Sprintf("PID %d does not belong to any loaded unit.", pid))
	}
	return godbus.ObjectPath(busPath(f.UnitOf(pid))), nil
}

// Queued is one row of ListJobs.
type Queued struct {
	ID                  uint32
	Unit, Type, State   string
	JobPath, ObjectPath godbus.ObjectPath
}

// ListJobs is a method of systemd: the jobs of all units.
func (f *Systemd) ListJobs() ([]Queued, *godbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := []Queued{}
	for name, u := range f.units {
		if u.waits {
			list = append(list, Queued{u.Job, name, u.waitsType, "waiting", "/org/freedesktop/systemd1/job/1", godbus.ObjectPath(busPath(name))})
		}
		if u.JobType != "" {
			list = append(list, Queued{u.Job, name, u.JobType, "running", "/org/freedesktop/systemd1/job/1", godbus.ObjectPath(busPath(name))})
		}
	}
	return list, nil
}
