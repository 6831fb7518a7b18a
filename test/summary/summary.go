package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// event is one line of `go test -json` (go doc test2json).
type event struct {
	Action, Package, Test, Output, ImportPath string
}

// skip is a test that did not run, and why.
type skip struct {
	test, why string
}

// summary collects what the events say. It is used from one goroutine.
type summary struct {
	w       io.Writer
	verbose bool
	took    time.Duration

	passed, failures int
	packageLines     []string
	failedTests      []string
	// broken are the failures by package: the tests, "" for the package itself.
	broken   map[string][]string
	unsteady []string
	skips    []skip
	// output of tests that are still running, by package and test.
	output map[[2]string][]string
	builds []string
}

func newSummary(w io.Writer, verbose bool) *summary {
	return &summary{w: w, verbose: verbose, output: make(map[[2]string][]string), broken: make(map[string][]string)}
}

func (s *summary) failed() bool { return s.failures > 0 || len(s.builds) > 0 }

// read takes the events of one run of go test.
func (s *summary) read(r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var e event
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			// Not an event: go test's own complaint.
			fmt.Fprintln(s.w, lines.Text())
			continue
		}
		s.take(e)
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read from go test: %w", err)
	}
	return nil
}

func (s *summary) take(e event) {
	key := [2]string{e.Package, e.Test}
	switch e.Action {
	case "output":
		s.takeOutput(e, key)
	case "build-output":
		fmt.Fprint(s.w, e.Output)
	case "build-fail":
		s.builds = append(s.builds, e.ImportPath)
	case "skip":
		if e.Test != "" {
			s.skips = append(s.skips, skip{short(e.Package) + " " + e.Test, reason(s.output[key])})
		}
		delete(s.output, key)
	case "pass":
		if e.Test != "" {
			s.passed++
		}
		delete(s.output, key)
	case "fail":
		s.takeFailure(e, key)
	}
}

// takeFailure shows what a failed test wrote. A package counts only when no
// test of it was named: it did not build, or ended by itself.
func (s *summary) takeFailure(e event, key [2]string) {
	s.failures++
	s.broken[e.Package] = append(s.broken[e.Package], e.Test)
	name := short(e.Package)
	if e.Test != "" {
		name += " " + e.Test
	}
	s.failedTests = append(s.failedTests, name)
	if !s.verbose {
		fmt.Fprint(s.w, strings.Join(s.output[key], ""))
	}
	delete(s.output, key)
}

func (s *summary) takeOutput(e event, key [2]string) {
	if s.verbose {
		fmt.Fprint(s.w, e.Output)
	}
	if e.Test != "" {
		s.output[key] = append(s.output[key], e.Output)
		return
	}
	switch {
	case packageLine(e.Output):
		s.packageLines = append(s.packageLines, e.Output)
		if !s.verbose {
			fmt.Fprint(s.w, e.Output)
		}
	case strings.HasPrefix(e.Output, "--- SKIP: "):
		// A TestMain that could not begin says so in this form.
		what, why, _ := strings.Cut(strings.TrimPrefix(strings.TrimSpace(e.Output), "--- SKIP: "), ": ")
		s.skips = append(s.skips, skip{what + " (all of it)", why})
	default:
		s.output[key] = append(s.output[key], e.Output)
	}
}

// failedPackages are those with a failure, sorted.
func (s *summary) failedPackages() []string { return slices.Sorted(maps.Keys(s.broken)) }

// failedIn are the top-level tests of a package that failed.
func (s *summary) failedIn(pkg string) (names []string) {
	for _, t := range s.broken[pkg] {
		if top, _, _ := strings.Cut(t, "/"); top != "" && !slices.Contains(names, top) {
			names = append(names, top)
		}
	}
	return names
}

// forgive takes the failures of a package for what they were: unsteady tests. They
// are named at the end all the same.
func (s *summary) forgive(pkg string, names []string) {
	s.failures -= len(s.broken[pkg])
	delete(s.broken, pkg)
	s.failedTests = slices.DeleteFunc(s.failedTests, func(n string) bool { return n == short(pkg) || strings.HasPrefix(n, short(pkg)+" ") })
	for i, line := range s.packageLines {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == "FAIL" && fields[1] == pkg {
			s.packageLines[i] = "ok  \t" + pkg + "\t(" + strings.Join(names, ", ") + " failed once and passed alone)\n"
		}
	}
	for _, n := range names {
		s.unsteady = append(s.unsteady, short(pkg)+" "+n)
	}
}

// packageLine recognises go test's own line about a package.
func packageLine(line string) bool {
	for _, prefix := range []string{"ok  \t", "FAIL\t", "---\t", "?   \t"} {
		if strings.HasPrefix(line, prefix) {
			return true
		}
	}
	return strings.HasPrefix(line, "\t") && strings.Contains(line, "coverage:")
}

// reason is what a test said when it skipped: the last line it wrote that is
// not go test's own, without the place.
func reason(output []string) string {
	why := "no reason given"
	for _, line := range output {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "===") || strings.HasPrefix(line, "---") {
			continue
		}
		if place, rest, found := strings.Cut(line, ": "); found && strings.Contains(place, ".go:") {
			line = rest
		}
		why = line
	}
	return why
}

// short leaves the module's path out.
func short(pkg string) string {
	return strings.TrimPrefix(pkg, "github.com/backbeat-ha/backbeat/")
}

// report prints the end and tells whether all is well.
func (s *summary) report() bool {
	p := func(format string, a ...any) { fmt.Fprintf(s.w, format, a...) }
	p("\n== packages\n%s", strings.Join(s.packageLines, ""))
	if len(s.skips) > 0 {
		p("\n== could not run\n")
		byReason := make(map[string][]string)
		var order []string
		for _, k := range s.skips {
			if byReason[k.why] == nil {
				order = append(order, k.why)
			}
			byReason[k.why] = append(byReason[k.why], k.test)
		}
		for _, why := range order {
			p("%s\n", why)
			for _, t := range byReason[why] {
				p("    %s\n", t)
			}
		}
	} else {
		p("\n== everything could run\n")
	}
	if len(s.unsteady) > 0 {
		p("\n== unsteady: failed once, and passed when run again alone; what they wrote is above\n    %s\n", strings.Join(s.unsteady, "\n    "))
	}
	if s.failed() {
		p("\n== failed\n")
		for _, name := range append(s.builds, s.failedTests...) {
			p("    %s\n", name)
		}
	}
	good := !s.failed() && len(s.packageLines) > 0
	verdict := "PASS"
	if !good {
		verdict = "FAIL"
	}
	p("\n%s: %d passed, %d failed, %d unsteady, %d could not run, in %s\n", verdict, s.passed, len(s.failedTests), len(s.unsteady), len(s.skips), s.took.Round(time.Second))
	return good
}
