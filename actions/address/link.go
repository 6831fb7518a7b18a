package address

import (
	"maps"
	"slices"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
)

// watchedLink is one watched name and what was last reported of it.
type watchedLink struct {
	level actions.LinkChanged
	// reported: level has been sent at least once.
	reported bool
	// stale: the addresses may have changed since they were listed; nextList is
	// when they may be listed again.
	stale    bool
	nextList time.Time
	// failovers is LinkChanged.Failovers.
	failovers uint64
}

// lookAtAll takes over a new set of names and reports those that were asked for.
func (m *monitor) lookAtAll() error {
	k := m.keeper
	k.mu.Lock()
	names := maps.Clone(k.names)
	asked := k.ask
	k.ask = nil
	k.mu.Unlock()

	maps.DeleteFunc(m.watched, func(name string, _ *watchedLink) bool { return !names[name] })
	for _, name := range asked {
		w := m.watched[name]
		if w == nil {
			w = &watchedLink{}
			m.watched[name] = w
		}
		w.reported, w.stale, w.nextList = false, true, time.Time{}
		if err := m.lookAt(name, w); err != nil {
			return err
		}
	}
	return nil
}

// lookAt asks the kernel for the interface of that name and reports a change.
func (m *monitor) lookAt(name string, w *watchedLink) error {
	l, err := findLink(m.ask, name)
	if err != nil {
		return err
	}
	level := actions.LinkChanged{Name: name, Index: l.index, MAC: l.mac, MTU: l.mtu, Failovers: w.failovers}
	if l.index == 0 {
		level.Detail = "does not exist"
		w.stale = false
	} else {
		level.Up, level.Detail = l.usable()
		if l.index == w.level.Index {
			level.Addresses = w.level.Addresses
		} else {
			w.stale, w.nextList = true, time.Time{}
		}
	}
	// A change of the link is reported at once, with the addresses as last
	// known if it is too early to list them again.
	if w.stale && !time.Now().Before(w.nextList) {
		if level.Addresses, err = m.addresses(w, l.index); err != nil {
			return err
		}
	}
	m.report(w, level)
	return nil
}

// list asks for the addresses of a link and reports a change.
func (m *monitor) list(w *watchedLink) error {
	level := w.level
	var err error
	if level.Addresses, err = m.addresses(w, level.Index); err != nil {
		return err
	}
	m.report(w, level)
	return nil
}

// addresses lists a link's addresses and sets the earliest time of the next list.
func (m *monitor) addresses(w *watchedLink, link int) ([]actions.LinkAddress, error) {
	began := time.Now()
	found, err := dumpAddresses(m.ask, link)
	if err != nil {
		return nil, err
	}
	list := make([]actions.LinkAddress, 0, len(found))
	for _, a := range found {
		l := a.level()
		if e, known := m.left[a.place()]; known {
			l.Left = e.made(&a)
		}
		list = append(list, l)
	}
	ended := time.Now()
	// A fifth of the time at most goes into listing.
	spacing := max(minSpacing, 4*ended.Sub(began))
	if m.keeper.bulk.Load() {
		spacing = max(spacing, bulkSpacing)
	}
	w.stale, w.nextList = false, ended.Add(spacing)
	return list, nil
}

// report sends a level unless it is the one sent before.
func (m *monitor) report(w *watchedLink, level actions.LinkChanged) {
	if w.reported && sameLevel(&w.level, &level) {
		return
	}
	w.level, w.reported = level, true
	m.keeper.options.Post(level)
}

func sameLevel(a, b *actions.LinkChanged) bool {
	return a.Name == b.Name && a.Index == b.Index && a.Up == b.Up && a.Detail == b.Detail &&
		a.MAC == b.MAC && a.MTU == b.MTU && a.Failovers == b.Failovers && slices.Equal(a.Addresses, b.Addresses)
}
