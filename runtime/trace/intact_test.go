package trace

import (
	"bytes"
	"slices"
	"testing"
)

// Whatever single byte is changed, added or taken away, and whatever line is gone or twice there, shows.
func TestIntact(t *testing.T) {
	text := written(t, sample(RealRun))
	if !Intact(text) {
		t.Fatal("a trace as it was written is not intact")
	}
	for i := range text {
		for name, changed := range map[string][]byte{
			"changed": append(append(slices.Clone(text[:i]), text[i]^1), text[i+1:]...),
			"removed": append(slices.Clone(text[:i]), text[i+1:]...),
			"doubled": append(append(slices.Clone(text[:i]), text[i]), text[i:]...),
			"cut":     slices.Clone(text[:i]),
		} {
			if Intact(changed) {
				t.Fatalf("byte %d of %d %s: intact", i, len(text), name)
			}
		}
	}
	lines := bytes.SplitAfter(text, []byte("\n"))
	for i := range lines[:len(lines)-1] {
		for name, some := range map[string][][]byte{"gone": append(slices.Clone(lines[:i]), lines[i+1:]...), "twice": append(append(slices.Clone(lines[:i]), lines[i]), lines[i:]...)} {
			if Intact(bytes.Join(some, nil)) {
				t.Errorf("line %d %s: intact", i+1, name)
			}
		}
	}
}
