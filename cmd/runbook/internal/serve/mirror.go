package serve

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"runbook/builtins/mirrored"
)

// A refusal is an error with what to do about it.
type refusal struct{ reason, advice string }

func (r *refusal) Error() string { return r.reason }

// Hint says what to do.
func (r *refusal) Hint() string { return r.advice }

// openMirror opens a directory of accounts, at least one of which holds a channel.
func openMirror(dir string) (*os.Root, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("serve: %w", err)
	}
	if isAccount(root, ".") {
		whole, err := filepath.Abs(dir)
		root.Close()
		if err != nil {
			return nil, err
		}
		return nil, &refusal{fmt.Sprintf("serve %s: is one account, want the directory of accounts above it", dir),
			"runbook serve " + filepath.Dir(whole)}
	}
	if len((&Server{dir: root}).Accounts()) > 0 {
		return root, nil
	}
	root.Close()
	return nil, &refusal{fmt.Sprintf("serve %s: is no mirror: nothing in it is called ACCOUNT/SUBDIR/%s", dir,
		mirrored.IndexFile), "mirror into it first: runbook run mirror.star --var channels=URL --var dest=" + dir}
}

// Reachable returns the names of the channels that somebody can read.
func (s *Server) Reachable() []string {
	return slices.DeleteFunc(s.Accounts(), func(name string) bool { return !s.stays(name) })
}

// Accounts returns the names of the channels that are there now.
func (s *Server) Accounts() (all []string) {
	names, err := fs.Glob(s.dir.FS(), "*")
	if err != nil {
		return nil
	}
	for _, name := range names {
		if !hidden(name) && isAccount(s.dir, name) {
			all = append(all, name)
		}
	}
	return all
}

// isAccount reports whether a directory is a channel, or what a mirror keeps of one.
func isAccount(root *os.Root, dir string) bool {
	if fi, err := root.Stat(path.Join(dir, mirrored.Dir)); err == nil && fi.IsDir() {
		return true
	}
	f, _, err := open(root, dir)
	if err != nil {
		return false
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1) // what cannot be read is no channel
	return slices.ContainsFunc(names, func(name string) bool {
		fi, err := root.Stat(path.Join(dir, name, mirrored.IndexFile))
		return err == nil && fi.Mode().IsRegular()
	})
}

// stays reports whether what is asked for lies in the account's own directory. Where tokens are wanted nothing else is
// the account's: not another account, to which it is a link, nor what a link in it leads to elsewhere.
func (s *Server) stays(parts ...string) bool {
	if s.tokens == nil {
		return true // who may read one may read all
	}
	fi, err := s.dir.Lstat(parts[0])
	if err != nil || !fi.IsDir() {
		return isAbsent(err)
	}
	account, err := s.dir.OpenRoot(parts[0])
	if err != nil {
		return false
	}
	defer account.Close()
	_, err = account.Stat(path.Join(append([]string{"."}, parts[1:]...)...))
	return err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}

// hidden reports whether a name is nobody's business: what mirrors keep, partial files, and what leads elsewhere.
func hidden(name string) bool { return name == "" || name[0] == '.' }

// open opens a file or directory for reading. It does not wait for who might write, as the opening of a pipe does.
func open(root *os.Root, name string) (*os.File, fs.FileInfo, error) {
	f, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() && !fi.IsDir() {
		err = fs.ErrNotExist
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, fi, nil
}

// isAbsent reports whether an error of open says that there is no such file here. What leads out of the directory, and
// a name that no file can have, are that.
func isAbsent(err error) bool {
	for _, e := range []error{
		fs.ErrNotExist, fs.ErrInvalid,
		syscall.ENOTDIR, syscall.ELOOP, syscall.EXDEV, syscall.ENAMETOOLONG, syscall.ENXIO, syscall.ENODEV,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	var pe *fs.PathError
	return errors.As(err, &pe) && strings.Contains(pe.Err.Error(), "escapes") // which os does not export
}
