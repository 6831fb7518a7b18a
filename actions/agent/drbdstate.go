package agent

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/backbeat-ha/backbeat/actions"
)

// drbdMajor is DRBD's block device number (linux/major.h, LANANA).
const drbdMajor = 147

// drbdState is a DRBD resource as `drbdsetup events2 --now` tells it, in DRBD's
// words (drbd-utils 9, module 8.4 or 9). A word that was not told is empty.
type drbdState struct {
	resource string
	// up: the kernel knows the resource.
	up   bool
	role string
	// suspended is "no", or why I/O is frozen; failing says that I/O fails on
	// purpose since a forced demotion (9.1.7).
	suspended string
	failing   bool
	volumes   []drbdVolume
	links     []drbdLink
}

type drbdVolume struct {
	number, minor int
	disk          string
	noQuorum      bool
}

// drbdLink is the connection to one peer.
type drbdLink struct {
	peer, connection, role string
	volumes                []drbdPeerVolume
}

type drbdPeerVolume struct {
	number            int
	replication, disk string
	// done is how much of a resync is done, in percent, if it was told.
	done string
}

// parseDRBD reads what events2 --now printed of one resource. Objects and keys
// it does not know are passed over: each version has more of them.
func parseDRBD(text, resource string) drbdState {
	s := drbdState{resource: resource}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] != "exists" {
			continue
		}
		keys := map[string]string{}
		for _, word := range f[2:] {
			if key, value, ok := strings.Cut(word, ":"); ok {
				keys[key] = value
			}
		}
		if keys["name"] == resource {
			s.add(f[1], keys)
		}
	}
	return s
}

func (s *drbdState) add(object string, keys map[string]string) {
	number := func(key string) int {
		n, err := strconv.Atoi(keys[key])
		if err != nil {
			return -1
		}
		return n
	}
	switch object {
	case "resource":
		s.up, s.role, s.suspended, s.failing = true, keys["role"], keys["suspended"], keys["force-io-failures"] == "yes"
	case "device":
		s.volumes = append(s.volumes, drbdVolume{number: number("volume"), minor: number("minor"),
			disk: keys["disk"], noQuorum: keys["quorum"] == "no"})
	case "connection":
		l := s.link(keys["conn-name"])
		l.connection, l.role = keys["connection"], keys["role"]
	case "peer-device":
		l := s.link(keys["conn-name"])
		l.volumes = append(l.volumes, drbdPeerVolume{number: number("volume"),
			replication: keys["replication"], disk: keys["peer-disk"], done: keys["done"]})
	}
}

// link finds the connection to a peer, or makes one.
func (s *drbdState) link(peer string) *drbdLink {
	i := slices.IndexFunc(s.links, func(l drbdLink) bool { return l.peer == peer })
	if i < 0 {
		s.links = append(s.links, drbdLink{peer: peer})
		i = len(s.links) - 1
	}
	return &s.links[i]
}

// peerDisk is what is known of a peer's copy of a volume.
func (l *drbdLink) volume(number int) drbdPeerVolume {
	for _, v := range l.volumes {
		if v.number == number {
			return v
		}
	}
	return drbdPeerVolume{number: number, disk: "DUnknown"}
}

// state is what the resource is as a step.
func (s *drbdState) state() actions.State {
	if s.role == "Primary" {
		return actions.Up
	}
	return actions.Down
}

// String is the state in one line: "Primary, Connected, UpToDate/UpToDate".
func (s drbdState) String() string {
	if !s.up {
		return "resource " + s.resource + " is not up"
	}
	parts := []string{s.role}
	for i := range s.links {
		l := &s.links[i]
		name := ""
		if len(s.links) > 1 {
			name = l.peer + " "
		}
		parts = append(parts, name+l.connection)
		for _, v := range s.volumes {
			p := l.volume(v.number)
			disks := v.disk + "/" + p.disk
			if strings.Contains(p.replication, "Sync") {
				disks += " " + p.replication + percent(p.done)
			}
			parts = append(parts, disks)
		}
	}
	for _, v := range s.volumes {
		if len(s.links) == 0 {
			parts = append(parts, v.disk)
		}
		if v.noQuorum {
			parts = append(parts, fmt.Sprintf("volume %d without quorum", v.number))
		}
	}
	if s.frozen() {
		parts = append(parts, "I/O suspended ("+s.suspended+")")
	}
	return strings.Join(parts, ", ")
}

func percent(done string) string {
	if done == "" {
		return ""
	}
	return " " + done + " %"
}

func (s *drbdState) frozen() bool { return s.suspended != "" && s.suspended != "no" }

// connected reports whether any peer is.
func (s *drbdState) connected() bool {
	return slices.ContainsFunc(s.links, func(l drbdLink) bool { return l.connection == "Connected" })
}

// primaryPeer is the peer that is Primary as far as DRBD knows, or "".
func (s *drbdState) primaryPeer() string {
	for i := range s.links {
		if s.links[i].role == "Primary" {
			return s.links[i].peer
		}
	}
	return ""
}

// readable reports whether a connected peer has good data of a volume.
func (s *drbdState) readable(number int) bool {
	return slices.ContainsFunc(s.links, func(l drbdLink) bool {
		return l.connection == "Connected" && l.volume(number).disk == "UpToDate"
	})
}

// splitBrain are the words for a connection that DRBD has given up.
func (s *drbdState) splitBrain(peer string) string {
	r := s.resource
	return fmt.Sprintf("StandAlone towards %s: split brain, or disconnected by hand. "+
		"Where changes may be lost: drbdadm secondary %s; drbdadm disconnect %s; drbdadm connect --discard-my-data %s. "+
		"On the other host: drbdadm connect %s", peer, r, r, r, r)
}

// standAlone is the first peer towards which DRBD has given up, or "".
func (s *drbdState) standAlone() string {
	for i := range s.links {
		if s.links[i].connection == "StandAlone" {
			return s.links[i].peer
		}
	}
	return ""
}
