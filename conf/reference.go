package conf

import (
	"fmt"
	"io"
	"strings"

	"github.com/mitchellh/go-wordwrap"
)

// pageWidth is where paragraphs of the reference break, in columns.
const pageWidth = 115

// WriteReference writes the reference of the configuration language, in
// Markdown, from the table: docs/configuration.md is its output.
func WriteReference(w io.Writer) error {
	var b strings.Builder
	b.WriteString(referenceIntro)
	told := make(map[string]string)
	for _, blk := range language().blocks {
		writeBlock(&b, &blk, nil, told)
	}
	b.WriteString(referenceExpressions)
	b.WriteString("| function | result |\n| --- | --- |\n")
	for _, f := range builtins(nil) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", f.example, f.doc)
	}
	b.WriteString(referenceChecks)
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write configuration reference: %w", err)
	}
	return nil
}

// writeBlock writes one block: what it is, its arguments in brief, each
// argument in full, an example, and the blocks inside. What several kinds of a
// block have in common is told once, at the first of them: told has where.
func writeBlock(b *strings.Builder, blk *block, outer []string, told map[string]string) {
	path := append(outer[:len(outer):len(outer)], blk.name)
	if blk.kind != "" {
		path = append(path, blk.kind)
	}
	fmt.Fprintf(b, "\n## `%s`\n\n%s\n", strings.Join(path, "` → `"), wordwrap.WrapString(blk.doc, pageWidth))
	count := "Any number."
	if blk.once {
		count = "At most one."
	}
	fmt.Fprintf(b, "\n%s Written `%s { … }`", count, blk.header())
	if blk.label != "" && !blk.address {
		fmt.Fprintf(b, "; %s is 1–%d letters, digits, `-`, `_` and `.`", blk.label, maxName)
	}
	b.WriteString(".\n\n")
	b.WriteString("| argument | value | default | range |\n| --- | --- | --- | --- |\n")
	var here []*argument
	for i := range blk.arguments {
		a := &blk.arguments[i]
		at, key := anchor(path, a), strings.Join(append(outer[:len(outer):len(outer)], blk.name, a.name, a.doc), "\x00")
		if len(outer) > 1 && outer[len(outer)-2] == "step" { // step → KIND → monitor
			key = strings.Join([]string{"step", blk.name, a.name, a.doc}, "\x00")
		}
		if first, again := told[key]; again {
			at = first
		} else {
			told[key] = at
			here = append(here, a)
		}
		fmt.Fprintf(b, "| [`%s`](#%s) | %s | %s | %s |\n", a.name, at, kindColumn(a), defaultColumn(a), code(a.rangeText()))
	}
	b.WriteString("\n```hcl\n" + blk.example + "\n```\n")
	for _, a := range here {
		fmt.Fprintf(b, "\n<a id=\"%s\"></a>\n%s\n\n```hcl\n%s\n```\n", anchor(path, a),
			wordwrap.WrapString(fmt.Sprintf("**`%s`** — %s", a.name, a.doc), pageWidth), a.example)
	}
	for i := range blk.blocks {
		writeBlock(b, &blk.blocks[i], path, told)
	}
}

// anchor is unique: user and name occur in several blocks.
func anchor(path []string, a *argument) string {
	return strings.Join(path, "-") + "-" + a.name
}

func kindColumn(a *argument) string {
	if len(a.names) > 0 {
		return "word or whole number"
	}
	return strings.TrimPrefix(a.kind.String(), "a ")
}

func defaultColumn(a *argument) string {
	switch {
	case a.required:
		return "**required**"
	case a.def == nil && a.kind == mapping:
		return "none"
	case a.def == nil:
		return "see below"
	default:
		return "`" + a.defaultText() + "`"
	}
}

// code sets words of the range in code type, as far as the table has not.
func code(s string) string {
	if strings.HasPrefix(s, `"`) {
		return "`" + strings.ReplaceAll(strings.ReplaceAll(s, ", ", "`, `"), " or ", "` or `") + "`"
	}
	return s
}

const referenceIntro = `# The configuration file

<!-- Made from conf/table.go by: go test ./conf -run Reference -update. Do not edit. -->

backbeat reads [HCL](https://github.com/hashicorp/hcl/blob/main/hclsyntax/spec.md) from
` + "`/etc/backbeat/backbeat.hcl`" + `, or from the file or directory given with ` + "`-c`" + `. Of a directory it reads every
` + "`*.hcl`" + ` file, in the order of their names, as if they were one. It is strict: an unknown name is an error, and nothing
is ignored, rounded or corrected in silence. All errors are reported at once, each with file, line, column, the line
itself and what to do. ` + "`backbeat check`" + ` does that without running anything. It also checks hosts against each other:
` + "`backbeat check --node web1,web2 FILE`" + ` where one file serves both, and with a file for each
` + "`backbeat check --node web1,web2 web1.hcl web2.hcl`" + ` (` + "`--node`" + ` may be left out where each has a ` + "`node`" + ` block).

The smallest file that does something, the same on both hosts:

` + "```hcl" + `
virtual_router "web" {
  interface = "eth0"
  vrid      = 61
  addresses = ["192.0.2.10/24"]
}
` + "```" + `

Its priorities are equal, then: it works, the host with the higher address is preferred, and ` + "`backbeat check`" + ` of both
hosts warns about it. [` + "`priority`" + `](#virtual_router-priority) says who is preferred.

Durations are strings with a unit: ` + "`\"10ms\"`, `\"1.5s\"`, `\"2m\"`" + `. An argument set to ` + "`null`" + ` counts as left out.
Files to begin with are in [examples/](../examples/).
`

