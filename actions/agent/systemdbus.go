package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	godbus "github.com/godbus/dbus/v5"
)

// privateSocket is systemd's own: it needs no message bus, and so works while a
// host shuts down and when dbus-daemon has died.
const privateSocket = "unix:path=/run/systemd/private"

// systemdBus is the connection to systemd, shared by all steps: made at first use,
// and again when it was lost (daemon-reexec, a restart of the message bus).
type systemdBus struct {
	// dial makes one connection, authenticated; tests replace it.
	dial func(ctx context.Context) (*godbus.Conn, error)
	// dropIns is where the drop-ins of units go, cgroups where control groups are
	// mounted; tests replace them.
	dropIns, cgroups string

	mu      sync.Mutex
	link    *systemdLink
	dialing *dialing
}

// systemdLink is a connection to systemd that tells when it ends.
type systemdLink struct {
	*dbus.Conn
	// lost is closed when one of its two connections (calls, signals) is gone.
	lost <-chan struct{}
	end  context.CancelFunc
}

// dialing is an attempt under way.
type dialing struct {
	done chan struct{} // closed when link and err are set
	link *systemdLink
	err  error
}

func newSystemdBus() *systemdBus {
	return &systemdBus{dial: dialSystemd, dropIns: "/run/systemd/system", cgroups: "/sys/fs/cgroup"}
}

// get returns the connection, waiting for it as long as ctx allows. Connecting
// cannot be interrupted, so it is done aside, once at a time.
func (b *systemdBus) get(ctx context.Context) (*systemdLink, error) {
	b.mu.Lock()
	if b.link != nil {
		select {
		case <-b.link.lost:
			b.link.close()
			b.link = nil
		default:
			defer b.mu.Unlock()
			return b.link, nil
		}
	}
	d := b.dialing
	if d == nil {
		d = &dialing{done: make(chan struct{})}
		b.dialing = d
		go b.connect(d)
	}
	b.mu.Unlock()
	select {
	case <-d.done:
		return d.link, d.err
	case <-ctx.Done():
		return nil, errors.New("systemd does not answer")
	}
}

// handshake bounds making a connection: a systemd that is stopped accepts and
// then says nothing.
const handshake = 10 * time.Second

func (b *systemdBus) connect(d *dialing) {
	life, end := context.WithCancel(context.Background())
	timer := time.AfterFunc(handshake, end)
	d.link, d.err = newLink(life, end, b.dial)
	if !timer.Stop() && d.err == nil {
		d.link.close()
		d.link, d.err = nil, errors.New("systemd does not answer")
	}
	if d.err != nil {
		end()
		d.err = fmt.Errorf("connect to systemd: %w", d.err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.link, b.dialing = d.link, nil
	close(d.done)
}

// newLink connects and subscribes to JobRemoved, which must be so before a job
// is made. Subscribe of go-systemd is not used: it would bring every change of every unit.
func newLink(life context.Context, end context.CancelFunc, dial func(context.Context) (*godbus.Conn, error)) (*systemdLink, error) {
	var conns []*godbus.Conn
	conn, err := dbus.NewConnection(func() (*godbus.Conn, error) {
		c, err := dial(life)
		if err == nil {
			conns = append(conns, c)
		}
		return c, err
	})
	if err != nil {
		return nil, err
	}
	signals := conns[len(conns)-1] // go-systemd makes it last
	object := signals.Object("org.freedesktop.systemd1", "/org/freedesktop/systemd1")
	if err := object.CallWithContext(life, "org.freedesktop.systemd1.Manager.Subscribe", 0).Err; err != nil && !named(err, "org.freedesktop.systemd1.AlreadySubscribed") {
		conn.Close()
		return nil, fmt.Errorf("subscribe to its signals: %w", err)
	}
	lost, once := make(chan struct{}), sync.Once{}
	for _, c := range conns {
		context.AfterFunc(c.Context(), func() { once.Do(func() { close(lost) }) })
	}
	return &systemdLink{Conn: conn, lost: lost, end: end}, nil
}

func (l *systemdLink) close() {
	l.Close()
	l.end()
}

func (b *systemdBus) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.link != nil {
		b.link.close()
		b.link = nil
	}
}

// drop gives up a connection on which a call failed, so that the next one is new.
func (b *systemdBus) drop(l *systemdLink) {
	b.mu.Lock()
	defer b.mu.Unlock()
	l.close()
	if b.link == l {
		b.link = nil
	}
}

// with makes calls on the connection. One that ends because the connection does
// (NoReply and the like while systemd re-executes itself) is made again on a new
// one, until ctx ends: f must be harmless when repeated.
func (b *systemdBus) with(ctx context.Context, f func(*systemdLink) error) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		l, err := b.get(ctx)
		if err == nil {
			if err = f(l); !broken(err) {
				return err
			}
			b.drop(l)
		}
		if !pause(ctx, wait) {
			return err
		}
		if l == nil && wait > 800*time.Millisecond {
			return err // a systemd that re-executes itself is back sooner
		}
	}
}

// broken reports whether a call failed for its way, not for what was asked.
func broken(err error) bool {
	if errors.Is(err, godbus.ErrClosed) {
		return true
	}
	for _, name := range []string{"NoReply", "Disconnected", "ServiceUnknown", "NameHasNoOwner", "Timeout", "TimedOut"} {
		if named(err, "org.freedesktop.DBus.Error."+name) {
			return true
		}
	}
	return false
}

// named reports whether an error is the D-Bus error of that name.
func named(err error, name string) bool {
	var e godbus.Error
	return errors.As(err, &e) && e.Name == name
}

// dialSystemd connects to systemd's private socket where we are root, else, or
// where that is not there, to the system bus.
func dialSystemd(ctx context.Context) (*godbus.Conn, error) {
	if os.Geteuid() == 0 {
		c, err := godbus.Dial(privateSocket, godbus.WithContext(ctx))
		if err == nil {
			if err = authenticate(c); err == nil {
				return c, nil
			}
		}
	}
	c, err := godbus.SystemBusPrivate(godbus.WithContext(ctx))
	if err != nil {
		return nil, err
	}
	if err := authenticate(c); err != nil {
		return nil, err
	}
	if err := c.Hello(); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

func authenticate(c *godbus.Conn) error {
	err := c.Auth([]godbus.Auth{godbus.AuthExternal(strconv.Itoa(os.Geteuid()))})
	if err != nil {
		c.Close()
	}
	return err
}
