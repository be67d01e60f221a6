package trace

// Told is what the events of an op say, in words for people. All its texts have passed [Quote].
type Told struct {
	Changes []ToldChange
	Effects []ToldEffect
	Whole   []string // where the texts are of which the trace has only head and tail
}

// A ToldChange is a value that changes, or a text.
type ToldChange struct {
	What     string
	From, To string     // of a value
	Lines    []ToldLine // of a text: all lines of its unified hunks
}

// A ToldLine is a line of a hunk; it begins with its sign.
type ToldLine struct {
	Sign byte // '+', '-' or ' '
	Text string
}

// A ToldEffect is an effect in words.
type ToldEffect struct {
	Does    string
	More    string   // mode and owner, as whom, where and with what a command runs
	Reads   []string // local files, with their digests
	Exposed string   // a warning of secrets that every account can see; "" if there are none
}

// Tell returns what an op, and its effects, are for people. runner is who runs it all: only other accounts are named.
func Tell(op Event, effects []Event, runner string) (t Told) {
	for _, c := range changesOf(op) {
		if !isText(c) {
			t.Changes = append(t.Changes, ToldChange{What: Quote(c.What), From: Quote(c.From), To: Quote(c.To)})
			continue
		}
		head, lines := hunks(c)
		told := ToldChange{What: head}
		for _, l := range lines {
			told.Lines = append(told.Lines, ToldLine{l.sign, l.text})
		}
		t.Changes = append(t.Changes, told)
	}
	for _, e := range effects {
		t.Effects = append(t.Effects, ToldEffect{Brief(describe(e)), aspects(e, runner), readings(e), exposure(e)})
	}
	t.Whole = wholeTexts(op)
	return t
}

// A Grouper puts the events of an op together.
type Grouper struct {
	act  Act
	open bool
}

// An Act is an op with what was done for it, or an event that stands alone.
type Act struct {
	Event   Event // the op
	Probes  []Event
	Effects []Event
	Result  *Event // nil if the run was cut off
}

// Add takes the next event and calls f with what is complete with it: nothing, or an act, or two.
func (g *Grouper) Add(e Event, f func(Act) error) error {
	switch {
	case e.Kind == Op:
		if err := g.Flush(f); err != nil {
			return err
		}
		g.act, g.open = Act{Event: e}, true
		return nil
	case g.open && e.Kind == Effect:
		g.act.Effects = append(g.act.Effects, e)
		return nil
	case g.open && e.Kind == Probe:
		g.act.Probes = append(g.act.Probes, e)
		return nil
	case g.open && e.Kind == Result:
		g.act.Result = &e
		return g.Flush(f)
	case e.Kind != Log:
		if err := g.Flush(f); err != nil {
			return err
		}
	}
	return f(Act{Event: e})
}

// Flush calls f with the op under way, if there is one.
func (g *Grouper) Flush(f func(Act) error) error {
	act, open := g.act, g.open
	g.act, g.open = Act{}, false
	if !open {
		return nil
	}
	return f(act)
}
