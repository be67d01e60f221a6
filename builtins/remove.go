package builtins

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"runbook/runtime"
	"runbook/runtime/host"
)

var removeBuiltin = &runtime.Builtin{
	Name:    "remove",
	Args:    []runtime.Arg{param("path", "path", "", "a file, a symbolic link, or a directory")},
	Summary: "delete a file, or a directory with all below it",
	Detail: []string{
		"A symbolic link is deleted itself. The directories that a system is made of are refused.",
		"A tree is one effect, which tells how many files go.",
	},
	Example: `write("/srv/old", "")
remove("/srv/old")`,
	New: func(c *runtime.Call) (runtime.Op, string, error) {
		var p runtime.Path
		if err := c.Unpack("path", &p); err != nil {
			return nil, "", err
		}
		if vital(string(p)) {
			return nil, "", runtime.Hint(fmt.Errorf("remove %s: the system needs it", p), "name what should go below it")
		}
		return removeOp{string(p)}, string(p), nil
	},
}

// vital reports whether the system needs name: a directory of the Filesystem
// Hierarchy Standard, or anything in /proc, /sys and /dev.
func vital(name string) bool {
	parts := strings.Split(name, "/")[1:]
	if slices.Contains([]string{"proc", "sys", "dev"}, parts[0]) && !strings.HasPrefix(name, "/dev/shm/") {
		return true
	}
	switch len(parts) {
	case 1:
		top := strings.Fields("bin boot etc home lib lib32 lib64 libx32 media mnt opt root run sbin srv tmp usr var")
		return parts[0] == "" || slices.Contains(top, parts[0])
	case 2:
		return parts[0] == "usr" || parts[0] == "boot" ||
			parts[0] == "var" && slices.Contains(strings.Fields("cache lib lock log mail run spool tmp"), parts[1])
	}
	return false
}

// removeOp is a name that must not be there.
type removeOp struct{ path string }

func (op removeOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	if ok, err := host.Exists(h, op.path); err == nil && !ok {
		return nil, nil
	}
	files := 0
	err := host.Walk(h, op.path, func(string, host.Meta) error { files++; return ctx.Err() })
	switch {
	case errors.Is(err, host.ErrUnknown):
		runtime.Assume(ctx, "how much there is of "+op.path)
		files = max(files, 1)
	case err != nil:
		return nil, err
	}
	remove := func(_ context.Context, h host.Host) error { return h.Remove(op.path, files) }
	return runtime.Actions(remove, change("files", strconv.Itoa(files), "0")), nil
}
