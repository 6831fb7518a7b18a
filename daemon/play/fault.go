package play

import (
	"fmt"
	"time"

	"github.com/backbeat-ha/backbeat/checks"
)

// Kind is one kind of fault, or of something else that happens to hosts.
type Kind struct {
	// Name is the word for it, the option of the command line.
	Name string
	// Form is how it is written, Help what it is.
	Form, Help string
	parse      func(*parser, string, *Fault) error
	begin, end func(*stage, *Fault)
}

// Given is a fault as somebody wrote it: "fail", "web1@10s..30s".
type Given struct{ Kind, Value string }

// Fault is one that is understood.
type Fault struct {
	kind     *Kind
	written  string
	From, To time.Duration // To 0: it lasts
	// replaced: another fault begins at To, so nothing is put right then.
	replaced bool

	host    int
	other   int    // cut: the other end, -1 for all others
	oneWay  bool   // cut: only from host to other
	nic     string // link, remove: the interface; cut: the only one, empty for all
	name    string // move: what; step: the step's full name
	check   string
	result  checks.Result
	stuck   bool // step: it cannot be brought down either
	percent float64
	delay   time.Duration
}

// Kinds are all there are, in the order of the help. lasting says what may be
// left open.
func Kinds() []Kind {
	return []Kind{
		{"fail", "HOST@TIME[..TIME]", "the host loses power, and has it back", (*parser).onHost, (*stage).fail, (*stage).powerOn},
		{"kill", "HOST@TIME[..TIME]", "its daemon is killed, and started again", (*parser).onHost, (*stage).kill, (*stage).startAgain},
		{"stop", "HOST@TIME[..TIME]", "its daemon is asked to stop, as by systemctl stop, and started again", (*parser).onHost, (*stage).stop, (*stage).startAgain},
		{"start", "HOST@TIME", "its daemon is started only then", (*parser).onHostOnce, (*stage).start, nil},
		{"freeze", "HOST@TIME[..TIME]", "its daemon gets no processor; the kernel goes on", (*parser).onHost, (*stage).freeze, (*stage).thaw},
		{"pause", "HOST@TIME[..TIME]", "the whole machine stands still, as for a snapshot", (*parser).onHost, (*stage).pause, (*stage).thaw},
		{"link", "IFACE@HOST@TIME[..TIME]", "the interface has no carrier: the cable, the switch", (*parser).onNIC, (*stage).linkDown, (*stage).linkUp},
		{"remove", "IFACE@HOST@TIME[..TIME]", "the interface does not exist", (*parser).onNIC, (*stage).remove, (*stage).appear},
		{"cut", "HOST-HOST[:IFACE]@TIME[..TIME]", "two hosts do not hear each other; HOST>HOST is one way, HOST alone hears nobody", (*parser).onPair, (*stage).cut, (*stage).mend},
		{"loss", "PERCENT@TIME[..TIME]", "the network loses so many packets", (*parser).onLoss, (*stage).lose, (*stage).loseNothing},
		{"delay", "DURATION@TIME[..TIME]", "packets take so long", (*parser).onDelay, (*stage).slow, (*stage).fast},
		{"check", "NAME=RESULT@HOST[@TIME[..TIME]]", "what a check finds: failing, healthy, unknown, or a number; HOST may be *", (*parser).onCheck, (*stage).find, (*stage).findAgain},
		{"step", "NAME=RESULT@HOST@TIME[..TIME]", "a step of a service group: failing (it goes down and does not come up), stuck (it does not go down)", (*parser).onStep, (*stage).breakStep, (*stage).repairStep},
		{"standby", "HOST@TIME[..TIME]", "backbeat standby there, and backbeat online", (*parser).onHost, (*stage).standby, (*stage).online},
		{"move", "NAME@HOST@TIME[..TIME]", "backbeat move NAME there; with an end as with --pin, and backbeat unmove", (*parser).onRouter, (*stage).move, (*stage).unmove},
	}
}

// String is the fault as it was written on the command line.
func (f *Fault) String() string { return fmt.Sprintf("--%s %s", f.kind.Name, f.written) }

// overlaps reports whether two faults are under way at one time.
func (f *Fault) overlaps(o *Fault) bool {
	return (f.To == 0 || o.From < f.To) && (o.To == 0 || f.From < o.To)
}

// last is when the last thing happens that a fault does.
func (f *Fault) last() time.Duration { return max(f.From, f.To) }
