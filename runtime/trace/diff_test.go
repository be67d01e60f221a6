package trace

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"runbook/runtime/host"
)

// runWith returns a run of one step with the given events.
func runWith(mode string, events ...Event) []Event {
	all := []Event{{Kind: Run, Run: &RunInfo{Mode: mode}}, {Kind: Step, Step: "s", State: Begin}}
	for _, e := range events {
		e.Step = "s"
		all = append(all, e)
	}
	return append(all, Event{Kind: Step, Step: "s", State: Ended}, Event{Kind: End, Outcome: Done})
}

func opOf(target, from, to string) Event {
	e := Event{Kind: Op, Op: "write", Target: target, Pos: "a.star:1:1"}
	if to != "" {
		e.Changes = []host.Change{{What: "content", From: from, To: to}}
	}
	return e
}

func writes(path string) Event {
	return Event{Kind: Effect, Call: "write", Path: path, Detail: map[string]any{"mode": "0644"}}
}

func resultOf(target string, o Outcome, assumed ...string) Event {
	return Event{Kind: Result, Op: "write", Target: target, Outcome: o, Assumed: assumed}
}

// A pair is two traces of one op and how they compare.
type pair struct {
	a, b []Event
	want string // beginning of Difference.String
}

func (c pair) check(t *testing.T, name string) {
	t.Helper()
	have := Diff(runWith(DryRun, c.a...), runWith(RealRun, c.b...)).String()
	if !strings.HasPrefix(have, c.want) || c.want == "equal" && have != "equal" {
		t.Errorf("%s: got %s, want %s", name, have, c.want)
	}
	// The other way round the sides are exchanged, and only they.
	back := Diff(runWith(RealRun, c.b...), runWith(DryRun, c.a...)).String()
	first, _, _ := strings.Cut(strings.ReplaceAll(have, "/x", "/a"), "\n")
	if !strings.HasPrefix(strings.ReplaceAll(back, "/x", "/a"), first) {
		t.Errorf("%s, exchanged: got %s, want %s", name, back, first)
	}
}

func plain() []Event { return []Event{opOf("/a", "1", "2"), writes("/a"), resultOf("/a", Changed)} }

// with returns events with one of them changed.
func with(events []Event, i int, change func(*Event)) []Event {
	change(&events[i])
	return events
}

func TestDiff(t *testing.T) {
	command := func(op, stdin string, touches ...string) []Event {
		return []Event{{Kind: Op, Step: "s", Op: op}, {Kind: Effect, Step: "s", Call: "exec", Stdin: stdin,
			Detail: map[string]any{"touches": touches, "line": "x"}}, {Kind: Result, Step: "s", Op: op, Outcome: Changed}}
	}
	for name, c := range map[string]pair{
		"equal":                    {plain(), plain(), "equal"},
		"numbers and times":        {plain(), with(plain(), 1, func(e *Event) { e.Seq, e.Prev, e.Time = 9, "x", time.Unix(1, 0) }), "equal"},
		"elapsed and observed":     {plain(), with(plain(), 2, func(e *Event) { e.Elapsed, e.Observed = 9e9, map[string]any{"a": 1} }), "equal"},
		"probes and logs":          {plain(), append([]Event{{Kind: Log, Text: "x"}, {Kind: Probe, Code: 1}}, plain()...), "equal"},
		"mode":                     {plain(), with(plain(), 1, func(e *Event) { e.Detail = map[string]any{"mode": "0600"} }), `different in step s, write /a: detail.mode of the effect`},
		"number or text":           {with(plain(), 1, func(e *Event) { e.Detail = map[string]any{"n": 1} }), with(plain(), 1, func(e *Event) { e.Detail = map[string]any{"n": "1"} }), `different in step s, write /a: detail.n`},
		"argv":                     {with(plain(), 1, func(e *Event) { e.Argv = []string{"a", "b"} }), with(plain(), 1, func(e *Event) { e.Argv = []string{"a", "c"} }), "different in step s, write /a: argv[1] of the effect"},
		"changed text":             {plain(), with(plain(), 0, func(e *Event) { e.Changes = []host.Change{{What: "content", From: "1", To: "3"}} }), "different in step s, write /a: changes[0].to of the op"},
		"changed from":             {plain(), with(plain(), 0, func(e *Event) { e.Changes = []host.Change{{What: "content", From: "0", To: "2"}} }), "different in step s, write /a: changes[0].from of the op"},
		"outcome":                  {plain(), with(plain(), 2, func(e *Event) { e.Outcome, e.Error = Failed, "no" }), "different in step s, write /a: outcome of the result"},
		"effect left out":          {plain(), slices.Delete(slices.Clone(plain()), 1, 2), "different in step s, write /a\n"},
		"effect added":             {plain(), slices.Insert(slices.Clone(plain()), 1, writes("/z")), "different in step s, write /a: path of the effect"},
		"op added":                 {plain(), append(slices.Clone(plain()), plain()...), "different in step s\n"},
		"other lines of a table":   {command("cron", "1"), command("cron", "2"), "equal"},
		"what else a cron changes": {command("cron", "1", "/a"), command("cron", "1", "/b"), "different in step s, cron: detail.touches[0]"},
		"what packages touch":      {command("yum", "", "/a"), command("yum", "", "/b"), "equal"},
		"input of a package tool":  {command("yum", "1"), command("yum", "2"), "different in step s, yum: stdin"},
		"input of a command":       {command("run", "1"), command("run", "2"), "different in step s, run: stdin"},
		"what a command touches":   {command("run", "", "/a"), command("run", "", "/b"), "different in step s, run: detail.touches[0]"},
	} {
		c.check(t, name)
	}
}

