package runtime

import (
	"cmp"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// A Site is where a site keeps what is its own: a file that is evaluated before a
// runbook, sets defaults of its vars, and adds, replaces and leaves out steps.
type Site struct {
	FS   fs.FS  // its directory, which it may not leave; nil: the runbook's
	Name string // of the file, usually runbook.star
	Dir  string // absolute; relative paths among its defaults begin there
}

// A Tweak is one thing that a site's file does to a runbook.
type Tweak struct {
	Kind string // default, before, after, replace or skip
	Name string // of the var or of the step that is meant
	Text string // the value, the step added, or why
	For  string // the runbook that it is meant for, if that is another one
	Pos  string

	fn          *starlark.Function
	title, user string
	value       any
}

var siteBuiltins = []*Builtin{
	{
		Name: "defaults", site: true, anyNames: true,
		Summary: "in runbook.star: give vars of the runbook other defaults",
		Detail: []string{
			"Each argument is a var of the runbook. --var, the environment and --vars go before it. A relative path begins at the directory of runbook.star.",
			"A secret has no default: --secret says where it comes from.",
		},
		Example: `pass`, declare: declareDefaults,
	},
	{
		Name: "before", site: true, Args: stepArgs("the new step comes before it"),
		Summary: "in runbook.star: add a step before one of the runbook's",
		Example: `pass`, declare: declareAdded("before"),
	},
	{
		Name: "after", site: true, Args: stepArgs("the new step comes after it, and after those that were added there before"),
		Summary: "in runbook.star: add a step after one of the runbook's",
		Example: `pass`, declare: declareAdded("after"),
	},
	{
		Name: "replace", site: true,
		Args: []Arg{
			arg("step", "string", "", "a step of the runbook"),
			arg("fn", "function", "", "what the step does instead; with one parameter, it gets the replaced function and may call it"),
		},
		Summary: "in runbook.star: do something else in a step of the runbook, or more",
		Example: `pass`, declare: declareReplaced,
	},
	{
		Name: "skip", site: true,
		Args:    []Arg{arg("step", "string", "", "a step of the runbook"), arg("why", "string", "", "for whoever reads the trace")},
		Summary: "in runbook.star: leave out a step of the runbook",
		Example: `pass`, declare: declareSkipped,
	},
}

func stepArgs(where string) []Arg {
	return []Arg{
		arg("step", "string", "", "a step of the runbook, or one that was added; "+where),
		arg("fn", "function", "", "takes no arguments; its name is the step's, its docstring the manual text"),
		arg("title", "string", `""`, "heading for people"),
		arg("user", "string", `""`, "account that commands run as and that owns what is made"),
	}
}

func declareDefaults(l *loader, _ *starlark.Thread, c *Call) (starlark.Value, error) {
	for name, v := range c.given {
		for _, t := range l.tweaks {
			if t.Kind == "default" && t.Name == name {
				return nil, fmt.Errorf("defaults: %s is set twice, first at %s", name, t.Pos)
			}
		}
		l.tweaks = append(l.tweaks, Tweak{Kind: "default", Name: name, Text: v.String(), Pos: c.pos(), value: plainValue(v)})
	}
	slices.SortStableFunc(l.tweaks, func(a, b Tweak) int { // arguments come in no order
		if a.Kind != "default" || b.Kind != "default" || a.Pos != b.Pos {
			return 0
		}
		return strings.Compare(a.Name, b.Name)
	})
	return starlark.None, nil
}

type declaration = func(*loader, *starlark.Thread, *Call) (starlark.Value, error)

func declareAdded(kind string) declaration {
	return func(l *loader, _ *starlark.Thread, c *Call) (starlark.Value, error) {
		t := Tweak{Kind: kind, Pos: c.pos()}
		var fn starlark.Value
		err := c.Unpack("step", &t.Name, "fn", &fn, "title", &t.title, "user", &t.user)
		if err == nil {
			t.fn, err = stepFunction(kind, fn, 0)
		}
		if err == nil {
			t.Text = t.fn.Name()
			l.tweaks = append(l.tweaks, t)
		}
		return starlark.None, err
	}
}

func declareReplaced(l *loader, _ *starlark.Thread, c *Call) (starlark.Value, error) {
	t := Tweak{Kind: "replace", Pos: c.pos()}
	var fn starlark.Value
	err := c.Unpack("step", &t.Name, "fn", &fn)
	if err == nil {
		t.fn, err = stepFunction("replace", fn, 1)
	}
	if err == nil {
		t.Text = t.fn.Name()
		l.tweaks = append(l.tweaks, t)
	}
	return starlark.None, err
}

func declareSkipped(l *loader, _ *starlark.Thread, c *Call) (starlark.Value, error) {
	t := Tweak{Kind: "skip", Pos: c.pos()}
	err := c.Unpack("step", &t.Name, "why", &t.Text)
	if err == nil && strings.TrimSpace(t.Text) == "" {
		err = Hint(fmt.Errorf("skip %s: got no reason", t.Name), "say why, for whoever reads the trace")
	}
	l.tweaks = append(l.tweaks, t)
	return starlark.None, err
}

// stepFunction returns the function of a step, which takes at most so many arguments.
func stepFunction(builtin string, fn starlark.Value, most int) (*starlark.Function, error) {
	f, ok := fn.(*starlark.Function)
	switch {
	case !ok:
		return nil, fmt.Errorf("%s: argument \"fn\": %w", builtin, wantType(fn, "a function"))
	case f.NumParams() > most && builtin == "step":
		return nil, Hint(fmt.Errorf("step %s: its function takes arguments, want none", f.Name()),
			"give them in a function around it: step(lambda: "+f.Name()+"(...), name=\"...\")")
	case f.NumParams() > most && most == 0:
		return nil, Hint(fmt.Errorf("%s %s: its function takes arguments, want none", builtin, f.Name()),
			"give them in a function around it, which takes none")
	case f.NumParams() > most:
		return nil, fmt.Errorf("%s %s: its function takes %d arguments, want none, or one for the function that it replaces",
			builtin, f.Name(), f.NumParams())
	}
	return f, nil
}

// loadSite evaluates the site's file, before the runbook.
func (l *loader) loadSite() error {
	if l.lib.Site == nil {
		return nil
	}
	l.sitePre = l.rt.predeclaredForSite(l)
	_, err := l.load(l.lib.Site.Name, true)
	l.in.site, l.in.siteDir = map[string]any{}, l.lib.Site.Dir
	for _, t := range l.tweaks {
		if t.Kind == "default" {
			l.in.site[t.Name] = t.value
		}
	}
	return err
}

// tweak does to the loaded runbook what the site's file says. What it does not have, but another runbook beside it has,
// is meant for that one.
func (l *loader) tweak() error {
	var wrong Errors
	for i, t := range l.tweaks {
		names := l.stepNames()
		if t.Kind == "default" {
			names = l.varNames()
		}
		if !slices.Contains(names, t.Name) {
			if l.tweaks[i].For = l.elsewhere(t.Kind == "default", t.Name); l.tweaks[i].For != "" {
				continue
			}
		}
		if t.Kind == "default" {
			continue
		}
		if err := cmp.Or(l.decided(i), l.tweakStep(t)); err != nil {
			e := &Error{Class: Mistake, Pos: t.Pos, Err: err, Advice: HintOf(err), rule: ruleIn(err, "unknown-step")}
			if hinted, ok := err.(*Error); ok {
				e.Err = hinted.Err
			}
			wrong = append(wrong, e)
		}
	}
	wrong = append(wrong, l.wrongVars()...)
	if len(wrong) > 0 {
		return wrong
	}
	l.book.Tweaks = l.tweaks
	return nil
}

// decided returns an error if an earlier tweak has replaced or left out the step of the i'th, which does so, too.
func (l *loader) decided(i int) error {
	t := l.tweaks[i]
	for _, o := range l.tweaks[:i] {
		if o.Name == t.Name && (o.Kind == "skip" || o.Kind == "replace") && (t.Kind == "skip" || t.Kind == "replace") {
			done := map[string]string{"skip": "left out", "replace": "replaced"}[o.Kind]
			return Hint(fmt.Errorf("%s: step %q is %s already, at %s", t.Kind, t.Name, done, o.Pos), "keep one of them")
		}
	}
	return nil
}

func (l *loader) tweakStep(t Tweak) error {
	steps := l.book.Steps
	at := slices.IndexFunc(steps, func(s Step) bool { return s.Name == t.Name })
	if at < 0 {
		names := l.stepNames()
		err := l.book.Lacks("step", t.Name, names, "its steps are: "+strings.Join(names, ", "))
		return fmt.Errorf("%s: in %s there is %w", t.Kind, l.book.Name, err)
	}
	s := &steps[at]
	switch t.Kind {
	case "skip":
		s.skipped, s.Site = t.Text, "left out by "+t.Pos
		return nil
	case "replace":
		return s.replace(t)
	}
	added := Step{Name: t.fn.Name(), Title: t.title, Doc: dedent(t.fn.Doc()), User: t.user, Pos: t.fn.Position().String(),
		Site: fmt.Sprintf("added %s %s by %s", t.Kind, t.Name, t.Pos), fn: t.fn, beside: t.Kind + " " + t.Name}
	if slices.ContainsFunc(steps, func(s Step) bool { return s.Name == added.Name }) {
		return Hint(fmt.Errorf("%s: there is a step %q already", t.Kind, added.Name), "give the function another name")
	}
	for t.Kind == "after" && at+1 < len(steps) && steps[at+1].beside == added.beside {
		at++ // after those that came there before
	}
	if t.Kind == "after" {
		at++
	}
	l.book.Steps = slices.Insert(steps, at, added)
	return nil
}

// replace makes s do what the site wants.
func (s *Step) replace(t Tweak) error {
	if s.Manual {
		return Hint(fmt.Errorf("replace: a person does %s", s.Name), "skip it and add a step of your own")
	}
	old := s.fn
	s.Site = fmt.Sprintf("replaced by %s, was %s", t.Pos, s.Pos)
	s.fn, s.Pos = t.fn, t.fn.Position().String()
	if doc := dedent(t.fn.Doc()); doc != "" {
		s.Doc = doc
	}
	if t.fn.NumParams() == 1 {
		s.fn = wrapping{t.fn, old}
	}
	return nil
}

// A wrapping calls a function with the one that it replaces.
type wrapping struct {
	*starlark.Function
	old starlark.Callable
}

func (w wrapping) CallInternal(t *starlark.Thread, _ starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	return starlark.Call(t, w.Function, starlark.Tuple{w.old}, nil)
}

// wrongVars are defaults and vars.NAME of the site's file that the runbook does not have.
func (l *loader) wrongVars() (wrong Errors) {
	add := func(pos, what, name string) {
		all := "the vars are listed by: runbook show " + l.book.Name
		err := fmt.Errorf("%s: in %s there is %w", what, l.book.Name, l.book.Lacks("var", name, l.varNames(), all))
		wrong = append(wrong, &Error{Class: Mistake, Pos: pos, Err: err, rule: "unknown-var"})
	}
	for _, t := range l.tweaks {
		switch {
		case t.Kind != "default" || t.For != "" || l.hasVar(t.Name):
		case slices.Contains(l.varNames(), t.Name):
			wrong = append(wrong, &Error{Class: Mistake, Pos: t.Pos, Err: fmt.Errorf("defaults: %s is a secret", t.Name), rule: "unknown-var",
				Advice: "say where it comes from: --secret " + t.Name + "=file:PATH"})
		default:
			add(t.Pos, "defaults", t.Name)
		}
	}
	if l.lib.Site == nil || l.siteFile == nil {
		return wrong
	}
	for _, id := range varsNamed(l.siteFile) {
		if !slices.Contains(l.varNames(), id.Name) && l.elsewhere(true, id.Name) == "" {
			add(id.NamePos.String(), "vars", id.Name)
		}
	}
	return wrong
}

// varsNamed returns each NAME of vars.NAME in a site's file.
func varsNamed(f *syntax.File) (ids []*syntax.Ident) {
	syntax.Walk(f, func(n syntax.Node) bool {
		if dot, ok := n.(*syntax.DotExpr); ok {
			if x, ok := dot.X.(*syntax.Ident); ok && x.Name == "vars" {
				ids = append(ids, dot.Name)
			}
		}
		return true
	})
	return ids
}

// elsewhere returns the runbook, among those beside this one and the shipped ones, that has a var or secret, or a step,
// of that name; "" if none has.
func (l *loader) elsewhere(ofVar bool, name string) string {
	if l.others == nil {
		l.others = l.siblings()
	}
	for _, book := range l.others {
		other := &loader{book: book}
		if ofVar && slices.Contains(other.varNames(), name) || !ofVar && slices.Contains(other.stepNames(), name) {
			return book.Name
		}
	}
	return ""
}

// siblings loads the other runbooks, as far as they can be loaded.
func (l *loader) siblings() []*Runbook {
	books := []*Runbook{}
	for _, fsys := range []fs.FS{l.lib.Dir, l.lib.Shipped} {
		if fsys == nil {
			continue
		}
		files, _ := fs.Glob(fsys, "*.star") // only a malformed pattern is an error
		for _, file := range files {
			known := slices.ContainsFunc(books, func(b *Runbook) bool { return b.Name == file })
			if known || file == l.book.Name || file == l.lib.Site.Name || strings.HasSuffix(file, "_test.star") {
				continue
			}
			book, _ := l.rt.Load(Library{Dir: l.lib.Dir, Shipped: l.lib.Shipped}, file, Inputs{})
			if len(book.Steps) == 0 { // mistakes in it are told elsewhere
				book, _ = l.rt.Load(Library{Shipped: l.lib.Shipped}, file, Inputs{})
			}
			books = append(books, book)
		}
	}
	return books
}

func (l *loader) stepNames() (names []string) {
	for _, s := range l.book.Steps {
		names = append(names, s.Name)
	}
	return names
}

func (l *loader) hasVar(name string) bool {
	return slices.ContainsFunc(l.book.Vars, func(v Var) bool { return v.Name == name })
}

// varNames are the names of the runbook's vars and secrets.
func (l *loader) varNames() (names []string) {
	for _, v := range l.book.Vars {
		names = append(names, v.Name)
	}
	for _, s := range l.book.Secrets {
		names = append(names, s.Name)
	}
	return names
}

// siteVars is vars of a site's file: the runbook's vars and secrets, once it is loaded.
type siteVars struct{ l *loader }

var _ starlark.HasAttrs = siteVars{}

func (siteVars) String() string        { return "<vars>" }
func (siteVars) Type() string          { return "vars" }
func (siteVars) Freeze()               {}
func (siteVars) Truth() starlark.Bool  { return true }
func (siteVars) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: vars") }
func (v siteVars) AttrNames() []string { return v.l.varNames() }

func (v siteVars) Attr(name string) (starlark.Value, error) {
	if v.l.run == nil {
		return nil, Hint(fmt.Errorf("vars.%s is not known yet", name),
			"use it in a function: runbook.star is evaluated before the runbook")
	}
	for _, d := range v.l.book.Vars {
		if d.Name == name {
			x := d.starlark()
			x.Freeze()
			return x, nil
		}
	}
	for _, d := range v.l.book.Secrets {
		if d.Name == name {
			return secretValue{v.l.book.placeholders.Of(name)}, nil
		}
	}
	return nil, Nearest(fmt.Errorf("no var %q", name), name, v.l.varNames())
}
