package lsp

import (
	"slices"
	"strings"
)

// What a symbol is.
const (
	function = "function"
	variable = "variable"
	loaded   = "loaded"
	step     = "step"
)

// A symbol is a name that a file binds, or a step that it declares.
type symbol struct {
	name     string
	is       string
	from, to int // all of it
	at, end  int // its name
	within   int // the function, among the symbols, that it is local to; -1: none
	next     int // where what follows a function begins

	doc    string   // docstring, or help= of a var
	params []string // of a function, as written
	callee string   // of what is assigned: var, secret, run...
	id     string   // what a var, secret or step is called: "port"
	detail string   // of a var its default and type, of a step its title
	fn     string   // of a step
	module string   // where it is loaded from; id is its name there
}

// An outline is what a text declares, as far as it can be made out.
type outline struct {
	src     string
	symbols []symbol
	loads   []argument // the names of files
}

// An argument is one of a call, a parameter of a function, or an element.
type argument struct {
	name     string // of NAME = VALUE
	value    string // as written
	at       int    // where it begins
	from, to int    // of the value
}

// text returns what the argument is if it is written as a text.
func (a argument) text() string { return unquoted(a.value) }

func outlineOf(src string, tokens []token) outline {
	r := reader{tokens: meaningful(tokens), outline: outline{src: src}}
	for r.i < len(r.tokens) {
		r.statement()
	}
	for len(r.blocks) > 0 {
		r.leave(len(src))
	}
	return r.outline
}

// A reader goes over the tokens of a text once.
type reader struct {
	tokens []token
	i      int
	blocks []int // functions, by their symbols, that the statement is in, outermost first
	outline
}

func (r *reader) text(i int) string {
	if i < 0 || i >= len(r.tokens) {
		return ""
	}
	return r.tokens[i].of(r.src)
}

func (r *reader) is(i int, k kind) bool { return i < len(r.tokens) && r.tokens[i].kind == k }

func (r *reader) within() int {
	if len(r.blocks) == 0 {
		return -1
	}
	return r.blocks[len(r.blocks)-1]
}

func (r *reader) add(s symbol) { r.symbols = append(r.symbols, s) }

// leave ends the innermost function.
func (r *reader) leave(at int) {
	s := &r.symbols[r.within()]
	s.next = at
	s.to = s.from + len(strings.TrimRight(r.src[s.from:at], " \t\r\n"))
	r.blocks = r.blocks[:len(r.blocks)-1]
}

// statement reads one statement, or the head of one with a block.
func (r *reader) statement() {
	if r.is(r.i, newline) {
		r.i++
		return
	}
	first := r.i
	last := first
	for last < len(r.tokens) && r.tokens[last].kind != newline {
		last++
	}
	for len(r.blocks) > 0 && r.tokens[first].column <= column(r.src, r.symbols[r.within()].from) {
		r.leave(r.tokens[first].from)
	}
	r.i = last
	switch r.text(first) {
	case "def":
		r.def(first)
	case "load":
		r.load(first)
	default:
		r.bindings(first, last)
		r.declared(first, symbol{})
	}
}

// column returns how far from the beginning of its line a byte is.
func column(src string, at int) int { return at - (strings.LastIndexAny(src[:at], "\r\n") + 1) }

// inside reports whether a byte is in a function: in its text, or behind it on a line that is set in further.
func (o outline) inside(f symbol, at int) bool {
	if at < f.from || at > f.next {
		return false
	}
	line := o.src[at-column(o.src, at):]
	indent := min(len(line)-len(strings.TrimLeft(line, " \t")), column(o.src, at))
	return at <= f.to || indent > column(o.src, f.from)
}

