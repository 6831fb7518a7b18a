package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/backbeat-ha/backbeat/daemon/control"
)

// build is what `version --output json` prints.
type build struct {
	Schema  int    `json:"schema_version"`
	Version string `json:"version"`
	// Commit is the revision it was built from, with "+dirty" for local
	// changes; empty if the build did not know.
	Commit   string `json:"commit,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func thisBuild() build {
	b := build{Schema: control.SchemaVersion, Version: version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	dirty := ""
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Commit = s.Value[:min(12, len(s.Value))]
		case "vcs.modified":
			if s.Value == "true" {
				dirty = "+dirty"
			}
		}
	}
	if b.Commit != "" {
		b.Commit += dirty
	}
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	return b
}

// String is the build in one line: what `version` and --version print.
func (b build) String() string {
	commit := ""
	if b.Commit != "" {
		commit = ", commit " + b.Commit
	}
	return fmt.Sprintf("backbeat %s (%s, %s%s)", versionText(), b.Go, b.Platform, commit)
}

// versionText is the version alone, never empty.
func versionText() string {
	if v := thisBuild().Version; v != "" {
		return v
	}
	return "(devel)"
}

func (t *tool) versionVerb() *cobra.Command {
	c := &cobra.Command{Use: "version", Short: "Print the version of this binary", Args: none}
	output := outputFlag(c)
	c.RunE = func(*cobra.Command, []string) error {
		b := thisBuild()
		if output.json() {
			return t.printJSON(b)
		}
		_, err := fmt.Fprintln(t.out, b)
		return failed(err)
	}
	return c
}
