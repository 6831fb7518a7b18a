package announce

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

var start = time.Unix(1000, 0)

// rig is a schedule whose frames are single bytes and whose sender notes what left when.
type rig struct {
	*schedule
	now     time.Time
	log     []string
	answers []actions.Announced
	errs    []error // for the next piece
	lost    int     // an interface that is gone
	bursts  []int   // frames per burst
}

func newRig() *rig { return &rig{schedule: newSchedule(newClaims()), now: start} }

func announcement(router actions.RouterID, addresses int) actions.Announcement {
	return actions.Announcement{Router: router, Term: 1, Targets: []actions.AnnounceTarget{target(2, addresses)}}
}

func target(link, addresses int) actions.AnnounceTarget {
	t := actions.AnnounceTarget{Link: link, MAC: [6]byte{2, 0, 0, 0, 0, 1}}
	for i := range addresses {
		t.Addresses = append(t.Addresses, netip.AddrFrom4([4]byte{10, byte(link), byte(i >> 8), byte(i)}))
	}
	return t
}

func (r *rig) announce(a actions.Announcement) { r.add(compose(&a), r.now) }

// run advances time from wake to wake until a moment.
func (r *rig) run(until time.Duration) {
	for {
		frames := 0
		for _, p := range r.burst(r.now) {
			frames += len(p.items)
			r.log = append(r.log, fmt.Sprintf("%v router %d round %d: %d", r.now.Sub(start), p.router, p.number, len(p.items)))
			for i := range p.items {
				if p.items[i].link == r.lost {
					r.errs = slices.Grow(r.errs, len(p.items))[:len(p.items)]
					r.errs[i] = errGone
				}
			}
			if a := r.sent(p, r.errs, r.now); a != nil {
				r.answers = append(r.answers, *a)
			}
			r.errs = nil
		}
		if frames > 0 {
			r.bursts = append(r.bursts, frames)
		}
		at, some := r.wake()
		if !some || at.After(start.Add(until)) {
			r.now = start.Add(until)
			return
		}
		if at.After(r.now) {
			r.now = at
		}
	}
}

func (r *rig) expect(t *testing.T, want ...string) {
	t.Helper()
	if !slices.Equal(r.log, want) {
		t.Errorf("what left:\n\t%s\nwant:\n\t%s", strings.Join(r.log, "\n\t"), strings.Join(want, "\n\t"))
	}
	r.log = nil
}

func TestRoundsRepeatsAndRefresh(t *testing.T) {
	r := newRig()
	a := announcement(1, 3)
	a.Schedule = actions.AnnounceSpec{Repeat: 2, Delay: time.Second, Refresh: time.Minute}
	r.announce(a)
	r.run(130 * time.Second)
	r.expect(t, "0s router 1 round 0: 3", "1s router 1 round 1: 3", "2s router 1 round 2: 3",
		"1m2s router 1 round 3: 3", "2m2s router 1 round 4: 3")
	if len(r.answers) != 1 || r.answers[0] != (actions.Announced{Router: 1, Term: 1, ARP: 3}) {
		t.Errorf("answers %+v", r.answers)
	}
	if r.links[2] != 1 {
		t.Errorf("links in use: %v", r.links)
	}
	r.cancel(1)
	r.run(time.Hour)
	r.expect(t)
	if len(r.links) != 0 || len(r.running) != 0 || len(r.later) != 0 {
		t.Errorf("left over: %v %v %v", r.links, r.running, r.later)
	}
}

func TestWithoutRefreshItEnds(t *testing.T) {
	r := newRig()
	a := announcement(1, 1)
	a.Schedule = actions.AnnounceSpec{Repeat: 1, Delay: time.Second}
	r.announce(a)
	r.run(time.Hour)
	r.expect(t, "0s router 1 round 0: 1", "1s router 1 round 1: 1")
	if _, some := r.wake(); some || len(r.links) != 0 || len(r.running) != 0 {
		t.Errorf("left over: %v %v", r.links, r.running)
	}
}

func TestOnceLeavesTheScheduleAlone(t *testing.T) {
	r := newRig()
	a := announcement(1, 1)
	a.Schedule = actions.AnnounceSpec{Refresh: 10 * time.Second}
	r.announce(a)
	r.run(4 * time.Second)
	a.Once, a.Term = true, 2
	r.announce(a)
	r.run(21 * time.Second)
	r.expect(t, "0s router 1 round 0: 1", "4s router 1 round 0: 1", "10s router 1 round 1: 1", "20s router 1 round 2: 1")
	if len(r.answers) != 2 || r.answers[1].Term != 2 {
		t.Errorf("answers %+v", r.answers)
	}
}

