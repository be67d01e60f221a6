package builtins

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"text/template"
	"text/template/parse"
	"time"

	"go.starlark.net/starlark"

	"runbook/runtime"
)

var templateBuiltin = &runtime.Builtin{
	Name: "template",
	Args: []runtime.Arg{
		param("text", runtime.TextOrHere, "", "a text of at most 1 MiB, or here(\"files/x.conf\")"),
		param("values", runtime.Values, "{}", "names, and what stands for them: texts, numbers, bools, secrets, None, and lists and dicts of such"),
	},
	Secrets: []string{"text", "values"},
	Summary: "return a text with values in the place of their names",
	Detail: []string{
		"{{.name}} stands for a value, {{.name.key}} for one in a dict; {{if .name}}, {{else}}, {{range .list}} and {{with .name}} end with {{end}}. In a range a dot is the element, and $.name a value. {{- and -}} take away the blanks beside them. A bool is true or false.",
		"Functions are and, or, not, eq, ne, index and len: what is to be computed is better computed in the runbook. This is the plain syntax of Go's text/template.",
		"All else stays as it is, braces, dollar signs and backslashes too; two braces that are meant as they are: {{\"{{\"}}.",
		"A name without a value is an error at its line of the text. A secret passes through; it cannot be compared or measured.",
	},
	Example: `write("/etc/app.conf", template("listen {{.port}};\nroot $dir;\n", {"port": 8080}))`,
	Pure: func(c *runtime.Call) (starlark.Value, error) {
		var text, given starlark.Value = nil, starlark.NewDict(0)
		err := c.Unpack("text", &text, "values", &given)
		if err != nil && (!c.Literal() || text == nil) {
			return nil, err
		}
		values, ok := given.(*starlark.Dict)
		if !ok {
			return nil, fmt.Errorf("template: argument \"values\": got %s, want a dict", given.Type())
		}
		p, terr := newPage(text)
		if terr == nil {
			terr = p.check(values)
		}
		if terr != nil || c.Literal() {
			return nil, cmp.Or(terr, err)
		}
		out, err := p.fill(values)
		return starlark.String(out), err
	},
}

// What a template may be and take.
const (
	longestTemplate = 1 << 20 // bytes
	mostTurns       = 1_000_000
	longestFill     = time.Second
)

// The name of a template in the engine's messages, and functions that no template can name.
const (
	pageName = "t"
	showFunc = "runbook_show"
	turnFunc = "runbook_turn"
)

// A page is a template that was parsed.
type page struct {
	file   string // beside the runbook; "" for a text of the runbook
	text   string
	engine *template.Template
	names  []string // of all values, also in dicts
	turns  int      // of loops
	began  time.Time
}

func newPage(v starlark.Value) (*page, error) {
	p := &page{}
	var err error
	switch v := v.(type) {
	case *runtime.Here:
		p.file = v.Name
		p.text, err = textOf(v)
	case starlark.String:
		p.text = string(v)
	default:
		text, ok := placeholder(v)
		if p.text = text; !ok {
			err = fmt.Errorf("got %s, want a string or here()", v.Type())
		}
	}
	if err == nil && len(p.text) > longestTemplate {
		err = fmt.Errorf("got %d KiB, want at most %d", len(p.text)>>10, longestTemplate>>10)
	}
	if err != nil {
		return nil, fmt.Errorf("template: argument \"text\": %w", err)
	}
	p.engine, err = template.New(pageName).Option("missingkey=error").Funcs(template.FuncMap{
		"eq": equal, "ne": unequal, "index": element, "len": length, showFunc: showValue, turnFunc: p.turn,
	}).Parse(p.text)
	if err != nil {
		return nil, p.explain(err)
	}
	return p, nil
}

// at returns err with where in the template it is.
func (p *page) at(line int, err error) error {
	hint := runtime.HintOf(err)
	where := fmt.Sprintf("line %d of the text", line)
	if p.file != "" {
		where = fmt.Sprintf("%s:%d", p.file, line)
	}
	err = fmt.Errorf("template: %s: %w", where, err)
	if hint != "" {
		return runtime.Hint(err, hint)
	}
	return err
}

