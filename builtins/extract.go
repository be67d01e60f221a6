package builtins

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strconv"

	"runbook/builtins/internal/archive"
	"runbook/runtime"
	"runbook/runtime/host"
)

var extractBuiltin = &runtime.Builtin{
	Name: "extract",
	Args: []runtime.Arg{
		param("archive", "path", "", "a tar archive: plain, or compressed with gzip, bzip2, zstd or xz, whatever its name says"),
		param("dest", "path", "", "the directory to unpack into, which must exist"),
		param("strip_components", "int", "0", `how many leading directories to take off each name; a leading "./" is none`),
		param("keep_existing", "bool", "False", "leave what is there, whatever it holds"),
		param("sha256", "string", `""`, "what the archive must hash to, in hex"),
		param("md5", "string", `""`, "the same, for old media that come with nothing better"),
		param("listing", "path", `""`, "a file of names, as tar -t or tar -tv prints them, for a dry run that does not have the archive yet"),
		param("owner", "string", "the step's user", "account that will own what is unpacked"),
		param("group", "string", "the step's user's", "group of what is unpacked"),
	},
	Summary: "unpack what a tar archive holds and a directory lacks",
	Detail: []string{
		"What is there with the same type, size, time and link is left alone. Owners and modes may be changed by later steps.",
		"A member that would leave the directory, a device, a damaged or ambiguous archive is refused before anything is written.",
		"Nothing gets its name before it is complete; with a digest, nothing before the whole archive has it.",
		"The archive's owners, and set-user-ID and group-writable bits, are ignored.",
		"A dry run does not read contents, so it does not check the digest.",
	},
	Example: `archive("/srv/site.tar", texts = {"site/motd": "hello\n"})
extract("/srv/site.tar", "/srv", strip_components = 1)`,
	New: newExtract,
}

// extractOp is an archive whose members lie below a directory.
type extractOp struct {
	archive, dest, listing string
	strip                  int
	keep                   bool
	sha256, md5            string
	owner                  host.Owner

	list *archive.Listing // of the last Check
	todo host.Manifest
}

func newExtract(c *runtime.Call) (runtime.Op, string, error) {
	op := &extractOp{}
	var name, dest, listing runtime.Path
	if err := c.Unpack("archive", &name, "dest", &dest, "strip_components", &op.strip, "keep_existing", &op.keep, "sha256", &op.sha256, "md5", &op.md5, "listing", &listing, "owner", &op.owner.User, "group", &op.owner.Group); err != nil {
		return nil, "", err
	}
	op.archive, op.dest, op.listing = string(name), string(dest), string(listing)
	op.owner = op.owner.Or(c.Owner())
	if op.strip < 0 {
		return nil, "", fmt.Errorf("argument \"strip_components\": got %d, want 0 or more", op.strip)
	}
	for _, d := range []struct {
		name, value string
		bytes       int
	}{{"sha256", op.sha256, 32}, {"md5", op.md5, 16}} {
		if b, err := hex.DecodeString(d.value); d.value != "" && (err != nil || len(b) != d.bytes) {
			return nil, "", fmt.Errorf("argument %q: got %q, want %d hex digits", d.name, d.value, 2*d.bytes)
		}
	}
	return op, op.archive, nil
}

func (op *extractOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	return legacy(ctx, h, op)
}

func (op *extractOp) check0(ctx context.Context, h host.Reader) (todo []host.Change, err error) {
	op.todo = nil
	if err := op.checkDest(ctx, h); err != nil {
		return nil, err
	}
	if op.list, err = op.read(ctx, h); err != nil {
		return nil, err
	}
	replaced := 0
	for _, e := range op.list.Entries {
		was, err := op.compare(ctx, h, e)
		if err != nil {
			return nil, err
		}
		if was == same {
			continue
		}
		if was != "" {
			if replaced++; replaced <= 10 {
				todo = append(todo, want(e.Name, was, describeEntry(e)))
			}
		}
		e.Owner = op.owner
		op.todo = append(op.todo, e)
	}
	if len(op.todo) == 0 {
		return nil, nil
	}
	all := len(op.list.Entries)
	total := fmt.Sprintf("%d of %d entries", len(op.todo), all)
	if replaced > 0 {
		total += fmt.Sprintf(", %d replaced", replaced)
	}
	return append(todo, want(op.dest, "", total)), nil
}

// checkDest refuses a destination that is no directory, and an owner that is nobody.
func (op *extractOp) checkDest(ctx context.Context, h host.Reader) error {
	m, err := h.Lstat(op.dest)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return runtime.Hint(fmt.Errorf("%s: no such directory", op.dest), `make it first: mkdir("`+op.dest+`")`)
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, op.dest+" is a directory")
		return nil
	case err != nil:
		return err
	case m.Mode&fs.ModeSymlink != 0:
		return runtime.Hint(fmt.Errorf("%s: is a symbolic link, want a directory", op.dest), "name the directory that it points to")
	case !m.Mode.IsDir():
		return fmt.Errorf("%s: got %s, want a directory", op.dest, kindOf(m.Mode))
	}
	_, err = op.owner.Resolve(ctx, h)
	return err
}

