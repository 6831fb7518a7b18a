package main

import (
	"bufio"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/backbeat-ha/backbeat/conf"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/daemon/control"
	"github.com/backbeat-ha/backbeat/daemon/play"
)

// longestPlay bounds --until: an hour of a router that speaks every second takes a second.
const longestPlay = 7 * 24 * time.Hour

// simulation is what `simulate --output json` prints.
type simulation struct {
	Schema int `json:"schema_version"`
	// OK: there are no findings.
	OK bool `json:"ok"`
	play.Result
}

// simulateFlags are the options of the verb.
type simulateFlags struct {
	nodes     []string
	until     string
	seed      uint64
	allChecks bool
	json      bool
	given     []play.Given
}

func (t *tool) simulateVerb() *cobra.Command {
	c := &cobra.Command{
		Use:   "simulate [FILE|DIR]...",
		Short: "Play faults on a simulated LAN: who would hold what, when and why",
		Long: `Take the configurations of all hosts, let the daemon's own code run on each of
them in virtual time on a simulated LAN, let the named faults happen, and print
who held which address when, and why, how long nobody or several did, and how
everything is at the end. No daemon is needed, and nothing is changed.

Hosts are named as for check: one FILE for each, or one with several --node
names. Times count from the start of all daemons: 10s, 1m30s, 250ms; a range like
10s..30s says when a fault ends, one time alone that it lasts. Options for faults
may be repeated. Checks are healthy where nothing else is said; those that look
at an interface see the simulated one.

Exit status: 0 done; 1 a finding: an address that nobody or several hold at the
end, a service group that is up nowhere then, stuck, or unfit on a host, a standby
or move that was not fulfilled, exclusive data that two hosts had up, or with
--all-checks a failure that cannot move the address; 2 wrong use.`,
		Example: `  backbeat simulate --node web1,web2 web.hcl --fail web1@10s..60s
  backbeat simulate --node web1,web2 web.hcl --check site=failing@web1@20s
  backbeat simulate fw1.hcl fw2.hcl --cut fw1-fw2@30s..40s --link eth0@fw1@60s
  backbeat simulate --node web1,web2 web.hcl --all-checks`,
	}
	var f simulateFlags
	output := outputFlag(c)
	more := c.Flags().StringArrayP("config", "c", nil, "the configuration, as for run: the same as `FILE` without -c")
	c.Flags().StringSliceVar(&f.nodes, "node", nil, "take the file as the node `NAME` reads it; several names, separated by commas, are several hosts")
	c.Flags().StringVar(&f.until, "until", "", "end at this `TIME` (default: when all has settled after the last fault)")
	c.Flags().Uint64Var(&f.seed, "seed", 1, "what chance decides (delays, clocks); the same seed gives the same play")
	c.Flags().BoolVar(&f.allChecks, "all-checks", false, "and show who serves for every combination of check results")
	for _, k := range play.Kinds() {
		c.Flags().Var(&faultFlag{k, &f.given}, k.Name, k.Help)
	}
	c.RunE = func(_ *cobra.Command, args []string) error {
		if args = append(slices.Clone(*more), args...); len(args) == 0 {
			args = []string{defaultConfig}
		}
		f.json = output.json()
		return t.simulate(args, &f)
	}
	return c
}

// faultFlag is the option for one kind of fault, which may be repeated.
type faultFlag struct {
	kind  play.Kind
	given *[]play.Given
}

func (f *faultFlag) String() string { return "" }

// Type is how it is written, for the help.
func (f *faultFlag) Type() string { return f.kind.Form }

// Set takes one more; it is read when all are known.
func (f *faultFlag) Set(s string) error {
	*f.given = append(*f.given, play.Given{Kind: f.kind.Name, Value: s})
	return nil
}

