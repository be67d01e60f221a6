package trace

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"runbook/runtime/host"
)

// A markdown is a Sink that writes a document: a heading for each step, an item
// for each op, below it what changed and what was done for that.
type markdown struct {
	w    io.Writer
	op   Event    // under way
	did  []Event  // its effects
	read []Answer // of the script, since the last item
	sum  summary
	met  int // requirements that hold, since the last item
	dry  bool
	err  error
}

// NewMarkdown returns a Sink that writes a Markdown document.
func NewMarkdown(w io.Writer) Sink { return &markdown{w: w} }

// Emit writes e, an op together with its result.
func (m *markdown) Emit(e Event) error {
	if e.Op != "require" && e.Kind != Probe {
		m.gathered()
	}
	m.read = append(m.read, e.Read...)
	switch e.Kind {
	case Run:
		m.run(e)
	case Step:
		m.step(e)
		m.reads()
	case Op:
		m.op, m.did = e, nil
	case Effect:
		m.did = append(m.did, e)
	case Probe:
		m.probe(e)
	case Result:
		m.sum.count(e)
		m.result(e)
	case Log:
		m.print("\n%s\n", lined("> ", e.Text))
	case End:
		m.reads()
		m.print("\n## Result\n\n%s: %s.\n", Prose(string(e.Outcome)), m.sum.words(e.Outcome, m.dry))
		m.failure(e.Error, "")
	}
	return m.err
}

func (m *markdown) print(format string, args ...any) {
	if m.err == nil {
		_, m.err = fmt.Fprintf(m.w, format, args...)
	}
}

func (m *markdown) run(e Event) {
	r := e.Run
	if r == nil {
		return
	}
	m.dry = r.Mode == DryRun
	m.print("# %s\n\n", Prose(r.Runbook))
	for _, row := range [][2]string{
		{"Mode", r.Mode}, {"Host", r.Host.Hostname}, {"System", r.Host.OS}, {"User", r.User.Name},
		{"Through sudo by", r.User.SudoUser}, {"Ticket", r.Ticket}, {"Began", e.Time.UTC().Format(time.RFC3339)},
		{"Program", r.Binary.Version},
	} {
		if row[1] != "" {
			m.print("- %s: %s\n", row[0], Prose(row[1]))
		}
	}
	for _, s := range r.terms() {
		m.print("- Terms: %s\n", Prose(s))
	}
	for i, s := range r.Sources {
		if i == 0 {
			m.print("\n| Source | Origin | SHA-256 |\n| --- | --- | --- |\n")
		}
		m.print("| %s | %s | %s |\n", Cell(s.Name), Prose(s.Origin), Cell(s.SHA256))
	}
	for i, v := range r.Vars {
		if i == 0 {
			m.print("\n| Var | Value | From |\n| --- | --- | --- |\n")
		}
		m.print("| %s | %s | %s |\n", Cell(v.Name), Cell(jsonText(v.Value)), Prose(v.From))
	}
}

func (m *markdown) step(e Event) {
	if e.State != Begin && e.State != LeftOut {
		return
	}
	m.print("\n## %s\n\n", Prose(e.Step+prefixed(": ", e.Title)))
	if e.Site != "" {
		m.print("**Site:** %s\n\n", Prose(e.Site))
	}
	if e.State == LeftOut {
		m.sum.left++
		m.print("Skipped: %s\n\n", Prose(e.Why))
	}
	if e.Text != "" {
		m.print("%s\n", lined("", e.Text))
	}
}

// probe writes a question of the runbook: a dry run runs nothing else.
func (m *markdown) probe(e Event) {
	if !m.dry || e.Asker == "" || len(e.Assumed) > 0 {
		return
	}
	m.sum.asked++
	m.print("- asks: %s = %d%s", CodeSpan(cmp.Or(e.URL, Spaced(e.Argv))), e.Code, Prose(prefixed(", as ", e.User)))
	if e.Why != "" {
		m.print(" **%s**", Prose(e.Why))
	}
	m.print("\n")
}

// gathered says in an item how many requirements hold, and what was read.
func (m *markdown) gathered() {
	if m.met > 0 {
		m.print("- **require**: %d met\n", m.met)
	}
	m.met = 0
	m.reads()
}

