// Package npm installs packages of npm for tests, once, into the user's cache.
//
// Two things to know: what is installed is what a lock file says, without its scripts; and a test that has no node is
// left out, except in CI (see lab.Skip).
// Packages browser and client call it; it calls packages lab and cache.
package npm

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"runbook/cmd/runbook/internal/lab"
	"runbook/cmd/runbook/internal/lab/cache"
)

// Install returns a directory with the files in the directory npm of from, and with the packages that they ask for.
func Install(t testing.TB, name string, from fs.FS) (dir string) {
	t.Helper()
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			lab.Skip(t, fmt.Sprintf("no %s: %v (Debian's nodejs and npm)", name, err))
		}
	}
	names, err := fs.Glob(from, "npm/*")
	var texts []string
	for _, file := range names {
		text, readErr := fs.ReadFile(from, file)
		if readErr != nil {
			err = readErr
		}
		texts = append(texts, string(text))
	}
	if err != nil {
		t.Fatal(err)
	}
	dir, err = cache.Dir(name+"-"+cache.Key(texts...), func(dir string) error {
		for i, file := range names {
			if err := os.WriteFile(filepath.Join(dir, filepath.Base(file)), []byte(texts[i]), 0o644); err != nil {
				return err
			}
		}
		return install(dir)
	})
	if err != nil {
		lab.Skip(t, fmt.Sprintf("no %s: %v", name, err))
	}
	return dir
}

func install(dir string) error {
	c := exec.Command("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier")
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		return fmt.Errorf("npm ci: %w: %s", err, out)
	}
	return nil
}
