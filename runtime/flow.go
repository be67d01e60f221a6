package runtime

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"
)

// What a function does that nobody can need: names that it sets for nothing, statements
// that are never reached or do nothing, ways out without a value. Bazel's buildifier
// warns of the same; as a library it would make the program a third larger.

// flow looks at the functions of a file.
func (c *checker) flow(f *syntax.File) {
	read := map[*syntax.Ident]bool{}
	set := map[*syntax.Ident]bool{}
	for _, id := range boundAnywhere(f) {
		set[id] = true
	}
	syntax.Walk(f, func(n syntax.Node) bool {
		if id, ok := n.(*syntax.Ident); ok && !set[id] {
			read[firstOf(id)] = true
		}
		return true
	})
	c.block(f.Stmts)
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.DefStmt:
			c.block(n.Body)
			c.returned(n)
			c.recursion(n)
		case *syntax.IfStmt:
			c.block(n.True)
			c.block(n.False)
		case *syntax.ForStmt:
			c.block(n.Body)
		case *syntax.AssignStmt:
			c.forNothing(n, read)
		}
		return true
	})
	for id := range set {
		c.confusing(id)
	}
}

// forNothing finds a name of a function that is set and never read.
func (c *checker) forNothing(n *syntax.AssignStmt, read map[*syntax.Ident]bool) {
	id, ok := n.LHS.(*syntax.Ident)
	if !ok || n.Op != syntax.EQ || strings.HasPrefix(id.Name, "_") {
		return
	}
	b, ok := id.Binding.(*resolve.Binding)
	if ok && b.Scope == resolve.Local && b.First == id && !read[id] {
		c.add(spanOf(id), "unused-variable", Hint(fmt.Errorf("%s is set and never used", id.Name),
			"leave the name out, or begin it with _ to say that it is for people"))
	}
}

func (c *checker) confusing(id *syntax.Ident) {
	if strings.Contains("l O I", id.Name) && firstOf(id) == id {
		c.add(spanOf(id), "confusing-name", Hint(fmt.Errorf("the name %s looks like a digit", id.Name), "write a word"))
	}
}

// block looks at statements that follow each other.
func (c *checker) block(stmts []syntax.Stmt) {
	for i, s := range stmts {
		if x, ok := s.(*syntax.ExprStmt); ok && !(i == 0 && isText(x.X)) {
			c.idle(x.X)
		}
		if i+1 < len(stmts) && ends(s) {
			c.add(firstLine(stmts[i+1]), "unreachable", Hint(errors.New("this is never reached: what stands above ends it"),
				"delete it, or move it up"))
			return
		}
	}
}

// firstLine is the place of a statement, without what is indented below it.
func firstLine(s syntax.Stmt) span {
	switch s.(type) {
	case *syntax.IfStmt, *syntax.ForStmt, *syntax.DefStmt:
		start, _ := s.Span()
		return tokenAt(start)
	}
	return spanOf(s)
}

func isText(x syntax.Expr) bool {
	lit, ok := x.(*syntax.Literal)
	return ok && lit.Token == syntax.STRING
}

// ends reports whether nothing is done after a statement in its block.
func ends(s syntax.Stmt) bool {
	switch s := s.(type) {
	case *syntax.ReturnStmt:
		return true
	case *syntax.BranchStmt:
		return s.Token != syntax.PASS
	case *syntax.ExprStmt:
		call, ok := s.X.(*syntax.CallExpr)
		if !ok {
			return false
		}
		fn, ok := call.Fn.(*syntax.Ident)
		return ok && fn.Name == "fail" && isUniversal(fn)
	case *syntax.IfStmt:
		return allEnd(s.True) && allEnd(s.False)
	}
	return false
}

func allEnd(stmts []syntax.Stmt) bool { return slices.ContainsFunc(stmts, ends) }

// idle finds a value of which nothing is made.
func (c *checker) idle(x syntax.Expr) {
	what := "a value stands alone: it does nothing"
	switch x := x.(type) {
	case *syntax.CallExpr:
		if what = c.readsOnly(x); what == "" {
			return
		}
	case *syntax.ParenExpr:
		c.idle(x.X)
		return
	case *syntax.Comprehension, *syntax.CondExpr:
		if calls(x) {
			return
		}
	case *syntax.BinaryExpr:
		if !compares(x.Op) && calls(x) {
			return
		}
		if compares(x.Op) {
			what = "a comparison stands alone: it does nothing"
		}
	case *syntax.Ident:
		if d := c.defs[firstOf(x)]; d != nil || c.builtin(x) != nil {
			err := fmt.Errorf("%s stands alone: it is not called", x.Name)
			c.add(spanOf(x), "no-effect", Hint(err, "call it: "+x.Name+"(...)"))
			return
		}
	case *syntax.Literal:
		if isText(x) {
			c.add(spanOf(x), "no-effect", Hint(errors.New("a text stands alone: it does nothing"), "a comment begins with #"))
			return
		}
	}
	c.add(spanOf(x), "no-effect", Hint(errors.New(what),
		"give it a name, hand it to something, or delete it"))
}

