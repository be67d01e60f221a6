package runtime

import (
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/syntax"
)

// Whoever reads that a step was left out wants to know why. What its condition is made of is read in the file: vars,
// what the top level makes of them, and functions that use them.

// A reasons holds what the names of a file are made of.
type reasons struct {
	made map[string]syntax.Node // what the top level assigns to a name, or the body of its function
	vars map[string]string      // the var that a name of the file stands for
	when map[string]syntax.Expr // of calls of step and manual, by position
}

func reasonsOf(f *syntax.File) *reasons {
	r := &reasons{map[string]syntax.Node{}, map[string]string{}, map[string]syntax.Expr{}}
	for _, stmt := range f.Stmts {
		switch s := stmt.(type) {
		case *syntax.DefStmt:
			r.made[s.Name.Name] = s
		case *syntax.AssignStmt:
			if id, ok := s.LHS.(*syntax.Ident); ok {
				r.made[id.Name], r.vars[id.Name] = s.RHS, declaredBy(s.RHS)
			}
		}
	}
	syntax.Walk(f, func(n syntax.Node) bool {
		if call, ok := n.(*syntax.CallExpr); ok {
			r.note(call)
		}
		return true
	})
	return r
}

// note keeps the condition of a call that has one.
func (r *reasons) note(call *syntax.CallExpr) {
	for _, arg := range call.Args {
		if b, ok := arg.(*syntax.BinaryExpr); ok && b.Op == syntax.EQ && isName(b.X, "when") {
			r.when[call.Lparen.String()] = b.Y
		}
	}
}

// declaredBy returns the name of the var that an expression declares, "" if it declares none.
func declaredBy(e syntax.Expr) string {
	call, ok := e.(*syntax.CallExpr)
	if !ok || !isName(call.Fn, "var") || len(call.Args) == 0 {
		return ""
	}
	name, _ := call.Args[0].(*syntax.Literal)
	if name == nil {
		return ""
	}
	text, _ := name.Value.(string)
	return text
}

func isName(e syntax.Node, name string) bool {
	id, ok := e.(*syntax.Ident)
	return ok && id.Name == name
}

// of returns the vars on which the condition of the call at a position depends, in the order in which they are met.
func (r *reasons) of(pos string) (vars []string) {
	met := map[string]bool{}
	var look func(n syntax.Node)
	look = func(n syntax.Node) {
		syntax.Walk(n, func(n syntax.Node) bool {
			id, ok := n.(*syntax.Ident)
			if !ok || met[id.Name] {
				return true
			}
			met[id.Name] = true
			if name := r.vars[id.Name]; name != "" {
				vars = append(vars, name)
			} else if made := r.made[id.Name]; made != nil {
				look(made)
			}
			return true
		})
	}
	if e := r.when[pos]; e != nil {
		look(e)
	}
	return vars
}

// values says what vars are: "server is native, tokens is empty".
func (b *Runbook) values(vars []string) string {
	var said []string
	for _, v := range b.Vars {
		if !slices.Contains(vars, v.Name) {
			continue
		}
		text := fmt.Sprint(v.Value)
		if list, ok := v.Value.([]string); ok {
			text = strings.Join(list, ",")
		}
		if text == "" {
			text = "empty"
		}
		said = append(said, v.Name+" is "+text)
	}
	return strings.Join(said, ", ")
}