func (p *page) line(pos parse.Pos) int {
	return 1 + strings.Count(p.text[:min(int(pos), len(p.text))], "\n")
}

var (
	engineError = regexp.MustCompile(`(?s)^template: ` + pageName + `:(\d+)(?::\d+)?: ` +
		`(?:executing "` + pageName + `" at <.*?>: )?(?:error calling \w+: )?(.*)$`)
	missingName = regexp.MustCompile(`map has no entry for key "(.*)"$`)
	notDefined  = regexp.MustCompile(`^function "(.*)" not defined$`)
)

// explain returns an error of the engine as one about the template.
func (p *page) explain(err error) error {
	m := engineError.FindStringSubmatch(err.Error())
	if m == nil {
		return fmt.Errorf("template: %w", err)
	}
	line, _ := strconv.Atoi(m[1]) // digits
	why := errors.New(m[2])
	if inner := (*valueError)(nil); errors.As(err, &inner) {
		why = inner.err
	} else if !strings.Contains(err.Error(), ": executing ") {
		why = runtime.Hint(why, `{{.name}} stands for a value; two braces that are meant as they are: {{"{{"}}`)
	}
	if name := missingName.FindStringSubmatch(m[2]); name != nil {
		return p.at(line, p.unknown(name[1]))
	}
	if name := notDefined.FindStringSubmatch(m[2]); name != nil {
		why = noFunction(name[1])
	}
	return p.at(line, why)
}

func (p *page) unknown(name string) error {
	err := fmt.Errorf("no value %q", name)
	if hinted := runtime.Nearest(err, name, p.names); runtime.HintOf(hinted) != "" {
		return hinted
	}
	return runtime.Hint(err, "the second argument of template is a dict with what the text names: {"+
		strconv.Quote(name)+": ...}")
}

func noFunction(name string) error {
	return runtime.Hint(fmt.Errorf("no function %q", name),
		"a value is written with a dot, {{."+name+"}}; there are and, or, not, eq, ne, index and len: "+
			"compute others in the runbook")
}

// check refuses what a template must not do, and names that have no value, also where no text comes from. It makes
// the template show its values in one way and count its turns.
func (p *page) check(values *starlark.Dict) error {
	if len(p.engine.Templates()) > 1 {
		return fmt.Errorf("template: %w", errDefine)
	}
	p.names = namesIn(values, maxDepth)
	if p.engine.Tree == nil || p.engine.Tree.Root == nil {
		return nil // nothing but blanks and comments
	}
	c := pageCheck{page: p, known: map[string]bool{}}
	for _, key := range values.Keys() {
		name, ok := starlark.AsString(key)
		if !ok || runtime.HoldsSecret(name) {
			return fmt.Errorf("template: argument \"values\": got a key of type %s, want plain strings", key.Type())
		}
		c.known[name] = true
	}
	c.list(p.engine.Tree.Root, true)
	return c.err
}

var errDefine = runtime.Hint(errors.New("a template cannot define or call another"),
	"put texts together in the runbook: template(a, values) + template(b, values)")

// namesIn returns the names of values, also of those in dicts.
func namesIn(v starlark.Value, depth int) (names []string) {
	switch v := v.(type) {
	case *starlark.Dict:
		for _, item := range v.Items() {
			if name, ok := starlark.AsString(item[0]); ok && depth > 0 {
				names = append(append(names, name), namesIn(item[1], depth-1)...)
			}
		}
	case *starlark.List:
		for x := range starlark.Elements(v) {
			if depth > 0 && len(names) < 1000 {
				names = append(names, namesIn(x, depth-1)...)
			}
		}
	}
	return names
}

// A pageCheck goes through a template. The first error stays.
type pageCheck struct {
	*page
	known map[string]bool // names of values
	err   error
}

func (c *pageCheck) fail(n parse.Node, err error) {
	if c.err == nil {
		c.err = c.at(c.line(n.Position()), err)
	}
}

