package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

const (
	// redisPause is how long writers are paused on the way down, and redisWait how
	// long the replicas may take to have everything meanwhile: paused, the server
	// does not ask them, and they tell once a second (up to 3.4 s measured, 7.0.15).
	redisPause = 5 * time.Second
	redisWait  = 3 * time.Second
	// redisCatchUp is how long they may take before, while writers go on.
	redisCatchUp = time.Second
)

// redis carries out the verbs of a Redis server: up means master. A replica is
// Down and is left running; so is the server itself, whose life is its unit's.
func (h *Hands) redis(ctx context.Context, job *actions.Job, a actions.Redis, tell say) actions.Done {
	r := redisAgent{a: a, tell: tell}
	if err := r.dial(ctx); err != nil {
		return r.silent(job.Verb, err)
	}
	defer r.conn.Close()
	switch job.Verb {
	case actions.Start:
		return r.start(ctx)
	case actions.Stop:
		return r.stop(ctx, false)
	case actions.ForceStop:
		return r.stop(ctx, true)
	case actions.Qualify, actions.Prepare:
		return r.qualify(ctx, job.Verb)
	default:
		return r.look(ctx)
	}
}

// silent is the answer where there is no connection.
func (r *redisAgent) silent(verb actions.Verb, err error) actions.Done {
	done := actions.Done{Detail: err.Error()}
	if !errors.Is(err, errNobody) {
		return done
	}
	done.State = actions.Down // what does not run is not written to
	switch verb {
	case actions.Look, actions.Stop, actions.ForceStop:
		done.OK = true
	default:
		done.Detail += ": start redis-server"
	}
	return done
}

func (r *redisAgent) look(ctx context.Context) actions.Done {
	s, err := r.info(ctx)
	if err != nil {
		return actions.Done{Detail: err.Error()}
	}
	return s.found()
}

// found is the fact: Up is a master.
func (s *redisInfo) found() actions.Done {
	switch {
	case s.master && s.loading:
		return actions.Done{OK: true, State: actions.Neither, Detail: "master, still loading its data"}
	case s.master:
		return actions.Done{OK: true, State: actions.Up, Detail: "master, " + count(s.replicas, "replica", "replicas")}
	default:
		return actions.Done{OK: true, State: actions.Down, Detail: s.replica()}
	}
}

// qualify says whether the replica here may become master. To prepare there is
// nothing but to see that it runs.
func (r *redisAgent) qualify(ctx context.Context, verb actions.Verb) actions.Done {
	s, err := r.info(ctx)
	if err != nil {
		return actions.Done{Detail: err.Error()}
	}
	done := s.found()
	if verb == actions.Prepare {
		if !s.master && r.a.Follow != "" && s.follows != r.a.Follow {
			done.Degraded = true
			done.Detail += fmt.Sprintf(": not of %s: redis-cli REPLICAOF %s", r.a.Follow, strings.ReplaceAll(r.a.Follow, ":", " "))
		}
		return done
	}
	if why := s.unfit(r.a.MaxLag); why != "" {
		done.OK, done.Detail = false, why
	}
	return done
}

// unfit says why a replica must not become master, "" if it may. Redis itself
// makes anything a master, an empty replica too, which then empties the others.
func (s *redisInfo) unfit(maxLag time.Duration) string {
	never := s.linkDown < 0
	switch {
	case s.master && !s.loading:
		return ""
	case s.loading:
		return "still loading its data"
	case s.syncing:
		return "a full copy from " + s.follows + " is under way: what is here is incomplete"
	case s.linkUp:
		return ""
	case never && s.keys == 0:
		return "empty, and has never been in sync with " + s.follows + ": as master it would empty the others"
	case maxLag <= 0:
		return ""
	case never:
		return fmt.Sprintf("has not been in sync with %s since it started, so how old its data is is not known (max_lag): "+
			"let it connect, or, if its data is the newest: redis-cli REPLICAOF NO ONE", s.follows)
	case s.linkDown > maxLag:
		return fmt.Sprintf("not in sync with %s for %v, more than %v allowed (max_lag)", s.follows, s.linkDown.Round(time.Second), maxLag)
	}
	return ""
}

