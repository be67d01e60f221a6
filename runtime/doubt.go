package runtime

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"runbook/runtime/host"
)

// What a call does that is probably not meant. It runs.

// doubt looks at a call whose arguments are in order.
func (c *checker) doubt(call *Call, n *syntax.CallExpr) {
	given, b := call.given, call.Builtin
	if argv, ok := given["argv"]; ok {
		c.exposed(call, "argv", argv)
		c.unexpanded(call, argv)
	}
	if unless, ok := given["unless"]; ok {
		c.exposed(call, "unless", unless)
	}
	c.readable(call)
	c.vital(call)
	if b.Name == "run" && !c.sometimes[n] && !c.repeatable(n) {
		c.add(spanOf(n.Fn), "run-every-time", Hint(errors.New("run: nothing says when it is done: it runs every time"),
			`say creates = "FILE", unless = ["COMMAND"] or once = "NAME"`))
	}
	if text, ok := given["question"].(starlark.String); ok && b == confirmBuiltin &&
		!strings.HasSuffix(strings.TrimSpace(string(text)), "?") {
		at, _ := call.sketch.place("question", nil)
		c.add(at, "no-question", Hint(fmt.Errorf("confirm: got %q, want a question", Readable(string(text))),
			"ask what can be answered with yes, and end it with ?"))
	}
}

// vital refuses to take away, or give away, what the system needs.
func (c *checker) vital(call *Call) {
	arg := map[string]string{"remove": "path", "move": "src", "chown": "path"}[call.Builtin.Name]
	text, ok := call.given[arg].(starlark.String)
	if owner, _ := starlark.AsString(orUnknown(call.given["owner"])); !ok || owner == "root" || owner == "0" {
		return
	}
	if err := host.SpareName(path.Clean(string(text))); err != nil {
		at, _ := call.sketch.place(arg, nil)
		c.add(at, "vital-directory", Hint(fmt.Errorf("%s: argument %q: %w", call.Builtin.Name, arg, err), HintOf(err)))
	}
}

func orUnknown(v starlark.Value) starlark.Value {
	if v == nil {
		return unknown{}
	}
	return v
}

// repeatable reports whether a call of run says when it is done, or may say so.
func (c *checker) repeatable(n *syntax.CallExpr) bool {
	return slices.ContainsFunc(n.Args, func(a syntax.Expr) bool {
		if named, ok := a.(*syntax.BinaryExpr); ok && named.Op == syntax.EQ {
			return slices.Contains(strings.Fields("creates unless once already"), named.X.(*syntax.Ident).Name)
		}
		return !plainArgument(a)
	})
}

// exposed finds secrets among the words of a command.
func (c *checker) exposed(call *Call, name string, argv starlark.Value) {
	if !holdsSecret(c.placeholders, argv) {
		return
	}
	at, _ := call.sketch.place(name, nil)
	if l, ok := call.sketch.exprs[name].(*syntax.ListExpr); ok {
		i := slices.IndexFunc(l.List, func(x syntax.Expr) bool { return c.know.holds(c.know.value(x)) })
		if i >= 0 {
			at = spanOf(l.List[i])
		}
	}
	err := fmt.Errorf("%s: a secret is a word of the command: all accounts of the machine can see it while it runs",
		call.Builtin.Name)
	c.add(at, "secret-in-argv", Hint(err,
		`hand it over with env = {"NAME": secret} or stdin = secret, if the command takes it so`))
}

// expanded is a word that means something else to a shell.
var expanded = regexp.MustCompile(`^~(/|$)|^\$\{?[A-Z_]{2,}\}?(/|$)`)

// unexpanded finds words that only a shell would replace by others.
func (c *checker) unexpanded(call *Call, argv starlark.Value) {
	l, ok := call.sketch.exprs["argv"].(*syntax.ListExpr)
	if _, list := argv.(*starlark.List); !ok || !list {
		return
	}
	for _, x := range l.List {
		text, _ := starlark.AsString(c.know.value(x))
		if text == "-c" {
			return // what follows is for a shell
		}
		if expanded.MatchString(text) {
			err := fmt.Errorf("%s: got %q, which only a shell would replace", call.Builtin.Name, text)
			c.add(spanOf(x), "shell-word", Hint(err, "no shell reads it: write the path itself, or take it from a var"))
		}
	}
}

// readable finds files that hold a secret and that everybody may read.
func (c *checker) readable(call *Call) {
	content, ok := call.given["content"]
	mode, known := call.given["mode"].(starlark.Int)
	if !ok || !known || !holdsSecret(c.placeholders, content) {
		return
	}
	if bits, ok := mode.Int64(); ok && bits&0o007 != 0 {
		at, _ := call.sketch.place("mode", nil)
		err := fmt.Errorf("%s: the text holds a secret, and mode %O lets everybody read it", call.Builtin.Name, bits)
		c.add(at, "secret-readable", Hint(err,
			`leave mode out, which is 0o600 then; or 0o640, with group = "NAME" for those who need it`))
	}
}

// learnConditions finds the calls that a condition decides about that is not the same each time: one that calls
// something, or that a function's own name stands for.
func (c *checker) learnConditions(f *syntax.File) {
	c.sometimes = map[*syntax.CallExpr]bool{}
	mark := func(cond syntax.Expr, bodies ...syntax.Node) {
		if !decides(cond) {
			return
		}
		for _, body := range bodies {
			syntax.Walk(body, func(n syntax.Node) bool {
				if call, ok := n.(*syntax.CallExpr); ok {
					c.sometimes[call] = true
				}
				return true
			})
		}
	}
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.IfStmt:
			for _, s := range slices.Concat(n.True, n.False) {
				mark(n.Cond, s)
			}
		case *syntax.CondExpr:
			mark(n.Cond, n.True, n.False)
		}
		return true
	})
}

// decides reports whether a condition depends on more than vars.
func decides(cond syntax.Expr) (found bool) {
	syntax.Walk(cond, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CallExpr, *syntax.DotExpr:
			found = true
		case *syntax.Ident:
			b, ok := n.Binding.(*resolve.Binding)
			found = found || ok && (b.Scope == resolve.Local || b.Scope == resolve.Cell || b.Scope == resolve.Free)
		}
		return !found
	})
	return found
}
