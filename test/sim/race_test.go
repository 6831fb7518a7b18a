//go:build race

package sim_test

// With the race detector everything takes ten times as long.
const underRace = true