func (t *tool) simulate(paths []string, f *simulateFlags) error {
	cfgs, notes, err := t.loadAll(paths, f.nodes)
	if err != nil {
		return err
	}
	until, err := untilOf(f.until)
	errs := []error{err}
	faults, wrong := play.Parse(cfgs, f.given, until)
	if err := together(append(errs, wrong...)); err != nil {
		return err
	}
	progress := t.progress()
	r, err := play.Run(play.Options{Hosts: cfgs, Faults: faults, Until: until, Seed: f.seed,
		Progress: func(done, of time.Duration) { progress("playing", int(done), int(of)) }})
	if err != nil {
		return failed(fmt.Errorf("the simulation found a fault in backbeat itself, please report it with the files and --seed %d: %w", f.seed, err))
	}
	r.Notes = append(notes, r.Notes...)
	if f.allChecks {
		tables, findings, err := play.Combinations(cfgs, f.seed, func(done, of int) { progress("combining check results", done, of) })
		if err != nil {
			return failed(err)
		}
		r.Tables, r.Findings = tables, append(r.Findings, findings...)
	}
	progress("", 0, 0)
	s := &simulation{Schema: control.SchemaVersion, OK: len(r.Findings) == 0, Result: *r}
	if f.json {
		err = t.printJSON(s)
	} else {
		w := bufio.NewWriter(t.out)
		p := &playPrinter{look: t.look, width: t.width, w: w, r: r}
		p.all()
		err = failed(w.Flush())
	}
	if err == nil && !s.OK {
		return failure{}
	}
	return err
}

// loadAll reads the configurations of all hosts, and notes what is to be said of them.
func (t *tool) loadAll(paths, nodes []string) (cfgs []*daemon.Config, notes []string, err error) {
	hosts, err := pairUp(paths, nodes)
	if err != nil {
		return nil, nil, err
	}
	notes = []string{}
	var from []*conf.Diagnostics
	var bad []error
	names := map[string]bool{}
	for _, h := range hosts {
		cfg, d, err := t.load(h.path, h.node)
		switch {
		case err != nil:
			bad = append(bad, err)
		case cfg == nil:
			if err := d.WriteText(t.err, t.errWidth, t.errColor); err != nil {
				return nil, nil, failed(err)
			}
			bad = append(bad, fmt.Errorf("%s has errors, see above", h.path))
		case names[cfg.Node]:
			bad = append(bad, fmt.Errorf("two hosts are called %q: name them in the order of their files, --node web1,web2", cfg.Node))
		default:
			names[cfg.Node] = true
			cfgs, from = append(cfgs, cfg), append(from, d)
		}
	}
	if err := together(bad); err != nil {
		return nil, nil, err
	}
	if len(cfgs) == 1 {
		notes = append(notes, fmt.Sprintf("There is one host, %s. Several read one file with --node web1,web2.", cfgs[0].Node))
	}
	if n := len(conf.CheckPair(cfgs, from).List()); n > 0 {
		notes = append(notes, fmt.Sprintf("`backbeat check` has %s on how these hosts fit together.", plural(n, "remark")))
	}
	return cfgs, notes, nil
}

// untilOf reads --until.
func untilOf(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 || d > longestPlay {
		return 0, fmt.Errorf("--until %s: it is a time like 90s or 10m, and a week at most", s)
	}
	return d, nil
}

// together makes one error of all.
func together(errs []error) error {
	errs = slices.DeleteFunc(errs, func(e error) bool { return e == nil })
	switch len(errs) {
	case 0:
		return nil
	case 1:
		return errs[0]
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%d errors:", len(errs))
	for _, e := range errs {
		b.WriteString("\n  " + e.Error())
	}
	return errors.New(b.String())
}

// patience is how long something may take before it is shown how far it is.
const patience = 300 * time.Millisecond

// progress returns a function that shows on a terminal how far something is, if
// it takes long; without what it clears the line.
func (t *tool) progress() func(what string, done, of int) {
	if t.errWidth == 0 {
		return func(string, int, int) {}
	}
	shown, last, began := 0, "", time.Now()
	return func(what string, done, of int) {
		text := ""
		if what != "" && of > 0 {
			text = fmt.Sprintf("%s: %d%%", what, int(float64(done)/float64(of)*100))
		}
		if text == last || text != "" && time.Since(began) < patience {
			return
		}
		last = text
		fmt.Fprintf(t.err, "\r%s%s\r", text, strings.Repeat(" ", max(0, shown-len(text))))
		shown = len(text)
	}
}
