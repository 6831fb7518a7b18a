package agent

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/backbeat-ha/backbeat/actions"
)

// reveal returns options with the values of secrets that are in files. A file is
// read at each run: a password may be changed without a reload.
func reveal(options []actions.Option) ([]actions.Option, error) {
	all := slices.Clone(options)
	for i := range all {
		path, ok := all[i].File()
		if !ok {
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("read the secret %s: %w", all[i].Name, err)
		}
		first, _, _ := strings.Cut(string(text), "\n")
		all[i].Value = strings.TrimRight(first, "\r")
	}
	return all, nil
}

// redact takes the values of secret options out of a text. Agents print what they
// were given when they are verbose.
func redact(options []actions.Option, text string) string {
	for _, o := range options {
		if o.Secret && o.Value != "" {
			text = strings.ReplaceAll(text, o.Value, "***")
		}
	}
	return text
}
