// Package cache keeps what is dear to make for tests (a base root, compiled programs) from one test run to the next.
//
// Two things to know: a name must say everything that its content depends on, so that nothing is ever out of date;
// and any number of test processes may ask at once, one makes and the others wait.
// Package lab and package media call it; it calls nobody.
package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Dir returns the directory called name (no slashes). If it is not there, fill makes its content in an empty
// directory of mode 0755 that gets the name only after fill returned nil. Errors are fill's and the system's.
func Dir(name string, fill func(dir string) error) (string, error) {
	dir := filepath.Join(root(), name)
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return "", err
	}
	unlock, err := lock(dir + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	fresh := dir + ".new" // a run that was killed may have left one
	if err := os.RemoveAll(fresh); err != nil {
		return "", err
	}
	if err := os.Mkdir(fresh, 0o755); err != nil {
		return "", err
	}
	if err := fill(fresh); err != nil {
		return "", err
	}
	return dir, os.Rename(fresh, dir)
}

// Key is a short name for texts: 16 hexadecimal digits that differ when any text does.
func Key(texts ...string) string {
	h := sha256.New()
	for _, t := range texts {
		fmt.Fprintf(h, "%d:%s", len(t), t)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// root is below the user's cache directory, or below /var/cache for a root without a home.
func root() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = "/var/cache"
	}
	return filepath.Join(dir, "runbook-test")
}

// lock waits for the lock on a file. The kernel gives it back when the process ends in any way.
func lock(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", name, err)
	}
	return func() { f.Close() }, nil
}
