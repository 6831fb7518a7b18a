package address

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"github.com/backbeat-ha/backbeat/actions/address/firewall"
	"github.com/backbeat-ha/backbeat/actions/address/macvlan"
)

// Left is an address that an earlier process left behind and Sweep removed.
type Left struct {
	Link     int
	LinkName string
	Address  netip.Prefix
	// PID is the process that had added it, 0 if that is not known.
	PID int
	// What is anything that is no address: "macvlan vr4.61.3", "rule 100: …".
	What string
}

// String names it for the log.
func (l Left) String() string {
	if l.What != "" {
		return l.What
	}
	return fmt.Sprintf("%s from %s", l.Address, l.LinkName)
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
	others, err := l.sweepFacts(k.options.Tag)
	errs = append(errs, err)
	left, err := l.sweep(ctx)
	left = append(others, left...)
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
			left = append(left, Left{Link: at.link, LinkName: e.name, Address: found.prefix, PID: e.pid})
		}
		l.gone(at)
	}
	slices.SortFunc(left, func(a, b Left) int {
		return cmp.Or(strings.Compare(a.LinkName, b.LinkName), a.Address.Addr().Compare(b.Address.Addr()))
	})
	return left, errors.Join(errs...)
}

// sweepFacts removes what is no address. Macvlans go first, which ends what
// they answer for; what has been silent needs no silence then.
func (l *ledger) sweepFacts(tag string) ([]Left, error) {
	if len(l.facts) == 0 {
		return nil, nil
	}
	kern, err := dialKernel()
	if err != nil {
		return nil, err
	}
	defer kern.close()
	maker, err := macvlan.Dial()
	if err != nil {
		return nil, err
	}
	defer maker.Close()
	left, errs := l.sweepMACs(maker)
	for _, text := range slices.Sorted(maps.Keys(l.facts)) {
		switch {
		case strings.HasPrefix(text, "parent "):
			f := strings.Fields(text)
			if len(f) == 4 {
				errs = append(errs, maker.RestoreParent(f[1], map[string]string{f[2]: f[3]}))
			}
			l.noFact(text)
		case strings.HasPrefix(text, "{"):
			t, err := parseThing(text)
			if err == nil && l.sure(text) {
				switch err = kern.removeThing(t); {
				case err == nil:
					left = append(left, Left{What: t.String()})
				case absentThing(err):
					err = nil
				default:
					err = fmt.Errorf("removing %s, left behind: %s", t, explainThing(err))
				}
			}
			if errs = append(errs, err); err == nil {
				l.noFact(text)
			}
		}
	}
	errs = append(errs, firewall.New(tag).Clear())
	return left, errors.Join(errs...)
}

func (l *ledger) sweepMACs(maker *macvlan.Maker) (left []Left, errs []error) {
	names := map[string]bool{}
	for text := range l.facts {
		if name, is := strings.CutPrefix(text, "macvlan "); is {
			names[name] = true
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	found, err := maker.List(aliasOf)
	if err != nil {
		return nil, []error{err}
	}
	var indexes []int
	for _, f := range found {
		if names[f.Name] {
			indexes = append(indexes, f.Index)
			left = append(left, Left{Link: f.Index, LinkName: f.Name, What: "macvlan " + f.Name})
		}
	}
	if err := maker.Remove(indexes...); err != nil {
		return nil, []error{err}
	}
	for name := range names {
		l.noFact(macFact(name))
	}
	return left, nil
}
