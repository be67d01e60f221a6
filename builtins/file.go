package builtins

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"syscall"
	"unicode/utf8"

	"runbook/runtime"
	"runbook/runtime/host"
)

// What the builtins that make files have in common.

// ownerParams are the parameters of what makes files.
func ownerParams() []runtime.Arg {
	return []runtime.Arg{
		param("owner", "string", "the step's user", "account that owns it; without one what is there keeps its owner"),
		param("group", "string", "the step's user's", "group of it"),
	}
}

// ownership is who shall own what a call makes: owner= and group=, and what these
// leave open, the user= of the step with its own group.
type ownership struct {
	host.Owner
	user string
}

// resolve returns the owner by the names that Lstat reports, and refuses
// accounts that are not there.
func (o ownership) resolve(ctx context.Context, h host.Reader) (host.Owner, error) {
	if o.user == "" || o.Group != "" {
		return o.Or(host.Owner{User: o.user}).Resolve(ctx, h)
	}
	rest, err := ownerFor(ctx, h, o.user)
	if err != nil {
		return o.Owner, err
	}
	return o.Or(rest).Resolve(ctx, h)
}

// follow returns what name stands for after its symbolic links, and where that is.
func follow(h host.Reader, name string) (string, host.Meta, error) {
	for range 40 {
		m, err := h.Lstat(name)
		if err != nil || m.Mode&fs.ModeSymlink == 0 {
			return name, m, err
		}
		target, err := h.Readlink(name)
		if err != nil {
			return name, m, err
		}
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(name), target)
		}
		name = path.Clean(target)
	}
	return name, host.Meta{}, fmt.Errorf("%s: too many symbolic links", name)
}

// look describes name; ok is false if there is no such file. Where only a real
// run could know, it notes that and answers no.
func look(ctx context.Context, h host.Reader, name string) (m host.Meta, ok bool, err error) {
	m, err = h.Lstat(name)
	switch {
	case gone(err):
		return m, false, nil
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, name+" is not there")
		return m, false, nil
	}
	return m, err == nil, err
}

// gone reports whether err says that there is no such file, or a file where a
// directory should be.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// needDir refuses to make name where its directory is missing.
func needDir(h host.Reader, name string) error {
	dir := path.Dir(name)
	switch _, m, err := follow(h, dir); {
	case gone(err):
		return runtime.Hint(fmt.Errorf("directory %s is missing", dir), `make it first: mkdir("`+dir+`")`)
	case errors.Is(err, host.ErrUnknown):
		return nil // the host assumes it
	case err != nil:
		return err
	case !m.Mode.IsDir():
		return fmt.Errorf("%s is %s, want a directory", dir, kindOf(m.Mode))
	}
	return nil
}

// needPlace refuses to make a regular file at name, of which m is known if
// there, unless it is one now or missing.
func needPlace(h host.Reader, name string, m host.Meta, there bool) error {
	switch {
	case !there:
		return needDir(h, name)
	case m.Mode.IsRegular():
		return nil
	case m.Mode&fs.ModeSymlink != 0:
		cure := `remove("` + name + `") first`
		if target, _, err := follow(h, name); err == nil {
			cure = "name the file that it points to, " + target + ", or " + cure
		}
		return runtime.Hint(errors.New("is a symbolic link, want a file"), cure)
	}
	return inTheWay(m, "a file")
}

// inTheWay is the error of a file of another type in the place of what is wanted.
func inTheWay(m host.Meta, wanted string) error {
	return runtime.Hint(fmt.Errorf("is %s, want %s", kindOf(m.Mode), wanted), "move or remove what is in the way")
}

// metaChanges compares permission bits and, where they are named, owners.
func metaChanges(have, wanted host.Meta) (todo []host.Change) {
	if have.Mode.Perm() != wanted.Mode.Perm() {
		todo = append(todo, want("mode", modeText(have.Mode), modeText(wanted.Mode)))
	}
	return append(todo, ownerChanges(have.Owner, wanted.Owner)...)
}

func ownerChanges(have, wanted host.Owner) (todo []host.Change) {
	if wanted.User != "" && wanted.User != have.User {
		todo = append(todo, want("owner", have.User, wanted.User))
	}
	if wanted.Group != "" && wanted.Group != have.Group {
		todo = append(todo, want("group", have.Group, wanted.Group))
	}
	return todo
}

// newMeta is metaChanges for a file that is not there.
func newMeta(wanted host.Meta) []host.Change {
	return append([]host.Change{want("mode", "", modeText(wanted.Mode))}, ownerChanges(host.Owner{}, wanted.Owner)...)
}

func modeText(m fs.FileMode) string { return fmt.Sprintf("%04o", m.Perm()) }

// showLimit is the size, in bytes, up to which changes show a text itself.
const showLimit = 64 << 10

// showText is a content as a change shows it: a text itself, anything else by
// size and digest.
func showText(data []byte) string {
	switch {
	case len(data) == 0:
		return "(empty)"
	case len(data) <= showLimit && utf8.Valid(data) && !strings.ContainsRune(string(data), 0):
		return string(data)
	}
	return describeBytes(data)
}

// describeBytes shows a content by its size and digest.
func describeBytes(data []byte) string {
	return fmt.Sprintf("%d bytes, sha256 %x", len(data), sha256.Sum256(data))
}

// showOld is showText for what a file holds now. What others may not read is
// none of the trace's business: it may be a password.
func showOld(data []byte, m host.Meta) string {
	if m.Mode&0o004 == 0 && len(data) > 0 {
		return fmt.Sprintf("%d bytes that others may not read", len(data))
	}
	return showText(data)
}

// readUpTo returns what name holds, but no more than limit bytes and one.
func readUpTo(h host.Reader, name string, limit int) ([]byte, error) {
	c, err := h.Content(name)
	if err != nil {
		return nil, err
	}
	f, err := c.Reader()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, int64(limit)+1))
}
