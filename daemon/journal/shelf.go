package journal

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"slices"

	"github.com/backbeat-ha/backbeat/daemon"
)

// maxLine bounds one line of the history; a real one is below 4 KiB, with the
// outcome of many hooks some more. Anything longer is damage.
const maxLine = 1 << 20

// shelf sorts out which records are worth keeping: the last version of each, of
// every router the newest keep, and maxKeep of all. It holds about twice that
// at most, however long the file is that is read into it.
type shelf struct {
	keep    int
	records map[uint64]daemon.Transition
}

func newShelf(keep int) *shelf { return &shelf{keep, make(map[uint64]daemon.Transition)} }

func (s *shelf) add(t daemon.Transition) {
	s.records[t.Seq] = t
	if len(s.records) >= 2*maxKeep {
		s.trim()
	}
}

// trim removes what is not worth keeping and returns the rest, oldest first.
func (s *shelf) trim() []daemon.Transition {
	all := make([]daemon.Transition, 0, len(s.records))
	for _, t := range s.records {
		all = append(all, t)
	}
	slices.SortFunc(all, func(a, b daemon.Transition) int {
		if a.Seq > b.Seq {
			return -1
		}
		return 1
	})
	of := make(map[string]int)
	kept := all[:0]
	for _, t := range all {
		if of[t.Router] < s.keep && len(kept) < maxKeep {
			of[t.Router]++
			kept = append(kept, t)
		}
	}
	clear(s.records)
	for _, t := range kept {
		s.records[t.Seq] = t
	}
	slices.Reverse(kept)
	return kept
}

// contents is what a history file was found to hold.
type contents struct {
	records []daemon.Transition
	lines   int
	damaged int
	// torn: the last line has no end.
	torn bool
}

// read takes in a history file. Lines that are not records are counted.
func read(from io.Reader, keep int) (contents, error) {
	var c contents
	s := newShelf(keep)
	r := bufio.NewReaderSize(from, 64<<10)
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(line) <= maxLine {
			line = append(line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err != nil && !errors.Is(err, io.EOF):
			return c, err
		}
		if len(line) > 0 {
			c.lines++
			c.torn = line[len(line)-1] != '\n'
			var t daemon.Transition
			if len(line) > maxLine || json.Unmarshal(line, &t) != nil || t.Seq == 0 && t.Router == "" {
				c.damaged++
			} else {
				s.add(t)
			}
		}
		line = line[:0]
		if err != nil {
			c.records = s.trim()
			return c, nil
		}
	}
}
