package agent

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// checkpointTime is how long a start waits for the checkpoint after a promotion.
// The server goes on with it by itself.
const checkpointTime = 10 * time.Second

// start makes the standby here the primary.
func (p *pgAgent) start(ctx context.Context) actions.Done {
	for {
		f := p.facts(ctx)
		done := p.found(&f)
		switch {
		case done.State == actions.Up:
			return done
		case f.answers:
			return p.takeOver(ctx, &f)
		case f.missing:
			done.OK, done.Hopeless = false, true
			return done
		case !f.running && (!p.a.Manage || !p.signaled()):
			done.OK, done.Hopeless, done.Detail = false, true, done.Detail+"; "+p.howToStart()
			return done
		case !f.running:
			if done = p.launch(ctx); done.State != actions.Down || !done.OK {
				done.OK = false
				return done
			}
		}
		// It runs and does not answer: it may be starting. What it is cannot be
		// told, and what cannot be told is not promoted.
		p.tell("waiting for PostgreSQL to answer: %s", f.why)
		if !pause(ctx, pgPause) {
			return actions.Done{Detail: "whether it is a standby cannot be told: it does not answer: " + f.why}
		}
	}
}

// takeOver promotes, once the primary it streams from is gone.
func (p *pgAgent) takeOver(ctx context.Context, f *pgFacts) actions.Done {
	if !p.primaryGone(ctx, f) {
		return actions.Done{State: actions.Down, Detail: fmt.Sprintf("the primary at %s still runs and streams to here: stop it, or switch it off: two primaries would diverge", f.sender)}
	}
	p.tell("promoting")
	if _, err := p.sql(ctx, []string{"PGCONNECT_TIMEOUT=3", "PGAPPNAME=backbeat"}, "SELECT pg_promote(true, "+p.seconds(ctx)+")"); err != nil {
		p.tell("pg_promote: %v", err) // the role decides, below
	}
	for {
		soon, cancel := aftermath(ctx)
		now := p.facts(soon)
		cancel()
		if now.answers && !now.recovery {
			return p.promoted(ctx, &now)
		}
		if !pause(ctx, pgPause) {
			done := p.found(&now)
			done.OK = false
			done.Detail = "not promoted in time (see the server's log): " + done.Detail
			return done
		}
	}
}

// primaryGone waits until the server that ours streams from is gone. That ours
// thinks it streams does not say so: of a host without power it notices after
// wal_receiver_timeout (60 s). So the other is asked, as pg_isready does, without
// logging in.
func (p *pgAgent) primaryGone(ctx context.Context, f *pgFacts) bool {
	if f.receiver != "streaming" || f.sender == "" || ownAddress(f.sender) {
		return true
	}
	argv := []string{filepath.Join(p.a.Bin, "pg_isready"), "-q", "-t", "1", "-h", f.sender}
	if f.port != "" {
		argv = append(argv, "-p", f.port)
	}
	for try := 1; ; try++ {
		// 0: accepts connections, 1: starts or stops, 2: no answer, 3: could not ask.
		r := p.h.programAs(ctx, p.a.User, nil, argv...)
		if r.Exit >= 2 {
			return true
		}
		if !r.Started && ctx.Err() == nil {
			p.tell("%s", r.Err)
			return true
		}
		// It may have ended between the two questions.
		if now := p.facts(ctx); now.answers && (!now.recovery || now.receiver != "streaming") {
			return true
		}
		p.tell("waiting for the primary at %s to stop: try %d", f.sender, try)
		if !pause(ctx, pgPause) {
			return false
		}
	}
}

// ownAddress reports whether a host is this one: a virtual address that has
// already come here.
func ownAddress(host string) bool {
	ip := net.ParseIP(host)
	all, err := net.InterfaceAddrs()
	if ip == nil || err != nil {
		return false
	}
	for _, a := range all {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(ip) {
			return true
		}
	}
	return false
}

// promoted makes the checkpoint without which pg_rewind on the old primary
// wrongly finds nothing to do: it reads the control file (seen with 15.18).
func (p *pgAgent) promoted(ctx context.Context, f *pgFacts) actions.Done {
	done := p.found(f)
	limit := min(checkpointTime, left(ctx, 0, checkpointTime))
	short, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if _, err := p.sql(short, []string{"PGCONNECT_TIMEOUT=3", "PGAPPNAME=backbeat"}, "CHECKPOINT"); err != nil {
		done.Detail += "; run CHECKPOINT before pg_rewind of the old primary: " + strings.TrimSpace(err.Error())
	}
	return done
}
