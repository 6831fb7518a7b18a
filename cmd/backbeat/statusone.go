package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// outputLines is how much of a hook's output the status shows.
const outputLines = 8

// manyAddresses is how many addresses are shown one by one.
const manyAddresses = 24

// labelWidth is the width of the labels before the blocks.
const labelWidth = 12

// named prints everything about what has a name: a virtual router and then its
// group, or a group and then, in short, whom it follows.
func (p *statusPrinter) named(w io.Writer, name string) {
	p.warn(w)
	router := slices.ContainsFunc(p.st.Routers, func(r daemon.RouterStatus) bool { return r.Name == name })
	if router {
		p.one(w)
	}
	for i := range p.st.Services {
		s := &p.st.Services[i]
		if router {
			fmt.Fprintln(w)
		}
		p.group(w, s)
	}
	if router {
		return
	}
	for i := range p.st.Routers {
		r := &p.st.Routers[i]
		p.block(w, clean(r.Name), []string{fmt.Sprintf("%s for %s: %s", p.routerPaint(r, stateText(r)), span(p.now.Sub(r.Since)), p.why(r))})
	}
}

// one prints everything about each router of the answer: the one asked for, or
// two while it is being replaced.
func (p *statusPrinter) one(w io.Writer) {
	for i := range p.st.Routers {
		if i > 0 {
			fmt.Fprintln(w)
		}
		r := &p.st.Routers[i]
		p.line(w, fmt.Sprintf("%s is %s  %s", p.bold(clean(r.Name)), p.routerPaint(r, stateText(r)),
			p.dim(fmt.Sprintf("(%s, VRID %d, %s, node %s)", clean(r.Interface), r.VRID, clean(r.Family), clean(p.st.Node)))), 2)
		p.election(w, r)
		p.block(w, "addresses", p.addressLines(r))
		p.block(w, "routes", cleanAll(r.Routes))
		p.block(w, "rules", cleanAll(r.Rules))
		p.block(w, "hooks", p.hookLines(r))
		p.block(w, "counters", p.counterLines(r.Counters))
		p.block(w, "interface", p.linkLines(r))
	}
}

// block prints lines under a label; nothing if there are none.
func (p *statusPrinter) block(w io.Writer, label string, lines []string) {
	for i, l := range lines {
		if i > 0 {
			label = ""
		}
		p.line(w, fmt.Sprintf("  %s%s", p.dim(fmt.Sprintf("%-*s", labelWidth, label)), l), 2+labelWidth)
	}
}

func (p *statusPrinter) election(w io.Writer, r *daemon.RouterStatus) {
	since := fmt.Sprintf("%s (%s)", r.Since.In(p.zone).Format("2006-01-02 15:04:05 MST"), span(p.now.Sub(r.Since)))
	p.block(w, "since", []string{since})
	if now := hears(r); now != "" && r.Fault == "" {
		p.block(w, "why", []string{now})
		p.block(w, "last change", []string{clean(r.Reason)})
	} else {
		p.block(w, "why", []string{clean(r.Reason)})
	}
	if r.SteppingAside != "" {
		p.block(w, "next", []string{p.yellow(clean(r.SteppingAside))})
	}
	if r.Fault != "" && r.Fault != "standby" {
		p.block(w, "fault", []string{p.red(faultText(r))})
	}
	p.block(w, "order", p.ordered(r))
	p.block(w, "priority", []string{priorityLine(r)})
	p.block(w, "depends on", p.dependLines(r))
	p.block(w, "active", []string{activeLine(r)})
	p.block(w, "timers", timerLines(r))
	if r.PrimaryIPAddr != "" {
		p.block(w, "sends from", wireLines(r))
	}
	if r.SyncGroup != "" {
		p.block(w, "sync group", []string{clean(r.SyncGroup) + ": Active with its other members or not at all"})
	}
	p.block(w, "peers", p.peerLines(r))
}

// wireLines say how adverts leave: from where, to whom, in which form.
func wireLines(r *daemon.RouterStatus) []string {
	to := clean(r.MulticastGroup)
	if r.Mode == "unicast" {
		to = "peers " + clean(strings.Join(r.UnicastPeers, ", "))
	}
	first := fmt.Sprintf("%s to %s, VRRPv%d%s", clean(r.PrimaryIPAddr), to, r.Version, checksumNote(r))
	if r.Authentication == "pass" {
		first += ", password in clear"
	}
	out := []string{first}
	var more []string
	if r.VirtualMAC != "" {
		more = append(more, "virtual MAC "+clean(r.VirtualMAC))
	}
	if r.RouterAdvertisements {
		more = append(more, "Router Advertisements while Active")
	}
	if !r.AcceptMode {
		more = append(more, "accepts no traffic to its addresses (accept = false)")
	}
	if len(more) > 0 {
		out = append(out, strings.Join(more, ", "))
	}
	return out
}

