package agent

import (
	"strings"
	"testing"

	"github.com/backbeat-ha/backbeat/actions"
)

// As printed by drbd-utils 9.22 with the module 8.4.11.
const events84 = `exists resource name:r0 role:Secondary suspended:no
exists connection name:r0 peer-node-id:0 conn-name:node1 connection:Connected role:Primary
exists device name:r0 volume:0 minor:1 disk:UpToDate
exists peer-device name:r0 peer-node-id:0 conn-name:node1 volume:0 replication:Established peer-disk:UpToDate resync-suspended:no
exists -
`

// As module 9 prints it, with keys and objects of its own and a second resource.
const events9 = `exists resource name:r0 role:Primary suspended:no force-io-failures:no may_promote:no promotion_score:10102
exists connection name:r0 peer-node-id:1 conn-name:web2 connection:Connected role:Secondary tls:no
exists path name:r0 peer-node-id:1 conn-name:web2 local:ipv4:10.0.0.1:7789 peer:ipv4:10.0.0.2:7789 established:yes
exists connection name:r0 peer-node-id:2 conn-name:web3 connection:Connecting role:Unknown
exists device name:r0 volume:0 minor:4 backing_dev:/dev/sda1 disk:UpToDate client:no quorum:yes open:no
exists device name:r0 volume:1 minor:5 disk:UpToDate client:no quorum:yes
exists peer-device name:r0 peer-node-id:1 conn-name:web2 volume:0 replication:SyncSource peer-disk:Inconsistent done:12.40 peer-client:no resync-suspended:no
exists peer-device name:r0 peer-node-id:1 conn-name:web2 volume:1 replication:Established peer-disk:UpToDate
exists resource name:other role:Primary suspended:no
exists device name:other volume:0 minor:9 disk:Failed
exists something-new name:r0 a:b
exists -
`

func TestParseDRBD(t *testing.T) {
	s := parseDRBD(events84, "r0")
	if got := s.String(); got != "Secondary, Connected, UpToDate/UpToDate" || s.primaryPeer() != "node1" || s.volumes[0].minor != 1 {
		t.Errorf("%q %+v", got, s)
	}
	s = parseDRBD(events9, "r0")
	const want = "Primary, web2 Connected, UpToDate/Inconsistent SyncSource 12.40 %, UpToDate/UpToDate, web3 Connecting, UpToDate/DUnknown, UpToDate/DUnknown"
	if got := s.String(); got != want {
		t.Errorf("%q", got)
	}
	if s := parseDRBD(events9, "r1"); s.up || s.state() != actions.Down {
		t.Errorf("%+v", s)
	}
	parseDRBD("exists\nexists resource\n: : :\nexists device name:r0 volume: minor:x disk\n", "r0")
}

func FuzzParseDRBD(f *testing.F) {
	f.Add(events84)
	f.Add(events9)
	f.Fuzz(func(t *testing.T, text string) {
		s := parseDRBD(text, "r0")
		_ = s.String()
		s.promotable(&actions.DRBD{})
		s.health()
	})
}