const referenceExpressions = `
## Expressions

Every value may be an expression. ` + "`node.name`" + ` is the name of this host, so one file can serve all hosts of a virtual
router, with what differs selected by name (and ` + "`virtual_router.NAME`, `sync_group.NAME` and `check.KIND.NAME`" + ` name other blocks):

` + "```hcl" + `
priority = { web1 = 150, web2 = 100 }[node.name]
owner    = node.name == "web1"
` + "```" + `

A host without an entry is an error that names the entries there are. Text may contain expressions:
` + "`\"pair of ${node.name}\"`" + `. Functions:

`

const referenceChecks = `
## What is checked beyond that

Errors, each with the place of the first definition where there are two:

- a virtual router's or a hook's name used twice; a second ` + "`node`" + ` or ` + "`announce`" + ` block
- the same VRID twice on one interface and address family, unless their groups or peers differ; and never with
  two virtual MACs, which would be the same one
- a version or an authentication that does not fit the family or the interval; an empty or useless list of peers
- members of a sync group with different priorities on one host, or with and without ` + "`owner`" + `; a router in two groups; a group of one
- a route or rule given twice; families that do not fit together; a route that leads nowhere, a rule for everything
- a ` + "`source`" + ` or a peer that is a virtual address; a macvlan called like another interface
- an address given twice on one host (a link-local address: twice on one interface)
- an IPv6 election whose first address is not link-local (RFC 9568 5.2.9)
- priority 255 without ` + "`owner = true`" + `, or an owner with another priority (RFC 9568 5.2.4)
- more than 255 advertised addresses
- multicast, loopback, unspecified, broadcast, network, IPv4-mapped addresses, addresses with a zone
- a service group that follows what does not exist, half of something, or what another group follows already; one without steps
- a step with exclusive data and no ` + "`safety`" + ` block; ` + "`mode = \"none\"` without `accept_split_brain = true`" + `; fencing without a device, or of this host itself
- a unit, script, resource, mount or address that two steps have, or a router and a step
- a step that would stop what a host needs to be reached and run: sshd, the network, systemd's own units, backbeat
- an OCF agent that needs Pacemaker; GFS2 and OCFS2; a mount on one of the system's directories, or before its DRBD resource is Primary
- an interface name that the kernel would refuse; a command that is not an absolute path

Warnings:

- more than 90 advertised IPv6 addresses: the advertisement is fragmented at an MTU of 1500
- the address of an IPv6 prefix itself (Subnet-Router anycast)
- a password, always; and one in a file that everybody may read. The password itself is in no message, nor is its line
- Router Advertisements without ` + "`virtual_mac`" + `; a virtual MAC with ` + "`peers`" + `; members of a group that preempt or settle differently
- a DRBD device that no step makes Primary; an exclusive ` + "`exec`" + ` step without ` + "`status`" + `; a step that is the firewall; a password among an agent's parameters
- a ` + "`safety`" + ` block where nothing is exclusive
- an argument that does nothing beside another: ` + "`preempt_delay` with `preempt = false`" + `, and the like
- of this host (` + "`backbeat check`" + ` without ` + "`--node`" + `): an interface that is not there; an address that it has although backbeat has not put it there (root
  only, once the daemon has run); commands that would be refused; units that are enabled at boot; a ` + "`TimeoutStopSec`" + ` that is too short

Between hosts (` + "`backbeat check`" + ` with several files or ` + "`--node`" + ` names), virtual routers belonging together by VRID and family:

- errors: hosts of one name (then nothing else is compared); two owners; one address in two elections, with other VRIDs
- errors, because both hosts would be Active: version, multicast_group, unicast against multicast differ; with version 2 also
  interval and password, and addresses if ` + "`verify_addresses`" + ` insists; a host that is no peer of the other; a ` + "`ttl`" + ` below the other's ` + "`ttl_min`" + `
- errors: equal priorities in a sync group
- errors: a service group with other steps or another order, another safety mode, or that follows another virtual router
- warnings: a service group on one host only; a step or ` + "`addresses_when`, `on_stuck`, `release_timeout`" + ` that differs; fence devices that
  differ, that have the same ` + "`delay`" + ` on both hosts, or whose target is not the other host
- warnings: interval, addresses, virtual_mac, accept, sync_group, Router Advertisements, routes, rules differ; priorities equal;
  a virtual router on one host only; lists of peers that cannot name all
`
