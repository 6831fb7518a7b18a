package importer

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"
)

func sortByLine(list []*tracker) {
	slices.SortFunc(list, func(a, b *tracker) int { return cmp.Compare(a.line, b.line) })
}

// hook is a notify script.
type hook struct {
	name, on, user string
	command        []string
}

// occasions are the words of on for keepalived's notify scripts.
var occasions = map[string]string{
	"notify_master": `["active"]`, "notify_backup": `["backup"]`, "notify_fault": `["fault"]`, "notify_stop": `["initialize"]`, "notify_deleted": `["initialize"]`,
	"notify": `["active", "backup", "initialize", "fault"]`,
}

// hook reads a notify script of an instance, or of its sync group.
func (k *keepalived) hook(i *instance, n *node, group string) {
	w := n.word(0)
	on, known := occasions[w]
	words, plain := shellWords(n.word(1))
	switch {
	case !known:
		i.lack(n.line, "unknown keyword %q", n.text())
		return
	case len(words) == 0:
		i.lack(n.line, "%s: without a script", n.text())
		return
	case w == "notify_deleted":
		if slices.ContainsFunc(i.hooks, func(h hook) bool { return h.on == on }) {
			i.lack(n.line, "%s: removal by a reload is initialize, too, and there is a hook for that", n.text())
			return
		}
	}
	h := hook{name: strings.ReplaceAll(w, "_", "-"), on: on, user: cmp.Or(n.word(2), k.scriptUser()), command: words}
	if group != "" {
		h.name = "group-" + h.name
		k.note(n.line, "%s of vrrp_sync_group %s is a hook of %s: all members move together", w, group, i.given)
	}
	if w == "notify" {
		k.note(n.line, "%s: nothing is appended to the command of a hook; BACKBEAT_ON, BACKBEAT_ROUTER and BACKBEAT_PRIORITY have what notify got as arguments", i.given)
	}
	if !plain {
		h.command = []string{"/bin/sh", "-c", n.word(1)}
	} else if !path.IsAbs(words[0]) {
		h.command = append([]string{"/usr/bin/env"}, words...)
		k.note(n.line, "%s: write where %s is: the search path is not looked along", w, words[0])
	}
	for c := 2; slices.ContainsFunc(i.hooks, func(o hook) bool { return o.name == h.name }); c++ {
		h.name = fmt.Sprintf("%s-%d", strings.ReplaceAll(w, "_", "-"), c)
	}
	i.hooks = append(i.hooks, h)
}

func (k *keepalived) writeHooks(i *instance) {
	for _, h := range i.hooks {
		fmt.Fprintf(k, "\nhook %s {\n", quote(h.name))
		k.line("on", h.on)
		k.line("command", list(h.command))
		k.line("user", quote(h.user))
		k.WriteString("}\n")
	}
}
