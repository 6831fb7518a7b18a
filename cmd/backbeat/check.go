package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/conf"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
)

// defaultConfig is where the configuration is looked for.
const defaultConfig = "/etc/backbeat/backbeat.hcl"

// host is one configuration as one node reads it.
type host struct {
	path, node string
	cfg        *daemon.Config // nil if there are errors
	diags      *conf.Diagnostics
}

// checkAnswer is what `check --output json` prints.
type checkAnswer struct {
	Schema      int               `json:"schema_version"`
	OK          bool              `json:"ok"`
	Errors      int               `json:"errors"`
	Warnings    int               `json:"warnings"`
	Hosts       []checkedHost     `json:"hosts"`
	Diagnostics []conf.Diagnostic `json:"diagnostics"`
}

// checkedHost is one host in a checkAnswer.
type checkedHost struct {
	Path     string `json:"path"`
	Node     string `json:"node"`
	Routers  int    `json:"virtual_routers"`
	Services int    `json:"service_groups"`
	Checks   int    `json:"checks"`
}

func (t *tool) checkVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "check [FILE|DIR]...",
		Short: "Check the configuration, of one host or of several against each other",
		Long: `Check a configuration: a file, or a directory with *.hcl files. Nothing is
changed, and no daemon is needed. Exit status: 0 good, 1 bad.

With several FILEs or DIRs, one for each host, or with one of them and several
--node names, the hosts are checked against each other, too.`,
		Example: `  backbeat check
  backbeat check /etc/backbeat/backbeat.hcl
  backbeat check --node web1,web2 web.hcl
  backbeat check web1.hcl web2.hcl
  backbeat check --node web1,web2 web1.hcl web2.hcl`,
	}
	output := outputFlag(c)
	// As `run` has it, for those who type the same there and here.
	more := c.Flags().StringArrayP("config", "c", nil, "the configuration, as for run: the same as `FILE` without -c")
	nodes := c.Flags().StringSlice("node", nil, "take the file as the node `NAME` reads it; several names, separated by commas, are checked against each other")
	strict := c.Flags().Bool("strict", false, "take warnings for errors")
	runtimeDir := c.Flags().String("runtime-dir", "/run/backbeat", "the runtime `directory` of the daemon on this host: what it has put there is no mistake")
	c.RunE = func(_ *cobra.Command, args []string) error {
		if args = append(slices.Clone(*more), args...); len(args) == 0 {
			args = []string{defaultConfig}
		}
		hosts, err := pairUp(args, *nodes)
		if err != nil {
			return err
		}
		return t.check(hosts, *runtimeDir, *strict, output.json())
	}
	return c
}

// pairUp says which file is read as which node.
func pairUp(paths, nodes []string) ([]host, error) {
	var hosts []host
	switch {
	case len(nodes) == 0:
		for _, p := range paths {
			hosts = append(hosts, host{path: p})
		}
	case len(paths) == 1:
		for _, n := range nodes {
			hosts = append(hosts, host{path: paths[0], node: n})
		}
	case len(paths) == len(nodes):
		for i, p := range paths {
			hosts = append(hosts, host{path: p, node: nodes[i]})
		}
	default:
		return nil, fmt.Errorf("%d files and %d --node names: give one name for each file, or one file", len(paths), len(nodes))
	}
	return hosts, nil
}

// load reads a configuration as a node would; an empty node is this host.
func (t *tool) load(path, node string) (*daemon.Config, *conf.Diagnostics, error) {
	src, err := conf.ReadFiles(path)
	if err != nil {
		return nil, nil, err
	}
	name, err := t.hostname()
	if err != nil {
		name = "" // conf says what to do about a host without a name
	}
	cfg, d := conf.Load(src, conf.Options{Node: name, Override: node, Getenv: t.getenv})
	return cfg, d, nil
}

func (t *tool) check(hosts []host, runtimeDir string, strict, json bool) error {
	a := checkAnswer{Schema: control.SchemaVersion, Hosts: []checkedHost{}, Diagnostics: []conf.Diagnostic{}}
	var cfgs []*daemon.Config
	var from []*conf.Diagnostics
	var all []*conf.Diagnostics
	local := len(hosts) == 1 && hosts[0].node == "" // and not as another node reads it
	for i := range hosts {
		h := &hosts[i]
		var err error
		if h.cfg, h.diags, err = t.load(h.path, h.node); err != nil {
			a.Diagnostics = append(a.Diagnostics, conf.Diagnostic{Severity: "error", File: h.path, Summary: "Cannot read the configuration", Detail: err.Error()})
			continue
		}
		all = append(all, h.diags)
		if h.cfg != nil {
			h.node = h.cfg.Node
			cfgs, from = append(cfgs, h.cfg), append(from, h.diags)
			a.Hosts = append(a.Hosts, checkedHost{h.path, h.cfg.Node, len(h.cfg.Routers), len(h.cfg.Services), len(h.cfg.Checks)})
		}
	}
	// What does not come from the text itself is said in plain lines.
	plain := slices.Clone(a.Diagnostics)
	switch {
	case len(cfgs) > 1:
		all = append(all, conf.CheckPair(cfgs, from))
	case len(cfgs) == 1 && len(hosts) == 1:
		// Only here can it be known that commands and interfaces should be on this host.
		plain = append(plain, verifyCommands(cfgs[0], from[0])...)
		if local {
			t.warnOwned(cfgs[0], from[0], runtimeDir)
			plain = append(plain, t.verifyInterfaces(cfgs[0], from[0])...)
			plain = append(plain, verifyStopTime(cfgs[0], from[0])...)
			plain = append(plain, verifyEnabled(cfgs[0], from[0])...)
		}
	}
	conf.Once(all)
	a.Diagnostics = plain
	for _, d := range all {
		a.Diagnostics = append(a.Diagnostics, d.List()...)
	}
	for _, d := range a.Diagnostics {
		if d.Severity == "error" {
			a.Errors++
		} else {
			a.Warnings++
		}
	}
	a.OK = a.Errors == 0 && (!strict || a.Warnings == 0)
	if err := t.printCheck(&a, plain, all, json); err != nil {
		return err
	}
	if !a.OK {
		return failure{}
	}
	return nil
}

