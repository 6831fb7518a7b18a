package agent

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// pgPause is the time between two questions to a server that is starting,
// promoting or stopping.
const pgPause = 250 * time.Millisecond

// postgresql carries out the verbs of a PostgreSQL server that replicates by
// streaming: up means primary. A standby that runs is Down, and is left running.
func (h *Hands) postgresql(ctx context.Context, job *actions.Job, a actions.PostgreSQL, tell say) actions.Done {
	p := pgAgent{h: h, job: job, a: a, tell: tell}
	switch job.Verb {
	case actions.Start:
		return p.start(ctx)
	case actions.Stop:
		return p.stop(ctx, "fast")
	case actions.ForceStop:
		return p.stop(ctx, "immediate")
	case actions.Qualify:
		return p.qualify(ctx)
	case actions.Prepare:
		return p.prepare(ctx)
	default:
		f := p.facts(ctx)
		return p.found(&f)
	}
}

// qualify says whether the standby here may become primary.
func (p *pgAgent) qualify(ctx context.Context) actions.Done {
	f := p.facts(ctx)
	done := p.found(&f)
	no := func(format string, args ...any) actions.Done {
		done.OK, done.Detail = false, fmt.Sprintf(format, args...)
		return done
	}
	switch {
	case done.State == actions.Up, !done.OK:
		return done
	case !f.answers && f.running:
		return no("%s", done.Detail)
	case !f.answers:
		done.Hopeless = f.missing
		return no("%s; %s", done.Detail, p.howToStart())
	case f.paused:
		return no("replay is paused: SELECT pg_wal_replay_resume()")
	case p.a.MaxLag > 0 && f.behind > p.a.MaxLag:
		return no("%d bytes are still to be replayed, more than %d allowed (max_lag)", f.behind, p.a.MaxLag)
	case p.a.MaxAge > 0 && f.receiver != "streaming" && f.receiver != "hidden":
		age, known := p.age(&f)
		if !known {
			return no("not streaming, and when it last was is not known (max_age): let it connect to its primary, or, if its data is the newest: SELECT pg_promote()")
		}
		if age > p.a.MaxAge {
			return no("not streaming for %v, more than %v allowed (max_age): what was written since is not here", age.Round(time.Second), p.a.MaxAge)
		}
	}
	return done
}

// howToStart says what a server that does not run needs.
func (p *pgAgent) howToStart() string {
	switch {
	case p.signaled() && p.a.Manage:
		return "it will be started as a standby when this host is prepared"
	case p.signaled():
		return "start it: it will be a standby"
	default:
		return p.rejoin()
	}
}

// rejoin are the commands that make a standby of what was a primary. They are
// told and not done: pg_rewind discards what only this host has.
func (p *pgAgent) rejoin() string {
	return fmt.Sprintf("it was a primary. Nothing written elsewhere since: touch %s/standby.signal; "+
		"else first: pg_rewind -D %s --source-server='host=NEW-PRIMARY dbname=postgres' (or pg_basebackup -R). Then start it", p.a.Data, p.a.Data)
}

// prepare starts a standby, if that is what the server would be: an old primary
// that is just started again is a second primary, without complaint.
func (p *pgAgent) prepare(ctx context.Context) actions.Done {
	f := p.facts(ctx)
	done := p.found(&f)
	switch {
	case f.running:
		return done
	case f.missing:
		done.OK, done.Hopeless = false, true
	case !p.a.Manage || !p.signaled():
		done.OK, done.Hopeless, done.Detail = false, p.a.Manage, done.Detail+"; "+p.howToStart()
	default:
		return p.launch(ctx)
	}
	return done
}

// launch starts the server as a standby.
func (p *pgAgent) launch(ctx context.Context) actions.Done {
	p.tell("starting PostgreSQL as a standby")
	log := filepath.Join(p.a.Data, "backbeat.log")
	argv := []string{filepath.Join(p.a.Bin, "pg_ctl"), "-D", p.a.Data, "-l", log, "-s", "-w", "-t", p.seconds(ctx), "start"}
	if p.a.Config != "" {
		argv = append(argv, "-o", "-c config_file="+p.a.Config)
	}
	r := p.h.perform(ctx, p.job, call{argv: argv, user: p.a.User, leaves: service})
	soon, cancel := aftermath(ctx)
	defer cancel()
	for {
		f := p.facts(soon)
		if f.answers {
			return p.found(&f)
		}
		if !f.running || !pause(soon, pgPause) {
			return actions.Done{State: actions.Down, Detail: fmt.Sprintf("pg_ctl start: %s; its log: %s", said(r), log), Output: printed(r)}
		}
	}
}

// seconds is what is left for pg_ctl, less some for the rest.
func (p *pgAgent) seconds(ctx context.Context) string {
	return strconv.Itoa(max(1, int((left(ctx, 0, time.Minute)-time.Second)/time.Second)))
}

// stop shuts a primary down: PostgreSQL has no other way to stop being one. A
// standby is left alone.
func (p *pgAgent) stop(ctx context.Context, mode string) actions.Done {
	before := p.facts(ctx)
	if done := p.found(&before); done.State == actions.Down {
		if !before.running {
			done.Detail += "; " + p.howToStart()
		}
		return done
	}
	p.tell("shutting the primary down (%s)", mode)
	r := p.h.programAs(ctx, p.a.User, nil, filepath.Join(p.a.Bin, "pg_ctl"), "-D", p.a.Data, "-w", "-m", mode, "-t", p.seconds(ctx), "stop")
	soon, cancel := aftermath(ctx)
	defer cancel()
	after := p.facts(soon)
	done := p.found(&after)
	if done.State != actions.Down {
		done.OK, done.Output = false, printed(r)
		done.Detail = fmt.Sprintf("pg_ctl stop -m %s: %s; %s", mode, said(r), done.Detail)
		return done
	}
	copied := "no standby was streaming: what was written last is only here"
	switch {
	case after.control != "shut down":
		copied = "not shut down cleanly (" + after.control + ")"
	case before.standbys > 0:
		copied = "shut down cleanly, " + count(before.standbys, "standby had everything", "standbys had everything")
	case !before.answers:
		copied = "shut down cleanly"
	}
	done.Detail = copied + "; " + p.rejoin()
	return done
}
