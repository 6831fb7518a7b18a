package conf

import (
	"bytes"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// A password is in the file, and diagnostics quote the file. What is secret is
// found by the names in the text and not by arguments, because where the syntax
// is wrong there may be no argument, and whoever forgets the quotes, misspells
// the name or writes keepalived's syntax has a password in the file all the same.

// secretFile begins a value of secrets that names the file it is in.
const secretFile = "file:"

// stars stand for a secret, whatever its length.
const stars = `"********"`

// secretNames are the arguments that are secret, in any block, with what other
// programs call them.
var secretNames = sync.OnceValue(func() (names []string) {
	var walk func(b *block)
	walk = func(b *block) {
		for i := range b.arguments {
			if a := &b.arguments[i]; a.secret {
				names = append(append(names, a.name), a.elsewhere...)
			}
		}
		for i := range b.blocks {
			walk(&b.blocks[i])
		}
	}
	walk(language())
	return names
})

// isSecretName reports whether a name is, or is meant to be, that of a secret.
func isSecretName(name string) bool {
	low := strings.ToLower(name)
	return strings.Contains(low, "pass") || strings.Contains(low, "auth") || slices.Contains(secretNames(), low) || nearest(low, secretNames()) != ""
}

// findSecrets returns what is behind the name of a secret in one source: from
// the end of the name to the end of the line on which the value ends.
func findSecrets(s Source) (out []hcl.Range) {
	tokens, _ := hclsyntax.LexConfig(s.Text, s.Name, hcl.InitialPos)
	for i := 0; i < len(tokens); i++ {
		if !namesSecret(tokens, i) {
			continue
		}
		last := endOfItem(tokens, i+1)
		out = append(out, hcl.RangeBetween(tokens[i+1].Range, tokens[last].Range))
		i = last
	}
	return out
}

// namesSecret reports whether token i is the name of a secret, where an
// argument, a block or the key of a map begins. There is always one behind it.
func namesSecret(tokens hclsyntax.Tokens, i int) bool {
	if tokens[i].Type != hclsyntax.TokenIdent || i+1 == len(tokens) || !isSecretName(string(tokens[i].Bytes)) {
		return false
	}
	if t := tokens[i+1].Type; i == 0 || t == hclsyntax.TokenEqual || t == hclsyntax.TokenColon {
		return true
	}
	before := tokens[i-1]
	return endsLine(before) || before.Type == hclsyntax.TokenOBrace || before.Type == hclsyntax.TokenCBrace
}

// endsLine: a comment to the end of the line has the line's end in it.
func endsLine(t hclsyntax.Token) bool {
	return t.Type == hclsyntax.TokenNewline || t.Type == hclsyntax.TokenComment && bytes.HasSuffix(t.Bytes, []byte{'\n'})
}

// endOfItem returns the last token of what begins at token i: the end of a line
// with all brackets, quotes and heredocs closed, and with something before it.
func endOfItem(tokens hclsyntax.Tokens, i int) int {
	depth, empty := 0, true
	for ; i < len(tokens)-1; i++ {
		switch t := tokens[i]; t.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOQuote, hclsyntax.TokenOHeredoc,
			hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			depth, empty = depth+1, false
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote, hclsyntax.TokenCHeredoc,
			hclsyntax.TokenTemplateSeqEnd:
			depth, empty = depth-1, false
		case hclsyntax.TokenNewline, hclsyntax.TokenComment:
			if endsLine(t) && depth <= 0 && !empty {
				return i
			}
		case hclsyntax.TokenEqual, hclsyntax.TokenColon:
		default:
			empty = false
		}
	}
	return i
}

// hidden are the secrets of all files. They are looked for when a message is about to
// show something: a quarter of what it takes to read thousands of routers.
func (d *Diagnostics) hidden() []hcl.Range {
	for _, s := range d.unsearched {
		d.secrets = append(d.secrets, findSecrets(s)...)
	}
	d.unsearched = nil
	return d.secrets
}

// secretAt returns the secret that a place lies in, or nil.
func (d *Diagnostics) secretAt(file string, offset int) *hcl.Range {
	secrets := d.hidden()
	for i := range secrets {
		if r := &secrets[i]; r.Filename == file && r.Start.Byte <= offset && offset < max(r.End.Byte, r.Start.Byte+1) {
			return r
		}
	}
	return nil
}

