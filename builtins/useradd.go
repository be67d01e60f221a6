package builtins

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"runbook/runtime"
	"runbook/runtime/host"
)

var useraddBuiltin = &runtime.Builtin{
	Name: "useradd",
	Args: []runtime.Arg{
		param("name", "string", "", "the account"),
		param("home", "path", `"/home/NAME"`, "its home directory; never moved"),
		param("create_home", "bool", "True", "make the home directory with the files of /etc/skel"),
		param("shell", "program", `"/bin/bash"`, "its login shell"),
		param("uid", "int", "None", "its number; the next free one if not given"),
		param("group", "string", `""`, "its own group, which must exist (see group); one with the name of the account if not given"),
		param("groups", "list of string", "[]", "other groups, which must exist (see group); it is never taken out of others"),
		param("system", "bool", "False", "take the number from the range of system accounts"),
		param("comment", "string", `""`, "its full name or purpose"),
		adoptParam,
	},
	Summary: "make an account, its group and its home directory, or repair what differs",
	Detail: []string{
		"Of an account that exists only what the call names is repaired: " +
			"a shell, a comment, groups, a missing home directory.",
		"Its number and the place of its home directory are not changed, because files on disk depend on them: " +
			"that is an error.",
		"A home that is there already is taken over only if it is empty or belongs to the account's number.",
	},
	Example: `useradd("deploy", shell = "/bin/sh", comment = "deployment")`,
	New:     newUseradd,
}

// useraddOp is an account as it should be. Of an account that exists empty
// fields are not compared.
type useraddOp struct {
	name, home, shell, uid, group, comment string
	groups                                 []string
	createHome, system, adopt              bool
}

func newUseradd(c *runtime.Call) (runtime.Op, string, error) {
	op := &useraddOp{createHome: true}
	var home, shell runtime.Path
	err := c.Unpack("name", &op.name, "home", &home, "create_home", &op.createHome, "shell", &shell,
		"uid", (*idNumber)(&op.uid), "group", &op.group, "groups", &op.groups, "system", &op.system, "comment", &op.comment,
		"adopt", &op.adopt)
	if err != nil {
		return nil, "", err
	}
	if err := checkNames(append(op.groups, op.name)...); err != nil {
		return nil, "", err
	}
	if strings.ContainsAny(string(home)+string(shell)+op.comment, ":\n") {
		return nil, "", errors.New("got a colon or a line break, which cannot be in /etc/passwd")
	}
	op.home, op.shell = string(home), string(shell)
	slices.Sort(op.groups)
	op.groups = slices.Compact(op.groups)
	return op, op.name, nil
}

func (op *useraddOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	for _, g := range append([]string{op.group}, op.groups...) {
		if err := needGroup(ctx, h, g); err != nil {
			return nil, err
		}
	}
	uid, err := h.Fact(ctx, fact(host.User, op.name))
	if err != nil {
		return nil, err
	}
	if uid == "" {
		if err := checkFree(ctx, h, host.User, op.uid); err != nil {
			return nil, err
		}
		return op.checkNew(ctx, h)
	}
	return op.checkOld(ctx, h, uid)
}

// needGroup returns an error if there is no group of that name.
func needGroup(ctx context.Context, h host.Reader, name string) error {
	if name == "" {
		return nil
	}
	id, err := h.Fact(ctx, fact(host.Group, name))
	if err == nil && id == "" {
		err = runtime.Hint(errors.New("no group "+name),
			`make it first: group("`+name+`")`)
	}
	return err
}

