package runtime

import (
	"slices"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Needed returns the secrets that a run asks for: those whose when= holds and, if
// only some steps are chosen, that a chosen step can reach. chosen is called with
// each step in order; nil chooses all.
func (b *Runbook) Needed(chosen func(Step) (ok bool, why string)) []SecretDecl {
	u := user{l: b.loader, seen: map[starlark.Value]bool{}, names: map[string]bool{}}
	all := true
	for _, s := range b.Steps {
		if chosen != nil {
			if ok, _ := chosen(s); !ok {
				all = false
				continue
			}
		}
		u.text(s.Doc)
		u.value(s.fn)
		u.value(s.when)
	}
	return slices.DeleteFunc(slices.Clone(b.Secrets), func(d SecretDecl) bool {
		return !d.Asked || !all && !u.names[d.Name]
	})
}

// A user is functions that use secrets: it follows what they can reach.
type user struct {
	l     *loader
	seen  map[starlark.Value]bool // functions
	names map[string]bool         // of secrets
}

func (u *user) text(s string) {
	for _, name := range u.l.book.placeholders.Names(s) {
		u.names[name] = true
	}
}

func (u *user) value(v starlark.Value) {
	switch v := v.(type) {
	case secretValue:
		u.text(v.placeholder)
	case starlark.String:
		u.text(string(v))
	case *starlark.Function:
		if !u.seen[v] {
			u.seen[v] = true
			u.function(v)
		}
	case *starlark.Builtin:
		u.value(v.Receiver()) // of "...".format
	case *starlark.Dict:
		for _, x := range keysAndValues(v) {
			u.value(x)
		}
	case starlark.Iterable:
		for x := range starlark.Elements(v) {
			u.value(x)
		}
	}
}

// function follows defaults, variables of functions around fn, and every global that
// its text names.
func (u *user) function(fn *starlark.Function) {
	for i := range fn.NumParams() {
		u.value(fn.ParamDefault(i))
	}
	for i := range fn.NumFreeVars() {
		_, v := fn.FreeVar(i)
		u.value(v)
	}
	m := u.l.modules[fn.Position().Filename()]
	if m == nil {
		return
	}
	for name := range namesIn(bodyAt(m.file, fn.Position())) {
		if v, ok := m.globals[name]; ok {
			u.value(v)
		} else {
			u.value(u.loaded(m.file, name))
		}
	}
}

// loaded returns what a file loads under a name, nil if nothing.
func (u *user) loaded(f *syntax.File, name string) starlark.Value {
	for _, s := range f.Stmts {
		load, ok := s.(*syntax.LoadStmt)
		if !ok {
			continue
		}
		i := slices.IndexFunc(load.To, func(id *syntax.Ident) bool { return id.Name == name })
		if m := u.l.modules[load.ModuleName()]; i >= 0 && m != nil {
			return m.globals[load.From[i].Name]
		}
	}
	return nil
}

// bodyAt returns the function of a file that begins at pos; the file if there is none.
func bodyAt(f *syntax.File, pos syntax.Position) (body syntax.Node) {
	body = f
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.DefStmt:
			if n.Def == pos || n.Name.NamePos == pos {
				body = n
			}
		case *syntax.LambdaExpr:
			if n.Lambda == pos {
				body = n
			}
		}
		return true
	})
	return body
}

func namesIn(n syntax.Node) map[string]bool {
	names := map[string]bool{}
	syntax.Walk(n, func(n syntax.Node) bool {
		if id, ok := n.(*syntax.Ident); ok {
			names[id.Name] = true
		}
		return true
	})
	return names
}