// peerLines show the other routers heard on the VRID, and what of them does not
// fit: that is where two Actives come from.
func (p *statusPrinter) peerLines(r *daemon.RouterStatus) (out []string) {
	for i := range r.Peers {
		v := &r.Peers[i]
		prio := fmt.Sprintf("priority %d", v.Priority)
		if v.Priority == vrrp.PriorityStop { // a Backup with a service group says so, and so does whoever leaves
			prio = "has said that it holds nothing (priority 0)"
		}
		s := fmt.Sprintf("%s: VRRPv%d, %s, every %s, %s, heard %s", clean(v.Address), v.Version, prio, took(v.Interval),
			addressCount(v.AddressCount), ago(v.HeardAgo))
		if v.ForeignGroup {
			s += ", none of them ours: another group on this VRID"
		}
		switch {
		case v.RefusedAs != "" && v.HeardAgo <= recent:
			s = p.red(s + "; not believed: " + clean(v.RefusedAs))
		case v.RefusedAs != "":
			s = p.dim(s + "; was not believed: " + clean(v.RefusedAs))
		case v.ForeignGroup:
			s = p.red(s)
		case !v.SameAddresses:
			s = p.yellow(s + ", not the same as ours")
		}
		out = append(out, s)
	}
	return out
}

func priorityLine(r *daemon.RouterStatus) string {
	s := fmt.Sprintf("%d, as configured", r.EffectivePriority)
	switch by := influences(r); {
	case r.Degraded:
		s = fmt.Sprintf("%d, degraded to %d %s", r.Priority, r.EffectivePriority, by)
	case r.EffectivePriority != r.Priority && by != "":
		s = fmt.Sprintf("%d, now %d: %s", r.Priority, r.EffectivePriority, by)
	case r.EffectivePriority != r.Priority:
		s = fmt.Sprintf("%d effective, %d configured", r.EffectivePriority, r.Priority)
	}
	switch {
	case r.IsOwner:
		s += ", owner of the addresses"
	case !r.Preempt:
		s += ", does not preempt"
	case r.PreemptDelay > 0:
		s += ", preempts after " + took(r.PreemptDelay)
	default:
		s += ", preempts"
	}
	if r.PreemptIn != nil {
		s += ": in " + took(*r.PreemptIn)
	}
	return s
}

func activeLine(r *daemon.RouterStatus) string {
	a := r.Active
	if a == nil || a.Self {
		return holder(r)
	}
	s := fmt.Sprintf("%s, priority %d, heard %s, advertises every %s", clean(a.Address), a.Priority, ago(a.HeardAgo), took(a.Interval))
	if a.Checksum != "" && r.Family == vrrp.IPv4.String() && r.Version != vrrp.Version2 {
		s += ", checksum " + clean(a.Checksum)
	}
	return s
}

func timerLines(r *daemon.RouterStatus) []string {
	own := "advertises every " + took(r.AdvertisementInterval)
	if r.ActiveAdverInterval != r.AdvertisementInterval {
		own += ", learned " + took(r.ActiveAdverInterval) + " from the Active"
	}
	down := fmt.Sprintf("skew %s, active-down interval %s", took(r.SkewTime), took(r.ActiveDownInterval))
	if r.ActiveDownIn != nil {
		down += ", takes over in " + took(*r.ActiveDownIn) + " if nothing is heard"
	}
	return []string{own, down}
}

func checksumNote(r *daemon.RouterStatus) string {
	switch {
	case r.Family != vrrp.IPv4.String() || r.Version == vrrp.Version2:
		return "" // there is one form only
	case r.Checksum == r.ChecksumSent:
		return ", checksum " + clean(r.ChecksumSent)
	default:
		return fmt.Sprintf(", checksum %s (%s)", clean(r.ChecksumSent), clean(r.Checksum))
	}
}

