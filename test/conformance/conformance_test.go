package conformance

import (
	"bytes"
	_ "embed"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/conformance.md")

const (
	root     = "../.."
	document = root + "/docs/conformance.md"
)

//go:embed rows.txt
var rowsText string

// row is one line of the list.
type row struct {
	id, level, what, pending string
	proofs                   []proof
}

// proof is a test that carries a row's id.
type proof struct{ file, test string }

func (p proof) String() string {
	return fmt.Sprintf("[%s](../%s) %s", filepath.Dir(p.file), p.file, p.test)
}

// groups in the order of the list, with the number of rows each must have.
var groups = []struct {
	prefix, title string
	rows          int
}{
	{"W", "Wire format, transmit", 24}, {"T", "Timers", 18}, {"I", "Initialize and Startup", 10},
	{"B", "Backup", 22}, {"A", "Active", 23}, {"H", "Hosts: ARP, ND, forwarding, accept mode", 20},
	{"V", "Receive validation", 34}, {"2.", "VRRPv2", 17}, {"S", "Management", 13},
	{"X", "Interoperation", 12}, {"L", "Linux data plane", 12}, {"U", "Unicast", 6},
}

func TestDocumentIsUpToDate(t *testing.T) {
	rows := readRows(t)
	for id, proofs := range readTests(t) {
		r := find(rows, id)
		if r == nil {
			t.Errorf("%v claims %s, which is not in rows.txt", proofs[0], id)
			continue
		}
		r.proofs = proofs
	}
	for _, r := range rows {
		if len(r.proofs) == 0 && r.pending == "" {
			t.Errorf("%s (%s): no test carries it, and rows.txt does not say why", r.id, r.what)
		}
	}
	want := render(rows)
	got, err := os.ReadFile(document)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if bytes.Equal(got, want) {
		return
	}
	if *update {
		if err := os.WriteFile(document, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Error("docs/conformance.md is stale: run go test ./test/conformance -update")
}

// The list is complete: no row was lost, none came twice.
func TestRowsAreComplete(t *testing.T) {
	rows := readRows(t)
	seen := map[string]bool{}
	for _, r := range rows {
		if seen[r.id] {
			t.Errorf("%s comes twice", r.id)
		}
		seen[r.id] = true
	}
	total := 0
	for _, g := range groups {
		for i := range g.rows {
			if id := fmt.Sprint(g.prefix, i+1); !seen[id] {
				t.Errorf("%s is missing", id)
			}
		}
		total += g.rows
	}
	if len(rows) != total {
		t.Errorf("%d rows, want %d", len(rows), total)
	}
}

func readRows(t *testing.T) []*row {
	t.Helper()
	var rows []*row
	for n, line := range strings.Split(rowsText, "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "|")
		if len(f) != 4 {
			t.Fatalf("rows.txt:%d: %d fields, want 4", n+1, len(f))
		}
		for i := range f {
			f[i] = strings.TrimSpace(f[i])
		}
		if !strings.Contains("MSmDK", f[1]) || len(f[1]) != 1 || f[2] == "" {
			t.Fatalf("rows.txt:%d: level %q, text %q", n+1, f[1], f[2])
		}
		rows = append(rows, &row{id: f[0], level: f[1], what: f[2], pending: f[3]})
	}
	return rows
}

func find(rows []*row, id string) *row {
	for _, r := range rows {
		if r.id == id {
			return r
		}
	}
	return nil
}

// readTests returns the tests of the whole repository by the ids they carry.
func readTests(t *testing.T) map[string][]proof {
	t.Helper()
	found := map[string][]proof{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == "testdata" || d.Name() != ".." && path != root && strings.HasPrefix(d.Name(), ".")):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(path, "_test.go"):
			return nil
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		claims, err := claims(name, source)
		for id, tests := range claims {
			for _, test := range tests {
				found[id] = append(found[id], proof{filepath.ToSlash(name), test})
			}
		}
		return err
	})
	if err != nil {
		t.Fatalf("reading the tests: %v", err)
	}
	return found
}

var (
	inName   = regexp.MustCompile(`^(?:Test|Fuzz)((?:[WTIBAHVSXLU][0-9]+_)+)`)
	inMarker = regexp.MustCompile(`(?m)^\s*(?://)?\s*conformance:\s*(.*)$`)
	anID     = regexp.MustCompile(`^([WTIBAHVSXLU][0-9]+|2\.[0-9]+)$`)
)

// claims returns the ids one file's tests carry, with the names of the tests.
func claims(name string, source []byte) (map[string][]string, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, source, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	found := map[string][]string{}
	placed := map[*ast.CommentGroup]bool{}
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Recv != nil || !strings.HasPrefix(f.Name.Name, "Test") && !strings.HasPrefix(f.Name.Name, "Fuzz") {
			continue
		}
		var ids []string
		if m := inName.FindStringSubmatch(f.Name.Name); m != nil {
			ids = strings.Split(strings.TrimSuffix(m[1], "_"), "_")
		}
		for _, c := range file.Comments {
			if c != f.Doc && (c.Pos() < f.Pos() || c.End() > f.End()) {
				continue
			}
			placed[c] = true
			marked, err := markers(c.Text())
			if err != nil {
				return nil, fmt.Errorf("%v: %w", fset.Position(c.Pos()), err)
			}
			ids = append(ids, marked...)
		}
		slices.Sort(ids)
		for _, id := range slices.Compact(ids) {
			found[id] = append(found[id], f.Name.Name)
		}
	}
	for _, c := range file.Comments {
		if inMarker.MatchString(c.Text()) && !placed[c] && c.End() > file.Name.End() {
			return nil, fmt.Errorf("%v: a conformance marker that belongs to no test", fset.Position(c.Pos()))
		}
	}
	return found, nil
}

