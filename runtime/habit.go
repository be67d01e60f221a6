package runtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"runbook/runtime/secret"
)

// What people write out of habit, and what it does not mean here.

// habits looks at one node of a file for mistakes that are no wrong names or calls.
func (c *checker) habits(n syntax.Node, early bool) {
	switch n := n.(type) {
	case *syntax.IfStmt:
		c.condition(n.Cond)
	case *syntax.CondExpr:
		c.condition(n.Cond)
	case *syntax.IfClause:
		c.condition(n.Cond)
	case *syntax.ForStmt:
		c.pairs(n.Vars, n.X)
		c.iterated(n.X)
	case *syntax.ForClause:
		c.pairs(n.Vars, n.X)
		c.iterated(n.X)
	case *syntax.DictExpr:
		c.keys(n)
	case *syntax.IndexExpr:
		c.cut(n.X, spanOf(n))
	case *syntax.SliceExpr:
		c.cut(n.X, spanOf(n))
	case *syntax.BinaryExpr:
		c.sum(n)
		c.comparison(n)
	case *syntax.DotExpr:
		c.attribute(n)
	case *syntax.AssignStmt:
		if !early {
			c.augmented(n)
		}
	case *syntax.CallExpr:
		c.property(n)
		c.method(n, early)
	}
}

// method looks at a call of a method, or of one of Starlark's functions that measure.
func (c *checker) method(n *syntax.CallExpr, early bool) {
	dot, ok := n.Fn.(*syntax.DotExpr)
	if ok {
		c.methodNames(n, dot)
	}
	if ok && !early && changesList(dot.Name.Name) {
		c.frozen(dot.X, n)
	}
	id, ok := n.Fn.(*syntax.Ident)
	if ok && isUniversal(id) && measures(id.Name) == guardTexts && len(n.Args) == 1 {
		c.cut(n.Args[0], spanOf(n))
	}
}

// condition refuses results as conditions, and texts that are always true.
func (c *checker) condition(x syntax.Expr) {
	switch x := x.(type) {
	case *syntax.ParenExpr:
		c.condition(x.X)
		return
	case *syntax.UnaryExpr:
		if x.Op == syntax.NOT {
			c.condition(x.X)
		}
		return
	case *syntax.BinaryExpr:
		if x.Op == syntax.AND || x.Op == syntax.OR {
			c.condition(x.X)
			c.condition(x.Y)
		}
		return
	}
	if c.know.value(x).Type() == "result" {
		c.add(spanOf(x), "result-as-value", (*result)(nil).misuse())
	}
	if word := c.alwaysTrue(x); word != "" {
		err := fmt.Errorf("the text %q is true as a condition, as any text that is not empty is", word)
		c.add(spanOf(x), "always-true", Hint(err, "make the var a bool: its default is True or False, without quotes"))
	}
}

// constantConditions refuses conditions that a person's answer does not change.
func (rt *Runtime) constantConditions(f *syntax.File, pre starlark.StringDict) error {
	c := &checker{rt: rt, pre: pre, placeholders: secret.NewPlaceholders()}
	c.know.c = c
	c.know.learn(f)
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.IfStmt:
			c.condition(n.Cond)
		case *syntax.CondExpr:
			c.condition(n.Cond)
		}
		return true
	})
	if len(c.found) > 0 {
		return c.found
	}
	return nil
}

// alwaysTrue returns the default of a var that x names, if that is the name of a
// truth in quotes.
func (c *checker) alwaysTrue(x syntax.Expr) string {
	call, ok := c.know.once[firstOf(x)].(*syntax.CallExpr)
	if !ok || predeclaredName(call.Fn) != "var" || c.know.value(x).Type() != "string" {
		return ""
	}
	for i, a := range call.Args {
		named, isNamed := a.(*syntax.BinaryExpr)
		if isNamed && named.Op == syntax.EQ && named.X.(*syntax.Ident).Name == "default" {
			a, i = named.Y, 1
		}
		text, ok := c.know.value(a).(starlark.String)
		if ok && i == 1 && slices.Contains(strings.Fields("true false yes no on off 0 1"), strings.ToLower(string(text))) {
			return string(text)
		}
	}
	return ""
}

// pairs refuses a loop over the keys of a dict that takes them for pairs.
func (c *checker) pairs(vars, x syntax.Expr) {
	if tuple, ok := vars.(*syntax.TupleExpr); ok && len(tuple.List) == 2 && c.know.value(x).Type() == "dict" {
		c.add(spanOf(x), "dict-pairs", Hint(errors.New("a loop over a dict gets its keys, one at a time"),
			"for keys and values: for "+names2(tuple.List)+" in "+orName(x, "d")+".items()"))
	}
}

func names2(list []syntax.Expr) string { return exprText(list[0]) + ", " + exprText(list[1]) }

// orName is the text of an expression that is short, else name.
func orName(x syntax.Expr, name string) string {
	switch x.(type) {
	case *syntax.Ident, *syntax.DotExpr:
		return exprText(x)
	}
	return name
}

// exprText is an expression in few words.
func exprText(x syntax.Expr) string {
	switch x := x.(type) {
	case *syntax.Ident:
		return x.Name
	case *syntax.DotExpr:
		return exprText(x.X) + "." + x.Name.Name
	case *syntax.Literal:
		return x.Raw
	case *syntax.ListExpr:
		if len(x.List) == 0 {
			return "[]"
		}
	case *syntax.DictExpr:
		if len(x.List) == 0 {
			return "{}"
		}
	}
	return "..."
}

