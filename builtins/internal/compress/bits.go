package compress

// A bitString is a string of bits, not always whole bytes, the highest bit first.
type bitString struct {
	text []byte
	n    uint // bits in use of the last byte, 0 for all
}

// addBits appends the first n bits of p.
func (s *bitString) addBits(p []byte, n int) {
	if s.n == 0 {
		s.text = append(s.text, p[:n/8]...)
	} else {
		last := len(s.text) - 1
		for _, c := range p[:n/8] {
			s.text[last] |= c >> s.n
			s.text = append(s.text, c<<(8-s.n))
			last++
		}
	}
	if n%8 > 0 {
		s.addUint(uint64(p[n/8]>>(8-n%8)), n%8)
	}
}

// addUint appends the last n bits of v.
func (s *bitString) addUint(v uint64, n int) {
	for n--; n >= 0; n-- {
		if s.n == 0 {
			s.text = append(s.text, 0)
		}
		s.text[len(s.text)-1] |= byte(v>>n&1) << (7 - s.n)
		s.n = (s.n + 1) % 8
	}
}

// whole returns the bytes that are complete.
func (s *bitString) whole() []byte {
	if s.n == 0 {
		return s.text
	}
	return s.text[:len(s.text)-1]
}

// drop removes the bytes that whole returns.
func (s *bitString) drop() {
	s.text = append(s.text[:0], s.text[len(s.whole()):]...)
}

// bitsAt returns the n bits of p behind the first off.
func bitsAt(p []byte, off, n int) (v uint64) {
	for i := off; i < off+n; i++ {
		v = v<<1 | uint64(p[i/8]>>(7-i%8)&1)
	}
	return v
}
