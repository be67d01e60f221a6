package choose

import (
	"hash/maphash"
	"strings"
)

// A table finds small numbers by a hash: it is half a map, for those who have the keys anyway.
type table struct {
	slots []uint32 // a number and one, or 0
	n     int
}

// find returns the number with this hash for which same is true.
func (t *table) find(hash uint64, same func(id uint32) bool) (uint32, bool) {
	if len(t.slots) == 0 {
		return 0, false
	}
	mask := uint64(len(t.slots) - 1)
	for i := hash & mask; t.slots[i] != 0; i = (i + 1) & mask {
		if id := t.slots[i] - 1; same(id) {
			return id, true
		}
	}
	return 0, false
}

// add puts id in. The table grows with the help of hashOf, which must tell the hash of all that it holds.
func (t *table) add(hash uint64, id uint32, hashOf func(id uint32) uint64) {
	if t.n*4 >= len(t.slots)*3 {
		old := t.slots
		t.slots = make([]uint32, max(16, len(old)*2))
		for _, s := range old {
			if s != 0 {
				t.put(hashOf(s-1), s)
			}
		}
	}
	t.put(hash, id+1)
	t.n++
}

func (t *table) put(hash uint64, slot uint32) {
	mask := uint64(len(t.slots) - 1)
	i := hash & mask
	for t.slots[i] != 0 {
		i = (i + 1) & mask
	}
	t.slots[i] = slot
}

// texts numbers strings from 0 on and keeps one copy of each, all in one string, which takes less memory than a slice.
type texts struct {
	seed  maphash.Seed
	all   strings.Builder
	ends  []uint32
	table table
}

func newTexts() *texts { return &texts{seed: maphash.MakeSeed()} }

// id returns the number of s, a new one if s is new.
func (t *texts) id(s string) uint32 {
	id, hash, ok := t.find(s)
	if ok {
		return id
	}
	id = uint32(len(t.ends))
	t.all.WriteString(s)
	t.ends = append(t.ends, uint32(t.all.Len()))
	t.table.add(hash, id, func(id uint32) uint64 { return maphash.String(t.seed, t.text(id)) })
	return id
}

func (t *texts) find(s string) (id uint32, hash uint64, ok bool) {
	hash = maphash.String(t.seed, s)
	id, ok = t.table.find(hash, func(id uint32) bool { return t.text(id) == s })
	return id, hash, ok
}

// text returns a view that stays good.
func (t *texts) text(id uint32) string {
	from := uint32(0)
	if id > 0 {
		from = t.ends[id-1]
	}
	return t.all.String()[from:t.ends[id]]
}

func (t *texts) len() int { return len(t.ends) }

// A set holds small numbers.
type set []uint64

func newSet(n int) set { return make(set, (n+63)/64) }

func (s set) has(i uint32) bool { return s[i/64]>>(i%64)&1 != 0 }

func (s set) add(i uint32) { s[i/64] |= 1 << (i % 64) }
