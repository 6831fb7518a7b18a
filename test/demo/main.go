// Command demo shows the main job on this machine, on real packets and without
// root: two hosts share an address, a client asks it for an answer two thousand
// times a second, and the host that holds it is killed, cut off and asked to
// stop. It ends with a table and, if any takeover did not happen, with exit
// status 1. Run it with `make demo`.
package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/backbeat-ha/backbeat/test/lab"
)

func main() { lab.Main(lab.Options{Binary: true}, run) }

// The demo's numbers; the rest is in the configuration file.
const (
	configFile = "examples/demo/demo.hcl"
	router     = "demo"
	interval   = time.Second
	// limit is far above the half minute it takes.
	limit = 90 * time.Second
)

func run() int {
	out := newShow(os.Stdout, term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == "")
	if why := lab.Unavailable(); why != "" {
		out.complain("The demo needs namespaces of its own, which this machine does not give to everybody.\n" + why)
		return 1
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	d, err := newDemo(ctx, out)
	if err != nil {
		out.complain(err.Error())
		return 1
	}
	defer d.lab.Close()
	if err := d.play(ctx); err != nil {
		out.complain(err.Error())
		d.logs()
		return 1
	}
	if !out.table(d.results) {
		return 1
	}
	return 0
}

// demo is the hosts, what the client sees, and what was measured so far. It is
// used from one goroutine.
type demo struct {
	lab     *lab.Lab
	out     *show
	routers []*node
	// probes are the client's, one for each family.
	probes  []*lab.Probe
	targets []netip.Addr
	// answers is who answered each probe when last looked at.
	answers []string
	results []result
}

// node is one of the two routers.
type node struct {
	*lab.Host
	daemon   *lab.Backbeat
	priority int
	state    string
}

func newDemo(ctx context.Context, out *show) (*demo, error) {
	config, err := os.ReadFile(configFile)
	if err != nil {
		return nil, fmt.Errorf("read the demo's configuration (run it from the top of the repository): %w", err)
	}
	l, err := lab.New(lab.Plan{Hosts: []string{"r1", "r2", "client"}})
	if err != nil {
		return nil, err
	}
	d := &demo{
		lab: l, out: out, answers: make([]string, 2),
		targets: []netip.Addr{netip.MustParseAddr("10.77.0.100"), netip.MustParseAddr("fd77::100")},
	}
	for i, name := range []string{"r1", "r2"} {
		n := &node{Host: l.Host(name), priority: []int{150, 100}[i]}
		if n.daemon, err = n.Backbeat(string(config), "BACKBEAT_INTERVAL="+interval.String()); err != nil {
			return nil, err
		}
		d.routers = append(d.routers, n)
	}
	for _, target := range d.targets {
		p, err := l.Host("client").Probe(lab.ProbeSpec{Target: target})
		if err != nil {
			return nil, err
		}
		d.probes = append(d.probes, p)
	}
	out.intro(d.targets)
	return d, nil
}

// logs shows what the daemons said, when something went wrong.
func (d *demo) logs() {
	for _, n := range d.routers {
		d.out.log(n.Name, n.daemon.Log())
	}
}
