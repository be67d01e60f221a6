package runtime

import (
	"bytes"
	"cmp"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.starlark.net/syntax"
)

// A Place is a position in a text. Lines and columns count from 1; a column is a
// character (a Unicode code point, not a byte), and a tab is one. Line is 0 where a file
// as a whole is meant.
type Place struct{ Line, Column int }

// A Severity says what a diagnostic means for whoever wrote the file.
type Severity string

// The severities.
const (
	Wrong    Severity = "error"   // it would fail, or nobody needs it
	Doubtful Severity = "warning" // it runs, and is probably not what was meant
)

// A Diagnostic is a mistake in a file, or what is doubtful there.
type Diagnostic struct {
	File     string   // as the Library knows it, with slashes; usually the file checked, else one that it loads
	Start    Place    // of what is meant
	End      Place    // behind its last character
	Rule     string   // one of Rules
	Severity Severity // the rule's
	Message  string
	Cure     string // what to do about it; "" if Message says
	Line     string // the text of the line in which it starts
	From     string // positions of the calls or loads that lead there, innermost first, with commas; usually ""
}

// Diagnose returns what is wrong and what is doubtful in a file, in the order of the
// positions: syntax, names, arguments and their values, also in branches that no dry run
// takes, what is called too early, what nothing uses, habits of other languages, and what
// Load finds. Required vars without a value are not mistakes. Nothing but lib is read; see
// Overlaid for texts that are not saved.
//
// A file without steps is taken for a library: others may use its functions.
//
// A line that ends with the comment "# check: allow RULE", or has one of its own above it,
// may be doubtful by that rule.
func (rt *Runtime) Diagnose(lib Library, name string) []Diagnostic {
	var all []Diagnostic
	texts := sourceTexts{lib: lib, lines: map[string][]string{}, tokens: map[string][]token{}}
	for _, e := range rt.check(lib, name) {
		d := texts.diagnostic(e, name)
		if !slices.Contains(all, d) && !(d.Severity == Doubtful && texts.allows(d)) {
			all = append(all, d)
		}
	}
	slices.SortStableFunc(all, Diagnostic.Compare)
	return all
}

// Compare orders diagnostics by file, position and message.
func (d Diagnostic) Compare(o Diagnostic) int {
	return cmp.Or(strings.Compare(d.File, o.File), cmp.Compare(d.Start.Line, o.Start.Line),
		cmp.Compare(d.Start.Column, o.Start.Column), strings.Compare(d.Message, o.Message))
}

// sourceTexts are the files that diagnostics are about.
type sourceTexts struct {
	lib    Library
	lines  map[string][]string
	tokens map[string][]token
}

// of reads a file, as the runbook or the site's file sees it.
func (t *sourceTexts) of(name string) []string {
	if lines, ok := t.lines[name]; ok {
		return lines
	}
	src, _, err := t.lib.read(name)
	if t.lib.Site != nil && name == t.lib.Site.Name {
		src, _, err = t.lib.site().read(name)
	}
	if err == nil {
		t.lines[name], t.tokens[name] = strings.Split(string(src), "\n"), tokens(string(src))
	} else {
		t.lines[name] = nil
	}
	return t.lines[name]
}

// diagnostic is e with its end and its line.
func (t *sourceTexts) diagnostic(e *Error, name string) Diagnostic {
	rule, _ := ruleNamed(ruleIn(e, "loading"))
	d := Diagnostic{Rule: rule.ID, Severity: rule.Severity, Message: Readable(e.Err.Error()), Cure: Readable(e.Hint()),
		From: strings.Join(e.From, ", ")}
	d.File, d.Start = splitPlace(cmp.Or(e.Pos, name))
	d.End = Place{int(e.end.Line), int(e.end.Col)}
	lines := t.of(d.File)
	if d.Start.Line > 0 && d.Start.Line <= len(lines) {
		d.Line = strings.TrimSuffix(lines[d.Start.Line-1], "\r")
	}
	if d.End.before(d.Start) {
		d.End = d.Start
		i, found := slices.BinarySearchFunc(t.tokens[d.File], d.Start, func(k token, p Place) int {
			return cmp.Or(cmp.Compare(int(k.line), p.Line), cmp.Compare(int(k.col), p.Column))
		})
		if found {
			d.End = Place{int(t.tokens[d.File][i].last), int(t.tokens[d.File][i].end)}
		}
	}
	return d
}