func TestDiffWhereADryRunGuessed(t *testing.T) {
	guess := func() []Event {
		return []Event{opOf("/a", "1", "2"), writes("/a"), writes("/b"), resultOf("/a", Changed, "a guess")}
	}
	for name, c := range map[string]pair{
		"guess held":               {guess(), plus(plain(), writes("/b")), "equal"},
		"guess: nothing to do":     {guess(), []Event{opOf("/a", "", ""), resultOf("/a", Same)}, "equal, 1 assumed differ"},
		"guess: other from":        {guess(), with(plus(plain(), writes("/b")), 0, func(e *Event) { e.Changes[0].From = "0" }), "equal, 1 assumed differ"},
		"guess: other to":          {guess(), with(plus(plain(), writes("/b")), 0, func(e *Event) { e.Changes[0].To = "0" }), "different in step s, write /a: changes[0].to"},
		"guess: an effect left":    {guess(), plain(), "equal, 1 assumed differ"},
		"guess: first effect left": {guess(), with(plain(), 1, func(e *Event) { e.Path = "/b" }), "equal, 1 assumed differ"},
		"guess: effect added":      {guess(), plus(plain(), writes("/c")), "different in step s, write /a: path of the effect"},
		"guess: other order":       {guess(), []Event{guess()[0], writes("/b"), writes("/a"), resultOf("/a", Changed)}, "different in step s, write /a"},
		"guess: failed":            {guess(), with(plain(), 2, func(e *Event) { e.Outcome, e.Error = Failed, "no" }), "different in step s, write /a: outcome"},
		"guess: another target":    {guess(), []Event{opOf("/x", "", ""), resultOf("/x", Same)}, "different in step s, write /a: target of the op"},
	} {
		c.check(t, name)
	}
}

// plus puts one more effect before the result.
func plus(events []Event, e Event) []Event {
	return slices.Insert(slices.Clone(events), len(events)-1, e)
}

// Only the side of the dry run may rest on a guess; of two traces of the same
// mode either may.
func TestWhoMayGuess(t *testing.T) {
	guess := []Event{opOf("/a", "1", "2"), writes("/a"), resultOf("/a", Changed, "a guess")}
	same := []Event{opOf("/a", "", ""), resultOf("/a", Same)}
	for _, c := range []struct {
		guess, same string
		equal       bool
	}{
		{DryRun, RealRun, true}, {DryRun, Rehearsal, true}, {RealRun, DryRun, false}, {DryRun, DryRun, true}, {RealRun, RealRun, true}, {"", "", true},
	} {
		for _, d := range []Difference{
			Diff(runWith(c.guess, guess...), runWith(c.same, same...)),
			Diff(runWith(c.same, same...), runWith(c.guess, guess...)),
		} {
			if d.Equal != c.equal || d.Equal && len(d.Assumed) != 1 {
				t.Errorf("%+v: got %s", c, d)
			}
		}
	}
}