// sum refuses the sum of a text and a number.
func (c *checker) sum(n *syntax.BinaryExpr) {
	if n.Op != syntax.PLUS {
		return
	}
	x, y := c.know.value(n.X).Type(), c.know.value(n.Y).Type()
	if x == "string" && y == "int" || x == "int" && y == "string" {
		c.add(tokenAt(n.OpPos), "mixed-types", fmt.Errorf("unknown binary op: %s + %s", x, y))
	}
}

// augmented refuses what only adds to a name that it never sets.
func (c *checker) augmented(n *syntax.AssignStmt) {
	if index, ok := n.LHS.(*syntax.IndexExpr); ok {
		c.frozen(index.X, n)
		return
	}
	id, ok := n.LHS.(*syntax.Ident)
	if !ok || n.Op == syntax.EQ {
		return
	}
	if first := firstOf(id); first != nil && !c.set[first] {
		c.add(spanOf(id), "unset-name", fmt.Errorf("local variable %s referenced before assignment", id.Name))
	}
}

// comparison refuses secrets in one.
func (c *checker) comparison(n *syntax.BinaryExpr) {
	if !compares(n.Op) {
		return
	}
	x, y := c.know.value(n.X), c.know.value(n.Y)
	if keys := n.Op == syntax.IN || n.Op == syntax.NOT_IN; keys && y.Type() == "dict" {
		y = starlark.None
	}
	for _, v := range []starlark.Value{x, y} {
		if err := refuseSecrets(c.placeholders, v, 20); errors.Is(err, errSecret) {
			c.add(tokenAt(n.OpPos), "secret-compared", err)
			return
		}
	}
}

// attribute refuses what a value of a known type has not.
func (c *checker) attribute(n *syntax.DotExpr) {
	var have []string
	typ := c.know.value(n.X).Type()
	switch typ {
	case "dict":
		have = new(starlark.Dict).AttrNames()
	case "list":
		have = new(starlark.List).AttrNames()
	case "string":
		have = starlark.String("").AttrNames()
	case "result":
		have = (*result)(nil).AttrNames()
	case "answer":
		have = []string{"code", "stderr", "stdout"}
	}
	if name := n.Name.Name; have != nil && !slices.Contains(have, name) {
		c.add(afterDot(n), "unknown-member", Nearest(fmt.Errorf("%s has no .%s field or method", typ, name), name, have))
	}
}

func changesList(method string) bool {
	methods := strings.Fields("append extend insert remove pop clear update setdefault popitem add discard")
	return slices.Contains(methods, method)
}

// frozen refuses a step's change of a list or dict of the file.
func (c *checker) frozen(x syntax.Expr, n syntax.Node) {
	id, ok := x.(*syntax.Ident)
	if !ok || c.loads[c.inside] {
		return
	}
	b, ok := id.Binding.(*resolve.Binding)
	if !ok || b.Scope != resolve.Global || c.know.once[b.First] == nil {
		return
	}
	if typ := c.know.value(id).Type(); typ == "list" || typ == "dict" {
		c.add(spanOf(n), "frozen-value", fmt.Errorf("cannot change the frozen %s %s", typ, id.Name))
	}
}

// property refuses a call of host.family and the like.
func (c *checker) property(n *syntax.CallExpr) {
	dot, ok := n.Fn.(*syntax.DotExpr)
	if !ok {
		return
	}
	space := predeclaredName(dot.X)
	if ns, ok := c.pre[space].(*namespace); ok && ns.property[dot.Name.Name] {
		name := space + "." + dot.Name.Name
		_, end := n.Span()
		err := fmt.Errorf("%s is a value, not a function", name)
		c.add(span{n.Lparen, end}, "no-function", Hint(err, "leave the parentheses out: "+name))
	}
}

// learnLoads finds the functions that run while the file loads: those are called at
// its top level, or by such functions. And it finds whether steps are declared.
func (c *checker) learnLoads(f *syntax.File) {
	defs := map[*syntax.Ident]*syntax.DefStmt{}
	for _, s := range f.Stmts {
		if d, ok := s.(*syntax.DefStmt); ok {
			defs[d.Name] = d
		}
	}
	c.loads = map[*syntax.DefStmt]bool{}
	var follow func(n syntax.Node) bool
	follow = func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CallExpr:
			if name := predeclaredName(n.Fn); name == "step" || name == "manual" {
				c.runbook = true
				return false
			}
		case *syntax.Ident:
			if d := defs[firstOf(n)]; d != nil && !c.loads[d] {
				c.loads[d] = true
				for _, s := range d.Body {
					syntax.Walk(s, follow)
				}
			}
		}
		return true
	}
	for _, s := range f.Stmts {
		if _, ok := s.(*syntax.DefStmt); !ok {
			syntax.Walk(s, follow)
		}
	}
}

// tooLate returns an error for what belongs to the top of a file and is called by a
// step.
func tooLate(name string) error {
	return ruled("too-late", Hint(fmt.Errorf("%s called in a step", name), "write it at the top of the file, "+
		"outside functions: what can be set and done is known before anything runs"))
}
