// Package hosttest holds what every [host.Host] must pass.
//
// [Suite] checks one host against what the interface promises. [History] makes
// the same random changes to a host that acts and to one that predicts, and
// compares every answer and every error. Both take hosts over throw-away
// files, which [Machine] makes.
//
// It is called by the tests of package host, and by those of whoever brings
// another host.
package hosttest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"runbook/runtime/host"
)

// Accounts are the lines of /etc/passwd and /etc/group on a [Machine].
// nobody belongs to team.
const (
	Passwd = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/:/bin/sh\n" +
		"bob:x:1001:1000::/:/bin/sh\nnobody:x:65534:65534::/:/bin/sh\n"
	Group = "root:x:0:\nstaff:x:1000:\nteam:x:2000:nobody\nnogroup:x:65534:\n"
)

// Machine returns a directory with little more than accounts in it, in memory
// where that is possible. It is gone when the test ends.
func Machine(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "runbook-test-")
	if err != nil {
		dir = t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	Furnish(t, dir)
	return dir
}

// Furnish makes dir a machine.
func Furnish(t testing.TB, dir string) {
	t.Helper()
	for name, text := range map[string]string{"etc/passwd": Passwd, "etc/group": Group} {
		name = filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o755), os.WriteFile(name, []byte(text), 0o644),
			os.Chmod(dir, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
}

// Tree describes all that is below dir, a line for each file. It leaves out
// /etc, where histories change nothing.
func Tree(r host.Reader, dir string) string {
	var b strings.Builder
	tree(&b, r, dir)
	return b.String()
}

func tree(b *strings.Builder, r host.Reader, dir string) {
	names, err := r.ReadDir(dir)
	if err != nil {
		fmt.Fprintln(b, "  ", err)
	}
	for _, n := range names {
		p := path.Join(dir, n)
		if p == "/etc" {
			continue
		}
		m, err := r.Lstat(p)
		fmt.Fprint(b, p, " ", m.Mode, " ", m.Owner)
		switch {
		case err != nil:
			fmt.Fprintln(b, " ", err)
		case m.Mode.IsDir():
			fmt.Fprintln(b)
			tree(b, r, p)
		default:
			target := ""
			if m.Mode&fs.ModeSymlink != 0 {
				target, err = r.Readlink(p)
				fmt.Fprintf(b, " -> %s %v", target, err)
			}
			data, err := host.ReadFile(r, p)
			fmt.Fprintf(b, " %d %q %v\n", m.Size, data, err)
		}
	}
}

// Reason names the class of an error: what errno, or what else.
func Reason(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return "ok"
	case errors.Is(err, host.ErrUnknown):
		return "unknown"
	case errors.As(err, &errno):
		return errno.Error()
	}
	return err.Error()
}
