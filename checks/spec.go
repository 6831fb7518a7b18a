package checks

import (
	"reflect"
	"time"
)

// ID names a check within one process. IDs are never reused, so that a late
// result of a check that a reload removed finds nobody.
type ID uint32

// Verdict is what is known of a check.
type Verdict uint8

// The verdicts.
const (
	// Unknown: no run has ended yet, or the last ones could not be made.
	Unknown Verdict = iota
	Healthy
	Failing
)

// String returns "unknown", "healthy" or "failing".
func (v Verdict) String() string {
	switch v {
	case Healthy:
		return "healthy"
	case Failing:
		return "failing"
	default:
		return "unknown"
	}
}

// Policy says what an Unknown verdict counts as, once a run has ended.
type Policy uint8

// The policies.
const (
	// UnknownHold: as what was known last; as failing if nothing ever was.
	UnknownHold Policy = iota
	// UnknownFailing: as failing.
	UnknownFailing
	// UnknownIgnore: as if there were no check.
	UnknownIgnore
)

// String returns the word of the configuration.
func (p Policy) String() string {
	switch p {
	case UnknownFailing:
		return "failing"
	case UnknownIgnore:
		return "ignore"
	default:
		return "hold"
	}
}

// Spec is the configuration of one check, already validated.
type Spec struct {
	// Name is kind and name as references write it: "http.site". Unique.
	Name string
	// Interval is the time from one run's start to the next one's.
	Interval time.Duration
	// Timeout bounds one run; it is not longer than Interval.
	Timeout time.Duration
	// Splay bounds the delay of the first run: where in it a check begins comes
	// from its name, so that a thousand of them do not begin together.
	Splay time.Duration
	// Rise and Fall are how many results in a row, at least 1, turn a known
	// verdict over. The very first result decides alone.
	Rise, Fall int
	// Initial is what is taken for known at the start; Unknown waits for the first result.
	Initial Verdict
	// Unknown says what counts while it could not be run.
	Unknown Policy
	// Probe says how to find out.
	Probe Probe
}

// Equal reports whether two specifications are the same in every respect.
func (s *Spec) Equal(o *Spec) bool { return reflect.DeepEqual(s, o) }

// Outcome is how one run ended.
type Outcome uint8

// The outcomes.
const (
	// Passed: what should be so is so.
	Passed Outcome = iota
	// Failed: it is not, or nobody answered in time.
	Failed
	// NotRun: it could not be found out: a missing command, file or privilege,
	// a pool that is full. That says nothing about the service.
	NotRun
)

// String returns "passed", "failed" or "not-run".
func (o Outcome) String() string {
	switch o {
	case Passed:
		return "passed"
	case Failed:
		return "failed"
	default:
		return "not-run"
	}
}

// Result is what one run found out.
type Result struct {
	Outcome Outcome
	// Detail is a phrase for people without a final point, at most DetailSize bytes and in one
	// line: "connection refused", "status 503, wanted 200". Empty if there is
	// nothing to say.
	Detail string
	// Output is the bounded tail of what a command printed, at most OutputSize bytes.
	Output string
	// Value is the number that a File check with Integer has read.
	Value int
	Took  time.Duration
}

// DetailSize and OutputSize bound the texts of a Result, in bytes.
const (
	DetailSize = 200
	OutputSize = 4 << 10
)

// Job is one run to be made.
type Job struct {
	Check ID
	Run   uint64
	// Name is the check's, for the environment of commands and for logs.
	Name    string
	Timeout time.Duration
	Probe   Probe
}

// Done answers a Job; every Job is answered once.
type Done struct {
	Check ID
	Run   uint64
	Result
}
