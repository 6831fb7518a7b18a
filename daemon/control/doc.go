// Package control is the operator's door to a running daemon: HTTP with JSON on
// a unix socket. Server serves it, Client talks to it, and the types in
// answer.go are the documented schema (docs/json.md).
//
// Who may do what is decided from the peer's credentials as the kernel tells
// them: root, the daemon's own user and the members of one group may read;
// only root and the daemon's own user may change anything.
//
// The server never makes the loop wait: it posts a query with a buffered reply
// channel, and it asks for the status in pages, so that the loop copies little
// per turn. Encoding, and everything else that takes time, happens here.
package control
