package builtins

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"runbook/runtime"
	"runbook/runtime/host"
)

// ServeBuiltin is the name of the builtin whose ops the command that runs a runbook looks for when the run is done.
const ServeBuiltin = "serve"

var serveBuiltin = &runtime.Builtin{
	Name: ServeBuiltin,
	Args: []runtime.Arg{
		param("dir", "path", "", "the directory of channels, as mirror lays them out: dir/ACCOUNT/SUBDIR"),
		param("listen", "string", `"127.0.0.1:8080"`, "address and port; if another program has the port, a free one of that address is taken"),
	},
	Summary: "serve mirrored channels to conda clients and browsers when the run is done, until Ctrl-C",
	Detail: []string{
		"Only where a person looks on: a run whose output is no terminal ends as if it were not there, and so does a dry run. It is for trying things out.",
		"A server that stays is `runbook serve`, which the operating system starts; see install.star with server = \"native\".",
	},
	Example: `mkdir("/srv/mirror")
serve("/srv/mirror")`,
	New: newServe,
}

// serveOp says that a directory is to be served, and looks whether it is there.
type serveOp struct{ dir string }

func newServe(c *runtime.Call) (runtime.Op, string, error) {
	var dir runtime.Path
	listen := "127.0.0.1:8080"
	if err := c.Unpack("dir", &dir, "listen", &listen); err != nil {
		return nil, "", err
	}
	_, port, err := net.SplitHostPort(listen)
	if n, perr := strconv.Atoi(port); err != nil || perr != nil || n < 0 || n > 65535 {
		return nil, "", fmt.Errorf("argument \"listen\": got %q, want ADDRESS:PORT", listen)
	}
	return serveOp{string(dir)}, string(dir), nil
}

// Check is runtime.Op's.
func (op serveOp) Check(_ context.Context, h host.Reader) ([]runtime.Action, error) {
	real, err := h.Resolve(op.dir, true)
	if err != nil {
		return nil, err
	}
	m, err := h.Lstat(real)
	if err != nil {
		return nil, err
	}
	if !m.Mode.IsDir() {
		return nil, fmt.Errorf("%s is no directory", op.dir)
	}
	return nil, nil
}
