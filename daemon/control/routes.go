package control

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
)

const (
	// pageSize is how many routers the loop copies in one turn.
	pageSize = 256
	// maxPages bounds a query even if the loop's answers made no sense.
	maxPages = 1024
	// DefaultHistory and MaxHistory are the default and the largest limit of
	// GET /v1/history.
	DefaultHistory = 50
	MaxHistory     = 10000
)

// serve is the whole routing: few enough routes to read.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	method, handle := http.MethodGet, http.HandlerFunc(nil)
	switch r.URL.Path {
	case "/v1/status":
		handle = s.status
	case "/v1/history":
		handle = s.history
	case "/v1/version":
		handle = s.version
	case "/v1/reload":
		method, handle = http.MethodPost, s.reload
	case "/v1/plan":
		// Reading the file is the daemon's right, and its errors show lines of it: for root only.
		method, handle = http.MethodPost, s.plan
	case "/v1/command":
		method, handle = http.MethodPost, s.command
	}
	if e := s.admit(r); e != nil {
		fail(w, http.StatusForbidden, *e)
		return
	}
	switch {
	case handle == nil:
		fail(w, http.StatusNotFound, Error{Code: CodeUnknownRoute, Message: fmt.Sprintf("there is no %s here", r.URL.Path)})
	case r.Method != method:
		w.Header().Set("Allow", method)
		fail(w, http.StatusMethodNotAllowed, Error{Code: CodeWrongMethod, Message: fmt.Sprintf("%s wants %s", r.URL.Path, method)})
	default:
		handle(w, r)
	}
}

// admit decides by the peer's credentials.
func (s *Server) admit(r *http.Request) *Error {
	g, ok := r.Context().Value(guestKey{}).(*guest)
	if !ok || g.err != nil {
		return &Error{Code: CodeDenied, Message: "the kernel does not tell who is asking"}
	}
	e := s.rules.allow(g.who, r.Method)
	if e != nil {
		s.opt.Log(slog.LevelWarn, "control request refused", append(g.attrs(), slog.String("request", r.Method+" "+r.URL.Path))...)
	}
	return e
}

func (s *Server) status(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("router")
	st, err := s.collect(r.Context(), name)
	if err == nil && name != "" && len(st.Routers) == 0 {
		// Then it is a service group's: what is shown is the group and whom it follows.
		if st, err = s.collect(r.Context(), ""); err == nil && !narrow(st, name) {
			s.unknownRouter(w, r, name)
			return
		}
	}
	if err != nil {
		s.unavailable(w, err)
		return
	}
	s.answer(w, http.StatusOK, st)
}

// narrow leaves of a whole status a service group and what has to do with it.
// It reports whether there is such a group.
func narrow(st *Status, group string) bool {
	i := slices.IndexFunc(st.Services, func(s daemon.ServiceStatus) bool { return s.Name == group })
	if i < 0 {
		return false
	}
	st.Services = st.Services[i : i+1]
	follows := st.Services[0].Follows
	st.Routers = slices.DeleteFunc(st.Routers, func(r daemon.RouterStatus) bool { return !slices.Contains(follows, r.Name) })
	st.Links = slices.DeleteFunc(st.Links, func(l daemon.LinkStatus) bool {
		return !slices.ContainsFunc(st.Routers, func(r daemon.RouterStatus) bool { return r.Interface == l.Name })
	})
	st.Checks = slices.DeleteFunc(st.Checks, func(c daemon.CheckStatus) bool {
		return !slices.ContainsFunc(c.Routers, func(n string) bool { return slices.Contains(follows, n) })
	})
	return true
}

// following leaves of the service groups those that follow a virtual router.
func following(list []daemon.ServiceStatus, router string) []daemon.ServiceStatus {
	return slices.DeleteFunc(list, func(s daemon.ServiceStatus) bool { return s.Name != router && !slices.Contains(s.Follows, router) })
}

// collect puts the status together from pages. A reload between two pages may
// shift the list by what it added or removed; nothing is shown twice.
func (s *Server) collect(ctx context.Context, name string) (*Status, error) {
	st := &Status{Schema: SchemaVersion, Version: s.opt.Version, PID: os.Getpid(), At: time.Now()}
	if s.opt.Configuration != nil {
		c := s.opt.Configuration()
		st.Configuration = &c
	}
	if s.opt.Scheduling != nil {
		c := s.opt.Scheduling()
		st.Scheduling = &c
	}
	// While a router is replaced, the leaving one and its successor share a name.
	type key struct {
		name, link, family string
		vrid               uint8
	}
	routers, links := map[key]bool{}, map[string]bool{}
	all := []daemon.RouterStatus{}
	allLinks := []daemon.LinkStatus{}
	var first daemon.StatusPage // checks, groups and orders come with it
	for from, n := 0, 0; n < maxPages; n++ {
		page, err := ask(ctx, s, func(reply chan<- daemon.StatusPage) daemon.Input {
			return daemon.StatusQuery{Name: name, From: from, Limit: pageSize, Reply: reply}
		})
		if err != nil {
			return nil, err
		}
		for _, v := range page.Routers {
			if k := (key{v.Name, v.Interface, v.Family, v.VRID}); !routers[k] {
				routers[k] = true
				all = append(all, v)
			}
		}
		for _, l := range page.Links {
			if !links[l.Name] {
				links[l.Name] = true
				allLinks = append(allLinks, l)
			}
		}
		if n == 0 {
			first = page
		}
		st.StatusPage = page
		from += len(page.Routers)
		if name != "" || len(page.Routers) == 0 || from >= page.Total {
			break
		}
	}
	st.Routers, st.Links, st.Checks, st.Services, st.Orders = all, allLinks, first.Checks, first.Services, first.Orders
	if name != "" {
		st.Services = following(st.Services, name)
	}
	return st, nil
}

