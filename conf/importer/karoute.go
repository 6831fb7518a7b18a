package importer

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
)

// argument is one line of HCL.
type argument struct{ name, value string }

// writeRoutes writes virtual_routes.
func (k *keepalived) writeRoutes(i *instance) {
	for _, n := range i.routes {
		dst, args, why := i.route(n)
		key := fmt.Sprint("route ", dst, args)
		if why == "" && k.others[key] {
			why = "it is there already"
		}
		if why != "" {
			k.missing(n.line, "route %s: %s", n.text(), why)
			continue
		}
		k.others[key] = true
		fmt.Fprintf(k, "\nroute %s {\n", quote(dst))
		for _, a := range args {
			k.line(a.name, a.value)
		}
		k.WriteString("}\n")
	}
}

// route reads a route in the syntax of ip-route(8) and of keepalived's own.
func (i *instance) route(n *node) (dst string, args []argument, why string) {
	var via, source netip.Addr
	kind, dev := "", ""
	words := n.words
	for j := 0; j < len(words); j++ {
		next := func() string {
			if j++; j < len(words) {
				return words[j]
			}
			return ""
		}
		add := func(name, text string, ok bool) {
			if !ok {
				why = fmt.Sprintf("%s is not translated", name)
			}
			args = append(args, argument{name, text})
		}
		switch w := words[j]; w {
		case "via", "gw":
			text := next()
			if text == "inet" || text == "inet6" {
				text = next()
			}
			via, _ = netip.ParseAddr(text)
			add("via", quote(text), via.IsValid() && via.Zone() == "")
		case "src":
			text := next()
			source, _ = netip.ParseAddr(text)
			add("source", quote(text), source.IsValid())
		case "dev", "oif":
			dev = next()
			add("interface", quote(dev), dev != "" && len(dev) <= 15)
		case "table":
			text, ok := tableWord(next())
			add("table", text, ok)
		case "metric", "preference", "priority":
			v, err := strconv.ParseUint(next(), 10, 32)
			add("metric", strconv.FormatUint(v, 10), err == nil)
		case "scope":
			text := next()
			add("scope", quote(text), slices.Contains(scopeWords, text))
		case "onlink":
			add("on_link", "true", true)
		case "mtu":
			text := next()
			if text == "lock" {
				text = next()
			}
			_, ok := whole(text, 0, 65535)
			add("mtu", text, ok)
		case "blackhole", "unreachable", "prohibit":
			kind = w
			add("kind", quote(w), true)
		case "unicast", "no_track", "to":
		default:
			if _, ok := networkWord(w); dst == "" && (ok || w == "default" || w == "default6") {
				dst = w
				continue
			}
			return dst, nil, fmt.Sprintf("%q is not translated", w)
		}
	}
	if why == "" {
		why = i.badRoute(&dst, via, source, dev, kind)
	}
	return dst, args, why
}

// badRoute says what the configuration would refuse in a route, and writes its
// destination as the configuration has it.
func (i *instance) badRoute(dst *string, via, source netip.Addr, dev, kind string) string {
	six := via.Is6()
	if p, ok := networkWord(*dst); ok {
		if six = p.Addr().Is6(); p.Bits() == 0 {
			*dst = "default"
		} else {
			*dst = p.String()
		}
	} else if *dst == "default6" {
		*dst, six = "default", true
	}
	own := func(a netip.Addr) bool {
		return slices.ContainsFunc(slices.Concat(i.addresses, i.extra), func(x *address) bool { return x.prefix.Addr() == a })
	}
	switch {
	case *dst == "":
		return "it has no destination"
	case via.IsValid() && via.Is6() != six || source.IsValid() && source.Is6() != six:
		return "its addresses are of two families"
	case kind != "" && (via.IsValid() || dev != ""):
		return "it leads nowhere and has a next hop"
	case kind == "" && !via.IsValid() && dev == "":
		return "it has neither via nor dev"
	case via.IsValid() && own(via):
		return "its next hop is an address of this router"
	}
	return ""
}

var scopeWords = []string{"global", "site", "link", "host"}

// writeRules writes virtual_rules.
func (k *keepalived) writeRules(i *instance) {
	for count, n := range i.rules {
		args, why := k.rule(n, count)
		key := fmt.Sprint("rule ", args)
		if why == "" && k.others[key] {
			why = "it is there already"
		}
		if why != "" {
			k.missing(n.line, "rule %s: %s", n.text(), why)
			continue
		}
		k.others[key] = true
		k.WriteString("\nrule {\n")
		for _, a := range args {
			k.line(a.name, a.value)
		}
		k.WriteString("}\n")
	}
}

func (k *keepalived) rule(n *node, count int) (args []argument, why string) {
	has := map[string]bool{}
	add := func(name, text string, ok bool) {
		if !ok {
			why = fmt.Sprintf("%s is not translated", name)
		}
		has[name] = true
		args = append(args, argument{name, text})
	}
	var families []bool
	for j := 0; j < len(n.words); j++ {
		w := n.words[j]
		j++
		v := n.word(j)
		switch w {
		case "from", "to":
			if v == "all" {
				continue
			}
			p, ok := networkWord(v)
			families = append(families, p.Addr().Is6())
			add(w, quote(p.String()), ok)
		case "iif", "dev":
			add("iif", quote(v), v != "" && len(v) <= 15)
		case "oif":
			add("oif", quote(v), v != "" && len(v) <= 15)
		case "fwmark":
			m, err := strconv.ParseUint(v, 0, 32)
			add("fwmark", strconv.FormatUint(m, 10), err == nil && m > 0)
		case "table", "lookup":
			text, ok := tableWord(v)
			add("table", text, ok)
		case "priority", "preference", "order":
			_, ok := whole(v, 1, 32765)
			add("priority", v, ok)
		case "no_track":
			j--
		default:
			return nil, fmt.Sprintf("%q is not translated", w)
		}
	}
	switch {
	case why != "":
		return nil, why
	case !has["table"]:
		return nil, "it has no table"
	case !has["from"] && !has["to"] && !has["iif"] && !has["oif"] && !has["fwmark"]:
		return nil, "it is for everything"
	case len(families) == 2 && families[0] != families[1]:
		return nil, "from and to are of two families"
	}
	if !has["from"] && !has["to"] {
		args = append(args, argument{"family", quote("ipv4")})
	}
	if !has["priority"] {
		args = append(args, argument{"priority", strconv.Itoa(1000 + count)})
		k.note(n.line, "rule %s has no priority: %d is a guess; it must be the same on all hosts", n.text(), 1000+count)
	}
	return args, ""
}
