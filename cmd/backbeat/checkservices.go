package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/run"
	"github.com/backbeat-ha/backbeat/conf"
	"github.com/backbeat-ha/backbeat/daemon"
)

// verifySteps looks at the commands of service groups, as verifyCommands does at hooks'.
func verifySteps(cfg *daemon.Config, d *conf.Diagnostics) (out []conf.Diagnostic) {
	warn := func(group, what, why, at string) {
		w := conf.Diagnostic{Severity: "warning", Summary: fmt.Sprintf("service_group %q: %s would not run", group, what), Detail: why}
		if at == "" {
			at = d.ServicePlace(group)
		}
		locate(&w, at)
		out = append(out, w)
	}
	for i := range cfg.Services {
		l := &cfg.Services[i].Ladder
		for _, s := range l.Steps {
			for _, t := range troublesOf(&s) {
				warn(l.Name, fmt.Sprintf("%s of step %s", listed(t.names), s.Name), t.why, d.HookPlace("service_group."+l.Name, s.Name+"."+t.names[0]))
			}
		}
		for _, f := range l.Safety.Fence {
			if err := verifyArgv(f.Command, f.User); err != nil {
				warn(l.Name, fmt.Sprintf("fence %q", f.Name), err.Error(), "")
			}
		}
	}
	return out
}

// trouble is why some commands of a step would not run.
type trouble struct {
	names []string // "start", "stop", "status", or "script"
	why   string
}

// troublesOf looks at the commands of a step; what is wrong with several of them
// for one reason is said once.
func troublesOf(s *actions.StepSpec) (out []trouble) {
	type command struct {
		name string
		argv []string
	}
	var list []command
	user := ""
	switch a := s.Agent.(type) {
	case actions.Command:
		list, user = []command{{"start", a.Start}, {"stop", a.Stop}, {"status", a.Status}}, a.User
	case actions.LSB:
		list, user = []command{{"script", []string{a.Script}}}, a.User
	}
	for _, c := range list {
		if len(c.argv) == 0 {
			continue
		}
		err := verifyArgv(c.argv, user)
		if err == nil {
			continue
		}
		n := slices.IndexFunc(out, func(t trouble) bool { return t.why == err.Error() })
		if n < 0 {
			n = len(out)
			out = append(out, trouble{why: err.Error()})
		}
		out[n].names = append(out[n].names, c.name)
	}
	return out
}

// verifyArgv verifies the program of a command. A program that is not there and
// has blanks in its name was meant for a shell.
func verifyArgv(argv []string, user string) error {
	err := run.VerifyFor(argv[0], user)
	if words := strings.Fields(argv[0]); err != nil && len(argv) == 1 && len(words) > 1 {
		if _, gone := os.Stat(argv[0]); errors.Is(gone, fs.ErrNotExist) {
			return fmt.Errorf("%w: it looks like one string with spaces, and there is no shell that would split it: write [%s]", err, quotedWords(words))
		}
	}
	return err
}

func quotedWords(words []string) string {
	q := make([]string, len(words))
	for i, w := range words {
		q[i] = strconv.Quote(w)
	}
	return strings.Join(q, ", ")
}

