package lab

import (
	"fmt"
	"net"
	"sort"
	"time"
)

// Report is what a client saw of one fault.
type Report struct {
	Fault, Until time.Duration
	// Sent and Lost count requests in between; a request of the last 20 ms may
	// still be answered and does not count as lost.
	Sent, Lost int
	// Silence is the longest time between two answers, the last one before the
	// fault included. It cannot be smaller than the probe's interval.
	Silence time.Duration
	// Answered says that the last answer came within 50 ms of Until.
	Answered bool
	// From answered before the fault, By is the first other node that answered
	// after it, Takeover is from the fault to that answer. By is empty if
	// there was none.
	From, By string
	Takeover time.Duration
	// Changes counts how often the answering node changed after the fault.
	Changes int
	// WorstStall is the largest lateness of a request: the probe's own error.
	WorstStall time.Duration

	from, by net.HardwareAddr
}

// grace is how long an answer may take.
const grace = 20 * time.Millisecond

// analyse makes the report. Requests and answers are in the order of time.
func analyse(sends []sent, answers []answer, fault, until time.Duration) Report {
	r := Report{Fault: fault, Until: until}
	for _, s := range sends[firstSend(sends, fault):] {
		if s.at > until {
			break
		}
		r.Sent++
		r.WorstStall = max(r.WorstStall, s.late)
		if !s.answered && s.at < until-grace {
			r.Lost++
		}
	}
	i := sort.Search(len(answers), func(i int) bool { return answers[i].at >= fault })
	last := fault
	var node [6]byte
	if i > 0 {
		node, last = answers[i-1].mac, answers[i-1].at
		r.from = net.HardwareAddr(answers[i-1].mac[:])
	}
	for ; i < len(answers) && answers[i].at <= until; i++ {
		a := &answers[i]
		r.Silence = max(r.Silence, a.at-last)
		last = a.at
		if a.mac == node {
			continue
		}
		node = a.mac
		r.Changes++
		if r.by == nil {
			r.by, r.Takeover = net.HardwareAddr(a.mac[:]), a.at-fault
		}
	}
	r.Silence = max(r.Silence, until-last)
	r.Answered = len(answers) > 0 && until-last <= 50*time.Millisecond
	return r
}

func firstSend(sends []sent, at time.Duration) int {
	return sort.Search(len(sends), func(i int) bool { return sends[i].at >= at })
}

// String is one line for a test's log.
func (r Report) String() string {
	s := fmt.Sprintf("client: silence %s, lost %d of %d", round(r.Silence), r.Lost, r.Sent)
	if r.By != "" {
		s += fmt.Sprintf(", %s answered after %s", r.By, round(r.Takeover))
	} else {
		s += ", no other node answered"
	}
	if r.Changes > 1 {
		s += fmt.Sprintf(", %d changes", r.Changes)
	}
	return s + fmt.Sprintf(" (probe's worst stall %s)", round(r.WorstStall))
}

func round(d time.Duration) time.Duration { return d.Round(100 * time.Microsecond) }