func TestANewAnnouncementReplacesTheOld(t *testing.T) {
	r := newRig()
	a := announcement(1, 1)
	a.Schedule = actions.AnnounceSpec{Refresh: 10 * time.Second}
	r.announce(a)
	r.announce(a) // before the first one has left
	r.run(5 * time.Second)
	r.announce(a)
	r.run(20 * time.Second)
	r.expect(t, "0s router 1 round 0: 1", "5s router 1 round 0: 1", "15s router 1 round 1: 1")
	if len(r.answers) != 2 || r.links[2] != 1 {
		t.Errorf("answers %+v, links %v", r.answers, r.links)
	}
}

func TestPacing(t *testing.T) {
	r := newRig()
	for i := range 5000 {
		r.announce(announcement(actions.RouterID(i), 1))
	}
	r.run(time.Second)
	if len(r.answers) != 5000 {
		t.Fatalf("%d answers", len(r.answers))
	}
	for i, n := range r.bursts {
		if n > burstFrames {
			t.Errorf("burst %d has %d frames", i, n)
		}
	}
	if got, want := len(r.bursts), (5000+burstFrames-1)/burstFrames; got != want {
		t.Errorf("%d bursts, want %d", got, want)
	}
	// 79 bursts, 78 pauses.
	if took := r.answers[4999].Took; took != 78*burstPause {
		t.Errorf("the last one after %v", took)
	}
}

func TestFirstRoundsGoBeforeRepetitions(t *testing.T) {
	r := newRig()
	many := announcement(1, 200)
	many.Schedule = actions.AnnounceSpec{Repeat: 1, Delay: time.Second}
	r.announce(many)
	r.run(time.Second)
	r.log, r.answers = nil, nil
	// The first burst of the repetition has left, and another router moves: its
	// 70 frames go first, then the repetition is finished.
	r.now = start.Add(time.Second)
	r.announce(announcement(2, 70))
	r.run(2 * time.Second)
	r.expect(t,
		"1.001s router 2 round 0: 64",
		"1.002s router 2 round 0: 6", "1.002s router 1 round 1: 58",
		"1.003s router 1 round 1: 64",
		"1.004s router 1 round 1: 14")
}

func TestLateRoundsAreNotMadeUpFor(t *testing.T) {
	r := newRig()
	a := announcement(1, 1)
	a.Schedule = actions.AnnounceSpec{Refresh: 10 * time.Second}
	r.announce(a)
	r.run(0)
	r.now = start.Add(95 * time.Second) // nobody ran for that long
	r.run(120 * time.Second)
	r.expect(t, "0s router 1 round 0: 1", "1m35s router 1 round 1: 1", "1m45s router 1 round 2: 1", "1m55s router 1 round 3: 1")
}

func TestErrorsAreReportedWithTheFirstRound(t *testing.T) {
	r := newRig()
	a := announcement(1, 3)
	a.Targets[0].Addresses[2] = netip.MustParseAddr("2001:db8::1")
	a.Schedule = actions.AnnounceSpec{Repeat: 1, Delay: time.Second}
	r.announce(a)
	down := errors.New("the link is down")
	r.errs = []error{nil, down, nil}
	r.run(0)
	r.errs = []error{down, down, down}
	r.run(2 * time.Second)
	want := actions.Announced{Router: 1, Term: 1, ARP: 1, NA: 1, Err: "1 of 3 announcements not sent: the link is down"}
	if len(r.answers) != 1 || r.answers[0] != want {
		t.Errorf("answers %+v, want %+v", r.answers, want)
	}
	r.expect(t, "0s router 1 round 0: 3", "1s router 1 round 1: 3")
}

func TestAGoneInterfaceEndsTheSchedule(t *testing.T) {
	r := newRig()
	a := announcement(1, 100)
	a.Schedule = actions.AnnounceSpec{Refresh: time.Second}
	r.announce(a)
	r.lost = 2
	r.run(time.Minute)
	r.expect(t, "0s router 1 round 0: 64")
	want := actions.Announced{Router: 1, Term: 1, Err: "100 of 100 announcements not sent: the interface is gone"}
	if len(r.answers) != 1 || r.answers[0] != want {
		t.Errorf("answers %+v, want %+v", r.answers, want)
	}
	if len(r.links) != 0 || len(r.claims.links) != 0 || len(r.running) != 0 {
		t.Errorf("in use: %v, %v, %v", r.links, r.claims.links, r.running)
	}
}

