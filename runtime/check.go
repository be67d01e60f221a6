package runtime

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"runbook/runtime/secret"
)

// check returns what Diagnose finds.
func (rt *Runtime) check(lib Library, name string) Errors {
	m := rt.meter(name)
	defer m.watch()()
	src, _, err := lib.read(name)
	if err != nil {
		return Errors{{Class: Mistake, Pos: name, Err: cause(err), rule: "unreadable"}}
	}
	book := &Runbook{Name: path.Base(name), placeholders: secret.NewPlaceholders()}
	l := &loader{rt: rt, meter: m, book: book, lib: lib}
	l.pre = rt.predeclared(l)
	c := &checker{rt: rt, lib: lib, pre: l.pre, loader: l, placeholders: l.book.placeholders,
		uses: map[*syntax.Ident]int{}, set: map[*syntax.Ident]bool{}}
	policy := isPolicy(name, src)
	switch {
	case isSite(name, src):
		c.pre, c.site = rt.predeclaredForSite(l), true
	case policy:
		c.pre = rt.predeclaredForPolicy(l)
	}
	f, err := parse(name, src, c.pre)
	if err != nil {
		return problemsOf(err)
	}
	if err := resolve.File(f, c.pre.Has, starlark.Universe.Has); err != nil {
		c.found = problemsOf(parseError(err, known(f, c.pre), strings.HasPrefix(name, "lib/")))
	}
	if err := l.heresOf(f, false); err != nil {
		c.found = append(c.found, problemsOf(err)...)
	}
	c.learn(f)
	c.walk(f)
	c.unused(f)
	c.flow(f)
	switch {
	case policy: // functions that no step calls
	case c.site:
		c.wrappers(f)
		c.tweaking(name)
	default:
		c.stepless(f, name)
		c.loading(name)
	}
	return c.found
}

// isSite reports whether a file is a site's own one: it is called so, and declares no steps by itself.
func isSite(name string, src []byte) bool {
	if path.Base(name) != "runbook.star" {
		return false
	}
	f, err := dialect.Parse(name, src, 0)
	return err == nil && !declaresSteps(f)
}

// declaresSteps reports whether a file calls step or manual.
func declaresSteps(f *syntax.File) (does bool) {
	syntax.Walk(f, func(n syntax.Node) bool {
		if call, ok := n.(*syntax.CallExpr); ok {
			x, ok := call.Fn.(*syntax.Ident)
			does = does || ok && (x.Name == "step" || x.Name == "manual")
		}
		return true
	})
	return does
}

// A checker gathers the mistakes of one file.
type checker struct {
	rt      *Runtime
	lib     Library
	pre     starlark.StringDict
	uses    map[*syntax.Ident]int // of what the file binds, by its first identifier
	set     map[*syntax.Ident]bool
	runbook bool       // it declares steps
	site    bool       // it is a site's own file
	books   []*Runbook // that the site's file can be for; nil: not looked for

	siteVars map[any]bool // names that the site's file beside a runbook uses; nil: not looked at
	found    Errors

	declared map[string]syntax.Position // vars, secrets and steps of the file itself, as first says them

	loader       *loader
	placeholders *secret.Placeholders
	know         knower
	defs         map[*syntax.Ident]*syntax.DefStmt // functions, by the names that the file has for them
	loads        map[*syntax.DefStmt]bool          // functions that run while the file loads
	sometimes    map[*syntax.CallExpr]bool         // calls that a condition decides about
	inside       *syntax.DefStmt                   // of the top level, where the walk is; or nil
}

// learn gathers what is known of the names of a file before its calls are looked at.
func (c *checker) learn(f *syntax.File) {
	c.know.c = c
	c.know.learn(f)
	c.learnDefs(f)
	c.learnLoads(f)
	c.learnConditions(f)
	for _, id := range boundAnywhere(f) {
		c.set[firstOf(id)] = true
	}
	onlyAdded := map[*syntax.Ident]int{}
	syntax.Walk(f, func(n syntax.Node) bool {
		if a, ok := n.(*syntax.AssignStmt); ok && a.Op != syntax.EQ {
			onlyAdded[firstOf(a.LHS)]++
		}
		return true
	})
	for id, n := range onlyAdded {
		c.set[id] = c.know.bound[id] > n
	}
}

// add adds a mistake by a rule, or by the one that err itself names.
func (c *checker) add(where span, rule string, err error) {
	e := &Error{Class: Mistake, Pos: where.start.String(), end: where.end, Err: err, Advice: HintOf(err),
		rule: ruleIn(err, rule)}
	if hinted, ok := err.(*Error); ok {
		e.Err = hinted.Err
	}
	same := func(o *Error) bool { return o.Pos == e.Pos && o.rule == e.rule }
	if !slices.ContainsFunc(c.found, same) {
		c.found = append(c.found, explain(e))
	}
}

