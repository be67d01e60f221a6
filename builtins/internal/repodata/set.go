package repodata

import "hash/maphash"

// A set holds the hashes of names, 64 bits each, made with a random seed. A name that was added is always
// found. A name that was not added is found with a chance of one in 10^7 among a million names.
//
// Names that are known to be new are appended to a list; the table is built at the first question, since a
// table that does not fit into the cache is slow to fill.
type set struct {
	seed  maphash.Seed
	noted [][]uint64
	slots []uint64 // the table: a power of two, 0 where empty
	n     int
}

const noteSize = 8 << 10

// note adds a name that the set does not hold.
func (s *set) note(name string) {
	if s.slots != nil {
		s.add(name)
		return
	}
	if s.n%noteSize == 0 {
		s.noted = append(s.noted, make([]uint64, 0, noteSize))
	}
	last := len(s.noted) - 1
	s.noted[last] = append(s.noted[last], s.hash(name))
	s.n++
}

// add reports whether name was new.
func (s *set) add(name string) bool {
	if s.n*4 >= len(s.slots)*3 {
		s.grow()
	}
	h := s.hash(name)
	slot := s.find(h)
	if *slot != 0 {
		return false
	}
	*slot = h
	s.n++
	return true
}

func (s *set) has(name string) bool {
	if s.slots == nil {
		s.grow()
	}
	return *s.find(s.hash(name)) != 0
}

func (s *set) hash(name string) uint64 {
	if s.seed == (maphash.Seed{}) {
		s.seed = maphash.MakeSeed()
	}
	return max(1, maphash.String(s.seed, name))
}

// find returns the slot that holds h, or the empty one for it.
func (s *set) find(h uint64) *uint64 {
	last := uint64(len(s.slots) - 1)
	for i := h & last; ; i = (i + 1) & last {
		if slot := &s.slots[i]; *slot == 0 || *slot == h {
			return slot
		}
	}
}

// grow makes a table for all that is held and some more.
func (s *set) grow() {
	size := 64
	for size < 2*s.n {
		size *= 2
	}
	all := append(s.noted, s.slots)
	s.noted, s.slots = nil, make([]uint64, size)
	for _, hashes := range all {
		for _, h := range hashes {
			if h != 0 {
				*s.find(h) = h
			}
		}
	}
}
