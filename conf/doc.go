// Package conf turns HCL text into the plain, validated daemon.Config that the
// daemon runs, or into diagnostics that say where a mistake is and what to do
// about it. It is strict (an unknown name is an error), it reports everything
// it finds in one run, and it never returns a half-good configuration: Load
// gives a Config or errors, not both.
//
// One table (table.go) describes every block and argument: the decoder reads
// names, types, defaults and limits from it, and docs/configuration.md is
// generated from it. What a table cannot say (that a VRID is free, that an
// address is given once) is in router.go, address.go and cross.go; hosts are
// checked against each other in pair.go.
//
// Only ReadFiles touches the file system; the environment comes in through
// Options. Nothing here keeps state, so everything may be used from any
// goroutine, except that one Diagnostics value belongs to one goroutine.
// Parsing thousands of routers takes tenths of a second of processor time: do
// it off the daemon's loop.
package conf
