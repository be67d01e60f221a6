package builtins

import (
	"cmp"
	"context"
	"fmt"

	"runbook/runtime"
	"runbook/runtime/host"
)

var groupBuiltin = &runtime.Builtin{
	Name: "group",
	Args: []runtime.Arg{
		param("name", "string", "", "the group"),
		param("gid", "int", "None", "its number; the next free one if not given"),
		param("system", "bool", "False", "take the number from the range of system groups"),
	},
	Summary: "make a group of accounts",
	Detail: []string{
		"The number of a group that exists is not changed, because files on disk depend on it: that is an error.",
		"So is a number that another group has.",
		"useradd puts accounts into it.",
	},
	Example: `group("operators")
useradd("deploy", groups = ["operators"])`,
	New: newGroup,
}

// groupOp is a group as it should be; gid may be "", for any number.
type groupOp struct {
	name, gid string
	system    bool
}

func newGroup(c *runtime.Call) (runtime.Op, string, error) {
	var op groupOp
	err := c.Unpack("name", &op.name, "gid", (*idNumber)(&op.gid), "system", &op.system)
	if err == nil {
		err = checkNames(op.name)
	}
	return op, op.name, err
}

func (op groupOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	have, err := h.Fact(ctx, fact(host.Group, op.name))
	if err != nil {
		return nil, err
	}
	switch {
	case have == "":
		if err := checkFree(ctx, h, host.Group, op.gid); err != nil {
			return nil, err
		}
		return runtime.Actions(op.create, change("group", "", op.name)), nil
	case op.gid != "" && have == host.Present:
		runtime.Assume(ctx, fmt.Sprintf("the number of group %s is %s", op.name, op.gid))
	case op.gid != "" && have != op.gid:
		return nil, runtime.Hint(fmt.Errorf("has number %s, want %s", have, op.gid),
			"changing it would orphan its files: do it by hand with groupmod -g and chgrp")
	}
	return nil, nil
}

// create makes the group.
func (op groupOp) create(ctx context.Context, h host.Host) error {
	argv := []string{"groupadd"}
	if op.system {
		argv = append(argv, "-r")
	}
	if op.gid != "" {
		argv = append(argv, "-g", op.gid)
	}
	res, err := h.Exec(ctx, host.Cmd{
		Process: host.Process{Argv: append(argv, op.name)},
		Sets:    map[host.Fact]string{fact(host.Group, op.name): cmp.Or(op.gid, host.Present)},
		Edits:   accountFiles(op.name),
	})
	if err != nil {
		return explainGroupadd(err, res.Code)
	}
	return nil
}

// explainGroupadd says what the exit statuses of groupadd(8) leave out.
func explainGroupadd(err error, code int) error {
	switch code {
	case 4:
		return runtime.Hint(err, "another group has that number: getent group NUMBER")
	case 10:
		return runtime.Hint(err,
			"only root may; or another program holds a lock: look for /etc/group.lock and /etc/gshadow.lock")
	}
	return err
}