func calls(x syntax.Expr) (found bool) {
	syntax.Walk(x, func(n syntax.Node) bool {
		_, call := n.(*syntax.CallExpr)
		found = found || call
		return !found
	})
	return found
}

// readsOnly says what a call is that is of no use without its value; "" if it may do more.
func (c *checker) readsOnly(call *syntax.CallExpr) string {
	if b := c.builtin(call.Fn); b != nil {
		if b.Pure != nil || slices.Contains(strings.Fields("exists glob sha256 host.disk_free host.listening"), b.Name) {
			return "what " + b.Name + " returns is not used"
		}
		return ""
	}
	if dot, ok := call.Fn.(*syntax.DotExpr); ok {
		if typ := c.know.value(dot.X).Type(); typ == "string" || typ == "bytes" {
			return "what ." + dot.Name.Name + " returns is not used"
		}
	}
	pure := strings.Fields("str repr int len bool list dict sorted range zip type tuple set reversed")
	if id, ok := call.Fn.(*syntax.Ident); ok && isUniversal(id) && slices.Contains(pure, id.Name) {
		return "what " + id.Name + " returns is not used"
	}
	return ""
}

// returned finds a function that returns a value on some ways only.
func (c *checker) returned(d *syntax.DefStmt) {
	var with, without *syntax.ReturnStmt
	var look func(stmts []syntax.Stmt)
	look = func(stmts []syntax.Stmt) {
		for _, s := range stmts {
			switch s := s.(type) {
			case *syntax.ReturnStmt:
				if s.Result == nil {
					without = s
				} else if id, ok := s.Result.(*syntax.Ident); !ok || id.Name != "None" {
					with = s
				}
			case *syntax.IfStmt:
				look(s.True)
				look(s.False)
			case *syntax.ForStmt:
				look(s.Body)
			}
		}
	}
	look(d.Body)
	if with == nil || without == nil && allEnd(d.Body) {
		return
	}
	err := fmt.Errorf("%s returns a value on some ways and nothing on others", d.Name.Name)
	c.add(spanOf(d.Name), "mixed-return", Hint(err,
		"end each way with return VALUE, or with return None where there is none"))
}

// recursion finds a function that calls itself.
func (c *checker) recursion(d *syntax.DefStmt) {
	for _, s := range d.Body {
		syntax.Walk(s, func(n syntax.Node) bool {
			if call, ok := n.(*syntax.CallExpr); ok && firstOf(call.Fn) == d.Name {
				c.add(spanOf(call.Fn), "recursion", Hint(fmt.Errorf("function %s calls itself", d.Name.Name),
					"functions may not: use a loop"))
			}
			return true
		})
	}
}

// iterated refuses loops over what has no elements.
func (c *checker) iterated(x syntax.Expr) {
	switch typ := c.know.value(x).Type(); typ {
	case "string":
		c.add(spanOf(x), "not-iterable", Hint(errors.New("a text is nothing to loop over"),
			orName(x, "x")+".splitlines() gives its lines, .split() its words, .elems() its characters"))
	case "int":
		c.add(spanOf(x), "not-iterable", Hint(errors.New("a number is nothing to loop over"),
			"range(n) counts from 0 to n - 1"))
	}
}

// keys refuses a key that stands twice in a dict.
func (c *checker) keys(d *syntax.DictExpr) {
	seen := map[string]bool{}
	for _, x := range d.List {
		lit, ok := x.(*syntax.DictEntry).Key.(*syntax.Literal)
		if !ok {
			continue
		}
		key := literal(lit).String()
		if seen[key] {
			c.add(spanOf(lit), "repeated-key", Hint(fmt.Errorf("duplicate key: %s", key), "leave one of the two out"))
		}
		seen[key] = true
	}
}

// cut refuses to measure or cut a secret.
func (c *checker) cut(x syntax.Expr, where span) {
	if v := c.know.value(x); v.Type() != "list" && v.Type() != "dict" && c.know.holds(v) {
		c.add(where, "secret-compared", Hint(errors.New("a secret cannot be measured or cut"),
			"what a secret must look like says pattern= of secret()"))
	}
}

// methodNames refuses names for the arguments of methods that take none.
func (c *checker) methodNames(n *syntax.CallExpr, dot *syntax.DotExpr) {
	typ := c.know.value(dot.X).Type()
	name := dot.Name.Name
	if typ != "dict" && typ != "list" && typ != "string" || typ+name == "dictupdate" || typ+name == "stringformat" {
		return
	}
	for _, a := range n.Args {
		if named, ok := a.(*syntax.BinaryExpr); ok && named.Op == syntax.EQ {
			err := fmt.Errorf("%s: no argument %q", name, named.X.(*syntax.Ident).Name)
			c.add(spanOf(named.X), "unknown-argument", Hint(err, "the methods of a "+typ+" take their arguments without names"))
		}
	}
}
