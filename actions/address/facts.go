package address

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/actions"
)

// The ledger is an append-only text, one line per fact:
//
//	WORD BOOT NETNS PID FACT
//
// where FACT is one of
//
//	IFINDEX ADDRESS/LENGTH INTERFACE       an address (the only one up to 0.1)
//	route {"Dst":"0.0.0.0/0", …}           the route as it is, its Link resolved
//	rule {"Priority":100, …}
//	macvlan PARENTINDEX MAC NAME           a macvlan of ours
//	parent IFINDEX INTERFACE arp_ignore=0  sysctls of a parent before we set them
//	nftables NAME                          both tables of that name
//
// try is written before something is added, have once we know that the kernel
// took it from us, gone when it is removed or turned out to be somebody else's.
// A crash between try and have leaves it open whose it is; the sweep then asks
// for our mark on it (IFA_PROTO, the route's protocol, the macvlan's alias) and
// otherwise leaves it alone. BOOT and NETNS say in which boot and network
// namespace that was: in any other one it does not exist. Lines that say
// nothing any more are dropped by writing the file anew, which is atomic. No
// fsync: what the ledger speaks of does not outlive the kernel either.
const (
	wordTry  = "try"
	wordHave = "have"
	wordGone = "gone"

	// maxLedger bounds what is read of a ledger, in bytes: 5,000 addresses take 0.5 MB.
	maxLedger = 16 << 20
	// spareLines is how many dead lines are tolerated before the file is written anew.
	spareLines = 4096
)

// The first words of facts other than addresses.
const (
	wordRoute   = "route"
	wordRule    = "rule"
	wordMacvlan = "macvlan"
	wordParent  = "parent"
	wordTables  = "nftables"
)

// tableFact is the place of the one fact about our tables.
var tableFact = place{kind: aTable}

// fact is what is at a place, as far as its removal needs it.
type fact struct {
	// prefix is the address as it is; name that of its link, of a macvlan, of a
	// parent or of the tables.
	prefix netip.Prefix
	name   string
	route  ref[actions.Route]
	// before are the parent's sysctls, "NAME=VALUE", sorted, joined by commas.
	before string
}

// entry is what the ledger says of one place.
type entry struct {
	fact
	pid  int
	sure bool // have, not only try
}

func (e entry) word() string {
	if e.sure {
		return wordHave
	}
	return wordTry
}

// text is the fact as it is written.
func (e entry) text(at place) string {
	switch at.kind {
	case aRoute:
		return wordRoute + " " + compact(e.route.get())
	case aRule:
		return wordRule + " " + compact(at.rule.get())
	case aMacvlan:
		return fmt.Sprintf("%s %d %s %s", wordMacvlan, at.link, net.HardwareAddr(at.mac[:]), e.name)
	case aParent:
		return fmt.Sprintf("%s %d %s %s", wordParent, at.link, e.name, e.before)
	case aTable:
		return wordTables + " " + e.name
	default:
		return fmt.Sprintf("%d %s %s", at.link, e.prefix, e.name)
	}
}

// compact is a value in one line without blanks: none of its strings has one.
func compact(v any) string {
	b, err := json.Marshal(v)
	if err != nil { // cannot be: only numbers, names and addresses
		return "null"
	}
	return string(b)
}

// parse takes in the text of a ledger.
func (l *ledger) parse(text string) {
	lines := strings.Split(text, "\n")
	if last := lines[len(lines)-1]; last != "" {
		l.damaged++ // cut off in the middle of a write
	}
	for _, line := range lines[:len(lines)-1] {
		word, scope, at, e, ok := parseLine(line)
		switch {
		case !ok:
			l.damaged++
		case scope != l.scope:
			// Another boot or namespace: there is no such thing here.
		case word == wordGone:
			delete(l.entries, at)
		default:
			l.entries[at] = e
		}
	}
}

func parseLine(line string) (word, scope string, at place, e entry, ok bool) {
	f := strings.Split(line, " ")
	if len(f) < 6 {
		return word, scope, at, e, false
	}
	pid, err := strconv.Atoi(f[3])
	if err != nil || f[0] != wordTry && f[0] != wordHave && f[0] != wordGone {
		return word, scope, at, e, false
	}
	at, what, ok := parseFact(f[4:])
	return f[0], f[1] + " " + f[2], at, entry{what, pid, f[0] == wordHave}, ok
}

// parseFact reads what follows the process ID.
func parseFact(f []string) (at place, what fact, ok bool) {
	switch word := f[0]; {
	case word == wordRoute && len(f) == 2:
		var r actions.Route
		ok = json.Unmarshal([]byte(f[1]), &r) == nil && r.Dst.IsValid()
		return placeOfRoute(&r), fact{route: refTo(r)}, ok
	case word == wordRule && len(f) == 2:
		var r actions.Rule
		ok = json.Unmarshal([]byte(f[1]), &r) == nil && r.Priority > 0
		return placeOfRule(r), fact{}, ok
	case word == wordMacvlan && len(f) == 4:
		link, ok := linkIndex(f[1])
		mac, err := net.ParseMAC(f[2])
		if !ok || err != nil || len(mac) != len(at.mac) {
			return at, what, false
		}
		return place{kind: aMacvlan, link: link, mac: [6]byte(mac)}, fact{name: f[3]}, f[3] != ""
	case word == wordParent && len(f) == 4:
		link, ok := linkIndex(f[1])
		return place{kind: aParent, link: link}, fact{name: f[2], before: f[3]}, ok && f[2] != ""
	case word == wordTables && len(f) == 2:
		return tableFact, fact{name: f[1]}, f[1] != ""
	case len(f) == 3:
		link, ok := linkIndex(word)
		prefix, err := netip.ParsePrefix(f[1])
		if !ok || err != nil || f[2] == "" {
			return at, what, false
		}
		return placeOf(link, prefix), fact{prefix: prefix, name: f[2]}, true
	default:
		return at, what, false
	}
}

// linkIndex reads an interface's number.
func linkIndex(s string) (int, bool) {
	n, err := strconv.Atoi(s)
	return n, err == nil && n > 0
}

// settingsText and settings write and read sysctls by name.
func settingsText(values map[string]string) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		list = append(list, name+"="+values[name])
	}
	return strings.Join(list, ",")
}

func (e entry) settings() map[string]string {
	values := make(map[string]string)
	for _, s := range strings.Split(e.before, ",") {
		if name, value, ok := strings.Cut(s, "="); ok {
			values[name] = value
		}
	}
	return values
}

// currentScope names this boot and this network namespace.
func currentScope() (string, error) {
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("reading the boot id (is /proc mounted?): %w", err)
	}
	var st unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &st); err != nil {
		return "", fmt.Errorf("looking up the network namespace (is /proc mounted?): %w", err)
	}
	return fmt.Sprintf("%s %d", strings.TrimSpace(string(boot)), st.Ino), nil
}
