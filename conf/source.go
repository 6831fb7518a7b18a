package conf

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxSource bounds one file, in bytes. 5,000 routers are about 1 MB of HCL
// (reference/ecosystem.md 1.5), so this is room enough, and /dev/zero by
// mistake does not eat the memory.
const maxSource = 16 << 20

// Source is one file of a configuration.
type Source struct {
	// Name is what diagnostics call it: the path as it was given.
	Name string
	// Text is HCL, UTF-8.
	Text []byte
}

// ReadFiles reads a configuration from disk: a file, or a directory, of which
// it takes every *.hcl file in the order of their names (hidden ones left out,
// no descent into subdirectories). Errors name the path and what to do.
func ReadFiles(path string) ([]Source, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, explainRead(path, err)
	}
	if !info.IsDir() {
		s, err := readSource(path)
		if err != nil {
			return nil, err
		}
		return []Source{s}, nil
	}
	entries, err := os.ReadDir(path) // sorted by name
	if err != nil {
		return nil, explainRead(path, err)
	}
	var out []Source
	var failed []error
	for _, e := range entries {
		if e.IsDir() || strings.HasPrefix(e.Name(), ".") || filepath.Ext(e.Name()) != ".hcl" {
			continue
		}
		s, err := readSource(filepath.Join(path, e.Name()))
		if err != nil {
			failed = append(failed, err)
			continue
		}
		out = append(out, s)
	}
	if len(failed) > 0 {
		return nil, errors.Join(failed...)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("read configuration: no *.hcl file in directory %s: put one there, or name another with -c", path)
	}
	return out, nil
}

func readSource(path string) (Source, error) {
	f, err := os.Open(path)
	if err != nil {
		return Source{}, explainRead(path, err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxSource+1))
	if err != nil {
		return Source{}, explainRead(path, err)
	}
	if len(text) > maxSource {
		return Source{}, fmt.Errorf("read configuration: %s is larger than %d MiB: is it the right file?", path, maxSource>>20)
	}
	return Source{Name: path, Text: text}, nil
}

func explainRead(path string, err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("read configuration: %w: write it (examples/minimal/backbeat.hcl is the smallest one), or name another with -c", err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("read configuration: %w: run as root, or as a user who may read %s", err, path)
	default:
		return fmt.Errorf("read configuration: %w", err)
	}
}
