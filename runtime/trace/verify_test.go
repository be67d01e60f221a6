package trace

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"runbook/runtime/host"
)

func verify(t *testing.T, file []byte) Report {
	t.Helper()
	r, err := Verify(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAWholeTraceIsProved(t *testing.T) {
	r := verify(t, written(t, sample(RealRun)))
	if !r.OK() || r.Events != 22 || r.Seq != 22 || r.Outcome != Failed || len(r.Proved) != 3 || r.Run.Ticket != "CHG-7" {
		t.Errorf("got %+v", r)
	}
	if want := (Counts{Same: 1, Changed: 3, Failed: 1, Skipped: 1}); r.Counts != want {
		t.Errorf("got %v, want %v", r.Counts, want)
	}
	if !strings.Contains(strings.Join(r.NotProved, "\n"), "signature") {
		t.Errorf("does not say that nothing is signed: %q", r.NotProved)
	}
}

func TestAFlippedBitInAnyByteIsFound(t *testing.T) {
	events := sample(RealRun)
	file := written(t, append(events[:10:10], events[len(events)-1]))
	for i := range file {
		bad := bytes.Clone(file)
		bad[i] ^= 1 << (i % 8)
		if verify(t, bad).OK() {
			t.Fatalf("byte %d: not found", i)
		}
	}
}

func TestATruncatedTraceIsIncomplete(t *testing.T) {
	file := written(t, sample(RealRun))
	for n := 0; n < len(file); n += 1 + n%5 {
		if r := verify(t, file[:n]); r.OK() || r.Complete || len(r.Broken) > 0 {
			t.Fatalf("%d bytes: got %+v", n, r)
		}
	}
}

func TestEveryLineThatIsMovedIsFound(t *testing.T) {
	lines := bytes.SplitAfter(written(t, sample(RealRun)), []byte("\n"))
	lines = lines[:len(lines)-1] // what follows the last newline
	for i := range lines {
		rest := slices.Concat(lines[:i:i], lines[i+1:])
		cases := map[string][][]byte{
			"dropped": rest,
			"doubled": slices.Insert(slices.Clone(lines), i, lines[i]),
			"empty":   slices.Insert(slices.Clone(lines), i, []byte("\n")),
			"headed":  lines[i+1:],
		}
		for j := range rest {
			if j != i {
				cases[fmt.Sprintf("moved to %d", j)] = slices.Insert(slices.Clone(rest), j, lines[i])
			}
		}
		for name, bad := range cases {
			if verify(t, bytes.Join(bad, nil)).OK() {
				t.Errorf("line %d %s: not found", i+1, name)
			}
		}
	}
}

// again writes lines with right numbers, hashes and seal: what is wrong is only
// what they say.
func again(t *testing.T, change func([]Event) []Event) []byte {
	t.Helper()
	return written(t, change(sample(RealRun)))
}

type tampered struct {
	file []byte
	want string
}

func (c tampered) check(t *testing.T, name string) {
	t.Helper()
	r := verify(t, c.file)
	if r.OK() || !strings.Contains(fmt.Sprint(r.Broken), c.want) {
		t.Errorf("%s: got %v, want %q", name, r.Broken, c.want)
	}
	if !strings.Contains(r.String(), "broken") || strings.ContainsAny(r.String(), "\x00\x1b\r") {
		t.Errorf("%s: the report is %q", name, r)
	}
}

func TestTamperingWithBytes(t *testing.T) {
	file := written(t, sample(RealRun))
	last := bytes.LastIndexByte(file[:len(file)-1], '\n') + 1
	other := written(t, sample(DryRun))
	nextLine := func(b []byte) int { return bytes.IndexByte(b, '\n') + 1 }
	replaced := func(from, to string) []byte { return bytes.ReplaceAll(file, []byte(from), []byte(to)) }
	resealed := func(from, to string) []byte {
		line := strings.Replace(string(file[last:]), from, to, 1)
		line = line[:strings.LastIndex(line, `,"seal"`)]
		return append(file[:last:last], fmt.Sprintf("%s,\"seal\":%q}\n", line, hash([]byte(line)))...)
	}
	for name, c := range map[string]tampered{
		"text after the end":       {append(bytes.Clone(file), "x\n"...), "stands after the end"},
		"bytes after the end":      {append(bytes.Clone(file), "x"...), "after the end"},
		"another trace after it":   {append(bytes.Clone(file), file...), "after the end"},
		"newline after the end":    {append(bytes.Clone(file), '\n'), "stands after the end"},
		"CRLF":                     {replaced("\n", "\r\n"), "carriage return"},
		"byte order mark":          {append([]byte("\xef\xbb\xbf"), file...), "byte order mark"},
		"NUL":                      {append(bytes.Clone(file[:last]), append([]byte{0}, file[last:]...)...), "NUL"},
		"not UTF-8":                {bytes.Replace(file, []byte("CHG-7"), []byte("CHG\xff7"), 1), "not UTF-8"},
		"lines of another run":     {append(bytes.Clone(file[:nextLine(file)]), other[nextLine(other):]...), "prev is not"},
		"counts changed":           {resealed(`"changed":3`, `"changed":4`), "counts 1 same, 4 changed"},
		"seal of another line":     {append(bytes.Clone(file[:last]), bytes.Replace(file[last:], []byte(`"same":1`), []byte(`"same":2`), 1)...), "seal"},
		"two seals":                {resealed(`,"same"`, `,"seal":"","same"`), "twice"},
		"version of the future":    {bytes.Replace(file, []byte(`"v":1`), []byte(`"v":2`), 1), "format version 2"},
		"one more digit in a seq":  {replaced(`{"seq":2,`, `{"seq":20,`), "got seq 20, want 2"},
		"upper-case seal":          {append(bytes.Clone(file[:len(file)-67]), bytes.ToUpper(file[len(file)-67:])...), "seal"},
		"a space between members":  {replaced(`,"target":`, `, "target":`), "white space"},
		"a hidden character":       {replaced("anaconda", "ana\u202econda"), "hidden, and not escaped"},
		"a space that JSON allows": {append(bytes.Clone(file[:last]), bytes.Replace(file[last:], []byte(`:"failed"`), []byte(`: "failed"`), 1)...), "seal"},
	} {
		c.check(t, name)
	}
}

func TestLinesThatCannotStandTogether(t *testing.T) {
	set := func(i int, change func(e *Event)) func([]Event) []Event {
		return func(events []Event) []Event { return with(events, i, change) }
	}
	insert := func(at int, from ...int) func([]Event) []Event {
		return func(events []Event) []Event {
			for i, n := range from {
				events = slices.Insert(events, at+i, sample(RealRun)[n])
			}
			return events
		}
	}
	drop := func(i, n int) func([]Event) []Event {
		return func(events []Event) []Event { return slices.Delete(events, i, n) }
	}
	for name, c := range map[string]struct {
		change func([]Event) []Event
		want   string
	}{
		"two run events":             {insert(1, 0), "one run event"},
		"no run event":               {drop(0, 1), "one run event"},
		"two end events":             {insert(22, 21), "another end"},
		"end in the middle":          {insert(3, 21), "after the end"},
		"op without result":          {drop(6, 7), "before the result of event 4"},
		"op in an op":                {insert(5, 7), "before the result of event 4"},
		"result without op":          {drop(3, 4), "without an op"},
		"result of another op":       {set(6, func(e *Event) { e.Target = "root" }), `result of useradd "root"`},
		"result without outcome":     {set(6, func(e *Event) { e.Outcome = "fine" }), `outcome "fine"`},
		"effect before its op":       {insert(3, 8), "outside of an op: write /etc/motd"},
		"effect after the result":    {insert(7, 8), "outside of an op: write /etc/motd"},
		"effect of another step":     {set(5, func(e *Event) { e.Step = "data" }), `effect of step "data", want step "system"`},
		"effect that no host has":    {set(8, func(e *Event) { e.Call = "wipe" }), `got call "wipe"`},
		"effects of what is same":    {insert(14, 8), "is same, but the op has 0 changes and 1 effects"},
		"changes of what is same":    {set(13, func(e *Event) { e.Changes = []host.Change{{What: "mode", To: "0777"}} }), "1 changes and 0 effects"},
		"effects of what is skipped": {set(9, func(e *Event) { e.Outcome = Skipped }), "is skipped, but"},
		"done though an op failed":   {set(21, func(e *Event) { e.Outcome, e.Error = Done, "" }), `is done, although run "conda install x" failed`},
		"done in a step":             {set(21, func(e *Event) { e.Outcome = Done }), `before the end of step "data"`},
		"done with an error":         {set(21, func(e *Event) { e.Outcome = Done }), "is done, with an error"},
		"outcome of no run":          {set(21, func(e *Event) { e.Outcome = "perfect" }), `outcome "perfect"`},
		"no outcome":                 {set(21, func(e *Event) { e.Outcome = "" }), `outcome ""`},
		"kind of no event":           {set(4, func(e *Event) { e.Kind = "zzz" }), `got kind "zzz"`},
		"kind in other case":         {set(5, func(e *Event) { e.Kind = "Effect" }), `got kind "Effect"`},
		"mode of no run":             {set(0, func(e *Event) { e.Run.Mode = "reaI" }), `got mode "reaI"`},
		"no sources":                 {set(0, func(e *Event) { e.Run.Sources = nil }), "names no sources"},
		"state of no step":           {set(1, func(e *Event) { e.State = "maybe" }), `got state "maybe"`},
		"step that has not begun":    {drop(1, 2), `op of step "system", which is not under way`},
		"end of another step":        {set(10, func(e *Event) { e.Step = "mail" }), `ends step "mail", which is not under way`},
		"step in a step":             {drop(10, 11), `before the end of step "system"`},
		"step once more":             {insert(11, 1, 10), `is step "system" once more`},
		"op in no step":              {insert(11, 13, 14), `op of step "data", which is not under way`},
		"op after one that failed":   {insert(21, 13, 14), `after run "conda install x", which failed`},
		"end of a step that failed":  {insert(21, 10), `in which run "conda install x" failed`},
		"step after one that failed": {insert(21, 11), `after run "conda install x", which failed`},
		"changes of nothing":         {set(14, func(e *Event) { e.Outcome = Changed }), "has no changes and no effects"},
		"less than no time":          {set(6, func(e *Event) { e.Elapsed = -time.Second }), "took -1s"},
	} {
		tampered{again(t, c.change), c.want}.check(t, name)
	}
}

func TestEveryLineHasTheKeysOfItsKind(t *testing.T) {
	lines := bytes.SplitAfter(written(t, sample(RealRun)), []byte("\n"))
	for i, e := range sample(RealRun) {
		for _, key := range slices.DeleteFunc(requiredKeys(e.Kind), func(key string) bool { return key == "inputs" }) {
			var file []byte
			for j, line := range lines[:len(lines)-1] {
				if j == i {
					line = bytes.Replace(line, []byte(`"`+key+`":`), []byte(`"_`+key+`":`), 1)
				}
				file = append(file, line...)
			}
			tampered{file, fmt.Sprintf("line %d: lacks %q", i+1, key)}.check(t, string(e.Kind)+" "+key)
		}
	}
}

// Requirements that are not met gather before they stop a run.
func TestRequirementsThatFailTogetherAreWhole(t *testing.T) {
	require := func(target string, outcome Outcome) []Event {
		return []Event{{Kind: Op, Step: "s", Op: "require", Target: target},
			{Kind: Result, Step: "s", Op: "require", Target: target, Outcome: outcome}}
	}
	run := func(events ...[]Event) []byte {
		all := append([]Event{sample(RealRun)[0], {Kind: Step, Step: "s", State: Begin}}, slices.Concat(events...)...)
		return written(t, append(all, Event{Kind: End, Outcome: Failed}))
	}
	r := verify(t, run(require("a", Failed), []Event{{Kind: Log, Step: "s"}}, require("b", Same), require("c", Failed)))
	if !r.OK() {
		t.Errorf("got %s", r)
	}
	mkdir := []Event{{Kind: Op, Step: "s", Op: "mkdir"}, {Kind: Result, Step: "s", Op: "mkdir", Outcome: Same}}
	tampered{run(require("a", Failed), mkdir), `after require "a", which failed`}.check(t, "an op after them")
}

// What a trace alone cannot show must be said.
func TestATraceWrittenAnewIsNotClaimedToBeProved(t *testing.T) {
	r := verify(t, again(t, func(e []Event) []Event { return slices.Delete(e, 7, 10) }))
	if !r.OK() || !strings.Contains(strings.Join(r.NotProved, "\n"), "can write all of it anew") {
		t.Errorf("got %+v", r)
	}
}

func TestATornTraceTellsWhatWasBegun(t *testing.T) {
	lines := bytes.SplitAfter(written(t, sample(RealRun)), []byte("\n"))
	r := verify(t, append(bytes.Join(lines[:6], nil), lines[6][:30]...))
	if r.OK() || r.Complete || r.Seq != 6 || len(r.Begun) != 1 || r.Begun[0].Seq != 6 {
		t.Errorf("got %+v", r)
	}
	if s := r.String(); !strings.Contains(s, "incomplete: the trace stops after event 6") || !strings.Contains(s, "event 6 has no result: exec useradd -m anaconda") {
		t.Errorf("got %s", s)
	}
}

func TestALineWithoutEndIsRefusedInTime(t *testing.T) {
	r, err := Verify(io.LimitReader(zeros{}, 1<<30))
	if err != nil || r.OK() || !strings.Contains(fmt.Sprint(r.Broken), "longer than") {
		t.Errorf("got %v, %v", r, err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestManyProblemsAreToldOnce(t *testing.T) {
	if r := verify(t, bytes.Repeat([]byte("x\n"), 1_000_00)); len(r.Broken) != mostProblems || r.OK() {
		t.Errorf("got %d problems", len(r.Broken))
	}
}
