// Package law holds the architecture's rules as tests: who may import whom,
// that the pure packages read no clock, that every package says what it is.
// Each rule carries its reason; ARCHITECTURE.md explains the whole.
package law

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/backbeat-ha/backbeat/"

// pure is what the machines may import: values and arithmetic, nothing that
// waits, reads the world or starts something.
var pure = []string{"cmp", "encoding/binary", "errors", "fmt", "math", "net/netip", "slices", "strconv", "strings", "time"}

type rule struct {
	pkg string
	// only, when set, is all the package may import directly (besides may).
	only []string
	// may are packages of this module it may import.
	may []string
	// never must not occur even indirectly.
	never []string
	why   string
}

var rules = []rule{
	{"vrrp", pure, nil, nil, "the election is a value: no I/O, no clock, no goroutine (law 1)"},
	{"checks", append(slices.Clone(pure), "reflect"), nil, nil, "checks are values (law 1)"},
	{"actions", append(slices.Clone(pure), "reflect"), nil, nil, "hooks and ladders are values (law 1)"},
	{"daemon", append(slices.Clone(pure), "container/heap", "context", "encoding/json", "log/slog", "maps", "reflect", "runtime"),
		[]string{"vrrp", "checks", "actions"}, nil, "the loop reaches the world through its ports only (law 3)"},
	{"daemon/simlan", append(slices.Clone(pure), "encoding/json", "log/slog", "math/rand/v2"), []string{"daemon", "vrrp", "checks", "actions"}, nil,
		"simulated hosts have no world but their own: no socket, no file, no clock, no goroutine"},
	{"daemon/play", append(slices.Clone(pure), "log/slog", "math/bits"), []string{"daemon", "daemon/simlan", "vrrp", "checks", "actions"}, nil,
		"a play is made of values: files are read and lines are printed by others"},
	{"vrrp/wire", nil, []string{"vrrp"}, []string{module + "daemon", module + "conf", module + "checks"},
		"sockets know packets, not policy"},
	{"actions/announce", nil, []string{"actions"}, []string{module + "daemon", module + "conf", module + "checks"},
		"announcing knows frames, not policy"},
	{"actions/advertise", nil, []string{"actions"}, []string{module + "daemon", module + "conf", module + "checks"},
		"advertising knows frames, not policy"},
	{"actions/address", nil, []string{"actions", "actions/address/macvlan", "actions/address/firewall"}, []string{module + "daemon", module + "conf", module + "vrrp/wire"},
		"the keeper of addresses knows wishes, not why"},
	{"actions/address/macvlan", nil, []string{"actions"}, []string{module + "daemon", module + "conf", module + "vrrp/wire"}, "making a link knows no wishes"},
	{"actions/address/firewall", nil, []string{"actions", "vrrp"}, []string{module + "daemon", module + "conf", module + "vrrp/wire"}, "dropping knows no wishes; the mark of adverts is the protocol's"},
	{"checks/probe", nil, []string{"checks", "actions", "actions/run"}, []string{module + "daemon", module + "conf", module + "vrrp"},
		"finding out is not judging"},
	{"actions/agent", nil, []string{"actions", "actions/run"}, []string{module + "daemon", module + "conf", module + "vrrp"},
		"starting and stopping is not deciding"},
	{"actions/run", nil, []string{"actions"}, []string{module + "daemon", module + "conf"}, "running a process knows no policy"},
	{"conf", nil, []string{"vrrp", "actions", "checks", "daemon"},
		[]string{module + "vrrp/wire", module + "actions/address", module + "daemon/control"}, "reading a file touches nothing"},
	{"conf/importer", nil, nil, []string{module + "daemon", module + "conf"}, "a translation is text in and text out"},
	{"daemon/control", nil, []string{"daemon", "vrrp", "actions"}, []string{module + "conf", module + "vrrp/wire", module + "actions/address"},
		"the socket shows what the loop says"},
	{"daemon/journal", nil, []string{"daemon"}, []string{module + "conf", module + "vrrp/wire"}, "writing down is not deciding"},
}

type pkg struct {
	ImportPath string
	Name       string
	Doc        string
	Imports    []string
	Deps       []string
}

