package runtime

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"runbook/runtime/nearest"
)

// What a runbook itself declares, defines and loads.

// A signature is what a function takes.
type signature struct {
	text       string   // NAME(a, b = 1)
	names      []string // that may be given
	required   []string
	positional int // how many may be given without their names
	star       bool
	stars      bool
}

func signatureOf(d *syntax.DefStmt) (s signature) {
	var parts []string
	named := false // behind a star
	for _, p := range d.Params {
		switch p := p.(type) {
		case *syntax.Ident:
			s.names, s.required, parts = append(s.names, p.Name), append(s.required, p.Name), append(parts, p.Name)
		case *syntax.BinaryExpr:
			name := p.X.(*syntax.Ident).Name
			s.names, parts = append(s.names, name), append(parts, name+" = "+exprText(p.Y))
		case *syntax.UnaryExpr:
			name := ""
			if p.X != nil {
				name = exprText(p.X)
			}
			s.star, s.stars = s.star || p.Op == syntax.STAR && p.X != nil, s.stars || p.Op == syntax.STARSTAR
			named, parts = true, append(parts, p.Op.String()+name)
			continue
		}
		if !named {
			s.positional++
		}
	}
	s.text = d.Name.Name + "(" + strings.Join(parts, ", ") + ")"
	return s
}

// ownCall compares a call with the function of the file, or of one that it loads.
func (c *checker) ownCall(n *syntax.CallExpr) {
	id, ok := n.Fn.(*syntax.Ident)
	if !ok {
		return
	}
	d := c.defs[firstOf(id)]
	if d == nil || c.know.bound[firstOf(id)] != 1 {
		return
	}
	s := signatureOf(d)
	given := map[string]bool{}
	plain := 0
	for _, a := range n.Args {
		named, isNamed := a.(*syntax.BinaryExpr)
		switch {
		case plainArgument(a):
			if plain++; plain <= s.positional {
				given[s.names[plain-1]] = true
			}
		case isNamed:
			c.ownArgument(id.Name, named.X.(*syntax.Ident), s, given)
		default:
			return // *args or **kwargs: what they hold is not known here
		}
	}
	if plain > s.positional && !s.star {
		err := fmt.Errorf("%s: got %d arguments without a name, want at most %d", id.Name, plain, s.positional)
		c.add(spanOf(n.Fn), "surplus-argument", Hint(err, "it is "+s.text))
		return
	}
	for _, name := range s.required {
		if !given[name] {
			err := fmt.Errorf("%s: argument %q is missing", id.Name, name)
			c.add(spanOf(n.Fn), "missing-argument", Hint(err, "it is "+s.text))
			return
		}
	}
}

// ownArgument looks at an argument that is given by its name.
func (c *checker) ownArgument(fn string, name *syntax.Ident, s signature, given map[string]bool) {
	switch {
	case !slices.Contains(s.names, name.Name) && !s.stars:
		c.add(spanOf(name), "unknown-argument", noArgument(fn, name.Name, s.names))
	case given[name.Name]:
		err := fmt.Errorf("%s: two values for %q", fn, name.Name)
		c.add(spanOf(name), "repeated-argument", Hint(err, "it is "+s.text+": leave one of the two out"))
	}
	given[name.Name] = true
}

// learnDefs finds the functions that a file defines at its top level or loads.
func (c *checker) learnDefs(f *syntax.File) {
	c.defs = map[*syntax.Ident]*syntax.DefStmt{}
	for _, s := range f.Stmts {
		switch s := s.(type) {
		case *syntax.DefStmt:
			c.defs[s.Name] = s
		case *syntax.LoadStmt:
			there := c.defsOf(s.ModuleName())
			for i, from := range s.From {
				c.defs[s.To[i]] = there[from.Name]
			}
		}
	}
}

// defsOf returns the functions of another file by name.
func (c *checker) defsOf(module string) map[string]*syntax.DefStmt {
	defs := map[string]*syntax.DefStmt{}
	src, _, err := c.lib.read(module)
	if err != nil {
		return nil
	}
	f, err := dialect.Parse(module, src, 0)
	if err != nil {
		return nil
	}
	for _, s := range f.Stmts {
		if d, ok := s.(*syntax.DefStmt); ok {
			defs[d.Name.Name] = d
		}
	}
	return defs
}

