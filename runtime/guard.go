package runtime

import (
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// guardName cannot be written in a script, so nothing can shadow it.
const guardName = "(compare)"

// guard wraps the operands of every comparison in f, of indexing, and of calls
// of len and hash, in a call that refuses secrets and results: Starlark's own
// == is silently False on them, and the length of a placeholder says nothing.
func guard(f *syntax.File) {
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.BinaryExpr:
			if compares(n.Op) {
				n.X, n.Y = guarded(n.X, n.OpPos), guarded(n.Y, n.OpPos)
			}
		case *syntax.IndexExpr:
			n.Y = guarded(n.Y, n.Lbrack)
		case *syntax.CallExpr:
			if fn, ok := n.Fn.(*syntax.Ident); ok && measures(fn.Name) {
				guardArguments(n)
			}
		}
		return true
	})
}

func guardArguments(c *syntax.CallExpr) {
	for i, a := range c.Args {
		if plainArgument(a) {
			c.Args[i] = guarded(a, c.Lparen)
		}
	}
}

func measures(fn string) bool {
	switch fn {
	case "len", "hash", "sorted", "min", "max", "reversed", "enumerate", "bytes", "ord":
		return true
	}
	return false
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

func guarded(x syntax.Expr, pos syntax.Position) syntax.Expr {
	return wrapped(guardName, x, pos)
}

func (l *loader) compare(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple,
	_ []starlark.Tuple) (starlark.Value, error) {
	if err := newScale(maxNesting).add(args[0], 0); err != nil {
		return nil, err
	}
	return args[0], refuseSecrets(l.book.placeholders, args[0], 20)
}
