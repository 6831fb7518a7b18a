package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/agent"
	"github.com/backbeat-ha/backbeat/actions/run"
	"github.com/backbeat-ha/backbeat/conf"
	"github.com/backbeat-ha/backbeat/daemon"
)

// verifyAgents asks the OCF agents of this host what they take: missing and unknown
// parameters, and timeouts shorter than the agent's author recommends.
func verifyAgents(cfg *daemon.Config, d *conf.Diagnostics) (out []conf.Diagnostic) {
	runner := run.New(func(any) {})
	defer runner.Close(context.Background())
	catalog := agent.NewCatalog(runner)
	for i := range cfg.Services {
		l := &cfg.Services[i].Ladder
		for k := range l.Steps {
			s := &l.Steps[k]
			a, ok := s.Agent.(actions.OCF)
			if !ok {
				continue
			}
			for _, problem := range agentProblems(catalog, s, a) {
				w := conf.Diagnostic{Severity: "warning", Summary: fmt.Sprintf("service_group %q: step %s", l.Name, s.Name), Detail: problem + "."}
				locate(&w, d.ServicePlace(l.Name))
				out = append(out, w)
			}
		}
	}
	return out
}

func agentProblems(catalog *agent.Catalog, s *actions.StepSpec, a actions.OCF) []string {
	meta, err := catalog.Metadata(context.Background(), a)
	if err != nil {
		return []string{err.Error() + ": this host could not bring the group up"}
	}
	problems := meta.Check(a.Params)
	var short []string
	note := func(name string, has, recommended time.Duration) {
		if recommended > has {
			short = append(short, fmt.Sprintf("%s is %s, its author recommends %s", name, seconds(has), seconds(recommended)))
		}
	}
	start, stop := "start", "stop"
	if a.Promotable {
		start, stop = "promote", "demote"
	}
	note("start_timeout", s.StartTimeout, meta.Timeout(start, 0))
	note("stop_timeout", s.StopTimeout, meta.Timeout(stop, 0))
	if s.Monitor.Interval > 0 {
		note("the monitor's timeout", s.Monitor.Timeout, meta.Timeout("monitor", a.CheckLevel))
	}
	if len(short) > 0 {
		problems = append(problems, strings.Join(short, "; ")+": a slow start or stop counts as a failure")
	}
	return problems
}
