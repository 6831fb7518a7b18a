package fakesystemd

import (
	"fmt"

	godbus "github.com/godbus/dbus/v5"
)

// Unit is one unit, and what is to become of jobs for it.
type Unit struct {
	// Load to Kind are LoadState, ActiveState, SubState, Result, UnitFileState,
	// ControlGroup, KillMode and Type, Restart and Triggers Restart= and TriggeredBy.
	Load, Active, Sub, Result, File, Group, Kill, Kind, Restart string
	Triggers                                                    []string
	// Remains is RemainAfterExit, PID and Exit are MainPID and ExecMainStatus.
	Remains bool
	PID     uint32
	Exit    int32
	// Job is the number of the unit's job, 0 for none, and JobType its type.
	Job     uint32
	JobType string
	// Before are the units that it starts before and, as systemd has it, stops after: its
	// jobs wait while one of them has a job of type stop or restart; a start also while one
	// of After has any.
	Before, After []string
	waits         bool
	waitsType     string
	// Start and Stop are the results of jobs, "never" for one that does not end; the
	// states that they lead to follow from "done" and "failed" unless Then is set.
	Start, Stop string
	Then        func(u *Unit)
	// Stubborn: a stop ends only after a kill.
	Stubborn bool
}

// properties are the properties of the manager and of the units.
type properties struct{ *Systemd }

// Get is a method of the properties: one of them.
func (f properties) Get(message godbus.Message, _, property string) (godbus.Variant, *godbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if path := object(message); path != root {
		value, known := f.of(path)[property]
		if !known {
			return godbus.Variant{}, godbus.NewError("org.freedesktop.DBus.Error.UnknownProperty", []any{"Unknown property or interface."})
		}
		return godbus.MakeVariant(value), nil
	}
	return godbus.MakeVariant(f.State), nil
}

// GetAll is a method of the properties: all of a unit.
func (f properties) GetAll(message godbus.Message, _ string) (map[string]godbus.Variant, *godbus.Error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := map[string]godbus.Variant{}
	for key, value := range f.of(object(message)) {
		all[key] = godbus.MakeVariant(value)
	}
	return all, nil
}

func object(message godbus.Message) godbus.ObjectPath {
	path, _ := message.Headers[godbus.FieldPath].Value().(godbus.ObjectPath)
	return path
}

// of are the properties of the unit at a path.
func (f properties) of(path godbus.ObjectPath) map[string]any {
	u := &Unit{Load: "not-found", Active: "inactive", Sub: "dead"}
	for name, is := range f.units {
		if busPath(name) == string(path) {
			u = is
		}
	}
	return map[string]any{"LoadState": u.Load, "ActiveState": u.Active, "SubState": u.Sub, "Result": u.Result,
		"UnitFileState": u.File, "MainPID": u.PID, "ExecMainCode": int32(1), "ExecMainStatus": u.Exit, "ControlGroup": u.Group,
		"KillMode": u.Kill, "Type": u.Kind, "Restart": u.Restart, "RemainAfterExit": u.Remains, "TimeoutStopUSec": uint64(90e6), "TriggeredBy": u.Triggers, "Before": u.Before, "After": u.After,
		"Job": struct {
			ID   uint32
			Path godbus.ObjectPath
		}{u.Job, "/"},
		"LoadError": struct{ Name, Text string }{"", ""}}
}

// busPath is the object of a unit: what is not a letter or a digit is escaped.
func busPath(name string) string {
	path := "/org/freedesktop/systemd1/unit/"
	for i, c := range []byte(name) {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || i > 0 && c >= '0' && c <= '9' {
			path += string(rune(c))
		} else {
			path += fmt.Sprintf("_%02x", c)
		}
	}
	return path
}