func TestADifferenceShowsBothSides(t *testing.T) {
	a := runWith(DryRun, opOf("/a", "", "x"), writes("/a"), resultOf("/a", Changed))
	b := runWith(RealRun, opOf("/a", "", "x"), Event{Kind: Effect, Call: "write", Path: "/a\x1b[2J"}, resultOf("/a", Changed))
	for i := range a {
		a[i].Seq, b[i].Seq = i+1, i+11
	}
	d := Diff(a, b)
	want := "different in step s, write /a: path of the effect\n" +
		"  A  event 4  write /a\n       \"/a\"\n" +
		"  B  event 14  write /a\\x1b[2J\n       \"/a\\u001b[2J\""
	if d.String() != want || d.A.Seq != 4 || d.B.Seq != 14 || d.Field != "path" {
		t.Errorf("got\n%s\nwant\n%s", d, want)
	}
	short := Diff(a, b[:3])
	if want := "different in step s, write /a\n  A  event 4  write /a\n  B  has nothing here"; short.String() != want {
		t.Errorf("got\n%s\nwant\n%s", short, want)
	}
}

// A live event and the same one read from a file are equal, whatever Go types
// hold its values.
func TestLiveEventsEqualThoseReadFromAFile(t *testing.T) {
	live := runWith(DryRun, Event{Kind: Op, Op: "x", Args: map[string]any{"n": int64(1) << 60, "f": 0.5, "l": []string{"a"}, "bad": "\xff"}},
		Event{Kind: Effect, Call: "exec", Argv: []string{"\xff\x1b"}, Sets: nil, Detail: map[string]any{"env": map[string]string{"A": "b"}}},
		Event{Kind: Result, Op: "x", Outcome: Changed, Elapsed: 1999 * time.Microsecond})
	file := read(t, written(t, live))
	if d := Diff(live, file); !d.Equal || len(d.Assumed) != 0 {
		t.Error(d)
	}
	emit(t, NewFollow(file, false), live)
}

func TestFollow(t *testing.T) {
	dry := func(path string, assumed ...string) []Event {
		return []Event{opOf(path, "", "x"), writes(path), resultOf(path, Changed, assumed...)}
	}
	approved := runWith(DryRun, slices.Concat(dry("/1"), dry("/2", "guess"), dry("/3", "guess"), dry("/4"), dry("/2"))...)
	for run, want := range map[string]string{
		"/1 /2 /3 /4 /2":    "",
		"/1 /4 /2":          "",
		"/1 /3 /4 /2":       "",
		"/1 /2 /4 /2":       "",
		"/1 /2 /2":          `got write /2, want write /3`,
		"/1 /3 /2":          `got write /2, want write /4`,
		"/2":                `got write /2, want write /1`,
		"/1 /2 /3 /4":       `got the end, want write /2`,
		"/1 /2 /3 /4 /2 /5": `got write /5, want the end`,
		"":                  `got the end, want write /1`,
		"/1 /4 /2 /2":       `got write /2, want the end`,
	} {
		var events []Event
		for _, path := range strings.Fields(run) {
			events = append(events, dry(path)...)
		}
		if have := followed(approved, runWith(RealRun, events...)); !strings.Contains(have, want) || want == "" && have != "" {
			t.Errorf("%q: got %q, want %q", run, have, want)
		}
	}
}

// Of effects that look alike, one may be left out and the other not: which one
// the run has done shows only later.
func TestFollowLooksFurtherWhereEffectsAreAlike(t *testing.T) {
	w := []Event{opOf("/w", "", "x"), writes("/w"), resultOf("/w", Changed)}
	guess := []Event{w[0], w[1], resultOf("/w", Changed, "guess")}
	approved := runWith(DryRun, slices.Concat(guess, w)...)
	for n, want := range map[int]string{0: "want write /w", 1: "", 2: "", 3: "want the end"} {
		run := runWith(RealRun, slices.Concat(slices.Repeat([][]Event{w}, n)...)...)
		if have := followed(approved, run); !strings.Contains(have, want) || want == "" && have != "" {
			t.Errorf("%d: got %q, want %q", n, have, want)
		}
	}
}

func TestFollowLetsAFailedRunEnd(t *testing.T) {
	approved := runWith(DryRun, writes("/1"))
	if err := NewFollow(approved, false).Emit(Event{Kind: End, Outcome: Failed}); err != nil {
		t.Error(err)
	}
}

