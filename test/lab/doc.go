// Package lab makes several hosts on one machine, without root: network
// namespaces inside a user namespace, joined by bridges, with cables that can
// be pulled, a client that measures what it loses, and a sniffer that decodes
// what is on the wire independently of the code under test.
//
//	func TestMain(m *testing.M) { lab.Main(lab.Options{Binary: true}, m.Run) }
//
//	l, err := lab.New(lab.Plan{Hosts: []string{"r1", "r2", "client"}})
//	defer l.Close()
//	d := l.Host("r1").Backbeat(config)
//	err = d.Start(ctx)
//	p, err := l.Host("client").Probe(lab.ProbeSpec{Target: vip})
//	fault := lab.Now()
//	err = l.Host("r1").Cut()
//
// Nothing outside the namespaces is touched. Main runs the program again as
// the root of a new user, mount and network namespace; every process that is
// started inside dies with the thread that started it, so nothing is left
// behind even if the test is killed.
//
// All instants are CLOCK_MONOTONIC, as time.Duration (Now), so that what the
// client, the sniffer and the test saw can be compared to the microsecond.
package lab