// checkNew returns the actions that make an account which is not there. It gets a home that is there already only if
// this is empty or has its number.
func (op *useraddOp) checkNew(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	home := op.newHome()
	changes := []host.Change{change("account", "", op.name), change("home", "", home), change("shell", "", op.newShell())}
	if !op.createHome {
		return runtime.Actions(op.create, changes...), nil
	}
	// Older versions of useradd make only the last directory.
	if err := needDir(h, home); err != nil {
		return nil, err
	}
	m, there, err := look(ctx, h, home)
	switch {
	case err != nil:
		return nil, err
	case there && !m.Mode.IsDir():
		return nil, fmt.Errorf("home %s: %w", home, inTheWay(m, "a directory"))
	case there && m.User != op.uid:
		group, _, err := op.newGroup(ctx, h)
		if err != nil {
			return nil, err
		}
		owner := host.Owner{User: op.name, Group: group}
		if err := mayTake(ctx, h, home, m, owner, op.adopt); err != nil {
			return nil, err
		}
		changes = append(changes, ownerChanges(m.Owner, owner)...)
	}
	return runtime.Actions(op.create, changes...), nil
}

func (op *useraddOp) newHome() string  { return cmp.Or(op.home, "/home/"+op.name) }
func (op *useraddOp) newShell() string { return cmp.Or(op.shell, "/bin/bash") }

// checkOld compares what the call names with an account that exists.
func (op *useraddOp) checkOld(ctx context.Context, h host.Reader, uid string) ([]runtime.Action, error) {
	if op.uid != "" && uid != op.uid && uid != host.Present {
		return nil, runtime.Hint(fmt.Errorf("has number %s, want %s", uid, op.uid),
			"changing it would orphan its files: do it by hand with usermod -u and chown")
	}
	home, err := h.Fact(ctx, fact(host.Home, op.name))
	if err != nil {
		return nil, err
	}
	if op.home != "" && home != "" && home != op.home {
		return nil, runtime.Hint(fmt.Errorf("has home %s, want %s", home, op.home),
			"moving it would break what refers to it: do it by hand with usermod -m -d, or name the other home")
	}
	fields, err := op.fields(ctx, h, uid)
	if err != nil {
		return nil, err
	}
	if home == "" && uid == host.Present {
		home = op.newHome()
	}
	actions := op.checkFields(fields, home)
	if ok, err := host.Exists(h, home); op.createHome && home != "" && err == nil && !ok {
		actions = append(actions, runtime.Actions(func(ctx context.Context, h host.Host) error {
			return op.makeHome(ctx, h, home)
		}, change("home", "", home))...)
	}
	return actions, nil
}

// A field is what usermod can change of an account.
type field struct {
	kind         *host.Kind
	have, wanted string // wanted is "" of what the call leaves open
	options      []string
}

// fields returns what the call names and the account has. Of an account that only a
// script of a package makes a dry run may not know all: then it assumes.
func (op *useraddOp) fields(ctx context.Context, h host.Reader, uid string) ([]field, error) {
	all := []field{
		{kind: host.Primary, wanted: op.group, options: []string{"-g", op.group}},
		{kind: host.Shell, wanted: op.shell, options: []string{"-s", op.shell}},
		{kind: host.Comment, wanted: op.comment, options: []string{"-c", op.comment}},
		{kind: host.Groups, options: []string{"-a", "-G", strings.Join(op.groups, ",")}},
	}
	known := true
	for i := range all {
		f := &all[i]
		var err error
		if f.have, err = h.Fact(ctx, fact(f.kind, op.name)); err != nil {
			return nil, err
		}
		known = known && (f.have != "" || f.kind != host.Primary && f.kind != host.Shell)
	}
	if len(op.groups) > 0 {
		all[3].wanted = union(all[3].have, op.groups)
	}
	home, err := h.Fact(ctx, fact(host.Home, op.name))
	if uid == host.Present && (!known || home == "") {
		runtime.Assume(ctx, "the account "+op.name+" is as an earlier command makes it")
	}
	return all, err
}

