package agent

import (
	"bytes"
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/run"
)

// Metadata is what a resource agent says of itself (ra-api-1.dtd): which
// parameters it takes and how long its actions may take.
type Metadata struct {
	Name, Version, Short string
	Parameters           []Parameter
	Actions              []AgentAction
}

// Parameter is one parameter of a resource agent.
type Parameter struct {
	Name, Short string
	// Type is string, boolean, integer, time, percentage, select, or what the agent says.
	Type     string
	Default  string
	Required bool
	Unique   bool
}

// AgentAction is one action of a resource agent, with what it recommends.
type AgentAction struct {
	Name, Role        string
	Timeout, Interval time.Duration // 0: none recommended
	Depth             int
}

// Has reports whether the agent has an action.
func (m *Metadata) Has(action string) bool {
	return slices.ContainsFunc(m.Actions, func(a AgentAction) bool { return a.Name == action })
}

// Timeout is the recommended timeout of an action, and of a monitor at a depth
// (OCF_CHECK_LEVEL); 0 if there is none. Pacemaker shows these and uses 20 s for all
// unless told; we take them as defaults.
func (m *Metadata) Timeout(action string, depth int) time.Duration {
	return m.find(action, depth).Timeout
}

// Interval is the recommended pace of monitors at a depth; 0 if there is none.
func (m *Metadata) Interval(depth int) time.Duration { return m.find("monitor", depth).Interval }

// find prefers the action of the depth that is for any role, then any of its name.
func (m *Metadata) find(action string, depth int) (found AgentAction) {
	best := -1
	for _, a := range m.Actions {
		rank := 0
		if a.Depth == depth {
			rank += 2
		}
		if a.Role == "" || strings.EqualFold(a.Role, "started") {
			rank++
		}
		if a.Name == action && rank > best {
			found, best = a, rank
		}
	}
	return found
}

// Check compares parameters with what the agent takes. Each problem is a sentence
// without a final point.
func (m *Metadata) Check(params []actions.Option) (problems []string) {
	for _, o := range params {
		i := slices.IndexFunc(m.Parameters, func(p Parameter) bool { return p.Name == o.Name })
		if i < 0 {
			problems = append(problems, fmt.Sprintf("%s has no parameter %q, but %s", m.Name, o.Name, m.names()))
		} else if why := m.Parameters[i].refuses(o.Value); why != "" {
			problems = append(problems, fmt.Sprintf("parameter %s of %s: %s", o.Name, m.Name, why))
		}
	}
	for _, p := range m.Parameters {
		given := slices.ContainsFunc(params, func(o actions.Option) bool { return o.Name == p.Name })
		if p.Required && p.Default == "" && !given {
			problems = append(problems, fmt.Sprintf("%s needs the parameter %s (%s)", m.Name, p.Name, p.Short))
		}
	}
	return problems
}

func (m *Metadata) names() string {
	var all []string
	for _, p := range m.Parameters {
		all = append(all, p.Name)
	}
	if all == nil {
		return "takes none"
	}
	return strings.Join(all, ", ")
}

// refuses checks the types that leave no doubt. Agents are not strict about the others.
func (p *Parameter) refuses(value string) string {
	switch p.Type {
	case "integer":
		if _, err := strconv.Atoi(strings.TrimSpace(value)); err != nil && value != "" {
			return fmt.Sprintf("%q is not a whole number", value)
		}
	case "boolean":
		words := []string{"yes", "no", "true", "false", "on", "off", "1", "0", "ja", "y", "n", "t", "f", ""}
		if !slices.Contains(words, strings.ToLower(value)) {
			return fmt.Sprintf("%q is neither true nor false", value)
		}
	}
	return ""
}

