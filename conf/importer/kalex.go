package importer

import "strings"

// node is one statement of keepalived.conf: its words, and the block behind it.
type node struct {
	words []string
	line  int
	// block is what is in braces; inBraces tells an empty one from none.
	block    []*node
	inBraces bool
}

// word returns word i, or "".
func (n *node) word(i int) string {
	if i < len(n.words) {
		return n.words[i]
	}
	return ""
}

// text is the statement as one line, without its block; of one that may have a
// password in it, the keyword alone.
func (n *node) text() string {
	if w := strings.ToLower(n.word(0)); strings.Contains(w, "auth") || strings.Contains(w, "pass") || strings.Contains(w, "secret") {
		return n.word(0)
	}
	return strings.Join(n.words, " ")
}

// items are the words of a block that is a list, with the line of each.
func (n *node) items() (out []*node) {
	if !n.inBraces && len(n.words) > 1 {
		return []*node{{words: n.words[1:], line: n.line}}
	}
	return n.block
}

// kaLexer reads keepalived.conf: words, quoted strings, braces, comments from #
// or ! to the end of the line. A statement ends with its line.
type kaLexer struct {
	text      string
	pos, line int
	// vars are the definitions $NAME=value seen so far.
	vars map[string]string
}

// parseKeepalived returns the statements, and the first line that cannot be read
// as part of the structure (0: none).
func parseKeepalived(text string) (all []*node, bad int) {
	l := &kaLexer{text: strings.ReplaceAll(text, "\r\n", "\n"), line: 1, vars: map[string]string{}}
	all = l.block(0)
	for l.pos < len(l.text) { // a brace too many
		if bad == 0 {
			bad = l.line
		}
		l.pos++
		all = append(all, l.block(0)...)
	}
	return all, bad
}

// maxDepth bounds nesting; keepalived.conf has four levels.
const maxDepth = 50

func (l *kaLexer) block(depth int) (out []*node) {
	var now *node
	end := func() { now = nil }
	last := func() *node {
		if len(out) == 0 {
			return nil
		}
		return out[len(out)-1]
	}
	for l.pos < len(l.text) {
		switch c := l.text[l.pos]; {
		case c == '\n':
			l.pos++
			l.line++
			end()
		case c == ' ' || c == '\t' || c == '\r':
			l.pos++
		case c == '#' || c == '!':
			for l.pos < len(l.text) && l.text[l.pos] != '\n' {
				l.pos++
			}
		case c == '{':
			l.pos++
			n := now
			if n == nil {
				n = last() // the brace on a line of its own
			}
			if n == nil || n.inBraces {
				n = &node{line: l.line}
				out = append(out, n)
			}
			if n.inBraces = true; depth < maxDepth {
				n.block = l.block(depth + 1)
				if l.pos < len(l.text) {
					l.pos++ // its brace
				}
			}
			end()
		case c == '}':
			return out
		default:
			w := l.word()
			if now == nil {
				if name, value, ok := strings.Cut(w, "="); ok && strings.HasPrefix(name, "$") {
					l.vars[strings.TrimPrefix(name, "$")] = strings.TrimSpace(value + l.restOfLine())
					continue
				}
				now = &node{line: l.line}
				out = append(out, now)
			}
			now.words = append(now.words, l.expand(w)...)
		}
	}
	return out
}

// word reads a word, or a string in double quotes.
func (l *kaLexer) word() string {
	var b strings.Builder
	if l.text[l.pos] == '"' {
		for l.pos++; l.pos < len(l.text) && l.text[l.pos] != '"' && l.text[l.pos] != '\n'; l.pos++ {
			if l.text[l.pos] == '\\' && l.pos+1 < len(l.text) && strings.IndexByte(`"\`, l.text[l.pos+1]) >= 0 {
				l.pos++
			}
			b.WriteByte(l.text[l.pos])
		}
		if l.pos < len(l.text) && l.text[l.pos] == '"' {
			l.pos++
		}
		return b.String()
	}
	for l.pos < len(l.text) {
		c := l.text[l.pos]
		if c == '$' && l.pos+1 < len(l.text) && l.text[l.pos+1] == '{' { // ${NAME}
			if i := strings.IndexByte(l.text[l.pos:], '}'); i > 0 && !strings.Contains(l.text[l.pos:l.pos+i], "\n") {
				b.WriteString(l.text[l.pos : l.pos+i+1])
				l.pos += i + 1
				continue
			}
		}
		if strings.IndexByte(" \t\r\n{}#!", c) >= 0 {
			break
		}
		b.WriteByte(c)
		l.pos++
	}
	return b.String()
}

func (l *kaLexer) restOfLine() string {
	start := l.pos
	for l.pos < len(l.text) && strings.IndexByte("\n#!", l.text[l.pos]) < 0 {
		l.pos++
	}
	return strings.TrimRight(l.text[start:l.pos], " \t")
}

// expand replaces $NAME and ${NAME} by what was defined; a definition of several
// words makes several.
func (l *kaLexer) expand(w string) []string {
	if !strings.Contains(w, "$") || len(l.vars) == 0 {
		return []string{w}
	}
	whole := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(w, "$"), "{"), "}")
	if v, ok := l.vars[whole]; ok && (w == "$"+whole || w == "${"+whole+"}") {
		return strings.Fields(v)
	}
	for name, v := range l.vars {
		w = strings.ReplaceAll(w, "${"+name+"}", v)
	}
	return []string{w}
}