// list looks at nodes; top says that a dot in them is the whole of the values.
func (c *pageCheck) list(l *parse.ListNode, top bool) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.ActionNode:
			c.pipe(n.Pipe, top)
			if len(n.Pipe.Decl) == 0 {
				n.Pipe.Cmds = append(n.Pipe.Cmds, command(n.Pos, showFunc, n.Pipe.String()))
			}
		case *parse.IfNode:
			c.branch(&n.BranchNode, top, top)
		case *parse.WithNode:
			c.branch(&n.BranchNode, top, false)
		case *parse.RangeNode:
			c.branch(&n.BranchNode, top, false)
			turn := &parse.PipeNode{NodeType: parse.NodePipe, Pos: n.Pos,
				Cmds: []*parse.CommandNode{command(n.Pos, turnFunc, "")}}
			first := &parse.ActionNode{NodeType: parse.NodeAction, Pos: n.Pos, Line: n.Line, Pipe: turn}
			n.List.Nodes = slices.Insert(n.List.Nodes, 0, parse.Node(first))
		case *parse.TemplateNode:
			c.fail(n, errDefine)
		}
	}
}

func (c *pageCheck) branch(b *parse.BranchNode, top, within bool) {
	c.pipe(b.Pipe, top)
	c.list(b.List, within)
	c.list(b.ElseList, top)
}

// command is a call of a function that no template names, with a text.
func command(pos parse.Pos, function, text string) *parse.CommandNode {
	return &parse.CommandNode{NodeType: parse.NodeCommand, Pos: pos, Args: []parse.Node{
		parse.NewIdentifier(function).SetPos(pos),
		&parse.StringNode{NodeType: parse.NodeString, Pos: pos, Quoted: strconv.Quote(text), Text: text},
	}}
}

func (c *pageCheck) pipe(p *parse.PipeNode, top bool) {
	for _, cmd := range p.Cmds {
		for _, n := range cmd.Args {
			c.operand(n, top)
		}
	}
}

func (c *pageCheck) operand(n parse.Node, top bool) {
	switch n := n.(type) {
	case *parse.PipeNode:
		c.pipe(n, top)
	case *parse.ChainNode:
		c.operand(n.Node, top)
	case *parse.IdentifierNode:
		if !slices.Contains([]string{"and", "or", "not", "eq", "ne", "index", "len"}, n.Ident) {
			c.fail(n, noFunction(n.Ident))
		}
	case *parse.FieldNode:
		if top && !c.known[n.Ident[0]] {
			c.fail(n, c.unknown(n.Ident[0]))
		}
	case *parse.VariableNode:
		if n.Ident[0] == "$" && len(n.Ident) > 1 && !c.known[n.Ident[1]] {
			c.fail(n, c.unknown(n.Ident[1]))
		}
	}
}

// fill returns the text with values.
func (p *page) fill(values *starlark.Dict) (string, error) {
	data, err := goValue(values, maxDepth)
	if err != nil {
		return "", fmt.Errorf("template: argument \"values\": %w", err)
	}
	var out boundedText
	p.began = time.Now()
	if err := p.engine.Execute(&out, data); err != nil {
		return "", p.explain(err)
	}
	return out.String(), nil
}

// A boundedText refuses to become longer than a text may be.
type boundedText struct{ strings.Builder }

// Write implements io.Writer.
func (b *boundedText) Write(p []byte) (int, error) {
	if b.Len()+len(p) > textLimit {
		return 0, fmt.Errorf("template: got a text of more than %d MiB", textLimit>>20)
	}
	return b.Builder.Write(p)
}

// turn counts the turns of loops, which may do nothing but take time.
func (p *page) turn(string) (string, error) {
	if p.turns++; p.turns > mostTurns || time.Since(p.began) > longestFill {
		return "", wrongValue("its loops take too long: %d turns", p.turns-1)
	}
	return "", nil
}

