package main

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
)

// runOptions are the flags of `run`.
type runOptions struct {
	config     string
	runtimeDir string
	stateDir   string
	control    string
	logFormat  choice
	logLevel   level
}

func (t *tool) runVerb() *cobra.Command {
	o := runOptions{
		logFormat: choice{value: "auto", words: []string{"auto", "text", "json", "journal"}},
		logLevel:  level{slog.LevelInfo},
	}
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the daemon in the foreground",
		Long: `Run the daemon in the foreground: the systemd unit does. It needs CAP_NET_RAW and
CAP_NET_ADMIN.

Signals: HUP reads the configuration anew; TERM and INT step aside without losing
a packet and leave, and leave at once when they come again; USR2 lets the installed
program take over from this process, which nobody notices. A TERM that is part of
systemctl restart is recognised and leaves everything to the next process in the
same way.`,
		Args: none,
		RunE: func(c *cobra.Command, _ []string) error {
			if o.control == "" {
				o.control = filepath.Join(o.runtimeDir, "control.sock")
			}
			return failed(t.serve(c.Context(), o))
		},
	}
	f := c.Flags()
	f.StringVarP(&o.config, "config", "c", defaultConfig, "the configuration: a `file`, or a directory with *.hcl files")
	f.StringVar(&o.runtimeDir, "runtime-dir", "/run/backbeat", "`directory` for what must not outlive the boot")
	f.StringVar(&o.stateDir, "state-dir", "/var/lib/backbeat", "`directory` for history and standing orders; empty keeps none on disk")
	f.StringVar(&o.control, "control", "", "the control `socket` (default control.sock in the runtime directory)")
	f.Var(&o.logFormat, "log-format", "form of the log on standard error")
	f.Var(&o.logLevel, "log-level", "least important lines to log")
	return c
}

// choice is a flag with a fixed set of words.
type choice struct {
	value string
	words []string
}

func (c *choice) String() string { return c.value }
func (c *choice) Type() string   { return strings.Join(c.words, "|") }

// Set accepts one of the words.
func (c *choice) Set(s string) error {
	for _, w := range c.words {
		if s == w {
			c.value = s
			return nil
		}
	}
	return fmt.Errorf("must be one of %s", strings.Join(c.words, ", "))
}

// level is a flag for slog's levels.
type level struct{ slog.Level }

// String returns the level as it is written on the command line.
func (l *level) String() string { return strings.ToLower(l.Level.String()) }

// Type shows the values in the help.
func (l *level) Type() string { return "debug|info|warn|error" }

// Set accepts one of the words.
func (l *level) Set(s string) error {
	switch s {
	case "debug", "info", "warn", "error":
		return l.UnmarshalText([]byte(s))
	}
	return errors.New("must be one of debug, info, warn, error")
}
