package runtime

import (
	"strings"

	"go.starlark.net/syntax"
)

// A Question is a place where a runbook itself asks the machine: what it names there
// runs in a dry run, too.
type Question struct {
	Pos   string `json:"pos"`
	Asker string `json:"asker"` // query, unless or wait_for
	Text  string `json:"text"`  // what is asked, as it is written, lines without their indents
}

// Questions returns the questions of one file, in their order. A file that cannot be
// read or parsed has none; Check says why.
func (rt *Runtime) Questions(lib Library, name string) []Question {
	src, _, err := lib.read(name)
	if err != nil {
		return nil
	}
	f, err := dialect.Parse(name, src, 0)
	if err != nil {
		return nil
	}
	return questions(f, src)
}

// questions finds calls of query and wait_for, unless= of whatever is called, and
// where one of them is handed on, so that it may be asked anywhere.
func questions(f *syntax.File, src []byte) (all []Question) {
	lines := strings.Split(string(src), "\n")
	add := func(n syntax.Node, asker, text string) {
		start, _ := n.Span()
		all = append(all, Question{start.String(), asker, text})
	}
	called := map[*syntax.Ident]bool{}
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CallExpr:
			fn, ok := n.Fn.(*syntax.Ident)
			if ok && asks(fn.Name) {
				called[fn] = true
				add(n, fn.Name, between(lines, n.Lparen, n.Rparen))
			}
			if ok && fn.Name == "run" && spread(n) {
				add(n, "unless", "perhaps, in "+between(lines, n.Lparen, n.Rparen))
			}
		case *syntax.BinaryExpr: // of a call: NAME = VALUE
			if id, ok := n.X.(*syntax.Ident); ok && n.Op == syntax.EQ && id.Name == "unless" {
				add(n, "unless", written(lines, n.Y))
			}
		case *syntax.DictEntry:
			if key, ok := n.Key.(*syntax.Literal); ok && key.Value == "unless" {
				add(n, "unless", written(lines, n.Value))
			}
		case *syntax.Ident:
			if asks(n.Name) && !called[n] {
				add(n, n.Name, "anything: the function is handed on here")
			}
		}
		return true
	})
	return all
}

func asks(name string) bool { return name == "query" || name == "wait_for" }

// spread reports whether a call has **kwargs.
func spread(n *syntax.CallExpr) bool {
	for _, a := range n.Args {
		if u, ok := a.(*syntax.UnaryExpr); ok && u.Op == syntax.STARSTAR {
			return true
		}
	}
	return false
}

// written returns the source of a node.
func written(lines []string, n syntax.Node) string {
	start, end := n.Span()
	start.Col--
	return between(lines, start, end)
}

// between returns what stands behind one position and before another.
func between(lines []string, after, before syntax.Position) string {
	var parts []string
	for i := after.Line; i <= before.Line && int(i) <= len(lines); i++ {
		line := []rune(lines[i-1])
		from, to := 0, len(line)
		if i == after.Line {
			from = min(int(after.Col), len(line))
		}
		if i == before.Line {
			to = max(from, min(int(before.Col)-1, len(line)))
		}
		if part := strings.TrimSpace(string(line[from:to])); part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, "\n")
}
