package main

import (
	"go/ast"
	"go/token"
	"path"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// Budgets, not goals: what is longer than these is probably two things. Lines of
// a table (a composite literal over several lines) are free: an entry is easier
// to read on one line. A tab is one column.
const (
	fileLines   = 500
	funcLines   = 60
	lineColumns = 120
	funcNesting = 3 // blocks within blocks
)

// overBudget lists what may be longer, and why: a file's name, or FILE:FUNCTION.
var overBudget = map[string]string{}

// pieces lists the files X_Y.go beside an X.go that are not pieces of it, and why.
var pieces = map[string]string{}

func TestBudgets(t *testing.T) {
	fset := token.NewFileSet()
	all := sources(t, fset)
	var files, funcs []int
	used := map[string]bool{}
	over := func(name, format string, args ...any) {
		if used[name] = true; overBudget[name] == "" {
			t.Errorf(name+": "+format, args...)
		}
	}
	for _, s := range all {
		n := strings.Count(s.text, "\n")
		if n > fileLines {
			over(s.String(), "has %d lines, want at most %d", n, fileLines)
		}
		if s.test {
			continue
		}
		files = append(files, n)
		free := tableLines(fset, s.ast)
		for i, l := range strings.Split(s.text, "\n") {
			if n := utf8.RuneCountInString(l); n > lineColumns && !free[i+1] {
				over(s.String(), "line %d has %d columns, want at most %d", i+1, n, lineColumns)
			}
		}
		for _, d := range s.ast.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Body == nil {
				continue
			}
			n := 0
			for l := fset.Position(f.Pos()).Line; l <= fset.Position(f.End()).Line; l++ {
				if !free[l] {
					n++
				}
			}
			funcs = append(funcs, n)
			name := s.String() + ":" + f.Name.Name
			if n > funcLines {
				over(name, "has %d lines outside tables, want at most %d", n, funcLines)
			}
			if n := nesting(f.Body); n > funcNesting {
				over(name, "nests %d blocks, want at most %d", n, funcNesting)
			}
		}
	}
	for name := range overBudget {
		if !used[name] {
			t.Errorf("%s is within the budgets: take it off the list", name)
		}
	}
	t.Logf("%d files, lines: %s; %d functions, lines: %s", len(files), distribution(files), len(funcs), distribution(funcs))
}

// A file is named for what it holds, and holds all of it: X_Y.go beside X.go is
// a piece of it unless it is a noun of its own.
func TestFilesAreWhole(t *testing.T) {
	names := map[string]bool{}
	all := sources(t, token.NewFileSet())
	for _, s := range all {
		names[s.String()] = true
	}
	for _, s := range all {
		first, rest, cut := strings.Cut(strings.TrimSuffix(s.name, ".go"), "_")
		if !s.test && cut && rest != "linux" && names[path.Join(s.dir, first+".go")] && pieces[s.String()] == "" {
			t.Errorf("%s is a piece of %s.go: join them, or name it for what it holds", s, first)
		}
	}
	for name := range pieces {
		if !names[name] {
			t.Errorf("%s is gone: take it off the list", name)
		}
	}
}

// tableLines returns the lines of composite literals that span several lines.
func tableLines(fset *token.FileSet, f *ast.File) map[int]bool {
	free := map[int]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		c, ok := n.(*ast.CompositeLit)
		if !ok {
			return true
		}
		first, last := fset.Position(c.Lbrace).Line, fset.Position(c.Rbrace).Line
		for l := first; l <= last && first < last; l++ {
			free[l] = true
		}
		return true
	})
	// The functions in a table are no entries of it.
	ast.Inspect(f, func(n ast.Node) bool {
		if lit, ok := n.(*ast.FuncLit); ok {
			for l := fset.Position(lit.Body.Lbrace).Line + 1; l < fset.Position(lit.Body.Rbrace).Line; l++ {
				delete(free, l)
			}
		}
		return true
	})
	return free
}

// nesting returns how deep the blocks in b lie within each other. A chain of else
// counts as one.
func nesting(b *ast.BlockStmt) (most int) {
	var walk func(n ast.Node, depth int)
	walk = func(n ast.Node, depth int) {
		most = max(most, depth)
		ast.Inspect(n, func(c ast.Node) bool {
			if c == n || c == nil {
				return true
			}
			switch c := c.(type) {
			case *ast.IfStmt:
				walk(c.Body, depth+1)
				for next := c.Else; next != nil; {
					chained, ok := next.(*ast.IfStmt)
					if !ok {
						walk(next, depth+1)
						break
					}
					walk(chained.Body, depth+1)
					next = chained.Else
				}
				return false
			case *ast.ForStmt:
				walk(c.Body, depth+1)
				return false
			case *ast.RangeStmt:
				walk(c.Body, depth+1)
				return false
			case *ast.SwitchStmt:
				walk(c.Body, depth+1)
				return false
			case *ast.TypeSwitchStmt:
				walk(c.Body, depth+1)
				return false
			case *ast.SelectStmt:
				walk(c.Body, depth+1)
				return false
			case *ast.FuncLit:
				walk(c.Body, 0)
				return false
			}
			return true
		})
	}
	walk(b, 0)
	return most
}

// distribution returns the median, the 90th percentile and the greatest of all.
func distribution(all []int) string {
	slices.Sort(all)
	at := func(percent int) string { return strconv.Itoa(all[min(len(all)*percent/100, len(all)-1)]) }
	return "median " + at(50) + ", 90 % " + at(90) + ", most " + at(100)
}
