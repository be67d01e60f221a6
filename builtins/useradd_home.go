package builtins

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"path"
	"strconv"
	"strings"

	"runbook/runtime"
	"runbook/runtime/host"
)

const skeleton = "/etc/skel"

// add makes the account. Every choice is passed: the defaults differ between systems.
func (op *useraddOp) add(ctx context.Context, h host.Host) error {
	group, ownGroup, err := op.newGroup(ctx, h)
	if err != nil {
		return err
	}
	cmd := host.Cmd{Process: host.Process{Argv: op.argv(group, ownGroup)}, Sets: map[host.Fact]string{
		fact(host.User, op.name):    cmp.Or(op.uid, host.Present),
		fact(host.Home, op.name):    op.newHome(),
		fact(host.Shell, op.name):   op.newShell(),
		fact(host.Comment, op.name): op.comment,
		fact(host.Primary, op.name): group,
		fact(host.Groups, op.name):  strings.Join(op.groups, ","),
	}}
	if ownGroup {
		cmd.Sets[fact(host.Group, group)] = host.Present
	}
	owner := host.Owner{User: op.name, Group: group}
	old, err := h.Lstat(op.newHome())
	if fresh := errors.Is(err, fs.ErrNotExist); fresh && op.createHome {
		if cmd.Makes, err = homeEntries(h, op.newHome(), owner); err != nil {
			return err
		}
	} else if err != nil && !fresh {
		return err
	}
	if res, err := h.Exec(ctx, cmd); err != nil {
		return explainUseradd(err, res.Code)
	}
	if op.createHome && cmd.Makes == nil && old.Owner != owner {
		// useradd leaves a directory that is there to whoever owned it.
		return h.SetMeta(op.newHome(), host.Meta{Mode: old.Mode, Owner: owner})
	}
	return nil
}

// newGroup returns the group of a new account, and whether useradd makes it.
func (op *useraddOp) newGroup(ctx context.Context, h host.Reader) (name string, own bool, err error) {
	if op.group != "" {
		return op.group, false, nil
	}
	id, err := h.Fact(ctx, fact(host.Group, op.name))
	return op.name, id == "", err
}

func (op *useraddOp) argv(group string, ownGroup bool) []string {
	argv := []string{"useradd", "-d", op.newHome(), "-s", op.newShell(), "-c", op.comment}
	add := func(when bool, words ...string) {
		if when {
			argv = append(argv, words...)
		}
	}
	add(op.createHome, "-m")
	add(!op.createHome, "-M")
	add(op.system, "-r")
	add(op.uid != "", "-u", op.uid)
	add(ownGroup, "-U")
	add(!ownGroup, "-g", group)
	add(len(op.groups) > 0, "-G", strings.Join(op.groups, ","))
	return append(argv, op.name)
}

// explainUseradd says what the exit statuses of useradd(8) leave out.
func explainUseradd(err error, code int) error {
	switch code {
	case 1, 10:
		return runtime.Hint(err, "only root may; or another program holds a lock: look for /etc/passwd.lock and /etc/group.lock")
	case 4:
		return runtime.Hint(err, "another account has that number: getent passwd NUMBER")
	case 12:
		return runtime.Hint(err, "the account is there, its home is not: see whether the file system is full or read-only, then run again")
	case 14:
		return runtime.Hint(err, "SELinux refused: see the audit log")
	}
	return err
}

// homeEntries lists what a new home directory holds: copies of /etc/skel.
func homeEntries(h host.Reader, home string, owner host.Owner) ([]host.Entry, error) {
	mode, err := homeMode(h)
	if err != nil {
		return nil, err
	}
	entries := []host.Entry{{Name: home, Meta: host.Meta{Mode: fs.ModeDir | mode, Owner: owner}}}
	err = host.Walk(h, skeleton, func(name string, m host.Meta) error {
		if name == skeleton {
			return nil
		}
		e := host.Entry{Name: path.Join(home, strings.TrimPrefix(name, skeleton)), Meta: host.Meta{Mode: m.Mode, Size: m.Size, Owner: owner}}
		switch {
		case m.Mode&fs.ModeSymlink != 0:
			e.Target, err = h.Readlink(name)
		case m.Mode.IsRegular():
			e.Content, err = h.Content(name)
		}
		entries = append(entries, e)
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = nil // a system without a skeleton makes empty homes
	}
	return entries, err
}

// homeMode is the mode that useradd gives a home directory: HOME_MODE of
// login.defs(5), else what UMASK leaves of 0777.
func homeMode(h host.Reader) (fs.FileMode, error) {
	lines, err := host.Lines(h, "/etc/login.defs")
	mode, umask := int64(-1), int64(0o022)
	for _, l := range lines {
		f := strings.Fields(l)
		if len(f) < 2 || f[0] != "HOME_MODE" && f[0] != "UMASK" {
			continue
		}
		n, err := strconv.ParseInt(f[1], 0, 32) // as C reads numbers: 077 is octal
		if err == nil && f[0] == "HOME_MODE" {
			mode = n
		} else if err == nil {
			umask = n
		}
	}
	if mode < 0 {
		mode = 0o777 &^ umask
	}
	return fs.FileMode(mode) & 0o777, err
}

// makeHome makes the missing home directory of an account that exists.
func (op *useraddOp) makeHome(ctx context.Context, h host.Host) error {
	home, err := h.Fact(ctx, fact(host.Home, op.name))
	if err != nil {
		return err
	}
	entries, err := homeEntries(h, home, ownerOf(ctx, h, op.name))
	if err != nil {
		return err
	}
	for _, e := range entries {
		switch {
		case e.Mode.IsDir():
			err = h.Mkdir(e.Name, e.Meta)
		case e.Mode&fs.ModeSymlink != 0:
			err = h.Symlink(e.Target, e.Name, e.Owner)
		case e.Mode.IsRegular():
			err = h.WriteFile(e.Name, e.Content, e.Meta)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