func TestAGoneInterfaceDoesNotStopTheOthers(t *testing.T) {
	r := newRig()
	a := announcement(1, 10)
	a.Targets = append(a.Targets, target(3, 20), target(4, 30))
	a.Schedule = actions.AnnounceSpec{Refresh: time.Second}
	r.announce(a)
	r.lost = 3
	r.run(1500 * time.Millisecond)
	r.expect(t, "0s router 1 round 0: 60", "1s router 1 round 1: 40")
	want := actions.Announced{Router: 1, Term: 1, ARP: 40, Took: 0,
		Err: "20 of 60 announcements not sent: interface 3: the interface is gone"}
	if len(r.answers) != 1 || r.answers[0] != want {
		t.Errorf("answers %+v, want %+v", r.answers, want)
	}
	if r.links[2] != 1 || r.links[3] != 0 || r.links[4] != 1 || r.claims.has(3) || !r.claims.has(4) {
		t.Errorf("links in use: %v", r.links)
	}
	r.lost = 2 // in a repetition: nothing is answered
	r.run(3500 * time.Millisecond)
	r.expect(t, "2s router 1 round 2: 40", "3s router 1 round 3: 30")
	r.lost = 4
	r.run(time.Minute)
	r.expect(t, "4s router 1 round 4: 30")
	if len(r.answers) != 1 || len(r.running) != 0 || len(r.links) != 0 || len(r.later) != 0 {
		t.Errorf("left over: %v %v %v %v", r.answers, r.running, r.links, r.later)
	}
}

// The interface goes while a round of several bursts is on its way, and frames
// of it have left.
func TestAnInterfaceGoesAmidARound(t *testing.T) {
	r := newRig()
	a := announcement(1, 100)
	a.Targets = append(a.Targets, target(3, 100))
	a.Schedule = actions.AnnounceSpec{Repeat: 1, Delay: time.Second}
	r.announce(a)
	r.run(0)
	r.lost = 2
	r.run(2 * time.Second)
	r.expect(t, "0s router 1 round 0: 64", "1ms router 1 round 0: 64", "2ms router 1 round 0: 64", "3ms router 1 round 0: 8",
		"1s router 1 round 1: 64", "1.001s router 1 round 1: 36")
	want := actions.Announced{Router: 1, Term: 1, ARP: 164, Took: 3 * time.Millisecond,
		Err: "36 of 200 announcements not sent: interface 2: the interface is gone"}
	if len(r.answers) != 1 || r.answers[0] != want {
		t.Errorf("answers %+v, want %+v", r.answers, want)
	}
}

func TestWhatCannotBeAnnouncedIsNamed(t *testing.T) {
	r := newRig()
	a := announcement(1, 2)
	a.Targets[0].Addresses = append(a.Targets[0].Addresses, netip.MustParseAddr("::ffff:192.0.2.2"))
	nowhere, silent := target(0, 2), target(3, 1)
	silent.MAC = [6]byte{}
	a.Targets = append(a.Targets, nowhere, silent, actions.AnnounceTarget{})
	a.Schedule = actions.AnnounceSpec{Repeat: 1, Delay: time.Second}
	r.announce(a)
	r.run(time.Minute)
	r.expect(t, "0s router 1 round 0: 2", "1s router 1 round 1: 2")
	want := actions.Announced{Router: 1, Term: 1, ARP: 2, Err: "4 of 6 announcements not sent: " +
		"::ffff:192.0.2.2: not an IPv4 or IPv6 address; 10.0.0.0 and 1 more: the interface does not exist; " +
		"10.3.0.0: no link-layer address is known for it"}
	if len(r.answers) != 1 || r.answers[0] != want {
		t.Errorf("answers %+v, want %+v", r.answers, want)
	}
}

func TestNothingToAnnounceIsAnswered(t *testing.T) {
	r := newRig()
	a := announcement(1, 0)
	a.Schedule = actions.AnnounceSpec{Refresh: time.Second}
	r.announce(a)
	r.announce(actions.Announcement{Router: 2, Term: 1})
	r.run(time.Minute)
	if len(r.answers) != 2 || r.answers[0].Err != "" || r.answers[1].Err != "" {
		t.Errorf("answers %+v", r.answers)
	}
	if _, some := r.wake(); some || len(r.running) != 0 {
		t.Error("nothing is repeated for ever")
	}
}
