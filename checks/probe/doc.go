// Package probe finds out: it carries out the runs that package checks asks for.
//
//	Pool.Probe(job) → a slot of the job's kind → one function a kind → Post(checks.Done)
//
// Runs that wait for the network have slots of their own, and so have commands
// and what looks at this host: none of them can keep the others waiting. A run
// that finds no slot within its timeout was not run, which is not a failure.
//
// None of the kinds starts a process but exec, which runs by the policy of
// actions/run. What a server sends is hostile input: everything is bounded.
package probe
