// Command summary runs go test and says at the end what failed and what could
// not run, and why. The lines of go test itself (ok, FAIL) are shown as they
// come and once more at the end; what a test wrote is shown if it failed.
//
//	go run ./test/summary [-v] [-alone REGEXP] [-again REGEXP] [-args "GO TEST FLAGS"] [PACKAGES]
//
// Packages that -alone matches measure time: they run after the others, one by
// one. In packages that -again matches, which ask the real kernel and the real clock
// of a machine that may stand still, a test that failed is run once more, alone;
// if it passes then, it is named at the end as unsteady, with what it wrote when
// it failed shown above. The exit status is 1 if anything failed.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"time"
)

func main() {
	verbose := flag.Bool("v", false, "show everything that tests write")
	alone := flag.String("alone", "^$", "run packages whose path matches after the others, one by one")
	again := flag.String("again", "^$", "in packages whose path matches, run what failed once more, alone")
	args := flag.String("args", "", "further flags for go test")
	flag.Parse()
	s := newSummary(os.Stdout, *verbose)
	err := run(s, *alone, strings.Fields(*args), flag.Args())
	if err == nil {
		err = tryAgain(s, *again, strings.Fields(*args))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "summary:", err)
		os.Exit(1)
	}
	if !s.report() {
		os.Exit(1)
	}
}

// run lists the packages and tests them in two rounds.
func run(s *summary, alone string, args, patterns []string) error {
	pattern, err := regexp.Compile(alone)
	if err != nil {
		return fmt.Errorf("understand -alone: %w", err)
	}
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}
	list := exec.Command("go", append([]string{"list"}, patterns...)...)
	list.Stderr = os.Stderr
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("list the packages: %w", err)
	}
	packages := strings.Fields(string(out))
	late := slices.DeleteFunc(slices.Clone(packages), func(p string) bool { return !pattern.MatchString(p) })
	early := slices.DeleteFunc(packages, func(p string) bool { return pattern.MatchString(p) })
	began := time.Now()
	defer func() { s.took = time.Since(began) }()
	for _, round := range []struct{ flags, packages []string }{{nil, early}, {[]string{"-p", "1"}, late}} {
		if len(round.packages) == 0 {
			continue
		}
		if err := goTest(s, slices.Concat(round.flags, args, round.packages)); err != nil {
			return err
		}
	}
	return nil
}

// tryAgain runs the failed tests of packages that may be unsteady once more. Only
// top-level tests are named to go test: a part of one is what the whole makes of it.
func tryAgain(s *summary, again string, args []string) error {
	pattern, err := regexp.Compile(again)
	if err != nil {
		return fmt.Errorf("understand -again: %w", err)
	}
	for _, pkg := range s.failedPackages() {
		if !pattern.MatchString(pkg) {
			continue
		}
		names := s.failedIn(pkg)
		if len(names) == 0 || len(names) > mostAgain {
			continue // it did not build, or that is no accident
		}
		fmt.Printf("\n== once more, alone: %s %s\n", short(pkg), strings.Join(names, " "))
		second := newSummary(os.Stdout, s.verbose)
		if err := goTest(second, slices.Concat([]string{"-run", "^(" + strings.Join(names, "|") + ")$"}, args, []string{pkg})); err != nil {
			return err
		}
		if !second.failed() && second.passed > 0 {
			s.forgive(pkg, names)
		}
	}
	return nil
}

// mostAgain is how many failed tests of one package can be an accident of the machine.
const mostAgain = 3

// goTest runs go test once. Its exit status is not asked: the events say more,
// and if it could not even begin there are none, which report counts as a failure.
func goTest(s *summary, args []string) error {
	// -count=1: results of a test that runs a binary or asks the kernel are never reused.
	cmd := exec.Command("go", append([]string{"test", "-json", "-count=1"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("read from go test: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start go test: %w", err)
	}
	if err := s.read(out); err != nil {
		return err
	}
	err = cmd.Wait()
	if err != nil && !s.failed() {
		return fmt.Errorf("go test failed without saying what: %w", err)
	}
	return nil
}
