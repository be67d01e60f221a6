package runtime

import (
	"strings"
	"testing"
	"testing/fstest"

	"runbook/runtime/trace"
)

func TestLeaks(t *testing.T) {
	src := "pw = secret(\"pw\")\ndef bootstrap():\n    pass\nstep(bootstrap)\n"
	book, err := New().Load(Library{Shipped: fstest.MapFS{"a.star": {Data: []byte(src)}}}, "a.star", Inputs{})
	if err != nil {
		t.Fatal(err)
	}
	mark := book.placeholders.Of("pw")
	for _, c := range []struct {
		value, text string
		want        bool
	}{
		{"sesame-1234", "opens with sesame-1234 only", true},
		{"sesame-1234", "opens with <secret:pw>", false},
		{"sesame-1234", "opens with " + mark, true},
		{"sesame-1234", "cut " + mark[15:30], true},
		{"bootstrap", "step bootstrap begins", false}, // the name of a step
		{"example.org", "on example.org", false},      // known to everybody
		{"done", "done", false},                       // too short to be told from a word
	} {
		leaks := book.Leaks(map[string]string{"pw": c.value}, trace.RunInfo{Host: trace.Machine{Hostname: "example.org"}})
		if got := leaks(c.text); got != c.want {
			t.Errorf("secret %q in %q: got %t, want %t", c.value, c.text, got, c.want)
		}
	}
	if got := Readable("x" + mark + strings.ToUpper("y")); got != "x<secret:pw>Y" {
		t.Errorf("got %q, want the placeholder as people know it", got)
	}
}
