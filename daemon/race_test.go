//go:build race

package daemon_test

// With the race detector everything takes ten times as long.
const underRace = true