// A refusal compares with the approved effect that has the same target, also
// behind others that may be left out.
func TestFollowNamesTheField(t *testing.T) {
	grouped := func(path string, detail map[string]any) Event {
		return Event{Kind: Effect, Call: "write", Path: path, Detail: detail}
	}
	approved := runWith(DryRun, opOf("/0", "", "x"), writes("/1"), grouped("/2", map[string]any{"group": "y"}), resultOf("/0", Changed, "guess"))
	for i := range approved {
		approved[i].Seq = i + 1
	}
	other := writes("/1")
	other.Step = "t"
	for _, c := range []struct {
		effect Event
		want   string
	}{
		{grouped("/2", map[string]any{"group": "x"}),
			`got write /2, want write /2 (its event 5): field detail.group: got "x", want "y"`},
		{grouped("/2", nil),
			`got write /2, want write /2 (its event 5): field detail.group: got (nothing), want "y"`},
		{grouped("/2", map[string]any{"group": "y", "files": 3}),
			`got write /2, want write /2 (its event 5): field detail.files: got 3, want (nothing)`},
		{other,
			`got write /1, want write /1 (its event 4): field step: got "t", want "s"`},
		{Event{Kind: Effect, Call: "mkdir", Path: "/1"},
			`got mkdir /1, want write /1 (its event 4): field call: got "mkdir", want "write"`},
		{grouped("/9", nil),
			`got write /9, want write /1 (its event 4): field path: got "/9", want "/1"`},
		{Event{Kind: Effect, Call: "exec", Argv: []string{"rm", "-r"}},
			`got exec rm -r, want write /1 (its event 4): field call: got "exec", want "write"`},
	} {
		if c.effect.Step == "" {
			c.effect.Step = "s"
		}
		if have := followed(approved, []Event{c.effect}); have != ErrDeviates.Error()+": "+c.want {
			t.Errorf("got  %s\nwant %s", have, c.want)
		}
	}
}

// followed returns the first refusal, "" if there is none.
func followed(approved, run []Event) string {
	f := NewFollow(approved, false)
	for _, e := range run {
		if err := f.Emit(e); err != nil {
			if !strings.HasPrefix(err.Error(), ErrDeviates.Error()) {
				return fmt.Sprintf("not a deviation: %v", err)
			}
			return err.Error()
		}
	}
	return ""
}

// However long two values are, what differs in them is shown.
func TestTheDifferenceOfLongValuesIsShown(t *testing.T) {
	change := func(end string) []Event {
		return with(plain(), 0, func(e *Event) { e.Changes = []host.Change{{What: "content", To: strings.Repeat("ä\n", 5000) + end}} })
	}
	text := Diff(change("good"), change("evil"+strings.Repeat("x", 2000))).String()
	if !strings.Contains(text, `...`) || !strings.Contains(text, `good"`) || !strings.Contains(text, "evil") ||
		!strings.Contains(text, "more bytes)") || len(text) > 3000 {
		t.Errorf("got %s", text)
	}
}

// A trace has no say in what is compared, whatever its lines claim to be volatile.
func TestATraceDoesNotSayWhatIsCompared(t *testing.T) {
	claims := func(events []Event) []Event {
		file := bytes.ReplaceAll(written(t, events), []byte(`,"detail":`),
			[]byte(`,"volatile":["path","call","detail","detail.mode","target"],"detail":`))
		return read(t, file)
	}
	shadow := with(plain(), 1, func(e *Event) { e.Call, e.Path = "remove", "/etc/shadow" })
	if d := Diff(claims(plain()), claims(shadow)); d.Equal {
		t.Error("write /a and remove /etc/shadow are equal")
	}
	for _, op := range []string{"cron", "run"} { // the other lines of a crontab belong to others
		crontab := Event{Kind: Effect, Call: "exec", Argv: []string{"crontab", "-u", "a", "-"}, Stdin: "1"}
		f := NewFollow([]Event{{Kind: Op, Op: op}, crontab, {Kind: Result, Op: op}}, false)
		crontab.Stdin = "2"
		if err := cmp.Or(f.Emit(Event{Kind: Op, Op: op}), f.Emit(crontab)); (err == nil) != (op == "cron") {
			t.Errorf("%s: got %v", op, err)
		}
	}
}
