// Command bench measures what clients lose and what the daemon costs, side by
// side with keepalived in one run, and prints one figure a line and then tables.
// Run it with `make bench` on a machine that does nothing else; the client's own
// worst stall is printed beside what it measured.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "hog" {
		hog()
	}
	// On a host of the lab, this program plays the services that checks ask.
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		if err := serve(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench serve:", err)
			os.Exit(1)
		}
		return
	}
	lab.Main(lab.Options{Binary: true, Root: true}, run)
}

// options are the flags.
type options struct {
	runs  []int
	kinds string
	scale scaleOptions
	sizes []int
	limit time.Duration
}

// parts are what can be measured, in the order of the default.
var parts = []struct {
	name string
	do   func(o *options, end time.Time) error
}{
	{"failover", func(o *options, end time.Time) error { return failovers(o.runs, end) }},
	{"yields", func(o *options, end time.Time) error { return yields(o.runs[0], end) }},
	{"restarts", restarts},
	{"checks", func(o *options, end time.Time) error { return checkCosts(o.kinds, end) }},
	{"many", func(_ *options, end time.Time) error { return many(end) }},
	{"memory", func(_ *options, end time.Time) error { return memory(end) }},
	{"addresses", func(o *options, end time.Time) error { return addresses(o.sizes, o.scale.realTime, end) }},
	{"macs", func(_ *options, end time.Time) error { return macs(end) }},
	{"lifetime", func(_ *options, end time.Time) error { return lifetimes(end) }},
	{"jitter", func(_ *options, end time.Time) error { return jitter(end) }},
	{"scale", func(o *options, end time.Time) error { return scale(o.scale, end) }},
	{"lines", func(*options, time.Time) error { return countLines(".") }},
}

func run() int {
	var names []string
	for _, p := range parts {
		names = append(names, p.name)
	}
	o := &options{}
	runs := flag.String("runs", "5,7,7", "runs of each failover at 1 s, 100 ms and 10 ms")
	only := flag.String("only", strings.Join(names, ","), "what to measure")
	flag.StringVar(&o.kinds, "kinds", "", "of -only checks: the kinds to measure, separated by commas; empty: all")
	sizes := flag.String("addresses", "1,100,1000,5000", "of -only addresses: how many addresses")
	routers := flag.String("routers", "1000,4000", "of -only scale: how many virtual routers")
	intervals := flag.String("intervals", "1s,100ms", "of -only scale: their intervals")
	flag.DurationVar(&o.scale.window, "window", time.Minute, "of -only scale: how long the steady state is watched")
	flag.StringVar(&o.scale.daemons, "daemons", "", "of -only scale: backbeat or keepalived; empty: both")
	realTime := flag.String("realtime", "auto", "of -only scale and addresses: run the daemons under SCHED_RR: yes, no, or auto, where it is allowed")
	flag.DurationVar(&o.limit, "limit", 2*time.Hour, "give up after this long")
	flag.Parse()
	if why := lab.Unavailable(); why != "" {
		fmt.Fprintln(os.Stderr, "bench:", why)
		return 1
	}
	var err [4]error
	o.runs, err[0] = numbers(*runs)
	o.sizes, err[1] = numbers(*sizes)
	o.scale.routers, err[2] = numbers(*routers)
	for _, word := range strings.Split(*intervals, ",") {
		d, e := time.ParseDuration(word)
		o.scale.intervals, err[3] = append(o.scale.intervals, d), errors.Join(err[3], e)
	}
	if len(o.runs) != 3 {
		err[0] = fmt.Errorf("-runs %s: want three numbers like 5,7,7", *runs)
	}
	if why := noRealTime(); *realTime == "auto" && why != "" {
		fmt.Printf("# the daemons are not run in real time: %s\n", why)
	} else {
		o.scale.realTime = *realTime != "no"
	}
	if err := errors.Join(errors.Join(err[:]...), measure(o, *only)); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

func measure(o *options, only string) error {
	end := time.Now().Add(o.limit)
	for _, word := range strings.Split(only, ",") {
		i := slices.IndexFunc(parts, func(p struct {
			name string
			do   func(o *options, end time.Time) error
		}) bool {
			return p.name == word
		})
		if i < 0 {
			return fmt.Errorf("-only %s: there is no such measurement; see -help", word)
		}
		if err := parts[i].do(o, end); err != nil {
			return err
		}
	}
	return nil
}

func numbers(text string) ([]int, error) {
	var out []int
	for _, word := range strings.Split(text, ",") {
		n, err := strconv.Atoi(word)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q: want numbers, separated by commas", text)
		}
		out = append(out, n)
	}
	return out, nil
}
