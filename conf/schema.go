package conf

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kind is what an argument's value may be.
type kind uint8

const (
	text     kind = iota // a string
	number               // a whole number
	boolean              // true or false
	duration             // a string with a unit, "1.5s"
	word                 // one of argument.words
	texts                // a list of strings
	words                // a list of argument.words, as a set
	mapping              // names with a string each, { name = "value" }
)

// String completes "must be …".
func (k kind) String() string {
	switch k {
	case number:
		return "a whole number"
	case boolean:
		return "true or false"
	case duration:
		return "a duration"
	case word:
		return "a word"
	case texts:
		return "a list of strings"
	case words:
		return "a list of words"
	case mapping:
		return "a map of names and values"
	default:
		return "a string"
	}
}

// argument is one row of the table: `name = value` inside a block.
type argument struct {
	name     string
	kind     kind
	required bool
	// def is the default as the file would say it: string, int or bool; nil
	// where there is none (or where doc tells how it comes about).
	def any
	// min and max bound a number, shortest and longest a duration. A duration
	// is also a multiple of step (0: any), and may be 0 if zero is set.
	min, max          int64
	shortest, longest time.Duration
	step              time.Duration
	zero              bool
	// words are the values of kind word and words.
	words []string
	// names are words that stand for a number.
	names map[string]int
	// empty: the list may be.
	empty bool
	// limits describes the range where the fields above cannot.
	limits string
	// why is the sentence that follows a complaint about the range.
	why string
	// doc says what the argument does; example is one line of HCL.
	doc, example string
	// elsewhere are the names that other programs give to it; whoever writes
	// one of them is told ours.
	elsewhere []string
	// secret: no message shows what the file says.
	secret bool
}

// block is a block type of the language.
type block struct {
	name string
	// kind is the first label, where a block type has several kinds.
	kind string
	// label is what the label names; empty for a block without one.
	label string
	// address says that the label is an address or a network, not a name.
	address bool
	// once says that there may be one at most.
	once      bool
	doc       string
	arguments []argument
	blocks    []block
	example   string
	elsewhere []string
	// needless are arguments of other programs that have no counterpart, and why.
	needless map[string]string
}

func (b *block) argument(name string) *argument {
	for i := range b.arguments {
		if b.arguments[i].name == name {
			return &b.arguments[i]
		}
	}
	return nil
}

func (b *block) block(name string) *block {
	for i := range b.blocks {
		if b.blocks[i].name == name {
			return &b.blocks[i]
		}
	}
	return nil
}

// kinds are the kinds of an inner block type, nil if it has none.
func (b *block) kinds(name string) (out []string) {
	for i := range b.blocks {
		if b.blocks[i].name == name && b.blocks[i].kind != "" {
			out = append(out, b.blocks[i].kind)
		}
	}
	return out
}

// ofKind returns an inner block type by name and kind.
func (b *block) ofKind(name, kind string) *block {
	for i := range b.blocks {
		if b.blocks[i].name == name && b.blocks[i].kind == kind {
			return &b.blocks[i]
		}
	}
	return nil
}

// kindElsewhere returns the kind of an inner block type that other programs give
// that name to, or "".
func (b *block) kindElsewhere(name, other string) string {
	for i := range b.blocks {
		if c := &b.blocks[i]; c.name == name && slices.Contains(c.elsewhere, other) && name == "step" {
			return c.kind
		}
	}
	return ""
}

// header is the beginning of the block as an example: `hook "NAME" {`.
func (b *block) header() string {
	if b.kind != "" {
		return fmt.Sprintf("%s %q %q", b.name, b.kind, b.label)
	}
	if b.label != "" {
		return fmt.Sprintf("%s %q", b.name, b.label)
	}
	return b.name
}

// rangeText describes the values an argument takes, for messages and for the
// reference page; empty where its kind says everything.
func (a *argument) rangeText() string {
	switch {
	case a.limits != "":
		return a.limits
	case a.kind == number:
		return fmt.Sprintf("%d–%d", a.min, a.max)
	case a.kind == duration:
		s := fmt.Sprintf("%s–%s", short(a.shortest), short(a.longest))
		if a.step > 0 {
			s += " in steps of " + short(a.step)
		}
		if a.zero && a.shortest > 0 {
			s = "0, or " + s
		}
		return s
	case a.kind == word || a.kind == words:
		return orList(a.words)
	default:
		return ""
	}
}

// defaultText is the default as the file would say it, or "".
func (a *argument) defaultText() string {
	switch v := a.def.(type) {
	case nil:
		return ""
	case string:
		return strconv.Quote(v)
	default:
		return fmt.Sprint(v)
	}
}

// short prints a duration as people write it: "1m", not "1m0s".
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}

// orList prints `"a", "b" or "c"`.
func orList(list []string) string {
	q := make([]string, len(list))
	for i, s := range list {
		q[i] = strconv.Quote(s)
	}
	if len(q) < 2 {
		return strings.Join(q, "")
	}
	return strings.Join(q[:len(q)-1], ", ") + " or " + q[len(q)-1]
}