func list(t *testing.T) map[string]pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-json=ImportPath,Name,Doc,Imports,Deps", "./...")
	cmd.Dir = root(t)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := map[string]pkg{}
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[p.ImportPath] = p
	}
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestImportLaw(t *testing.T) {
	all := list(t)
	for _, r := range rules {
		p, ok := all[module+r.pkg]
		if !ok {
			t.Errorf("%s: no such package, but a rule for it", r.pkg)
			continue
		}
		for _, imp := range p.Imports {
			if own, ok := strings.CutPrefix(imp, module); ok {
				if !slices.Contains(r.may, own) {
					t.Errorf("%s imports %s: %s", r.pkg, own, r.why)
				}
			} else if r.only != nil && !slices.Contains(r.only, imp) {
				t.Errorf("%s imports %s: %s", r.pkg, imp, r.why)
			}
		}
		for _, dep := range p.Deps {
			if slices.Contains(r.never, dep) {
				t.Errorf("%s depends on %s: %s", r.pkg, dep, r.why)
			}
		}
	}
}

func TestNobodyImportsCommands(t *testing.T) {
	for path, p := range list(t) {
		for _, imp := range p.Imports {
			if strings.HasPrefix(imp, module+"cmd/") {
				t.Errorf("%s imports %s: wiring is at the top, nothing rests on it", path, imp)
			}
		}
	}
}

// TestForbiddenModules: dead or dangerous ones, each with its successor.
func TestForbiddenModules(t *testing.T) {
	bad := map[string]string{
		"github.com/google/gopacket": "dead, panics on short input; use gopacket/gopacket",
		"github.com/mdlayher/raw":    "deprecated; use mdlayher/packet",
	}
	for path := range list(t) {
		for m, why := range bad {
			if path == m || strings.HasPrefix(path, m+"/") {
				t.Errorf("%s is linked: %s", path, why)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	for path, p := range list(t) {
		if strings.HasPrefix(path, module) && p.Doc == "" {
			t.Errorf("%s has no package comment", path)
		}
	}
}

// files calls f for every Go file of the repository.
func files(t *testing.T, f func(path string, tree *ast.File, set *token.FileSet)) {
	t.Helper()
	base := root(t)
	err := filepath.WalkDir(base, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return err
		}
		set := token.NewFileSet()
		tree, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(base, path)
		f(filepath.ToSlash(rel), tree, set)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// calls reports selector expressions pkg.Name used in a file.
func calls(tree *ast.File, name string, funcs []string, report func(token.Pos, string)) {
	ast.Inspect(tree, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := s.X.(*ast.Ident); ok && x.Name == name && slices.Contains(funcs, s.Sel.Name) {
				report(s.Pos(), s.Sel.Name)
			}
		}
		return true
	})
}

func TestPurePackagesReadNoClock(t *testing.T) {
	clock := []string{"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "NewTimer", "NewTicker", "Tick"}
	seen := 0
	files(t, func(path string, tree *ast.File, set *token.FileSet) {
		dir := filepath.Dir(path)
		if strings.HasSuffix(path, "_test.go") || !slices.Contains([]string{"vrrp", "checks", "actions", "daemon", "daemon/simlan", "daemon/play"}, dir) {
			return
		}
		seen++
		calls(tree, "time", clock, func(pos token.Pos, f string) {
			t.Errorf("%s: time.%s: time is an argument here", set.Position(pos), f)
		})
		ast.Inspect(tree, func(n ast.Node) bool {
			if g, ok := n.(*ast.GoStmt); ok {
				t.Errorf("%s: a goroutine: the loop owns all machines, others start nothing", set.Position(g.Pos()))
			}
			return true
		})
	})
	if seen < 20 {
		t.Fatalf("only %d files were looked at: the test looks in the wrong place", seen)
	}
}

func TestNoSleepOutsideTest(t *testing.T) {
	files(t, func(path string, tree *ast.File, set *token.FileSet) {
		if strings.HasPrefix(path, "test/") {
			return
		}
		calls(tree, "time", []string{"Sleep"}, func(pos token.Pos, _ string) {
			t.Errorf("%s: time.Sleep outside test/: wait for what you wait for", set.Position(pos))
		})
	})
}

func TestNoGrabBags(t *testing.T) {
	files(t, func(path string, tree *ast.File, _ *token.FileSet) {
		for _, word := range []string{"util", "utils", "helper", "helpers", "manager", "common", "misc"} {
			if tree.Name.Name == word || strings.TrimSuffix(filepath.Base(path), ".go") == word {
				t.Errorf("%s: %q names no thing; say what is in it", path, word)
			}
		}
	})
}

func TestModuleFile(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(root(t), "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	for i, line := range strings.Split(string(b), "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "replace") {
			t.Errorf("go.mod:%d: replace directives break `go install` for users", i+1)
		}
	}
}
