package runtime

import (
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// member looks at NAME.MEMBER where NAME is a namespace.
func (c *checker) member(n *syntax.DotExpr, early bool) {
	space := predeclaredName(n.X)
	ns, ok := c.pre[space].(*namespace)
	if !ok {
		return
	}
	if !slices.Contains(ns.AttrNames(), n.Name.Name) {
		err := Hint(fmt.Errorf("%s has no .%s", space, n.Name.Name), "it has: "+strings.Join(ns.AttrNames(), ", "))
		c.add(n.Name.NamePos, err)
		return
	}
	if early && ns.property[n.Name.Name] {
		c.add(n.Name.NamePos, notWhileLoading(space+"."+n.Name.Name))
	}
}

// call compares a call with the builtin's parameters.
func (c *checker) call(b *Builtin, n *syntax.CallExpr, early bool) {
	c.runbook = c.runbook || b.Name == "step" || b.Name == "manual"
	start, _ := n.Span()
	if early && !b.Property && (b.New != nil || b.Read != nil || b.Name == "require") {
		c.add(start, notWhileLoading(b.Name))
	}
	args, kwargs := c.arguments(b, n)
	if _, err := b.bind(args, kwargs); err != nil {
		c.add(start, err)
	}
}

// arguments returns stand-ins for what a call gives, without what b does not know.
func (c *checker) arguments(b *Builtin, n *syntax.CallExpr) (args starlark.Tuple, kwargs []starlark.Tuple) {
	params := argNames(b.Params())
	spread := false
	for _, a := range n.Args {
		if plainArgument(a) {
			args = append(args, starlark.True)
			continue
		}
		named, ok := a.(*syntax.BinaryExpr)
		if !ok {
			spread = true // *args or **kwargs: nobody knows what they hold
			continue
		}
		id := named.X.(*syntax.Ident)
		if !slices.Contains(params, id.Name) {
			c.add(id.NamePos, withNearest(fmt.Errorf("%s: no argument %q", b.Name, id.Name), id.Name, params))
			continue
		}
		kwargs = append(kwargs, starlark.Tuple{starlark.String(id.Name), starlark.True})
	}
	if spread {
		kwargs = nil
		for _, p := range params[min(len(args), len(params)):] {
			kwargs = append(kwargs, starlark.Tuple{starlark.String(p), starlark.True})
		}
	}
	return args, kwargs
}

// load compares what is loaded with what the other file defines. That there is
// no such file is found by loading it.
func (c *checker) load(n *syntax.LoadStmt) {
	module := n.ModuleName()
	src, _, err := c.lib.read(module)
	if err != nil {
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
			c.uses[n.To[i]]++ // one mistake is enough
			c.add(from.NamePos, withNearest(fmt.Errorf("%s does not define %s", module, from.Name), from.Name, names))
		}
	}
}
