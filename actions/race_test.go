//go:build race

package actions_test

// With the race detector everything takes ten times as long.
const underRace = true
