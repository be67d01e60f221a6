package builtins

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"runbook/builtins/internal/compress"
	"runbook/runtime"
	"runbook/runtime/host"
)

var archiveBuiltin = &runtime.Builtin{
	Name: "archive",
	Args: []runtime.Arg{
		param("path", "path", "", "the archive; .tar, .tar.gz, .tar.bz2 or .tar.zst says how it is compressed"),
		param("texts", "dict", "{}", "names of members and what they hold"),
		param("files", "dict", "{}", "names of members and the files that they are copies of"),
		param("mode", "int", "0o644", "permission bits"),
		param("owner", "string", "the step's", "user that owns it"),
		param("group", "string", "the step's", "group that owns it"),
	},
	Summary: "write a tar archive of small files, the same bytes each time",
	Detail: []string{
		"Members are sorted and carry no time and no owner. Together they may hold at most 64 MiB.",
		"A small conda package can be made with it: a .tar.bz2 whose info/index.json describes it.",
	},
	Example: `archive("/tmp/hello.tar.gz", texts={"hello/motd": "hello\n"})`,
	New: func(c *runtime.Call) (runtime.Op, string, error) {
		op := archiveOp{mode: 0o644, owner: ownership{user: c.User()}}
		var p runtime.Path
		err := c.Unpack("path", &p, "texts", &op.texts, "files", &op.files, "mode", &op.mode,
			"owner", runtime.Account(&op.owner.User),
			"group", runtime.Account(&op.owner.Group))
		if err != nil {
			return nil, "", err
		}
		op.path = string(p)
		for name := range op.texts {
			if _, twice := op.files[name]; twice {
				return nil, "", fmt.Errorf("archive: two members are called %q", name)
			}
		}
		for _, name := range op.names() {
			if !filepath.IsLocal(name) || strings.HasSuffix(name, "/") {
				return nil, "", fmt.Errorf("archive: got member %q, want the relative name of a file", name)
			}
		}
		return op, op.path, nil
	},
}

// archiveOp is an archive that must have these members.
type archiveOp struct {
	path         string
	texts, files map[string]string
	mode         fs.FileMode
	owner        ownership
}

const archiveLimit = 64 << 20 // bytes of all members

// names returns the names of the members, sorted.
func (op archiveOp) names() []string {
	names := slices.AppendSeq(slices.Collect(maps.Keys(op.texts)), maps.Keys(op.files))
	slices.Sort(names)
	return names
}

// changes shows the archive that is to be written, with what its members hold.
func (op archiveOp) changes(from string, data []byte) []host.Change {
	changes := []host.Change{change("archive", from, describeBytes(data))}
	for _, name := range op.names() {
		if file, ok := op.files[name]; ok {
			changes = append(changes, change(name, "", "copy of "+file))
		} else {
			changes = append(changes, change(name, "", showText([]byte(op.texts[name]))))
		}
	}
	return changes
}

func (op archiveOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	owner, err := op.owner.resolve(ctx, h)
	if err != nil {
		return nil, err
	}
	data, err := op.build(h)
	if err != nil {
		return nil, err
	}
	meta := host.Meta{Mode: op.mode, Owner: owner, Size: int64(len(data))}
	write := writeFile(op.path, host.Bytes(data), meta)
	have, err := host.ReadFile(runtime.Unmasked(h), op.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return runtime.Actions(write, op.changes("", data)...), nil
	case err != nil:
		return nil, err
	case !bytes.Equal(have, data):
		return runtime.Actions(write, op.changes(describeBytes(have), data)...), nil
	}
	m, err := h.Lstat(op.path)
	if err != nil {
		return nil, err
	}
	return runtime.Actions(setMeta(op.path, meta), metaChanges(m, meta)...), nil
}

// build returns the archive. It lies in memory, so that a dry run has its bytes too.
func (op archiveOp) build(h host.Reader) ([]byte, error) {
	var b bytes.Buffer
	z, err := compressor(op.path, &b)
	if err != nil {
		return nil, err
	}
	w, size := tar.NewWriter(z), 0
	for _, name := range op.names() {
		data := []byte(op.texts[name])
		if file, ok := op.files[name]; ok {
			if data, err = host.ReadFile(runtime.Unmasked(h), file); err != nil {
				return nil, err
			}
		}
		if size += len(data); size > archiveLimit {
			return nil, fmt.Errorf("more than %d bytes", archiveLimit)
		}
		hdr := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data)), ModTime: time.Unix(0, 0)}
		if err := w.WriteHeader(hdr); err != nil {
			return nil, err
		}
		if _, err := w.Write(data); err != nil {
			return nil, err
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// compressor returns a writer to w that compresses as the archive's name says.
func compressor(name string, w io.Writer) (io.WriteCloser, error) {
	switch {
	case strings.HasSuffix(name, ".tar"):
		return plainWriter{w}, nil
	case strings.HasSuffix(name, ".tar.gz"), strings.HasSuffix(name, ".tgz"):
		return compress.NewGzip(w)
	case strings.HasSuffix(name, ".tar.bz2"):
		return compress.NewBzip2(w)
	case strings.HasSuffix(name, ".tar.zst"):
		return compress.NewZstd(w)
	}
	return nil, errors.New("want a name that ends in .tar, .tar.gz, .tar.bz2 or .tar.zst")
}

type plainWriter struct{ io.Writer }

func (plainWriter) Close() error { return nil }
