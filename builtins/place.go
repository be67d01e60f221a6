package builtins

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"syscall"

	"runbook/runtime"
	"runbook/runtime/host"
)

// Looking at files and at the places where files are to be made.

// look returns what Lstat says of name; ok is false if there is no such file. Where
// only a real run could know, it assumes that there is none.
func look(ctx context.Context, h host.Reader, name string) (m host.Meta, ok bool, err error) {
	m, err = h.Lstat(name)
	switch {
	case isMissing(err):
		return m, false, nil
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, name+" is not there")
		return m, false, nil
	}
	return m, err == nil, err
}

// present reports whether name is there. Where only a real run could know, it
// assumes that it is not.
func present(ctx context.Context, h host.Reader, name string) (bool, error) {
	ok, err := host.Exists(h, name)
	if errors.Is(err, host.ErrUnknown) {
		runtime.Assume(ctx, name+" is not there")
		return false, nil
	}
	return ok, err
}

// follow returns the file that name leads to through symbolic links, and what Lstat
// says of it. If a final link leads to what is missing, the name is that of what is missing.
func follow(h host.Reader, name string) (string, host.Meta, error) {
	real, err := h.Resolve(name, true)
	if err != nil {
		return name, host.Meta{}, err
	}
	m, err := h.Lstat(real)
	return real, m, err
}

// isMissing reports whether err says that there is no such file, also because a
// directory in its name is something else.
func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// ignoreNotExist returns err, or nil if err says that there is no such file.
func ignoreNotExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// needDir returns an error if the directory of name, which is to be made, is missing
// or something else.
func needDir(h host.Reader, name string) error {
	dir := path.Dir(name)
	switch _, m, err := follow(h, dir); {
	case isMissing(err):
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

// missingDirs returns those of name and the directories above it that are missing,
// uppermost first.
func missingDirs(h host.Reader, name string) (dirs []string, err error) {
	for p := name; p != "/"; p = path.Dir(p) {
		_, m, err := follow(h, p)
		switch {
		case isMissing(err):
			dirs = append(dirs, p)
			continue
		case err != nil && !errors.Is(err, host.ErrUnknown):
			return nil, err
		case err == nil && !m.Mode.IsDir():
			return nil, fmt.Errorf("%s is %s, want a directory", p, kindOf(m.Mode))
		}
		break
	}
	slices.Reverse(dirs)
	return dirs, nil
}

// needPlace returns an error unless name can become a regular file: what is there,
// described by m, must be one too; if nothing is there, its directory must be.
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

// inTheWay returns the error about a file of another type than want, such as "a
// directory", in its place.
func inTheWay(m host.Meta, want string) error {
	return runtime.Hint(fmt.Errorf("is %s, want %s", kindOf(m.Mode), want), "move or remove what is in the way")
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

// program returns the absolute name of the first of these programs that is
// installed, or "".
func program(h host.Reader, names ...string) string {
	for _, n := range names {
		for _, dir := range []string{"/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"} {
			if ok, err := host.Exists(h, path.Join(dir, n)); err == nil && ok {
				return path.Join(dir, n)
			}
		}
	}
	return ""
}

// checkSecretPaths returns an error if an address with a secret in it is that of a file:
// only a server's is not shown.
func checkSecretPaths(arg string, addresses ...string) error {
	for _, a := range addresses {
		scheme, _, ok := strings.Cut(strings.ToLower(a), "://")
		if runtime.HoldsSecret(a) && (!ok || !strings.HasPrefix(scheme, "http") && scheme != "ftp") {
			return runtime.Hint(fmt.Errorf("argument %q: got a secret in a path, which everybody would see", arg),
				"only addresses that begin with https:// or http:// take secrets")
		}
	}
	return nil
}

func makeDir(name string, m host.Meta) runtime.Deed {
	return func(_ context.Context, h host.Host) error { return h.Mkdir(name, m) }
}

func setMeta(name string, m host.Meta) runtime.Deed {
	return func(_ context.Context, h host.Host) error { return h.SetMeta(name, m) }
}

func writeFile(name string, c host.Content, m host.Meta) runtime.Deed {
	return func(_ context.Context, h host.Host) error { return h.WriteFile(name, c, m) }
}

// reading returns a deed whose effects read files.
func reading(do runtime.Deed, files ...runtime.Read) runtime.Deed {
	return func(ctx context.Context, h host.Host) error { return do(ctx, runtime.Reading(h, files...)) }
}

// readText returns what a file holds, or "" if there is none. Where only a real run
// could know, it assumes that the file is empty.
func readText(ctx context.Context, h host.Reader, name string) (string, error) {
	data, err := host.ReadFile(h, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, name+" is empty")
		return "", nil
	}
	return string(data), err
}

// readUpTo returns what name holds, cut after limit+1 bytes.
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

// openFile opens a file whose secrets, if it holds any, are not masked.
func openFile(h host.Reader, name string) (host.File, error) {
	c, err := runtime.Unmasked(h).Content(name)
	if err != nil {
		return nil, err
	}
	return c.Reader()
}

// contentOf returns what a file holds, secrets not masked, for another file.
func contentOf(h host.Reader, s source) (host.Content, error) {
	c, err := s.content(h)
	switch {
	case s.here != nil:
		return c, nil
	case errors.Is(err, host.ErrUnknown):
		return host.Unknown(s.path), nil
	}
	// Without its Text, which only an overlay may have: the trace has the digest of a
	// Text, and must be the same on both hosts.
	return host.Content{Open: c.Reader}, err
}

// sameContent reports whether two files hold the same; a size below 0 is unknown.
// Where only a real run could know, it assumes that they do not.
func sameContent(ctx context.Context, h host.Reader, a source, b string, sizeA, sizeB int64) (bool, error) {
	if sizeA >= 0 && sizeB >= 0 && sizeA != sizeB {
		return false, nil
	}
	same, err := sameBytes(ctx, h, a, b)
	if errors.Is(err, host.ErrUnknown) {
		runtime.Assume(ctx, a.String()+" and "+b+" hold different things")
		return false, nil
	}
	return same, err
}

func sameBytes(ctx context.Context, h host.Reader, a source, b string) (bool, error) {
	c, err := a.content(h)
	if err != nil {
		return false, err
	}
	f, err := c.Reader()
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

// untilDone reads from r until ctx ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := context.Cause(u.ctx); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}

// binding returns h, whose effects read those of the files that are there.
func binding(h host.Host, names ...string) host.Host {
	var reads []runtime.Read
	for _, name := range names {
		real, m, err := follow(h, name)
		known := slices.ContainsFunc(reads, func(r runtime.Read) bool { return r.Path == real })
		if err == nil && m.Mode.IsRegular() && !known {
			reads = append(reads, runtime.Read{Path: real})
		}
	}
	return runtime.Reading(h, reads...)
}
