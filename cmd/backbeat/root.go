package main

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/backbeat-ha/backbeat/daemon/control"
)

// Exit codes.
const (
	exitDone  = 0
	exitNot   = 1 // it failed
	exitUsage = 2
)

// clientPatience bounds a reading verb. The server gives its loop two seconds
// and says so when they are over; a daemon that is stopped says nothing at all.
const clientPatience = 10 * time.Second

// tool is what the verbs need of the world; tests make their own.
type tool struct {
	out, err io.Writer
	in       io.Reader
	asks     bool // in and err are a terminal with somebody at it
	look     look // for out
	width    int  // of out; 0 if it is no terminal: then lines are as long as they are
	errColor bool
	errWidth uint // 0 if unknown
	zone     *time.Location
	getenv   func(string) (string, bool)
	hostname func() (string, error)
	// interfaces names the network interfaces of this host.
	interfaces func() ([]string, error)
	// addresses are those of this host, without those on loopback interfaces.
	addresses func() ([]ownedAddress, error)
}

// failure is an error of the work and not of the command line. Without err the
// verb has said already what is the matter.
type failure struct{ err error }

func (f failure) Error() string {
	if f.err == nil {
		return ""
	}
	return f.err.Error()
}

func (f failure) Unwrap() error { return f.err }

// failed makes nil of nil and a failure of the rest.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return failure{err}
}

// execute runs one command line and returns the exit code.
func execute(t *tool, args []string) int {
	root := t.root()
	root.SetArgs(args)
	cmd, err := root.ExecuteC()
	var f failure
	var code exitCode
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &code):
		return int(code)
	case errors.As(err, &f):
		if f.err != nil {
			fmt.Fprintf(t.err, "backbeat: %s\n", cleanLines(f.Error()))
		}
		return exitNot
	case errors.Is(err, errNoVerb):
		root.SetOut(t.err)
		_ = root.Help()
		return exitUsage
	default:
		fmt.Fprintf(t.err, "backbeat: %s\nTry '%s --help'.\n", cleanLines(strings.TrimSpace(err.Error())), cmd.CommandPath())
		return exitUsage
	}
}

// errNoVerb: the help that follows says everything.
var errNoVerb = errors.New("no verb given")

func (t *tool) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "backbeat",
		Short: "Two or more hosts share addresses by VRRPv3",
		Long: `Two or more hosts share addresses by VRRPv3 (RFC 9568). One of them, the Active,
holds the addresses; when it dies, falls ill or is asked to step aside, another
takes over within the protocol's own time.

Exit status: 0 done, 1 failed, 2 wrong use of the command line.`,
		Version:      thisBuild().String(),
		SilenceUsage: true, SilenceErrors: true,
		RunE: func(*cobra.Command, []string) error { return errNoVerb },
	}
	root.SetVersionTemplate("{{.Version}}\n")
	root.SetOut(t.out)
	root.SetErr(t.err)
	root.SetHelpCommand(&cobra.Command{
		Use: "help [VERB]", Short: "Explain a verb",
		RunE: func(_ *cobra.Command, args []string) error {
			c, rest, err := root.Find(args)
			if err != nil {
				return err
			}
			if len(rest) > 0 {
				return fmt.Errorf("there is no help on %q", strings.Join(args, " "))
			}
			return failed(c.Help())
		},
	})
	root.AddCommand(t.runVerb(), t.checkVerb(), t.statusVerb(), t.historyVerb(), t.reloadVerb(), t.planVerb(), t.releaseVerb(), t.simulateVerb(), t.importVerb(), t.versionVerb(), t.standInVerb())
	root.AddCommand(t.orderVerbs()...)
	root.AddCommand(t.moveVerbs()...)
	root.AddCommand(t.whyVerb(), t.watchVerb(), t.clearVerb(), t.groupVerb(), t.maintenanceVerb(), t.fenceVerb())
	return root
}

// format is the value of --output.
type format string

func (f *format) String() string { return string(*f) }
func (f *format) Type() string   { return "text|json" }

// Set accepts the two words there are.
func (f *format) Set(s string) error {
	if s != "text" && s != "json" {
		return errors.New("must be text or json")
	}
	*f = format(s)
	return nil
}

func (f format) json() bool { return f == "json" }

// outputFlag adds --output to a reading verb.
func outputFlag(c *cobra.Command) *format {
	f := format("text")
	c.Flags().VarP(&f, "output", "o", "how to print: text, or json as described in docs/json.md")
	_ = c.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return &f
}

// controlFlag adds --control to a verb that talks to the daemon.
func controlFlag(c *cobra.Command) *string {
	return c.Flags().String("control", cmp.Or(os.Getenv("BACKBEAT_CONTROL"), control.DefaultPath), "the daemon's control `socket`; the environment variable BACKBEAT_CONTROL names another one")
}

// atMostOne is cobra.MaximumNArgs(1) in plain words.
func atMostOne(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return fmt.Errorf("%s takes one NAME at most, and got %d", c.Name(), len(args))
	}
	return nil
}

// none is cobra.NoArgs in plain words.
func none(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%s takes no arguments, and got %q", c.Name(), args[0])
	}
	return nil
}

// printJSON prints a documented answer.
func (t *tool) printJSON(v any) error {
	e := json.NewEncoder(t.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return failed(e.Encode(v))
}