// masked hides what a line, which begins at an offset in its file, has of
// secrets. at is where the stars are, -1 without any.
func (d *Diagnostics) masked(file string, line []byte, begin int) (shown []byte, at int) {
	if d.secretAt(file, begin) != nil {
		return []byte(stars), 0
	}
	first := -1
	for _, r := range d.hidden() {
		if r.Filename == file && r.Start.Byte > begin && r.Start.Byte <= begin+len(line) && (first < 0 || r.Start.Byte-begin < first) {
			first = r.Start.Byte - begin
		}
	}
	if first < 0 {
		return line, -1
	}
	if rest := bytes.TrimLeft(line[first:], " \t"); len(rest) > 0 && rest[0] == '=' {
		first = len(line) - len(rest) + 1
	}
	shown = append(bytes.Clone(line[:first]), ' ')
	return append(shown, stars...), len(shown)
}

// quoted is what messages put between quotes or brackets.
var quoted = regexp.MustCompile(`"([^"]+)"|\[([^\]]+)\]`)

// discreet replaces what HCL says about the syntax of a secret if it cites it.
func (d *Diagnostics) discreet(g *hcl.Diagnostic) {
	if g.Subject == nil {
		return
	}
	r := d.secretAt(g.Subject.Filename, g.Subject.Start.Byte)
	f := d.files[g.Subject.Filename]
	if r == nil || f == nil {
		return
	}
	text := f.Bytes[r.Start.Byte:r.End.Byte]
	for _, cited := range quoted.FindAllStringSubmatch(g.Detail, -1) {
		if bytes.Contains(text, []byte(cited[1]+cited[2])) {
			g.Detail = "What is wrong would show a secret. Put it in quotes, with a backslash before each quote and backslash in it, or take it from the environment with env(\"NAME\")."
			return
		}
	}
}

// unsetVariable is what function env says; the name must look like one.
var unsetVariable = regexp.MustCompile(`^Environment variable [A-Z_][A-Z0-9_]* is not set`)

// evaluateSecret is evaluate, but nobody learns why it failed: HCL cites names
// and values, and with the quotes forgotten the password is a name. In a map that
// may have one among others, it is what is said of that one that is kept back.
func (d *decoder) evaluateSecret(a *argument, expr hclsyntax.Expression) (cty.Value, bool) {
	n := len(d.list)
	v, ok := d.evaluate(expr)
	said := slices.Clone(d.list[n:])
	if !a.secret && !slices.ContainsFunc(said, func(g *hcl.Diagnostic) bool {
		return g.Subject != nil && d.secretAt(g.Subject.Filename, g.Subject.Start.Byte) != nil
	}) {
		return v, ok
	}
	d.list = d.list[:n]
	if !said.HasErrors() {
		return v, ok
	}
	why := "What is wrong would show a secret. It is most likely without quotes."
	for _, g := range said {
		if unsetVariable.MatchString(g.Detail) {
			why = unsetVariable.FindString(g.Detail) + "."
		}
	}
	d.errorf(expr.Range(), fmt.Sprintf("%s cannot be computed", a.name), "%s Write it in quotes, or like this:\n    %s", why, a.example)
	return cty.NilVal, false
}

// inFile reports whether a secret is written in the file, and not only the name
// of the environment variable or of the file that has it.
func inFile(expr hclsyntax.Expression) bool {
	switch e := expr.(type) {
	case *hclsyntax.FunctionCallExpr:
		return e.Name != "env" || len(e.Args) != 1
	case *hclsyntax.ObjectConsExpr:
		return slices.ContainsFunc(e.Items, func(i hclsyntax.ObjectConsItem) bool { return inFile(i.ValueExpr) })
	case *hclsyntax.TemplateExpr:
		if len(e.Parts) == 0 {
			return true
		}
		l, ok := e.Parts[0].(*hclsyntax.LiteralValueExpr)
		return !ok || l.Val.Type() != cty.String || !strings.HasPrefix(l.Val.AsString(), secretFile)
	}
	return true
}

// readableByAll reports whether a file's mode lets every user read it. An
// unknown mode, 0, does not.
func readableByAll(mode fs.FileMode) bool { return mode.Perm()&0o004 != 0 }

// exposed warns of a secret in a file that everybody may read.
func (d *decoder) exposed(a *argument, at *hclsyntax.Attribute) {
	if file := at.Expr.Range().Filename; readableByAll(d.modes[file]) && inFile(at.Expr) {
		d.warnf(at.NameRange, fmt.Sprintf("Everybody may read %s", a.name), "The file's mode is %04o, so every user of this host can. Change that: chmod 600 %s", d.modes[file].Perm(), file)
	}
}
