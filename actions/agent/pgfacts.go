package agent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// pgAgent is one job with a PostgreSQL server. Why psql and not a driver: the
// administrator's own way in (peer authentication, .pgpass, service files) works
// as it is, no password passes through us, and it comes with the server.
type pgAgent struct {
	h    *Hands
	job  *actions.Job
	a    actions.PostgreSQL
	tell say
}

// pgFacts is what is known of a server.
type pgFacts struct {
	// answers: it has answered a query, and recovery, paused, … are so.
	answers bool
	// recovery: it is a standby.
	recovery, paused bool
	// receiver is the state of the WAL receiver, "" for none; sender and port are
	// what it is connected to.
	receiver, sender, port string
	// received is the last position received since the start, "" for nothing.
	received string
	// behind is how many received bytes are not replayed yet.
	behind uint64
	// replayed is the age of the last transaction replayed, negative if not known.
	replayed time.Duration
	// standbys are how many stream from it.
	standbys int

	// running: there is a server process (asked only if it does not answer).
	running bool
	// missing: there is no database in Data.
	missing bool
	// control is the state in the control file: "in production", "shut down", …
	control string
	// why it does not answer.
	why string
}

// questions in one query, in the order of pgFacts.read. What only a standby can
// be asked is behind a CASE: it is an error on a primary.
const pgQuestions = `SELECT pg_is_in_recovery(),
 CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() END,
 (SELECT coalesce(status, 'hidden') FROM pg_stat_wal_receiver LIMIT 1),
 (SELECT sender_host FROM pg_stat_wal_receiver LIMIT 1),
 (SELECT sender_port FROM pg_stat_wal_receiver LIMIT 1),
 pg_last_wal_receive_lsn(),
 CASE WHEN pg_is_in_recovery() THEN greatest(0, pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()))::bigint END,
 (1000 * extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()))::bigint,
 (SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming')`

// pgEnv bounds a question by itself: one that waits for a lock or a dead address is no answer.
var pgEnv = []string{"PGCONNECT_TIMEOUT=3", "PGAPPNAME=backbeat", "PGOPTIONS=-c statement_timeout=5000"}

// sql runs one statement and returns its rows as psql prints them, fields apart by "|".
func (p *pgAgent) sql(ctx context.Context, env []string, statement string) (string, error) {
	database := p.a.Database
	if database == "" {
		database = "postgres"
	}
	argv := []string{filepath.Join(p.a.Bin, "psql"), "-X", "-A", "-t", "-q", "-w", "-F", "|", "-v", "ON_ERROR_STOP=1", "-d", database, "-c", statement}
	if p.a.Host != "" {
		argv = append(argv, "-h", p.a.Host)
	}
	if p.a.Port != 0 {
		argv = append(argv, "-p", strconv.Itoa(p.a.Port))
	}
	if p.a.Role != "" {
		argv = append(argv, "-U", p.a.Role)
	}
	r := p.h.programAs(ctx, p.a.User, env, argv...)
	if r.Exit != 0 {
		return "", fmt.Errorf("%s", pgSaid(r.Output, r.Err))
	}
	return strings.TrimSpace(r.Stdout), nil
}

// pgSaid is the reason in what psql printed: what follows FATAL or ERROR.
func pgSaid(output, otherwise string) string {
	for _, word := range []string{"FATAL: ", "ERROR: "} {
		if _, after, ok := strings.Cut(output, word); ok {
			first, _, _ := strings.Cut(strings.TrimSpace(after), "\n")
			return first
		}
	}
	if first, _, _ := strings.Cut(strings.TrimSpace(output), "\n"); first != "" {
		return first
	}
	return otherwise
}

// facts asks the server, and, if it does not answer, the processes and the control file.
func (p *pgAgent) facts(ctx context.Context) pgFacts {
	row, err := p.sql(ctx, pgEnv, pgQuestions)
	var f pgFacts
	if err == nil && f.read(row) {
		p.remember(&f)
		return f
	}
	f.why = "an answer that makes no sense: " + row
	if err != nil {
		f.why = err.Error()
	}
	r := p.h.programAs(ctx, p.a.User, nil, filepath.Join(p.a.Bin, "pg_ctl"), "-D", p.a.Data, "status")
	switch r.Exit {
	case 3: // no server running
	case 4: // no accessible data directory
		f.missing = true
		return f
	case 0:
		f.running = true
	default:
		f.running, f.why = true, f.why+"; pg_ctl status: "+said(r) // to be safe
	}
	f.control = p.control(ctx)
	return f
}