func problemsOf(err error) Errors {
	var all Errors
	if errors.As(err, &all) {
		return all
	}
	if e, ok := err.(*Error); ok && e.Pos != "" {
		return Errors{e}
	}
	return Errors{located("", Mistake, err).(*Error)}
}

// walk looks at every name and every call.
func (c *checker) walk(f *syntax.File) {
	for _, s := range f.Stmts {
		def, isDef := s.(*syntax.DefStmt)
		early := !isDef // what stands outside functions runs while loading
		c.inside = def
		syntax.Walk(s, func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.LambdaExpr:
				c.body(n)
				return false
			case *syntax.LoadStmt:
				c.load(n)
				return false
			default:
				c.node(n, early)
			}
			return true
		})
	}
}

// body looks at what a lambda will do later.
func (c *checker) body(l *syntax.LambdaExpr) {
	for _, x := range append(slices.Clone(l.Params), l.Body) {
		syntax.Walk(x, func(n syntax.Node) bool {
			c.node(n, false)
			return true
		})
	}
}

func (c *checker) node(n syntax.Node, early bool) {
	switch n := n.(type) {
	case *syntax.Ident:
		if b, ok := n.Binding.(*resolve.Binding); ok && b.First != nil && b.First != n {
			c.uses[b.First]++
		}
	case *syntax.DotExpr:
		c.member(n, early)
	case *syntax.CallExpr:
		if b := c.builtin(n.Fn); b != nil {
			c.call(b, n, early)
		} else {
			c.ownCall(n)
		}
	}
	c.habits(n, early)
}

// builtin returns the builtin that x names, nil if it names none.
func (c *checker) builtin(x syntax.Expr) *Builtin {
	name := ""
	switch x := x.(type) {
	case *syntax.Ident:
		name = predeclaredName(x)
	case *syntax.DotExpr:
		if space := predeclaredName(x.X); space != "" {
			name = space + "." + x.Name.Name
		}
	}
	for _, b := range c.rt.builtins {
		if b.Name == name {
			return b
		}
	}
	return nil
}

// predeclaredName is x if it is a name that the file itself does not bind.
func predeclaredName(x syntax.Expr) string {
	id, ok := x.(*syntax.Ident)
	if !ok {
		return ""
	}
	if b, ok := id.Binding.(*resolve.Binding); !ok || b.Scope != resolve.Predeclared {
		return ""
	}
	return id.Name
}

// unused finds what the file binds and nothing uses.
func (c *checker) unused(f *syntax.File) {
	for _, s := range f.Stmts {
		switch s := s.(type) {
		case *syntax.LoadStmt:
			for _, id := range s.To {
				c.mustUse(id, "unused-load", "load of", "leave it out")
			}
		case *syntax.DefStmt:
			cure := fmt.Sprintf("make it a step: step(%s), or delete it", s.Name.Name)
			if c.site {
				cure = fmt.Sprintf("hand it over: after(\"STEP\", %s), or delete it", s.Name.Name)
			}
			if c.runbook || c.site || strings.HasPrefix(s.Name.Name, "_") {
				c.mustUse(s.Name, "unused-function", "function", cure)
			}
		case *syntax.AssignStmt:
			id, isName := s.LHS.(*syntax.Ident)
			call, isCall := s.RHS.(*syntax.CallExpr)
			if !c.runbook || !isName || !isCall {
				continue
			}
			if kind := predeclaredName(call.Fn); (kind == "var" || kind == "secret") && !c.siteUses(call) {
				c.mustUse(id, "unused-var", kind, "use it, or delete it")
			}
		}
	}
}

// siteUses reports whether the site's file beside the runbook uses what a call of var or secret declares.
func (c *checker) siteUses(call *syntax.CallExpr) bool {
	if c.lib.Site == nil || len(call.Args) == 0 {
		return false
	}
	if c.siteVars == nil {
		c.siteVars = map[any]bool{}
		src, _, err := c.lib.site().read(c.lib.Site.Name)
		f, perr := dialect.Parse(c.lib.Site.Name, src, 0)
		if err == nil && perr == nil { // what is wrong with it, loading says
			for _, id := range varsNamed(f) {
				c.siteVars[id.Name] = true
			}
		}
	}
	lit, ok := call.Args[0].(*syntax.Literal)
	return ok && c.siteVars[lit.Value]
}

func (c *checker) mustUse(id *syntax.Ident, rule, what, hint string) {
	twice := func(e *Error) bool { return e.Pos == id.NamePos.String() }
	if c.uses[id] == 0 && !slices.ContainsFunc(c.found, twice) {
		c.add(spanOf(id), rule, Hint(fmt.Errorf("%s %s is never used", what, id.Name), hint))
	}
}

// loading adds what Load finds and is not known yet.
func (c *checker) loading(name string) {
	_, err := c.rt.Load(c.lib, name, Inputs{})
	if err == nil {
		return
	}
	c.addNew(problemsOf(err))
}