// ParseMetadata reads what an agent's meta-data action has printed.
func ParseMetadata(text string) (*Metadata, error) {
	var raw struct {
		XMLName    xml.Name `xml:"resource-agent"`
		Name       string   `xml:"name,attr"`
		Version    string   `xml:"version,attr"`
		Short      string   `xml:"shortdesc"`
		Parameters []struct {
			Name     string `xml:"name,attr"`
			Required string `xml:"required,attr"`
			Unique   string `xml:"unique,attr"`
			Short    string `xml:"shortdesc"`
			Content  struct {
				Type    string `xml:"type,attr"`
				Default string `xml:"default,attr"`
			} `xml:"content"`
		} `xml:"parameters>parameter"`
		Actions []struct {
			Name     string `xml:"name,attr"`
			Role     string `xml:"role,attr"`
			Timeout  string `xml:"timeout,attr"`
			Interval string `xml:"interval,attr"`
			Depth    string `xml:"depth,attr"`
		} `xml:"actions>action"`
	}
	// Some agents say something before the document.
	if i := strings.Index(text, "<?xml"); i > 0 {
		text = text[i:]
	}
	d := xml.NewDecoder(bytes.NewReader([]byte(text)))
	d.Strict, d.Entity = false, xml.HTMLEntity
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil } // names are ASCII
	if err := d.Decode(&raw); err != nil {
		return nil, fmt.Errorf("its meta-data is not what OCF asks for: %w", err)
	}
	m := &Metadata{Name: raw.Name, Version: raw.Version, Short: oneLine(raw.Short)}
	for _, p := range raw.Parameters {
		m.Parameters = append(m.Parameters, Parameter{Name: p.Name, Short: oneLine(p.Short), Type: p.Content.Type,
			Default: p.Content.Default, Required: truth(p.Required), Unique: truth(p.Unique)})
	}
	for _, a := range raw.Actions {
		depth, _ := strconv.Atoi(a.Depth)
		m.Actions = append(m.Actions, AgentAction{Name: a.Name, Role: a.Role, Depth: depth,
			Timeout: ocfTime(a.Timeout), Interval: ocfTime(a.Interval)})
	}
	return m, nil
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

func truth(s string) bool {
	return s == "1" || strings.EqualFold(s, "true") || strings.EqualFold(s, "yes")
}

// ocfTime reads a time as Pacemaker does (crm_get_msec): a number with a unit,
// seconds without one. What it cannot read is 0.
func ocfTime(s string) time.Duration {
	s = strings.TrimSpace(s)
	i := 0
	for i < len(s) && (s[i] >= '0' && s[i] <= '9' || s[i] == '.') {
		i++
	}
	n, err := strconv.ParseFloat(s[:i], 64)
	if err != nil {
		return 0
	}
	units := map[string]time.Duration{"": time.Second, "s": time.Second, "sec": time.Second, "ms": time.Millisecond,
		"msec": time.Millisecond, "us": time.Microsecond, "usec": time.Microsecond, "m": time.Minute, "min": time.Minute,
		"h": time.Hour, "hr": time.Hour}
	if d := n * float64(units[strings.ToLower(strings.TrimSpace(s[i:]))]); d < float64(1000*time.Hour) {
		return time.Duration(d)
	}
	return 0
}

// Catalog knows the metadata of resource agents. It asks each once, and again
// when its file has changed. It may be used from any goroutine.
type Catalog struct {
	runner  *run.Runner
	timeout time.Duration

	mu    sync.Mutex
	known map[string]entry // by path
}

type entry struct {
	changed time.Time
	meta    *Metadata
	err     error
}

// NewCatalog returns a Catalog that asks agents by runner.
func NewCatalog(runner *run.Runner) *Catalog {
	return &Catalog{runner: runner, timeout: metaTimeout, known: map[string]entry{}}
}

// metaTimeout bounds a meta-data action, which only prints (services.md 2.1).
const metaTimeout = 5 * time.Second

// Metadata returns what an agent says of itself. It runs the agent's meta-data
// action if it must, so it is nothing for the path of a takeover.
func (c *Catalog) Metadata(ctx context.Context, a actions.OCF) (*Metadata, error) {
	path := AgentPath(a)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%s is not installed: %w", AgentName(a), err)
	}
	c.mu.Lock()
	e, known := c.known[path]
	c.mu.Unlock()
	if known && e.changed.Equal(info.ModTime()) {
		return e.meta, e.err
	}
	e = entry{changed: info.ModTime()}
	r := c.runner.DoContext(ctx, run.Command{Argv: []string{path, "meta-data"}, Own: true, Split: true, Timeout: c.timeout,
		Env: []string{"LC_ALL=C", "OCF_ROOT=" + a.Root, "OCF_RA_VERSION_MAJOR=1", "OCF_RA_VERSION_MINOR=1", "OCF_RESOURCE_INSTANCE=meta",
			"OCF_RESOURCE_TYPE=" + a.Type, "OCF_RESOURCE_PROVIDER=" + a.Provider, "HA_RSCTMP=" + rscTmp}})
	if r.Exit != 0 {
		return nil, errors.New(because("meta-data of "+AgentName(a), r)) // not kept: it may be better next time
	}
	e.meta, e.err = ParseMetadata(r.Stdout)
	if e.err != nil {
		e.err = fmt.Errorf("%s: %w", AgentName(a), e.err)
	}
	c.mu.Lock()
	c.known[path] = e
	c.mu.Unlock()
	return e.meta, e.err
}