func (p Place) before(q Place) bool {
	return p.Line < q.Line || p.Line == q.Line && p.Column < q.Column
}

// splitPlace takes "file:line:column" apart; line and column may be missing.
func splitPlace(pos string) (file string, p Place) {
	parts := strings.Split(pos, ":")
	number := func(i int) int {
		if i < 1 || i >= len(parts) {
			return 0
		}
		n, err := strconv.Atoi(parts[i])
		if err != nil || n < 0 {
			return 0
		}
		return n
	}
	if last := len(parts) - 1; number(last-1) > 0 && number(last) > 0 {
		return strings.Join(parts[:last-1], ":"), Place{number(last - 1), number(last)}
	}
	if last := len(parts) - 1; number(last) > 0 {
		return strings.Join(parts[:last], ":"), Place{number(last), 1}
	}
	return pos, Place{}
}

const allowing = "# check: allow "

// allows reports whether a comment says that what is doubtful is meant: at the end of its
// line, or on a line of its own above.
func (t *sourceTexts) allows(d Diagnostic) bool {
	lines := t.of(d.File)
	for i := d.Start.Line - 1; i >= 0 && i < len(lines); i-- {
		text, rules, found := strings.Cut(lines[i], allowing)
		own := strings.TrimSpace(text) == "" || strings.HasPrefix(strings.TrimSpace(text), "#")
		switch {
		case found && (own || i == d.Start.Line-1) && slices.Contains(strings.FieldsFunc(rules, notInRule), d.Rule):
			return true
		case !strings.HasPrefix(strings.TrimSpace(lines[max(i-1, 0)]), "#"):
			return false
		}
	}
	return false
}

func notInRule(r rune) bool { return r != '-' && (r < 'a' || r > 'z') }

// A span is where something stands; without an end it is the token at its start.
type span struct{ start, end syntax.Position }

func spanOf(n syntax.Node) span {
	start, end := n.Span()
	return span{start, end}
}

func tokenAt(pos syntax.Position) span { return span{start: pos} }

// Overlaid returns fsys with texts in the place of its files, and besides them: what an
// editor holds and has not saved yet. fsys may be nil.
func Overlaid(fsys fs.FS, texts map[string]string) fs.FS { return overlaid{fsys, texts} }

type overlaid struct {
	fs.FS
	texts map[string]string
}

// Open implements fs.FS.
func (o overlaid) Open(name string) (fs.File, error) {
	text, ok := o.texts[name]
	switch {
	case ok:
		return &openText{bytes.NewReader([]byte(text)), path.Base(name)}, nil
	case o.FS == nil:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return o.FS.Open(name)
}

// Stat implements fs.StatFS: to open a pipe could block for ever.
func (o overlaid) Stat(name string) (fs.FileInfo, error) {
	if _, ok := o.texts[name]; !ok && o.FS != nil {
		return fs.Stat(o.FS, name)
	}
	f, err := o.Open(name)
	if err != nil {
		return nil, err
	}
	return f.Stat()
}

// An openText is a text that is read like a file.
type openText struct {
	*bytes.Reader
	name string
}

var (
	_ fs.File     = (*openText)(nil)
	_ fs.FileInfo = (*openText)(nil)
)

func (f *openText) Stat() (fs.FileInfo, error) { return f, nil }
func (f *openText) Close() error               { return nil }
func (f *openText) Name() string               { return f.name }
func (f *openText) Mode() fs.FileMode          { return 0o444 }
func (f *openText) ModTime() time.Time         { return time.Time{} }
func (f *openText) IsDir() bool                { return false }
func (f *openText) Sys() any                   { return nil }
