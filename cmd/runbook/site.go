package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"runbook/runtime"
)

const siteName = "runbook.star"

// siteFor returns the site's own file for a runbook: the one that --site names, else
// runbook.star beside the runbook or, for a shipped one, in the current directory; nil
// if there is none.
func (p *program) siteFor(lib *library, dir, named string) (*runtime.Site, error) {
	file := named
	if file == "" {
		if file = filepath.Join(dir, siteName); lib.name == siteName && lib.Dir != nil {
			return nil, nil // it is the runbook
		}
		if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
	}
	real, err := filepath.EvalSymlinks(file)
	if err == nil {
		real, err = filepath.Abs(real)
	}
	if err != nil {
		return nil, mistake("", "site's file: %w", err)
	}
	for _, name := range []string{real, filepath.Dir(real)} {
		if err := trusted(name); err != nil {
			return nil, mistake("what it says is run: see who could have written it, then chown and chmod go-w, "+
				"or name another with --site", "site's file %s: %w", file, err)
		}
	}
	root, err := os.OpenRoot(filepath.Dir(real))
	if err != nil {
		return nil, mistake("", "site's file: %w", err)
	}
	lib.roots = append(lib.roots, root)
	return &runtime.Site{FS: root.FS(), Name: filepath.Base(real), Dir: filepath.Dir(real)}, nil
}

// trusted returns an error unless name belongs to whoever runs or to root, and nobody
// else can write it.
func trusted(name string) error {
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return &os.PathError{Op: "stat", Path: name, Err: err}
	}
	switch {
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to %s", name, accountName(st.Uid))
	case st.Mode&0o002 != 0 || st.Mode&0o020 != 0 && st.Gid != 0:
		return fmt.Errorf("others than its owner can write %s", name)
	}
	return nil
}
