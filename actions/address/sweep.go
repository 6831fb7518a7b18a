package address

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Left is an address that an earlier process left behind and Sweep removed.
type Left struct {
	Link     int
	LinkName string
	Address  netip.Prefix
	// PID is the process that had added it.
	PID int
}

// Sweep removes the addresses that the ledger says an earlier process of ours
// left behind, if they are there, and returns them. It is called once, before
// anything is wanted and before Run. An error may come together with addresses:
// it then tells what could not be read or removed. Addresses of another boot or
// network namespace are not there and are forgotten.
func (k *Keeper) Sweep(ctx context.Context) ([]Left, error) {
	if k.options.Ledger == "" {
		return nil, nil
	}
	l := k.ledger
	if l.open(); l.failed != nil {
		return nil, l.failed
	}
	var errs []error
	if l.damaged > 0 {
		errs = append(errs, fmt.Errorf("reading the ledger %s: %d damaged lines were left out; look for addresses that nobody removes", l.path, l.damaged))
	}
	left, err := l.sweep(ctx)
	l.failed = l.rewrite()
	errs = append(errs, err, l.failed)
	return left, errors.Join(errs...)
}

func (l *ledger) sweep(ctx context.Context) ([]Left, error) {
	if len(l.entries) == 0 {
		return nil, nil
	}
	kern, err := dialKernel()
	if err != nil {
		return nil, err
	}
	defer kern.close()
	ask, err := dialQuestions()
	if err != nil {
		return nil, err
	}
	defer ask.Close()
	there, err := dumpAddresses(ask, 0)
	if err != nil {
		return nil, err
	}
	byPlace := make(map[place]addressMessage, len(there))
	for _, m := range there {
		byPlace[m.place()] = m
	}
	var left []Left
	var errs []error
	for at, e := range l.entries {
		if ctx.Err() != nil {
			return left, errors.Join(append(errs, ctx.Err())...)
		}
		found, present := byPlace[at]
		// Somebody else's mark, or no mark on an address of which we never knew
		// whether we had added it: not ours.
		theirs := found.proto != 0 && found.proto != mark || !e.sure && found.proto != mark
		if present && !theirs {
			if err := kern.remove(at.link, found.prefix); err != nil && !absent(err) {
				errs = append(errs, fmt.Errorf("removing %s, left behind on %s: %s", found.prefix, e.name, explain(err, e.name)))
				continue
			}
			left = append(left, Left{at.link, e.name, found.prefix, e.pid})
		}
		l.gone(at)
	}
	slices.SortFunc(left, func(a, b Left) int {
		return cmp.Or(strings.Compare(a.LinkName, b.LinkName), a.Address.Addr().Compare(b.Address.Addr()))
	})
	return left, errors.Join(errs...)
}
