package builtins

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"runbook/builtins/internal/archive"
	"runbook/runtime"
	"runbook/runtime/host"
)

var extractBuiltin = &runtime.Builtin{
	Name: "extract",
	Args: []runtime.Arg{
		param("archive", runtime.PathOrHere, "", "a tar archive: plain, or compressed with gzip, bzip2, zstd or xz, whatever its name says"),
		param("dest", "path", "", "the directory to unpack into, which must exist"),
		param("strip_components", "int", "0", `how many leading directories to take off each name; a leading "./" is none`),
		param("only", "list of string", "[]", `patterns such as "*.rpm" or "lib/*": of the names that are left, only what matches one of them, with all below it`),
		param("keep_existing", "bool", "False", "leave what is there, whatever it holds"),
		sha256Param,
		md5Param,
		param("listing", "path", `""`, "a file of names, as tar -t or tar -tv prints them, for a dry run that does not have the archive yet"),
		param("owner", "string", "the step's user", "account that will own what is unpacked"),
		param("group", "string", "the step's user's", "group of what is unpacked"),
		adoptParam,
	},
	Summary: "unpack what a tar archive holds and a directory lacks",
	Detail: []string{
		"What is there with the same type, size, time and link is left alone. Owners and modes may be changed by later steps.",
		"A member that would leave the directory, a device, a damaged or ambiguous archive is refused before anything is written.",
		"Nothing gets its name before it is complete; with a digest, nothing before the whole archive has it.",
		"Holes that tar -S left out are filled with zeros.",
		"The archive's owners, and set-user-ID and group-writable bits, are ignored.",
		"A dry run does not read contents, so it does not check the digest.",
	},
	Example: `archive("/srv/site.tar", texts = {"site/motd": "hello\n"})
extract("/srv/site.tar", "/srv", strip_components = 1)`,
	New: newExtract,
}

// extractOp is an archive whose members must lie below a directory.
type extractOp struct {
	archive       source
	dest, listing string
	strip         int
	only          []string
	keep          bool
	digests       digests
	owner         ownership
	adopt         bool
}

func newExtract(c *runtime.Call) (runtime.Op, string, error) {
	op := extractOp{owner: ownership{user: c.User()}}
	var dest, listing runtime.Path
	var sha256, md5 string
	err := c.Unpack("archive", &op.archive, "dest", &dest, "strip_components", &op.strip, "only", &op.only,
		"keep_existing", &op.keep,
		"sha256", &sha256, "md5", &md5, "listing", &listing,
		"owner", runtime.Account(&op.owner.User), "group", runtime.Account(&op.owner.Group), "adopt", &op.adopt)
	if err != nil {
		return nil, "", err
	}
	op.dest, op.listing = string(dest), string(listing)
	if op.strip < 0 {
		return nil, "", fmt.Errorf("argument \"strip_components\": got %d, want 0 or more", op.strip)
	}
	for _, pattern := range op.only {
		if _, err := path.Match(pattern, ""); err != nil || path.IsAbs(pattern) || pattern == "" {
			return nil, "", fmt.Errorf("argument \"only\": got %q, want a pattern of names below dest", pattern)
		}
	}
	op.digests, err = parseDigests(sha256, md5, op.archive.name())
	if f := op.archive.here; f != nil && err == nil {
		if op.digests.sha256 != "" && op.digests.sha256 != f.SHA256 {
			err = fmt.Errorf("argument \"sha256\": got %s, but %s has %s", op.digests.sha256, f, f.SHA256)
		}
		op.digests.sha256 = f.SHA256
	}
	return op, op.archive.String(), err
}

func (op extractOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	if err := op.checkDest(ctx, h); err != nil {
		return nil, err
	}
	owner, err := op.owner.resolve(ctx, h)
	if err != nil {
		return nil, err
	}
	if err := mayFill(ctx, h, op.dest, owner, op.adopt); err != nil {
		return nil, err
	}
	list, err := op.read(ctx, h)
	if err != nil {
		return nil, err
	}
	entries, err := op.choose(list.Entries)
	if err != nil {
		return nil, err
	}
	var changes []host.Change
	var missing host.Manifest
	replaced := 0
	for _, e := range entries {
		have, differs, err := op.compare(ctx, h, e)
		if err != nil {
			return nil, err
		}
		if !differs {
			continue
		}
		if have != "" {
			if replaced++; replaced <= 10 {
				changes = append(changes, change(e.Name, have, describeEntry(e)))
			}
		}
		e.Owner = owner
		missing = append(missing, e)
	}
	if len(missing) == 0 {
		return nil, nil
	}
	total := fmt.Sprintf("%d of %d entries", len(missing), len(entries))
	if replaced > 0 {
		total += fmt.Sprintf(", %d replaced", replaced)
	}
	return runtime.Actions(op.unpack(list, missing, owner), append(changes, change(op.dest, "", total))...), nil
}

// choose returns the entries that only= asks for, with the directories above them.
func (op extractOp) choose(all host.Manifest) (chosen host.Manifest, err error) {
	if len(op.only) == 0 {
		return all, nil
	}
	wanted := map[string]bool{}
	for _, e := range all {
		if !op.chosen(e.Name) {
			continue
		}
		for name := e.Name; name != "."; name = path.Dir(name) {
			wanted[name] = true
		}
	}
	for _, e := range all {
		if wanted[e.Name] {
			chosen = append(chosen, e)
		}
	}
	if len(chosen) == 0 {
		err = fmt.Errorf("only: nothing among %d entries matches %s", len(all), strings.Join(op.only, ", "))
	}
	return chosen, err
}

