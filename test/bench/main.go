// Command bench measures what clients lose and what the daemon costs, side by
// side with keepalived in one run, and prints one figure a line and then tables.
// Run it with `make bench` on a machine that does nothing else; the client's own
// worst stall is printed beside what it measured.
package main

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/test/lab"
)

func main() {
	// On a host of the lab, this program plays the services that checks ask.
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		if err := serve(os.Args[2:]); err != nil {
			fmt.Fprintln(os.Stderr, "bench serve:", err)
			os.Exit(1)
		}
		return
	}
	lab.Main(lab.Options{Binary: true}, run)
}

func run() int {
	runs := flag.String("runs", "5,7,7", "runs of each failover at 1 s, 100 ms and 10 ms")
	only := flag.String("only", "failover,yields,checks,many,memory,addresses,macs,lifetime,lines", "what to measure")
	kinds := flag.String("kinds", "", "of -only checks: the kinds to measure, separated by commas; empty: all")
	limit := flag.Duration("limit", 30*time.Minute, "give up after this long")
	flag.Parse()
	if why := lab.Unavailable(); why != "" {
		fmt.Fprintln(os.Stderr, "bench:", why)
		return 1
	}
	if err := measure(*runs, *only, *kinds, *limit); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	return 0
}

func measure(runs, only, kinds string, limit time.Duration) error {
	counts, err := numbers(runs)
	if err != nil {
		return err
	}
	end := time.Now().Add(limit)
	for _, part := range strings.Split(only, ",") {
		switch part {
		case "failover":
			err = failovers(counts, end)
		case "yields":
			err = yields(counts[0], end)
		case "checks":
			err = checkCosts(kinds, end)
		case "many":
			err = many(end)
		case "memory":
			err = memory(end)
		case "addresses":
			err = addresses(end)
		case "macs":
			err = macs(end)
		case "lifetime":
			err = lifetimes(end)
		case "lines":
			err = countLines(".")
		default:
			err = fmt.Errorf("-only %s: know failover, yields, checks, many, memory, addresses, macs, lifetime and lines", part)
		}
		if err != nil {
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
			return nil, fmt.Errorf("-runs %s: want three numbers like 5,7,7", text)
		}
		out = append(out, n)
	}
	if len(out) != 3 {
		return nil, fmt.Errorf("-runs %s: want three numbers like 5,7,7", text)
	}
	return out, nil
}
