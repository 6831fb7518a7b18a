package play

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/checks"
	"github.com/backbeat-ha/backbeat/daemon"
)

// parser reads faults for some hosts.
type parser struct{ cfgs []*daemon.Config }

// Parse reads what was written. All errors are reported, each with what it is
// about; the faults are of use only if there are none. until 0 is no end.
func Parse(cfgs []*daemon.Config, given []Given, until time.Duration) (faults []Fault, errs []error) {
	p := &parser{cfgs}
	kinds := Kinds()
	for _, g := range given {
		i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == g.Kind })
		if i < 0 {
			errs = append(errs, fmt.Errorf("there is no fault called %q", g.Kind))
			continue
		}
		f := Fault{kind: &kinds[i], written: g.Value, other: -1}
		list, err := p.one(&f)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s: %w", &f, err))
		case until > 0 && f.last() > until:
			errs = append(errs, fmt.Errorf("%s: the simulation ends at %s", &f, short(until)))
		default:
			faults = append(faults, list...)
		}
	}
	errs = append(errs, contradictions(cfgs, faults)...)
	slices.SortStableFunc(faults, func(a, b Fault) int { return int(a.From - b.From) })
	return faults, errs
}

// one reads one fault; with * as its host it becomes one for each.
func (p *parser) one(f *Fault) ([]Fault, error) {
	subject, times, timed := f.written, "", false
	if i := strings.LastIndexByte(f.written, '@'); i >= 0 && (f.kind.Name != "check" || strings.Count(f.written, "@") > 1) {
		subject, times, timed = f.written[:i], f.written[i+1:], true
	}
	var err error
	switch {
	case timed:
		f.From, f.To, err = span(times)
	case f.kind.Name != "check":
		err = fmt.Errorf("no time; write %s", f.kind.Form)
	}
	if err != nil {
		return nil, err
	}
	if err := f.kind.parse(p, subject, f); err != nil {
		return nil, err
	}
	if f.host >= 0 {
		return []Fault{*f}, nil
	}
	var out []Fault
	for i := range p.cfgs {
		each := *f
		each.host = i
		if name, ok, _ := p.checkOn(i, f.check); ok {
			each.check = name
			out = append(out, each)
		}
	}
	return out, nil
}

// span reads "10s" or "10s..30s".
func span(s string) (from, to time.Duration, err error) {
	first, second, ranged := strings.Cut(s, "..")
	if from, err = instant(first); err != nil || !ranged {
		return from, 0, err
	}
	if to, err = instant(second); err != nil {
		return 0, 0, err
	}
	if to <= from {
		return 0, 0, fmt.Errorf("it would end at %s, and not after its begin at %s", short(to), short(from))
	}
	return from, to, nil
}

// instant reads "10s", "1m30s", "250ms".
func instant(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if _, number := strconv.ParseFloat(s, 64); err != nil && number == nil {
		return 0, fmt.Errorf("%q has no unit: write %ss, or a range like 10s..30s", s, s)
	}
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%q is not a time: write for example 10s, 1m30s or 250ms, or a range like 10s..30s", s)
	}
	return d, nil
}

func (p *parser) hostNamed(name string) (int, error) {
	for i, c := range p.cfgs {
		if c.Node == name {
			return i, nil
		}
	}
	var names []string
	for _, c := range p.cfgs {
		names = append(names, c.Node)
	}
	return 0, fmt.Errorf("there is no host %q; the hosts are %s", name, some(names))
}

func (p *parser) onHost(s string, f *Fault) (err error) {
	f.host, err = p.hostNamed(s)
	return err
}

func (p *parser) onHostOnce(s string, f *Fault) error {
	if f.To > 0 {
		return fmt.Errorf("it has one time, since nothing ends with it")
	}
	return p.onHost(s, f)
}

// iface finds an interface of a host.
func (p *parser) iface(host int, name string) error {
	there := interfacesOf(p.cfgs[host])
	if slices.Contains(there, name) {
		return nil
	}
	return fmt.Errorf("the configuration of %s does not speak of an interface %q; it does of %s", p.cfgs[host].Node, name, some(there))
}

func (p *parser) onNIC(s string, f *Fault) (err error) {
	name, host, ok := strings.Cut(s, "@")
	if !ok {
		return fmt.Errorf("write %s", f.kind.Form)
	}
	if f.host, err = p.hostNamed(host); err != nil {
		return err
	}
	f.nic = name
	return p.iface(f.host, name)
}

// onPair reads "a-b", "a>b" or "a". Names may have a - in them, so every one is
// tried as the separator.
func (p *parser) onPair(s string, f *Fault) (err error) {
	s, f.nic, _ = strings.Cut(s, ":")
	if i, err := p.hostNamed(s); err == nil {
		f.host = i
	} else if err := p.pair(s, f); err != nil {
		return err
	}
	if f.other == f.host {
		return fmt.Errorf("a host always hears itself")
	}
	if f.nic != "" {
		return p.iface(f.host, f.nic)
	}
	return nil
}

func (p *parser) pair(s string, f *Fault) error {
	var unknown error
	for i, c := range []byte(s) {
		if c != '-' && c != '>' {
			continue
		}
		a, errA := p.hostNamed(s[:i])
		b, errB := p.hostNamed(s[i+1:])
		if errA == nil && errB == nil {
			f.host, f.other, f.oneWay = a, b, c == '>'
			return nil
		}
		if unknown = errA; errA == nil {
			unknown = errB
		}
	}
	if unknown == nil {
		_, unknown = p.hostNamed(s)
	}
	return unknown
}