// chosen reports whether a pattern matches name or a directory above it.
func (op extractOp) chosen(name string) bool {
	for ; name != "."; name = path.Dir(name) {
		if slices.ContainsFunc(op.only, func(p string) bool { ok, err := path.Match(p, name); return ok && err == nil }) {
			return true
		}
	}
	return false
}

// checkDest returns an error if dest is not a directory.
func (op extractOp) checkDest(ctx context.Context, h host.Reader) error {
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
		return runtime.Hint(fmt.Errorf("%s: is a symbolic link, want a directory", op.dest),
			"name the directory that it points to")
	case !m.Mode.IsDir():
		return fmt.Errorf("%s: got %s, want a directory", op.dest, kindOf(m.Mode))
	}
	return nil
}

// read lists the archive, or predicts the list from listing= where only a real run
// has the archive.
func (op extractOp) read(ctx context.Context, h host.Reader) (*archive.Listing, error) {
	c, err := op.archive.content(h)
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
		return nil, runtime.Hint(err, op.again())
	case !errors.Is(err, host.ErrUnknown):
		return nil, err
	case op.listing == "":
		return nil, runtime.Hint(err,
			`download the archive first, or name a file of the names in it: listing="..."; tar -tv prints one`)
	}
	text, err := host.ReadFile(h, op.listing)
	if err != nil {
		return nil, runtime.Hint(fmt.Errorf("listing: %w", err), "a dry run needs a listing that is there already")
	}
	runtime.Assume(ctx, op.archive.path+" holds what "+op.listing+" lists")
	l, err := archive.Predict(text, op.strip)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", op.listing, err)
	}
	return l, nil
}

// compare reports whether what is at the place of e differs, and how a change shows
// it: have is "" if nothing is there. What cannot be replaced is an error.
func (op extractOp) compare(ctx context.Context, h host.Reader,
	e host.Entry) (have string, differs bool, err error) {
	name := path.Join(op.dest, e.Name)
	m, err := h.Lstat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", true, nil
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, op.dest+" lacks what the archive holds")
		return "", true, nil
	case err != nil:
		return "", false, err
	case m.Mode.IsDir() && e.Mode.IsDir(), op.keep && !e.Mode.IsDir():
		return "", false, nil
	case m.Mode.IsDir() || e.Mode.IsDir():
		return "", false, runtime.Hint(fmt.Errorf("%s: got %s, want %s", name, kindOf(m.Mode), kindOf(e.Mode)),
			"move or remove what is in the way")
	case m.Mode.Type() != e.Mode.Type():
		return kindOf(m.Mode), true, nil
	case e.Mode.IsRegular():
		differs = e.Size >= 0 && (m.Size != e.Size || !archive.SameTime(m.ModTime, e.ModTime))
		return describeEntry(host.Entry{Meta: m}), differs, nil
	}
	target, err := h.Readlink(name)
	return "link to " + target, target != e.Target, err
}

// describeEntry returns what compare looks at.
func describeEntry(e host.Entry) string {
	switch {
	case e.Mode&fs.ModeSymlink != 0:
		return "link to " + e.Target
	case e.Size < 0:
		return "a file"
	}
	return fmt.Sprintf("%d bytes of %s", e.Size, e.ModTime.UTC().Format("2006-01-02 15:04:05"))
}

// unpack returns the deed that unpacks what is missing.
func (op extractOp) unpack(list *archive.Listing, missing host.Manifest, owner host.Owner) runtime.Deed {
	return func(ctx context.Context, h host.Host) error {
		wanted := map[string]bool{}
		for _, e := range missing {
			wanted[e.Name] = true
		}
		ran := false
		fill := func(ctx context.Context, root *host.Root) error {
			ran = true
			return op.fill(ctx, h, root, list, wanted, owner)
		}
		read := op.digests.read(op.archive.path)
		unread := op.digests
		if f := op.archive.here; f != nil {
			read, unread.sha256 = runtime.Read{Here: f}, "" // it was read when the runbook was loaded
		}
		err := runtime.Reading(h, read).WriteTree(ctx, op.dest, missing.All(), fill)
		if op.damaged(err) {
			return runtime.Hint(err, op.again())
		}
		if err == nil && unread.given() && !ran {
			runtime.Assume(ctx, "the archive has the digest "+unread.sha256+unread.md5)
		}
		return err
	}
}

// again is what to do about an archive that is damaged.
func (op extractOp) again() string {
	if op.archive.here != nil {
		return "get " + op.archive.here.Name + " again, for the directory of the runbook"
	}
	return "remove " + op.archive.path + " and get it again"
}

// damaged reports whether err says that the archive is cut short, or is not the one
// that the digests are of.
func (op extractOp) damaged(err error) bool {
	return errors.Is(err, archive.ErrDigest) || errors.Is(err, archive.ErrShort)
}

// fill unpacks the wanted members. It is the only code here that a dry run does not
// run.
func (op extractOp) fill(ctx context.Context, h host.Reader, root *host.Root, list *archive.Listing,
	wanted map[string]bool, owner host.Owner) error {
	o := archive.Options{SHA256: op.digests.sha256, MD5: op.digests.md5}
	var p pace
	o.Progress = func(done, total int64) { runtime.Progress(ctx, p.text(done, total, time.Now())) }
	uid, gid, err := owner.IDs(ctx, h)
	if err != nil {
		return err
	}
	o.Owner = &archive.Owner{UID: uid, GID: gid}
	return list.Extract(ctx, root, func(name string) bool { return wanted[name] }, o)
}
