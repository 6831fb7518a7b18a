// Package checks knows whether this host can do the job, and what that means
// for a priority. It is pure: it starts nothing and reads no clock.
//
//   - Spec and Probe say what to find out, how often and how surely (spec.go, kinds.go).
//   - Check is the machine: it says when to run, and makes a verdict of the
//     results: rise, fall, streaks, late runs (check.go).
//   - Dependency and Effective turn verdicts into a priority (priority.go).
//
// How each kind finds out is in checks/probe. The daemon's loop owns the Checks,
// hands their Jobs to a pool and gives the Results back.
package checks