// read lists the archive, or predicts the list where only a real run has it.
func (op *extractOp) read(ctx context.Context, h host.Reader) (*archive.Listing, error) {
	c, err := runtime.Unmasked(h).Content(op.archive)
	if err == nil {
		var l *archive.Listing
		if l, err = archive.List(ctx, c, op.strip); err == nil {
			return l, nil
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, runtime.Hint(errors.New("no such file"), "download() it first, or see where the media are mounted")
	case op.damaged(err):
		return nil, runtime.Hint(err, "remove "+op.archive+" and get it again")
	case !errors.Is(err, host.ErrUnknown):
		return nil, err
	case op.listing == "":
		return nil, runtime.Hint(err, `download the archive first, or name a file of the names in it: listing="..."; tar -tv prints one`)
	}
	text, err := host.ReadFile(h, op.listing)
	if err != nil {
		return nil, runtime.Hint(fmt.Errorf("listing: %w", err), "a dry run needs a listing that is there already")
	}
	runtime.Assume(ctx, op.archive+" holds what "+op.listing+" lists")
	l, err := archive.Predict(text, op.strip)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op.listing, err)
	}
	return l, nil
}

const same = "same"

// compare says what is at the place of e: "" for nothing, same, or what differs.
// What a later step could not write is an error now.
func (op *extractOp) compare(ctx context.Context, h host.Reader, e host.Entry) (string, error) {
	name := path.Join(op.dest, e.Name)
	m, err := h.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, op.dest+" lacks what the archive holds")
		return "", nil
	case err != nil:
		return "", err
	case m.Mode.IsDir() && e.Mode.IsDir(), op.keep && !e.Mode.IsDir():
		return same, nil
	case m.Mode.IsDir() || e.Mode.IsDir():
		return "", runtime.Hint(fmt.Errorf("%s: got %s, want %s", name, kindOf(m.Mode), kindOf(e.Mode)), "move or remove what is in the way")
	case m.Mode.Type() != e.Mode.Type():
		return kindOf(m.Mode), nil
	case e.Mode.IsRegular():
		if e.Size >= 0 && (m.Size != e.Size || !archive.SameTime(m.ModTime, e.ModTime)) {
			return describeEntry(host.Entry{Meta: m}), nil
		}
		return same, nil
	}
	target, err := h.Readlink(name)
	if err == nil && target == e.Target {
		return same, nil
	}
	return "link to " + target, err
}

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a directory"
	case m.IsRegular():
		return "a file"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	}
	return "a special file"
}

// describeEntry says what same compares.
func describeEntry(e host.Entry) string {
	switch {
	case e.Mode&fs.ModeSymlink != 0:
		return "link to " + e.Target
	case e.Size < 0:
		return "a file"
	}
	return fmt.Sprintf("%d bytes of %s", e.Size, e.ModTime.UTC().Format("2006-01-02 15:04:05"))
}

func (op *extractOp) apply0(ctx context.Context, h host.Host, _ []host.Change) error {
	todo := map[string]bool{}
	for _, e := range op.todo {
		todo[e.Name] = true
	}
	unpacked := false
	err := h.WriteTree(ctx, op.dest, op.todo.All(), func(ctx context.Context, root *host.Root) error {
		unpacked = true
		return op.unpack(ctx, h, root, func(name string) bool { return todo[name] })
	})
	if op.damaged(err) {
		return runtime.Hint(err, "remove "+op.archive+" and get it again")
	}
	if digest := op.sha256 + op.md5; err == nil && digest != "" && !unpacked {
		runtime.Assume(ctx, "the archive has the digest "+digest)
	}
	return err
}

// damaged reports whether the archive is not what it once was.
func (op *extractOp) damaged(err error) bool {
	return errors.Is(err, archive.ErrDigest) || errors.Is(err, archive.ErrShort)
}

// unpack is the only code here that a dry run does not run.
func (op *extractOp) unpack(ctx context.Context, h host.Reader, root *host.Root, want func(string) bool) error {
	o := archive.Options{SHA256: op.sha256, MD5: op.md5}
	o.Progress = func(done, total int64) {
		runtime.Progress(ctx, fmt.Sprintf("%d of %d MB", done>>20, total>>20))
	}
	if op.owner != (host.Owner{}) {
		uid, err := accountID(ctx, h, host.User, op.owner.User)
		if err != nil {
			return err
		}
		gid, err := accountID(ctx, h, host.Group, op.owner.Group)
		if err != nil {
			return err
		}
		o.Chown = func(root *os.Root, name string) error { return root.Lchown(name, uid, gid) }
	}
	return op.list.Extract(ctx, root, want, o)
}

// accountID returns the number of a user or group, -1 for none.
func accountID(ctx context.Context, h host.Reader, k *host.Kind, name string) (int, error) {
	if name == "" {
		return -1, nil
	}
	if n, err := strconv.Atoi(name); err == nil {
		return n, nil
	}
	id, err := h.Fact(ctx, fact(k, name))
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(id)
	if err != nil {
		return 0, fmt.Errorf("no %s %q", k.Name, name)
	}
	return n, nil
}
