package runtime

import (
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// The guards, by names that cannot be written in a script, so nothing can shadow
// them. Each returns its argument, or refuses secrets and results in it: anywhere;
// among what "in", sorted, min and max look at, which of a dict are its keys; or in
// a text that is measured.
const (
	guardAll   = "(compare)"
	guardKeys  = "(compare keys)"
	guardTexts = "(measure)"
)

// guard wraps the operands of every comparison in f, of indexing, and of calls
// of len and hash, in a guard: Starlark's own == is silently False on secrets and
// results, and the length of a placeholder says nothing.
func guard(f *syntax.File) {
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.BinaryExpr:
			if compares(n.Op) {
				of := guardAll
				if n.Op == syntax.IN || n.Op == syntax.NOT_IN {
					of = guardKeys
				}
				n.X, n.Y = guarded(n.X, n.OpPos, guardAll), guarded(n.Y, n.OpPos, of)
			}
		case *syntax.IndexExpr:
			n.Y = guarded(n.Y, n.Lbrack, guardAll)
		case *syntax.CallExpr:
			if fn, ok := n.Fn.(*syntax.Ident); ok && measures(fn.Name) != "" {
				guardArguments(n, measures(fn.Name))
			}
		}
		return true
	})
}

func guardArguments(c *syntax.CallExpr, of string) {
	for i, a := range c.Args {
		if plainArgument(a) {
			c.Args[i] = guarded(a, c.Lparen, of)
		}
	}
}

// measures returns the guard of the arguments of one of Starlark's functions, "" if
// it needs none.
func measures(fn string) string {
	switch fn {
	case "len", "hash", "bytes", "ord":
		return guardTexts
	case "sorted", "min", "max":
		return guardKeys
	}
	return ""
}

// plainArgument reports whether e is neither *args, **kwargs nor name=value.
func plainArgument(e syntax.Expr) bool {
	switch e := e.(type) {
	case *syntax.UnaryExpr:
		return e.Op != syntax.STAR && e.Op != syntax.STARSTAR
	case *syntax.BinaryExpr:
		return e.Op != syntax.EQ
	}
	return true
}

func compares(op syntax.Token) bool {
	switch op {
	case syntax.EQL, syntax.NEQ, syntax.LT, syntax.LE, syntax.GT, syntax.GE, syntax.IN, syntax.NOT_IN:
		return true
	}
	return false
}

func guarded(x syntax.Expr, pos syntax.Position, of string) syntax.Expr { return wrapped(of, x, pos) }

// guards adds the guards to what a file sees.
func (l *loader) guards(pre starlark.StringDict) {
	add := func(name string, refuse func(starlark.Value) error) {
		guard := func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple,
			_ []starlark.Tuple) (starlark.Value, error) {
			if err := newScale(maxNesting).add(args[0], 0); err != nil {
				return nil, err
			}
			return args[0], refuse(args[0])
		}
		pre[name] = starlark.NewBuiltin(strings.Trim(name, "()"), guard)
	}
	all := func(v starlark.Value) error { return refuseSecrets(l.book.placeholders, v, 20) }
	add(guardAll, all)
	add(guardKeys, func(v starlark.Value) error {
		if d, ok := v.(*starlark.Dict); ok {
			return all(starlark.Tuple(d.Keys()))
		}
		return all(v)
	})
	add(guardTexts, func(v starlark.Value) error {
		if _, ok := v.(starlark.Iterable); ok {
			return nil
		}
		return all(v)
	})
}
