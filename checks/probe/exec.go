package probe

import (
	"slices"
	"strings"

	"github.com/backbeat-ha/backbeat/actions/run"
	"github.com/backbeat-ha/backbeat/checks"
)

// runExec runs a command by the one policy there is for commands (actions/run).
// Its children go with its process group. One that left the group and its
// session (setsid) is out of reach without a control group of our own.
func (p *Pool) runExec(job checks.Job, v checks.Exec) checks.Result {
	done := p.runner.Do(run.Command{Argv: v.Command, User: v.User, Timeout: job.Timeout,
		Env: append(slices.Clone(v.Env), "BACKBEAT_CHECK="+job.Name)})
	res := checks.Result{Outcome: checks.Passed, Detail: lastLine(done.Output), Output: done.Output}
	switch {
	case !done.Started:
		res.Outcome, res.Detail = checks.NotRun, done.Err
	case done.Err != "" && p.ctx.Err() != nil:
		res.Outcome, res.Detail = checks.NotRun, "the daemon is leaving"
	case done.Err != "":
		res.Outcome = checks.Failed
		if res.Detail != "" {
			res.Detail = done.Err + ": " + res.Detail
		} else {
			res.Detail = done.Err
		}
	}
	return res
}

func lastLine(output string) string {
	output = strings.TrimSpace(output)
	return strings.TrimSpace(output[strings.LastIndexByte(output, '\n')+1:])
}
