package actions

import (
	"fmt"
	"time"
)

// The claim stands between having won the election and touching exclusive
// data. VRRP decides by silence, which is a trigger and never a permission.

// fenceRetry is the pause before fencing is tried again, after every device has failed.
const fenceRetry = 10 * time.Second

type claim struct {
	peer     Peer
	granted  bool
	released bool   // the peer has said that it let go
	how      string // why it was granted
	why      string // what it waits for
	at       time.Duration
	until    time.Duration // the end of the wait for the peer
	job      uint64        // of the Fence in flight
	tries    int
}

// begin starts a claim anew.
func (c *claim) begin(now time.Duration, p Peer, wait time.Duration) {
	job := c.job
	*c = claim{peer: p, at: Never, until: now + wait, job: job}
}

// claimed reports whether exclusive data may be touched, and asks for it if not.
func (l *Ladder) claimed(now time.Duration, fx []LadderEffect) ([]LadderEffect, bool) {
	c := &l.claim
	switch {
	case c.granted:
		return fx, true
	case c.job != 0:
		return fx, false
	case c.released:
		return l.grant("the host that was Active before has let go", fx), true
	case c.peer == PeerNone:
		return l.grant("this host held it all the time", fx), true
	case c.peer == PeerReleasing && now < c.until:
		c.why, c.at = "waiting for the host that was Active before to let go", c.until
		return fx, false
	case l.spec.Safety.Mode != SafetyFence:
		return l.grant(c.risk(), fx), true
	case c.at != Never && now < c.at && c.tries > 0:
		return fx, false
	}
	l.lastJob++
	c.job, c.at, c.why = l.lastJob, Never, "fencing"
	timeout := time.Duration(0)
	for i := range l.spec.Safety.Fence {
		timeout += l.spec.Safety.Fence[i].Timeout + l.spec.Safety.Fence[i].Delay
	}
	return append(fx, LadderEffect{Kind: DoJob, Step: -1, Job: Job{Group: l.id, Job: c.job, Step: -1, Verb: Fence, Fence: l.spec.Safety.Fence,
		Name: l.spec.Name, Node: l.node, Timeout: timeout}}), false
}

// risk says on what the data is taken without protection.
func (c *claim) risk() string {
	if c.peer == PeerReleasing {
		return "the host that was Active before has not said that it let go; safety is \"none\""
	}
	return "the host that was Active before is silent; safety is \"none\""
}

func (l *Ladder) grant(how string, fx []LadderEffect) []LadderEffect {
	l.claim.granted, l.claim.how, l.claim.why, l.claim.at = true, how, "", Never
	return append(fx, LadderEffect{Kind: Note, Step: -1, Text: "exclusive data may be taken: " + how})
}

// fenced: what the devices have come to.
func (l *Ladder) fenced(now time.Duration, d *Done, fx []LadderEffect) []LadderEffect {
	c := &l.claim
	c.job = 0
	switch {
	case d.OK:
		// Confirmed off, even if nobody wants it any more: what was fenced has let go.
		fx = append(fx, LadderEffect{Kind: Note, Step: -1, How: Warn, Text: withDetail("the other host is off", d.Detail)})
		return l.grant(withDetail("the other host was fenced", d.Detail), fx)
	case d.Canceled:
		return fx
	}
	c.tries++
	c.at, c.why = now+fenceRetry, "fencing failed: "+d.Detail
	return append(fx, LadderEffect{Kind: Note, Step: -1, How: Alarm, Text: fmt.Sprintf(
		"fencing failed (try %d): %s. Nothing exclusive is touched until it succeeds; if the other host is off for certain, say so: backbeat fence --confirm", c.tries, d.Detail)})
}

// confirm takes a human's word for a fence device's.
func (l *Ladder) confirm(e Confirm, fx []LadderEffect) []LadderEffect {
	c := &l.claim
	if c.granted || !l.up {
		return fx
	}
	if c.job != 0 {
		fx = append(fx, LadderEffect{Kind: CancelJob, Step: -1, Job: Job{Group: l.id, Job: c.job}})
	}
	return l.grant("confirmed by "+e.By+": the other host is off", fx)
}

// dropClaim ends a claim that is not wanted any more, once nothing exclusive is up.
func (l *Ladder) dropClaim(want, top int, fx []LadderEffect) []LadderEffect {
	c := &l.claim
	if want > 0 || top >= l.spec.Exclusive() {
		return fx
	}
	if c.job != 0 {
		return fx // the device is at work: to stop it half-way helps nobody
	}
	c.granted, c.why, c.at = false, "", Never
	return fx
}
