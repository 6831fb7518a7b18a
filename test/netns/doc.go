// Package netns holds scenarios with the real binary, the real kernel and real
// packets, in network namespaces that the tests make themselves. There is
// nothing here but tests; see package lab for the hosts and the client.
//
// A comment "conformance: W1, W2" above a test names the rows of the list in
// docs/conformance.md that it proves on the wire.
package netns
