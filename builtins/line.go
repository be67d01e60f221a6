package builtins

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"

	"runbook/runtime"
	"runbook/runtime/host"
)

var lineBuiltin = &runtime.Builtin{
	Name: "line",
	Args: []runtime.Arg{
		param("path", "path", "", "a text file of at most 16 MiB; it is made, with mode 0644 or for a secret 0600, if it is missing"),
		param("text", "string", "", "the line, without its end; it may hold secrets"),
		param("match", "string", `""`, "regular expression (RE2): the last line with a match gives way to text"),
		param("absent", "bool", "False", "make sure that the file does not have the line: each that equals text goes, and each that matches"),
	},
	Positional: 3,
	Secrets:    []string{"text"},
	Summary:    "make sure that a file has a line, or has not",
	Detail: []string{
		"The line is put in the place of the last one that matches, or at the end. It is there already if a line equals text, unless text itself matches: then the last match must be it.",
		"Mode and owner stay, but a file that gets a secret cannot be read by others any more. Line endings (CRLF) and a byte order mark stay, too. A file that is written ends with a newline.",
	},
	Example: `line("/etc/hosts", "127.0.0.1 localhost", match="^127[.]0[.]0[.]1")`,
	New: func(c *runtime.Call) (runtime.Op, string, error) {
		op := lineOp{}
		var p runtime.Path
		var match string
		if err := c.Unpack("path", &p, "text", &op.text, "match", &match, "absent", &op.absent); err != nil {
			return nil, "", err
		}
		op.path = string(p)
		if strings.ContainsAny(op.text, "\r\n") {
			return nil, "", runtime.Hint(errors.New("argument \"text\": got more than one line, want one"),
				"call line() for each, or write() the whole file")
		}
		if match == "" && op.absent && op.text == "" {
			return nil, "", runtime.Hint(errors.New("argument \"text\": got an empty line to take out"),
				`match="^$" takes out all empty lines`)
		}
		if match == "" {
			return op, op.path, nil
		}
		var err error
		if op.match, err = regexp.Compile(match); err != nil {
			return nil, "", runtime.Hint(fmt.Errorf("argument \"match\": %w", err),
				`a literal text is escaped with \\, or a character with []`)
		}
		return op, op.path, nil
	},
}

// lineOp is a line that a file must have.
type lineOp struct {
	path, text string
	match      *regexp.Regexp // nil matches no line
	absent     bool
}

const textLimit = 16 << 20

func (op lineOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	m, there, err := look(ctx, h, op.path)
	if err != nil {
		return nil, err
	}
	if err := needPlace(h, op.path, m, there); err != nil {
		return nil, err
	}
	if !there && op.absent {
		return nil, nil
	}
	if !there {
		return op.write(host.Bytes([]byte(op.text+"\n")), host.Meta{Mode: modeFor(op.text)}, ""), nil
	}
	data, err := readUpTo(h, op.path, textLimit)
	switch {
	case errors.Is(err, host.ErrUnknown):
		if op.absent {
			runtime.Assume(ctx, op.path+" has no such line")
			return nil, nil
		}
		runtime.Assume(ctx, op.path+" lacks the line")
		return op.write(host.Unknown(op.path), m, ""), nil
	case err != nil:
		return nil, err
	case len(data) > textLimit:
		return nil, fmt.Errorf("got a file of %d bytes, want a text of at most %d", m.Size, textLimit)
	}
	text := splitText(data)
	if op.absent {
		return op.remove(text, m), nil
	}
	i, there := op.place(text.lines)
	if there {
		meta := host.Meta{Mode: op.mode(m)}
		return runtime.Actions(setMeta(op.path, meta), metaChanges(m, meta)...), nil
	}
	from := ""
	if i < len(text.lines) {
		from = showOld(text.lines[i], m)
	}
	return op.write(host.Bytes(text.with(i, op.text)), m, from), nil
}

// remove returns the action that takes lines out of a text, of a file with m.
func (op lineOp) remove(t text, m host.Meta) []runtime.Action {
	var changes []host.Change
	rest := bytes.Clone(t.mark)
	for i, l := range t.lines {
		if !runtime.SameText(l, []byte(op.text)) && (op.match == nil || !op.match.Match(l)) {
			rest = append(append(rest, l...), t.ends[i]...)
			continue
		}
		if c := change("line", showOld(l, m), ""); !slices.Contains(changes, c) {
			changes = append(changes, c)
		}
	}
	meta := host.Meta{Mode: m.Mode.Perm(), Size: int64(len(rest))}
	return runtime.Actions(writeFile(op.path, host.Bytes(rest), meta), changes...)
}

// write returns the action that writes the file, which is now as m says, and whose
// owner the host keeps.
func (op lineOp) write(c host.Content, m host.Meta, from string) []runtime.Action {
	meta := host.Meta{Mode: op.mode(m), Size: int64(len(c.Text))}
	if c.Open != nil {
		meta.Size = -1
	}
	changes := append([]host.Change{change("line", from, op.text)}, metaChanges(m, meta)...)
	return runtime.Actions(writeFile(op.path, c, meta), changes...)
}

// mode is the mode of a file with m that has the line: others cannot read a secret.
func (op lineOp) mode(m host.Meta) fs.FileMode {
	if runtime.HoldsSecret(op.text) {
		return m.Mode.Perm() &^ 0o007
	}
	return m.Mode.Perm()
}

// place returns the index at which the line belongs, and whether it is there. Where
// match does not match text, a line anywhere counts: the run that put it there may
// have replaced the only match.
func (op lineOp) place(lines [][]byte) (i int, there bool) {
	equal := func(l []byte) bool { return runtime.SameText(l, []byte(op.text)) }
	if op.match == nil || !op.match.MatchString(op.text) {
		if slices.ContainsFunc(lines, equal) {
			return 0, true
		}
	}
	for i := len(lines) - 1; i >= 0 && op.match != nil; i-- {
		if op.match.Match(lines[i]) {
			return i, equal(lines[i])
		}
	}
	return len(lines), false
}

// A text is lines, and what people do not see of them.
type text struct {
	mark  []byte // byte order mark
	lines [][]byte
	ends  []string // of each line
	end   string   // of a new one, as the first has it
}

// byteOrderMark begins texts of some editors.
var byteOrderMark = []byte("\ufeff")

func splitText(data []byte) text {
	t := text{end: "\n"}
	if bytes.HasPrefix(data, byteOrderMark) {
		t.mark, data = byteOrderMark, data[len(byteOrderMark):]
	}
	for l := range bytes.Lines(data) {
		body := bytes.TrimSuffix(l, []byte("\n"))
		if len(body) < len(l) {
			body = bytes.TrimSuffix(body, []byte("\r"))
		}
		end := string(l[len(body):])
		if len(t.lines) == 0 && end != "" {
			t.end = end
		}
		t.lines, t.ends = append(t.lines, body), append(t.ends, cmp.Or(end, t.end))
	}
	return t
}

// with returns the text with another line i, or one behind the last.
func (t text) with(i int, line string) []byte {
	if i == len(t.lines) {
		t.lines, t.ends = append(t.lines, nil), append(t.ends, t.end)
	}
	out := bytes.Clone(t.mark)
	for n, l := range t.lines {
		if n == i {
			l = []byte(line)
		}
		out = append(append(out, l...), t.ends[n]...)
	}
	return out
}