// load compares what is loaded with what the other file defines.
func (c *checker) load(n *syntax.LoadStmt) {
	module := n.ModuleName()
	err := loadable(module)
	var src []byte
	if err == nil {
		src, _, err = c.lib.read(module)
		if errors.Is(err, fs.ErrNotExist) {
			err = c.noFile(module)
		}
	}
	if err != nil {
		for _, id := range n.To {
			c.uses[id]++ // one mistake is enough
		}
		c.add(spanOf(n.Module), "load-file", err)
		return
	}
	f, err := dialect.Parse(module, src, 0)
	if err != nil {
		return
	}
	var names []string
	for _, s := range f.Stmts {
		if _, ok := s.(*syntax.LoadStmt); !ok {
			for _, id := range bound(&syntax.File{Stmts: []syntax.Stmt{s}}) {
				names = append(names, id.Name)
			}
		}
	}
	for i, from := range n.From {
		if !slices.Contains(names, from.Name) {
			c.uses[n.To[i]]++
			err := fmt.Errorf("%s does not define %s", module, from.Name)
			c.add(spanOf(from), "unknown-name", Nearest(err, from.Name, names))
		}
	}
}

// noFile is the error about a file that is not there to be loaded.
func (c *checker) noFile(module string) error {
	var files []string
	for _, fsys := range []fs.FS{c.lib.Dir, c.lib.Shipped} {
		if fsys != nil {
			found, _ := fs.Glob(fsys, path.Join(path.Dir(module), "*.star")) // a bad pattern is the only error
			files = append(files, found...)
		}
	}
	err := fmt.Errorf("cannot load %s: there is no such file", strconv.Quote(module))
	if near := nearest.Of(module, files); near != "" {
		return Hint(err, fmt.Sprintf("did you mean %q?", near))
	}
	return Hint(err, "it is looked for in the runbook's directory, then among the shipped files")
}

// calledInstead refuses the value of a function where the function itself is wanted.
func (c *checker) calledInstead(b *Builtin, exprs map[string]syntax.Expr) bool {
	for _, p := range b.Params() {
		call, ok := exprs[p.Name].(*syntax.CallExpr)
		if !ok || !strings.HasSuffix(p.Type, "function") {
			continue
		}
		if fn, ok := call.Fn.(*syntax.Ident); ok && b.declare != nil && givesNothing(c.defs[firstOf(fn)]) {
			err := fmt.Errorf("%s: argument %q: got what %s() returns, want the function itself", b.Name, p.Name, fn.Name)
			c.add(spanOf(call), "wrong-value", Hint(err, "leave the parentheses out: "+fn.Name))
			return true
		}
	}
	return false
}

// givesNothing reports whether a function of the file returns no value, and so no function.
func givesNothing(def *syntax.DefStmt) bool {
	if def == nil {
		return false
	}
	nothing := true
	syntax.Walk(def, func(n syntax.Node) bool {
		if r, ok := n.(*syntax.ReturnStmt); ok && r.Result != nil {
			nothing = false
		}
		return nothing
	})
	return nothing
}

// declaration remembers what a call at the top of a file declares, which must not be declared twice.
func (c *checker) declaration(b *Builtin, exprs map[string]syntax.Expr, n *syntax.CallExpr) {
	if b.declare == nil || b.site {
		return
	}
	name, _ := starlark.AsString(c.know.value(orNone(exprs["name"])))
	kind := b.Name
	switch b.Name {
	case "step":
		if fn, ok := exprs["fn"].(*syntax.Ident); ok && exprs["name"] == nil {
			name = fn.Name
		}
	case "manual":
		kind = "step"
	case "var", "secret":
	default:
		return
	}
	what := kind + " " + name
	if name == "" {
		return
	}
	if at, twice := c.declared[what]; twice {
		c.add(span{start: n.Lparen}, "declared-twice", Hint(fmt.Errorf("%s: declared twice, first at %s", what, at),
			"give one of them another name, or delete it"))
		return
	}
	if c.declared == nil {
		c.declared = map[string]syntax.Position{}
	}
	c.declared[what] = n.Lparen
}

func orNone(x syntax.Expr) syntax.Expr {
	if x == nil {
		return &syntax.ListExpr{}
	}
	return x
}

