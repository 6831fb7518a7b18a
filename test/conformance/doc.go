// Package conformance keeps docs/conformance.md true: the list of what VRRP
// asks for, and for each row the tests that prove it.
//
// A test proves a row by its name (TestW4_…, TestA10_A11_…) or by a comment
// within it or above it that says "conformance: W4, W5". The rows are in
// rows.txt. After adding a test or a marker, run
//
//	go test ./test/conformance -update
package conformance
