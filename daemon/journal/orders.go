package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/daemon"
)

const (
	ordersName = "orders.json"
	// ordersMode: only root reads and changes what keeps a host from serving.
	// Status shows the orders to everybody who may ask.
	ordersMode = 0o600
	// ordersVersion is the form of the file.
	ordersVersion = 1
	// maxOrders bounds the file that is read, in bytes.
	maxOrders = 4 << 20
	// ordersRest is how long a failed write waits for the next try.
	ordersRest = 5 * time.Second
)

// Orders keeps standing orders in a file across restarts: the daemon.Orders of
// the real world. Keep may be called from any goroutine; Run is called once.
type Orders struct {
	path string
	log  func(daemon.Line)

	mu     sync.Mutex
	wanted []daemon.Order
	poked  chan struct{} // has room for one: wanted has changed
	kept   []daemon.Order
	ailing bool
}

var _ daemon.Orders = (*Orders)(nil)

// ordersFile is what is in the file.
type ordersFile struct {
	Version int            `json:"version"`
	Orders  []daemon.Order `json:"orders"`
}

// OpenOrders reads the orders that are in force at a time from the state
// directory, which Open has made and locked. Those that have expired meanwhile
// are left out and logged. A file that cannot be read or understood is put aside
// under another name, and the error says so; the Orders are usable all the same.
func OpenOrders(dir string, now time.Time, log func(daemon.Line)) (*Orders, []daemon.Order, error) {
	o := &Orders{path: filepath.Join(dir, ordersName), log: log, poked: make(chan struct{}, 1)}
	list, err := o.load()
	if err != nil {
		return o, nil, o.aside(err)
	}
	o.kept = list
	var valid []daemon.Order
	for _, v := range list {
		if !v.Until.IsZero() && !v.Until.After(now) {
			log(daemon.Line{Level: slog.LevelInfo, Text: "a standing order has ended while backbeat was not running: " + about(&v)})
			continue
		}
		log(daemon.Line{Level: slog.LevelWarn, Text: "a standing order is in force: " + about(&v)})
		valid = append(valid, v)
	}
	return o, valid, nil
}

// about is an order with what it is about.
func about(o *daemon.Order) string {
	of := o.Name
	if of == "" {
		of = "all of this host"
	}
	return of + ": " + o.String()
}

// load reads the file; a missing one holds no orders.
func (o *Orders) load() ([]daemon.Order, error) {
	f, err := os.OpenFile(o.path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, unix.ELOOP):
		return nil, errors.New("it is a symbolic link")
	case err != nil:
		return nil, err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return nil, err
	} else if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a file")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxOrders))
	if err != nil {
		return nil, err
	}
	var c ordersFile
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("it is damaged: %w", err)
	}
	if c.Version != ordersVersion {
		return nil, fmt.Errorf("it has form %d, and this backbeat knows form %d", c.Version, ordersVersion)
	}
	for i := range c.Orders {
		switch v := &c.Orders[i]; v.Kind {
		case daemon.OrderStandby, daemon.OrderPin, daemon.OrderMaintenance:
		default:
			return nil, fmt.Errorf("it is damaged: there is no order %q", v.Kind)
		}
	}
	return c.Orders, nil
}

// aside puts a file out of the way that is of no use, so that the next order
// does not overwrite it, and says what that means.
func (o *Orders) aside(why error) error {
	to := o.path + ".damaged"
	if err := os.Rename(o.path, to); err != nil {
		return fmt.Errorf("the standing orders in %s cannot be read (%w), nor put aside (%v): none is in force", o.path, why, err)
	}
	return fmt.Errorf("the standing orders in %s cannot be read (%w): none is in force; the file is now %s: look into it, and give the orders again", o.path, why, to)
}

// Keep replaces what is kept. It never blocks: Run writes.
func (o *Orders) Keep(list []daemon.Order) {
	o.mu.Lock()
	o.wanted = append([]daemon.Order{}, list...)
	o.mu.Unlock()
	select {
	case o.poked <- struct{}{}:
	default: // Run will find the latest
	}
}

// Run writes what is to be kept until ctx ends, then what is not written yet.
func (o *Orders) Run(ctx context.Context) {
	again := time.NewTimer(ordersRest)
	defer again.Stop()
	for {
		select {
		case <-ctx.Done():
			o.save()
			return
		case <-o.poked:
		case <-again.C:
		}
		if !o.save() {
			again.Reset(ordersRest)
		}
	}
}

// save writes what is wanted if that is not what is in the file. It reports
// whether the file is as it should be, and logs when that changes.
func (o *Orders) save() bool {
	o.mu.Lock()
	list := o.wanted
	o.mu.Unlock()
	if list == nil || reflect.DeepEqual(list, o.kept) || len(list)+len(o.kept) == 0 {
		return true
	}
	if err := o.write(list); err != nil {
		if !o.ailing {
			o.log(daemon.Line{Level: slog.LevelError, Text: fmt.Sprintf("standing orders are in force but cannot be written, a restart would forget them: %v", err)})
		}
		o.ailing = true
		return false
	}
	if o.ailing {
		o.log(daemon.Line{Level: slog.LevelInfo, Text: "the standing orders are written again"})
	}
	o.ailing, o.kept = false, list
	return true
}

// write replaces the file. Either the old or the new one is there at every
// moment, whole, also after a power failure.
func (o *Orders) write(list []daemon.Order) error {
	text, err := json.MarshalIndent(ordersFile{ordersVersion, list}, "", "  ")
	if err != nil {
		return err
	}
	fresh := o.path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(fresh, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, ordersMode)
	if err != nil {
		return err
	}
	if _, err = f.Write(append(text, '\n')); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(fresh, o.path)
	}
	if err != nil {
		os.Remove(fresh)
		return err
	}
	d, err := os.Open(filepath.Dir(o.path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync() // an order that a power failure undoes is no standing order
}
