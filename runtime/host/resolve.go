package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// maxLinks is how many symbolic links one name may lead through, as in Linux
// (path_resolution(7)).
const maxLinks = 40

// maxPath is how many bytes a name, or the target of a link, may have (PATH_MAX without the NUL at its end).
const maxPath = 4095

// checkTarget returns the kernel's error for what cannot be the target of a symbolic link.
func checkTarget(target string) error {
	switch {
	case target == "":
		return syscall.ENOENT
	case strings.ContainsRune(target, 0):
		return syscall.EINVAL
	case len(target) > maxPath:
		return syscall.ENAMETOOLONG
	}
	return nil
}

// A walker takes single steps through a tree; T is a place in it.
type walker[T any] interface {
	root() T
	// child returns what is called name in dir, without following it; name may be "..".
	child(dir T, name string) (T, error)
	// link returns the target of a symbolic link; ok is false for anything else.
	link(at T) (target string, ok bool, err error)
	// trust returns an error if whoever acts must not follow the link at.
	trust(at T) error
}

// walk follows the symbolic links in the directories of name and, if follow,
// a final one. It returns the directory where it ends, reached without links,
// and the name in it, "." for the directory itself. Whether there is such a
// name is for the caller to find. Absolute targets begin at the walker's root.
func walk[T any](w walker[T], name string, follow bool) (dir T, base string, err error) {
	dir = w.root()
	if len(name) > maxPath {
		return dir, base, syscall.ENAMETOOLONG
	}
	rest := parts(name)
	for links := 0; len(rest) > 0; {
		base, rest = rest[0], rest[1:]
		last := len(rest) == 0
		if last && !follow {
			return dir, base, nil
		}
		at, target, linked, err := step(w, dir, base)
		switch {
		case last && errors.Is(err, fs.ErrNotExist):
			return dir, base, nil
		case err != nil:
			return dir, base, err
		case !linked && last && base != "..":
			return dir, base, nil
		case !linked:
			dir = at
			continue
		}
		if links++; links > maxLinks {
			return dir, base, syscall.ELOOP
		}
		if err := w.trust(at); err != nil {
			return dir, base, err
		}
		if strings.HasPrefix(target, "/") {
			dir = w.root()
		}
		rest = append(parts(target), rest...)
	}
	return dir, ".", nil
}

func step[T any](w walker[T], dir T, name string) (at T, target string, linked bool, err error) {
	if at, err = w.child(dir, name); err != nil || name == ".." {
		return at, "", false, err
	}
	target, linked, err = w.link(at)
	return at, target, linked, err
}

// parts splits a name, leaving out what means "here".
func parts(name string) []string {
	var s []string
	for p := range strings.SplitSeq(name, "/") {
		if p != "" && p != "." {
			s = append(s, p)
		}
	}
	return s
}

// Root follows a link only if nobody but root can have put it there: root owns it, and every directory on the way to it
// can be changed by root alone. Otherwise the account that a directory was made for could lead root anywhere. Who is
// not root follows what the kernel does.

// stranger returns who besides root can change what the directory m holds, or "". In a sticky directory that root owns
// nobody can replace what root put there.
func (m Meta) stranger() string {
	switch {
	case m.maker() != "":
		return m.maker()
	case m.Mode&fs.ModeSticky != 0:
		return ""
	case m.Mode&0o002 != 0:
		return "everybody"
	case m.Mode&0o020 != 0 && m.Group != root && m.Group != "0":
		return "the group " + m.Group
	}
	return ""
}

// maker returns whose file m is, or "" if it is root's.
func (m Meta) maker() string {
	if m.User == root || m.User == "0" {
		return ""
	}
	return m.User
}

// foreignLink is the error about a link that somebody else than root made, or made sure of.
func foreignLink(link string, m Meta) error {
	return hinted{fmt.Errorf("%s is a link that %s made", link, m.maker()), linkCure}
}

// looseLink is the error about a link of root in, or below, a directory that others can change.
func looseLink(link, dir string, m Meta) error {
	return hinted{fmt.Errorf("%s is a link below %s, which %s can change", link, dir, m.stranger()), linkCure}
}

const linkCure = "root follows only links that nobody else can have put there: name the file that is meant, " +
	"or see who made the link and remove it"

// guest makes err read "op name: reason" in a runbook's own words: without the
// root, the names of temporary files or the steps that a library took.
func guest(op, name string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: name, Err: bare(err)}
}

// bare leaves the reason of a library's error, without its names.
func bare(err error) error {
	switch e := err.(type) {
	case *fs.PathError:
		return bare(e.Err)
	case *os.LinkError:
		return bare(e.Err)
	case *os.SyscallError:
		return bare(e.Err)
	default:
		return err
	}
}

// A hinted error carries advice for the person who reads it.
type hinted struct {
	error
	hint string
}

func (h hinted) Unwrap() error { return h.error }

// Hint returns what cures the error.
func (h hinted) Hint() string { return h.hint }
