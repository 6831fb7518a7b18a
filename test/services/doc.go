// Package services tests the agents of service groups with real parts: a real
// PostgreSQL pair, a real Redis pair, a real ext4 on a loop device, real
// addresses and routes in a network namespace. DRBD is a stand-in (lab.FakeDRBD),
// because its kernel module is rarely there.
//
// Loop devices and switching users need the real root; without it the ext4
// tests are skipped, by name, and PostgreSQL runs in a user namespace of its own.
package services