func (p *statusPrinter) addressLines(r *daemon.RouterStatus) []string {
	var rows [][]cell
	same, last := 0, ""
	for i, a := range r.Addresses {
		// Of thousands, those that are as they should be are counted.
		if i >= manyAddresses && a.Present == a.Wanted && a.Restored == 0 {
			same, last = same+1, a.Address
			continue
		}
		is := cell{text: "there", paint: p.green}
		switch {
		case a.Wanted && !a.Present:
			is = cell{text: "MISSING", paint: p.red}
		case !a.Wanted && a.Present && !r.IsOwner:
			is = cell{text: "there, not wanted", paint: p.yellow}
		case !a.Wanted && !a.Present:
			is = cell{text: "not here", paint: p.dim}
		}
		var notes []string
		switch {
		case !a.Advertised && a.Interface != "":
			notes = append(notes, "rides along on "+clean(a.Interface))
		case !a.Advertised:
			notes = append(notes, "rides along")
		case a.Interface != "":
			notes = append(notes, "on "+clean(a.Interface))
		}
		if a.Restored > 0 {
			notes = append(notes, "put back "+times(a.Restored))
		}
		rows = append(rows, []cell{{text: clean(a.Address)}, is, {text: strings.Join(notes, ", ")}})
	}
	lines := columns(rows)
	if same > 0 {
		lines = append(lines, p.dim(fmt.Sprintf("and %d more as they should be, up to %s", same, clean(last))))
	}
	return lines
}

func (p *statusPrinter) hookLines(r *daemon.RouterStatus) (out []string) {
	for i := range r.Hooks {
		h := &r.Hooks[i]
		var parts []string
		if h.Running {
			parts = append(parts, "running")
		}
		if h.Queued > 0 {
			parts = append(parts, fmt.Sprintf("%d waiting", h.Queued))
		}
		switch {
		case h.LastError != "":
			parts = append(parts, p.red("last: "+clean(h.LastError))+" after "+took(h.LastTook))
		case h.LastExit != nil:
			parts = append(parts, fmt.Sprintf("last: exit %d in %s", *h.LastExit, took(h.LastTook)))
		}
		if h.Runs == 0 {
			parts = append(parts, "has not run yet")
		} else {
			parts = append(parts, fmt.Sprintf("%s, %d failed", plural(int(h.Runs), "run"), h.Failed))
		}
		if h.Skipped > 0 {
			parts = append(parts, fmt.Sprintf("%d skipped", h.Skipped))
		}
		out = append(out, clean(h.Name)+": "+strings.Join(parts, "; "))
		if h.LastError != "" {
			out = append(out, p.tail(h.LastOutput)...)
		}
	}
	return out
}

// tail is the end of a hook's output, line by line.
func (p *statusPrinter) tail(output string) (out []string) {
	output = strings.TrimRight(output, "\n")
	if output == "" {
		return nil
	}
	lines := strings.Split(output, "\n")
	for _, l := range lines[max(0, len(lines)-outputLines):] {
		out = append(out, p.dim("| "+clean(l)))
	}
	return out
}

// counterLines prints the counters everybody asks for, and of the others those
// that are not zero, the refusals with what they mean.
func (p *statusPrinter) counterLines(c map[string]uint64) []string {
	main := []string{"advertisement-sent", "advertisement-rcvd", "active-transitions"}
	var rows [][]cell
	add := func(name, note string) {
		rows = append(rows, []cell{{text: clean(name)}, {text: strconv.FormatUint(c[name], 10), right: true}, {text: note, paint: p.dim}})
	}
	for _, name := range main {
		if _, ok := c[name]; ok {
			add(name, "")
		}
	}
	meaning := map[string]string{}
	for d := vrrp.Accepted + 1; d < vrrp.NumDrops; d++ {
		meaning[d.String()] = d.Explain()
	}
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if c[name] > 0 && !slices.Contains(main, name) {
			add(name, meaning[name])
		}
	}
	return columns(rows)
}

func (p *statusPrinter) linkLines(r *daemon.RouterStatus) (out []string) {
	for i := range p.st.Links {
		l := &p.st.Links[i]
		if l.Name != r.Interface {
			continue
		}
		state := p.green("up")
		if !l.Up {
			state = p.red("not up")
			if l.Detail != "" {
				state += ", " + clean(l.Detail)
			}
		}
		out = append(out, fmt.Sprintf("%s (index %d) %s; %d adverts sent, %d received, %d lost in the kernel",
			clean(l.Name), l.Index, state, l.Sent, l.Received, l.KernelDrops))
		for _, name := range slices.Sorted(maps.Keys(l.Drops)) {
			if n := l.Drops[name]; n > 0 {
				out = append(out, p.dim(fmt.Sprintf("%d refused: %s", n, clean(name))))
			}
		}
	}
	return out
}

func addressCount(n int) string {
	if n == 1 {
		return "1 address"
	}
	return fmt.Sprintf("%d addresses", n)
}
