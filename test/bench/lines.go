package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// countLines prints the lines of Go of every package: code and tests.
func countLines(root string) error {
	type count struct{ code, test int }
	packages := make(map[string]*count)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		dir := filepath.Dir(path)
		if packages[dir] == nil {
			packages[dir] = &count{}
		}
		n := bytes.Count(b, []byte("\n"))
		if strings.HasSuffix(path, "_test.go") {
			packages[dir].test += n
		} else {
			packages[dir].code += n
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("count the lines: %w", err)
	}
	names := make([]string, 0, len(packages))
	total := count{}
	for name, c := range packages {
		names = append(names, name)
		total.code += c.code
		total.test += c.test
	}
	slices.Sort(names)
	for _, name := range names {
		fmt.Printf("lines package=%s code=%d test=%d\n", name, packages[name].code, packages[name].test)
	}
	fmt.Printf("lines package=all code=%d test=%d\n", total.code, total.test)
	return nil
}
