// Package chaos lets random faults fall on real daemons in namespaces of the real
// kernel, and judges by what an observer sees who asks the kernels and listens at
// the switch, never by the daemons' own word.
//
// A run is drawn from its seed: how many routers, with or without virtual MACs,
// preemption and a service group, and rounds of one to three faults at a time. After
// each round everything is healed and must come to rest; after all of them the
// daemons are stopped and the hosts must be as they were. The kernel and the
// scheduler have no seed, so a run that is repeated does the same things to the
// daemons at the same times, and not always with the same outcome.
//
//	go test ./test/chaos -faults 500 -first-seed 1000 -v
//	go test ./test/chaos -run TestChaos -seed 4711 -v
//
// What the bounds are and why is the table of docs/faults.md.
package chaos
