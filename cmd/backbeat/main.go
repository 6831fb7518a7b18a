// Backbeat is a virtual-router daemon (VRRPv3) for Linux and the tool to look
// after it. `backbeat run` is the daemon; every other verb is the operator's.
//
// This package is wiring: it puts the parts together, starts and ends them in
// order, and prints what they say. Decisions are made elsewhere.
package main

import (
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/term"
)

// version is set by the linker (-ldflags "-X main.version=1.2.3"); when it is
// empty, what Go noted about the build is used. See versionText.
var version string

func main() {
	os.Exit(execute(realTool(), os.Args[1:]))
}

// realTool is the tool on this host and terminal.
func realTool() *tool {
	t := &tool{out: os.Stdout, err: os.Stderr, in: os.Stdin, zone: time.Local, getenv: os.LookupEnv, hostname: shortHostname, interfaces: interfaceNames, addresses: ownedAddresses}
	t.asks = term.IsTerminal(int(os.Stdin.Fd())) && term.IsTerminal(int(os.Stderr.Fd()))
	t.look.color = colorful(int(os.Stdout.Fd()), os.LookupEnv)
	t.errColor = colorful(int(os.Stderr.Fd()), os.LookupEnv)
	if w, _, err := term.GetSize(int(os.Stdout.Fd())); err == nil && w > 0 {
		t.width = w
	}
	if w, _, err := term.GetSize(int(os.Stderr.Fd())); err == nil && w > 0 {
		t.errWidth = uint(w)
	}
	return t
}

// colorful says whether to colour what goes to a file: a terminal that can, and
// nobody objected (https://no-color.org).
func colorful(fd int, getenv func(string) (string, bool)) bool {
	no, _ := getenv("NO_COLOR")
	kind, _ := getenv("TERM")
	return no == "" && kind != "dumb" && term.IsTerminal(fd)
}

// shortHostname is the host's name up to the first dot: node.name by default.
func shortHostname() (string, error) {
	h, err := os.Hostname()
	h, _, _ = strings.Cut(h, ".")
	return h, err
}

// interfaceNames are the network interfaces of this host, sorted.
func interfaceNames() ([]string, error) {
	list, err := net.Interfaces()
	var names []string
	for _, i := range list {
		names = append(names, i.Name)
	}
	slices.Sort(names)
	return names, err
}