// def reads the head of a function, and its docstring.
func (r *reader) def(i int) {
	if !r.is(i+1, name) {
		return
	}
	id := r.tokens[i+1]
	args, end := r.arguments(i + 2)
	s := symbol{name: id.of(r.src), is: function, at: id.from, end: id.to, within: r.within()}
	s.from, s.to = r.tokens[i].from, r.end(end)
	for _, a := range args {
		if s.params = append(s.params, strings.TrimSpace(a.value)); a.name != "" {
			s.params[len(s.params)-1] = a.name + " = " + a.value
		}
	}
	next := end + 1 // behind it are : and, on a line of its own, the docstring
	for r.text(next) == ":" || r.is(next, newline) {
		next++
	}
	if r.is(next, text) {
		s.doc = dedent(unquoted(r.text(next)))
	}
	r.add(s)
	r.blocks = append(r.blocks, len(r.symbols)-1)
	for _, a := range args {
		p := strings.TrimLeft(firstOf(a.name, a.value), "* ")
		if at := a.at + strings.Index(r.src[a.at:a.to], p); p != "" {
			r.add(symbol{name: p, is: variable, from: a.at, to: a.to, at: at, end: at + len(p), within: r.within()})
		}
	}
}

func firstOf(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

// load reads load("FILE", "NAME", NAME = "NAME").
func (r *reader) load(i int) {
	args, _ := r.arguments(i + 1)
	for n, a := range args {
		if n == 0 {
			r.loads = append(r.loads, a)
			continue
		}
		s := symbol{name: firstOf(a.name, a.text()), is: loaded, from: a.from, to: a.to, at: a.from, end: a.to, within: -1,
			module: args[0].text(), id: a.text()}
		if s.name != "" {
			r.add(s)
		}
	}
}

// bindings finds the names that a statement binds, but for def: those of NAME = ..., for NAME in, lambda NAME: ...
func (r *reader) bindings(first, last int) {
	for i := first; i < last; i++ {
		switch {
		case r.text(i) == "for" || r.text(i) == "lambda":
			for i++; i < last && r.text(i) != "in" && r.text(i) != ":"; i++ {
				r.bind(i, "", symbol{})
			}
		case r.text(i) == "=" && r.tokens[i].depth == r.tokens[first].depth:
			r.assigned(first, i)
			return
		}
	}
}

// assigned binds what stands before a =.
func (r *reader) assigned(first, equal int) {
	callee, open := r.callee(equal + 1)
	s := symbol{}
	if open > 0 && equal == first+1 {
		r.declared(equal+1, symbol{at: r.tokens[first].from})
		s = r.varAt(callee, open)
	}
	for i := first; i < equal; i++ {
		if r.text(i+1) != "." && r.text(i-1) != "." && r.text(i+1) != "[" {
			r.bind(i, callee, s)
		}
	}
}

// varAt is what is known of var(...) or secret(...).
func (r *reader) varAt(callee string, open int) (s symbol) {
	if callee != "var" && callee != "secret" {
		return s
	}
	args, _ := r.arguments(open)
	for i, a := range args {
		switch {
		case i == 0 || a.name == "name":
			s.id = a.text()
		case a.name == "help" || i == 2 && a.name == "":
			s.doc = a.text()
		case a.name == "":
			s.detail = "= " + a.value
		default:
			s.detail = strings.TrimPrefix(s.detail+", "+a.name+" = "+a.value, ", ")
		}
	}
	return s
}

func (r *reader) bind(i int, callee string, s symbol) {
	if !r.is(i, name) {
		return
	}
	t := r.tokens[i]
	last := i
	for last+1 < len(r.tokens) && r.tokens[last+1].kind != newline {
		last++
	}
	s.name, s.is, s.callee, s.within = t.of(r.src), variable, callee, r.within()
	s.from, s.to, s.at, s.end = t.from, r.end(last), t.from, t.to
	r.add(s)
}

// declared adds the step that a call declares: step, manual, before or after.
func (r *reader) declared(i int, s symbol) {
	callee, open := r.callee(i)
	if open < 0 || !slices.Contains([]string{step, "manual", "before", "after"}, callee) {
		return
	}
	args, end := r.arguments(open)
	s = symbol{is: step, callee: callee, from: r.tokens[i].from, to: r.end(end), within: r.within()}
	for n, a := range args {
		first := n == 0 || n == 1 && callee != step && callee != "manual"
		switch {
		case a.name == "title":
			s.detail = a.text()
		case a.name == "name" || callee == "manual" && first:
			s.id = a.text()
		case a.name == "fn" || first && a.name == "" && callee == step || n == 1 && a.name == "" && callee != "manual":
			s.fn = a.value
		default:
			continue
		}
		if a.name != "title" {
			s.at, s.end = a.from, a.to
		}
	}
	if s.name = firstOf(s.id, s.fn); s.name != "" && s.end > 0 {
		s.id = s.name
		r.add(s)
	}
}

// callee returns what is called at a token, and the token of its parenthesis; -1 if nothing is.
func (r *reader) callee(i int) (callee string, open int) {
	if !r.is(i, name) {
		return "", -1
	}
	callee = r.text(i)
	if r.text(i+1) == "." && r.is(i+2, name) {
		callee, i = callee+"."+r.text(i+2), i+2
	}
	if r.text(i+1) != "(" {
		return "", -1
	}
	return callee, i + 1
}

// arguments reads what stands in parentheses, up to the last token of them.
func (r *reader) arguments(open int) (args []argument, last int) {
	if r.text(open) != "(" {
		return nil, open
	}
	depth := r.tokens[open].depth
	a := argument{from: -1}
	flush := func() {
		if a.from < 0 && a.name != "" { // it has no value yet
			a.from, a.to = a.at+len(a.name), a.at+len(a.name)
		}
		if a.from >= 0 {
			a.value = r.src[a.from:a.to]
			args = append(args, a)
		}
		a = argument{from: -1}
	}
	for last = open + 1; last < len(r.tokens); last++ {
		t := r.tokens[last]
		switch {
		case t.kind == newline || t.depth == depth && r.text(last) == ")":
			flush()
			return args, last
		case t.depth == depth+1 && r.text(last) == ",":
			flush()
		case t.depth == depth+1 && r.text(last) == "=" && a.name == "" && a.from >= 0:
			a = argument{name: r.src[a.from:a.to], at: a.from, from: -1}
		case a.from < 0:
			if a.from, a.to = t.from, t.to; a.name == "" {
				a.at = t.from
			}
		default:
			a.to = t.to
		}
	}
	flush()
	return args, last
}

// end returns where a token ends, or the text.
func (r *reader) end(i int) int {
	if i >= len(r.tokens) {
		return len(r.src)
	}
	return r.tokens[i].to
}

// dedent takes from the lines of a docstring, but the first, the blanks that all of them begin with.
func dedent(doc string) string {
	lines := strings.Split(strings.TrimSpace(doc), "\n")
	least := -1
	for _, l := range lines[1:] {
		if n := len(l) - len(strings.TrimLeft(l, " \t")); strings.TrimSpace(l) != "" && (least < 0 || n < least) {
			least = n
		}
	}
	for i := 1; i < len(lines); i++ {
		lines[i] = lines[i][min(max(least, 0), len(lines[i])):]
	}
	return strings.Join(lines, "\n")
}

// named returns what a name means at a byte: something local to the function there, or else of the top level.
func (o outline) named(id string, at int) (symbol, bool) {
	best, found := symbol{within: -2}, false
	for _, s := range o.symbols {
		if s.name != id || s.is == step {
			continue
		}
		local := s.within >= 0
		if local && !o.inside(o.symbols[s.within], at) {
			continue
		}
		if !found || s.within > best.within { // a later function is the inner one
			best, found = s, true
		}
	}
	return best, found
}

// visible returns the symbols whose names can be used at a byte.
func (o outline) visible(at int) (all []symbol) {
	seen := map[string]bool{}
	for i := len(o.symbols) - 1; i >= 0; i-- {
		s := o.symbols[i]
		if here, ok := o.named(s.name, at); ok && s.is != step && !seen[s.name] {
			seen[s.name] = true
			all = append(all, here)
		}
	}
	slices.Reverse(all)
	return all
}

// of returns the symbols of one kind: those of steps, or of functions, that are not local.
func (o outline) of(is string) (all []symbol) {
	for _, s := range o.symbols {
		if s.is == is && s.within < 0 {
			all = append(all, s)
		}
	}
	return all
}

// vars returns the vars and secrets.
func (o outline) vars() (all []symbol) {
	for _, s := range o.symbols {
		if s.callee == "var" || s.callee == "secret" {
			all = append(all, s)
		}
	}
	return all
}
