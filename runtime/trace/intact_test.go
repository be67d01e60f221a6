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

// Whatever is put in the place of whatever part of a trace, it is not whole any more.
func FuzzTamper(f *testing.F) {
	var text []byte
	for _, mode := range []string{RealRun, DryRun} {
		w := bytes.Buffer{}
		j := &jsonl{w: &w}
		for _, e := range sample(mode) {
			if err := j.Emit(e); err != nil {
				f.Fatal(err)
			}
		}
		text = w.Bytes()
	}
	f.Add(0, 1, []byte("["))
	f.Add(len(text)-1, 1, []byte{})
	f.Add(300, 0, text[300:900])
	f.Add(len(text), 0, text)
	f.Fuzz(func(t *testing.T, at, cut int, put []byte) {
		at = min(max(at, 0), len(text))
		cut = min(max(cut, 0), len(text)-at)
		changed := slices.Concat(text[:at], put, text[at+cut:])
		if r, err := Verify(bytes.NewReader(changed)); err != nil || r.OK() != bytes.Equal(changed, text) {
			t.Fatalf("%d bytes put in the place of %d at %d: %v, whole: %t", len(put), cut, at, err, r.OK())
		}
	})
}