// reads says what was read.
func (m *markdown) reads() {
	for _, a := range m.read {
		m.print("- read: %s\n", Prose(a.String()))
	}
	m.read = nil
}

func (m *markdown) result(e Event) {
	if e.Op == "require" && e.Outcome == Same { // its target is what would be wrong
		m.met++
		m.did = nil
		return
	}
	outcome := string(e.Outcome)
	if m.dry && e.Outcome == Changed {
		outcome = "would change"
	}
	name := CodeSpan(e.Target)
	m.print("- **%s** %s: %s", Prose(e.Op), name, Prose(outcome))
	if e.Elapsed > 100*time.Millisecond {
		m.print(" (%s)", spent(e.Elapsed))
	}
	m.print("\n")
	for _, c := range changesOf(m.op) {
		if isText(c) {
			m.text(c)
			continue
		}
		m.print("  - %s: %s → %s\n", Prose(c.What), CodeSpan(cmp.Or(c.From, "(none)")), CodeSpan(cmp.Or(c.To, "(none)")))
	}
	for _, where := range wholeTexts(m.op) {
		m.print("  - %s\n", Prose(where))
	}
	for _, d := range m.did {
		m.print("  - does %s", CodeSpan(describe(d)))
		if a := aspects(d, ""); a != "" {
			m.print(" %s", Prose(a))
		}
		m.print("\n")
		for _, r := range readings(d) {
			m.print("  - %s\n", Prose(r))
		}
		for _, s := range warnings(d) {
			m.print("  - **%s**\n", Prose(s))
		}
	}
	for _, a := range e.Assumed {
		m.print("  - assumed: %s\n", Prose(a))
	}
	if s := notEnforced(e.Observed); s != "" {
		m.print("  - **%s**\n", Prose(s))
	}
	m.failure(e.Error, "  ")
	if e.Hint != "" {
		m.print("\n%s\n", lined("  ", "Hint: "+e.Hint))
	}
	m.did = nil
}

// text writes how a text changes.
func (m *markdown) text(c host.Change) {
	head, lines := hunks(c)
	m.print("  - %s:\n", Prose(head))
	texts := make([]string, len(lines))
	for i, l := range lines {
		texts[i] = l.text
	}
	m.fence("    ", "diff", texts)
}

// lined returns text of several lines as prose, each behind prefix.
func lined(prefix, text string) string {
	var b strings.Builder
	for l := range strings.SplitSeq(strings.TrimSpace(text), "\n") {
		b.WriteString(prefix + strings.TrimSpace(Prose(l)) + "\n")
	}
	return b.String()
}

// failure writes the text of an error, if there is one.
func (m *markdown) failure(s, indent string) {
	if s != "" {
		m.print("\n")
		m.fence(indent, "", strings.Split(s, "\n"))
	}
}

func (m *markdown) fence(indent, language string, lines []string) {
	m.print("%s", Fence(indent, language, lines))
}

// Fence returns lines as a block of code, in which markup means nothing: between fences that are longer than any run of
// backticks in them. Characters that do not show are escaped.
func Fence(indent, language string, lines []string) string {
	marks := strings.Repeat("`", max(3, 1+longestRun(strings.Join(lines, "\n"))))
	var b strings.Builder
	for _, l := range slices.Concat([]string{marks + language}, lines, []string{marks}) {
		b.WriteString(indent + Quote(l) + "\n")
	}
	return b.String()
}

// CodeSpan returns s as a code span, in which markup means nothing.
func CodeSpan(s string) string {
	s = Quote(s)
	if s == "" {
		return ""
	}
	marks := strings.Repeat("`", 1+longestRun(s))
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return marks + s + marks
}

// Cell returns s as a code span in a table, where a bar would end the cell even so.
func Cell(s string) string { return strings.ReplaceAll(CodeSpan(s), "|", `\|`) }

// Prose returns s as text in which no character is markup.
func Prose(s string) string {
	var b strings.Builder
	for _, r := range Quote(s) {
		if strings.ContainsRune("\\`*_[]<>#|~&", r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

func longestRun(s string) (n int) {
	for strings.Contains(s, strings.Repeat("`", n+1)) {
		n++
	}
	return n
}