// addNew adds those problems that are about lines of which nothing is known yet.
func (c *checker) addNew(all Errors) {
	for _, e := range all {
		lines := []string{lineOf(e.Pos)}
		for _, pos := range e.From {
			lines = append(lines, lineOf(pos))
		}
		again := slices.ContainsFunc(c.found, func(o *Error) bool { return slices.Contains(lines, lineOf(o.Pos)) })
		if !again && !errors.Is(e.Err, ErrMissing) {
			c.found = append(c.found, e)
		}
	}
}

// lineOf cuts the column off a position.
func lineOf(pos string) string {
	if i := strings.LastIndexByte(pos, ':'); i > 0 {
		return pos[:i]
	}
	return pos
}

// afterDot is where Starlark says that something is wrong with a field: at its dot.
func afterDot(n *syntax.DotExpr) span {
	_, end := n.Span()
	return span{n.Dot, end}
}

// member looks at NAME.MEMBER where NAME is a namespace.
func (c *checker) member(n *syntax.DotExpr, early bool) {
	space := predeclaredName(n.X)
	ns, ok := c.pre[space].(*namespace)
	if !ok {
		return
	}
	if !slices.Contains(ns.AttrNames(), n.Name.Name) {
		err := Hint(fmt.Errorf("%s has no .%s", space, n.Name.Name), "it has: "+strings.Join(ns.AttrNames(), ", "))
		c.add(spanOf(n.Name), "unknown-member", err)
		return
	}
	if early && ns.property[n.Name.Name] {
		c.add(afterDot(n), "too-early", propertyWhileLoading(space+"."+n.Name.Name))
	}
}

// call compares a call with the builtin's parameters.
func (c *checker) call(b *Builtin, n *syntax.CallExpr, early bool) {
	where := spanOf(n.Fn)
	acts := b.New != nil || b.Read != nil || b.Name == "require"
	switch {
	case early && !b.Property && acts:
		c.add(where, "too-early", notWhileLoading(b.Name))
	case !early && !acts && !b.anytime && b.declare != nil && c.inside != nil && !c.loads[c.inside] && c.runbook:
		c.add(where, "too-late", tooLate(b.Name))
		return
	}
	args, kwargs, exprs := c.arguments(b, n)
	if c.calledInstead(b, exprs) {
		return
	}
	if early {
		c.declaration(b, exprs, n)
	}
	given, err := b.bind(args, kwargs)
	s := &sketch{exprs: exprs, unknown: err != nil}
	if err != nil {
		c.add(s.where(b, err, where), "wrong-value", err)
	}
	if given != nil {
		c.sketch(b, given, s, n)
	}
}

// sketch has a builtin look at what is known of its arguments.
func (c *checker) sketch(b *Builtin, given map[string]starlark.Value, s *sketch, n *syntax.CallExpr) {
	call := &Call{Builtin: b, given: given, placeholders: c.placeholders, sketch: s,
		run: &Run{Options: Options{State: "/var/lib/runbook"}}}
	if err := call.look(); err != nil && len(s.found) == 0 {
		s.settle("", err)
	}
	for _, w := range s.found {
		at, ok := s.place(w.name, w.err)
		if !ok {
			at = s.where(b, w.err, spanOf(n.Fn))
		}
		c.add(at, "wrong-value", prefixed(b.Name, w.err))
	}
	if len(s.found) == 0 {
		c.doubt(call, n)
	}
}

// arguments returns what is known of what a call gives, without what b does not know.
func (c *checker) arguments(b *Builtin, n *syntax.CallExpr) (
	args starlark.Tuple, kwargs []starlark.Tuple, exprs map[string]syntax.Expr,
) {
	exprs = map[string]syntax.Expr{}
	params := argNames(b.Params())
	spread := false
	for _, a := range n.Args {
		if plainArgument(a) {
			if len(args) < len(params) {
				exprs[params[len(args)]] = a
			}
			args = append(args, c.know.value(a))
			continue
		}
		named, ok := a.(*syntax.BinaryExpr)
		if !ok {
			spread = true // *args or **kwargs: what they hold is not known here
			continue
		}
		id := named.X.(*syntax.Ident)
		if !b.anyNames && !slices.Contains(params, id.Name) {
			c.add(spanOf(id), "unknown-argument", b.unknownArgument(id.Name))
			continue
		}
		exprs[id.Name] = named.Y
		kwargs = append(kwargs, starlark.Tuple{starlark.String(id.Name), c.know.value(named.Y)})
	}
	if spread {
		kwargs = nil
		for _, p := range params[min(len(args), len(params)):] {
			kwargs = append(kwargs, starlark.Tuple{starlark.String(p), unknown{}})
		}
	}
	return args, kwargs, exprs
}
