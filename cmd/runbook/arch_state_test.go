package main

import (
	"go/ast"
	"go/token"
	"testing"
)

// Package variables are constants in spirit: errors, patterns, kinds, tables.
// Nothing runs before main, and nothing assigns to them.
func TestNoMutableState(t *testing.T) {
	fset := token.NewFileSet()
	all := sources(t, fset)
	globals := map[string]map[string]bool{} // package to names
	for _, s := range all {
		if globals[s.dir] == nil {
			globals[s.dir] = map[string]bool{}
		}
		for _, d := range s.ast.Decls {
			collect(d, globals[s.dir])
		}
	}
	for _, s := range all {
		for _, d := range s.ast.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || s.test || f.Body == nil {
				continue
			}
			if f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s: has func init", s)
			}
			for _, id := range assigned(f, globals[s.dir]) {
				t.Errorf("%s: %s assigns to the package variable %s", fset.Position(id.Pos()), f.Name.Name, id.Name)
			}
		}
	}
}

func collect(d ast.Decl, names map[string]bool) {
	g, ok := d.(*ast.GenDecl)
	if !ok || g.Tok != token.VAR {
		return
	}
	for _, spec := range g.Specs {
		for _, id := range spec.(*ast.ValueSpec).Names {
			names[id.Name] = id.Name != "_"
		}
	}
}

// assigned returns the package variables that f assigns to, or whose elements
// or fields it does, unless f declares the same name.
func assigned(f *ast.FuncDecl, globals map[string]bool) (ids []*ast.Ident) {
	local := map[string]bool{}
	var written []ast.Expr
	fields := []*ast.FieldList{f.Recv, f.Type.Params, f.Type.Results}
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			fields = append(fields, n.Type.Params, n.Type.Results)
		case *ast.AssignStmt:
			if n.Tok != token.DEFINE {
				written = append(written, n.Lhs...)
				break
			}
			declare(n.Lhs, local)
		case *ast.RangeStmt:
			declare([]ast.Expr{n.Key, n.Value}, local)
		case *ast.ValueSpec:
			for _, id := range n.Names {
				local[id.Name] = true
			}
		case *ast.IncDecStmt:
			written = append(written, n.X)
		}
		return true
	})
	for _, list := range fields {
		if list == nil {
			continue
		}
		for _, field := range list.List {
			for _, id := range field.Names {
				local[id.Name] = true
			}
		}
	}
	for _, x := range written {
		if id := root(x); id != nil && globals[id.Name] && !local[id.Name] {
			ids = append(ids, id)
		}
	}
	return ids
}

func declare(exprs []ast.Expr, names map[string]bool) {
	for _, x := range exprs {
		if id, ok := x.(*ast.Ident); ok {
			names[id.Name] = true
		}
	}
}

// root is the variable that an assignment to x changes.
func root(x ast.Expr) *ast.Ident {
	for {
		switch y := x.(type) {
		case *ast.Ident:
			return y
		case *ast.SelectorExpr:
			x = y.X
		case *ast.IndexExpr:
			x = y.X
		case *ast.StarExpr:
			x = y.X
		case *ast.ParenExpr:
			x = y.X
		default:
			return nil
		}
	}
}
