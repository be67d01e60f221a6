package builtins

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"go.starlark.net/starlark"

	"runbook/runtime"
	"runbook/runtime/host"
)

var writeBuiltin = &runtime.Builtin{
	Name: "write",
	Args: append(append([]runtime.Arg{
		param("path", "path", "", "the file; its directory must exist"),
		param("content", runtime.DataOrHere, "", "all that the file will hold; it may hold secrets"),
		param("mode", "int", "0o644", "permission bits; if it is not given, a file that holds a secret gets 0o600"),
	}, ownerParams()...),
		param("backup", "bool", "False", "keep what the file held beside it, as PATH.DIGEST.bak with the first 8 digits of its SHA-256")),
	Positional: 5,
	Secrets:    []string{"content"},
	Summary:    "make a file hold a text, with a mode and an owner",
	Detail: []string{
		"The file is replaced in one moment: no reader sees half of it. The trace shows the lines that change; of a file that others may not read it shows only how long it was.",
		"If only mode or owner differ, the content is not written.",
		"A symbolic link in the place of the file is refused: name the file that it points to.",
	},
	Example: `write("/etc/motd", "Managed by runbook.\n")`,
	New:     newWrite,
}

// writeOp is a file that must hold a content.
type writeOp struct {
	path    string
	content []byte
	mode    fs.FileMode
	owner   ownership
	backup  bool
}

func newWrite(c *runtime.Call) (runtime.Op, string, error) {
	op := writeOp{mode: noMode, owner: ownership{user: c.User()}}
	var p runtime.Path
	var content starlark.Value
	err := c.Unpack("path", &p, "content", &content, "mode", &op.mode, "backup", &op.backup,
		"owner", runtime.Account(&op.owner.User),
		"group", runtime.Account(&op.owner.Group))
	if err != nil {
		return nil, "", err
	}
	op.path = string(p)
	switch v := content.(type) {
	case starlark.String:
		op.content = []byte(v)
	case starlark.Bytes:
		op.content = []byte(v)
	case *runtime.Here:
		if op.content, err = v.Bytes(); err != nil {
			return nil, "", err
		}
	default:
		text, ok := placeholder(content)
		if !ok {
			return nil, "", runtime.Hint(fmt.Errorf("argument \"content\": got %s, want a string or bytes", content.Type()),
				"yaml.encode and json.encode make texts of values")
		}
		op.content = []byte(text)
	}
	if op.mode == noMode {
		op.mode = modeFor(string(op.content))
	}
	return op, op.path, nil
}

// modeFor returns the mode of a file for which none is given.
func modeFor(content string) fs.FileMode {
	if runtime.HoldsSecret(content) {
		return 0o600
	}
	return 0o644
}

// placeholder returns the text that stands for a secret; ok is false if v is none.
func placeholder(v starlark.Value) (text string, ok bool) { return v.String(), v.Type() == "secret" }

func (op writeOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	owner, err := op.owner.resolve(ctx, h)
	if err != nil {
		return nil, err
	}
	m, there, err := look(ctx, h, op.path)
	if err != nil {
		return nil, err
	}
	if err := needPlace(h, op.path, m, there); err != nil {
		return nil, err
	}
	meta := host.Meta{Mode: op.mode, Owner: owner}
	write := writeFile(op.path, host.Bytes(op.content), meta)
	if !there {
		changes := append([]host.Change{change("content", "", showText(op.content))}, newMeta(meta)...)
		return runtime.Actions(write, changes...), nil
	}
	switch old, err := op.old(ctx, h, m); {
	case err != nil:
		return nil, err
	case old == nil:
		return runtime.Actions(setMeta(op.path, meta), metaChanges(m, meta)...), nil
	default:
		changes := append([]host.Change{change("content", *old, showText(op.content))}, metaChanges(m, meta)...)
		kept, err := op.keep(ctx, h, m)
		return append(kept, runtime.Actions(write, changes...)...), err
	}
}

// keep returns the action that keeps what the file holds, which m describes, beside it.
func (op writeOp) keep(ctx context.Context, h host.Reader, m host.Meta) ([]runtime.Action, error) {
	if !op.backup {
		return nil, nil
	}
	sum, err := host.SHA256(ctx, runtime.Unmasked(h), op.path)
	if errors.Is(err, host.ErrUnknown) {
		runtime.Assume(ctx, op.path+" holds nothing that would have to be kept")
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("%s.%.8s.bak", op.path, sum)
	if ok, err := present(ctx, h, name); ok || err != nil {
		return nil, err
	}
	content, err := contentOf(h, source{path: op.path})
	meta := host.Meta{Mode: m.Mode.Perm(), Owner: m.Owner}
	return runtime.Actions(writeFile(name, content, meta), change("backup", "", name)), err
}

// old returns what a change shows of the file's content, or nil if the content is
// what it must be.
func (op writeOp) old(ctx context.Context, h host.Reader, m host.Meta) (*string, error) {
	// What is read has its secrets masked, which changes its length: only a size
	// that is far too large decides.
	limit := len(op.content) + 4<<20
	data, err := readUpTo(h, op.path, limit)
	shown := showOld(data, m)
	switch {
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, op.path+" holds something else")
		shown = "unknown"
		return &shown, nil
	case err != nil:
		return nil, err
	case len(data) > limit:
		shown = fmt.Sprintf("%d bytes", m.Size)
	case runtime.SameText(data, op.content):
		return nil, nil
	}
	return &shown, nil
}
