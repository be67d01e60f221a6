package runtime

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"runbook/runtime/secret"
	"runbook/runtime/trace"
)

// A Runbook is a loaded file: what can be set and what will be done, with
// nothing done yet.
type Runbook struct {
	Name    string
	Doc     string // the file's docstring
	Vars    []Var
	Secrets []SecretDecl
	Steps   []Step
	Sources []trace.Source // the file itself and what it loads
	Asks    []Question     // of Sources
	Tweaks  []Tweak        // what the site's file does
	Retired []Retired

	texts        []string // of Sources
	placeholders *secret.Placeholders
	loader       *loader
}

// A Library is where runbooks and what they load come from: Dir is looked at
// first, then Shipped. Dir may be nil. Neither may lead out of itself:
// os.Root.FS is such a file system, and so is an embed.FS.
type Library struct {
	Dir, Shipped fs.FS
	Site         *Site // the site's own file; nil: there is none
}

// site is where the site's file and what it loads come from.
func (lib Library) site() Library {
	if lib.Site.FS != nil {
		lib.Dir = lib.Site.FS
	}
	return lib
}

// read returns a file and whether it is shipped, edited (a shipped one changed) or local.
func (lib Library) read(name string) (src []byte, origin string, err error) {
	shipped, serr := readText(lib.Shipped, name, maxSource)
	if lib.Dir != nil {
		src, err = readText(lib.Dir, name, maxSource)
		switch {
		case err == nil && serr != nil:
			return src, "local", nil
		case err == nil && string(src) != string(shipped):
			return src, "edited", nil
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, "", err
		}
	}
	return shipped, "shipped", serr
}

// loads reports whether a file beside name, or below lib/, loads it.
func (lib Library) loads(name string) bool {
	if lib.Dir == nil {
		return false
	}
	for _, pattern := range []string{"*.star", "lib/*.star"} {
		files, _ := fs.Glob(lib.Dir, pattern) // a bad pattern is the only error
		for _, file := range files {
			src, _, err := lib.read(file)
			if err == nil && strings.Contains(string(src), fmt.Sprintf("load(%q", name)) {
				return true
			}
		}
	}
	return false
}

// Load executes the top level of the runbook called name. It declares vars,
// secrets and steps and reads nothing but in and lib.
//
// If vars are missing or wrong, the error is of class Input (or Mistake if a
// name is unknown) and the runbook is returned as far as it goes, for show.
func (rt *Runtime) Load(lib Library, name string, in Inputs) (*Runbook, error) {
	return rt.loadBeside(lib, name, in, nil)
}

// loadBeside is Load where the other runbooks beside this one may be known already.
func (rt *Runtime) loadBeside(lib Library, name string, in Inputs, others []*Runbook) (*Runbook, error) {
	book := &Runbook{Name: path.Base(name), placeholders: secret.NewPlaceholders()}
	l := &loader{rt: rt, book: book, lib: lib, in: in, modules: map[string]*module{}, declared: map[string]string{},
		meter: rt.meter(name), others: others}
	defer l.meter.watch()()
	book.loader = l
	l.pre = rt.predeclared(l)
	err := l.loadSite()
	if err != nil {
		return book, located("", Mistake, err)
	}
	if err := l.preamble(in.First); err != nil {
		return book, located("", Mistake, err)
	}
	_, err = l.load(name, false)
	if err == nil {
		err = l.checkRetired()
	}
	if problems := l.problems(err); problems != nil {
		return book, problems
	}
	if err == nil {
		err = l.tweak()
	}
	if err != nil {
		return book, located("", Mistake, err)
	}
	return book, nil
}

// A loader is one load of a runbook, and what its builtins hang on to.
type loader struct {
	rt      *Runtime
	book    *Runbook
	lib     Library
	in      Inputs
	pre     starlark.StringDict
	modules map[string]*module // nil value: being loaded
	stack   []string           // being loaded, outermost first
	wrong   []*Error           // vars missing or wrong
	run     *Run               // nil while loading
	meter   *meter

	declared map[string]string // where vars, secrets and steps are declared

	heres map[string]*Here
	held  int64 // bytes of those that are in memory

	sitePre  starlark.StringDict // what the site's file sees
	siteFile *syntax.File
	reasons  []*reasons // of the files
	tweaks   []Tweak
	others   []*Runbook // beside this one; nil: not looked for
	suite    *Suite     // nil: it is a runbook that is loaded
}

