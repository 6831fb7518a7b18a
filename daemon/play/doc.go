// Package play shows what a group of hosts does: it puts the real
// configurations of all of them on a simulated LAN (daemon/simlan), lets named
// faults happen at named times, and tells who held which address when, and why.
// The reasons are the daemon's own: its loop runs on every host.
//
//	faults, errs := play.Parse(cfgs, []play.Given{{"fail", "web1@10s..30s"}})
//	result, err := play.Run(play.Options{Hosts: cfgs, Faults: faults, Seed: 1})
//	tables := play.Combinations(cfgs, seed, nil)
//
// Parts: fault.go (the kinds of faults), parse.go (what people write), order.go
// (faults that contradict each other), service.go (which virtual routers and
// interfaces of the hosts belong together), cast.go (the hosts' own addresses),
// stage.go (the play), holders.go (who has an address), result.go (what is told),
// table.go, outcome.go and remedy.go (every combination of check results).
//
// The package reads no file and no clock, and prints nothing.
package play