// tweaking holds a site's file against the runbooks beside it and the shipped ones. Where several of them say
// something about the same place, the one with a name that may be meant is told.
func (c *checker) tweaking(name string) {
	var all Errors
	for _, book := range c.siteBooks(name) {
		if len(book.Steps) == 0 {
			continue // it is wrong itself
		}
		itself := func(b *Runbook) bool { return b == book }
		others := slices.DeleteFunc(slices.Clone(c.siteBooks(name)), itself)
		_, err := c.rt.loadBeside(c.siteLibrary(name), book.Name, Inputs{}, others)
		if errors.Is(err, ErrMissing) {
			continue // its tweaks are not looked at without its vars
		}
		for _, e := range problemsIn(name, err) {
			at := slices.IndexFunc(all, func(o *Error) bool { return o.Pos == e.Pos && o.rule == e.rule })
			switch {
			case at < 0:
				all = append(all, e)
			case strings.Contains(e.Hint(), "did you mean") && !strings.Contains(all[at].Hint(), "did you mean"):
				all[at] = e
			}
		}
	}
	c.addNew(all)
}

// siteLibrary is where the runbooks come from for which a site's file can be.
func (c *checker) siteLibrary(name string) Library {
	lib := c.lib
	lib.Site = &Site{FS: lib.Dir, Name: name, Dir: "/"}
	return lib
}

// siteBooks are these runbooks.
func (c *checker) siteBooks(name string) []*Runbook {
	if c.books == nil {
		c.books = (&loader{rt: c.rt, lib: c.siteLibrary(name), book: &Runbook{}}).siblings()
	}
	return c.books
}

// siteVar is what is known of vars.NAME in a site's file.
func (c *checker) siteVar(name string) starlark.Value {
	if !c.site {
		return unknown{}
	}
	var types []string
	for _, book := range c.siteBooks(c.loader.book.Name) {
		if slices.ContainsFunc(book.Secrets, func(d SecretDecl) bool { return d.Name == name }) {
			return secretValue{c.placeholders.Of("any")}
		}
		for _, v := range book.Vars {
			if v.Name == name {
				types = append(types, map[bool]string{true: "string", false: v.Type}[v.Type == "path"])
			}
		}
	}
	if types = slices.Compact(types); len(types) == 1 {
		return unknown{typ: types[0]}
	}
	return unknown{}
}

// wrappers finds functions that replace a step, get the replaced function, and never call it.
func (c *checker) wrappers(f *syntax.File) {
	syntax.Walk(f, func(n syntax.Node) bool {
		call, ok := n.(*syntax.CallExpr)
		if !ok || predeclaredName(call.Fn) != "replace" || len(call.Args) < 2 {
			return true
		}
		fn := call.Args[1]
		if named, ok := fn.(*syntax.BinaryExpr); ok && named.Op == syntax.EQ {
			fn = named.Y
		}
		id, _ := fn.(*syntax.Ident)
		if id == nil || c.defs[firstOf(id)] == nil {
			return true
		}
		if got := params(c.defs[firstOf(id)].Params); len(got) == 1 && c.uses[got[0]] == 0 {
			old := got[0].Name
			c.add(spanOf(got[0]), "unused-step", Hint(fmt.Errorf("%s is never called: what the step did is not done", old),
				fmt.Sprintf("call it where it belongs, %s(), or leave the parameter out", old)))
		}
		return true
	})
}

// problemsIn returns the problems in err that are about a file.
func problemsIn(name string, err error) (here Errors) {
	if err == nil {
		return nil
	}
	for _, e := range problemsOf(err) {
		if file, _ := splitPlace(e.Pos); file == name {
			here = append(here, e)
		}
	}
	return here
}

// stepless refuses a runbook without steps: a file that nobody loads although it is no library in lib/.
func (c *checker) stepless(f *syntax.File, name string) {
	if c.runbook || strings.Contains(name, "/") || name == "runbook.star" || strings.HasSuffix(name, "_test.star") ||
		c.lib.loads(name) {
		return
	}
	for _, s := range f.Stmts {
		if d, ok := s.(*syntax.DefStmt); ok {
			c.add(spanOf(d.Name), "no-step", Hint(fmt.Errorf("no step is declared: nothing calls %s", d.Name.Name),
				fmt.Sprintf("write step(%s) below it; what other files load belongs into lib/", d.Name.Name)))
			return
		}
	}
	if len(c.found) > 0 {
		return // which may be why
	}
	where := tokenAt(syntax.MakePosition(&name, 1, 1))
	if len(f.Stmts) > 0 {
		where = firstLine(f.Stmts[0])
	}
	c.add(where, "no-step", Hint(errors.New("no step is declared: a run would do nothing"),
		"write a function and step(NAME) below it; what other files load belongs into lib/"))
}
