package actions

import (
	"fmt"
	"time"
)

// The claim stands between having won the election and touching exclusive
// data. VRRP decides by silence, which is a trigger and never a permission.

// fenceRetry is the pause before fencing is tried again, after every device has failed.
const fenceRetry = 10 * time.Second

const released = "the host that was Active before has let go"

type claim struct {
	peer     Peer
	granted  bool
	released bool   // the peer has said that it let go
	doubted  bool   // somebody may have let go by hand, in maintenance
	how      string // why it was granted
	why      string // what it waits for
	at       time.Duration
	word     time.Duration // the end of the wait for a word of a silent one
	until    time.Duration // the end of the wait for the peer
	job      uint64        // of the Fence in flight
	canceled bool          // it has been
	tries    int
}

// begin starts a claim anew, or keeps what was granted and forgets the grounds.
func (c *claim) begin(now time.Duration, p Peer, wait time.Duration, keep bool) {
	old := *c
	*c = claim{peer: p, at: Never, until: now + wait, job: old.job, canceled: old.canceled}
	if keep {
		c.granted, c.how = true, old.how
	}
}

// entitled reports whether the claim is granted, or will be without a wait or a device.
func (c *claim) entitled() bool { return c.granted || c.released || c.peer == PeerNone }

// claimed reports whether exclusive data may be touched, and asks for it if not.
func (l *Ladder) claimed(now time.Duration, fx []LadderEffect) ([]LadderEffect, bool) {
	c := &l.claim
	switch {
	case c.granted:
		return fx, true
	case c.job != 0:
		return fx, false
	case c.released:
		return l.grant(released, fx), true
	case c.peer == PeerNone:
		return l.grant("this host held it all the time", fx), true
	case c.peer == PeerReleasing && now < c.until:
		c.why, c.at = "waiting for the host that was Active before to let go", c.until
		return fx, false
	case c.peer == PeerSilent && now < c.word:
		c.why, c.at = "waiting a moment for a word of the other host", c.word
		return fx, false
	case l.spec.Safety.Mode != SafetyFence:
		return l.grant(c.risk(), fx), true
	case c.tries > 0 && now < c.at:
		return fx, false
	}
	l.lastJob++
	c.job, c.canceled, c.at, c.why = l.lastJob, false, Never, "fencing"
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
	l.claim.granted, l.claim.how, l.claim.why, l.claim.at, l.claim.tries = true, how, "", Never, 0
	return append(fx, LadderEffect{Kind: Note, Step: -1, Text: "exclusive data may be taken: " + how})
}

// fenced: what the devices have come to.
func (l *Ladder) fenced(now time.Duration, d *Done, fx []LadderEffect) []LadderEffect {
	c := &l.claim
	canceled := c.canceled
	c.job, c.canceled = 0, false
	switch {
	case c.granted && d.OK:
		return append(fx, LadderEffect{Kind: Note, Step: -1, How: Warn, Text: withDetail("the other host is off", d.Detail)})
	case c.granted:
		return fx // by a human, or by the other host
	case d.OK:
		// Confirmed off, even if nobody wants it any more: what was fenced has let go.
		fx = append(fx, LadderEffect{Kind: Note, Step: -1, How: Warn, Text: withDetail("the other host is off", d.Detail)})
		return l.grant(withDetail("the other host was fenced", d.Detail), fx)
	case canceled, !l.up:
		return fx // it is wanted anew, or not at all
	}
	c.tries++
	c.at, c.why = now+fenceRetry, withDetail("fencing failed", d.Detail)
	return append(fx, LadderEffect{Kind: Note, Step: -1, How: Alarm, Text: fmt.Sprintf(
		"%s (try %d). Nothing exclusive is touched until it succeeds; if the other host is off for certain, say so: backbeat fence --confirm", c.why, c.tries)})
}

// letGo: the other host has said that it has nothing exclusive any more. To
// fence it then would do harm for nothing.
func (l *Ladder) letGo(fx []LadderEffect) []LadderEffect {
	c := &l.claim
	if !l.up {
		return fx // an answer to nothing; the next claim asks again
	}
	c.released = true
	if c.job == 0 || c.granted {
		return fx
	}
	return l.grant(released, l.cancelFence(fx))
}

func (l *Ladder) cancelFence(fx []LadderEffect) []LadderEffect {
	c := &l.claim
	if c.job == 0 || c.canceled {
		return fx
	}
	c.canceled = true
	return append(fx, LadderEffect{Kind: CancelJob, Step: -1, Job: Job{Group: l.id, Job: c.job}})
}

// confirm takes a human's word for a fence device's.
func (l *Ladder) confirm(e Confirm, fx []LadderEffect) []LadderEffect {
	c := &l.claim
	if c.granted || !l.up {
		return fx
	}
	return l.grant("confirmed by "+e.By+": the other host is off", l.cancelFence(fx))
}

// dropClaim ends a claim that is not wanted any more, once nothing exclusive is up.
func (l *Ladder) dropClaim() {
	c := &l.claim
	if l.up && !l.leaving || l.holds() || c.job != 0 { // to stop a device half-way helps nobody
		return
	}
	c.granted, c.why, c.at = false, "", Never
}

// Holds reports whether this host has exclusive data, or may have it.
func (l *Ladder) Holds() bool { return l.holds() }

// holds reports whether this host has exclusive data, or may have it.
func (l *Ladder) holds() bool {
	for i := range l.steps {
		if r := &l.steps[i]; r.state != Down && r.spec.Agent.Exclusive() {
			return true
		}
	}
	return false
}
