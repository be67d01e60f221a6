package trace

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestGoldenTrace(t *testing.T) { golden(t, "sample.jsonl", written(t, sample(RealRun))) }

// An empty event of each kind still has all keys of its kind, in order, and no null.
func TestKeys(t *testing.T) {
	for kind, want := range map[Kind]string{
		Run:    "seq prev kind v time mode runbook sources vars binary host user ticket previous",
		Step:   "seq prev kind time step title text state why",
		Op:     "seq prev kind time step op target pos user args changes",
		Effect: "seq prev kind time step call inputs argv path user stdin sets detail",
		Probe:  "seq prev kind time argv code",
		Result: "seq prev kind time op target outcome assumed observed error hint elapsed_ms",
		End:    "seq prev kind time outcome same changed failed skipped seal",
		Log:    "seq prev kind time step text",
	} {
		line := bytes.TrimSuffix(written(t, []Event{{Kind: kind}}), []byte("\n"))
		if have := strings.Join(keysOf(t, line), " "); have != want {
			t.Errorf("%s: got %s\nwant %s", kind, have, want)
		}
		if bytes.Contains(line, []byte("null")) {
			t.Errorf("%s: has a null: %s", kind, line)
		}
	}
}

// keysOf returns the keys of an object in order.
func keysOf(t *testing.T, line []byte) (keys []string) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(line))
	dec.Token()
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key.(string))
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			t.Fatal(err)
		}
	}
	return keys
}

func TestReadingAndWritingAgainGivesTheSameBytes(t *testing.T) {
	file := written(t, sample(DryRun))
	if again := written(t, read(t, file)); !bytes.Equal(again, file) {
		t.Errorf("got\n%s\nwant\n%s", again, file)
	}
}

func TestExtraFieldsStandBehindOthersAndBeforeTheSeal(t *testing.T) {
	for _, c := range []struct {
		e    Event
		want string
	}{
		{Event{Kind: Probe, URL: "https://x/", Code: 200, Step: "s"}, "argv code step url"},
		{Event{Kind: Effect, Op: "x"}, "detail op"},
		{Event{Kind: Result, Step: "s"}, "elapsed_ms step"},
		{Event{Kind: End, Error: "e", Hint: "h"}, "skipped error hint seal"},
		{Event{Kind: "novel", Step: "s", Sets: map[string]string{"a": "b"}}, "time step sets"},
	} {
		line := bytes.TrimSuffix(written(t, []Event{c.e}), []byte("\n"))
		if have := strings.Join(keysOf(t, line), " "); !strings.HasSuffix(have, c.want) {
			t.Errorf("%s: got %s, want ... %s", c.e.Kind, have, c.want)
		}
	}
}

func TestTextIsSafeToLookAt(t *testing.T) {
	for in, want := range map[string]string{
		"a<b>&c":         `"a<b>&c"`,
		"\x1b[31m\n\x00": `"\u001b[31m\n\u0000"`,
		"\x7f\u0085":     `"\u007f\u0085"`,
		"a\u202eb\u2066": `"a\u202eb\u2066"`,
		"\u2028\ufeff":   `"\u2028\ufeff"`,
		"\U000e0041":     `"\udb40\udc41"`,
		"\xff":           `"\ufffd"`,
		"ä 漢 🙂":          `"ä 漢 🙂"`,
	} {
		if have := string(quoteJSON(in)); have != want {
			t.Errorf("%q: got %s, want %s", in, have, want)
		}
		var back string
		if err := json.Unmarshal(quoteJSON(in), &back); err != nil || back != strings.ToValidUTF8(in, "\ufffd") {
			t.Errorf("%q: got %q back, %v", in, back, err)
		}
	}
}

func TestReadersTakeUnknownKeysAndRefuseDoubleOnes(t *testing.T) {
	for line, want := range map[string]string{
		`{"seq":1,"prev":"","kind":"new","later":[{"a":1}]}`:                "",
		`{"seq":1,"prev":"","kind":"op","args":{"a":[1,{"b":2}],"A":2}}`:    "",
		`{"seq":1,"prev":"","kind":"op","seq":2}`:                           "twice",
		`{"seq":1,"prev":"","kind":"op","Seq":2}`:                           "twice",
		`{"seq":1,"prev":"","kind":"op","args":{"a":1,"a":2}}`:              "twice",
		`{"seq":1,"prev":"","kind":"op","args":[{"x":{"a":1,"\u0061":2}}]}`: "twice",
		`{"SEQ":1,"prev":"","kind":"op"}`:                                   `has no "seq"`,
		`{"seq":1,"prev":"","kind":"op"} `:                                  "after the object",
		`{"seq":1,"prev":"","kind":"op"}{}`:                                 "after the object",
		`[1]`:                                                               "want a JSON object",
		``:                                                                  "got nothing",
		`{"seq":"1","prev":"","kind":"op"}`:                                 "seq",
		`{"seq":1,"prev":"","kind":"op"`:                                    "EOF",
		strings.Repeat(`{"a":`, 20_000) + "1" + strings.Repeat(`}`, 20_000): "depth",
	} {
		_, _, err := decode([]byte(line))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v, want %q", line, err, want)
		}
	}
}

