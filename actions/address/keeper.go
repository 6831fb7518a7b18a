package address

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/backbeat-ha/backbeat/actions"
	"github.com/backbeat-ha/backbeat/actions/address/firewall"
	"github.com/backbeat-ha/backbeat/actions/address/macvlan"
)

// Options configure a Keeper.
type Options struct {
	// Ledger is the path of the ledger file, on a file system that does not
	// outlive the boot (/run); its directory must exist and belong to us or to
	// root. Empty means no ledger: after a crash nothing is recognised as ours.
	Ledger string
	// Tag tells the firewall tables of two daemons in one network namespace
	// apart; it may be empty.
	Tag string
	// Post takes answers: actions.Applied, actions.Restored, actions.LinkChanged.
	// It is called from several goroutines without locks held and may block briefly.
	Post func(any)
}

// Keeper makes the kernel hold the addresses that the routers want.
// Want and Watch may be called from any goroutine, at any time.
type Keeper struct {
	options Options
	ledger  *ledger

	// Changed by tests only, before Run.
	readBuffer  int           // bytes of the event socket's buffer
	resyncEvery time.Duration // period of the comparison with the kernel

	mu sync.Mutex
	// inbox is what the applier has not taken yet; wake says that there is something.
	inbox inbox
	wake  chan struct{}
	// names are the watched interfaces; ask those to report now.
	names map[string]bool
	ask   []string
	look  chan struct{}
	// held are the places the applier answers for, for the monitor: the removal
	// of any other address is no business of ours.
	held map[place]bool
	// macs are the macvlans we made, by index.
	macs map[int]bool
}

// wish is a Wanted and when it came.
type wish struct {
	actions.Wanted
	at time.Time
}

// loss is the notice that a held address is gone.
type loss struct {
	place   place
	culprit string
	at      time.Time
}

// inbox is the applier's work. Wishes are kept per router, so that a wish that
// nobody has looked at yet is replaced by the next one; order is that of arrival.
type inbox struct {
	wishes map[actions.RouterID]wish
	order  []actions.RouterID
	losses []loss
	// macs are macvlans that somebody has deleted.
	macs []int
	// links whose missing addresses can be tried again.
	links []int
}

func (in *inbox) empty() bool {
	return len(in.order) == 0 && len(in.losses) == 0 && len(in.links) == 0 && len(in.macs) == 0
}

// New returns a Keeper; nothing happens before Run or Sweep.
func New(o Options) *Keeper {
	return &Keeper{
		options:     o,
		ledger:      newLedger(o.Ledger),
		readBuffer:  defaultReadBuffer,
		resyncEvery: defaultResync,
		inbox:       inbox{wishes: make(map[actions.RouterID]wish)},
		wake:        make(chan struct{}, 1),
		names:       make(map[string]bool),
		look:        make(chan struct{}, 1),
		held:        make(map[place]bool),
		macs:        make(map[int]bool),
	}
}

// Want replaces what a router wants. It returns at once; Applied answers with
// the same term, unless a newer wish of the same router came first. The
// Addresses slice must not be changed afterwards.
func (k *Keeper) Want(w actions.Wanted) {
	k.mu.Lock()
	if _, waiting := k.inbox.wishes[w.Router]; !waiting {
		k.inbox.order = append(k.inbox.order, w.Router)
	}
	k.inbox.wishes[w.Router] = wish{w, time.Now()}
	k.mu.Unlock()
	poke(k.wake)
}

// Watch replaces the set of watched interfaces. LinkChanged is sent for each
// name at once, also for a missing one, and then on each change.
func (k *Keeper) Watch(names []string) {
	k.mu.Lock()
	clear(k.names)
	for _, n := range names {
		k.names[n] = true
	}
	k.ask = slices.Clone(names)
	k.mu.Unlock()
	poke(k.look)
}

// Run works until ctx ends and returns when everything it started has ended.
// Wishes that came before the end are still carried out, so that a last "want
// nothing" is never lost. An error says why it could not work at all.
func (k *Keeper) Run(ctx context.Context) error {
	kern, err := dialKernel()
	if err != nil {
		return err
	}
	defer kern.close()
	m, err := newMonitor(k)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watching := make(chan error, 1)
	go func() {
		watching <- m.run(ctx)
		cancel() // without the monitor the applier would not know what it loses
	}()
	maker, err := macvlan.Dial()
	if err != nil {
		cancel()
		return errors.Join(err, <-watching)
	}
	defer maker.Close()
	newApplier(k, kern, maker, firewall.New(k.options.Tag)).run(ctx)
	return <-watching
}

// poke wakes a worker; one that is awake already will look again anyway.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// take hands the applier everything there is to do.
func (k *Keeper) take() inbox {
	k.mu.Lock()
	defer k.mu.Unlock()
	in := k.inbox
	k.inbox = inbox{wishes: make(map[actions.RouterID]wish)}
	return in
}

// idle reports whether there is nothing new to do.
func (k *Keeper) idle() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.inbox.empty()
}

// wishes reports whether a router has a newer wish.
func (k *Keeper) wishes(id actions.RouterID) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, newer := k.inbox.wishes[id]
	return newer
}

// setMAC tells the monitor whether a macvlan is one of ours.
func (k *Keeper) setMAC(index int, ours bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ours {
		k.macs[index] = true
	} else {
		delete(k.macs, index)
	}
}

// linkGone reports that a link has been deleted, if it is a macvlan of ours.
func (k *Keeper) linkGone(index int) {
	k.mu.Lock()
	ours := k.macs[index]
	if ours {
		delete(k.macs, index)
		k.inbox.macs = append(k.inbox.macs, index)
	}
	k.mu.Unlock()
	if ours {
		poke(k.wake)
	}
}

// setHeld tells the monitor whether the loss of an address matters.
func (k *Keeper) setHeld(p place, held bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if held {
		k.held[p] = true
	} else {
		delete(k.held, p)
	}
}

// isHeld is asked by the monitor for each removal.
func (k *Keeper) isHeld(p place) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.held[p]
}

// lost reports held addresses as gone.
func (k *Keeper) lost(l ...loss) {
	k.mu.Lock()
	k.inbox.losses = append(k.inbox.losses, l...)
	k.mu.Unlock()
	poke(k.wake)
}

// linkUp reports that a link is up, which may bring back what went with it.
func (k *Keeper) linkUp(link int) {
	k.mu.Lock()
	relevant := false
	for p := range k.held {
		if relevant = p.link == link; relevant {
			break
		}
	}
	if relevant {
		k.inbox.links = append(k.inbox.links, link)
	}
	k.mu.Unlock()
	if relevant {
		poke(k.wake)
	}
}

// missing returns the held places that are not in a list of what is there.
func (k *Keeper) missing(there map[place]bool) []place {
	k.mu.Lock()
	defer k.mu.Unlock()
	var gone []place
	for p := range k.held {
		if !there[p] {
			gone = append(gone, p)
		}
	}
	return gone
}