func (f *pgFacts) read(row string) bool {
	w := strings.Split(row, "|")
	if len(w) != 9 || w[0] != "t" && w[0] != "f" {
		return false
	}
	f.answers, f.running = true, true
	f.recovery, f.paused = w[0] == "t", w[1] == "t"
	f.receiver, f.sender, f.port, f.received = w[2], w[3], w[4], w[5]
	f.behind, _ = strconv.ParseUint(w[6], 10, 64)
	f.replayed = -1
	if ms, err := strconv.ParseInt(w[7], 10, 64); err == nil {
		f.replayed = time.Duration(ms) * time.Millisecond
	}
	f.standbys, _ = strconv.Atoi(w[8])
	return true
}

// control is the "Database cluster state" of the control file.
func (p *pgAgent) control(ctx context.Context) string {
	r := p.h.programAs(ctx, p.a.User, nil, filepath.Join(p.a.Bin, "pg_controldata"), "-D", p.a.Data)
	for line := range strings.Lines(r.Stdout) {
		if value, ok := strings.CutPrefix(line, "Database cluster state:"); ok {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// signaled reports whether the server would start as a standby (PostgreSQL 12 and later).
func (p *pgAgent) signaled() bool {
	_, err := os.Stat(filepath.Join(p.a.Data, "standby.signal"))
	return err == nil
}

// wasStandby reports whether a server that does not answer is a standby, as far
// as files tell.
func (p *pgAgent) wasStandby(f *pgFacts) bool {
	return f.control == "in archive recovery" || f.control == "shut down in recovery" || f.control != "in production" && p.signaled()
}

// found is the fact: Up is a primary.
func (p *pgAgent) found(f *pgFacts) actions.Done {
	down := actions.Done{OK: true, State: actions.Down}
	switch {
	case f.answers && !f.recovery:
		return actions.Done{OK: true, State: actions.Up, Detail: fmt.Sprintf("primary, %s", count(f.standbys, "standby streams", "standbys stream"))}
	case f.answers:
		down.Detail = f.standby()
	case f.missing:
		down.Detail = "there is no database in " + p.a.Data
	case !f.running:
		down.Detail = "not running; control file: " + f.control
	case p.wasStandby(f):
		down.Detail = fmt.Sprintf("a standby (%s) that does not answer: %s", f.control, f.why)
	default:
		return actions.Done{Detail: fmt.Sprintf("running (%s), but does not answer: %s", f.control, f.why)}
	}
	return down
}

// standby describes a standby: "standby, streaming from web1, 0 bytes to replay".
func (f *pgFacts) standby() string {
	words := "standby, not streaming"
	if f.receiver != "" {
		words = "standby, " + f.receiver
	}
	if f.sender != "" {
		words += " from " + f.sender
	}
	if f.paused {
		words += ", replay paused"
	}
	return fmt.Sprintf("%s, %d bytes to replay", words, f.behind)
}

// streamed is when a standby was last seen streaming, by server. It is a fact
// about this host, so it is the same for all Hands.
var streamed sync.Map // string → time.Time

func (p *pgAgent) server() string { return fmt.Sprintf("%s|%s|%d", p.a.Data, p.a.Host, p.a.Port) }

func (p *pgAgent) remember(f *pgFacts) {
	if f.recovery && (f.receiver == "streaming" || f.receiver == "hidden") {
		streamed.Store(p.server(), time.Now())
	}
}

// age is how old the data of a standby that does not stream may be: since it was
// seen streaming, or since its last transaction, whichever is less. ok is false
// if neither is known.
func (p *pgAgent) age(f *pgFacts) (age time.Duration, ok bool) {
	age, ok = f.replayed, f.replayed >= 0
	if at, seen := streamed.Load(p.server()); seen {
		if since := time.Since(at.(time.Time)); !ok || since < age {
			age, ok = since, true
		}
	}
	return age, ok
}