func (t *tool) printCheck(a *checkAnswer, plain []conf.Diagnostic, all []*conf.Diagnostics, json bool) error {
	if json {
		return t.printJSON(a)
	}
	errLook := look{color: t.errColor}
	for _, d := range all {
		if err := d.WriteText(t.err, t.errWidth, t.errColor); err != nil {
			return failed(err)
		}
	}
	for _, d := range plain {
		paint := errLook.yellow
		if d.Severity == "error" {
			paint = errLook.red
		}
		fmt.Fprintf(t.err, "%s: %s\n  %s\n\n", paint(word(d.Severity)), clean(d.Summary), cleanLines(d.Detail))
	}
	if a.Errors > 0 {
		return failed(fprintln(t, verdict(a)))
	}
	for _, h := range a.Hosts {
		fmt.Fprintf(t.out, "%s: good for node %s: %s\n", clean(h.Path), clean(h.Node), h.has())
	}
	if a.Warnings > 0 {
		return failed(fprintln(t, verdict(a)))
	}
	return nil
}

// has is "1 virtual router, 1 service group, 2 checks".
func (h *checkedHost) has() string {
	text := plural(h.Routers, "virtual router")
	if h.Services > 0 {
		text += ", " + plural(h.Services, "service group")
	}
	if h.Checks > 0 {
		text += ", " + plural(h.Checks, "check")
	}
	return text
}

func fprintln(t *tool, s string) error {
	_, err := fmt.Fprintln(t.out, s)
	return err
}

func verdict(a *checkAnswer) string {
	return plural(a.Errors, "error") + ", " + plural(a.Warnings, "warning")
}

// verifyCommands looks at the commands of hooks and checks: one that cannot be
// run safely is not run, and nobody should learn that from a failover. It is a
// warning, because it may be installed later.
func verifyCommands(cfg *daemon.Config, d *conf.Diagnostics) (out []conf.Diagnostic) {
	for _, c := range cfg.Checks {
		if v, ok := c.Probe.(checks.Exec); ok {
			if err := verifyArgv(v.Command, v.User); err != nil {
				w := conf.Diagnostic{Severity: "warning", Summary: fmt.Sprintf("check %s would not run", c.Name), Detail: err.Error()}
				locate(&w, d.HookPlace("", c.Name))
				out = append(out, w)
			}
		}
	}
	for _, r := range cfg.Routers {
		for _, h := range r.Hooks {
			err := verifyArgv(h.Command, h.User)
			if err == nil {
				continue
			}
			w := conf.Diagnostic{Severity: "warning",
				Summary: fmt.Sprintf("virtual_router %q: hook %q would not run", r.Name, h.Name), Detail: err.Error()}
			at := d.HookPlace(r.Name, h.Name)
			if at == "" {
				at = d.Place(r.Name)
			}
			locate(&w, at)
			out = append(out, w)
		}
	}
	return append(append(out, verifySteps(cfg, d)...), verifyAgents(cfg, d)...)
}

// maxNames is how many interfaces or routers a warning names.
const maxNames = 12

// verifyInterfaces looks for the interfaces on this host. A missing one is no
// error, since interfaces may come and go, but most often it is a typing error.
func (t *tool) verifyInterfaces(cfg *daemon.Config, d *conf.Diagnostics) (out []conf.Diagnostic) {
	there, err := t.interfaces()
	if err != nil {
		return nil // nothing is known, so nothing is wrong
	}
	users := map[string][]string{}
	var missing []string // in the order of the configuration
	for i := range cfg.Routers {
		r := &cfg.Routers[i]
		if slices.Contains(there, r.Interface) {
			continue
		}
		if users[r.Interface] == nil {
			missing = append(missing, r.Interface)
		}
		users[r.Interface] = append(users[r.Interface], r.Name)
	}
	for _, name := range missing {
		w := conf.Diagnostic{Severity: "warning",
			Summary: fmt.Sprintf("virtual_router %q: no interface %s on this host now", users[name][0], name),
			Detail:  fmt.Sprintf("There are %s. The virtual router waits in Initialize until it appears.", some(there))}
		if n := len(users[name]); n > 1 {
			w.Detail = fmt.Sprintf("There are %s. The virtual routers %s wait in Initialize until it appears.", some(there), some(users[name]))
		}
		locate(&w, d.Place(users[name][0]))
		out = append(out, w)
	}
	return out
}

// some is a list of names of which there may be thousands.
func some(names []string) string {
	if n := len(names) - maxNames; n > 1 {
		return strings.Join(names[:maxNames], ", ") + fmt.Sprintf(" and %d more", n)
	}
	return strings.Join(names, ", ")
}

// locate gives a diagnostic a place, "file:line" or "" if it is not known.
func locate(w *conf.Diagnostic, at string) {
	i := strings.LastIndex(at, ":")
	if i < 0 {
		return
	}
	w.File = at[:i]
	w.Line, _ = strconv.Atoi(at[i+1:])
	w.Summary += " (" + at + ")"
}