// start makes the replica here the master.
func (r *redisAgent) start(ctx context.Context) actions.Done {
	for try := 1; ; try++ {
		s, err := r.info(ctx)
		if err != nil {
			return actions.Done{Detail: err.Error()}
		}
		why := s.unfit(r.a.MaxLag)
		switch {
		case why == "" && s.master:
			_, _ = r.do(ctx, "CLIENT", "UNPAUSE") // of a Stop that was interrupted
			return s.found()
		case why == "":
			return r.promote(ctx)
		case !s.loading && !s.syncing:
			return actions.Done{State: actions.Down, Hopeless: true, Detail: why}
		}
		r.tell("%s: try %d", why, try)
		if !pause(ctx, pgPause) {
			return actions.Done{State: actions.Down, Detail: why}
		}
	}
}

func (r *redisAgent) promote(ctx context.Context) actions.Done {
	if _, err := r.do(ctx, "REPLICAOF", "NO", "ONE"); err != nil {
		return actions.Done{State: actions.Down, Detail: "REPLICAOF NO ONE: " + err.Error()}
	}
	_, _ = r.do(ctx, "CLIENT", "UNPAUSE")
	s, err := r.info(ctx)
	if err != nil {
		return actions.Done{Detail: "REPLICAOF NO ONE was accepted, then: " + err.Error()}
	}
	done := s.found()
	done.OK = done.State == actions.Up
	return done
}

// stop makes the master a replica of what is at Follow: writers are paused until
// the replicas have everything, then told to go by ending their connections.
func (r *redisAgent) stop(ctx context.Context, force bool) actions.Done {
	s, err := r.info(ctx)
	for force && err != nil && strings.HasPrefix(err.Error(), "BUSY") {
		r.tell("a script keeps the server busy: ending it")
		_, _ = r.do(ctx, "SCRIPT", "KILL") // one that has written cannot be ended
		_, _ = r.do(ctx, "FUNCTION", "KILL")
		if !pause(ctx, pgPause) {
			break
		}
		s, err = r.info(ctx)
	}
	if err != nil {
		return actions.Done{Detail: err.Error()}
	}
	host, port, err := net.SplitHostPort(r.a.Follow)
	switch {
	case !s.master:
		return s.found()
	case err != nil:
		return actions.Done{Hopeless: true, State: actions.Up, Detail: "what to replicate is not configured (follow = \"host:port\")"}
	}
	copied := "no replica was connected: what was written last is only here until it is replaced"
	if !force && s.replicas > 0 {
		copied = r.drain(ctx, s.replicas)
	}
	_, err = r.do(ctx, "REPLICAOF", host, port)
	_, _ = r.do(ctx, "CLIENT", "KILL", "TYPE", "normal") // but for this connection
	_, _ = r.do(ctx, "CLIENT", "UNPAUSE")
	if err != nil {
		return actions.Done{State: actions.Up, Detail: fmt.Sprintf("REPLICAOF %s %s: %v", host, port, err)}
	}
	done := r.look(ctx)
	if done.OK && done.State != actions.Down {
		done.OK = false
	}
	done.Detail += "; " + copied
	return done
}

// drain pauses writers and waits for the replicas.
func (r *redisAgent) drain(ctx context.Context, replicas int) string {
	_, _ = r.do(ctx, "WAIT", replicas, redisCatchUp.Milliseconds())
	ms := fmt.Sprint(redisPause.Milliseconds())
	if _, err := r.do(ctx, "CLIENT", "PAUSE", ms, "WRITE"); err != nil {
		_, _ = r.do(ctx, "CLIENT", "PAUSE", ms) // before 6.2
	}
	r.tell("writers are paused, waiting for %s", count(replicas, "replica", "replicas"))
	wait := min(redisWait, left(ctx, 100*time.Millisecond, redisWait)/2)
	n, err := r.number(ctx, "WAIT", replicas, wait.Milliseconds())
	if err != nil {
		return "whether the replicas had everything is not known: " + err.Error()
	}
	return fmt.Sprintf("%d of %s had everything", n, count(replicas, "replica", "replicas"))
}