// unitDirs are where systemd looks for units, first to last (systemd.unit(5)).
var unitDirs = []string{"/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// verifyStopTime says so when systemd would kill the daemon before its groups are
// down: what is then still mounted or Primary keeps the other host from serving.
func verifyStopTime(cfg *daemon.Config, d *conf.Diagnostics) (out []conf.Diagnostic) {
	limit, at := stopLimit(unitDirs)
	if limit <= 0 {
		return nil // not a service here, or not limited
	}
	for i := range cfg.Services {
		l := &cfg.Services[i].Ladder
		var sum time.Duration
		for k := range l.Steps {
			sum += l.Steps[k].StopTimeout
		}
		if sum < limit {
			continue
		}
		w := conf.Diagnostic{Severity: "warning", Summary: fmt.Sprintf("service_group %q may take longer to stop than systemd waits", l.Name),
			Detail: fmt.Sprintf("Its stop timeouts are %s together, and TimeoutStopSec is %s in %s: then the daemon is killed, and what is still up stays up. "+
				"systemctl edit backbeat, and write:\n    [Service]\n    TimeoutStopSec=%d", seconds(sum), seconds(limit), at, int((sum+30*time.Second)/time.Second))}
		locate(&w, d.ServicePlace(l.Name))
		out = append(out, w)
	}
	return out
}

// verifyEnabled names the units of steps that systemd starts at boot: they would
// run on the host that does not serve, too, until the daemon stops them.
func verifyEnabled(cfg *daemon.Config, d *conf.Diagnostics) (out []conf.Diagnostic) {
	for i := range cfg.Services {
		l := &cfg.Services[i].Ladder
		for _, s := range l.Steps {
			u, ok := s.Agent.(actions.Systemd)
			if !ok {
				continue
			}
			// The first directory is where systemctl enable puts its links.
			wanted, _ := filepath.Glob(filepath.Join(unitDirs[0], "*.wants", u.Unit))
			required, _ := filepath.Glob(filepath.Join(unitDirs[0], "*.requires", u.Unit))
			if len(wanted)+len(required) == 0 {
				continue
			}
			w := conf.Diagnostic{Severity: "warning", Summary: fmt.Sprintf("service_group %q: %s is enabled at boot", l.Name, u.Unit),
				Detail: fmt.Sprintf("It would start on a host that does not serve. systemctl disable %s", u.Unit)}
			locate(&w, d.ServicePlace(l.Name))
			out = append(out, w)
		}
	}
	return out
}

func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + " s" }

// stopLimit reads TimeoutStopSec of backbeat.service and its drop-ins: the last
// one that is written counts. 0: there is no unit, or it does not limit. It is
// read from the files, since systemd need not run where a file is checked.
func stopLimit(dirs []string) (limit time.Duration, at string) {
	var files []string
	for _, dir := range dirs {
		if _, err := os.Stat(filepath.Join(dir, "backbeat.service")); err == nil {
			files = append(files, filepath.Join(dir, "backbeat.service"))
			break
		}
	}
	if len(files) == 0 {
		return 0, ""
	}
	var drops []string // by name; of one name the first directory's counts
	for _, dir := range dirs {
		found, _ := filepath.Glob(filepath.Join(dir, "backbeat.service.d", "*.conf"))
		for _, f := range found {
			if !slices.ContainsFunc(drops, func(g string) bool { return filepath.Base(g) == filepath.Base(f) }) {
				drops = append(drops, f)
			}
		}
	}
	slices.SortFunc(drops, func(a, b string) int { return strings.Compare(filepath.Base(a), filepath.Base(b)) })
	limit, at = 90*time.Second, files[0] // DefaultTimeoutStopSec
	for _, f := range append(files, drops...) {
		text, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		for line := range strings.SplitSeq(string(text), "\n") {
			key, value, ok := strings.Cut(strings.TrimSpace(line), "=")
			if key = strings.TrimSpace(key); ok && (key == "TimeoutStopSec" || key == "TimeoutSec") {
				if t, known := timespan(strings.TrimSpace(value)); known {
					limit, at = t, f
				}
			}
		}
	}
	return limit, at
}

// timespan reads what systemd.time(7) calls a time span: "90", "1min 30s", "infinity" (0).
func timespan(s string) (sum time.Duration, ok bool) {
	if s == "infinity" {
		return 0, true
	}
	units := map[string]time.Duration{"": time.Second, "ms": time.Millisecond, "msec": time.Millisecond, "s": time.Second, "sec": time.Second, "second": time.Second, "seconds": time.Second,
		"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute, "h": time.Hour, "hr": time.Hour, "hour": time.Hour, "hours": time.Hour}
	for rest := s; rest != ""; rest = strings.TrimSpace(rest) {
		n := strings.IndexFunc(rest, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
		if n < 0 {
			n = len(rest)
		}
		f, err := strconv.ParseFloat(rest[:n], 64)
		if err != nil {
			return 0, false
		}
		rest = strings.TrimSpace(rest[n:])
		n = strings.IndexFunc(rest, func(r rune) bool { return r >= '0' && r <= '9' || r == ' ' })
		if n < 0 {
			n = len(rest)
		}
		unit, known := units[rest[:n]]
		if !known {
			return 0, false
		}
		sum += time.Duration(f * float64(unit))
		rest = rest[n:]
	}
	return sum, s != ""
}
