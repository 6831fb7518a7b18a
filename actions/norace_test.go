//go:build !race

package actions_test

const underRace = false
