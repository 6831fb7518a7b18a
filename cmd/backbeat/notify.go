package main

import (
	"context"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"github.com/backbeat-ha/backbeat/daemon"
)

// statusPause is the shortest time between two status lines: a takeover of a
// thousand routers is one piece of news.
const statusPause = 250 * time.Millisecond

// notifier talks to systemd. Without systemd its messages go nowhere.
type notifier struct {
	post  func(daemon.Input)
	tally *tally
	// watchdog is how often the loop must show that it turns; 0 if nobody asks.
	watchdog time.Duration
	// send is SdNotify.
	send func(state string)
}

func newNotifier(post func(daemon.Input), t *tally) *notifier {
	n := &notifier{post: post, tally: t, send: func(state string) {
		_, _ = sd.SdNotify(false, state) // there is nobody to tell that systemd did not listen
	}}
	if d, err := sd.SdWatchdogEnabled(false); err == nil {
		n.watchdog = d
	}
	return n
}

// run reports readiness when the loop has taken its first turn, then keeps the
// status line and the watchdog fed, until ctx ends.
func (n *notifier) run(ctx context.Context) error {
	if !n.ping(ctx, 0) {
		return nil
	}
	told := n.tally.summary()
	n.send(sd.SdNotifyReady + "\nSTATUS=" + told)
	var tick <-chan time.Time
	if n.watchdog > 0 {
		// Twice in its time, as sd_watchdog_enabled(3) asks for.
		t := time.NewTicker(n.watchdog / 2)
		defer t.Stop()
		tick = t.C
	}
	// A second goroutine, so that the loop being late does not hold up the status line.
	fed := make(chan struct{})
	go func() { defer close(fed); n.feed(ctx, tick) }()
	defer func() { <-fed }()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.tally.changed:
			if now := n.tally.summary(); now != told {
				told = now
				n.send("STATUS=" + now)
				pause(ctx, statusPause)
			}
		}
	}
}

// feed answers the watchdog for the loop, and only if the loop has answered.
func (n *notifier) feed(ctx context.Context, tick <-chan time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick:
			if n.ping(ctx, n.watchdog/2) {
				n.send(sd.SdNotifyWatchdog)
			}
		}
	}
}

// ping waits until the loop has answered, within a time unless that is 0.
func (n *notifier) ping(ctx context.Context, within time.Duration) bool {
	if within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, within)
		defer cancel()
	}
	reply := make(chan struct{}, 1)
	n.post(daemon.Ping{Reply: reply})
	select {
	case <-reply:
		return true
	case <-ctx.Done():
		return false
	}
}

// reloading and reloaded bracket a reload (Type=notify and notify-reload).
func (n *notifier) reloading() { n.send(sd.SdNotifyReloading + "\n" + sd.SdNotifyMonotonicUsec()) }
func (n *notifier) reloaded() {
	n.send(sd.SdNotifyReady + "\nSTATUS=" + n.tally.summary())
}

func (n *notifier) stopping() { n.send(sd.SdNotifyStopping + "\nSTATUS=stepping aside") }

// pause waits, or not if ctx ends.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
