package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/backbeat-ha/backbeat/daemon"
)

const (
	// maxReason bounds what an operator says, in bytes: it stands in status lines.
	maxReason = 200
	// maxFor bounds a standing order that is to end by itself.
	maxFor = 366 * 24 * time.Hour
)

// CommandRequest is the body of POST /v1/command.
type CommandRequest struct {
	// Verb is one of daemon's Command constants: "standby", "move", "group-stop".
	Verb daemon.CommandVerb `json:"verb"`
	// Name is a virtual router or a service group; empty means all, where that is allowed.
	Name string `json:"name,omitempty"`
	// Step is a step of the group ("drbd.wwwdata", or "wwwdata" if that is unique).
	Step   string `json:"step,omitempty"`
	Reason string `json:"reason,omitempty"`
	// For is after how many seconds a standing order ends by itself; 0: never.
	For float64 `json:"for_seconds,omitempty"`
	Pin bool    `json:"pin,omitempty"`
	// Here takes over instead of stepping aside (move).
	Here bool `json:"here,omitempty"`
	// Unmanage switches maintenance on as well (group-stop).
	Unmanage bool `json:"unmanage,omitempty"`
	// Force does what would be refused as useless or dangerous.
	Force bool `json:"force,omitempty"`
}

// CommandAnswer answers POST /v1/command, both when it was begun (HTTP status
// 200) and when it was not (422).
type CommandAnswer struct {
	Schema int `json:"schema_version"`
	daemon.CommandResult
}

// commandVerbs are all there are.
var commandVerbs = []daemon.CommandVerb{
	daemon.CommandStandby, daemon.CommandOnline, daemon.CommandMove, daemon.CommandUnmove, daemon.CommandClear,
	daemon.CommandGroupStop, daemon.CommandGroupStart, daemon.CommandGroupRestart,
	daemon.CommandMaintenanceOn, daemon.CommandMaintenanceOff, daemon.CommandFenceConfirm,
}

// Command asks the daemon to do something and returns what it has begun. A
// command that is refused is not an error of the call: the answer says so.
func (c *Client) Command(ctx context.Context, r CommandRequest) (*CommandAnswer, error) {
	body, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("make the request: %w", err)
	}
	return call[CommandAnswer](ctx, c, http.MethodPost, "/v1/command", nil, body)
}

func (s *Server) command(w http.ResponseWriter, r *http.Request) {
	q, err := readCommand(r.Body)
	if err != nil {
		fail(w, http.StatusBadRequest, Error{Code: CodeBadRequest, Message: err.Error()})
		return
	}
	g, ok := r.Context().Value(guestKey{}).(*guest)
	if !ok { // admit has looked already
		fail(w, http.StatusForbidden, Error{Code: CodeDenied, Message: "the kernel does not tell who is asking"})
		return
	}
	by := g.who.name()
	// A client that goes away does not take back what it has asked for. The loop
	// logs what comes of it, and who asked.
	res, err := ask(context.WithoutCancel(r.Context()), s, func(reply chan<- daemon.CommandResult) daemon.Input {
		return daemon.Command{Verb: q.Verb, Name: q.Name, Step: q.Step, By: by, Reason: q.Reason,
			For: time.Duration(q.For * float64(time.Second)), Pin: q.Pin, Here: q.Here, Unmanage: q.Unmanage, Force: q.Force, Reply: reply}
	})
	if err != nil {
		s.unavailable(w, fmt.Errorf("%w; the command may still be carried out: see backbeat status", err))
		return
	}
	code := http.StatusOK
	if !res.OK {
		code = http.StatusUnprocessableEntity
	}
	s.answer(w, code, CommandAnswer{SchemaVersion, res})
}

// readCommand understands a body, or says what is wrong with it.
func readCommand(body io.Reader) (CommandRequest, error) {
	var q CommandRequest
	text, err := io.ReadAll(body) // MaxBytesReader bounds it
	if err != nil {
		return q, fmt.Errorf("cannot read the command: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&q); err != nil {
		return q, fmt.Errorf("cannot understand the command: %w", err)
	}
	return q, q.check()
}

// check finds what no command may have; what fits the verb is the loop's to judge.
func (q *CommandRequest) check() error {
	if !slices.Contains(commandVerbs, q.Verb) {
		var names []string
		for _, v := range commandVerbs {
			names = append(names, string(v))
		}
		return fmt.Errorf("there is no verb %q; there are %s", q.Verb, strings.Join(names, ", "))
	}
	if !(q.For >= 0 && q.For <= maxFor.Seconds()) { // also not a number
		return fmt.Errorf("for_seconds must be from 0 to %.0f", maxFor.Seconds())
	}
	if len(q.Reason) > maxReason {
		return fmt.Errorf("the reason is longer than %d bytes", maxReason)
	}
	for _, s := range []string{q.Name, q.Step, q.Reason} {
		if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
			return errors.New("name, step and reason must be text in one line")
		}
	}
	return nil
}

// name is who it is for people: "root (uid 0)", and who logged in, where the
// kernel knows that of a process that became root later (sudo, su).
func (p peer) name() string {
	s := userName(p.uid)
	text, err := os.ReadFile("/proc/" + strconv.Itoa(int(p.pid)) + "/loginuid")
	if err != nil {
		return s
	}
	login, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 32)
	if unset := uint64(1<<32 - 1); err != nil || login == unset || uint32(login) == p.uid {
		return s
	}
	return s + ", logged in as " + userName(uint32(login))
}

// userName is "root (uid 0)", or "uid 1000" where nobody knows a name.
func userName(uid uint32) string {
	n := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(n); err == nil && u.Username != "" {
		return fmt.Sprintf("%s (uid %s)", u.Username, n)
	}
	return "uid " + n
}
