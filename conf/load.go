package conf

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"

	"github.com/backbeat-ha/backbeat/daemon"
)

// Options is what a configuration takes from the host it is loaded on.
type Options struct {
	// Node is node.name where the file has no node block: the short host name.
	Node string
	// Override is node.name whatever the file says, so that one host can check
	// what the file means on another. Empty overrides nothing.
	Override string
	// Getenv looks an environment variable up (os.LookupEnv); nil has none.
	Getenv func(name string) (value string, ok bool)
}

// Load parses, evaluates and checks a configuration. The Config is nil exactly
// when the Diagnostics have errors; the Diagnostics are never nil and may hold
// warnings beside a good Config. Load does no I/O but through opt.Getenv.
func Load(src []Source, opt Options) (*daemon.Config, *Diagnostics) {
	d := &decoder{Diagnostics: &Diagnostics{files: make(map[string]*hcl.File), routers: make(map[string]hcl.Range), placed: make(map[string][]placedAddress), programs: make(map[hookKey]hcl.Range),
		serviceAt: make(map[string]hcl.Range)},
		modes: make(map[string]fs.FileMode, len(src))}
	order := make(map[string]int, len(src))
	var bodies []*hclsyntax.Body
	for i, s := range src {
		order[s.Name] = i
		if b := d.parse(s); b != nil {
			bodies = append(bodies, b)
		}
	}
	cfg := d.load(bodies, opt)
	d.settle(order)
	if d.HasErrors() {
		return nil, d.Diagnostics
	}
	return cfg, d.Diagnostics
}

// parse returns the body of one source, as much of it as could be read.
func (d *decoder) parse(s Source) *hclsyntax.Body {
	f, diags := hclsyntax.ParseConfig(s.Text, s.Name, hcl.InitialPos)
	if f == nil {
		f = &hcl.File{Bytes: s.Text}
	}
	d.files[s.Name] = f
	d.modes[s.Name] = s.Mode
	d.unsearched = append(d.unsearched, s)
	for _, g := range diags {
		d.discreet(g)
		if g.Subject != nil {
			d.syntax = append(d.syntax, *g.Subject)
		}
	}
	d.list = append(d.list, diags...)
	b, _ := f.Body.(*hclsyntax.Body)
	return b
}

func (d *decoder) load(bodies []*hclsyntax.Body, opt Options) *daemon.Config {
	top := language()
	root := &section{def: top}
	var nodes, others hclsyntax.Blocks
	for _, b := range bodies {
		for _, inner := range b.Blocks {
			if inner.Type == "node" {
				nodes = append(nodes, inner)
			} else {
				others = append(others, inner)
			}
		}
	}
	d.eval = &hcl.EvalContext{Functions: functionTable(opt.Getenv)}
	d.inner(nodes, top, root)
	name := d.nodeName(root, opt, bodies)
	d.eval.Variables = map[string]cty.Value{"node": cty.ObjectVal(map[string]cty.Value{"name": name}), "check": checkNames(others),
		"virtual_router": blockNames(others, "virtual_router", ""), "sync_group": blockNames(others, "sync_group", groupPrefix)}

	for _, b := range bodies {
		d.attributes(b, top, root)
	}
	d.inner(others, top, root)

	cfg := &daemon.Config{Node: d.node}
	var routers []*router
	for _, s := range root.all("virtual_router") {
		for _, r := range d.routersOf(s) {
			routers = append(routers, r)
			if _, again := d.routers[r.cfg.Name]; !again {
				d.routers[r.cfg.Name], d.placed[r.cfg.Name] = s.header, r.addresses
			}
		}
	}
	d.crossCheck(routers)
	cfg.Groups = d.groups(root, routers)
	d.health(cfg, root, routers)
	cfg.Services = d.servicesOf(root, routers, cfg.Groups)
	if len(routers) == 0 && !d.HasErrors() {
		d.add(hcl.DiagError, beginning(bodies), "Nothing to do: no virtual_router",
			"Describe at least one. The smallest one is:\n    virtual_router \"web\" {\n      interface = \"eth0\"\n      vrid      = 61\n"+
				"      addresses = [\"192.0.2.10/24\"]\n    }")
	}
	for _, r := range routers {
		cfg.Routers = append(cfg.Routers, r.cfg)
	}
	slices.SortFunc(cfg.Routers, func(a, b daemon.RouterConfig) int { return cmp.Compare(a.Name, b.Name) })
	return cfg
}

// blockNames lets virtual_router.NAME stand for the name, and sync_group.NAME for
// itself, where a block refers to another.
func blockNames(blocks hclsyntax.Blocks, kind, prefix string) cty.Value {
	names := make(map[string]cty.Value)
	for _, b := range blocks {
		if b.Type == kind && len(b.Labels) == 1 && badName(b.Labels[0]) == "" {
			names[b.Labels[0]] = cty.StringVal(prefix + b.Labels[0])
		}
	}
	return cty.ObjectVal(names)
}

// nodeName decides node.name and remembers it. It is unknown to expressions
// when it could not be found out, so that they do not complain once more.
func (d *decoder) nodeName(root *section, opt Options, bodies []*hclsyntax.Body) cty.Value {
	var written value
	at := beginning(bodies)
	if nodes := root.all("node"); len(nodes) > 0 {
		written = nodes[0].get("name")
		at = &written.at
	}
	switch {
	case opt.Override != "":
		d.node = opt.Override
	case written.ok:
		d.node = written.text
	case written.written || (written.at != hcl.Range{} && d.HasErrors()):
		return cty.UnknownVal(cty.String) // reported
	default:
		d.node = opt.Node
	}
	if d.node == "" && !written.ok {
		d.add(hcl.DiagError, at, "This host has no name", "Its host name is empty. Give it one:\n    node { name = \"web1\" }")
		return cty.UnknownVal(cty.String)
	}
	if why := badName(d.node); why != "" {
		d.add(hcl.DiagError, at, "Unusable name for this node", fmt.Sprintf("%s Write one in the file:\n    node { name = \"web1\" }", why))
		return cty.UnknownVal(cty.String)
	}
	return cty.StringVal(d.node)
}

// beginning is where a complaint about the whole configuration points.
func beginning(bodies []*hclsyntax.Body) *hcl.Range {
	if len(bodies) == 0 {
		return nil
	}
	return &hcl.Range{Filename: bodies[0].SrcRange.Filename, Start: hcl.InitialPos, End: hcl.InitialPos}
}