// TestPromotable is the decision table, row by row.
func TestPromotable(t *testing.T) {
	for _, c := range []struct {
		name                                   string
		disk, connection, peer, peerDisk, repl string
		more                                   string // further keys of the resource
		device                                 string // further keys of the device
		a                                      actions.DRBD
		ok, hard                               bool
		words                                  string
	}{
		{name: "switchover", disk: "UpToDate", connection: "Connected", peer: "Secondary", peerDisk: "UpToDate", ok: true},
		{name: "the peer is Primary, or was", disk: "UpToDate", connection: "Connected", peer: "Primary", peerDisk: "UpToDate", ok: true},
		{name: "the peer is older", disk: "UpToDate", connection: "Connecting", peer: "Unknown", peerDisk: "Outdated", ok: true},
		{name: "the peer is gone", disk: "UpToDate", connection: "Connecting", peer: "Unknown", peerDisk: "DUnknown", ok: true},
		{name: "split brain", disk: "UpToDate", connection: "StandAlone", peer: "Unknown", peerDisk: "DUnknown", hard: true, words: "--discard-my-data r0"},
		{name: "SyncSource", disk: "UpToDate", connection: "Connected", peer: "Secondary", peerDisk: "Inconsistent", repl: "SyncSource", ok: true},
		{name: "Consistent, peer unknown", disk: "Consistent", connection: "Connecting", peer: "Unknown", peerDisk: "DUnknown", words: "primary --force r0"},
		{name: "Consistent, peer outdated", disk: "Consistent", connection: "Connecting", peer: "Unknown", peerDisk: "Outdated", ok: true},
		{name: "Outdated", disk: "Outdated", connection: "Connecting", peer: "Unknown", peerDisk: "DUnknown", words: "newer data"},
		{name: "Outdated, allowed", disk: "Outdated", connection: "Connecting", peer: "Unknown", peerDisk: "DUnknown", a: actions.DRBD{AllowOutdated: true}, ok: true, words: "allow_outdated"},
		{name: "Outdated, allowed, connected", disk: "Outdated", connection: "Connected", peer: "Secondary", peerDisk: "UpToDate", a: actions.DRBD{AllowOutdated: true}, words: "resync"},
		{name: "SyncTarget", disk: "Inconsistent", connection: "Connected", peer: "Primary", peerDisk: "UpToDate", repl: "SyncTarget", hard: true, words: "wait for the end"},
		{name: "Inconsistent", disk: "Inconsistent", connection: "Connecting", peer: "Unknown", peerDisk: "DUnknown", hard: true},
		{name: "Failed", disk: "Failed", connection: "Connecting", peer: "Unknown", peerDisk: "DUnknown", hard: true},
		{name: "Negotiating", disk: "Negotiating", connection: "Connecting", peer: "Unknown", peerDisk: "DUnknown"},
		{name: "Diskless", disk: "Diskless", connection: "Connected", peer: "Secondary", peerDisk: "UpToDate", hard: true},
		{name: "Diskless, allowed", disk: "Diskless", connection: "Connected", peer: "Secondary", peerDisk: "UpToDate", a: actions.DRBD{AllowDiskless: true}, ok: true},
		{name: "Diskless, allowed, alone", disk: "Diskless", connection: "Connecting", peer: "Unknown", peerDisk: "DUnknown", a: actions.DRBD{AllowDiskless: true}, hard: true},
		{name: "no quorum", disk: "UpToDate", connection: "Connecting", peer: "Unknown", peerDisk: "DUnknown", device: "quorum:no", words: "quorum"},
		{name: "suspended", disk: "UpToDate", connection: "Connecting", peer: "Unknown", peerDisk: "DUnknown", more: "suspended:fencing", hard: true},
		{name: "forced down", disk: "UpToDate", connection: "Connected", peer: "Secondary", peerDisk: "UpToDate", more: "force-io-failures:yes", hard: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := "exists resource name:r0 role:Secondary " + c.more + "\n" +
				"exists connection name:r0 conn-name:web2 connection:" + c.connection + " role:" + c.peer + "\n" +
				"exists device name:r0 volume:0 minor:1 disk:" + c.disk + " " + c.device + "\n" +
				"exists peer-device name:r0 conn-name:web2 volume:0 replication:" + c.repl + " peer-disk:" + c.peerDisk + "\n"
			s := parseDRBD(text, "r0")
			v := s.promotable(&c.a)
			if v.ok != c.ok || v.hard != c.hard || !strings.Contains(v.words, c.words) || v.words == "" {
				t.Errorf("%+v", v)
			}
			if len(v.words) > detailSize {
				t.Errorf("%d bytes will be cut: %s", len(v.words), v.words)
			}
		})
	}
}
