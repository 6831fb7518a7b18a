package address

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
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
	// Post takes answers: actions.Applied, actions.Restored, actions.LinkChanged.
	// It is called from several goroutines without locks held and may block briefly.
	Post func(any)
	// Tag tells two daemons in one network namespace apart, in the names of
	// their nftables tables and the aliases of their macvlans; usually empty.
	Tag string
}

// alias marks our macvlans; package macvlan adopts what begins like it.
func (o *Options) alias() string {
	if o.Tag == "" {
		return "backbeat"
	}
	return "backbeat-" + o.Tag
}

// Keeper makes the kernel hold what the routers want.
// Want and Watch may be called from any goroutine, at any time.
type Keeper struct {
	options Options
	ledger  *ledger
	adopted bool // see Adopt; before Run

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
	// of anything else is no business of ours. heldOn counts them by link, and
	// heldRouting the routes and rules by family (0 IPv4, 1 IPv6).
	held        map[place]noticed
	heldOn      map[int]int
	heldRouting [2]int
	// beats are when the routers were alive.
	beats map[actions.RouterID]time.Time
	// macvlans are those the applier answers for, by index.
	macvlans map[int]bool
	// bulk: many addresses are being added or removed by ourselves.
	bulk atomic.Bool
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
	// macvlans are those that are gone or down.
	macvlans []macvlanLoss
	// links are those on which what is missing can be tried again.
	links map[int]bool
	// compare: the time has come to compare macvlans and tables with the kernel.
	compare bool
	// tidy, if not nil, is told what of an earlier process has been removed.
	tidy func([]Left, error)
}

// macvlanLoss is the notice that a macvlan of ours is gone or down.
type macvlanLoss struct {
	link    int
	culprit string
	at      time.Time
}

func newInbox() inbox {
	return inbox{wishes: make(map[actions.RouterID]wish), links: make(map[int]bool)}
}

func (in *inbox) empty() bool {
	return len(in.order) == 0 && len(in.losses) == 0 && len(in.macvlans) == 0 && len(in.links) == 0 && !in.compare && in.tidy == nil
}

// New returns a Keeper; nothing happens before Run or Sweep.
func New(o Options) *Keeper {
	return &Keeper{
		options:     o,
		ledger:      newLedger(o.Ledger),
		readBuffer:  defaultReadBuffer,
		resyncEvery: defaultResync,
		inbox:       newInbox(),
		wake:        make(chan struct{}, 1),
		names:       make(map[string]bool),
		look:        make(chan struct{}, 1),
		held:        make(map[place]noticed),
		heldOn:      make(map[int]int),
		macvlans:    make(map[int]bool),
		beats:       make(map[actions.RouterID]time.Time),
	}
}

// Want replaces what a router wants. It returns at once; Applied answers with
// the same term, unless a newer wish of the same router came first. What the
// wish points to must not be changed afterwards.
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
	maker, err := macvlan.Dial()
	if err != nil {
		return err
	}
	defer maker.Close()
	m, err := newMonitor(k, kern.port())
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
	k.inbox = newInbox()
	return in
}

// idle reports whether there is nothing new to do.
func (k *Keeper) idle() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.inbox.empty()
}

// setHeld tells the monitor whether the loss of something matters.
func (k *Keeper) setHeld(it *item, held bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, was := k.held[it.at]; was == held {
		return
	}
	n := 1
	if held {
		k.held[it.at] = false
	} else {
		delete(k.held, it.at)
		n = -1
	}
	if it.at.kind == anAddress {
		if k.heldOn[it.at.link] += n; k.heldOn[it.at.link] == 0 {
			delete(k.heldOn, it.at.link)
		}
		return
	}
	family := 0
	if it.at.is6() {
		family = 1
	}
	k.heldRouting[family] += n
}

// isHeld is asked by the monitor for each removal.
func (k *Keeper) isHeld(p place) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, is := k.held[p]
	return is
}

// noticed tells that a held place has been seen to be there.
type noticed bool

// notice records that a notice of a place has come, and reports whether it told
// nothing new: it is held, and was there.
func (k *Keeper) notice(p place, there bool) (again bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	was, held := k.held[p]
	if held {
		k.held[p] = noticed(there)
	}
	return held && bool(was) == there
}

// routing tells of which families routes or rules are held.
func (k *Keeper) routing() (four, six bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.heldRouting[0] > 0, k.heldRouting[1] > 0
}

// setMacvlan tells the monitor whether the loss of a macvlan matters.
func (k *Keeper) setMacvlan(link int, ours bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if ours {
		k.macvlans[link] = true
	} else {
		delete(k.macvlans, link)
	}
}

// lost reports held things as gone.
func (k *Keeper) lost(l ...loss) {
	k.mu.Lock()
	k.inbox.losses = append(k.inbox.losses, l...)
	k.mu.Unlock()
	poke(k.wake)
}

// macvlanLost reports a link that is gone or down, if it is one of our macvlans.
func (k *Keeper) macvlanLost(l macvlanLoss) {
	k.mu.Lock()
	ours := k.macvlans[l.link]
	if ours {
		k.inbox.macvlans = append(k.inbox.macvlans, l)
	}
	k.mu.Unlock()
	if ours {
		poke(k.wake)
	}
}

// vrrpPrefix is how every virtual router MAC begins (RFC 9568 7.3).
var vrrpPrefix = [4]byte{0, 0, 0x5e, 0}

// spoilt asks for a comparison if the link, which has no virtual router MAC, is
// one of our macvlans.
func (k *Keeper) spoilt(link int) {
	k.mu.Lock()
	ours := k.macvlans[link]
	k.mu.Unlock()
	if ours {
		k.compare()
	}
}

// linkUp reports that a link is up, which may bring back what went with it.
func (k *Keeper) linkUp(link int) {
	k.mu.Lock()
	relevant := k.heldOn[link] > 0 || k.heldRouting != [2]int{}
	if relevant {
		k.inbox.links[link] = true
	}
	k.mu.Unlock()
	if relevant {
		poke(k.wake)
	}
}

// compare asks for a comparison of what the applier alone knows about.
func (k *Keeper) compare() {
	k.mu.Lock()
	k.inbox.compare = true
	k.mu.Unlock()
	poke(k.wake)
}

// missing returns the held places that are not in a list of what is there; of
// addresses too, or of routes and rules only.
func (k *Keeper) missing(there map[place]bool, addresses bool) []place {
	k.mu.Lock()
	defer k.mu.Unlock()
	var gone []place
	for p := range k.held {
		if !there[p] && (addresses || p.kind != anAddress) {
			gone = append(gone, p)
		}
	}
	return gone
}
