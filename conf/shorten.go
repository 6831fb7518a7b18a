package conf

import (
	"fmt"
	"slices"

	"github.com/hashicorp/hcl/v2"
)

// maxPerList is how many errors, and how many warnings, there are about one
// list. A list may have thousands of elements, all wrong for one reason.
const maxPerList = 20

// maxPerFile is how many errors, and how many warnings, there are about one file:
// somebody may have put a picture in its place, and each shows its line.
const maxPerFile = 200

// maxLine is how much of a line is kept beside a diagnostic, in bytes.
const maxLine = 4096

// abridge cuts what is said of one file, if that is much, and says how much it was.
func (d *Diagnostics) abridge() {
	type pile struct {
		file     string
		severity hcl.DiagnosticSeverity
	}
	count := make(map[pile]int)
	last := make(map[pile]*hcl.Diagnostic)
	d.list = slices.DeleteFunc(d.list, func(g *hcl.Diagnostic) bool {
		if g.Subject == nil {
			return false
		}
		p := pile{g.Subject.Filename, g.Severity}
		if count[p]++; count[p] > maxPerFile {
			return true
		}
		last[p] = g
		return false
	})
	for p, g := range last {
		if n := count[p] - maxPerFile; n > 0 {
			g.Detail += fmt.Sprintf("\nAnd %d more in this file, which are not shown.", n)
		}
	}
}

// shorten cuts what is said of one list, if that is much, and says how much it
// was. d.list is in the order of the text; order is that of the files.
func (d *Diagnostics) shorten(order map[string]int) {
	slices.SortFunc(d.lists, func(a, b hcl.Range) int {
		if a.Filename != b.Filename {
			return order[a.Filename] - order[b.Filename]
		}
		return a.Start.Byte - b.Start.Byte
	})
	type pile struct {
		list     hcl.Range
		severity hcl.DiagnosticSeverity
	}
	count := make(map[pile]int)
	last := make(map[pile]*hcl.Diagnostic)
	next := 0
	d.list = slices.DeleteFunc(d.list, func(g *hcl.Diagnostic) bool {
		if g.Subject == nil {
			return false
		}
		for next < len(d.lists) && endsBefore(d.lists[next], *g.Subject, order) {
			next++
		}
		if next == len(d.lists) || !covers(d.lists[next], *g.Subject) {
			return false
		}
		p := pile{d.lists[next], g.Severity}
		count[p]++
		if count[p] > maxPerList {
			return true
		}
		last[p] = g
		return false
	})
	for p, g := range last {
		if n := count[p] - maxPerList; n > 0 {
			g.Detail += fmt.Sprintf("\nAnd %d more in this list, which are not shown.", n)
		}
	}
}

// endsBefore reports whether a list ends before a place.
func endsBefore(list, at hcl.Range, order map[string]int) bool {
	if list.Filename != at.Filename {
		return order[list.Filename] < order[at.Filename]
	}
	return list.End.Byte <= at.Start.Byte
}

// covers reports whether a place lies in a list.
func covers(list, at hcl.Range) bool {
	return list.Filename == at.Filename && list.Start.Byte <= at.Start.Byte && at.Start.Byte < list.End.Byte
}
