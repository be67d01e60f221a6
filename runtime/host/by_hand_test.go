package host_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"testing"

	"runbook/runtime/host"
	"runbook/runtime/host/hosttest"
)

// What a person did wrong is told, and asked for again before the next change.
func TestByHand(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("NOT TESTED: files are given to others: root is needed")
	}
	const before = "mkdir d; echo old >d/old; chmod 0640 d/old; mkdir d/full; touch d/full/1 d/full/2; ln -s old d/link; "
	file := func(h host.Host) error {
		return h.WriteFile("/d/f", host.Bytes([]byte("text\n")), host.Meta{Mode: 0o640, Size: 5, Owner: host.Owner{User: "daemon"}})
	}
	dir := func(h host.Host) error {
		return h.Mkdir("/d/new", host.Meta{Mode: 0o750, Owner: host.Owner{Group: "daemon"}})
	}
	link := func(h host.Host) error { return h.Symlink("old", "/d/l", host.Owner{}) }
	mode := func(h host.Host) error {
		return h.SetMeta("/d/old", host.Meta{Mode: 0o600, Owner: host.Owner{User: "daemon"}})
	}
	own := func(h host.Host) error { return h.Chown("/d/full", host.Owner{User: "daemon", Group: "daemon"}, 3) }
	move := func(h host.Host) error { return h.Move("/d/old", "/d/moved") }
	remove := func(h host.Host) error { return h.Remove("/d/full", 3) }
	tree := func(h host.Host) error {
		m := host.Manifest{{Name: "t", Meta: host.Meta{Mode: 0o644, Size: 5}, Sum: fmt.Sprintf("%x", sha256.Sum256([]byte("text\n")))},
			{Name: "u", Meta: host.Meta{Mode: fs.ModeSymlink}, Target: "t"}}
		return h.WriteTree(t.Context(), "/d", m.All(), func(context.Context, *host.Root) error { return errors.New("nobody asked") })
	}
	command := func(h host.Host) error {
		_, err := h.Exec(t.Context(), host.Cmd{Process: host.Process{Argv: []string{"false"}},
			Makes: []host.Entry{{Name: "d/made", Meta: host.Meta{Mode: fs.ModeDir}}}})
		return err
	}
	const rightFile = "rm -rf d/f; printf 'text\\n' >d/f; chmod 0640 d/f; chown daemon d/f"
	for name, c := range map[string]struct {
		change             func(host.Host) error
		wrong, right, want string
	}{
		"nothing done":        {file, "true", rightFile, "no such file"},
		"another text":        {file, rightFile + "; printf 'tex\\n\\n' >d/f", rightFile, "sha256"},
		"a longer text":       {file, rightFile + "; echo >>d/f", rightFile, "sha256"},
		"another mode":        {file, rightFile + "; chmod 0644 d/f", rightFile, "want mode 0640, have 0644"},
		"another owner":       {file, rightFile + "; chown root d/f", rightFile, "want owner"},
		"a directory instead": {file, "mkdir d/f", rightFile, "want type file, have directory"},
		"a link to it":        {file, rightFile + "; mv d/f d/g; ln -s g d/f", rightFile, "want type file, have symbolic link"},
		"elsewhere":           {dir, "mkdir -m 0750 d/other", "install -d -m 0750 -g daemon d/new", "no such file"},
		"open to all":         {dir, "install -d -m 0777 -g daemon d/new", "chmod 0750 d/new", "want mode 0750"},
		"another group":       {dir, "install -d -m 0750 d/new", "chgrp daemon d/new", "want owner"},
		"a file instead":      {dir, "touch d/new", "rm d/new; install -d -m 0750 -g daemon d/new", "want type directory, have file"},
		"another target":      {link, "ln -s other d/l", "ln -sfn old d/l", `want target "old", have "other"`},
		"a copy":              {link, "cp d/old d/l", "ln -sfn old d/l", "want type symbolic link"},
		"half of it":          {mode, "chmod 0600 d/old", "chown daemon d/old", "want owner"},
		"the mode undone":     {mode, "chmod 0600 d/old; chown daemon d/old; chmod 4600 d/old", "chmod 0600 d/old", "want mode 0600, have 4600"},
		"only the directory":  {own, "chown daemon:daemon d/full", "chown -R daemon:daemon d/full", "2 of 3 files"},
		"one forgotten":       {own, "chown -R daemon:daemon d/full; chown root d/full/2", "chown daemon d/full/2", "1 of 3 files"},
		"copied, not moved":   {move, "cp -a d/old d/moved", "rm d/moved; mv d/old d/moved", "it is still there"},
		"copied and removed":  {move, "cp -a d/old d/moved; ln d/old keep; rm d/old", "ln keep d/old; mv -f d/old d/moved; rm -f d/old", "it is not what was moved"},
		"emptied":             {remove, "rm d/full/1 d/full/2", "rmdir d/full", "it is still there"},
		"a file of a tree":    {tree, "printf 'TEXT\\n' >d/t; ln -s t d/u", "printf 'text\\n' >d/t", "sha256"},
		"a link of a tree":    {tree, "printf 'text\\n' >d/t; ln -s x d/u", "ln -sfn t d/u", "target"},
		"a command":           {command, "true", "mkdir d/made", "no such file"},
		"another command":     {command, "touch d/made", "rm d/made; mkdir d/made", "want type directory, have file"},
	} {
		t.Run(name, func(t *testing.T) {
			root := hosttest.Machine(t)
			person(t, root, before)
			asked := 0
			h := &host.ByHand{Local: host.NewLocal(root), Own: func(string) bool { return false },
				Await: func(_ context.Context, missing error) (bool, error) {
					switch asked++; asked {
					case 1:
						if missing != nil {
							t.Errorf("before anything was done it says: %v", missing)
						}
						person(t, root, c.wrong)
					case 2:
						if missing == nil || !strings.Contains(missing.Error(), c.want) {
							t.Errorf("got %v, want %s", missing, c.want)
						}
						person(t, root, c.right)
					default:
						return false, missing
					}
					return false, nil
				}}
			if err := c.change(h); err != nil || asked != 2 {
				t.Errorf("asked %d times, want 2: %v", asked, err)
			}
		})
	}
}

// person does something on a machine.
func person(t *testing.T, dir, script string) {
	t.Helper()
	c := exec.Command("sh", "-euc", script)
	c.Dir = dir
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}
