package runtime

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"runbook/runtime/secret"
	"runbook/runtime/trace"
)

// A Suite is a file of tests of runbooks: its functions whose names begin with test_. It touches no machine; what runs
// runbooks on simulated ones are the builtins that LoadSuite is given.
type Suite struct {
	Name  string // as the library knows it
	Tests []Test
	// Watch, if not nil, gets each event of the runs that the tests make.
	Watch func(trace.Event)

	loader  *loader
	pre     starlark.StringDict // what the file sees
	printed []string            // by the test under way
	refused string              // why the last run of it that failed did
	hiders  []func(string) string
}

// A Test is a function of a suite.
type Test struct {
	Name string
	Pos  string // where it is defined
	Doc  string

	fn    *starlark.Function
	suite *Suite
}

// testPrefix begins the names of tests.
const testPrefix = "test_"

// LoadSuite executes the top level of a file of tests, which sees the given builtins besides the others.
func (rt *Runtime) LoadSuite(lib Library, name string, builtins []*Builtin) (*Suite, error) {
	s := &Suite{Name: name}
	l := &loader{rt: rt, book: &Runbook{Name: path.Base(name), placeholders: secret.NewPlaceholders()}, lib: lib, suite: s,
		modules: map[string]*module{}, declared: map[string]string{}, meter: rt.meter(name)}
	s.loader, l.lib.Site = l, nil
	defer l.meter.watch()()
	l.book.loader, l.pre = l, rt.predeclared(l)
	s.pre = maps.Clone(l.pre)
	for _, b := range builtins {
		l.add(s.pre, b)
	}
	globals, err := l.load(name, false)
	if err != nil {
		return nil, located("", Mistake, err)
	}
	return s, s.collect(globals)
}

// collect finds the tests, in the order in which they are written.
func (s *Suite) collect(globals starlark.StringDict) error {
	var wrong Errors
	for _, v := range globals {
		fn, ok := v.(*starlark.Function)
		if !ok || !strings.HasPrefix(fn.Name(), testPrefix) || fn.Position().Filename() != s.Name {
			continue
		}
		if fn.NumParams() > 0 {
			wrong = append(wrong, &Error{Class: Mistake, Pos: fn.Position().String(),
				Err:    fmt.Errorf("%s takes arguments, want none", fn.Name()),
				Advice: "a test makes what it needs: m = machine(); a helper has another name"})
		}
		s.Tests = append(s.Tests, Test{fn.Name(), fn.Position().String(), dedent(fn.Doc()), fn, s})
	}
	slices.SortFunc(s.Tests, func(a, b Test) int { return int(a.fn.Position().Line) - int(b.fn.Position().Line) })
	slices.SortFunc(wrong, func(a, b *Error) int { return strings.Compare(a.Pos, b.Pos) })
	switch {
	case len(wrong) > 0:
		return wrong
	case len(s.Tests) == 0:
		return &Error{Class: Mistake, Pos: s.Name, Err: errors.New("has no test"),
			Advice: "a test is a function whose name begins with test_; what several files share belongs into lib/"}
	}
	return nil
}

// Do runs a test. It returns what the test printed, without the secrets that it gave to runs.
func (t Test) Do(ctx context.Context) (printed []string, err error) {
	s, l := t.suite, t.suite.loader
	s.printed, s.hiders, s.refused = nil, nil, ""
	l.meter = newMeter(ctx, l.meter.giveUp)
	thread := l.meter.step(t.Name)
	thread.Print = func(_ *starlark.Thread, text string) { s.printed = append(s.printed, text) }
	defer l.meter.watch()()
	defer context.AfterFunc(ctx, func() { thread.Cancel(context.Cause(ctx).Error()) })()
	_, err = starlark.Call(thread, t.fn, nil, nil)
	for _, text := range s.printed {
		printed = append(printed, s.Hide(text))
	}
	if err == nil {
		return printed, nil
	}
	err = located("", Failed, err)
	if e, ok := err.(*Error); ok {
		e.Err, e.Advice = hidden{e.Err, s.Hide}, s.Hide(e.Hint())
	}
	return printed, err
}

// Hide returns text with names in the place of the secrets that the test under way has given to runs.
func (s *Suite) Hide(text string) string {
	for _, hide := range s.hiders {
		text = hide(text)
	}
	return text
}

// hidden is an error without secrets.
type hidden struct {
	error
	hide func(string) string
}

