package lsp

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/a-h/templ/lsp/protocol"
)

// TestPositions goes from bytes to columns and back, by UTF-16 and by bytes.
func TestPositions(t *testing.T) {
	src := "a = \"é\U0001F600x\"\r\nb\rc\n\xffd"
	for _, c := range []struct {
		offset                int
		line, units, bytes    uint32
		lineOfInterp, columns int
	}{
		{0, 0, 0, 0, 1, 1},
		{5, 0, 5, 5, 1, 6},
		{7, 0, 6, 7, 1, 7},
		{11, 0, 8, 11, 1, 8},
		{13, 0, 10, 13, 1, 10},
		{15, 1, 0, 0, 2, 1},
		{17, 2, 0, 0, 3, 1},
		{19, 3, 0, 0, 4, 1},
		{20, 3, 1, 1, 4, 2},
		{21, 3, 2, 2, 4, 3},
	} {
		for _, bytes := range []bool{false, true} {
			d := newDocument(src, 1, bytes)
			want := protocol.Position{Line: c.line, Character: c.units}
			if bytes {
				want.Character = c.bytes
			}
			if have := d.position(c.offset); have != want {
				t.Errorf("byte %d (bytes %v): got %v, want %v", c.offset, bytes, have, want)
			}
			if have := d.offset(want); have != c.offset {
				t.Errorf("%v (bytes %v): got byte %d, want %d", want, bytes, have, c.offset)
			}
			if have := d.at(c.lineOfInterp, c.columns); have != c.offset {
				t.Errorf("%d:%d: got byte %d, want %d", c.lineOfInterp, c.columns, have, c.offset)
			}
		}
	}
	d := newDocument(src, 1, false)
	for p, want := range map[protocol.Position]int{
		{Line: 0, Character: 7}: 7, {Line: 0, Character: 99}: 13, {Line: 99, Character: 4}: len(src), {Line: 1 << 31, Character: 1 << 31}: len(src),
	} {
		if have := d.offset(p); have != want {
			t.Errorf("%v: got byte %d, want %d", p, have, want)
		}
	}
}

// TestEdits makes the changes of an editor one after the other: each is about the text that the one before left.
func TestEdits(t *testing.T) {
	at := func(l1, c1, l2, c2 uint32) *protocol.Range {
		return &protocol.Range{Start: protocol.Position{Line: l1, Character: c1}, End: protocol.Position{Line: l2, Character: c2}}
	}
	d := newDocument("one\ntwo\n", 1, false).edited([]protocol.TextDocumentContentChangeEvent{
		{Range: at(0, 0, 0, 3), Text: "1\U0001F600"}, {Range: at(0, 3, 1, 0), Text: ""}, {Range: at(9, 9, 9, 9), Text: "end"}, {Range: at(0, 6, 0, 3), Text: "-"},
	}, 2)
	if want := "1\U0001F600-\nend"; d.text != want || d.version != 2 {
		t.Errorf("got %q, want %q", d.text, want)
	}
	if d = d.edited([]protocol.TextDocumentContentChangeEvent{{Text: "all"}}, 3); d.text != "all" {
		t.Errorf("got %q", d.text)
	}
}

