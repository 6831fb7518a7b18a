package conf

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// FuzzLoad: whatever the text, Load returns a configuration or errors, not
// both, not neither; the diagnostics can be written; and a configuration
// keeps the promises of daemon.Config and vrrp.Spec.
func FuzzLoad(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.hcl", "../examples/*/*.hcl"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			f.Fatal(pattern, err)
		}
		for _, name := range files {
			text, err := os.ReadFile(name)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(text)
		}
	}
	f.Add([]byte(pairText))
	f.Fuzz(func(t *testing.T, text []byte) {
		if len(text) > 1<<16 {
			return
		}
		cfg, diags := Load([]Source{{Name: "fuzz.hcl", Text: text}}, Options{Node: "web1", Getenv: env(map[string]string{"A": "1"})})
		if (cfg == nil) != diags.HasErrors() {
			t.Fatalf("config %v, %d errors", cfg != nil, diags.Errors())
		}
		if err := diags.WriteText(io.Discard, 40, true); err != nil {
			t.Fatal(err)
		}
		if _, err := json.Marshal(diags); err != nil {
			t.Fatal(err)
		}
		if cfg == nil {
			return
		}
		if cfg.Node == "" || len(cfg.Routers) == 0 {
			t.Fatalf("%+v", cfg)
		}
		servicesKept(t, cfg)
		groups := make(map[string]bool)
		for _, g := range cfg.Groups {
			if groups[g.Name] || len(g.Members) < 2 {
				t.Fatalf("%+v", cfg.Groups)
			}
			groups[g.Name] = true
		}
		for i := range cfg.Routers {
			if g := cfg.Routers[i].Group; g != "" && !groups[g] {
				t.Fatalf("%+v", cfg)
			}
			r := &cfg.Routers[i]
			s := &r.Spec
			if s.VRID == 0 || s.Priority == 0 || (s.Priority == vrrp.PriorityOwner) != r.Owner || len(s.Addresses) == 0 ||
				len(s.Addresses) > vrrp.MaxAddresses || s.Interval < vrrp.MinInterval || s.Interval > vrrp.MaxInterval2 || s.V() == vrrp.Version3 && s.Interval > vrrp.MaxInterval ||
				s.V() == vrrp.Version2 && (s.Interval%time.Second != 0 || s.Interval < time.Second || s.Family != vrrp.IPv4) ||
				s.V() == vrrp.Version3 && s.Secret != (vrrp.Secret{}) || s.LinkDownDelay >= 2*s.Interval ||
				s.Grouped != (r.Group != "") || s.Unicast() && s.Group.IsValid() || r.RouterAdvert.On && s.Family != vrrp.IPv6 ||
				s.Interval%vrrp.IntervalUnit != 0 || r.Name == "" || r.Interface == "" || s.PreemptDelay < 0 {
				t.Fatalf("%+v", r)
			}
			if s.Family == vrrp.IPv6 && !s.Addresses[0].IsLinkLocalUnicast() {
				t.Fatalf("%+v", r)
			}
			for j, a := range s.Addresses {
				if vrrp.FamilyOf(a) != s.Family || r.Addresses[j].Prefix.Addr() != a {
					t.Fatalf("%+v", r)
				}
			}
			for _, p := range s.Peers {
				if vrrp.FamilyOf(p.Addr) != s.Family || p.MinTTL == 0 || p.Addr == r.Source {
					t.Fatalf("%+v", r)
				}
			}
			for _, h := range r.Hooks {
				if h.On == 0 || len(h.Command) == 0 || h.Command[0][0] != '/' || h.Timeout <= 0 {
					t.Fatalf("%+v", h)
				}
			}
		}
	})
}

// servicesKept: a service group keeps the promises of daemon.ServiceConfig and
// actions.LadderSpec.
func servicesKept(t *testing.T, cfg *daemon.Config) {
	routers := make(map[string]bool)
	for i := range cfg.Routers {
		routers[cfg.Routers[i].Name] = true
	}
	followed, names := make(map[string]bool), make(map[string]bool)
	for i := range cfg.Services {
		g := &cfg.Services[i]
		l := &g.Ladder
		if names[l.Name] || len(g.Follows) == 0 || len(l.Steps) == 0 || l.HoldOff <= 0 || l.HoldOffMax < l.HoldOff ||
			l.Exclusive() < len(l.Steps) && l.Safety.Mode == actions.SafetyNotNeeded || l.Safety.Mode == actions.SafetyFence && len(l.Safety.Fence) == 0 {
			t.Fatalf("%+v", g)
		}
		names[l.Name] = true
		for _, r := range g.Follows {
			if !routers[r] || followed[r] {
				t.Fatalf("%+v", g)
			}
			followed[r] = true
		}
		steps := make(map[string]bool)
		for k := range l.Steps {
			s := &l.Steps[k]
			if s.Agent == nil || steps[s.Name] || s.StartTimeout <= 0 || s.StopTimeout <= 0 || s.Monitor.Timeout <= 0 || s.Monitor.Failures < 1 || s.Window <= 0 ||
				!strings.HasPrefix(s.Name, s.Agent.Kind()+".") {
				t.Fatalf("%+v", s)
			}
			steps[s.Name] = true
		}
		for _, f := range l.Safety.Fence {
			if f.Target == cfg.Node || len(f.Command) == 0 || f.Command[0][0] != '/' || f.Timeout <= 0 {
				t.Fatalf("%+v", f)
			}
		}
	}
}
