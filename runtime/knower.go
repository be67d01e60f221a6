package runtime

import (
	"math/big"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// A knower finds what Check knows of the values of expressions.
type knower struct {
	c     *checker
	once  map[*syntax.Ident]syntax.Expr // what a name is bound to, if that is done once
	bound map[*syntax.Ident]int         // how often a name is bound
	known map[*syntax.Ident]starlark.Value
	depth int
}

// learn remembers what the names of a file are bound to.
func (k *knower) learn(f *syntax.File) {
	k.once, k.bound = map[*syntax.Ident]syntax.Expr{}, map[*syntax.Ident]int{}
	k.known = map[*syntax.Ident]starlark.Value{}
	for _, id := range boundAnywhere(f) {
		if b, ok := id.Binding.(*resolve.Binding); ok && b.First != nil {
			k.bound[b.First]++
		}
	}
	syntax.Walk(f, func(n syntax.Node) bool {
		if a, ok := n.(*syntax.AssignStmt); ok && a.Op == syntax.EQ {
			if first := firstOf(a.LHS); first != nil && k.bound[first] == 1 {
				k.once[first] = a.RHS
			}
		}
		return true
	})
}

// firstOf returns the identifier that stands for the variable that x names, or nil.
func firstOf(x syntax.Expr) *syntax.Ident {
	if id, ok := x.(*syntax.Ident); ok {
		if b, ok := id.Binding.(*resolve.Binding); ok {
			return b.First
		}
	}
	return nil
}

const sketchDepth = 50 // of names and expressions within each other

// value returns a value, or an unknown one.
func (k *knower) value(e syntax.Expr) starlark.Value {
	if k.depth++; k.depth > sketchDepth {
		k.depth--
		return unknown{}
	}
	defer func() { k.depth-- }()
	switch e := e.(type) {
	case *syntax.ParenExpr:
		return k.value(e.X)
	case *syntax.Literal:
		return literal(e)
	case *syntax.Ident:
		return k.name(e)
	case *syntax.ListExpr:
		return starlark.NewList(k.values(e.List))
	case *syntax.TupleExpr:
		return starlark.Tuple(k.values(e.List))
	case *syntax.DictExpr:
		return k.dict(e)
	case *syntax.BinaryExpr:
		return k.binary(e)
	case *syntax.UnaryExpr:
		if e.Op == syntax.NOT {
			return unknown{typ: "bool"}
		}
	case *syntax.CondExpr:
		return k.either(k.value(e.True), k.value(e.False))
	case *syntax.CallExpr:
		return k.call(e)
	case *syntax.DotExpr:
		return k.field(e)
	case *syntax.Comprehension:
		if e.Curly {
			return unknown{}
		}
		return unknown{typ: "list"}
	}
	return unknown{}
}

func (k *knower) values(list []syntax.Expr) []starlark.Value {
	values := make([]starlark.Value, len(list))
	for i, x := range list {
		values[i] = k.value(x)
	}
	return values
}

func literal(e *syntax.Literal) starlark.Value {
	switch v := e.Value.(type) {
	case string:
		if e.Token == syntax.BYTES {
			return starlark.Bytes(v)
		}
		return starlark.String(v)
	case int64:
		return starlark.MakeInt64(v)
	case *big.Int:
		return starlark.MakeBigInt(v)
	case float64:
		return starlark.Float(v)
	}
	return unknown{}
}

// name follows a name that is bound once. What a list or dict holds may have changed
// since.
func (k *knower) name(id *syntax.Ident) starlark.Value {
	b, ok := id.Binding.(*resolve.Binding)
	switch {
	case !ok:
		return unknown{}
	case b.Scope == resolve.Universal:
		if v := starlark.Universe[id.Name]; id.Name == "True" || id.Name == "False" || id.Name == "None" {
			return v
		}
		return unknown{}
	}
	rhs, ok := k.once[b.First]
	if !ok {
		return unknown{}
	}
	v, ok := k.known[b.First]
	if !ok {
		k.known[b.First] = unknown{} // while it is looked for
		v = k.value(rhs)
		if _, list := v.(*starlark.List); list && !k.holds(v) {
			v = unknown{typ: "list"}
		} else if _, dict := v.(*starlark.Dict); dict {
			v = unknown{typ: "dict"}
		}
		k.known[b.First] = v
	}
	return v
}

func (k *knower) holds(v starlark.Value) bool { return holdsSecret(k.c.placeholders, v) }

func (k *knower) dict(e *syntax.DictExpr) starlark.Value {
	d := starlark.NewDict(len(e.List))
	for _, x := range e.List {
		entry := x.(*syntax.DictEntry)
		if err := d.SetKey(k.value(entry.Key), k.value(entry.Value)); err != nil {
			return unknown{typ: "dict"}
		}
	}
	return d
}

// text is what is known of a text that is put together from parts: that it holds a
// secret, or how it begins.
func (k *knower) text(prefix string, parts ...starlark.Value) starlark.Value {
	for _, p := range parts {
		if k.holds(p) {
			return starlark.String(prefix + k.c.placeholders.Of("any"))
		}
	}
	return unknown{typ: "string", prefix: prefix}
}

func (k *knower) either(a, b starlark.Value) starlark.Value {
	switch {
	case k.holds(a):
		return a
	case k.holds(b):
		return b
	case a.Type() == b.Type():
		return unknown{typ: a.Type()}
	}
	return unknown{}
}

func (k *knower) binary(e *syntax.BinaryExpr) starlark.Value {
	if compares(e.Op) {
		return unknown{typ: "bool"}
	}
	if e.Op == syntax.AND || e.Op == syntax.OR {
		return k.either(k.value(e.X), k.value(e.Y))
	}
	x, y := k.value(e.X), k.value(e.Y)
	if e.Op == syntax.SLASH && x.Type() == "int" && y.Type() == "int" {
		return unknown{typ: "float"}
	}
	prefix, isText := beginning(x)
	switch {
	case e.Op == syntax.PERCENT && isText:
		prefix, _, _ = strings.Cut(prefix, "%")
		return k.text(prefix, x, y)
	case e.Op == syntax.PLUS && (k.holds(x) || k.holds(y)) && x.Type() != "list":
		return k.text(prefix, x, y)
	case e.Op == syntax.PLUS && isText && isUnknown(y):
		return unknown{typ: "string", prefix: prefix}
	case isUnknown(x) || isUnknown(y):
		if x.Type() == y.Type() {
			return unknown{typ: x.Type()}
		}
		return unknown{}
	}
	const long = 4096 // what is longer decides nothing here
	text, more := string(stringOf(x)), string(stringOf(y))
	if e.Op == syntax.PLUS && x.Type() == "string" && y.Type() == "string" && len(text)+len(more) < long {
		return starlark.String(text + more)
	}
	if x.Type() == y.Type() {
		return unknown{typ: x.Type()}
	}
	return unknown{}
}

func stringOf(v starlark.Value) starlark.String {
	s, _ := v.(starlark.String)
	return s
}

func isUnknown(v starlark.Value) bool { _, ok := v.(unknown); return ok }

// beginning returns how a string begins, and whether v is one.
func beginning(v starlark.Value) (prefix string, ok bool) {
	switch v := v.(type) {
	case starlark.String:
		return string(v), true
	case unknown:
		return v.prefix, v.typ == "string"
	}
	return "", false
}

// The types of what functions and methods return; of builtins those that read.
var returns = map[string]string{
	"str": "string", "repr": "string", "int": "int", "len": "int", "bool": "bool", "list": "list", "dict": "dict",
	"sorted": "list", "exists": "bool", "read": "string", "sha256": "string", "glob": "list", "query": "answer",
	"host.disk_free": "int", "host.listening": "string", "log": "NoneType", "here": "here", "template": "string",
	"yaml.encode": "string", "json.encode": "string", "json.indent": "string",
	".format": "string", ".join": "string", ".strip": "string", ".replace": "string", ".upper": "string",
	".lower": "string", ".removeprefix": "string", ".removesuffix": "string", ".split": "list", ".splitlines": "list",
	".startswith": "bool", ".endswith": "bool", ".keys": "list", ".values": "list", ".items": "list",
}

func (k *knower) call(e *syntax.CallExpr) starlark.Value {
	var args []starlark.Value
	for _, a := range e.Args {
		if named, ok := a.(*syntax.BinaryExpr); ok && named.Op == syntax.EQ {
			a = named.Y
		}
		args = append(args, k.value(a))
	}
	name := predeclaredName(e.Fn)
	switch b := k.c.builtin(e.Fn); {
	case name == "var":
		return k.varValue(e)
	case name == "here":
		return k.c.here(e)
	case name == "secret":
		return secretValue{k.c.placeholders.Of("any")}
	case b != nil && b.New != nil:
		return unknown{typ: "result"}
	case b != nil:
		name = b.Name
	}
	var self starlark.Value = starlark.None
	if id, ok := e.Fn.(*syntax.Ident); ok && name == "" && isUniversal(id) {
		name = id.Name
	}
	if dot, ok := e.Fn.(*syntax.DotExpr); ok && name == "" {
		name, self = "."+dot.Name.Name, k.value(dot.X)
	}
	if returns[name] != "string" {
		return unknown{typ: returns[name]}
	}
	prefix, _ := beginning(self)
	if name == ".format" {
		prefix, _, _ = strings.Cut(prefix, "{")
	} else {
		prefix = ""
	}
	return k.text(prefix, append(args, self)...)
}

func isUniversal(id *syntax.Ident) bool {
	b, ok := id.Binding.(*resolve.Binding)
	return ok && b.Scope == resolve.Universal
}

// varValue is the type of a var.
func (k *knower) varValue(e *syntax.CallExpr) starlark.Value {
	v := unknown{typ: "string"}
	for i, a := range e.Args {
		name := [...]string{"name", "default", "help", "type", "choices", "pattern"}[min(i, 5)]
		if named, ok := a.(*syntax.BinaryExpr); ok && named.Op == syntax.EQ {
			name, a = named.X.(*syntax.Ident).Name, named.Y
		}
		switch given := k.value(a); name {
		case "type":
			text, _ := starlark.AsString(given)
			if text == "path" {
				text = "string"
			}
			return unknown{typ: text}
		case "default":
			v.typ = given.Type()
		}
	}
	return v
}

// The types of what a dot leads to: of properties of the host, and of what builtins return.
var fields = map[string]string{
	"host.os": "string", "host.version": "string", "host.family": "string", "host.user": "string",
	"host.hostname": "string", "host.cpus": "int", "host.memory": "int", "host.interfaces": "list",
	"answer.code": "int", "result.code": "int",
	"answer.stdout": "string", "answer.stderr": "string", "result.stdout": "string", "result.stderr": "string",
	"result.changed": "bool",
}

// Returns is the type of the language that b's values have: "result" has .changed, .code, .stdout and .stderr,
// "answer" all of them but .changed. It is "" if it depends on the arguments.
func (b *Builtin) Returns() string {
	switch {
	case b.Property:
		return fields[b.Name]
	case b.New != nil:
		return "result"
	case b == secretBuiltin:
		return "secret"
	case b.declare != nil && b != varBuiltin && b.Name != "here":
		return "NoneType"
	}
	return returns[b.Name]
}

// field is the type of what a dot leads to.
func (k *knower) field(e *syntax.DotExpr) starlark.Value {
	switch space := predeclaredName(e.X); {
	case space == "vars":
		return k.c.siteVar(e.Name.Name)
	case space != "":
		return unknown{typ: fields[space+"."+e.Name.Name]}
	}
	return unknown{typ: fields[k.value(e.X).Type()+"."+e.Name.Name]}
}