type module struct {
	globals starlark.StringDict
	file    *syntax.File
}

// load executes a file once, of the runbook or of the site.
func (l *loader) load(name string, site bool) (starlark.StringDict, error) {
	lib, key := l.lib, name
	if site {
		lib = lib.site()
		if l.lib.Site.FS != nil || name == l.lib.Site.Name {
			key = "site " + name
		}
	}
	if m, ok := l.modules[key]; ok {
		if m == nil {
			return nil, ruled("load-file", Hint(fmt.Errorf("load cycle: %s", strings.Join(append(l.stack, name), " loads ")),
				"move what both need into a third file"))
		}
		return m.globals, nil
	}
	src, origin, err := lib.read(name)
	if err != nil {
		return nil, ruled("load-file", Hint(fmt.Errorf("%s: %w", name, cause(err)),
			"it is looked for in the runbook's directory, then among the shipped files"))
	}
	if site && origin == "local" {
		origin = "site"
	}
	l.source(name, src, origin)
	l.modules[key], l.stack = nil, append(l.stack, name)
	defer func() { l.stack = l.stack[:len(l.stack)-1] }()
	m, err := l.exec(name, src, site)
	l.modules[key] = m
	if m == nil {
		return nil, err
	}
	return m.globals, err
}

// preamble executes a file that belongs to the program, before the runbook's own.
func (l *loader) preamble(first Source) error {
	if first.Text == "" {
		return nil
	}
	l.source(first.Name, []byte(first.Text), "shipped")
	l.stack = []string{l.book.Name, first.Name}
	defer func() { l.stack = nil }()
	_, err := l.exec(first.Name, []byte(first.Text), false)
	return err
}

// source notes a file that the runbook is read from.
func (l *loader) source(name string, src []byte, origin string) {
	sum := sha256.Sum256(src)
	l.book.Sources = append(l.book.Sources, trace.Source{Name: name, SHA256: hex.EncodeToString(sum[:]), Origin: origin})
	l.book.texts = append(l.book.texts, string(src))
}

// cause drops the name that a path error repeats.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// exec parses, checks and executes one file.
func (l *loader) exec(name string, src []byte, site bool) (*module, error) {
	pre := l.pre
	switch {
	case site && len(l.stack) == 1:
		pre = l.sitePre
	case site:
		pre = maps.Clone(pre)
		pre["here"] = l.sitePre["here"]
	case l.suite != nil && len(l.stack) == 1:
		pre = l.suite.pre
	}
	f, err := parse(name, src, pre)
	if err != nil {
		return nil, err
	}
	switch {
	case len(l.stack) == 1 && site:
		l.siteFile = f
	case len(l.stack) == 1:
		l.book.Doc = docstring(f)
	}
	l.book.Asks = append(l.book.Asks, questions(f, src)...)
	if err := resolve.File(f, pre.Has, starlark.Universe.Has); err != nil {
		return nil, parseError(err, known(f, pre), len(l.stack) > 1)
	}
	if err := l.heresOf(f, site); err != nil {
		return nil, err
	}
	if err := l.rt.constantConditions(f, pre); err != nil {
		return nil, err
	}
	l.reasons = append(l.reasons, reasonsOf(f))
	guard(f)
	limit(f)
	prog, err := starlark.FileProgram(f, pre.Has)
	if err != nil {
		return nil, err
	}
	thread := l.meter.thread("load "+name, loadSteps)
	thread.Load, thread.Print = l.loadStatement(site), l.print
	globals, err := prog.Init(thread, pre)
	if err := freeze(globals); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &module{globals, f}, err
}

var dialect = &syntax.FileOptions{Set: true}

// parse parses a file and refuses what the resolver lets pass.
func parse(name string, src []byte, pre starlark.StringDict) (*syntax.File, error) {
	f, err := dialect.Parse(name, src, 0)
	if err != nil {
		return nil, syntaxError(src, err)
	}
	if err := mergeMark(name, src); err != nil {
		return nil, err
	}
	return f, refusedNames(f, pre)
}

