package host

import (
	"cmp"
	"context"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// What an effect declared is asked for again afterwards. Only what the machine
// then answers counts.

func (s *spot) mismatch(what string, want, have any) error {
	return s.error(missed(what, want, have))
}

func missed(what string, want, have any) error {
	return fmt.Errorf("did not take effect: want %s %v, have %v", what, want, have)
}

func octal(bits uint32) string { return fmt.Sprintf("%04o", bits) }

// ModeText returns the permissions of a file, its special bits too, as four octal digits.
func ModeText(m fs.FileMode) string { return octal(modeBits(m)) }

// TypeName returns the type of a file: "file", "directory", "symbolic link" or "special file".
func TypeName(m fs.FileMode) string { return typeName(typeBits(m)) }

// assert compares m and o with what is at s.
func (s *spot) assert(m Meta, o ids) error {
	have, err := s.stat()
	if err != nil {
		return s.error(fmt.Errorf("did not take effect: %w", err))
	}
	if m.Mode.Type() == fs.ModeSymlink {
		m.Mode = fs.ModeSymlink | fs.FileMode(have.Mode).Perm() // of no meaning in Linux
	}
	if !m.Mode.IsRegular() {
		m.Size = -1
	}
	return s.compare(have, m, typeBits(m.Mode), o)
}

func (s *spot) compare(have unix.Stat_t, want Meta, wantType uint32, o ids) error {
	const bits = unix.S_ISUID | unix.S_ISGID | unix.S_ISVTX | 0o777
	switch t := have.Mode & unix.S_IFMT; {
	case t != wantType:
		return s.mismatch("type", typeName(wantType), typeName(t))
	case have.Mode&bits != modeBits(want.Mode):
		return s.mismatch("mode", octal(modeBits(want.Mode)), octal(have.Mode&bits))
	case o.differ(have):
		o = o.or(int(have.Uid), int(have.Gid))
		return s.mismatch("owner", fmt.Sprintf("%d:%d", o.uid, o.gid), fmt.Sprintf("%d:%d", have.Uid, have.Gid))
	case want.Size >= 0 && want.Size != have.Size:
		return s.mismatch("size", want.Size, have.Size)
	}
	return nil
}

func (s *spot) assertTarget(target string) error {
	if target == "" {
		return nil
	}
	have, err := s.readlink()
	if err == nil && have != target {
		return s.mismatch("target", strconv.Quote(target), strconv.Quote(have))
	}
	return s.error(err)
}

func typeName(bits uint32) string {
	switch bits {
	case unix.S_IFREG:
		return "file"
	case unix.S_IFDIR:
		return "directory"
	case unix.S_IFLNK:
		return "symbolic link"
	default:
		return "special file"
	}
}

// assertTree compares m with what lies below root: types, and of regular files
// mode, size and time; owners and targets where they are named. The content is
// for whoever filled root to check.
func (l *Local) assertTree(root *Root, dir string, m Entries) error {
	at, in := root, "" // entries of one directory usually follow each other: it stays open
	defer func() {
		if at != root {
			at.Close()
		}
	}()
	for e := range m {
		if d := path.Dir(e.Name); d != in {
			if at != root {
				at.Close()
			}
			at, in = root, d
			if kid, err := root.OpenRoot(d); err == nil {
				at = kid
			}
		}
		name := e.Name
		if at != root {
			name = path.Base(name)
		}
		if err := l.assertEntry(at, name, e); err != nil {
			return guest("tree", path.Join(dir, e.Name), err)
		}
	}
	return nil
}

func (l *Local) assertEntry(root *Root, name string, want Entry) error {
	fi, err := root.Lstat(name)
	if err != nil {
		return fmt.Errorf("did not take effect: %w", bare(err))
	}
	if want.Mode.Type() != fi.Mode().Type() {
		return missed("type", TypeName(want.Mode), TypeName(fi.Mode()))
	}
	if err := l.assertOwner(fi, want.Owner); err != nil {
		return err
	}
	switch {
	case want.Mode&fs.ModeSymlink != 0 && want.Target != "":
		if have, err := root.Readlink(name); err != nil || have != want.Target {
			return cmp.Or(err, missed("target", strconv.Quote(want.Target), strconv.Quote(have)))
		}
	case !want.Mode.IsRegular():
	case want.Mode.Perm() != fi.Mode().Perm():
		return missed("mode", ModeText(want.Mode.Perm()), ModeText(fi.Mode().Perm()))
	case want.Size >= 0 && want.Size != fi.Size():
		return missed("size", want.Size, fi.Size())
	case !want.ModTime.IsZero() && !want.ModTime.Equal(fi.ModTime()):
		return missed("time", want.ModTime.UTC().Format(time.RFC3339Nano), fi.ModTime().UTC().Format(time.RFC3339Nano))
	}
	return nil
}

func (l *Local) assertOwner(fi fs.FileInfo, o Owner) error {
	if o == (Owner{}) {
		return nil
	}
	want, err := l.ids(o)
	if err != nil {
		return err
	}
	var have unix.Stat_t
	have.Uid, have.Gid = statOwner(fi)
	if want.differ(have) {
		want = want.or(int(have.Uid), int(have.Gid))
		return missed("owner", fmt.Sprintf("%d:%d", want.uid, want.gid), fmt.Sprintf("%d:%d", have.Uid, have.Gid))
	}
	return nil
}

// assertCmd asks for the facts that c sets, for as long as they may take, and
// for the types of the files that it makes.
func (l *Local) assertCmd(ctx context.Context, c Cmd) error {
	deadline := time.Now().Add(c.Settle)
	for _, f := range SortedFacts(c.Sets) {
		if err := l.assertFact(ctx, c, f, deadline); err != nil {
			return err
		}
	}
	for _, e := range c.Makes {
		if err := l.assertMade(path.Join("/", e.Name), e.Mode.Type()); err != nil {
			return err
		}
	}
	return nil
}

// assertMade looks for a file of a type; a link that leads to a directory will
// do for one, and ModeIrregular stands for any, of a program that knows nothing of power cuts.
func (l *Local) assertMade(name string, want fs.FileMode) error {
	m, err := l.Lstat(name)
	if err != nil {
		return fmt.Errorf("did not take effect: %w", err)
	}
	if want == fs.ModeIrregular {
		return l.persist(name)
	}
	if m.Mode&fs.ModeSymlink != 0 && want.IsDir() {
		_, err = l.ReadDir(name)
	}
	if have := m.Mode.Type(); have != want && (!want.IsDir() || have != fs.ModeSymlink || err != nil) {
		return guest("make", name, missed("type", TypeName(want), TypeName(have)))
	}
	return nil
}

func (l *Local) persist(name string) error {
	s, err := l.spot("sync", name)
	if err != nil {
		return err
	}
	defer s.close()
	return s.error(s.persist())
}

func (l *Local) assertFact(ctx context.Context, c Cmd, f Fact, deadline time.Time) error {
	want := c.Sets[f]
	for pause := 100 * time.Millisecond; ; pause = min(pause*3/2, time.Second) {
		have, err := l.Fact(ctx, f)
		if err == nil && Holds(want, have) {
			return nil
		}
		if ctx.Err() != nil || time.Now().After(deadline) || slices.Contains(c.Hopeless, have) {
			return cmp.Or(err, missed(f.String()+" =", strconv.Quote(want), strconv.Quote(have)))
		}
		l.forget()
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}
