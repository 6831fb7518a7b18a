package firewall

import (
	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/backbeat-ha/backbeat/vrrp"
)

// silencePriority comes before everything a user is likely to have on the same
// interface (raw is -300): nobody's rules are to see, count or copy a frame
// that does not exist.
const silencePriority = -500

// acceptPriority comes just before the user's filter (0): "filter - 10".
const acceptPriority = -10

// The three sets of refused addresses.
const (
	refused4 = iota
	refused6
	refusedLink
)

var refusedSets = [...]struct {
	name string
	key  nftables.SetDatatype
}{
	refused4: {"refused4", nftables.TypeIPAddr},
	refused6: {"refused6", nftables.TypeIP6Addr},
	// A link-local address may be on several links.
	refusedLink: {"refused-link", nftables.MustConcatSetType(nftables.TypeIP6Addr, nftables.TypeIFName)},
}

// keyOf is the set an address belongs into, and its key there.
func keyOf(a Refused) (set int, key string) {
	addr := a.Addr.Unmap().WithZone("")
	switch {
	case addr.Is4():
		return refused4, string(addr.AsSlice())
	case addr.IsLinkLocalUnicast():
		var name [unix.IFNAMSIZ]byte
		copy(name[:len(name)-1], a.Link)
		return refusedLink, string(addr.AsSlice()) + string(name[:])
	default:
		return refused6, string(addr.AsSlice())
	}
}

func (t *Table) netdevTable() *nftables.Table {
	return &nftables.Table{Name: t.name, Family: nftables.TableFamilyNetdev}
}

func (t *Table) inetTable() *nftables.Table {
	return &nftables.Table{Name: t.name, Family: nftables.TableFamilyINet}
}

func (t *Table) passiveSet(parent string) *nftables.Set {
	return &nftables.Set{Table: t.netdevTable(), Name: "passive-" + parent, KeyType: nftables.TypeEtherAddr}
}

func (t *Table) refusedSet(i int) *nftables.Set {
	return &nftables.Set{Table: t.inetTable(), Name: refusedSets[i].name, KeyType: refusedSets[i].key}
}

// Names of an interface's chains.
func chainIn(parent string) string  { return "in-" + parent }
func chainOut(parent string) string { return "out-" + parent }

func (b *batch) removeChains(parent string) {
	table := b.netdevTable()
	b.conn.DelChain(&nftables.Chain{Table: table, Name: chainIn(parent)})
	b.conn.DelChain(&nftables.Chain{Table: table, Name: chainOut(parent)})
	b.conn.DelSet(b.passiveSet(parent))
}

// makeChains makes an interface's set and chains, and the table before the first.
func (b *batch) makeChains(parent string) error {
	if err := b.room(6, 0); err != nil {
		return err
	}
	table := b.netdevTable()
	if !b.netdev {
		b.conn.AddTable(table)
		b.netdev = true
	}
	set := b.passiveSet(parent)
	if err := b.conn.AddSet(set, nil); err != nil {
		return err
	}
	in := b.chain(table, chainIn(parent), nftables.ChainHookIngress, silencePriority, parent)
	out := b.chain(table, chainOut(parent), nftables.ChainHookEgress, silencePriority, parent)
	const destination, source, length = 0, 6, 6 // offsets in the Ethernet header
	b.rule(in, ethernet(destination, length), lookup(set), drop())
	b.rule(out, ethernet(source, length), lookup(set), notOurMark(), drop())
	return nil
}

// makeInet makes the table of refused addresses.
func (b *batch) makeInet() error {
	if err := b.room(24, 0); err != nil {
		return err
	}
	table := b.inetTable()
	b.conn.AddTable(table)
	b.inet = true
	var sets [len(refusedSets)]*nftables.Set
	for i := range sets {
		sets[i] = b.refusedSet(i)
		if err := b.conn.AddSet(sets[i], nil); err != nil {
			return err
		}
	}
	input := b.chain(table, "input", nftables.ChainHookInput, acceptPriority, "")
	output := b.chain(table, "output", nftables.ChainHookOutput, acceptPriority, "")
	forward := b.chain(table, "forward", nftables.ChainHookForward, acceptPriority, "")

	b.rule(input, loopback(expr.MetaKeyIIF), accept())
	if err := b.acceptICMPv6(input, neighbourSolicitation, neighbourAdvertisement); err != nil {
		return err
	}
	b.rule(output, loopback(expr.MetaKeyOIF), accept())
	// The reports go out with a link-local address that may be a refused one;
	// without them a switch that snoops MLD would keep solicitations from us.
	if err := b.acceptICMPv6(output, mldReport, mldDone, neighbourSolicitation, neighbourAdvertisement, mld2Report); err != nil {
		return err
	}
	b.dropRefused(input, sets, true, expr.MetaKeyIIFNAME)
	b.dropRefused(output, sets, false, expr.MetaKeyOIFNAME)
	b.dropRefused(forward, sets, true, expr.MetaKeyIIFNAME)
	return nil
}

