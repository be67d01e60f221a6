package builtins

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"

	"runbook/runtime"
	"runbook/runtime/host"
)

var blockBuiltin = &runtime.Builtin{
	Name: "block",
	Args: []runtime.Arg{
		param("path", "path", "", "a text file of at most 16 MiB; it is made, with mode 0644 or for a secret 0600, if it is missing"),
		param("text", "string", "", "the lines of the block; it may hold secrets"),
		param("marker", "string", `"runbook"`, `what tells the block from others: a name, or a whole line with a comment such as "// ours" where # begins none`),
	},
	Secrets: []string{"text"},
	Summary: "make sure that a file has a block of lines, between two lines that mark it",
	Detail: []string{
		"The block stands between \"# BEGIN NAME\" and \"# END NAME\". It is replaced as a whole, where it stands; a new one goes to the end. All else in the file stays, and so do mode and owner.",
		"Marks without their counterparts, or twice, are an error: nobody could say what is between them.",
	},
	Example: `block("/etc/hosts", "10.0.0.1 db\n10.0.0.2 web", marker = "our machines")`,
	New: func(c *runtime.Call) (runtime.Op, string, error) {
		op := blockOp{}
		var p runtime.Path
		marker := "runbook"
		if err := c.Unpack("path", &p, "text", &op.text, "marker", &marker); err != nil {
			return nil, "", err
		}
		op.path = string(p)
		if strings.TrimSpace(marker) == "" || strings.ContainsAny(marker, "\r\n") {
			return nil, "", fmt.Errorf("argument \"marker\": got %q, want a name on one line", marker)
		}
		op.begin, op.end = marks(marker)
		for line := range strings.SplitSeq(op.text, "\n") {
			if line == op.begin || line == op.end {
				err := errors.New("argument \"text\": got a line that marks the block")
				return nil, "", runtime.Hint(err, "leave the marks out of it")
			}
		}
		return op, op.path, nil
	},
}

// marks returns the lines around a block. A marker that begins with what is no letter or digit brings its own comment.
func marks(marker string) (begin, end string) {
	comment, name := "#", strings.TrimSpace(marker)
	if first, rest, ok := strings.Cut(name, " "); ok && strings.Trim(first, "#/;!-%*\"'<>") == "" {
		comment, name = first, strings.TrimSpace(rest)
	}
	return comment + " BEGIN " + name, comment + " END " + name
}

// blockOp is a block that a file must have.
type blockOp struct{ path, text, begin, end string }

func (op blockOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	m, there, err := look(ctx, h, op.path)
	if err != nil {
		return nil, err
	}
	if err := needPlace(h, op.path, m, there); err != nil {
		return nil, err
	}
	var data []byte
	mode := modeFor(op.text)
	if there {
		mode = lineOp{text: op.text}.mode(m)
		data, err = readUpTo(h, op.path, textLimit)
	}
	switch {
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, op.path+" lacks the block")
		return runtime.Actions(writeFile(op.path, host.Unknown(op.path), host.Meta{Mode: mode, Size: -1}),
			change("content", "unknown", op.text)), nil
	case err != nil:
		return nil, err
	case len(data) > textLimit:
		return nil, fmt.Errorf("got a file of %d bytes, want a text of at most %d", m.Size, textLimit)
	}
	want, err := op.in(data)
	if err != nil {
		return nil, err
	}
	meta := host.Meta{Mode: mode, Size: int64(len(want))}
	changes := newMeta(meta)
	if there {
		changes = metaChanges(m, meta)
	}
	if there && runtime.SameText(data, want) {
		return runtime.Actions(setMeta(op.path, meta), changes...), nil
	}
	old := ""
	if there {
		old = showOld(data, m)
	}
	return runtime.Actions(writeFile(op.path, host.Bytes(want), meta),
		append([]host.Change{change("content", old, showText(want))}, changes...)...), nil
}

// in returns a text with the block.
func (op blockOp) in(data []byte) ([]byte, error) {
	t := splitText(data)
	begin, end := -1, -1
	for i, l := range t.lines {
		switch line := string(l); {
		case line == op.begin && begin < 0 && end < 0:
			begin = i
		case line == op.end && begin >= 0 && end < 0:
			end = i
		case line == op.begin || line == op.end:
			return nil, op.damaged(i)
		}
	}
	if begin >= 0 && end < 0 {
		return nil, op.damaged(begin)
	}
	if begin < 0 {
		begin, end = len(t.lines), len(t.lines)-1
	}
	out := bytes.Clone(t.mark)
	add := func(lines [][]byte, ends []string) {
		for i, l := range lines {
			out = append(append(out, l...), ends[i]...)
		}
	}
	add(t.lines[:begin], t.ends[:begin])
	for line := range strings.SplitSeq(op.begin+"\n"+strings.TrimSuffix(op.text, "\n")+"\n"+op.end, "\n") {
		out = append(append(out, line...), t.end...)
	}
	add(t.lines[end+1:], t.ends[end+1:])
	return out, nil
}

func (op blockOp) damaged(line int) error {
	return runtime.Hint(fmt.Errorf("line %d marks a block that does not begin or end, or is there twice", line+1),
		fmt.Sprintf("put %q and %q around it, once", op.begin, op.end))
}