// markers returns the ids a comment names.
func markers(text string) ([]string, error) {
	var ids []string
	for _, m := range inMarker.FindAllStringSubmatch(text, -1) {
		for _, id := range strings.Split(m[1], ",") {
			id = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(id), "."))
			if !anID.MatchString(id) {
				return nil, fmt.Errorf("%q is no id of a row", id)
			}
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// The markers are found where tests of this repository put them.
func TestClaims(t *testing.T) {
	source := `package x
// TestW4_W5_Bytes proves by its name.
func TestW4_W5_Bytes(t *testing.T) {}

// Something else.
//
// conformance: 2.10, L4
func TestOther(t *testing.T) {
	t.Run("sub", func(t *testing.T) {
		// conformance: A1
	})
}
func TestWithout(t *testing.T) {}
func helper() {}
`
	got, err := claims("x_test.go", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	if want := "map[2.10:[TestOther] A1:[TestOther] L4:[TestOther] W4:[TestW4_W5_Bytes] W5:[TestW4_W5_Bytes]]"; fmt.Sprint(got) != want {
		t.Errorf("got  %v\nwant %s", got, want)
	}
	for _, bad := range []string{"package x\n// conformance: Q1\nfunc TestX(t *testing.T) {}\n", "package x\n// conformance: A1\nfunc helper() {}\n"} {
		if _, err := claims("x_test.go", []byte(bad)); err == nil {
			t.Errorf("accepted:\n%s", bad)
		}
	}
}

const preface = `# Conformance

<!-- Written by "go test ./test/conformance -update" from test/conformance/rows.txt and the tests. Do not edit. -->

What RFC 9568 with its errata (and, for version 2, RFC 3768) asks of a VRRP router, and what proves that backbeat does
it. Tests in ` + "`vrrp`" + ` run the state machine in virtual time with exact durations; the others say where they run.
A row may be proved in several tiers: the election as a value, the loop, the real kernel, a real peer.

Levels: **M** must, **S** should, **m** may, **D** our own definition where the RFC is silent, **K** compatibility.
A row without a test says why.

`

// render writes the document.
func render(rows []*row) []byte {
	var b bytes.Buffer
	b.WriteString(preface)
	b.WriteString("| group | rows | proved | of them must |\n| --- | --- | --- | --- |\n")
	var all [4]int
	for _, g := range groups {
		var n [4]int
		for _, r := range of(rows, g.prefix) {
			n[0]++
			if r.level == "M" {
				n[3]++
			}
			if len(r.proofs) > 0 {
				n[1]++
				if r.level == "M" {
					n[2]++
				}
			}
		}
		fmt.Fprintf(&b, "| %s: %s | %d | %d | %d of %d |\n", strings.TrimSuffix(g.prefix, "."), g.title, n[0], n[1], n[2], n[3])
		for i := range n {
			all[i] += n[i]
		}
	}
	fmt.Fprintf(&b, "| **all** | **%d** | **%d** | **%d of %d** |\n", all[0], all[1], all[2], all[3])
	for _, g := range groups {
		fmt.Fprintf(&b, "\n## %s: %s\n\n| row | level | what | proof |\n| --- | --- | --- | --- |\n", strings.TrimSuffix(g.prefix, "."), g.title)
		for _, r := range of(rows, g.prefix) {
			proof := "*" + r.pending + "*"
			if len(r.proofs) > 0 {
				list := make([]string, len(r.proofs))
				for i, p := range r.proofs {
					list[i] = p.String()
				}
				slices.Sort(list)
				proof = strings.Join(list, "<br>")
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", r.id, r.level, r.what, proof)
		}
	}
	return b.Bytes()
}

// of returns the rows of one group.
func of(rows []*row, prefix string) []*row {
	var list []*row
	for _, r := range rows {
		if strings.HasPrefix(r.id, prefix) {
			list = append(list, r)
		}
	}
	return list
}