// dropRefused adds the rules that drop by destination or by source.
func (b *batch) dropRefused(c *nftables.Chain, sets [len(refusedSets)]*nftables.Set, destination bool, name expr.MetaKey) {
	at4, at6 := uint32(12), uint32(8) // source in the IPv4 and the IPv6 header
	if destination {
		at4, at6 = 16, 24
	}
	link := []expr.Any{&expr.Meta{Key: name, Register: unix.NFT_REG_2}}
	b.rule(c, family(unix.NFPROTO_IPV4), network(at4, 4), lookup(sets[refused4]), drop())
	b.rule(c, family(unix.NFPROTO_IPV6), network(at6, 16), lookup(sets[refused6]), drop())
	b.rule(c, family(unix.NFPROTO_IPV6), network(at6, 16), link, lookup(sets[refusedLink]), drop())
}

// ICMPv6 types (RFC 4861, RFC 2710, RFC 9777).
const (
	mldReport              = 131
	mldDone                = 132
	neighbourSolicitation  = 135
	neighbourAdvertisement = 136
	mld2Report             = 143
)

func (b *batch) acceptICMPv6(c *nftables.Chain, types ...byte) error {
	set := &nftables.Set{Table: c.Table, Anonymous: true, Constant: true, KeyType: nftables.TypeICMP6Type}
	var elements []nftables.SetElement
	for _, kind := range types {
		elements = append(elements, nftables.SetElement{Key: []byte{kind}})
	}
	if err := b.conn.AddSet(set, elements); err != nil {
		return err
	}
	b.rule(c, []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: unix.NFT_REG_1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte{unix.IPPROTO_ICMPV6}},
		&expr.Payload{DestRegister: unix.NFT_REG_1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
	}, lookup(set), accept())
	return nil
}

func (b *batch) chain(t *nftables.Table, name string, hook *nftables.ChainHook, priority nftables.ChainPriority, device string) *nftables.Chain {
	policy := nftables.ChainPolicyAccept
	return b.conn.AddChain(&nftables.Chain{
		Table: t, Name: name, Hooknum: hook, Priority: nftables.ChainPriorityRef(priority),
		Type: nftables.ChainTypeFilter, Policy: &policy, Device: device,
	})
}

func (b *batch) rule(c *nftables.Chain, parts ...[]expr.Any) {
	r := &nftables.Rule{Table: c.Table, Chain: c}
	for _, p := range parts {
		r.Exprs = append(r.Exprs, p...)
	}
	b.conn.AddRule(r)
}

func ethernet(offset, length uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: unix.NFT_REG_1, Base: expr.PayloadBaseLLHeader, Offset: offset, Len: length}}
}

func network(offset, length uint32) []expr.Any {
	return []expr.Any{&expr.Payload{DestRegister: unix.NFT_REG_1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: length}}
}

func lookup(s *nftables.Set) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: unix.NFT_REG_1, SetName: s.Name, SetID: s.ID}}
}

func family(proto byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: unix.NFT_REG_1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: []byte{proto}},
	}
}

// loopback matches lo, whose index is 1 in every network namespace.
func loopback(key expr.MetaKey) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: key, Register: unix.NFT_REG_1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: unix.NFT_REG_1, Data: binaryutil.NativeEndian.PutUint32(1)},
	}
}

func notOurMark() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyMARK, Register: unix.NFT_REG_1},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: unix.NFT_REG_1, Data: binaryutil.NativeEndian.PutUint32(vrrp.FrameMark)},
	}
}

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }

// drop counts what it drops, for whoever wonders where a packet went.
func drop() []expr.Any {
	return []expr.Any{&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}}
}
