// Package checks is the room for health: checks that know whether this host can
// do the job, and how they change a router's effective priority. Nothing stands
// in it yet; its door into the election is vrrp.SetPriority.
//
// Like package vrrp it is to be pure, and the import law in test/law holds for
// it from the first line.
package checks
