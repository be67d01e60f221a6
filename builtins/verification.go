package builtins

import (
	"context"
	"fmt"
	"strings"

	"runbook/builtins/internal/mirror"
	"runbook/runtime"
	"runbook/runtime/host"
)

var mirrorVerifyBuiltin = &runtime.Builtin{
	Name: "mirror.verify",
	Args: []runtime.Arg{
		param("url", "string", "", "the channel's address: http://HOST:PORT/ACCOUNT"),
		param("sample", "int", "20", "how many packages of each platform to fetch, the same ones each time; 0 means all"),
		param("platforms", "list of string", "[]", "subdirs to look at; those that the channel has if empty; noarch always"),
		param("ca", "string", `""`, "PEM certificates of authorities that vouch for the server, besides the system's"),
	},
	Secrets:    []string{"url"},
	Positional: 1,
	Summary:    "fetch packages of a channel from its server and compare them with what the index says",
	Detail: []string{
		"Nothing is kept. A package that cannot be fetched, or is not what the index says, is an error.",
		"A dry run assumes that it would end well: what it would ask may not be started yet.",
	},
	Example: `run(["/bin/true"], touches = ["port:8080"])
mirror.verify("http://127.0.0.1:8080/anaconda")`,
	New: newMirrorVerify,
}

// verifyOp is a channel whose packages must be what its indexes say.
type verifyOp struct{ mirror.Verification }

func newMirrorVerify(c *runtime.Call) (runtime.Op, string, error) {
	op := &verifyOp{mirror.Verification{Sample: 20}}
	err := c.Unpack("url", &op.Channel, "sample", &op.Sample, "platforms", &op.Subdirs, "ca", &op.Access.CA)
	switch {
	case err != nil:
		return nil, "", err
	case !strings.HasPrefix(op.Channel, "http://") && !strings.HasPrefix(op.Channel, "https://"):
		return nil, "", runtime.Hint(fmt.Errorf("argument \"url\": got %q, want http://HOST/ACCOUNT", op.Channel),
			"mirror.compare() compares a directory with a channel")
	case op.Sample < 0:
		return nil, "", fmt.Errorf("argument \"sample\": got %d, want 0 or more", op.Sample)
	}
	return op, op.Channel, nil
}

// Check is runtime.Op's.
func (op *verifyOp) Check(ctx context.Context, h host.Reader) ([]runtime.Action, error) {
	if runtime.Predicting(ctx) {
		runtime.Assume(ctx, "the server has what its indexes say")
		return nil, nil
	}
	v := op.Verification
	v.Told = func(text string) { runtime.Progress(ctx, text) }
	if err := v.Do(ctx, h); err != nil {
		return nil, runtime.Hint(err,
			"see whether the server runs, and its log; what the mirror lacks or holds damaged, mirror() repairs")
	}
	runtime.Observe(ctx, "packages", v.Packages)
	runtime.Observe(ctx, "bytes", v.Bytes)
	return nil, nil
}
