package address

import (
	"errors"
	"io/fs"
	"net/netip"
)

// Recorded returns the addresses that a daemon has put on this host, as the ledger at
// path says: of this boot and network namespace, in no order. Without
// a ledger there are none. An error says that nothing is known. It changes nothing, and
// the daemon may run meanwhile.
func Recorded(path string) ([]netip.Addr, error) {
	l := newLedger(path)
	switch err := l.load(); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	var out []netip.Addr
	for at, e := range l.entries {
		if at.kind == anAddress && e.sure {
			out = append(out, e.fact.prefix.Addr())
		}
	}
	return out, nil
}
