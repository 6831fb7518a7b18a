package probe

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"

	"github.com/backbeat-ha/backbeat/checks"
)

// manager is the one connection to systemd, which all checks share. It is made
// at first use and again when it has been lost. The bus is the system's, or where
// DBUS_SYSTEM_BUS_ADDRESS says; without a bus, root has a socket of systemd's own.
type manager struct {
	mu   sync.Mutex
	conn *dbus.Conn
	dial *dialing // under way
}

type dialing struct {
	done chan struct{} // closed when conn and err are set
	conn *dbus.Conn
	err  error
}

// connection returns the connection, waiting as long as ctx allows. Making one
// cannot be interrupted, so it is done aside, once at a time. The connection
// itself ends with life.
func (m *manager) connection(ctx, life context.Context) (*dbus.Conn, error) {
	m.mu.Lock()
	if m.conn != nil && m.conn.Connected() {
		defer m.mu.Unlock()
		return m.conn, nil
	}
	d := m.dial
	if d == nil {
		d = &dialing{done: make(chan struct{})}
		m.dial = d
		go m.connect(d, life)
	}
	m.mu.Unlock()
	select {
	case <-d.done:
		return d.conn, d.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (m *manager) connect(d *dialing, life context.Context) {
	if d.conn, d.err = dbus.NewSystemConnectionContext(life); d.err != nil && os.Geteuid() == 0 {
		// Root may ask systemd itself: a bus that is down is none of its doing.
		if conn, err := dbus.NewSystemdConnectionContext(life); err == nil {
			d.conn, d.err = conn, nil
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn != nil {
		m.conn.Close()
	}
	m.conn, m.dial = d.conn, nil
	close(d.done)
}

// unit asks for one unit. A connection that turns out to be gone is made anew, once.
func (m *manager) unit(ctx, life context.Context, name string) (dbus.UnitStatus, error) {
	for again := true; ; again = false {
		conn, err := m.connection(ctx, life)
		if err != nil {
			return dbus.UnitStatus{}, fmt.Errorf("connect to the system bus: %w", err)
		}
		list, err := conn.ListUnitsByNamesContext(ctx, []string{name})
		switch {
		case err != nil && again && (errors.Is(err, godbus.ErrClosed) || !conn.Connected()):
			continue
		case err != nil:
			return dbus.UnitStatus{}, fmt.Errorf("ask systemd: %w", err)
		case len(list) != 1:
			return dbus.UnitStatus{}, fmt.Errorf("systemd answered with %d units", len(list))
		}
		return list[0], nil
	}
}

// runSystemd: whatever keeps systemd from answering is none of the unit's doing.
func (p *Pool) runSystemd(ctx context.Context, v checks.Systemd) checks.Result {
	u, err := p.systemd.unit(ctx, p.ctx, v.Unit)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return notRun("systemd does not answer on the system bus")
	case err != nil:
		return notRun(err.Error())
	}
	return judgeUnit(v, &u)
}

// judgeUnit takes for active what systemctl is-active does.
func judgeUnit(v checks.Systemd, u *dbus.UnitStatus) checks.Result {
	is := fmt.Sprintf("%s (%s)", u.ActiveState, u.SubState)
	switch {
	case u.ActiveState != "active" && u.ActiveState != "reloading" && u.ActiveState != "refreshing":
		if u.LoadState == "not-found" {
			return failed("there is no such unit")
		}
		if u.LoadState != "loaded" {
			is += ", " + u.LoadState
		}
		return failed("%s", is)
	case v.SubState != "" && u.SubState != v.SubState:
		return failed("%s, wanted %s", is, v.SubState)
	}
	return passed(is)
}
