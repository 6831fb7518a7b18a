package simlan

import (
	"time"

	"github.com/backbeat-ha/backbeat/daemon"
	"github.com/backbeat-ha/backbeat/vrrp"
)

// standInFor is how long a stand-in speaks at most.
const standInFor = 2 * time.Second

// standIn says the adverts of a process that has handed over until the next one
// does. It hears nothing and knows nothing.
type standIn struct {
	host  *Host
	said  []said
	until time.Duration // on the LAN's clock
}

// said is one advert of it; next is on the host's clock.
type said struct {
	frame       frame
	next, every time.Duration
}

// Leave notes an advert for the stand-in.
func (p *Process) Leave(path *vrrp.Path, message []byte, next, every time.Duration) {
	if n := p.Host.NIC(path.Link); n != nil {
		p.left = append(p.left, said{frame{n.Link, path.Family, path.Dst, AppendIP(nil, path, message)}, next, every})
	}
}

// standIn starts speaking when the process has handed over.
func (p *Process) standIn() {
	h := p.Host
	if len(p.left) == 0 {
		return
	}
	in := &standIn{host: h, said: p.left, until: h.lan.now + standInFor}
	h.standIn = in
	for i := range in.said {
		in.plan(&in.said[i])
	}
}

// plan waits for the next time. As in the real one, a silence of three intervals, which
// others take for the end, is not broken.
func (in *standIn) plan(s *said) {
	h := in.host
	h.lan.At(s.next-h.Offset, func() {
		now := h.lan.now + h.Offset
		if h.standIn != in || h.off || h.lan.now >= in.until || now-s.next >= 2*s.every {
			return
		}
		h.lan.carry(h, &s.frame)
		s.next += s.every
		in.plan(s)
	})
}

// stoodIn is what the loop that begins knows of it.
func (h *Host) stoodIn(inherited bool) *daemon.StandIn {
	in := h.standIn
	if h.standIn = nil; in == nil || !inherited || h.lan.now >= in.until {
		return nil
	}
	h.standIn = in
	return &daemon.StandIn{Until: in.until + h.Offset, Over: func() { h.standIn = nil }}
}
