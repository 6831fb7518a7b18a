package daemon

import (
	"time"

	"github.com/backbeat-ha/backbeat/vrrp"
)

const (
	// historyAll and historyEach bound the records kept in memory, over all
	// routers and for each; the journal keeps more on disk.
	historyAll  = 1000
	historyEach = 32
	// firstFollowups and lastFollowups are what one record keeps of what followed it: a
	// router that has not moved for a year still tells of yesterday.
	firstFollowups = 16
	lastFollowups  = 32
)

// history keeps the last transitions. The records are shared between the two
// rings and still grow follow-ups while they are the last of their router.
type history struct {
	seq  uint64
	past uint64 // the last record of earlier runs
	all  ring
	each map[string]*ring
}

// ring is a bounded list, oldest first.
type ring struct{ records []*Transition }

func (g *ring) add(t *Transition, most int) {
	if len(g.records) >= most {
		copy(g.records, g.records[1:])
		g.records[len(g.records)-1] = t
		return
	}
	g.records = append(g.records, t)
}

// last returns copies of the newest n records, oldest first.
func (g *ring) last(n int) []Transition {
	from := 0
	if n > 0 && n < len(g.records) {
		from = len(g.records) - n
	}
	out := make([]Transition, 0, len(g.records)-from)
	for _, t := range g.records[from:] {
		c := *t
		// Later follow-ups are appended behind this length, never into it.
		c.Followed = t.Followed[:len(t.Followed):len(t.Followed)]
		out = append(out, c)
	}
	return out
}

func (h *history) load(past []Transition) {
	h.each = map[string]*ring{}
	for i := range past {
		t := past[i] // a copy: past may be much longer than what is kept
		h.keep(&t)
		h.seq = max(h.seq, t.Seq)
	}
	h.past = h.seq
}

func (h *history) keep(t *Transition) {
	h.all.add(t, historyAll)
	g := h.each[t.Router]
	if g == nil {
		g = &ring{}
		h.each[t.Router] = g
	}
	g.add(t, historyEach)
}

// add makes the record of a transition.
func (h *history) add(r *router, fx *vrrp.Effect, late time.Duration) *Transition {
	h.seq++
	w := fx.Reason
	t := &Transition{Seq: h.seq, At: r.since, Router: r.cfg.Name, Term: fx.Term,
		From: fx.From.String(), To: fx.To.String(), Cause: w.Cause.String(), Reason: w.String(),
		Evidence: Evidence{Priority: w.Priority, Silence: w.Silence.Seconds(), Timer: w.Timer.Seconds(),
			Lateness: late.Seconds(), Detail: w.Detail}}
	if w.Peer.IsValid() {
		p := w.PeerPriority
		t.Evidence.Peer, t.Evidence.PeerPriority = w.Peer.String(), &p
	}
	h.keep(t)
	return t
}

// died notes, when a router starts, that the history of an earlier run does not
// end with its leaving: that daemon was killed, or the machine was.
func (h *history) died(r *router) *Transition {
	g := h.each[r.cfg.Name]
	if g == nil || len(g.records) == 0 {
		return nil
	}
	last := g.records[len(g.records)-1]
	if last.Seq > h.past || last.To == vrrp.Initialize.String() {
		return nil
	}
	why := vrrp.Reason{Cause: vrrp.CauseDied, Priority: last.Evidence.Priority}
	h.seq++
	t := &Transition{Seq: h.seq, At: r.since, Router: last.Router, Term: last.Term + 1, From: last.To,
		To: vrrp.Initialize.String(), Cause: why.Cause.String(), Reason: why.String(), Evidence: Evidence{Priority: why.Priority}}
	h.keep(t)
	return t
}

// followed adds to what followed, and lets go of what is neither among the first
// nor among the last. What was copied out before is not written to.
func followed(list []Followup, f Followup) []Followup {
	if len(list) < firstFollowups+lastFollowups {
		return append(list, f)
	}
	out := make([]Followup, 0, firstFollowups+lastFollowups)
	out = append(append(out, list[:firstFollowups]...), list[len(list)-lastFollowups+1:]...)
	return append(out, f)
}

// query answers a HistoryQuery.
func (h *history) query(name string, limit int) []Transition {
	if name == "" {
		return h.all.last(limit)
	}
	if g := h.each[name]; g != nil {
		return g.last(limit)
	}
	return []Transition{}
}
