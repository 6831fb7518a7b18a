// Package interop lets backbeat and keepalived share an address and fail over
// in both directions, over IPv4 and IPv6. There is nothing here but tests. A
// missing keepalived skips them by name, and fails where CI=true or
// BACKBEAT_REQUIRE_PEERS=1.
package interop