func TestReadAllLeavesOutATornLine(t *testing.T) {
	file := written(t, sample(RealRun))
	lines := bytes.SplitAfter(file, []byte("\n"))
	cut := slices.Concat(lines[0], lines[1], lines[2][:20])
	if events := read(t, cut); len(events) != 2 {
		t.Errorf("got %d events, want 2", len(events))
	}
	if _, err := ReadAll(bytes.NewReader(append(cut, '\n'))); err == nil || !strings.Contains(err.Error(), "line 3") {
		t.Errorf("got %v, want an error of line 3", err)
	}
}

func TestALineTooLongIsRefusedByBothSides(t *testing.T) {
	var b bytes.Buffer
	if err := (&jsonl{w: &b}).Emit(Event{Kind: Log, Text: strings.Repeat("x", maxLine)}); err == nil || b.Len() > 0 {
		t.Errorf("got %v and %d bytes, want a refusal and none", err, b.Len())
	}
	if _, err := ReadAll(strings.NewReader(strings.Repeat("x", maxLine+2))); err == nil {
		t.Error("read a line that is too long")
	}
}

// The quick way to read a line takes nothing that the other one refuses or reads otherwise.
func agree(t *testing.T, line []byte) {
	t.Helper()
	quick, ok := quickMembers(line)
	if !ok {
		return
	}
	slow, err := slowMembers(line)
	if err != nil {
		t.Fatalf("%q: read quickly, else %v", line, err)
	}
	slices.SortFunc(quick, func(a, b keyed) int { return bytes.Compare(a.key, b.key) })
	if !slices.EqualFunc(quick, slow, func(a, b keyed) bool { return bytes.Equal(a.key, b.key) && bytes.Equal(a.raw, b.raw) }) {
		t.Fatalf("%q: got %v, want %v", line, quick, slow)
	}
	for _, f := range quick {
		e := Event{Run: &RunInfo{}}
		for _, s := range e.slots() {
			have, want := reflect.New(reflect.TypeOf(s.at).Elem()), reflect.New(reflect.TypeOf(s.at).Elem())
			if !unmarshalQuickly(f.raw, have.Interface()) {
				continue
			}
			if err := unmarshal(string(f.key), f.raw, want.Interface()); err != nil || !reflect.DeepEqual(have.Interface(), want.Interface()) {
				t.Fatalf("%s as %T: got %v, want %v, %v", f.raw, s.at, have.Elem(), want.Elem(), err)
			}
		}
	}
}

func TestTheQuickWayToReadAgrees(t *testing.T) {
	read := 0
	for line := range bytes.Lines(slices.Concat(written(t, sample(RealRun)), written(t, poisoned("\x00\u202e\"\\{}[],:\xff")))) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		if _, ok := quickMembers(line); ok {
			read++
		}
		agree(t, line)
		for i := range line {
			for _, c := range []byte(`"\{}[]:, 0-.aA`) {
				bad := slices.Clone(line)
				bad[i] = c
				agree(t, bad)
			}
			agree(t, slices.Delete(slices.Clone(line), i, i+1))
		}
	}
	if read < 20 {
		t.Errorf("only %d lines are read quickly", read)
	}
	for _, c := range []string{`{}`, `{"a":[[],{}]}`, `{"a":-1}`, `{"a":1e2}`, `{"a":null}`, `{"time":"2026-01-02T03:04:05Z"}`, `{"a":["x","\u0041"]}`, `{"a":{"b":[1,true,null,"\ud800"]}}`, `{"a":-0}`, `{"a":01}`, `{"a":{"k\u0041":1,"kA":2}}`} {
		agree(t, []byte(c))
	}
}

func FuzzDecode(f *testing.F) {
	for l := range strings.SplitSeq(`{"seq":1,"prev":"","kind":"op"}|{"seq":1,"prev":"","kind":"run","user":{}}|{"a":[{}]}`, "|") {
		f.Add([]byte(l))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		agree(t, line)
		e, _, err := decode(line)
		if err != nil {
			return
		}
		if _, err := encode(e); err != nil && !strings.Contains(err.Error(), "year") {
			t.Errorf("%q: %v", line, err)
		}
	})
}
