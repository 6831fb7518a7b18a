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

// maxSource bounds one file, in bytes. A virtual router with a few addresses
// takes some 200 bytes of HCL, so 5,000 of them are about 1 MB: this is room
// enough, and /dev/zero by mistake does not eat the memory.
const maxSource = 16 << 20

// Source is one file of a configuration.
type Source struct {
	// Name is what diagnostics call it: the path as it was given.
	Name string
	// Text is HCL, UTF-8.
	Text []byte
	// Mode is the file's mode, 0 where there is no file: Load warns of a password
	// that everybody may read.
	Mode fs.FileMode
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
		return nil, fmt.Errorf("the directory %s has no *.hcl file: put one there, or name another file or directory with -c", path)
	}
	return out, nil
}

func readSource(path string) (Source, error) {
	f, err := os.Open(path)
	if err != nil {
		return Source{}, explainRead(path, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return Source{}, explainRead(path, err)
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSource+1))
	if err != nil {
		return Source{}, explainRead(path, err)
	}
	if len(text) > maxSource {
		return Source{}, fmt.Errorf("%s is larger than %d MiB: is it the right file?", path, maxSource>>20)
	}
	return Source{Name: path, Text: text, Mode: info.Mode()}, nil
}

// explainRead names the path, the cause and the remedy, each once: callers say
// themselves that a configuration could not be read.
func explainRead(path string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		path, err = at.Path, at.Err // without "stat" and "open", which help nobody
	}
	switch target, _ := os.Readlink(path); {
	case errors.Is(err, fs.ErrNotExist) && target != "":
		return fmt.Errorf("%s: link to %s: %w: correct the link, or remove it", path, target, err)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w: write it (examples/minimal/backbeat.hcl is the smallest one), or name another with -c", path, err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w: run this as root, or as a user who may read the file", path, err)
	default:
		return fmt.Errorf("%s cannot be read: %w", path, err)
	}
}