// refusedNames returns an error if a file binds names that nobody should take for something else.
func refusedNames(f *syntax.File, pre starlark.StringDict) error {
	all := hiddenNames(f)
	for _, id := range boundAnywhere(f) {
		if pre.Has(id.Name) {
			all = append(all, &Error{Class: Mistake, Pos: id.NamePos.String(), Advice: "choose another name", rule: "redefined-builtin",
				Err: fmt.Errorf("%s is a builtin and cannot be redefined", id.Name)})
		}
	}
	if len(all) > 0 {
		return all
	}
	return nil
}

// bound returns the names that a file binds at its top level.
func bound(f *syntax.File) (ids []*syntax.Ident) {
	for _, s := range f.Stmts {
		switch s := s.(type) {
		case *syntax.DefStmt:
			ids = append(ids, s.Name)
		case *syntax.LoadStmt:
			ids = append(ids, s.To...)
		case *syntax.AssignStmt:
			if s.Op == syntax.EQ {
				ids = append(ids, targets(s.LHS)...)
			}
		}
	}
	return ids
}

// boundAnywhere returns the names that a file binds, in whatever scope.
func boundAnywhere(f *syntax.File) (ids []*syntax.Ident) {
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.DefStmt:
			ids = append(append(ids, n.Name), params(n.Params)...)
		case *syntax.LambdaExpr:
			ids = append(ids, params(n.Params)...)
		case *syntax.LoadStmt:
			ids = append(ids, n.To...)
		case *syntax.AssignStmt:
			ids = append(ids, targets(n.LHS)...)
		case *syntax.ForStmt:
			ids = append(ids, targets(n.Vars)...)
		case *syntax.ForClause:
			ids = append(ids, targets(n.Vars)...)
		}
		return true
	})
	return ids
}

// params returns the names of parameters: NAME, NAME=VALUE, *NAME and **NAME.
func params(list []syntax.Expr) (ids []*syntax.Ident) {
	for _, p := range list {
		switch p := p.(type) {
		case *syntax.Ident:
			ids = append(ids, p)
		case *syntax.BinaryExpr:
			ids = append(ids, targets(p.X)...)
		case *syntax.UnaryExpr:
			if p.X != nil { // not a lone *
				ids = append(ids, targets(p.X)...)
			}
		}
	}
	return ids
}

func targets(e syntax.Expr) (ids []*syntax.Ident) {
	switch e := e.(type) {
	case *syntax.Ident:
		return []*syntax.Ident{e}
	case *syntax.ParenExpr:
		return targets(e.X)
	case *syntax.TupleExpr:
		for _, x := range e.List {
			ids = append(ids, targets(x)...)
		}
	case *syntax.ListExpr:
		for _, x := range e.List {
			ids = append(ids, targets(x)...)
		}
	}
	return ids
}

func docstring(f *syntax.File) string {
	if len(f.Stmts) == 0 {
		return ""
	}
	if s, ok := f.Stmts[0].(*syntax.ExprStmt); ok {
		if lit, ok := s.X.(*syntax.Literal); ok {
			if text, ok := lit.Value.(string); ok {
				return text
			}
		}
	}
	return ""
}

// loadStatement answers load("lib/x.star", ...).
func (l *loader) loadStatement(site bool) func(*starlark.Thread, string) (starlark.StringDict, error) {
	return func(_ *starlark.Thread, name string) (starlark.StringDict, error) {
		if err := loadable(name); err != nil {
			return nil, err
		}
		return l.load(name, site)
	}
}

// loadable returns an error unless name is one that load may be given.
func loadable(name string) error {
	switch {
	case name == "" || path.IsAbs(name) || path.Clean(name) != name || slices.Contains(strings.Split(name, "/"), ".."):
		return ruled("load-file", Hint(fmt.Errorf("cannot load %q", name),
			"name a file below the runbook's directory: load(\"lib/x.star\", \"f\")"))
	case !strings.HasSuffix(name, ".star"):
		return ruled("load-file", Hint(fmt.Errorf("cannot load %q", name), "only .star files can be loaded"))
	}
	return nil
}

func (l *loader) print(_ *starlark.Thread, msg string) {
	if l.run != nil {
		l.run.log(msg)
	}
}
