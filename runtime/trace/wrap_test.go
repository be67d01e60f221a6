package trace

import (
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	red := newPalette(true).bad.Sprint
	for _, c := range []struct {
		in          string
		width, hang int
		want        string
	}{
		{"", 10, 2, ""},
		{"one two", 0, 2, "one two"},
		{"one two three", 13, 2, "one two three"},
		{"one two three", 12, 2, "one two|  three"},
		{"  a  b one two", 11, 5, "  a  b one|     two"},
		{"x /a/path/that/is/long y", 12, 2, "x /a/path/that/is/long|  y"},
		{"/a/path/that/is/long", 12, 2, "/a/path/that/is/long"},
		{"a bb cc", 4, 20, "a bb|  cc"}, // a hang that leaves no room is cut
		{"漢字 漢字 x", 7, 1, "漢字| 漢字 x"},
		{"a " + red("bb cc") + " dd", 7, 0, "a " + red("bb cc") + "|dd"},
		{"one two   ", 5, 0, "one|two"},
	} {
		if have := strings.Join(Wrap(c.in, c.width, c.hang), "|"); have != c.want {
			t.Errorf("%q, %d, %d: got %q, want %q", c.in, c.width, c.hang, have, c.want)
		}
	}
}

// Whatever the width is, no word is lost or torn, and only a line of one word that fits nowhere is wider.
func FuzzWrap(f *testing.F) {
	f.Add("  hint: the quick brown fox jumps over the /lazy/dog", 20, 8)
	f.Fuzz(func(t *testing.T, text string, width, hang int) {
		text = Quote(text)
		width, hang = 1+abs(width)%120, abs(hang)%40
		lines := Wrap(text, width, hang)
		if have, want := strings.Fields(strings.Join(lines, " ")), strings.Fields(text); strings.Join(have, " ") != strings.Join(want, " ") {
			t.Errorf("got %q, want the words of %q", lines, text)
		}
		for _, l := range lines {
			if words := strings.Fields(l); widthOf(l) > width && len(words) > 0 {
				longest := 0
				for _, w := range words {
					longest = max(longest, widthOf(w))
				}
				indent := len(text) - len(strings.TrimLeft(text, " "))
				if longest <= width-min(hang, width/2)-indent {
					t.Errorf("width %d, hang %d: %q is wider, and has no word that fits nowhere", width, hang, l)
				}
			}
		}
	})
}

func abs(n int) int {
	if n < 0 {
		return -(n + 1)
	}
	return n
}
