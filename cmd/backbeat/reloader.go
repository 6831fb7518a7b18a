package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"github.com/backbeat-ha/backbeat/conf"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
)

// logFunc writes a line to the journal; it never blocks.
type logFunc func(level slog.Level, text string, attrs ...slog.Attr)

// reloader reads the configuration anew and hands it to the loop: for SIGHUP
// and for the control socket. Reading happens on the caller's goroutine, one
// at a time: parsing thousands of routers is the heaviest thing we ever do.
type reloader struct {
	path   string
	load   func(path string) (*daemon.Config, *conf.Diagnostics, error)
	post   func(daemon.Input)
	log    logFunc
	notify *notifier
	tally  *tally
	// ended is closed when the loop has ended.
	ended <-chan struct{}

	mu      sync.Mutex // one reload at a time
	running *daemon.Config

	// Which configuration is in force is asked for while one is being read.
	knows sync.Mutex
	force control.Configuration
	brief bool // it has an interval that needs a stand-in at a restart
}

// applied notes that what is in the file is in force now.
func (r *reloader) applied(cfg *daemon.Config) {
	r.running = cfg
	r.knows.Lock()
	defer r.knows.Unlock()
	r.force = control.Configuration{Path: r.path, AppliedAt: time.Now()}
	r.brief = daemon.NeedsStandIn(cfg)
}

// needsStandIn says it of the configuration in force. It may be called from any goroutine.
func (r *reloader) needsStandIn() bool {
	r.knows.Lock()
	defer r.knows.Unlock()
	return r.brief
}

// refused notes that the file has been refused: since the first time.
func (r *reloader) refused(why error) {
	r.knows.Lock()
	defer r.knows.Unlock()
	if r.force.RefusedAt == nil {
		now := time.Now()
		r.force.RefusedAt = &now
	}
	r.force.RefusedWhy = why.Error()
}

// configuration says which one is in force. It may be called from any goroutine.
func (r *reloader) configuration() control.Configuration {
	r.knows.Lock()
	defer r.knows.Unlock()
	return r.force
}

// reload does it all and reports. A configuration with an error changes nothing.
func (r *reloader) reload(ctx context.Context) control.ReloadResult {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.notify.reloading()
	defer r.notify.reloaded()
	defer debug.FreeOSMemory() // what was read is many times what is kept
	res := r.try(ctx)
	if res.Err != nil {
		r.log(slog.LevelError, fmt.Sprintf("reload: nothing was changed: %v", res.Err))
		return res
	}
	r.log(slog.LevelInfo, "reloaded "+r.path+": "+planText(res.Plan))
	return res
}

func (r *reloader) try(ctx context.Context) control.ReloadResult {
	cfg, d, err := r.load(r.path)
	if err != nil {
		r.refused(err)
		return control.ReloadResult{Err: err}
	}
	var res control.ReloadResult
	for _, g := range d.List() {
		level := slog.LevelWarn
		if g.Severity == "error" {
			level = slog.LevelError
		}
		r.log(level, "configuration: "+g.String())
	}
	res.Text, res.Diagnostics = render(d)
	if cfg == nil {
		res.Err = fmt.Errorf("%s has %s", r.path, plural(d.Errors(), "error"))
		r.refused(res.Err)
		return res
	}
	warnCommands(r.log, cfg, d)
	reply := make(chan daemon.Plan, 1)
	r.post(daemon.Reload{Config: cfg, Reply: reply})
	select {
	case res.Plan = <-reply:
		if res.Plan.Stopping {
			return control.ReloadResult{Err: errStopping}
		}
		r.tally.configure(cfg)
		r.applied(cfg)
	case <-r.ended:
		res.Err = errStopping
	case <-ctx.Done():
		res.Err = errors.New("the loop has not taken the configuration yet: it is stuck, or starved of processor time")
	}
	return res
}

// plan reads the configuration and says what a reload would do, which it leaves.
func (r *reloader) plan(context.Context) control.ReloadResult {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer debug.FreeOSMemory()
	cfg, d, err := r.load(r.path)
	if err != nil {
		return control.ReloadResult{Err: err}
	}
	var res control.ReloadResult
	res.Text, res.Diagnostics = render(d)
	if cfg == nil {
		res.Err = fmt.Errorf("%s has %s", r.path, plural(d.Errors(), "error"))
		return res
	}
	res.Plan = daemon.MakePlan(r.running, cfg)
	return res
}

// errStopping is what a reload comes to that a stop has overtaken.
var errStopping = errors.New("the daemon is stopping")

// render gives the diagnostics for people and for programs.
func render(d *conf.Diagnostics) (string, json.RawMessage) {
	var b strings.Builder
	if err := d.WriteText(&b, 0, false); err != nil {
		panic("backbeat: a string builder refused text: " + err.Error())
	}
	raw, err := json.Marshal(d)
	if err != nil {
		raw = nil // the text has it all
	}
	return strings.TrimRight(b.String(), "\n"), raw
}

// warnCommands logs what `check` would warn of.
func warnCommands(log logFunc, cfg *daemon.Config, d *conf.Diagnostics) {
	for _, w := range verifyCommands(cfg, d) {
		log(slog.LevelWarn, w.Summary+": "+w.Detail)
	}
}

// planText is "1 added, 3 unchanged".
func planText(p daemon.Plan) string {
	n := p.Counts()
	var parts []string
	for _, c := range []struct {
		change daemon.Change
		did    string
	}{{daemon.Add, "added"}, {daemon.Remove, "removed"}, {daemon.Adjust, "adjusted"}, {daemon.Replace, "replaced"}, {daemon.Keep, "unchanged"}} {
		if n[c.change] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n[c.change], c.did))
		}
	}
	for _, o := range []struct {
		changed, kept int
		what          string
	}{{len(p.Services), p.ServicesKept, "service group"}, {len(p.Checks), p.ChecksKept, "check"}} {
		switch {
		case o.changed > 0 && o.kept > 0:
			parts = append(parts, fmt.Sprintf("%s changed and %d unchanged", plural(o.changed, o.what), o.kept))
		case o.changed > 0:
			parts = append(parts, plural(o.changed, o.what)+" changed")
		case o.kept > 0:
			parts = append(parts, plural(o.kept, o.what)+" unchanged")
		}
	}
	return strings.Join(parts, ", ")
}