func (h hidden) Error() string { return h.hide(h.error.Error()) }
func (h hidden) Unwrap() error { return h.error }

// What builtins of tests may do besides.

// CallFunction calls a function of the test without arguments.
func (c *Call) CallFunction(fn starlark.Callable, args ...starlark.Value) (starlark.Value, error) {
	return starlark.Call(c.thread, fn, args, nil)
}

// Tests returns the suite that calls.
func (c *Call) Tests() *Suite { return c.suite }

// HideWith has texts of the test shown by hide from now on.
func (s *Suite) HideWith(hide func(string) string) { s.hiders = append(s.hiders, hide) }

// Load loads a runbook for a test: of the suite's directory, or a shipped one, with .star added if need be. site names
// the site's own file in that directory; without one there is none.
func (s *Suite) Load(name string, vars map[string]starlark.Value, site string) (*Runbook, error) {
	lib, in := s.loader.lib, Inputs{Files: map[string]any{}}
	for k, v := range vars {
		in.Files[k] = plainValue(v)
	}
	name, err := s.find(name)
	if err != nil {
		return nil, err
	}
	if lib.Dir != nil && path.Dir(name) != "." {
		if lib.Dir, err = fs.Sub(lib.Dir, path.Dir(name)); err != nil {
			return nil, err
		}
		name = path.Base(name)
	}
	if site != "" {
		lib.Site = &Site{FS: s.loader.lib.Dir, Name: site}
		if !s.Has(site) {
			return nil, Hint(fmt.Errorf("no file %q beside the test", site), "site = False runs without one")
		}
	}
	return s.loader.rt.Load(lib, name, in)
}

// RunFailed notes why a run of a test failed: the test may have expected that, or not.
func (s *Suite) RunFailed(why string) { s.refused = why }

// LastFailure is why the last run that failed did, of the test that ran last; "" if none did.
func (s *Suite) LastFailure() string { return s.refused }

// Has reports whether a file is in the suite's directory.
func (s *Suite) Has(name string) bool {
	return s.loader.lib.Dir != nil && isFile(s.loader.lib.Dir, name)
}

func isFile(fsys fs.FS, name string) bool {
	fi, err := fs.Stat(fsys, name)
	return err == nil && fi.Mode().IsRegular()
}

// find returns the name of a runbook in the library.
func (s *Suite) find(name string) (string, error) {
	lib := s.loader.lib
	clean := path.Clean(name)
	if !fs.ValidPath(clean) {
		return "", Hint(fmt.Errorf("no runbook %q", name), "name one in the directory of the test, or a shipped one")
	}
	for _, fsys := range []fs.FS{lib.Dir, lib.Shipped} {
		for _, file := range []string{clean, clean + ".star"} {
			if fsys != nil && isFile(fsys, file) {
				return file, nil
			}
		}
	}
	var names []string
	for _, fsys := range []fs.FS{lib.Dir, lib.Shipped} {
		if fsys != nil {
			files, _ := fs.Glob(fsys, "*.star") // only a malformed pattern is an error
			names = append(names, files...)
		}
	}
	err := Nearest(fmt.Errorf("no runbook %q", name), clean, names)
	if HintOf(err) == "" {
		err = Nearest(err, clean+".star", names)
	}
	if HintOf(err) == "" {
		err = Hint(err, "it is looked for in the directory of the test, then among the shipped ones")
	}
	return "", err
}

// Apart calls do, which is not the test's own work: its time and memory are not counted as the test's.
func (s *Suite) Apart(do func() (starlark.Value, error)) (starlark.Value, error) {
	return s.loader.meter.act(false, do)
}

// answer answers a call in a file of tests, or in what it loads.
func (s *Suite) answer(t *starlark.Thread, c *Call) (starlark.Value, error) {
	switch b := c.Builtin; {
	case b.Test != nil:
		c.thread, c.suite = t, s
		return b.Test(c)
	case b.Pure != nil:
		return b.Pure(c)
	case b.Name == "log":
		s.printed = append(s.printed, fmt.Sprint(plainValue(c.given["text"])))
		return starlark.None, nil
	}
	return nil, s.refuse(c.Builtin.Name)
}

// refuse is the error of a builtin that a test cannot call.
func (s *Suite) refuse(name string) error {
	return Hint(fmt.Errorf("%s: a test touches no machine and declares no step", name),
		"a runbook does, and a test runs it: machine().run(\"x.star\")")
}
