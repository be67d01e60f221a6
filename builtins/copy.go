package builtins

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"runbook/runtime"
	"runbook/runtime/host"
)

var copyBuiltin = &runtime.Builtin{
	Name: "copy",
	Args: append([]runtime.Arg{
		param("src", "path", "", "a file, or a directory, which is copied with all below it"),
		param("dest", "path", "", "the copy's own name; its directory must exist"),
		param("mode", "int", "that of src", "permission bits of the copy of a file"),
	}, ownerParams()...),
	Summary: "make a file or directory hold what another one holds",
	Detail: []string{
		"It is done if the copy has the same bytes and mode; times do not matter. A symbolic link given as src is followed, links below a directory are copied as links.",
		"Of a directory, only what differs is written, as one effect; what else lies in dest stays, and so do the modes of directories that are there.",
	},
	Example: `copy("/etc/passwd", "/srv/passwd.bak", mode=0o600)`,
	New: func(c *runtime.Call) (runtime.Op, string, error) {
		op := copyOp{mode: noMode, owner: ownership{user: c.User()}}
		var src, dest runtime.Path
		if err := c.Unpack("src", &src, "dest", &dest, "mode", &op.mode, "owner", &op.owner.User, "group", &op.owner.Group); err != nil {
			return nil, "", err
		}
		op.src, op.dest = string(src), string(dest)
		if src == dest || strings.HasPrefix(string(dest), strings.TrimSuffix(string(src), "/")+"/") {
			return nil, "", fmt.Errorf("cannot copy %s to %s", src, dest)
		}
		return op, op.dest, nil
	},
}

const noMode = fs.ModeIrregular // of a copy: that of its source

// copyOp is a file or directory that holds what another one holds.
type copyOp struct {
	src, dest string
	mode      fs.FileMode
	owner     ownership
}

func (op copyOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	owner, err := op.owner.resolve(ctx, h)
	if err != nil {
		return nil, err
	}
	real, m, err := follow(h, op.src)
	switch {
	case gone(err):
		return nil, runtime.Hint(fmt.Errorf("%s is not there", op.src), "see where the media are mounted, or download() it first")
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, op.src+" is a file")
		return op.checkFile(ctx, h, host.Meta{Mode: 0o644, Size: -1, Owner: owner})
	case err != nil:
		return nil, err
	case m.Mode.IsDir() && op.mode != noMode:
		return nil, runtime.Hint(errors.New("argument \"mode\": got one for a directory"), "leave it out: files keep their modes")
	case m.Mode.IsDir():
		return copyTree{op.src, real, op.dest, owner}.check(ctx, h, m)
	case !m.Mode.IsRegular():
		return nil, fmt.Errorf("%s is %s, want a file or directory", op.src, kindOf(m.Mode))
	}
	m.Owner = owner
	return op.checkFile(ctx, h, m)
}

// checkFile compares the copy with src, which has the owner that the copy shall have.
func (op copyOp) checkFile(ctx context.Context, h host.Reader, src host.Meta) ([]runtime.Action, error) {
	m, there, err := look(ctx, h, op.dest)
	if err != nil {
		return nil, err
	}
	if there && m.Mode.IsDir() {
		name := path.Join(op.dest, path.Base(op.src))
		return nil, runtime.Hint(errors.New("is a directory, want the name of the copy"), `name the copy itself: "`+name+`"`)
	}
	if err := needPlace(h, op.dest, m, there); err != nil {
		return nil, err
	}
	meta := host.Meta{Mode: src.Mode.Perm(), Owner: src.Owner, Size: src.Size}
	if op.mode != noMode {
		meta.Mode = op.mode
	}
	content, err := contentOf(h, op.src)
	if err != nil {
		return nil, err
	}
	copied := want("content", "", "copy of "+op.src)
	if !there {
		return runtime.Actions(writeFile(op.dest, content, meta), append([]host.Change{copied}, newMeta(meta)...)...), nil
	}
	changes := metaChanges(m, meta)
	same, err := sameContent(ctx, h, op.src, op.dest, src.Size, m.Size)
	if err != nil || same {
		return runtime.Actions(setMeta(op.dest, meta), changes...), err
	}
	copied.From = fmt.Sprintf("%d other bytes", m.Size)
	return runtime.Actions(writeFile(op.dest, content, meta), append([]host.Change{copied}, changes...)...), nil
}

// contentOf returns what name holds, secrets and all, for writing it elsewhere.
func contentOf(h host.Reader, name string) (host.Content, error) {
	c, err := runtime.Unmasked(h).Content(name)
	if errors.Is(err, host.ErrUnknown) {
		return host.Unknown(name), nil
	}
	// Never a text, whatever the host: the trace tells the digest of a text, and
	// a dry run must not tell what a run would not.
	return host.Content{Open: c.Reader}, err
}

// sameContent compares what two files hold; a size below 0 is unknown.
func sameContent(ctx context.Context, h host.Reader, a, b string, sizeA, sizeB int64) (bool, error) {
	if sizeA >= 0 && sizeB >= 0 && sizeA != sizeB {
		return false, nil
	}
	same, err := sameBytes(ctx, h, a, b)
	if errors.Is(err, host.ErrUnknown) {
		runtime.Assume(ctx, a+" and "+b+" hold different things")
		return false, nil
	}
	return same, err
}

func sameBytes(ctx context.Context, h host.Reader, a, b string) (bool, error) {
	f, err := openFile(h, a)
	if err != nil {
		return false, err
	}
	defer f.Close()
	g, err := openFile(h, b)
	if err != nil {
		return false, err
	}
	defer g.Close()
	x, y := make([]byte, 128<<10), make([]byte, 128<<10)
	for ctx.Err() == nil {
		n, err := io.ReadFull(f, x)
		k, err2 := io.ReadFull(g, y)
		for _, e := range []error{err, err2} {
			if e != nil && e != io.EOF && e != io.ErrUnexpectedEOF {
				return false, e
			}
		}
		if !bytes.Equal(x[:n], y[:k]) || err != nil {
			return bytes.Equal(x[:n], y[:k]) && err2 != nil, nil
		}
	}
	return false, context.Cause(ctx)
}

func openFile(h host.Reader, name string) (host.File, error) {
	c, err := runtime.Unmasked(h).Content(name)
	if err != nil {
		return nil, err
	}
	return c.Reader()
}