// goValue returns v as the engine takes values.
func goValue(v starlark.Value, depth int) (any, error) {
	if depth == 0 {
		return nil, errDeep
	}
	switch v := v.(type) {
	case starlark.NoneType:
		return nil, nil
	case starlark.Bool:
		return bool(v), nil
	case starlark.Int:
		if n, ok := v.Int64(); ok {
			return n, nil
		}
		return v.String(), nil
	case starlark.Float:
		return v.String(), nil
	case starlark.String:
		return string(v), nil
	case *starlark.Dict:
		m := make(map[string]any, v.Len())
		for _, item := range v.Items() {
			key, ok := starlark.AsString(item[0])
			if !ok || runtime.HoldsSecret(key) {
				return nil, fmt.Errorf("got a key of type %s, want plain strings", item[0].Type())
			}
			x, err := goValue(item[1], depth-1)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			m[key] = x
		}
		return m, nil
	case starlark.Sequence:
		list := make([]any, 0, v.Len())
		for x := range starlark.Elements(v) {
			y, err := goValue(x, depth-1)
			if err != nil {
				return nil, fmt.Errorf("element %d: %w", len(list), err)
			}
			list = append(list, y)
		}
		return list, nil
	}
	if text, ok := placeholder(v); ok {
		return text, nil
	}
	return nil, fmt.Errorf("got %s, want None, a bool, number, string, secret, list or dict", v.Type())
}

// The functions of templates. They neither compare nor measure secrets.

// A valueError is about a value in a template.
type valueError struct{ err error }

func (v *valueError) Error() string { return v.err.Error() }
func (v *valueError) Unwrap() error { return v.err }

func wrongValue(format string, args ...any) error { return &valueError{fmt.Errorf(format, args...)} }

func noSecret(values ...any) error {
	for _, v := range values {
		if text, ok := v.(string); ok && runtime.HoldsSecret(text) {
			return &valueError{runtime.Hint(errors.New("a secret cannot be compared or measured"),
				"what a secret is must not decide what a text holds; {{if .name}} asks whether it is there")}
		}
	}
	return nil
}

// showValue writes a value, which an expression of the template has.
func showValue(expression string, v any) (string, error) {
	switch v := v.(type) {
	case nil:
		return "", &valueError{runtime.Hint(fmt.Errorf("%s is None, want a value to write", expression),
			"{{if "+expression+"}}...{{end}} leaves out what is not there")}
	case string:
		return v, nil
	case map[string]any:
		return "", &valueError{runtime.Hint(fmt.Errorf("%s is a dict, want one value", expression),
			"name one: {{"+expression+".key}}")}
	case []any:
		return "", &valueError{runtime.Hint(fmt.Errorf("%s is a list, want one value", expression),
			"write each: {{range "+expression+"}}{{.}} {{end}}")}
	}
	return fmt.Sprint(v), nil
}

func equal(a, b any) (bool, error) {
	if err := noSecret(a, b); err != nil {
		return false, err
	}
	x, y := plainOf(a), plainOf(b)
	if x == "" || y == "" {
		return false, wrongValue("eq and ne compare texts, numbers and bools")
	}
	return x == y, nil
}

// plainOf is the type and text of a value, "" of a list or dict.
func plainOf(v any) string {
	switch v.(type) {
	case nil, string, bool:
		return fmt.Sprintf("%T %v", v, v)
	case int, int64:
		return fmt.Sprintf("int %d", v)
	}
	return ""
}

func unequal(a, b any) (bool, error) {
	same, err := equal(a, b)
	return !same, err
}

func element(of, key any) (any, error) {
	if err := noSecret(of, key); err != nil {
		return nil, err
	}
	switch of := of.(type) {
	case map[string]any:
		name, ok := key.(string)
		if v, there := of[name]; ok && there {
			return v, nil
		}
		return nil, &valueError{runtime.Nearest(fmt.Errorf("no value %q", fmt.Sprint(key)), fmt.Sprint(key),
			slices.Collect(maps.Keys(of)))}
	case []any:
		n, err := strconv.Atoi(fmt.Sprint(key))
		if err != nil || n < 0 || n >= len(of) {
			return nil, wrongValue("index %v of a list with %d elements", key, len(of))
		}
		return of[n], nil
	}
	return nil, wrongValue("index takes an element of a list or dict")
}

func length(v any) (int, error) {
	switch v := v.(type) {
	case map[string]any:
		return len(v), nil
	case []any:
		return len(v), nil
	case string:
		return len(v), noSecret(v)
	}
	return 0, wrongValue("len takes a text, list or dict")
}