// checkFields compares what usermod can change. One command changes it; what the call
// names and is so already it names, too, so that it is the same whatever differs.
func (op *useraddOp) checkFields(fields []field, home string) []runtime.Action {
	var changes []host.Change
	cmd := host.Cmd{
		Process: host.Process{Argv: []string{"usermod"}}, Sets: map[host.Fact]string{}, Edits: accountFiles(op.name),
	}
	for _, f := range fields {
		if f.wanted == "" {
			continue
		}
		cmd.Argv = append(cmd.Argv, f.options...)
		cmd.Sets[fact(f.kind, op.name)] = f.wanted
		if f.have != f.wanted {
			changes = append(changes, change(f.kind.Name, f.have, f.wanted))
		}
		if f.have != f.wanted && f.kind == host.Primary && home != "" { // usermod takes the files in the home along
			cmd.Gives = map[string]host.Owner{home: {Group: op.group}}
		}
	}
	cmd.Argv = append(cmd.Argv, op.name)
	return runtime.Actions(func(ctx context.Context, h host.Host) error {
		_, err := h.Exec(ctx, cmd)
		return err
	}, changes...)
}

// union adds names to a sorted list that is separated by commas.
func union(list string, names []string) string {
	all := append(strings.FieldsFunc(list, func(r rune) bool { return r == ',' }), names...)
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ",")
}

// create makes the account. Every choice is passed: the defaults differ between systems.
func (op *useraddOp) create(ctx context.Context, h host.Host) error {
	group, groupMade, err := op.newGroup(ctx, h)
	if err != nil {
		return err
	}
	cmd := host.Cmd{Process: host.Process{Argv: op.argv(group, groupMade)}, Sets: map[host.Fact]string{
		fact(host.User, op.name):    cmp.Or(op.uid, host.Present),
		fact(host.Home, op.name):    op.newHome(),
		fact(host.Shell, op.name):   op.newShell(),
		fact(host.Comment, op.name): op.comment,
		fact(host.Primary, op.name): group,
		fact(host.Groups, op.name):  strings.Join(op.groups, ","),
	}}
	cmd.Edits = accountFiles(op.name)
	if groupMade {
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
		// useradd does not change the owner of a directory that is there.
		return h.SetMeta(op.newHome(), host.Meta{Mode: old.Mode, Owner: owner})
	}
	return nil
}

// newGroup returns the group of a new account, and whether useradd makes it.
func (op *useraddOp) newGroup(ctx context.Context, h host.Reader) (name string, made bool, err error) {
	if op.group != "" {
		return op.group, false, nil
	}
	id, err := h.Fact(ctx, fact(host.Group, op.name))
	return op.name, id == "", err
}

// argv returns the command; groupMade says that it makes the group, too.
func (op *useraddOp) argv(group string, groupMade bool) []string {
	argv := []string{"useradd", "-d", op.newHome(), "-s", op.newShell(), "-c", op.comment}
	option := func(when bool, args ...string) {
		if when {
			argv = append(argv, args...)
		}
	}
	option(op.createHome, "-m")
	option(!op.createHome, "-M")
	option(op.system, "-r")
	option(op.uid != "", "-u", op.uid)
	option(groupMade, "-U")
	option(!groupMade, "-g", group)
	option(len(op.groups) > 0, "-G", strings.Join(op.groups, ","))
	return append(argv, op.name)
}

// explainUseradd says what the exit statuses of useradd(8) leave out.
func explainUseradd(err error, code int) error {
	switch code {
	case 1, 10:
		return runtime.Hint(err,
			"only root may; or another program holds a lock: look for /etc/passwd.lock and /etc/group.lock")
	case 4:
		return runtime.Hint(err, "another account has that number: getent passwd NUMBER")
	case 12:
		return runtime.Hint(err,
			"the account is there, its home is not: see whether the file system is full or read-only, then run again")
	case 14:
		return runtime.Hint(err, "SELinux refused: see the audit log")
	}
	return err
}

const skeleton = "/etc/skel"

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
		meta := host.Meta{Mode: m.Mode, Size: m.Size, Owner: owner}
		e := host.Entry{Name: path.Join(home, strings.TrimPrefix(name, skeleton)), Meta: meta}
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
func (op *useraddOp) makeHome(ctx context.Context, h host.Host, home string) error {
	owner, err := ownerFor(ctx, h, op.name)
	if err != nil {
		return err
	}
	entries, err := homeEntries(h, home, owner)
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
