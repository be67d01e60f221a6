package builtins

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
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
		param("shell", "path", `"/bin/bash"`, "its login shell"),
		param("uid", "int", "None", "its number; the next free one if not given"),
		param("group", "string", `""`, "its own group, which must exist; one with the name of the account if not given"),
		param("groups", "list of string", "[]", "other groups, which must exist; it is never taken out of others"),
		param("system", "bool", "False", "take the number from the range of system accounts"),
		param("comment", "string", `""`, "its full name or purpose"),
	},
	Summary: "make an account, its group and its home directory, or repair what differs",
	Detail: []string{
		"Of an account that exists only what the call names is repaired: a shell, a comment, groups, a missing home directory.",
		"Its number and the place of its home directory are not changed, because files on disk depend on them: that is an error.",
	},
	Example: `useradd("deploy", shell = "/bin/sh", comment = "deployment")`,
	New:     newUseradd,
}

// useraddOp is an account as it should be. Empty fields of one that exists are
// of no interest.
type useraddOp struct {
	name, home, shell, uid, group, comment string
	groups                                 []string
	createHome, system                     bool
}

// What useradd(8) of both families of systems takes.
var accountName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,31}$`)

func newUseradd(c *runtime.Call) (runtime.Op, string, error) {
	op := &useraddOp{createHome: true}
	var home, shell runtime.Path
	uid := -1
	if err := c.Unpack("name", &op.name, "home", &home, "create_home", &op.createHome, "shell", &shell, "uid", &uid, "group", &op.group, "groups", &op.groups, "system", &op.system, "comment", &op.comment); err != nil {
		return nil, "", err
	}
	for _, name := range append([]string{op.name}, op.groups...) {
		if !accountName.MatchString(name) {
			return nil, "", fmt.Errorf("got %q, want letters, digits, dots and dashes, at most 32", name)
		}
	}
	if strings.ContainsAny(string(home)+string(shell)+op.comment, ":\n") {
		return nil, "", errors.New("got a colon or a line break, which cannot be in /etc/passwd")
	}
	if uid >= 0 {
		op.uid = strconv.Itoa(uid)
	}
	op.home, op.shell = string(home), string(shell)
	slices.Sort(op.groups)
	op.groups = slices.Compact(op.groups)
	return op, op.name, nil
}

func (op *useraddOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	return legacy(ctx, h, op)
}

func (op *useraddOp) check0(ctx context.Context, h host.Reader) ([]host.Change, error) {
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
		return op.checkNew(h)
	}
	return op.checkOld(ctx, h, uid)
}

func needGroup(ctx context.Context, h host.Reader, name string) error {
	if name == "" {
		return nil
	}
	id, err := h.Fact(ctx, fact(host.Group, name))
	if err == nil && id == "" {
		err = runtime.Hint(errors.New("no group "+name), `make it first: run(["groupadd", "`+name+`"], unless = ["getent", "group", "`+name+`"])`)
	}
	return err
}

func (op *useraddOp) checkNew(h host.Reader) ([]host.Change, error) {
	home := op.newHome()
	todo := []host.Change{want("account", "", op.name), want("home", "", home), want("shell", "", op.newShell())}
	if !op.createHome {
		return todo, nil
	}
	// Older versions of useradd make only the last directory.
	if ok, err := host.Exists(h, path.Dir(home)); err != nil || !ok {
		return nil, cmp.Or(err, runtime.Hint(fmt.Errorf("%s: no such directory", path.Dir(home)), `make it first: mkdir("`+path.Dir(home)+`")`))
	}
	return todo, nil
}

func (op *useraddOp) newHome() string  { return cmp.Or(op.home, "/home/"+op.name) }
func (op *useraddOp) newShell() string { return cmp.Or(op.shell, "/bin/bash") }

// checkOld compares what the call names with an account that exists.
func (op *useraddOp) checkOld(ctx context.Context, h host.Reader, uid string) ([]host.Change, error) {
	if op.uid != "" && uid != op.uid && uid != host.Present {
		return nil, runtime.Hint(fmt.Errorf("has number %s, want %s", uid, op.uid), "changing it would orphan its files: do it by hand with usermod -u and chown")
	}
	home, err := h.Fact(ctx, fact(host.Home, op.name))
	if err != nil {
		return nil, err
	}
	if op.home != "" && home != "" && home != op.home {
		return nil, runtime.Hint(fmt.Errorf("has home %s, want %s", home, op.home), "moving it would break what refers to it: do it by hand with usermod -m -d, or name the other home")
	}
	var todo []host.Change
	for _, f := range op.fields() {
		have, err := h.Fact(ctx, fact(f.kind, op.name))
		if err != nil {
			return nil, err
		}
		if f.want != "" && have != f.want {
			todo = append(todo, want(f.kind.Name, have, f.want))
		}
	}
	have, err := h.Fact(ctx, fact(host.Groups, op.name))
	if all := union(have, op.groups); err == nil && all != have {
		todo = append(todo, want(host.Groups.Name, have, all))
	}
	if ok, err := host.Exists(h, home); op.createHome && home != "" && err == nil && !ok {
		todo = append(todo, want("home", "", home))
	}
	return todo, err
}

// A field of an account that usermod can change, and the option for it.
type accountField struct {
	kind   *host.Kind
	option string
	want   string
}

func (op *useraddOp) fields() []accountField {
	return []accountField{{host.Primary, "-g", op.group}, {host.Shell, "-s", op.shell}, {host.Comment, "-c", op.comment}}
}

// union adds names to a sorted list that is separated by commas.
func union(list string, names []string) string {
	all := append(strings.FieldsFunc(list, func(r rune) bool { return r == ',' }), names...)
	slices.Sort(all)
	return strings.Join(slices.Compact(all), ",")
}

func (op *useraddOp) apply0(ctx context.Context, h host.Host, todo []host.Change) error {
	if wants(todo, "account") {
		return op.add(ctx, h)
	}
	mod := host.Cmd{Process: host.Process{Argv: []string{"usermod"}}, Sets: map[host.Fact]string{}}
	for _, f := range op.fields() {
		if wants(todo, f.kind.Name) {
			mod.Argv = append(mod.Argv, f.option, f.want)
			mod.Sets[fact(f.kind, op.name)] = f.want
		}
	}
	if i := slices.IndexFunc(todo, func(c host.Change) bool { return c.What == host.Groups.Name }); i >= 0 {
		mod.Argv = append(mod.Argv, "-a", "-G", strings.Join(op.groups, ","))
		mod.Sets[fact(host.Groups, op.name)] = todo[i].To
	}
	if len(mod.Sets) > 0 {
		mod.Argv = append(mod.Argv, op.name)
		if _, err := h.Exec(ctx, mod); err != nil {
			return err
		}
	}
	if wants(todo, "home") {
		return op.makeHome(ctx, h)
	}
	return nil
}
