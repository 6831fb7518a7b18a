// Package vrrp is the protocol: the codec of RFC 9568 advertisements, their
// validation, and Router, the election as a value.
//
// The package is pure. It opens nothing, reads no clock, starts no goroutine,
// holds no lock and logs nothing: time comes in as an argument, and what should
// happen in the world comes out as a list of effects. A Router is used from one
// goroutine; in the daemon that is the loop (package daemon), in a test it is
// the test, in the simulated LAN it is the simulator.
//
// A complete round of use:
//
//	r := vrrp.New(spec)
//	fx := r.Step(now, vrrp.LinkState{Source: primary}, nil) // Startup: Backup or Active
//	for {
//		wait until r.Deadline(), or a packet that vrrp.ParseIP accepts
//		if drop := vrrp.Validate(&datagram, spec.VRID, &advert); drop == vrrp.Accepted {
//			fx = r.Step(now, &vrrp.Received{...}, fx[:0])
//		}
//		fx = r.Step(now, vrrp.Timeout{}, fx[:0]) // harmless when nothing is due
//		carry out fx, in order
//	}
//
// Instants are time.Duration values on one monotonic clock that never steps
// (the daemon uses CLOCK_BOOTTIME, so that a suspended machine notices its
// sleep); only differences have a meaning. Intervals are time.Duration
// everywhere; centiseconds exist in the codec alone.
//
// Section numbers are those of RFC 9568 unless another RFC is named. Tests are
// named by the numbers of the conformance list (W1, T5, A3 …) that
// docs/conformance.md explains.
package vrrp