// TestCursor looks at what somebody is typing: | is where.
func TestCursor(t *testing.T) {
	for src, want := range map[string]cursor{
		"x|":                  {word: "x"},
		"conda.ins|":          {word: "ins", space: "conda"},
		"a.b.c|":              {word: "c"},
		"# f(|":               {comment: true, call: nil},
		"f(|":                 {call: &call{callee: "f", whole: true, start: true}},
		"f(a, |":              {call: &call{callee: "f", index: 1, whole: true, start: true}},
		"f(a, b = |":          {call: &call{callee: "f", index: 1, arg: "b", used: []string{"b"}, whole: true}},
		"f(a, b = x|, c = 1)": {word: "x", call: &call{callee: "f", index: 1, arg: "b", used: []string{"b", "c"}, whole: true}},
		"f(a + |":             {call: &call{callee: "f"}},
		"f(g(1), |":           {call: &call{callee: "f", index: 1, whole: true, start: true}},
		"f(g(|":               {call: &call{callee: "g", whole: true, start: true}},
		"f((|":                {call: &call{callee: "f"}},
		"f(x = [a, '|":        {quoted: true, call: &call{callee: "f", arg: "x", used: []string{"x"}, whole: true}},
		"f(x = y['|":          {quoted: true, call: &call{callee: "f", arg: "x", used: []string{"x"}}},
		"f({'a': |":           {call: &call{callee: "f"}},
		"a.b(|":               {call: &call{callee: "a.b", whole: true, start: true}},
		"def f(|":             {},
		"f('a|b')":            {word: "a", quoted: true, call: &call{callee: "f", whole: true, start: true}},
		"f('''a\nb|":          {word: "a\nb", quoted: true, call: &call{callee: "f", whole: true, start: true}},
		"f('a'|)":             {call: &call{callee: "f"}},
		"f(r'|":               {quoted: true, call: &call{callee: "f", whole: true, start: true}},
		"x = f(\n    a,\n|":   {call: &call{callee: "f", index: 1, whole: true, start: true}},
		"f(a,\ndef g():\n  |": {},
		"f(a,\nb(|":           {call: &call{callee: "b", whole: true, start: true}},
		"if f(|":              {call: &call{callee: "f", whole: true, start: true}},
		"not (|":              {},
	} {
		before, after, _ := strings.Cut(src, "|")
		d := newDocument(before+after, 1, false)
		have := d.cursor(len(before))
		if have.from+len(have.word) != len(before) {
			t.Errorf("%s: the word begins at %d", src, have.from)
		}
		have.from = 0
		if have.call != nil {
			have.call.open = 0
		}
		if have.comment {
			have.call = nil
		}
		if !reflect.DeepEqual(have, want) {
			t.Errorf("%s: got %+v %+v, want %+v %+v", src, have, have.call, want, want.call)
		}
	}
}

// TestOutline makes out what a text declares, also where it does not parse.
func TestOutline(t *testing.T) {
	const src = `"""A book."""
load("lib/a.star", "one", two = "zwei")
x, (y, z) = 1, (2, 3)
port = var("port", 80, help = "of \"it\"", type = "int")
key = secret(name = "k")
out[0] = 1
def outer(a, b = [1, 2], *, c, **d):
    r"""Does \n it."""
    e = run("x")
    def inner(f): return f
    for g, h in []:
        pass

step(outer, title = "Out")
step(lambda: outer(1), name = "in")
manual("read", "this"
def last(
`
	var have []string
	for _, s := range outlineOf(src, scan(src)).symbols {
		have = append(have, strings.Trim(strings.Join([]string{s.is, s.name, s.id, s.detail, s.doc, strings.Join(s.params, ", ")}, "|"), "|"))
	}
	want := []string{
		"loaded|one|one", "loaded|two|zwei", "variable|x", "variable|y", "variable|z",
		`variable|port|port|= 80, type = "int"|of "it"`, "variable|key|k",
		`function|outer|||Does \n it.|a, b = [1, 2], *, c, **d`, "variable|a", "variable|b", "variable|c", "variable|d", "variable|e",
		"function|inner||||f", "variable|f", "variable|g", "variable|h", "step|outer|outer|Out", "step|in|in", "step|read|read", "function|last",
	}
	if !reflect.DeepEqual(have, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(have, "\n"), strings.Join(want, "\n"))
	}
}

// TestTyping types the shipped runbooks: nothing that is half there is too much for what looks at it.
func TestTyping(t *testing.T) {
	files, err := filepath.Glob("../../../../runbooks/lib/*.star")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %v, %v", files, err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for end := 0; end <= len(src); end += 7 {
			d := newDocument(string(src[:end]), 1, false)
			d.cursor(end)
			d.nameAt(end)
			for _, s := range d.outline.symbols {
				if s.from > s.at || s.at > s.end || s.end > s.to || s.to > end {
					t.Fatalf("%s: first %d bytes: %s from %d to %d, its name from %d to %d", file, end, s.name, s.from, s.to, s.at, s.end)
				}
			}
			d.outline.visible(end)
		}
	}
}
