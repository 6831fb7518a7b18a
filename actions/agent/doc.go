// Package agent is the hands of service groups: for each kind of step one file
// that can start, stop and look at it, and say clearly what it found.
//
// Every job is answered by one actions.Done, whatever happens to it. Jobs of
// one step never overlap. Nothing here decides what should be up: that is
// actions.Ladder.
package agent