func (p *parser) onLoss(s string, f *Fault) error {
	n, err := strconv.ParseFloat(strings.TrimSuffix(s, "%"), 64)
	if err != nil || !(n > 0 && n <= 100) {
		return fmt.Errorf("%q is not a share of packets: write for example 20%%", s)
	}
	f.percent = n
	return nil
}

func (p *parser) onDelay(s string, f *Fault) (err error) {
	f.delay, err = instant(s)
	return err
}

func (p *parser) onCheck(s string, f *Fault) error {
	what, host, ok := strings.Cut(s, "@")
	name, result, said := strings.Cut(what, "=")
	if !ok || !said {
		return fmt.Errorf("write %s, for example site=failing@web1@20s..30s", f.kind.Form)
	}
	f.check = name
	f.result.Detail = "simulated"
	number, err := strconv.Atoi(result)
	isNumber := err == nil
	switch {
	case isNumber:
		f.result.Value, f.result.Detail = number, ""
	case result == "failing":
		f.result.Outcome = checks.Failed
	case result == "healthy":
		f.result.Detail = ""
	case result == "unknown":
		f.result.Outcome = checks.NotRun
	default:
		return fmt.Errorf("a check finds failing, healthy, unknown or a number, and not %q", result)
	}
	if host == "*" {
		f.host = -1
		_, err := p.checkAnywhere(name)
		return err
	}
	if f.host, err = p.hostNamed(host); err != nil {
		return err
	}
	full, found, err := p.checkOn(f.host, name)
	if found {
		f.check = full
		return p.number(f, isNumber)
	}
	return err
}

// onStep reads "apache=failing@web1".
func (p *parser) onStep(s string, f *Fault) (err error) {
	what, host, ok := strings.Cut(s, "@")
	name, result, said := strings.Cut(what, "=")
	if !ok || !said {
		return fmt.Errorf("write %s, for example apache=failing@web1@20s..30s", f.kind.Form)
	}
	if f.stuck = result == "stuck"; !f.stuck && result != "failing" {
		return fmt.Errorf("a step is failing or stuck, and not %q", result)
	}
	if f.host, err = p.hostNamed(host); err != nil {
		return err
	}
	var fits, all []string
	for i := range p.cfgs[f.host].Services {
		l := &p.cfgs[f.host].Services[i].Ladder
		for j := range l.Steps {
			step := l.Steps[j].Name
			_, bare, _ := strings.Cut(step, ".")
			if full := l.Name + "/" + step; name == bare || name == step || name == full {
				fits = append(fits, full)
			}
			all = append(all, step)
		}
	}
	switch {
	case len(fits) == 1:
		f.name = fits[0]
		return nil
	case len(fits) > 1:
		return fmt.Errorf("there are several steps %q: say which, %s", name, some(fits))
	case len(all) == 0:
		return fmt.Errorf("there is no service group on %s", host)
	}
	return fmt.Errorf("there is no step %q on %s; there are %s", name, host, some(all))
}

// onRouter reads "web@web1": a virtual router, a sync group or a service group.
func (p *parser) onRouter(s string, f *Fault) (err error) {
	name, host, ok := strings.Cut(s, "@")
	if !ok {
		return fmt.Errorf("write %s", f.kind.Form)
	}
	if f.host, err = p.hostNamed(host); err != nil {
		return err
	}
	f.name = name
	var all []string
	c := p.cfgs[f.host]
	for i := range c.Routers {
		all = append(all, c.Routers[i].Name)
	}
	for i := range c.Groups {
		all = append(all, c.Groups[i].Name)
	}
	for i := range c.Services {
		all = append(all, c.Services[i].Ladder.Name)
	}
	if slices.Contains(all, name) {
		return nil
	}
	return fmt.Errorf("there is no %q on %s; there are %s", name, host, some(all))
}

// number insists that only a check that reads a number finds one.
func (p *parser) number(f *Fault, given bool) error {
	for i := range p.cfgs[f.host].Checks {
		c := &p.cfgs[f.host].Checks[i]
		if file, ok := c.Probe.(checks.File); c.Name == f.check && given && !(ok && file.Integer) {
			return fmt.Errorf("%s reads no number: say failing, healthy or unknown", c.Name)
		}
	}
	return nil
}

// checkOn finds a check of a host by its name, with or without its kind.
func (p *parser) checkOn(host int, name string) (full string, found bool, err error) {
	name = strings.TrimPrefix(name, "check.")
	var fits, all []string
	for i := range p.cfgs[host].Checks {
		c := p.cfgs[host].Checks[i].Name
		if c == name {
			return c, true, nil
		}
		if _, bare, _ := strings.Cut(c, "."); bare == name {
			fits = append(fits, c)
		}
		all = append(all, c)
	}
	node := p.cfgs[host].Node
	switch {
	case len(fits) == 1:
		return fits[0], true, nil
	case len(fits) > 1:
		return "", false, fmt.Errorf("there are several checks %q on %s: say which, %s", name, node, some(fits))
	case len(all) == 0:
		return "", false, fmt.Errorf("there are no checks on %s", node)
	default:
		return "", false, fmt.Errorf("there is no check %q on %s; there are %s", name, node, some(all))
	}
}

func (p *parser) checkAnywhere(name string) (string, error) {
	var err error
	for i := range p.cfgs {
		full, found, e := p.checkOn(i, name)
		if found {
			return full, nil
		}
		err = e
	}
	return "", err
}

// some is a list of names of which there may be thousands.
func some(names []string) string {
	const most = 12
	if len(names) > most+1 {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

// short writes a time as people do: "1m30s", "10s".
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
