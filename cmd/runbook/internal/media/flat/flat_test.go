package flat

import "testing"

func TestParse(t *testing.T) {
	tests := []struct{ text, want string }{
		{"a: 1\nb:\n- x\n- 'y: z'\n", "a: 1\nb:\n  - x\n  - 'y: z'\n"},
		{"---\n# note\nchannels:\n    - file:///x/\nempty: []\n\"q\": \"v\"\n", "channels:\n  - file:///x/\nempty: []\nq: v\n"},
		{"s: 'it''s'\nnone: ''\n", "s: 'it''s'\nnone: ''\n"},
		{"url: https://a:1/b\n", "url: https://a:1/b\n"},
	}
	for _, tt := range tests {
		m, err := Parse(tt.text)
		if err != nil || m.String() != tt.want {
			t.Errorf("%q: got %q, %v, want %q", tt.text, m.String(), err, tt.want)
		}
	}
	for _, text := range []string{"- x\n", "a:\n  b: 1\n", "words\n", "a: 1\n- x\n"} {
		if m, err := Parse(text); err == nil {
			t.Errorf("%q: got %v, want an error", text, m)
		}
	}
}

func TestPut(t *testing.T) {
	m := Map{}.Put(Entry{Key: "a", Scalar: "1"}).Put(Entry{Key: "b", Scalar: "2"}).Put(Entry{Key: "a", Scalar: "3"})
	if got, want := m.String(), "a: 3\nb: 2\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