func (s *Server) history(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	name, limit := q.Get("router"), DefaultHistory
	if text := q.Get("limit"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 1 || n > MaxHistory {
			fail(w, http.StatusBadRequest, Error{Code: CodeBadRequest, Message: fmt.Sprintf("limit must be a number from 1 to %d", MaxHistory)})
			return
		}
		limit = n
	}
	list, err := ask(r.Context(), s, func(reply chan<- []daemon.Transition) daemon.Input {
		return daemon.HistoryQuery{Name: name, Limit: limit, Reply: reply}
	})
	if err != nil {
		s.unavailable(w, err)
		return
	}
	if len(list) == 0 {
		list = []daemon.Transition{}
		// A router that a reload removed has a history; one that never was has none.
		if name != "" {
			st, err := s.collect(r.Context(), name)
			if err == nil && len(st.Routers) == 0 {
				s.unknownRouter(w, r, name)
				return
			}
		}
	}
	s.answer(w, http.StatusOK, History{Schema: SchemaVersion, Transitions: list})
}

func (s *Server) version(w http.ResponseWriter, _ *http.Request) {
	s.answer(w, http.StatusOK, Version{Schema: SchemaVersion, Version: s.opt.Version, PID: os.Getpid()})
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	// A client that goes away does not stop a reload half-way.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), reloadPatience)
	defer cancel()
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(reloadPatience + writePatience))
	if g, ok := r.Context().Value(guestKey{}).(*guest); ok {
		s.opt.Log(slog.LevelInfo, "reload asked for on the control socket", g.attrs()...)
	}
	a := s.opt.Reload(ctx).answer()
	code := http.StatusOK
	if !a.OK {
		code = http.StatusUnprocessableEntity
	}
	s.answer(w, code, a)
}

func (s *Server) plan(w http.ResponseWriter, r *http.Request) {
	if s.opt.Plan == nil {
		s.unavailable(w, errors.New("this daemon makes no plans"))
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), reloadPatience)
	defer cancel()
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(reloadPatience + writePatience))
	a := s.opt.Plan(ctx).answer()
	code := http.StatusOK
	if !a.OK {
		code = http.StatusUnprocessableEntity
	}
	s.answer(w, code, a)
}

func (s *Server) unknownRouter(w http.ResponseWriter, r *http.Request, name string) {
	e := Error{Code: CodeUnknownRouter, Message: fmt.Sprintf("there is no virtual router %q here", name)}
	if st, err := s.collect(r.Context(), ""); err == nil {
		var names []string
		for i := range st.Routers {
			names = append(names, st.Routers[i].Name)
		}
		if len(st.Services) > 0 && r.URL.Path == "/v1/status" {
			e.Message = fmt.Sprintf("there is no virtual router or service group %q here", name)
			for i := range st.Services {
				names = append(names, st.Services[i].Name)
			}
		}
		e.Suggestion = nearest(name, names)
	}
	fail(w, http.StatusNotFound, e)
}

func (s *Server) unavailable(w http.ResponseWriter, err error) {
	fail(w, http.StatusServiceUnavailable, Error{Code: CodeUnavailable, Message: err.Error()})
}

// errSilent is told to the client when the loop does not answer.
var errSilent = errors.New("the daemon's loop does not answer: it is stopping, stopped (SIGSTOP) or starved of processor time; see its log")

// ask posts a question and waits for the answer, but not forever. A question
// that was given up keeps its slot until the loop has answered it: however many
// clients ask a loop that is stuck, few questions wait in its queue.
func ask[T any](ctx context.Context, s *Server, question func(reply chan<- T) daemon.Input) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	var none T
	select {
	case s.asking <- struct{}{}:
	case <-ctx.Done():
		return none, errSilent
	}
	reply, answer := make(chan T, 1), make(chan T, 1)
	go func() {
		defer func() { <-s.asking }()
		s.opt.Post(question(reply))
		select {
		case v := <-reply:
			answer <- v
		case <-s.gone:
		}
	}()
	select {
	case v := <-answer:
		return v, nil
	case <-ctx.Done():
		return none, errSilent
	case <-s.stopping:
	}
	// What the loop has answered before it ended is on its way.
	select {
	case v := <-answer:
		return v, nil
	case <-time.After(drainPatience / 4):
		return none, errSilent
	}
}

// answer encodes v, one answer at a time.
func (s *Server) answer(w http.ResponseWriter, code int, v any) {
	s.encoding <- struct{}{}
	var b bytes.Buffer
	err := json.NewEncoder(&b).Encode(v)
	<-s.encoding
	if err != nil {
		fail(w, http.StatusInternalServerError, Error{Code: CodeUnavailable, Message: "encode the answer: " + err.Error()})
		return
	}
	send(w, code, b.Bytes())
}

func fail(w http.ResponseWriter, code int, e Error) {
	b, err := json.Marshal(Failure{Schema: SchemaVersion, Error: e})
	if err != nil {
		panic("control: an error message cannot be encoded: " + err.Error())
	}
	send(w, code, append(b, '\n'))
}

func send(w http.ResponseWriter, code int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(code)
	_, _ = w.Write(body) // a client that has gone away is not our trouble
}
