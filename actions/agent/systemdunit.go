package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions/run"
)

// unit is what systemd says of a unit: properties of the interfaces Unit and
// Service of org.freedesktop.systemd1(5), by their names there.
type unit struct {
	name                            string
	load, active, sub, result, file string // LoadState, ActiveState, SubState, Result, UnitFileState
	loadError                       string
	job                             uint32 // the job that is queued for it, 0 if none
	mainPID                         uint32
	exitCode, exitStatus            int32 // ExecMainCode (CLD_…), ExecMainStatus
	controlGroup, killMode, kind    string
	stopTimeout                     time.Duration
	remains                         bool // RemainAfterExit
	triggers                        []string
}

// unit reads the state of a unit. systemd answers for every name; LoadState says
// whether there is such a unit.
func (b *systemdBus) unit(ctx context.Context, name string) (u unit, err error) {
	err = b.with(ctx, func(l *systemdLink) error {
		p, err := l.GetAllPropertiesContext(ctx, name)
		if err == nil {
			u = readUnit(name, p)
		}
		return err
	})
	if err != nil {
		err = fmt.Errorf("ask systemd for %s: %w", name, err)
	}
	return u, err
}

func readUnit(name string, p map[string]any) unit {
	text := func(key string) string { s, _ := p[key].(string); return s }
	u := unit{name: name, load: text("LoadState"), active: text("ActiveState"), sub: text("SubState"), result: text("Result"),
		file: text("UnitFileState"), controlGroup: text("ControlGroup"), killMode: text("KillMode"), kind: text("Type")}
	u.mainPID, _ = p["MainPID"].(uint32)
	u.exitCode, _ = p["ExecMainCode"].(int32)
	u.exitStatus, _ = p["ExecMainStatus"].(int32)
	u.remains, _ = p["RemainAfterExit"].(bool)
	u.triggers, _ = p["TriggeredBy"].([]string)
	if usec, ok := p["TimeoutStopUSec"].(uint64); ok && usec < uint64(24*time.Hour/time.Microsecond) {
		u.stopTimeout = time.Duration(usec) * time.Microsecond
	}
	if pair, ok := p["Job"].([]any); ok && len(pair) > 0 {
		u.job, _ = pair[0].(uint32)
	}
	if pair, ok := p["LoadError"].([]any); ok && len(pair) > 1 {
		u.loadError, _ = pair[1].(string)
	}
	return u
}

// runs: what systemctl is-active takes for active.
func (u *unit) runs() bool {
	return u.active == "active" || u.active == "reloading" || u.active == "refreshing"
}

// moves: on its way to something else, by itself or by a job.
func (u *unit) moves() bool {
	return u.active == "activating" || u.active == "deactivating" || u.active == "maintenance"
}

// missing says in a phrase with the remedy why a unit cannot be started: "" if it can.
func (u *unit) missing() string {
	switch u.load {
	case "loaded", "":
		return ""
	case "not-found":
		return fmt.Sprintf("there is no unit %s: install it, or correct the name (systemctl list-unit-files)", u.name)
	case "masked":
		return fmt.Sprintf("%s is masked: systemctl unmask %s", u.name, u.name)
	default: // bad-setting, error
		return join(fmt.Sprintf("systemd cannot load %s (%s): systemd-analyze verify %s", u.name, u.load, u.name), u.loadError)
	}
}

// String is what status shows: "active (running), main pid 812".
func (u *unit) String() string {
	s := fmt.Sprintf("%s (%s)", u.active, u.sub)
	if u.load == "not-found" && !u.runs() {
		return "there is no such unit"
	}
	if u.runs() && u.mainPID != 0 {
		s += fmt.Sprintf(", main pid %d", u.mainPID)
	}
	if why := u.failure(); why != "" && (u.active == "failed" || u.sub == "auto-restart") {
		s += ", " + why
	}
	return s
}

// failure says how its main process ended: "exit-code: exit status 1".
func (u *unit) failure() string {
	switch u.exitCode {
	case 1: // CLD_EXITED
		if u.exitStatus != 0 {
			return fmt.Sprintf("%s: exit status %d", u.result, u.exitStatus)
		}
	case 2, 3: // CLD_KILLED, CLD_DUMPED
		return fmt.Sprintf("%s: ended by signal %d (%s)", u.result, u.exitStatus, unix.SignalName(syscall.Signal(u.exitStatus)))
	}
	return u.result
}

// left says what processes are left of a unit that does not run: "" if none, or
// if the unit wants some to stay (KillMode=process).
func (b *systemdBus) left(u *unit) string {
	if u.controlGroup == "" || u.controlGroup == "/" || u.killMode == "process" || u.killMode == "none" {
		return ""
	}
	var pids []int
	for _, hierarchy := range []string{"", "systemd", "unified"} { // version 2; version 1; both
		if pids == nil {
			pids = run.CgroupProcesses(filepath.Join(b.cgroups, hierarchy, u.controlGroup))
		}
	}
	if pids == nil {
		return ""
	}
	return describe(pids)
}

// dropIn is what a unit is told while it is a step: that at shutdown the daemon is
// stopped before it, so that it is the daemon who brings it down in its order, and
// that restarting it is our decision.
func dropIn(unit string) []byte {
	text := "# Written by backbeat: this unit is a step of a service group.\n" +
		"# `backbeat` starts and stops it; it is gone after a reboot.\n[Unit]\nBefore=" + ownUnit + "\n"
	if strings.HasSuffix(unit, ".service") {
		text += "\n[Service]\nRestart=no\n"
	}
	return []byte(text)
}

func (b *systemdBus) dropInPath(unit string) string {
	return filepath.Join(b.dropIns, unit+".d", "50-backbeat.conf")
}

// adopt writes the drop-in of a unit and makes systemd read it. One that is
// there already costs nothing.
func (b *systemdBus) adopt(ctx context.Context, unit string) error {
	path, want := b.dropInPath(unit), dropIn(unit)
	if have, err := os.ReadFile(path); err == nil && bytes.Equal(have, want) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("write the drop-in: %w", err)
	}
	if err := os.WriteFile(path, want, 0o644); err != nil {
		return fmt.Errorf("write the drop-in: %w", err)
	}
	return b.reload(ctx)
}

// disown takes the drop-in away.
func (b *systemdBus) disown(ctx context.Context, unit string) error {
	path := b.dropInPath(unit)
	switch err := os.Remove(path); {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("remove the drop-in: %w", err)
	}
	_ = os.Remove(filepath.Dir(path)) // other drop-ins may be there
	return b.reload(ctx)
}

func (b *systemdBus) reload(ctx context.Context) error {
	err := b.with(ctx, func(l *systemdLink) error { return l.ReloadContext(ctx) })
	if err != nil {
		return fmt.Errorf("make systemd read the drop-in (daemon-reload): %w", err)
	}
	return nil
}

// stopping reports whether the system is going down: systemd then starts nothing.
func (b *systemdBus) stopping(ctx context.Context) bool {
	is := false
	_ = b.with(ctx, func(l *systemdLink) error {
		p, err := l.SystemStateContext(ctx)
		is = err == nil && p.Value.Value() == "stopping"
		return err
	})
	return is
}
